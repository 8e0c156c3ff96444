"""When a subscription ends because its price says so: at a boundary, never within what is paid (behaviour 5.2)."""

from datetime import datetime

from billcore.domain.catalog import Periods
from billcore.domain.durations import add
from billcore.domain.facts import Facts
from billcore.domain.periods import Period, Schedule
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve


def term_start(sub: Subscription, facts: Facts, at: datetime) -> datetime:
    """From when the term counts of a price whose first paid period begins at `at` (setting expiry_from)."""
    if facts.settings.expiry_from == "activation":
        return at
    # One that was taken over was created where it ran before.
    return min(at, sub.created_at if sub.sequence == 0 else sub.period_start or at)


def with_term(sub: Subscription, facts: Facts, since: datetime, first: Period | None = None) -> Subscription:
    """`sub` with how long its price lets it last, counted from `since`, where that is not counted yet.

    A number of periods is counted where the `first` of them is known.
    """
    term = facts.price.expires_after
    if term is None or sub.lasts_until is not None:
        return sub
    if not isinstance(term, Periods):
        return evolve(sub, lasts_until=add(since, term, facts.zone))
    if first is None:
        return sub
    end, schedule = first.end, facts.schedule(sub)
    for _ in range(term.count - 1):
        end = schedule.boundary_after(end)
    return evolve(sub, lasts_until=end)


def with_expiry(sub: Subscription, schedule: Schedule, end: datetime) -> Subscription:
    """`sub` with its end: the first boundary on or after what its price lets it last.

    `end` is that of the running period, as it would be in full: what is paid is not cut. To be asked again whenever
    boundaries move.
    """
    if sub.lasts_until is None:
        return sub
    while end < sub.lasts_until:
        end = schedule.boundary_after(end)
    return evolve(sub, expires_at=end)


def without_term(sub: Subscription) -> Subscription:
    """`sub` that no price ends any more, until another term is counted."""
    return sub if sub.lasts_until is None else evolve(sub, lasts_until=None, expires_at=None)
