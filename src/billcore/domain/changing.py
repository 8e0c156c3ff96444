"""Decides changes of what is subscribed: at once with the dates kept, with a new period, or in a trial (6.1, 6.3)."""

from datetime import datetime

from billcore.domain.change import Decision, GiveBack, Target, Wish
from billcore.domain.charges import product_line
from billcore.domain.component_change import ChangeBill, ComponentChanges, rises
from billcore.domain.expiry import with_expiry, with_term, without_term
from billcore.domain.facts import Facts
from billcore.domain.invoice import Renewal
from billcore.domain.own_interval import afresh
from billcore.domain.periods import Period
from billcore.domain.renewal import begin, begin_trial, closing_lines, extension, trial_end
from billcore.domain.span import begun_anew, billed_from, ended, price_span, time_left
from billcore.domain.states import BILLING
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import NewId, evolve


def decide_change(
    sub: Subscription, facts: Facts, target: Target, wish: Wish, running: Renewal | None, now: datetime, new_id: NewId
) -> Decision:
    """What a change at `wish.at` (now, or before: back-dated) makes of a subscription, and what it bills.

    `facts` are those until then, `target` what holds from then on. `running` is the row of the billing that took the
    subscription into its period. Raises nothing: what cannot be was refused before.
    """
    if sub.anchor is None or sub.state == "trialing":
        return _in_trial(sub, target, wish)
    if wish.period == "reset":
        return _with_new_period(sub, facts, target, wish, running, now, new_id)
    return _with_dates_kept(sub, facts, target, wish)


def switched(sub: Subscription, target: Target, at: datetime) -> Subscription:
    """The subscription with what the target says; phases of a new price count from `at` (behaviour 4.4)."""
    changed_items = {change.after.id: change.after for change in target.items}
    items = tuple(changed_items.pop(item.id, item) for item in sub.items) + tuple(changed_items.values())
    after = evolve(sub, price_id=target.facts.price.id, quantity=target.quantity, items=items)
    if after.price_id == sub.price_id:
        return after
    # An end that the old price set goes with it.
    return without_term(evolve(after, priced_from=at))


def _in_trial(sub: Subscription, target: Target, wish: Wish) -> Decision:
    """Product and components switch, nothing is charged or credited; the trial's end stays, or the new one starts."""
    after = switched(sub, target, wish.at)
    if after.priced_from is not None:
        after = evolve(after, priced_from=None)
    until = trial_end(target.facts, wish.at) if wish.include_trial else None
    if until is not None:
        after = evolve(after, trial_until=until, period_end=until)
    return Decision(Step(planned(after), sub, "change"))


def _with_dates_kept(sub: Subscription, facts: Facts, target: Target, wish: Wish) -> Decision:
    """The unused rest of the old is given back and the rest of the period charged at the new, as each mode says."""
    bill = ChangeBill()
    after = switched(sub, target, wish.at)
    if after.price_id != sub.price_id or after.quantity != sub.quantity:
        after = _product_kept(sub, after, facts, target, wish, bill)
    up = rises(sub, facts, target, wish.at)
    components = ComponentChanges(sub, after, facts, target, wish, up)
    for change in target.items:
        after = components.decide(change, after, bill)
    if after.price_id != sub.price_id:
        assert after.period_start is not None and after.period_end is not None
        running = Period(after.period_start, after.period_end)
        after = with_term(after, target.facts, wish.at, running)
        after = with_expiry(after, target.facts.schedule(after), running.end)
    step = Step(planned(after), sub, "change", tuple(bill.lines))
    return Decision(step, bill.given_back, tuple(bill.waiting))


