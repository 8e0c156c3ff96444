"""Words that messages and pages share."""


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s: 1 invoice, 2,000 invoices."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"
