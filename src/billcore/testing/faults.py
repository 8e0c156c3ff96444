"""How a network fails, by name."""

from enum import StrEnum


class Fault(StrEnum):
    """What every call meets while the network is broken. `_BEFORE`: nothing arrived; `_AFTER`: it was carried out."""

    UNREACHABLE = "unreachable"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    ERROR_500_BEFORE = "error_500_before"
    ERROR_500_AFTER = "error_500_after"
    GARBAGE_BEFORE = "garbage_before"
    GARBAGE_AFTER = "garbage_after"
    SLOW = "slow"
    UNSEEN_STATUS = "unseen_status"


SURELY_NOT = (Fault.UNREACHABLE, Fault.RATE_LIMITED)
"""The request was surely not carried out."""

LOST = (
    Fault.TIMEOUT_BEFORE,
    Fault.TIMEOUT_AFTER,
    Fault.RESET_BEFORE,
    Fault.RESET_AFTER,
    Fault.ERROR_500_BEFORE,
    Fault.ERROR_500_AFTER,
    Fault.GARBAGE_BEFORE,
    Fault.GARBAGE_AFTER,
)
"""The answer was lost or cannot be read; whether the request was carried out nobody knows."""
