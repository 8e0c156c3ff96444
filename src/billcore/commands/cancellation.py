"""Ending subscriptions by hand or unpaid: when, and what is owed and given back with it (behaviour 5.2, 6.2)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from billcore.commands.bill import bill_steps, grouped, number, number_notes
from billcore.commands.facts import facts_for, load_facts
from billcore.commands.refund_billing import bill_refunding
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now
from billcore.commands.unused import give_back, give_back_period, less_given_back
from billcore.domain.customer import Customer
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.lifecycle import close, end_after_hold, ran_out, resume
from billcore.domain.states import BILLING, Event, State, check
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.errors import InvalidValue
from billcore.store import customer as customers
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

NOW_INCLUDED = timedelta(seconds=1)
"""A command comes after the usage recorded at its own instant (behaviour 2.5)."""


Gives = Literal["none", "credit_unused", "refund_unused", "refund_all"]
"""What a cancellation gives back: unused time as credit or to the payments, or all that the running period billed."""


def gives(credit: str, refund: str) -> Gives:
    """What `credit` and `refund` together mean; raises InvalidValue where both are asked for."""
    if credit != "none" and refund != "none":
        raise InvalidValue(
            "Unused time is given back as credit or refunded, not both.", remedy="Leave one out.", parameter="refund"
        )
    if credit == "unused":
        return "credit_unused"
    return {"unused": "refund_unused", "all": "refund_all"}.get(refund, "none")  # type: ignore[return-value]  # choices


def credits_for(scope: Scope, sub: Subscription, facts: Facts, at: datetime, what: Gives) -> tuple[DraftLine, ...]:
    """The credit lines of a cancellation at an instant."""
    if what == "none":
        return ()
    return (give_back_period if what == "refund_all" else give_back)(scope, sub, facts, at)


def end_on_hold(scope: Scope, sub: Subscription, facts: Facts, at: datetime, event: Event) -> Step:
    """The end of a subscription with its hold; paid time that was to be appended comes back as credit."""
    appended = sub.unused == "extend" and sub.held_at is not None
    rest = give_back(scope, sub, facts, sub.held_at) if appended and sub.held_at is not None else ()
    step = end_after_hold(sub, facts, at, scope.new_id, event)
    return evolve(step, lines=(*step.lines, *rest))


def resumed(scope: Scope, sub: Subscription, payer: Customer, *, keep: bool, over: bool) -> Step:
    """What the end of a hold makes of a subscription now; with `over` it ends with its base (behaviour 5.2, 6.6)."""
    if not over and not ran_out(sub, scope.now):
        return resume(sub, facts_for(scope, sub, payer, scope.now), scope.now, keep, scope.new_id)
    until = scope.now + NOW_INCLUDED
    step = end_on_hold(scope, sub, facts_for(scope, sub, payer, until), scope.now, "resume")
    return evolve(step, usage_until=until)


def cancel_now(
    scope: Scope, subs: Sequence[Subscription], what: Gives, reason: str | None, effective_at: datetime | None = None
) -> None:
    """End subscriptions now and bill what is owed and given back on one document (behaviour 5.2, 6.2).

    `effective_at` lies in the past: all that was billed for the time after it is given back (behaviour 3.6).
    """
    payers = {sub.customer_id: scope.customer(sub.customer_id) for sub in subs}
    steps = [_ended(scope, sub, payers[sub.customer_id], what, reason, effective_at) for sub in subs]
    if not what.startswith("refund"):
        bill_all_now(scope, steps)
        return
    now = {sub.id: scope.now for sub in subs}
    for group in grouped(scope, [(step, scope.now) for step in steps], payers, now):
        bill_refunding(scope, group, payers[group[0].subscription.customer_id])


def _ended(
    scope: Scope, sub: Subscription, payer: Customer, what: Gives, reason: str | None, effective_at: datetime | None
) -> Step:
    check(sub.state, "cancel", sub.reference)
    ended_at, until = scope.now, scope.now + NOW_INCLUDED
    if effective_at is not None:
        ended_at = max(effective_at, began_at(sub))  # An add-on may have begun later than its base ends.
        until = max(ended_at, sub.period_start or ended_at)
        what = "credit_unused" if what == "none" else what
    facts = facts_for(scope, sub, payer, until)
    credits = credits_for(scope, sub, facts, ended_at, what)
    if what != "refund_all":
        facts = less_given_back(scope, sub, facts, credits)
    asked = evolve(sub, cancel_requested_at=scope.now, cancel_reason=reason)
    step = close(asked, "canceled", "cancel", ended_at, scope.now, facts, scope.new_id, credits)
    return evolve(step, before=sub, usage_until=until)


def end_with_base(scope: Scope, addon: Subscription, facts: Facts, at: datetime) -> Step:
    """The end of an add-on when its base has ended, or ends: it gives back what its base does (behaviour 6.6)."""
    base = facts.base
    assert base is not None and base.access_until is not None
    expires = base.state == "expired" if base.ended_at is not None else base.cancel_at != base.access_until
    # A term ends exactly where it says: what was billed beyond it is given back (behaviour 5.2).
    what = "credit_unused" if expires else gives(base.cancel_credit or "none", base.cancel_refund or "none")
    credits = credits_for(scope, addon, facts, base.access_until, what)
    if what != "refund_all":
        facts = less_given_back(scope, addon, facts, credits)
    expires = expires and addon.state in BILLING
    event: Event = "end_reached" if expires else "cancel_date_reached"
    target: State = "expired" if expires else "canceled"
    step = close(addon, target, event, base.access_until, at, facts, scope.new_id, credits)
    return evolve(step, refunds=what.startswith("refund"))


def end_unpaid(
    scope: Scope, subs: Sequence[Subscription], event: Literal["payment_declined", "dunning_ended"], at: datetime
) -> None:
    """End subscriptions that were not paid for, with their add-ons, at `at`: what they owe by then is billed once."""
    if not subs:  # Nearly always.
        return
    scope.now = at
    own = {sub.id for sub in subs}
    addons = [
        evolve(addon, cancel_requested_at=at)
        for addon in subscriptions.addons(scope.tx, list(own), scope.catalog.coupons)
        if addon.ended_at is None and addon.id not in own
    ]
    ending = [*subs, *addons]
    instants = {sub.id: at for sub in ending}
    owners = customers.by_ids(scope.tx, {sub.customer_id for sub in ending})
    facts = load_facts(scope, ending, instants, owners)
    steps = [
        (close(sub, "canceled", event if sub.id in own else "cancel", at, at, facts[sub.id], scope.new_id), at)
        for sub in ending
    ]
    number(scope, bill_steps(scope, steps, owners, payments.open_credits(scope.tx, owners), instants))
    number_notes(scope)


def cancel_dates(
    sub: Subscription, when: str | datetime | object, effective_at: datetime | None, scope: Scope
) -> tuple[datetime | None, datetime | None]:
    """The instants of a planned cancellation and of a back-dated one; both None when it is to happen as of now.

    Raises InvalidValue for two dates, and for one before the subscription began.
    """
    if effective_at is None or effective_at == scope.now:
        return cancel_at(sub, when, scope), None
    if when != "now":
        raise InvalidValue(
            "A cancellation has one date.", remedy="Leave when or effective_at out.", parameter="effective_at"
        )
    if effective_at > scope.now:
        return cancel_at(sub, effective_at, scope), None
    began = began_at(sub)
    if effective_at < began:
        raise InvalidValue(
            f"{effective_at:%Y-%m-%d %H:%M} UTC lies before subscription {sub.reference} began at "
            f"{began:%Y-%m-%d %H:%M}.",
            remedy="Name a later instant.",
            parameter="effective_at",
        )
    return None, effective_at


def began_at(sub: Subscription) -> datetime:
    """When a subscription began, in its trial or with its first period, or is to begin."""
    starts = sub.starts_at or sub.created_at
    return starts if sub.activated_at is None else min(starts, sub.activated_at)


def cancel_at(sub: Subscription, when: str | datetime | object, scope: Scope) -> datetime | None:
    """The instant of a planned cancellation; None when it is to happen at once."""
    check(sub.state, "schedule_cancel", sub.reference)
    if isinstance(when, datetime):
        if when <= scope.now:
            raise InvalidValue(
                f"{when:%Y-%m-%d %H:%M} UTC is not in the future.",
                remedy='Cancel "now", or name a later date.',
                parameter="when",
            )
        return when
    if when == "period_end" and sub.period_end is not None and sub.period_end > scope.now:
        return sub.period_end
    return None
