"""Signing up, starting and activating: the first invoice and, where money is due, its attempt (behaviour 5.1)."""

from datetime import datetime
from decimal import Decimal

from attrs import frozen

from billcore.commands.attempts import attempt, usable_method
from billcore.commands.billing import bill_steps, net_terms, number, number_notes, put_subscription
from billcore.commands.scope import Scope
from billcore.domain.bill import Bill, make_bill, record, use_coupons
from billcore.domain.catalog import Price
from billcore.domain.credit import draw
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.event import StateChange
from billcore.domain.facts import Facts, own_interval
from billcore.domain.periods import Schedule, schedule_from_start
from billcore.domain.receivable import first_renewal, signup_state
from billcore.domain.states import State
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import evolve
from billcore.errors import InvalidValue, Refused
from billcore.store import customer as customers
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions


@frozen
class Start:
    """What a signup asks for in dates and terms."""

    trial_until: datetime | None = None
    starts_at: datetime | None = None
    next_billing_at: datetime | None = None
    ends_at: datetime | None = None
    collection: str = "automatic"
    net_terms: int | None = None
    billing_day: int | None = None
    first_charge: str = "prorated"


def currency_of(customer: Customer, price: Price, scope: Scope) -> str:
    """The currency a customer buys a price in: his own; without one the site's, or the only one the price has."""
    wanted = customer.currency or scope.settings.currency
    if wanted in price.currencies:
        return wanted
    if customer.currency is None and len(price.currencies) == 1:
        return price.currencies[0]
    raise Refused(
        "currency_mismatch",
        f"Price {price.code} is sold in {', '.join(price.currencies)}, not in {customer.currency or 'several'}.",
        remedy="Choose a price in the customer's currency.",
        price=price.code,
    )


def check_new(scope: Scope, reference: str, price: Price, start: Start, quantity: Decimal) -> None:
    """Refuse what cannot be subscribed to before anything is stored."""
    if subscriptions.get(scope.tx, reference, scope.catalog.coupons) is not None:
        raise Refused(
            "reference_taken",
            f"A subscription {reference!r} exists already.",
            remedy="Choose another reference.",
            reference=reference,
        )
    if price.product is None or price.once or price.every is None:
        raise InvalidValue(
            f"Price {price.code} is not the price of a subscription.",
            remedy="Use a product's price with an interval.",
            parameter="price",
        )
    if start.billing_day is not None and price.every.months is None:
        raise InvalidValue(
            f"Price {price.code} is billed every {price.every}; it has no billing day.",
            remedy="Only prices of months or years have one.",
            parameter="billing_day",
        )
    if quantity == 0:
        raise InvalidValue("quantity is 0.", remedy="Subscribe to at least some of it.", parameter="quantity")
    begins = start.starts_at or scope.now
    for name, at in (("ends_at", start.ends_at), ("next_billing_at", start.next_billing_at)):
        if at is not None and at <= begins:
            raise Refused("period_empty", f"{name} is not after the start.", remedy="Choose a later date.")
    if start.next_billing_at is not None and start.next_billing_at <= scope.now:
        raise InvalidValue("next_billing_at lies in the past.", remedy="Choose a date to come.")
    if start.trial_until is not None and start.trial_until <= begins:
        raise Refused("period_empty", "trial_until is not after the start.", remedy="Choose a later date.")
    if start.starts_at is not None and start.starts_at < scope.now and start.next_billing_at is None:
        raise InvalidValue(
            "starts_at lies in the past.",
            remedy="Give next_billing_at too, to take over a subscription that runs already.",
            parameter="starts_at",
        )


def take_over(sub: Subscription, facts: Facts, start: Start, scope: Scope) -> Subscription:
    """A subscription that ran elsewhere: its current period is paid, billing goes on at `next_billing_at`."""
    assert start.next_billing_at is not None and facts.price.every is not None
    begun = start.starts_at or scope.now
    schedule = _taken_schedule(sub, facts, begun, start.next_billing_at)
    period_start = max(begun, schedule.boundary_before(start.next_billing_at))
    running = evolve(
        sub,
        state="active",
        anchor=schedule.anchor,
        activated_at=begun,
        priced_from=begun,
        arrears_from=period_start,
        period_start=period_start,
        period_end=start.next_billing_at,
        sequence=1,
    )
    return planned(evolve(running, items=tuple(_running(running, item, facts, scope) for item in sub.items)))


