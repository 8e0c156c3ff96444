"""Card numbers are stored nowhere (promise P10): how one is recognized wherever text comes in."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from unicodedata import normalize

_GROUPS = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z])", re.ASCII)
_GROUP = re.compile(r"[0-9]+", re.ASCII)
_SHORTEST, _LONGEST = 13, 19
_SHOWN = 4
_DEEPEST = 25
# A telephone number may have as many digits; it is written with a plus.
_WRITTEN = re.compile(r"(?<![0-9+])[0-9](?:[ -]?[0-9]){12,}", re.ASCII)
_ALONE = re.compile(r"\s*[0-9](?:[ -]?[0-9]){12,18}\s*", re.ASCII)
# What the numbers of the card schemes begin with, and how long they are.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-5]|309|36\d|3[89]\d)\d{11,16}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|35\d\d|220[0-4])\d{12,15}"  # Discover, UnionPay, JCB, Mir
    r"|(?:60|81|82)\d{14}"  # RuPay
    r"|(?:50|5[6-9]|6[0-9])\d{11,17}",  # Maestro
    re.ASCII,
)


def has_card_number(text: str) -> bool:
    """Whether `text` holds 13 to 19 digits, with blanks or dashes at most, whose check digit is right."""
    return any(True for _ in _places(text))


def names_card(value: object, *, alone: bool) -> bool:
    """Whether what somebody gives holds the number of a card, in any text or number in it.

    `alone` asks whether a text is such a number altogether: keys of the host and tokens of gateways may have any digits
    in them. The number has 13 to 19 digits, with blanks or dashes between them at most, begins as those of the card
    schemes do, and its check digit is right. What is nested more deeply than any file is not looked into.
    """
    return _names_card(value, alone, 0)


def _names_card(value: object, alone: bool, depth: int) -> bool:
    match value:
        case str():
            text = value if value.isascii() else normalize("NFKC", value)
            return _is_card(text) if alone else _holds_card(text)
        case int() | Decimal():
            return _is_card(str(value))
        case Mapping():
            parts = [part for pair in value.items() for part in pair]
        case Sequence() if not isinstance(value, bytes):
            parts = list(value)
        case _:
            return False
    return depth < _DEEPEST and any(_names_card(part, alone, depth + 1) for part in parts)


def _is_card(text: str) -> bool:
    digits = "".join(_GROUP.findall(text))
    return _ALONE.fullmatch(text) is not None and _ISSUED.fullmatch(digits) is not None and _is_checked(digits)


def _holds_card(text: str) -> bool:
    for run in _WRITTEN.finditer(text):
        groups = [found.span() for found in _GROUP.finditer(text, *run.span())]
        for first, (start, _) in enumerate(groups):
            if any(_is_card(text[start:end]) for _, end in groups[first:]):
                return True
    return False


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
