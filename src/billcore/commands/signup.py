"""Signing up, starting and activating: the first invoice and, where money is due, its attempt (behaviour 5.1)."""

from collections.abc import Mapping, Sequence

from billcore.commands.attempts import attempt, usable_method
from billcore.commands.bill import bill_steps, net_terms, number, number_notes
from billcore.commands.receivables import held_credits
from billcore.commands.scope import Scope
from billcore.domain.bill import Bill, make_bill, missing, put_subscription, record, record_change, use_coupons
from billcore.domain.credit import draw, usable
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.event import StateChange
from billcore.domain.money import Money
from billcore.domain.receivable import first_renewal, signup_state
from billcore.domain.states import State
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.errors import Refused
from billcore.store import customer as customers
from billcore.store import payment as payments


def sign_up(scope: Scope, step: Step, customer: Customer) -> Subscription:
    """Store a new subscription after its first step: settled at once, or pending with a draft and an attempt."""
    bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
    require_covered(scope, [step], customer)
    due = to_pay_now(scope, bill, step.subscription, customer)
    record(scope.writes, scope.new_id, customer.id, scope.now, "subscription.created", step.subscription.id)
    if due == 0:
        # Billed anew with its issue, so its coupons are not counted down yet.
        return _settled_at_once(scope, step, customer)
    sub = use_coupons(step, bill.used).subscription
    pending = evolve(sub, state="pending", next_action_at=None, next_action=None)
    scope.writes.add(pending, *pending.items, *pending.coupons)
    _change(scope, pending, None, "signup")
    pay_draft(scope, bill, customer, sub, due)
    return pending


def pay_draft(scope: Scope, bill: Bill, customer: Customer, sub: Subscription, due: int) -> None:
    """Store the draft and its attempt; the attempt is made after the commit. Needs a usable method."""
    method = _method(scope, customer, sub)
    assert bill.invoice is not None
    if method is None:
        raise no_method(customer, due, bill.invoice.currency)
    payment, draft = attempt(scope, bill.invoice, method, "signup", due, on_session=True)
    scope.writes.add(draft, *draft.lines, payment)
    scope.sends.append(payment)


def to_pay_now(scope: Scope, bill: Bill, sub: Subscription, customer: Customer) -> int:
    """What an automatic signup has to pay before it is settled, in minor units, after the customer's credits."""
    due = _due_now(scope, bill, sub, customer)
    if due and scope.settings.signup_decline == "past_due" and _method(scope, customer, sub) is None:
        return 0
    return due


def _due_now(scope: Scope, bill: Bill, sub: Subscription, customer: Customer) -> int:
    """What credits leave of a bill that is charged at once."""
    if bill.invoice is None or sub.collection != "automatic" or sub.state == "unpaid" or net_terms(sub, scope) > 0:
        return 0
    credits = payments.open_credits(scope.tx, [customer.id]).get(customer.id, [])
    mine = [credit for credit in usable(credits, scope.settings, due=True) if credit.currency == sub.currency]
    drawn = sum(drawing.amount for drawing in draw(bill.invoice.total, mine, scope.now))
    return bill.invoice.total - drawn


def bill_now(scope: Scope, step: Step, customer: Customer) -> None:
    """Bill one subscription's step at once and plan the collection of what is due."""
    _bill(scope, [step], {customer.id: customer})


def bill_all_now(scope: Scope, steps: Sequence[Step]) -> None:
    """Bill the steps of one command at once, on one document where they may share it (behaviour 6.2, 8.3)."""
    if steps:
        ids = {step.subscription.customer_id for step in steps}
        _bill(scope, steps, {id_: scope.customer(id_) for id_ in sorted(ids)})


def _bill(scope: Scope, steps: Sequence[Step], payers: Mapping[str, Customer]) -> None:
    documents = bill_steps(
        scope,
        [(step, scope.now) for step in steps],
        payers,
        payments.open_credits(scope.tx, payers),
        {step.subscription.id: scope.now for step in steps},
    )
    number(scope, documents)
    number_notes(scope)
    scope.collects.update(invoice.customer_id for invoice in documents if invoice.collect_at is not None)
    # What comes next draws on what this left of the customer's credits.
    scope.flush()