def _running(sub: Subscription, item: Item, facts: Facts, scope: Scope) -> Item:
    """A component with its own interval as it is taken over: its period that holds now is paid."""
    if not own_interval(facts.prices[item.price_id], facts.price):
        return item
    schedule = facts.item_schedule(sub, item)
    end = schedule.boundary_after(scope.now)
    return evolve(item, period_start=schedule.boundary_before(end), period_end=end)


def _taken_schedule(sub: Subscription, facts: Facts, begun: datetime, next_at: datetime) -> Schedule:
    """The original start's boundaries where they meet the next billing date, otherwise that date's own."""
    every, settings = facts.price.every, facts.settings
    assert every is not None
    own = schedule_from_start(begun, every, facts.zone, sub.billing_day, settings.billing_time, settings.period_policy)
    if own.is_boundary(next_at):
        return own
    return Schedule(next_at, every, facts.zone, sub.billing_day, settings.billing_time, settings.period_policy)


def sign_up(scope: Scope, step: Step, customer: Customer) -> Subscription:
    """Store a new subscription after its first step: settled at once, or pending with a draft and an attempt."""
    bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
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
    payment, draft = attempt(scope, bill.invoice, method, "signup", due)
    scope.writes.add(draft, *draft.lines, payment)
    scope.sends.append(payment)


def to_pay_now(scope: Scope, bill: Bill, sub: Subscription, customer: Customer) -> int:
    """What an automatic signup has to pay before it is settled, in minor units, after the customer's credits."""
    if bill.invoice is None or sub.collection != "automatic" or net_terms(sub, scope) > 0:
        return 0
    credits = payments.open_credits(scope.tx, [customer.id]).get(customer.id, [])
    if scope.settings.apply_credits != "auto":
        credits = []
    mine = [credit for credit in credits if credit.currency == sub.currency]
    drawn = sum(drawing.amount for drawing in draw(bill.invoice.total, mine, scope.now))
    due = bill.invoice.total - drawn
    if due and scope.settings.signup_decline == "past_due" and _method(scope, customer, sub) is None:
        return 0
    return due


def bill_now(scope: Scope, step: Step, customer: Customer) -> None:
    """Bill one subscription's step at once and plan the collection of what is due."""
    documents = bill_steps(
        scope,
        [(step, scope.now)],
        {customer.id: customer},
        payments.open_credits(scope.tx, [customer.id]),
        {step.subscription.id: scope.now},
    )
    number(scope, documents)
    number_notes(scope)
    if any(invoice.collect_at is not None for invoice in documents):
        scope.collects.add(customer.id)
    # An add-on that comes next draws on what this one left of the customer's credits.
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
    scope.writes.add(
        StateChange(
            scope.new_id("chg"),
            sub.customer_id,
            sub.id,
            previous,
            sub.state,
            scope.now,
            cause,
            scope.actor,
        )
    )


def _method(scope: Scope, customer: Customer, sub: Subscription) -> PaymentMethod | None:
    return usable_method(
        customers.methods(scope.tx, [customer.id]).get(customer.id, []), customer, sub.payment_method_id
    )


def start_or_wait(scope: Scope, step: Step, customer: Customer) -> Step | None:
    """The start of a subscription that may still fail to be created (setting start_decline).

    Where something is due now it becomes pending with a draft and an attempt that a worker makes, and None is
    returned; otherwise the step, to be billed as any other.
    """
    sub = step.subscription
    bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
    due = to_pay_now(scope, bill, sub, customer)
    method = _method(scope, customer, sub)
    if due == 0 or method is None or bill.invoice is None:
        return step
    pending = evolve(use_coupons(step, bill.used).subscription, state="pending", next_action_at=None, next_action=None)
    put_subscription(scope, pending, step.before)
    _change(scope, pending, step.before.state, "start_reached")
    payment, draft = attempt(scope, bill.invoice, method, "signup", due)
    unsent = evolve(payment, sends=0, lease_owner=None, lease_until=None, next_check_at=scope.now)
    scope.writes.add(draft, *draft.lines, unsent)
    return None
