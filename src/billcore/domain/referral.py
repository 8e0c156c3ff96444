"""Referral codes: short names that customers pass on (behaviour 11)."""

from hashlib import sha256

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Digits and capitals without I, L, O and U, which are mistaken for others."""

_READ = str.maketrans("ILO", "110")


def referral_code(subscription_id: str) -> str:
    """The code of a subscription, like 7QM2K-9XTRA: ten signs made of its id, which is one of a kind."""
    number = int.from_bytes(sha256(subscription_id.encode()).digest()[:8], "big")
    signs = "".join(ALPHABET[number >> 5 * place & 31] for place in range(10))
    return f"{signs[:5]}-{signs[5:]}"


def as_code(text: str) -> str:
    """A code as it was typed in, as it is stored: capitals or not, with the dash or without, O for 0 and I for 1."""
    signs = text.upper().replace("-", "").replace(" ", "").translate(_READ)
    return f"{signs[:5]}-{signs[5:]}"
