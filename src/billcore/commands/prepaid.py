"""Subscriptions paid in advance: what the money covers, suspending and waking, top-ups (behaviour 9.8)."""

from collections.abc import Sequence
from datetime import datetime

from billcore.commands.addons import addon_steps
from billcore.commands.attempts import attempt, usable_method
from billcore.commands.cancellation import NOW_INCLUDED
from billcore.commands.changing import act_at
from billcore.commands.facts import facts_for, load_facts
from billcore.commands.receivables import held_credits
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now, bill_now
from billcore.domain.addons import base_is_over, begins_anew
from billcore.domain.bill import make_bill, missing, put_subscription, record, record_change
from billcore.domain.charges import ONE
from billcore.domain.compact import compact
from billcore.domain.credit import Credit, usable
from billcore.domain.invoice import Invoice, Line
from billcore.domain.payment import UNREACHABLE_HOURS, Payment
from billcore.domain.periods import Duration, add
from billcore.domain.prepaid import awake, suspend, unbilled_usage
from billcore.domain.step import Step, changed
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions


def usage_came(scope: Scope, subscription_id: str) -> None:
    """Compare at once after usage: what is not covered suspends, or else wakes again, and what is low is topped up."""
    scope.flush()
    sub = scope.subscription(subscription_id)
    mine = _prepaid(scope, sub.customer_id, sub.currency)
    if _left(scope, mine, sub.customer_id, sub.currency) >= 0:  # Less was used than it seemed.
        _wake_all(scope, mine)
    elif sub.state == "active":
        step = suspend(sub, "balance_short", scope.now, scope.actor, scope.new_id)
        _write(scope, step)
        scope.flush()
    top_up_where_low(scope, sub.customer_id, sub.currency)


def money_came(scope: Scope, customer_id: str, currency: str) -> None:
    """Let suspended subscriptions try again, in order of creation, and see whether what was low is low no more."""
    if not _prepaid(scope, customer_id, currency):
        return
    scope.flush()
    _wake_all(scope, _prepaid(scope, customer_id, currency))
    top_up_where_low(scope, customer_id, currency)


def _wake_all(scope: Scope, subs: Sequence[Subscription]) -> None:
    for sub in subs:
        if sub.state == "suspended":
            _wake(scope, sub.id)


def _wake(scope: Scope, subscription_id: str) -> None:
    """Bill one by one what a suspended subscription has missed, as far as the money reaches."""
    while True:
        before = scope.subscription(subscription_id)
        sub = awake(before, scope.now) if before.state == "suspended" else before
        if sub.next_action in ("cancel", "expire"):
            return
        if sub.next_action_at is None or sub.next_action_at > scope.now:
            if before.state == "suspended" and _usage_is_covered(scope, sub):
                _write(scope, _woken(scope, before, Step(sub, before)))
                scope.flush()
            return
        customer = scope.customer(sub.customer_id)
        facts = facts_for(scope, sub, customer, sub.next_action_at)
        if base_is_over(sub, facts):
            return
        step = act_at(scope, sub, facts, scope.now)
        if step.subscription.state == "suspended":  # With the change that waited for it, it is not covered.
            if before.state != "suspended":
                _write(scope, step)
                scope.flush()
            return
        bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
        if missing(bill, held_credits(scope, customer.id, sub.currency), scope.settings, scope.now):
            if before.state != "suspended" and step.short is not None:
                _write(scope, step.short)
                scope.flush()
            return
        bill_now(scope, _woken(scope, before, step) if before.state == "suspended" else step, customer)
        if begins_anew(step):
            bill_all_now(scope, addon_steps(scope, step, sub.next_action_at))


def _woken(scope: Scope, before: Subscription, step: Step) -> Step:
    after = step.subscription
    changes = changed(before, after, "balance_topped_up", scope.now, scope.actor, scope.new_id)
    return evolve(step, before=before, changes=changes, short=None)


def _usage_is_covered(scope: Scope, sub: Subscription) -> bool:
    others = [one for one in _prepaid(scope, sub.customer_id, sub.currency) if one.id != sub.id]
    return _left(scope, [*others, sub], sub.customer_id, sub.currency) >= 0


def _write(scope: Scope, step: Step) -> None:
    put_subscription(scope.writes, step.subscription, step.before)
    for change in step.changes:
        record_change(scope.writes, scope.new_id, change)


def _prepaid(scope: Scope, customer_id: str, currency: str) -> list[Subscription]:
    found = subscriptions.prepaid(scope.tx, [customer_id], scope.catalog.coupons)
    return [sub for sub in found if sub.currency == currency]


