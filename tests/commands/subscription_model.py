"""What a subscription should have cost, worked out from what was asked for: no code of the engine is used here.

A subscription is a story of stretches: from when until when each part of it (its product, each component) ran at which
price. What one full price covers follows from where the periods begin (behaviour 3.2). Everything in UTC.
"""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

PRODUCT = ""


@dataclass(frozen=True)
class Rate:
    """The full price of a part in minor units, and how often: so many months, or so many days."""

    full: Fraction
    months: int = 0
    days: int = 0

    @property
    def every(self) -> tuple[int, int]:
        """The interval."""
        return self.months, self.days


@dataclass(frozen=True)
class Grid:
    """Where periods begin: at `start`, and then on `day` of the month, or as `start` says; it holds from `since` on."""

    start: datetime
    day: int | None
    since: datetime

    def span(self, at: datetime, rate: Rate) -> tuple[datetime, datetime]:
        """What one full price covers around an instant."""
        if rate.days:
            length = timedelta(days=rate.days)
            before = self.start + (at - self.start) // length * length
            return before, before + length
        index = (at.year - self.start.year) * 12 + at.month - self.start.month
        step = (index - self._offset()) // rate.months
        while self._boundary(step * rate.months) > at:
            step -= 1
        while self._boundary((step + 1) * rate.months) <= at:
            step += 1
        before, after = self._boundary(step * rate.months), self._boundary((step + 1) * rate.months)
        # Who starts on the billing day has a whole period, whatever the hour.
        return (self.start if self.day and before.date() == self.start.date() else before), after

    def _boundary(self, months: int) -> datetime:
        if self.day is None:
            return _in_month(self.start, months, self.start.day)
        midnight = self.start.replace(hour=0, minute=0, second=0)
        return _in_month(midnight, self._offset() + months, self.day)

    def _offset(self) -> int:
        """The first boundary's month, counted from the start's: the first such day from then on."""
        if self.day is None:
            return 0
        return 0 if self.start.day <= min(self.day, monthrange(self.start.year, self.start.month)[1]) else 1


def _in_month(at: datetime, months: int, day: int) -> datetime:
    index = at.year * 12 + at.month - 1 + months
    year, month = divmod(index, 12)
    return at.replace(year=year, month=month + 1, day=min(day, monthrange(year, month + 1)[1]))


@dataclass(frozen=True)
class Stretch:
    """From when until when (None: still) a part ran at a rate."""

    start: datetime
    end: datetime | None
    rate: Rate


@dataclass(frozen=True)
class Later:
    """A change that waits: what there is from then on, as things stand when it comes."""

    has: Callable[[], dict[str, Rate]]
    at: datetime | None
    reset: bool