def no_method(customer: Customer, due: int, currency: str) -> Refused:
    """The refusal of a signup that has something due and nothing to charge."""
    return Refused(
        "payment_declined",
        f"Customer {customer.reference} has no payment method to charge {due} minor units of {currency} to.",
        remedy="Add one (payment_methods.add), or sign up with collection=remittance.",
        customer=customer.reference,
    )


def _settled_at_once(scope: Scope, step: Step, customer: Customer) -> Subscription:
    """Nothing to pay first: the subscription starts and its invoice, if there is one, is issued."""
    sub = step.subscription
    target = "awaiting_signup" if sub.state == "awaiting_signup" else signup_state(sub)
    started = planned(evolve(sub, state=target))
    scope.writes.add(started, *started.items, *started.coupons)
    _change(scope, started, "pending", "signup")
    renewal = first_renewal(started, scope.now, None, scope.new_id)
    if not step.lines:
        if renewal is not None:
            scope.writes.add(renewal)
        return started
    ready = evolve(step, subscription=started, before=started, renewal=renewal, changes=())
    bill_now(scope, ready, customer)
    return started


def _change(scope: Scope, sub: Subscription, previous: State | None, cause: str) -> None:
    change = StateChange(
        scope.new_id("chg"), sub.customer_id, sub.id, previous, sub.state, scope.now, cause, scope.actor
    )
    record_change(scope.writes, scope.new_id, change)


def _method(scope: Scope, customer: Customer, sub: Subscription) -> PaymentMethod | None:
    return usable_method(
        customers.methods(scope.tx, [customer.id]).get(customer.id, []), customer, sub.payment_method_id
    )


def require_covered(scope: Scope, steps: Sequence[Step], customer: Customer) -> None:
    """Refuse to begin what the money of a prepaid customer does not pay: insufficient_credit with what is missing."""
    prepaid = [step for step in steps if step.subscription.collection == "prepaid"]
    if not prepaid:
        return
    sub = prepaid[0].subscription
    bill = make_bill(prepaid, customer, scope.site, scope.now, scope.new_id)
    lacking = missing(bill, held_credits(scope, customer.id, sub.currency), scope.settings, scope.now)
    if lacking:
        short = Money(lacking, sub.currency)
        raise Refused(
            "insufficient_credit",
            f"Subscription {sub.reference} is paid in advance, and {short} are missing for what is due now.",
            remedy=f"Add at least {short} first (prepayments.add), and repeat the command.",
            subscription=sub.reference,
            missing=lacking,
        )


def start_or_wait(scope: Scope, step: Step, customer: Customer) -> Step | None:
    """The start of a subscription that may still fail to be created (setting start_decline).

    Where something is due now it becomes pending with a draft and an attempt that a worker makes, and None is
    returned; without a method it fails as a signup does. Otherwise the step, to be billed as any other.
    """
    sub = step.subscription
    bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
    due = _due_now(scope, bill, sub, customer)
    if due == 0 or bill.invoice is None:
        return step
    method = _method(scope, customer, sub)
    if method is None:
        failed = planned(evolve(step.before, state="failed_to_create", ended_at=scope.now))
        changes = changed(step.before, failed, "signup_refused", scope.now, scope.actor, scope.new_id)
        return Step(failed, step.before, "start", changes=changes)
    pending = evolve(use_coupons(step, bill.used).subscription, state="pending", next_action_at=None, next_action=None)
    put_subscription(scope.writes, pending, step.before)
    _change(scope, pending, step.before.state, "start_reached")
    payment, draft = attempt(scope, bill.invoice, method, "signup", due)
    unsent = evolve(payment, sends=0, lease_owner=None, lease_until=None, next_check_at=scope.now)
    scope.writes.add(draft, *draft.lines, unsent)
    return None
