"""What a customer agrees to: who, which price, from when, on which terms; checked before anything is stored."""

from datetime import datetime
from decimal import Decimal

from attrs import frozen

from billcore.commands.facts import facts_for
from billcore.commands.scope import Scope
from billcore.domain.catalog import Price
from billcore.domain.customer import Customer
from billcore.domain.expiry import term_start, with_expiry, with_term
from billcore.domain.facts import Facts, own_interval
from billcore.domain.lifecycle import enter
from billcore.domain.periods import Period, Schedule, schedule_from_start, span_of
from billcore.domain.referral import referral_code
from billcore.domain.span import with_span
from billcore.domain.states import LIVE
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Collection, FirstCharge, Item, Subscription
from billcore.domain.values import evolve
from billcore.errors import InvalidValue, Refused
from billcore.store import subscription as subscriptions


@frozen
class Terms:
    """The dates and conditions that a new subscription is asked for with."""

    trial_until: datetime | None = None
    starts_at: datetime | None = None
    next_billing_at: datetime | None = None
    ends_at: datetime | None = None
    collection: Collection = "automatic"
    net_terms: int | None = None
    billing_day: int | None = None
    first_charge: FirstCharge = "prorated"
    referred_by: str | None = None


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


def check_new(scope: Scope, reference: str, price: Price, terms: Terms, quantity: Decimal) -> None:
    """Refuse what cannot be subscribed to before anything is stored."""
    taken = subscriptions.get(scope.tx, reference, scope.catalog.coupons)
    if taken is not None and taken.state == "failed_to_create":
        # It never came to be: whoever tries again may use the name again. The row stays, under its id.
        scope.writes.put(evolve(taken, reference=taken.id))
        scope.flush()
    elif taken is not None:
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
    if terms.billing_day is not None and price.every.months is None:
        raise InvalidValue(
            f"Price {price.code} is billed every {price.every}; it has no billing day.",
            remedy="Only prices of months or years have one.",
            parameter="billing_day",
        )
    if terms.collection == "prepaid" and terms.net_terms is not None:
        raise InvalidValue(
            "What is paid in advance has no net terms.", remedy="Leave net_terms out.", parameter="net_terms"
        )
    if quantity == 0:
        raise InvalidValue("quantity is 0.", remedy="Subscribe to at least some of it.", parameter="quantity")
    begins = terms.starts_at or scope.now
    for name, at in (("ends_at", terms.ends_at), ("next_billing_at", terms.next_billing_at)):
        if at is not None and at <= begins:
            raise Refused("period_empty", f"{name} is not after the terms.", remedy="Choose a later date.")
    if terms.next_billing_at is not None and terms.next_billing_at <= scope.now:
        raise InvalidValue("next_billing_at lies in the past.", remedy="Choose a date to come.")
    if terms.trial_until is not None and terms.trial_until <= begins:
        raise Refused("period_empty", "trial_until is not after the terms.", remedy="Choose a later date.")
    if terms.starts_at is not None and terms.starts_at < scope.now and terms.next_billing_at is None:
        raise InvalidValue(
            "starts_at lies in the past.",
            remedy="Give next_billing_at too, to take over a subscription that runs already.",
            parameter="starts_at",
        )


def take_over(sub: Subscription, facts: Facts, terms: Terms, scope: Scope) -> Subscription:
    """A subscription that ran elsewhere: its current period is paid, billing goes on at `next_billing_at`."""
    assert terms.next_billing_at is not None and facts.price.every is not None
    begun = terms.starts_at or scope.now
    schedule = _taken_schedule(sub, facts, begun, terms.next_billing_at)
    period_start = max(begun, schedule.boundary_before(terms.next_billing_at))
    running = evolve(
        sub,
        state="active",
        anchor=schedule.anchor,
        activated_at=begun,
        priced_from=begun,
        arrears_from=period_start,
        period_start=period_start,
        period_end=terms.next_billing_at,
        sequence=1,
    )
    running = with_span(running, span_of(Period(period_start, terms.next_billing_at), schedule))
    first = Period(begun, schedule.first_end(begun))
    running = with_term(running, facts, term_start(sub, facts, begun), first)
    running = with_expiry(running, schedule, terms.next_billing_at)
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


def new_subscription(
    scope: Scope, reference: str, buyer: Customer, payer: Customer, price: Price, quantity: Decimal, terms: Terms
) -> Subscription:
    """A subscription as it is before its first step, without components and coupons; `payer` owes for it."""
    day = terms.billing_day
    if day is None and price.every is not None and price.every.months is not None:
        day = buyer.billing_day
    subscription_id = scope.new_id("sub")
    return Subscription(
        subscription_id,
        reference,
        payer.id,
        currency_of(buyer if buyer.currency is not None else payer, price, scope),
        price.id,
        quantity,
        "pending",
        scope.now,
        terms.collection,
        buyer.id if buyer.id != payer.id else None,
        starts_at=terms.starts_at,
        trial_until=terms.trial_until,
        billing_day=day,
        first_charge=terms.first_charge,
        ends_at=terms.ends_at,
        net_terms=terms.net_terms,
        referral_code=referral_code(subscription_id),
        referred_by=terms.referred_by,
    )


def first_step(scope: Scope, sub: Subscription, payer: Customer, terms: Terms) -> Step:
    """What becomes of a new subscription at once: taken over, waiting for its start, or begun."""
    facts = facts_for(scope, sub, payer, scope.now)
    if terms.next_billing_at is not None:
        return Step(take_over(sub, facts, terms, scope), sub, "signup")
    if terms.starts_at is not None and terms.starts_at > scope.now:
        return Step(planned(evolve(sub, state="awaiting_signup")), sub, "signup")
    return enter(sub, facts, scope.now, scope.new_id, "signup")


def base_of(scope: Scope, ref: str | None, buyer: Customer) -> Subscription | None:
    """The subscription that a new one is an add-on to: running, and the same customer's (behaviour 6.6)."""
    if ref is None:
        return None
    base = scope.subscription(ref)
    if base.owner != buyer.id or base.base_id is not None or base.state not in LIVE:
        raise InvalidValue(
            f"Subscription {base.reference} ({base.state}) cannot be a base here.",
            remedy="A base is an active or trialing subscription of the same customer, and no add-on itself.",
            parameter="base",
        )
    return base
