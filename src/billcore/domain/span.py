"""What one full price covers of a running period, and the pieces of time that lie in one such span (behaviour 3.2)."""

from datetime import datetime

from billcore.domain.facts import Facts
from billcore.domain.periods import Period, span_of, split
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve


def with_span(sub: Subscription, span: Period) -> Subscription:
    """`sub` with what one full price covers of its running period: kept only where it is not the period itself."""
    if span.start == sub.period_start and span.end == sub.period_end:
        return sub if sub.span_start is None else evolve(sub, span_start=None, span_end=None)
    return evolve(sub, span_start=span.start, span_end=span.end)


def price_span(sub: Subscription) -> Period:
    """What one full price covers in the running period (behaviour 3.2)."""
    if sub.span_start is not None and sub.span_end is not None:
        return Period(sub.span_start, sub.span_end)
    assert sub.period_start is not None and sub.period_end is not None
    return Period(sub.period_start, sub.period_end)


def billed_from(start: datetime, *others: datetime | None) -> datetime:
    """The latest of these: from when on time is billed."""
    return max([start, *[one for one in others if one is not None]])


def is_free(sub: Subscription) -> bool:
    """Whether the whole running period costs nothing, by agreement."""
    return sub.free_until is not None and sub.period_end is not None and sub.free_until >= sub.period_end


def time_left(sub: Subscription, facts: Facts, at: datetime) -> list[tuple[Period, Period]]:
    """The time from `at` to the end of the running period, each piece with what one full price covers of it.

    A change in the past has a piece for each period that it reaches back into (behaviour 6.1).
    """
    assert sub.period_start is not None and sub.period_end is not None
    begun = billed_from(at, sub.free_until)
    before = at_boundaries(begun, sub.period_start, facts, sub)
    return [*before, *pieces(sub, facts, max(begun, sub.period_start), sub.period_end)]


def pieces(sub: Subscription, facts: Facts, start: datetime, end: datetime) -> list[tuple[Period, Period]]:
    """A stretch of the running period, each piece with its span: a moved billing date may lie behind the first one."""
    span = price_span(sub)
    inside = [(Period(start, min(end, span.end)), span)] if start < min(end, span.end) else []
    return inside + at_boundaries(max(start, span.end), end, facts, sub)


def at_boundaries(start: datetime, end: datetime, facts: Facts, sub: Subscription) -> list[tuple[Period, Period]]:
    """The time between two instants, cut at the subscription's boundaries, each piece with the span around it."""
    if start >= end:
        return []
    schedule = facts.schedule(sub)
    return [(piece, span_of(piece, schedule)) for piece in split(Period(start, end), schedule)]
