"""Makes changes of subscriptions: at once, at an instant, or with the renewal (behaviour 6.1)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.cancellation import NOW_INCLUDED, Gives, credits_for, end_on_hold, end_with_base, gives
from billcore.commands.facts import may_try_again
from billcore.commands.receivables import held_credits
from billcore.commands.scope import Scope
from billcore.commands.spans import with_spans
from billcore.commands.target import Asked, before_of, target_of
from billcore.commands.unused import give_back_of, less_given_back
from billcore.commands.waiting import keep_waiting
from billcore.domain.addons import base_is_over
from billcore.domain.bill import make_bill, missing, record
from billcore.domain.change import Change, ChangeStatus, GiveBack, Target, Wish
from billcore.domain.changing import decide_change, switched
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.lifecycle import act, ran_out
from billcore.domain.prepaid import suspend
from billcore.domain.renewal import renew
from billcore.domain.states import Event
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Item, Subscription
from billcore.store import change as changes
from billcore.store import invoice as invoices


def change_step(
    scope: Scope, sub: Subscription, facts: Facts, target: Target, wish: Wish, *, pays_first: bool = False
) -> Step:
    """What a change makes of a subscription and bills now; lines that wait are stored.

    One that `pays_first` leaves what waits for the renewal where it is: it is nothing that its payment decides on.
    """
    if wish.replaces:
        sub = drop_change(scope, sub)
    if pays_first:
        facts, target = evolve(facts, waiting=()), evolve(target, facts=evolve(target.facts, waiting=()))
    if wish.include_trial and not may_try_again(scope, sub):
        wish = evolve(wish, include_trial=False)
    facts, target = with_spans(scope, sub, facts, target, wish)
    running = changes.running(scope.tx, sub.customer_id, sub.id, sub.sequence)
    decision = decide_change(sub, facts, target, wish, running, scope.now, scope.new_id)
    collects = sub.state != "unpaid"
    returned = give_back_of(scope, sub, facts, wish.at, decision.given_back)
    if wish.period == "reset":
        counted = less_given_back(scope, sub, facts, returned.everything)
        if counted is not facts:  # The period that ends has less to show for its minimum.
            decision = decide_change(sub, counted, target, wish, running, scope.now, scope.new_id)
    if wish.period == "reset" and not pays_first:
        # Whatever waited is billed with the period that ends.
        return evolve(decision.step, lines=(*returned.everything, *decision.step.lines), collects=collects)
    waiting = [*returned.waiting, *_layered(scope, decision.waiting, wish.at)]
    keep_waiting(scope, decision.step.subscription, waiting)
    lines = (*returned.lines, *_layered(scope, decision.step.lines, wish.at))
    return evolve(decision.step, lines=lines, collects=collects)


def ask_again(scope: Scope, sub: Subscription, facts: Facts, change: Change) -> Step:
    """The same change once more, when its draft has been paid."""
    asked = Asked.read(change.parameters)
    target = target_of(scope, sub, facts, asked, scope.now)
    scope.writes.put(evolve(change, before=before_of(sub)))
    step = change_step(scope, sub, facts, target, asked.wish(scope.now, facts, target), pays_first=True)
    return evolve(step, usage_until=scope.now + NOW_INCLUDED if step.usage else None)


def note_change(scope: Scope, sub: Subscription, asked: Asked, at: datetime) -> None:
    """Write down a change that came into effect, with what there was before."""
    change = Change(
        scope.new_id("cha"),
        sub.customer_id,
        sub.id,
        "change",
        asked.stored(),
        scope.now,
        scope.actor,
        at,
        "applied",
        scope.now,
        before=before_of(sub),
    )
    scope.writes.add(change)
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.changed", sub.id)


def plan_change(scope: Scope, sub: Subscription, asked: Asked, at: datetime | None) -> Subscription:
    """Keep a change for an instant, or for the renewal (None); one that waited before is replaced."""
    drop_change(scope, sub)
    change = Change(scope.new_id("cha"), sub.customer_id, sub.id, "change", asked.stored(), scope.now, scope.actor, at)
    scope.writes.add(change)
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.change_scheduled", sub.id)
    after = planned(evolve(sub, change_id=change.id, change_at=at))
    scope.writes.put(after)
    return after


def drop_change(scope: Scope, sub: Subscription, status: ChangeStatus = "dropped") -> Subscription:
    """The subscription without the change that waits for it, if there is one."""
    if sub.change_id is None:
        return sub
    change = changes.get(scope.tx, sub.change_id)
    scope.writes.put(evolve(change, status=status, decided_at=scope.now))
    return planned(evolve(sub, change_id=None, change_at=None))


def act_at(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> Step:
    """What the next action of `sub` makes of it at `at`: with a change that waited, and what it gives back."""
    assert sub.next_action is not None
    over, due = base_is_over(sub, facts), sub.next_action_at or at
    if sub.next_action == "resume" and (over or ran_out(sub, due)):
        return end_on_hold(scope, sub, facts, due, "resume_date_reached")
    if over:
        return end_with_base(scope, sub, facts, at)
    if sub.next_action == "change":
        return _planned_change(scope, sub, facts)
    waits = sub.change_id is not None and sub.change_at is None and sub.next_action in ("renew", "trial_end")
    if waits and (sub.period_end is None or sub.period_end <= due):
        if sub.collection == "prepaid" and _is_short(scope, sub, facts, due, at):
            event: Event = "trial_ran_out" if sub.state == "trialing" else "renewal_due"
            return suspend(sub, event, at, facts.actor, scope.new_id)
        return _change_with_renewal(scope, sub, facts, due, at)
    what: Gives = "none"
    if sub.next_action == "cancel":
        what = gives(sub.cancel_credit or "none", sub.cancel_refund or "none")
    elif sub.next_action == "expire" and sub.ends_at == sub.next_action_at:
        # A term ends exactly where it says: what was billed beyond it is given back (behaviour 5.2).
        what = "credit_unused"
    if what == "none":
        return act(sub, sub.next_action, facts, at, scope.new_id)
    credits = credits_for(scope, sub, facts, sub.next_action_at or at, what)
    if what != "refund_all":
        facts = less_given_back(scope, sub, facts, credits)
    step = act(sub, sub.next_action, facts, at, scope.new_id)
    return evolve(step, lines=(*step.lines, *credits), refunds=what.startswith("refund"))


def _is_short(scope: Scope, sub: Subscription, facts: Facts, due: datetime, at: datetime) -> bool:
    """Whether a prepaid renewal with the change that waits for it is not covered; nothing of it is kept."""
    step = _change_with_renewal(scope.aside(), sub, facts, due, at)
    bill = make_bill([step], scope.customer(sub.customer_id), scope.site, at, scope.new_id)
    return missing(bill, held_credits(scope, sub.customer_id, sub.currency), scope.settings, at) > 0


def _planned_change(scope: Scope, sub: Subscription, facts: Facts) -> Step:
    """A change whose instant has come, as if it was asked for then."""
    assert sub.change_id is not None and sub.change_at is not None
    change = changes.get(scope.tx, sub.change_id)
    asked = Asked.read(change.parameters)
    target = target_of(scope, sub, facts, asked, sub.change_at, waited=True)
    free = evolve(sub, change_id=None, change_at=None)
    wish = asked.wish(sub.change_at, facts, target)
    if target.facts.price.every != facts.price.every:  # Another change came before it: the dates cannot stay now.
        wish = evolve(wish, period="reset")
    step = change_step(scope, free, facts, target, wish)
    _done(scope, sub, change, sub.change_at)
    return evolve(step, before=sub)


def _change_with_renewal(scope: Scope, sub: Subscription, facts: Facts, due: datetime, at: datetime) -> Step:
    """The ending period is closed at its own price, then the change applies, then the new period begins."""
    assert sub.change_id is not None
    change = changes.get(scope.tx, sub.change_id)
    asked = Asked.read(change.parameters)
    target = target_of(scope, sub, facts, asked, due, waited=True)
    if sub.next_action == "trial_end":
        after = evolve(switched(sub, target, due), change_id=None, priced_from=None)
        step = evolve(act(after, "trial_end", target.facts, at, scope.new_id), before=sub)
    else:

        def apply(ending: Subscription) -> tuple[Subscription, Facts]:
            entered = evolve(switched(ending, target, due), change_id=None, changed_at=None)
            known = {item.id for item in sub.items}
            # What is added begins its own interval with this renewal.
            items = (
                item if item.id in known or item.period_end is None else _from(item, due) for item in entered.items
            )
            return evolve(entered, items=tuple(items)), target.facts

        step = renew(sub, facts, due, at, scope.new_id, apply)
        ended = {one.after.id for one in target.items if one.after.ended_at is not None}
        if target.facts.price.every != facts.price.every:  # Own intervals begin anew too.
            ended |= {item.id for item in sub.items if item.period_end is not None and item.period_end > due}
        over = dict.fromkeys(sorted(ended), GiveBack("share"))
        step = evolve(step, lines=(*step.lines, *give_back_of(scope, sub, facts, due, over).everything))
    _done(scope, sub, change, due)
    return step


def _from(item: Item, due: datetime) -> Item:
    return evolve(item, period_start=due, period_end=due)


def _done(scope: Scope, sub: Subscription, change: Change, at: datetime) -> None:
    scope.writes.put(evolve(change, at=at, status="applied", decided_at=scope.now, before=before_of(sub)))
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.changed", sub.id)


def _layered(scope: Scope, lines: Sequence[DraftLine], at: datetime) -> list[DraftLine]:
    """Lines for time that is covered already get a layer above it (behaviour 6.3)."""
    made = []
    for line in lines:
        if line.layer and line.item_id is not None:
            layer = 1 + invoices.highest_layer(scope.tx, line.item_id, at)
            made.append(evolve(line, layer=layer))
        else:
            made.append(line)
    return made
