"""The fake's time: the machine's, and what tests put on top of it."""

import time


class Clock:
    """Seconds since 1970; `advance` lets keys run out and the search catch up without waiting."""

    def __init__(self) -> None:
        self._ahead_s = 0

    def now(self) -> int:
        """The present second."""
        return time.time_ns() // 1_000_000_000 + self._ahead_s

    def advance(self, seconds: int) -> None:
        """Let `seconds` pass at once."""
        self._ahead_s += seconds
