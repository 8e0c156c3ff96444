"""Moving billing dates and terms: what a moved date makes of the running period (behaviour 7.2, 7.4)."""

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from billcore.domain.change import GiveBack
from billcore.domain.expiry import with_expiry
from billcore.domain.facts import Facts
from billcore.domain.instants import to_local, to_utc
from billcore.domain.invoice import Renewal
from billcore.domain.periods import Period, schedule_from_start
from billcore.domain.renewal import extension
from billcore.domain.span import ended, price_span, with_span
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve


@frozen
class Moved:
    """What a moved billing date wants: the step, what is given back by item id, and where the paid time ends now.

    `covered_until` is None where the coverage of the running period stays as it was billed.
    """

    step: Step
    given_back: Mapping[str, GiveBack] = field(factory=dict)
    covered_until: datetime | None = None


def move_billing_date(
    sub: Subscription,
    facts: Facts,
    next_at: datetime | None,
    day: int | None,
    *,
    prorated: bool,
    running: Renewal | None,
) -> Moved:
    """The running period ends at `next_at`, and from there on the billing day is `day`; each may be left out.

    Without proration the real period is what its price covers; with it the extension is charged, the cut given back.
    A trial ends at `next_at` instead.
    """
    if sub.anchor is None or sub.state == "trialing":
        until = next_at or sub.trial_until
        after = evolve(sub, trial_until=until, period_end=until, billing_day=day or sub.billing_day)
        after = _with_terms(after, facts, sub.trial_until, until)
        return Moved(Step(planned(after), sub, "change"))
    assert sub.period_start is not None and sub.period_end is not None
    span, end = price_span(sub), next_at or sub.period_end
    after = evolve(sub, period_end=end)
    if day is not None:
        after = _with_day(after, facts, end, day)
    after = with_expiry(_with_terms(after, facts, sub.period_end, end), facts.schedule(after), end)
    if next_at is None:
        return Moved(Step(planned(with_span(after, span)), sub, "change"))
    if not prorated:
        span = Period(sub.period_start, end)
    after = with_span(after, span)
    cut = ended(running, end, span) if running is not None else None
    if not prorated:
        return Moved(Step(planned(after), sub, "change", cut=cut), covered_until=end)
    lines = extension(after, facts, Period(sub.period_end, end)) if end > sub.period_end else []
    step = Step(planned(after), sub, "change", tuple(lines), cut=cut)
    parts = (sub.id, *(item.id for item in sub.items if item.period_end is None))
    return Moved(step, dict.fromkeys(parts, GiveBack("share")) if end < sub.period_end else {})


def _with_day(sub: Subscription, facts: Facts, start: datetime, day: int) -> Subscription:
    """The subscription with another billing day, whose boundaries begin where its running period ends."""
    every, settings = facts.price.every, facts.settings
    assert every is not None
    schedule = schedule_from_start(start, every, facts.zone, day, settings.billing_time, settings.period_policy)
    return evolve(sub, billing_day=day, anchor=schedule.anchor)


def _with_terms(sub: Subscription, facts: Facts, before: datetime | None, now: datetime | None) -> Subscription:
    """The subscription with its terms moved along with a date, where the setting says so: the price's and its own."""
    if before is None or now is None or not facts.settings.expiry_follows:
        return sub
    by = to_local(now, facts.zone) - to_local(before, facts.zone)  # By the wall clock, as all dates go (2.2).

    def moved(end: datetime | None) -> datetime | None:
        return to_utc(to_local(end, facts.zone) + by) if end is not None else None

    return evolve(sub, lasts_until=moved(sub.lasts_until), ends_at=moved(sub.ends_at))
