"""The time that is left of a running period, in pieces that each lie in one price span (behaviour 3.2)."""

from datetime import datetime

from billcore.domain.facts import Facts
from billcore.domain.periods import Period, span_of, split
from billcore.domain.renewal import billed_from, price_span
from billcore.domain.subscription import Subscription


def time_left(sub: Subscription, facts: Facts, at: datetime) -> list[tuple[Period, Period]]:
    """The time from `at` to the end of the running period, each piece with what one full price covers of it.

    A change in the past has a piece for each period that it reaches back into (behaviour 6.1).
    """
    assert sub.period_start is not None and sub.period_end is not None
    span = price_span(sub)
    begun = billed_from(at, sub.free_until)
    before = _at_boundaries(begun, sub.period_start, facts, sub)
    inside = Period(begun, begun)
    if max(begun, sub.period_start) < min(sub.period_end, span.end):
        inside = Period(max(begun, sub.period_start), min(sub.period_end, span.end))
    # A billing date that was moved may lie behind what one full price covers.
    behind = _at_boundaries(max(begun, span.end), sub.period_end, facts, sub)
    return [*before, *([(inside, span)] if inside.start < inside.end else []), *behind]


def _at_boundaries(start: datetime, end: datetime, facts: Facts, sub: Subscription) -> list[tuple[Period, Period]]:
    if start >= end:
        return []
    schedule = facts.schedule(sub)
    return [(piece, span_of(piece, schedule)) for piece in split(Period(start, end), schedule)]