def _product_kept(
    sub: Subscription, after: Subscription, facts: Facts, target: Target, wish: Wish, bill: ChangeBill
) -> Subscription:
    """The product's part of a change that keeps the dates: prorated, or from the next period on."""
    assert sub.period_start is not None and sub.period_end is not None
    waits = (wish.invoice_at or facts.settings.invoice_at) == "renewal"
    arrears = facts.price.bill == "arrears"
    begun = billed_from(sub.arrears_from or sub.period_start, sub.period_start, sub.free_until, sub.changed_at)
    prorated = (wish.proration or "prorated") == "prorated"
    # What was used at the old price in arrears is billed at the period's end, as it would have been.
    until = max(wish.at, sub.period_start) if prorated else sub.period_end
    if arrears and begun < until:
        bill.wait([product_line(sub, facts, Period(begun, until), price_span(sub))])
    if not prorated:
        return evolve(after, changed_at=sub.period_end)
    bill.given_back[sub.id] = GiveBack("share", waits=waits)
    pieces = time_left(sub, facts, wish.at)
    if target.facts.price.bill == "arrears":
        pieces = [(piece, span) for piece, span in pieces if piece.end <= sub.period_start]
    bill.charge([product_line(after, target.facts, piece, span) for piece, span in pieces], waits=waits)
    return evolve(after, changed_at=until)


def _with_new_period(
    sub: Subscription,
    facts: Facts,
    target: Target,
    wish: Wish,
    running: Renewal | None,
    now: datetime,
    new_id: NewId,
) -> Decision:
    """The running period ends at the change: what is in arrears is billed, a new period or a trial begins."""
    owed, usage = closing_lines(sub, facts, wish.at)
    assert sub.period_end is not None
    if sub.period_end < wish.at and _ran_on(sub):  # Its renewal is late: until now it ran as it was.
        owed += extension(sub, facts, Period(sub.period_end, wish.at))
    prorated = (wish.proration or "prorated") == "prorated"
    items = (sub.id, *(item.id for item in sub.items))
    given_back = dict.fromkeys(items, GiveBack("share" if prorated else "nothing"))
    day = sub.billing_day if wish.billing_day is None else wish.billing_day or None
    fresh = evolve(
        switched(sub, target, wish.at), billing_day=day, first_charge="prorated", changed_at=None, free_until=None
    )
    fresh = evolve(fresh, items=tuple(afresh(item) for item in fresh.items))
    until = trial_end(target.facts, wish.at) if wish.include_trial else None
    if until is not None:
        step = _into_trial(sub, evolve(fresh, trial_until=until), target, wish, running)
        step = evolve(step, changes=changed(sub, step.subscription, "change", now, facts.actor, new_id))
    else:
        step = _into_period(sub, fresh, target, wish, running, new_id)
    lines = (*owed, *facts.waiting, *step.lines)
    return Decision(evolve(step, lines=lines, usage=usage, usage_until=wish.at), given_back)


def _ran_on(sub: Subscription) -> bool:
    """Whether time behind its period is billed sooner or later: where it is suspended, when there is money for it."""
    return sub.state in BILLING or (sub.state == "suspended" and sub.previous_state is None)


def _into_trial(sub: Subscription, fresh: Subscription, target: Target, wish: Wish, running: Renewal | None) -> Step:
    """The new price's trial begins; the row of the period that ran ends there."""
    trial = evolve(fresh, anchor=None, priced_from=None, span_start=None, span_end=None)
    after, lines = begin_trial(trial, target.facts, wish.at, fee=False, counts=trial.price_id != sub.price_id)
    begun = running is not None and wish.at > running.period_start
    cut = ended(running, wish.at, price_span(sub)) if running is not None and begun else None
    return Step(planned(after), sub, "change", tuple(lines), cut=cut)


def _into_period(
    sub: Subscription, fresh: Subscription, target: Target, wish: Wish, running: Renewal | None, new_id: NewId
) -> Step:
    """A new period begins. At the very start of the running one its row and number are taken over: it never ran."""
    again = running is not None and wish.at == sub.period_start
    if again:
        fresh = evolve(fresh, sequence=sub.sequence - 1)
    # The term of another price counts from the change.
    since = wish.at if fresh.price_id != sub.price_id else None
    begun, lines, renewal = begin(
        fresh, target.facts, wish.at, new_id, fee=False, again=True, anchored=wish.anchored, since=since
    )
    if wish.proration == "none":
        lines = []
        begun, renewal = evolve(begun, free_until=begun.period_end), evolve(renewal, free=True)
    after = planned(evolve(begun, state=sub.state, previous_state=sub.previous_state))
    if running is None:
        return Step(after, sub, "change", tuple(lines), renewal)
    if again:
        return Step(after, sub, "change", tuple(lines), cut=begun_anew(running, renewal))
    return Step(after, sub, "change", tuple(lines), renewal, cut=ended(running, wish.at, price_span(sub)))
