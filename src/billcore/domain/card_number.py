"""Card numbers are stored nowhere (promise P10): how one is recognized wherever text comes in."""

import re

_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])", re.ASCII)


def has_card_number(text: str) -> bool:
    """Whether `text` holds 13 to 19 digits, with blanks or dashes at most, whose check digit is right."""
    return any(_is_checked(found.group()) for found in _RUN.finditer(text))


def _is_checked(run: str) -> bool:
    digits = [int(one) for one in run if one.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
