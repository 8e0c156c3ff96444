"""Ids: prefixed, ordered by time of creation (UUIDv7), from one injected source."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from random import Random
from threading import Lock

from billcore.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_LOW_62 = (1 << 62) - 1
_ROOM = 1 << 72


class Ids:
    """Makes ids like `sub_0195e0a1c0de7...`: 48 bits of milliseconds, then a number that only grows within one.

    With a `seed` the same calls on the same clock give the same ids (promise P9).
    """

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._clock = clock
        self._lock = Lock()
        self._random = Random(seed) if seed is not None else None
        # The instant that was asked for last, and the numbers of the ids within it.
        self._moment: tuple[datetime | None, Iterator[int]] = (None, count())

    def new(self, prefix: str) -> str:
        """A new id with this prefix; greater than every earlier one of this source. Any thread may ask."""
        now = self._clock.now()
        moment, numbers = self._moment
        if now is not moment and now != moment:
            numbers = self._moved(now)
        return f"{prefix}_{next(numbers):032x}"

    def _moved(self, now: datetime) -> Iterator[int]:
        """The numbers of another instant; time that goes back makes no smaller ids."""
        with self._lock:
            moment, numbers = self._moment
            if moment is None or now > moment:
                # Counted on as a whole: a carry out of the last 62 bits makes a greater number all the same.
                tail = self._start() + 1
                numbers = count(_milliseconds(now) << 80 | _VERSION_7 | (tail >> 62) << 64 | _VARIANT | tail & _LOW_62)
            self._moment = (now, numbers)
            return numbers

    def _start(self) -> int:
        if self._random is not None:
            return self._random.getrandbits(72)
        if self._clock.simulated:
            # Several processes may work at one simulated instant: real time keeps their ids in order.
            return _milliseconds(self._clock.wall()) << 28 | secrets.randbits(28)
        return secrets.randbelow(_ROOM)


def _milliseconds(at: datetime) -> int:
    passed = at - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1000 + passed.microseconds // 1000


def new_instance() -> str:
    """A name for one opened store in one process: no other that is open anywhere has the same."""
    return secrets.token_hex(4)


def new_installation() -> str:
    """A name for a new store, part of its idempotency keys: no two stores have the same."""
    return secrets.token_hex(6)
