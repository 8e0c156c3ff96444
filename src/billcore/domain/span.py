"""What one full price covers of a billed period, and the pieces of time that lie in one such span (behaviour 3.2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billcore.domain.catalog import Price
from billcore.domain.facts import Facts, Spanned
from billcore.domain.invoice import Renewal
from billcore.domain.periods import Duration, Period, Schedule, span_of, split
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

    A change in the past has a piece for each period that it reaches back into, with the span that this was billed with
    (behaviour 6.1).
    """
    assert sub.period_start is not None and sub.period_end is not None
    begun = billed_from(at, sub.free_until)
    before = as_billed(begun, sub.period_start, facts.spanned.get(sub.id, ()), facts.schedule(sub))
    return [*before, *pieces(sub, facts, max(begun, sub.period_start), sub.period_end)]


def pieces(sub: Subscription, facts: Facts, start: datetime, end: datetime) -> list[tuple[Period, Period]]:
    """A stretch of the running period, each piece with its span: a moved billing date may lie behind the first one."""
    span = price_span(sub)
    inside = [(Period(start, min(end, span.end)), span)] if start < min(end, span.end) else []
    return inside + at_boundaries(max(start, span.end), end, facts, sub)


def at_boundaries(start: datetime, end: datetime, facts: Facts, sub: Subscription) -> list[tuple[Period, Period]]:
    """The time between two instants, cut at the subscription's boundaries, each piece with the span around it."""
    return as_billed(start, end, (), facts.schedule(sub))


def as_billed(
    start: datetime, end: datetime, spanned: Sequence[Spanned], schedule: Schedule
) -> list[tuple[Period, Period]]:
    """The time between two instants, each piece with the span that it was billed with, what was free left out.

    What was not billed is cut at the boundaries that there are now.
    """
    made: list[tuple[Period, Period]] = []
    for one in spanned:
        first, last = max(start, one.period.start), min(end, one.period.end)
        if first >= last:
            continue
        made += _at_boundaries(start, first, schedule)
        if not one.free:
            made.append((Period(first, last), one.span))
        start = last
    return made + _at_boundaries(start, end, schedule)


def _at_boundaries(start: datetime, end: datetime, schedule: Schedule) -> list[tuple[Period, Period]]:
    if start >= end:
        return []
    return [(piece, span_of(piece, schedule)) for piece in split(Period(start, end), schedule)]


def ended(row: Renewal, end: datetime, span: Period) -> Renewal:
    """The row of a billing whose period ends at another instant than it was billed to, with its price span."""
    if span.start == row.period_start and span.end == end:
        return evolve(row, period_end=end, span_start=None, span_end=None)
    return evolve(row, period_end=end, span_start=span.start, span_end=span.end)


def begun_anew(row: Renewal, fresh: Renewal) -> Renewal:
    """The row of a period that never ran, taken over by the `fresh` one that begins in its place."""
    return evolve(fresh, id=row.id, billed_at=row.billed_at, invoice_id=row.invoice_id)


def billed_before(
    rows: Sequence[Renewal], end: datetime, every: Duration, prices: Mapping[str, Price]
) -> tuple[Spanned, ...]:
    """The periods before `end` as they were billed, where that was at the interval `every`; `rows` by their sequence.

    Each ran until the next one began. What ran on behind its span, to a moved billing date, was billed in spans of its
    own. `prices` is by id.
    """
    made = []
    for row in reversed(rows):
        # Of those that billed one period, for components on intervals of their own, the last one knows its end.
        if row.period_start >= end:
            continue
        span = Period(row.span_start or row.period_start, row.span_end or row.period_end)
        until = min(end, span.end)
        if prices[row.price_id].every == every and row.period_start < until:
            made.append(Spanned(Period(row.period_start, until), span, row.free))
        end = row.period_start
    return tuple(reversed(made))
