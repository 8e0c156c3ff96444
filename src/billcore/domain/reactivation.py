"""Bringing back what has ended, or runs unpaid: with a new period, or in the old one while it lasts (behaviour 5.2)."""

from collections.abc import Collection
from datetime import datetime

from billcore.domain.charges import advance_items, item_line, product_line
from billcore.domain.draft import DraftLine
from billcore.domain.expiry import without_term
from billcore.domain.facts import Facts
from billcore.domain.invoice import Renewal
from billcore.domain.periods import Period
from billcore.domain.renewal import begin, begin_trial, closing_lines, trial_end, wake_items
from billcore.domain.span import begun_anew, ended, price_span
from billcore.domain.states import check
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import NewId, evolve
from billcore.errors import InvalidValue


def reactivate(
    sub: Subscription,
    facts: Facts,
    at: datetime,
    new_id: NewId,
    *,
    keep: bool,
    covered: Collection[str] = (),
    include_trial: bool = False,
    ends_at: datetime | None = None,
    running: Renewal | None = None,
) -> Step:
    """What a return at `at` makes of a subscription and bills.

    `keep` stays in the old period while that lasts: only what is not `covered` (item ids) of its rest is charged.
    `running` is the row of the old period where it still runs (unpaid). Raises transition_not_allowed, invalid_value
    for a term that is over.
    """
    check(sub.state, "reactivate", sub.reference)
    back = _revived(sub, at, ends_at)
    # A term that is over counts anew; one that goes on, or was given up for good, is what it was.
    anew = sub.sequence == 0 or (sub.lasts_until is not None and back.lasts_until is None)
    inside = keep and sub.period_end is not None and sub.anchor is not None and at < sub.period_end
    owed, usage = _owed(sub, facts, at) if sub.ended_at is None and (include_trial or not inside) else ([], ())
    until = trial_end(facts, at) if include_trial else None
    if until is not None:
        trial = evolve(back, trial_until=until, anchor=None, span_start=None, span_end=None)
        after, lines = begin_trial(trial, facts, at, fee=False, counts=anew)
        step = _step(sub, after, at, facts, new_id, [*owed, *lines], None, _cut(sub, running, at))
        return evolve(step, usage=usage, usage_until=at)
    if inside:
        after, lines = _in_old_period(sub, back, facts, at, covered)
        return _step(sub, after, at, facts, new_id, lines, None, None)
    again = running is not None and at == sub.period_start
    fresh = evolve(
        back,
        first_charge="prorated",
        free_until=None,
        changed_at=None,
        sequence=sub.sequence - 1 if again else sub.sequence,
    )
    since = at if anew else None
    after, lines, renewal = begin(fresh, facts, at, new_id, fee=False, again=sub.sequence > 0, since=since)
    cut = _cut(sub, running, at)
    if again and running is not None:
        cut = begun_anew(running, renewal)
    step = _step(sub, after, at, facts, new_id, [*owed, *lines], None if again else renewal, cut)
    return evolve(step, usage=usage, usage_until=at)


def _owed(sub: Subscription, facts: Facts, at: datetime) -> tuple[list[DraftLine], tuple[str, ...]]:
    """What one that ran until now owes of the period that ends, with what waited for its renewal."""
    lines, usage = closing_lines(sub, facts, at)
    return [*lines, *facts.waiting], usage


def _step(
    sub: Subscription,
    after: Subscription,
    at: datetime,
    facts: Facts,
    new_id: NewId,
    lines: list[DraftLine],
    renewal: Renewal | None,
    cut: Renewal | None,
) -> Step:
    after = planned(after)
    changes = changed(sub, after, "reactivate", at, facts.actor, new_id)
    return Step(after, sub, "reactivation", tuple(lines), renewal, changes, cut=cut)


def _cut(sub: Subscription, running: Renewal | None, at: datetime) -> Renewal | None:
    """The row of a period that still ran until now ends with it."""
    if running is None or sub.ended_at is not None or at <= running.period_start:
        return None
    return ended(running, min(at, running.period_end), price_span(sub))


def _revived(sub: Subscription, at: datetime, ends_at: datetime | None) -> Subscription:
    """The subscription as it was before its end; coupons are kept, a term that is over has to be replaced."""
    end = ends_at or sub.ends_at
    if end is not None and end <= at:
        raise InvalidValue(
            f"The term of subscription {sub.reference} ended at {end:%Y-%m-%d %H:%M} UTC.",
            remedy="Give ends_at, the end of the new term.",
            parameter="ends_at",
        )
    expires = sub.expires_at or sub.lasts_until
    return evolve(
        without_term(sub) if expires is not None and expires <= at else sub,
        state="active",
        previous_state=None,
        ends_at=end,
        ended_at=None,
        cancel_at=None,
        cancel_requested_at=None,
        cancel_reason=None,
        cancel_credit=None,
        cancel_refund=None,
        items=tuple(_came_back(item, sub) for item in sub.items),
    )


def _came_back(item: Item, sub: Subscription) -> Item:
    """A component that ended with the subscription."""
    if item.ended_at is None or item.ended_at != sub.ended_at:
        return item
    return evolve(item, ended_at=None, paid_quantity=None)


def _in_old_period(
    sub: Subscription, back: Subscription, facts: Facts, at: datetime, covered: Collection[str]
) -> tuple[Subscription, list[DraftLine]]:
    """The old dates: what was given back of the rest of the period is charged at the price in force."""
    assert back.period_end is not None
    after = back
    lines: list[DraftLine] = []
    if sub.ended_at is not None:  # What is in arrears was billed when it ended; unpaid it has run until now.
        given_back = [item.id for item in back.items if item.id not in covered]
        after, lines = wake_items(evolve(back, arrears_from=at), facts, at, given_back)
    rest, span = Period(at, back.period_end), price_span(back)
    charges: list[DraftLine | None] = []
    if facts.price.bill == "advance" and back.id not in covered:
        charges.append(product_line(after, facts, rest, span))
    charges += [
        item_line(after, item, facts, rest, span) for item in advance_items(after, facts) if item.id not in covered
    ]
    return after, [*(evolve(line, mid_period=True) for line in charges if line is not None), *lines]