def _left(scope: Scope, subs: Sequence[Subscription], customer_id: str, currency: str) -> int:
    """What the customer's money comes to when all usage so far is paid of it, in minor units; negative when short."""
    mine = usable(held_credits(scope, customer_id, currency), scope.settings, due=True, prepaid=True)
    there = sum(one.remaining for one in mine if one.expires_at is None or one.expires_at > scope.now)
    running = [sub for sub in subs if sub.items and sub.sequence > 0 and sub.state not in ("pending", "on_hold")]
    if not running:
        return there
    customer = scope.customer(customer_id)
    until = scope.now + NOW_INCLUDED
    facts = load_facts(scope, running, {sub.id: until for sub in running}, {customer_id: customer})
    for sub in running:
        lines = tuple(unbilled_usage(sub, facts[sub.id], until))
        bill = make_bill([Step(sub, sub, lines=lines)], customer, scope.site, scope.now, scope.new_id)
        there -= bill.invoice.total if bill.invoice is not None else 0
    return there


def not_used_up(scope: Scope, customer_id: str, currency: str, held: Sequence[Credit]) -> int:
    """What is left of these credits when the unbilled usage of prepaid subscriptions is paid, in minor units."""
    there = sum(one.remaining for one in held)
    subs = _prepaid(scope, customer_id, currency)
    if not subs or not usable(held, scope.settings, due=True, prepaid=True):
        return there
    return min(there, max(0, _left(scope, subs, customer_id, currency)))


def top_up_where_low(scope: Scope, customer_id: str, currency: str) -> None:
    """Plan a charge of the default method where the prepayment fell below what a subscription wants.

    Once for each fall: the document of the charge is remembered until the prepayment is above again.
    """
    subs = _prepaid(scope, customer_id, currency)
    if all(sub.top_up_below is None and sub.top_up_id is None for sub in subs):
        return
    left = _left(scope, subs, customer_id, currency)
    under_way = invoices.has_top_up(scope.tx, customer_id, currency)
    for sub in subs:
        if sub.top_up_below is None or sub.top_up_amount is None or left >= sub.top_up_below:
            if sub.top_up_id is not None and not under_way:
                scope.writes.put(evolve(sub, top_up_id=None))
        elif sub.top_up_id is None and not under_way and sub.state not in ("pending", "awaiting_signup"):
            scope.writes.put(evolve(sub, top_up_id=_top_up(scope, sub, sub.top_up_amount)))
            under_way = True
    scope.flush()


def _top_up(scope: Scope, sub: Subscription, amount: int) -> str:
    """Store the document of a top-up with its attempt, which a worker makes; returns its id.

    The document is never issued: it holds the attempts, their keys and what reserves it, like the draft of a signup.
    """
    invoice_id = scope.new_id("inv")
    owner, currency = sub.customer_id, sub.currency
    line = _line(scope, sub, invoice_id, amount)
    draft = Invoice(
        invoice_id,
        owner,
        sub.id,
        "top_up",
        currency,
        "draft",
        "prepaid",
        scope.now,
        amount,
        0,
        0,
        0,
        amount,
        lines=(line,),
    )
    made = _attempt(scope, draft, sub, scope.now)
    if made is None:
        _told(scope, sub, "no payment method")
        draft = evolve(draft, discarded_at=scope.now)
    else:
        payment, draft = made
        scope.writes.add(payment)
    scope.writes.add(draft, line)
    return invoice_id


def _line(scope: Scope, sub: Subscription, invoice_id: str, amount: int) -> Line:
    return Line(
        scope.new_id("lin"),
        invoice_id,
        None,
        sub.customer_id,
        sub.id,
        None,
        "top_up",
        None,
        None,
        "Top-up",
        None,
        None,
        ONE,
        amount,
        0,
        0,
        0,
        compact({"top_up": amount}),
    )


def _attempt(scope: Scope, draft: Invoice, sub: Subscription, at: datetime) -> tuple[Payment, Invoice] | None:
    customer = scope.customer(sub.customer_id)
    methods = customers.methods(scope.tx, [customer.id]).get(customer.id, [])
    method = usable_method(methods, customer, sub.payment_method_id)
    if method is None:
        return None
    payment, reserved = attempt(scope, draft, method, "top_up", draft.total)
    return evolve(payment, sends=0, lease_owner=None, lease_until=None, next_check_at=at), reserved


def top_up_settled(scope: Scope, payment: Payment, draft: Invoice) -> None:
    """What follows when the attempt of a top-up is over: money, another attempt on what was not sent, or news."""
    if payment.status == "succeeded":
        money_came(scope, payment.customer_id, payment.currency)
    elif payment.status in ("failed", "canceled"):
        sub = scope.subscription(draft.subscription_id or "")
        if draft.discarded_at is None and draft.reserved_by is None:
            hours = UNREACHABLE_HOURS[min(payment.attempt, len(UNREACHABLE_HOURS)) - 1]
            again = _attempt(scope, draft, sub, add(scope.now, Duration(hours, "hour"), "UTC"))
            if again is not None:
                scope.writes.add(again[0])
                scope.writes.put(again[1])
                return
            scope.writes.put(evolve(draft, discarded_at=scope.now))
        _told(scope, sub, payment.decline_code or payment.message or payment.status)


def _told(scope: Scope, sub: Subscription, reason: str) -> None:
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.top_up_failed", sub.id, reason=reason)
