"""Card numbers are stored nowhere (promise P10): how one is recognized wherever text comes in."""

import re
from collections.abc import Iterator

_GROUPS = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z])", re.ASCII)
_GROUP = re.compile(r"[0-9]+", re.ASCII)
_SHORTEST, _LONGEST = 13, 19
_SHOWN = 4


def has_card_number(text: str) -> bool:
    """Whether `text` holds 13 to 19 digits, with blanks or dashes at most, whose check digit is right."""
    return any(True for _ in _places(text))


def without_card_numbers(text: str) -> str:
    """`text` with a star for every digit of what looks like a card number, but its last four."""
    shown = list(text)
    for start, end in _places(text):
        digits = [place for place in range(start, end) if text[place].isdigit()]
        for place in digits[:-_SHOWN]:
            shown[place] = "*"
    return "".join(shown)


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers begin and end. What follows or precedes one in groups of its own hides it not."""
    for run in _GROUPS.finditer(text):
        groups = [found.span() for found in _GROUP.finditer(text, *run.span())]
        for first, (start, _) in enumerate(groups):
            digits = ""
            for begin, end in groups[first:]:
                digits += text[begin:end]
                if len(digits) > _LONGEST:
                    break
                if len(digits) >= _SHORTEST and _is_checked(digits):
                    yield start, end


def _is_checked(run: str) -> bool:
    digits = [int(one) for one in run]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