@dataclass
class Story:
    """One subscription: what it has by now, its grids by their first instant, and its stretches by part.

    `later` tells what it will have by then, from its instant on or from the next renewal (None). `same_since` then its
    product has had the interval that it has.
    """

    has: dict[str, Rate]
    day: int | None
    at: datetime
    state: str = "active"
    period_start: datetime = field(init=False)
    period_end: datetime = field(init=False)
    since: datetime = field(init=False)
    same_since: datetime = field(init=False)
    cancel_at: datetime | None = None
    resume_at: datetime | None = None
    later: "Later | None" = None
    grids: list[Grid] = field(default_factory=list)
    stretches: dict[str, list[Stretch]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.since = self.same_since = self.at
        self.begin(self.at)

    def begin(self, at: datetime) -> None:
        """A new period, whose grid begins now, with what there is."""
        self.grids = [grid for grid in self.grids if grid.since < at]
        self.grids.append(Grid(at, self.day, at))
        self.enter(at)
        self.serve(at)

    def enter(self, at: datetime) -> None:
        """The period that begins now, in the grid that there is; a planned end cuts it short."""
        self.period_start = at
        self.period_end = self.grids[-1].span(at, self.has[PRODUCT])[1]
        if self.cancel_at is not None and at < self.cancel_at < self.period_end:
            self.period_end = self.cancel_at

    def serve(self, at: datetime) -> None:
        """From now on what there is runs; whatever the story said of later is forgotten."""
        for part in {*self.has, *self.stretches}:
            self.put(part, self.has.get(part), at)

    def put(self, part: str, rate: Rate | None, at: datetime) -> None:
        """From an instant on one part runs at this rate, or not at all."""
        kept = [replace(one, end=min(one.end or at, at)) for one in self.stretches.get(part, []) if one.start < at]
        self.stretches[part] = [*kept, *([Stretch(at, None, rate)] if rate is not None else [])]

    def stop(self, at: datetime) -> None:
        """From now on nothing runs."""
        for part in self.stretches:
            self.put(part, None, at)

    def change(self, has: dict[str, Rate], at: datetime, *, reset: bool) -> None:
        """It has something else as of an instant, now or before; a new period begins where the interval differs."""
        before, self.has = self.has, has
        if before[PRODUCT].every != has[PRODUCT].every:
            self.same_since = at
            reset = True
        if reset:
            self.begin(at)
            return
        for part in {*before, *has}:
            if before.get(part) != has.get(part):
                self.put(part, has.get(part), at)

    def advance(self, to: datetime) -> None:
        """Do what falls due until then: ends of holds, cancellations, changes, renewals."""
        while True:
            due = [(to, 9)]
            if self.cancel_at is not None:
                due.append((self.cancel_at, 1))
            if self.state == "held" and self.resume_at is not None:
                due.append((self.resume_at, 0))
            if self.state == "active":
                due.append((self.period_end, 3))
                if self.later is not None and self.later.at is not None:
                    due.append((self.later.at, 2))
            when, what = min(due)
            if what == 9:
                self.at = to
                return
            match what:
                case 0:
                    self.resume(when, keep=False)
                case 1:
                    self.end(when)
                case 2:
                    # One that fell into a hold comes with its end.
                    self.come(max(when, self.since))
                case _:
                    if self.later is not None and self.later.at is None:
                        self.come(when)
                    self.enter(when)

    def come(self, at: datetime) -> None:
        """The change that waited comes into effect."""
        assert self.later is not None
        later, self.later = self.later, None
        self.change(later.has(), at, reset=later.reset)

    def hold(self, at: datetime, resume_at: datetime | None) -> None:
        """Everything stops, what is unused was given back."""
        self.state, self.resume_at = "held", resume_at
        self.stop(at)

    def resume(self, at: datetime, *, keep: bool) -> None:
        """It goes on: in the old grid, or with a new period when the old one is over."""
        self.state, self.resume_at, self.since = "active", None, at
        if at < self.period_end:
            self.period_start = at
            if self.cancel_at is not None and at < self.cancel_at:
                self.period_end = min(self.period_end, self.cancel_at)
            self.serve(at)
        elif keep:
            self.enter(at)
            self.serve(at)
        else:
            self.begin(at)

    def end(self, at: datetime) -> None:
        """Canceled, what is unused was given back."""
        self.state, self.cancel_at, self.later, self.resume_at = "ended", None, None, None
        self.stop(at)

    def reactivate(self, at: datetime, *, keep: bool) -> None:
        """It comes back: in the old period while that lasts, or with a new one."""
        self.state, self.since = "active", at
        if keep and at < self.period_end:
            self.serve(at)
        else:
            self.begin(at)

    def move(self, at: datetime | None, day: int | None) -> None:
        """The period ends at another instant, and from its end on, or its old one, another day counts."""
        since, end = min(self.period_end, at or self.period_end), at or self.period_end
        self.period_end = end
        begun, ahead = [grid for grid in self.grids if grid.since < end], self.grids[-1]
        if day is not None:
            self.day = day
            self.grids = [*(grid for grid in begun if grid.since < since), Grid(end, day, since)]
        elif ahead.since > end:
            # The day that was to hold from a later end holds from this one.
            self.grids = [*begun, replace(ahead, since=end)]

    def has_run(self, part: str, since: datetime) -> bool:
        """Whether a part has run from an instant until now, at whatever rates."""
        begun = self.at
        for one in reversed(self.stretches.get(part, [])):
            if one.end is not None and one.end < begun:
                break
            begun = one.start
        return begun <= since

    def pieces(self, part: str) -> list[tuple[datetime, datetime, Fraction]]:
        """What each piece of time that a part ran should have cost, exactly, by what one full price covers there."""
        found = []
        for one in self.stretches.get(part, []):
            assert one.end is not None, "the story is over"
            for start, end, grid in self._in_grids(one.start, one.end):
                begun = start
                while begun < end:
                    before, after = grid.span(begun, one.rate)
                    until = min(end, after)
                    share = Fraction((until - begun) // SECOND, (after - before) // SECOND)
                    found.append((begun, until, one.rate.full * share))
                    begun = until
        return found

    def _in_grids(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime, Grid]]:
        edges = [grid.since for grid in self.grids[1:]] + [datetime.max.replace(tzinfo=start.tzinfo)]
        found = []
        for grid, edge in zip(self.grids, edges, strict=True):
            here, there = max(start, grid.since), min(end, edge)
            if here < there:
                found.append((here, there, grid))
        return found


SECOND = timedelta(seconds=1)
