"""The clocks: the only place that reads the machine's time (behaviour 2.4)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from billcore.errors import InvalidValue


class Clock(Protocol):
    """Tells the time to everything else. `simulated` clocks are moved by the engine to each due instant."""

    @property
    def simulated(self) -> bool:
        """Whether the time is made up."""

    def now(self) -> datetime:
        """Business time: aware UTC, whole seconds."""

    def wall(self) -> datetime:
        """Real time for leases and deadlines between processes: aware UTC."""

    def advance(self, to: datetime) -> None:
        """Move a simulated clock forward; a real one refuses."""


class SystemClock:
    """The machine's time."""

    simulated = False

    def now(self) -> datetime:
        """The current UTC second."""
        return datetime.now(UTC).replace(microsecond=0)

    def wall(self) -> datetime:
        """The current UTC instant."""
        return datetime.now(UTC)

    def advance(self, to: datetime) -> None:
        """Refused: real time moves by itself."""
        raise InvalidValue(
            f"The store runs on the system clock; it cannot be moved to {to.isoformat()}.",
            remedy="Use a store with a simulated clock (billcore init --clock), or wait.",
        )


class SimulatedClock:
    """Time that stands still until it is advanced; for tests, scenarios and trying out."""

    simulated = True

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise InvalidValue(f"{start} has no time zone.", remedy="Pass an aware datetime, best in UTC.")
        self._now = start.astimezone(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        """The simulated instant."""
        return self._now

    def wall(self) -> datetime:
        """Real time: leases between processes are not simulated."""
        return datetime.now(UTC)

    def advance(self, to: datetime) -> None:
        """Move forward to `to`; raises InvalidValue when that lies in the past."""
        if to < self._now:
            raise InvalidValue(
                f"The clock stands at {self._now.isoformat()} and cannot go back to {to.isoformat()}.",
                remedy="Time only moves forward.",
            )
        self._now = to.astimezone(UTC).replace(microsecond=0)


def monotonic_ms() -> int:
    """Milliseconds for measuring durations; no relation to the calendar."""
    return time.monotonic_ns() // 1_000_000


def after(clock: Clock, seconds: int) -> datetime:
    """The real instant `seconds` from now, for leases."""
    return clock.wall() + timedelta(seconds=seconds)
