"""What is subscribed to, changed: product, price, quantity, components (behaviour 6)."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.addons import addon_steps
from billcore.commands.cancellation import NOW_INCLUDED
from billcore.commands.changing import change_step, drop_change, note_change, plan_change
from billcore.commands.components import custom_price
from billcore.commands.facts import facts_for
from billcore.commands.parameters import (
    Code,
    Custom,
    Flag,
    Instant,
    NewBillingDay,
    Options,
    Quantities,
    Quantity,
    SubscriptionRef,
    Text,
    as_instant,
    as_quantities,
)
from billcore.commands.phases import pay_first
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now
from billcore.commands.target import Asked, require_sold, target_of
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import record
from billcore.domain.change import InvoiceAt, PeriodMode, Target, Wish
from billcore.domain.facts import Facts
from billcore.domain.states import check
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused
from billcore.settings import ChangeMode
from billcore.store import change as store
from billcore.store import subscription as subscriptions
from billcore.store.types import text_to_instant


class Changes(Noun):
    """Verbs that change what a subscription is for."""

    noun = "subscriptions"

    @verb(collects=True)
    def change(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        price: Code | None = None,
        custom: Custom | None = None,
        quantity: Quantity | None = None,
        components: Quantities | None = None,
        when: Literal["now", "renewal"] = "now",
        proration: ChangeMode | None = None,
        period: PeriodMode | None = None,
        billing_day: NewBillingDay | None = None,
        invoice_at: InvoiceAt | None = None,
        include_trial: Flag = False,
        effective_at: Instant | None = None,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Change product, price, quantity or components: at once, at the renewal, or as of another instant.

        By default what is unused of the old is given back, the rest of the period is charged at the new, and the dates
        stay; a price of another interval begins a new period (behaviour 6.1). `custom` replaces fields of the price for
        this subscription only. Components follow their own modes by the direction of the whole call. `effective_at`
        in the past is back-dated. Raises price_unchanged, full_needs_reset, currency_mismatch, component_not_offered,
        invalid_value, transition_not_allowed, payment_in_doubt.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "change", sub.reference)
        chosen = scope.catalog.catalog.price(price) if price is not None else scope.prices([sub.price_id])[sub.price_id]
        if custom:
            chosen = custom_price(scope, chosen, custom, begun=price is None and sub.priced_from is not None)
        require_sold(chosen, sub)
        asked = Asked(
            chosen.id if chosen.id != sub.price_id else None,
            _text(quantity),
            {code: str(units) for code, units in as_quantities(components).items()},
            {},
            proration,
            period,
            invoice_at=invoice_at,
            billing_day=billing_day if isinstance(billing_day, int) else None,
            include_trial=include_trial,
            reason=reason,
        )
        return carry_out(scope, sub, asked, when, as_instant(effective_at), named=price)

    @verb()
    def cancel_change(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Drop the change that waits for the renewal or for its instant. Raises transition_not_allowed without one."""
        sub = scope.subscription(subscription)
        if sub.change_id is None:
            raise Refused(
                "transition_not_allowed",
                f"No change of subscription {sub.reference} is planned.",
                remedy="Only a change at the renewal or at a date can be dropped.",
                state=sub.state,
            )
        after = drop_change(scope, sub)
        scope.writes.put(after)
        record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.change_dropped", sub.id)
        return after

    @verb(collects=True)
    def set_component(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        component: Code,
        quantity: Quantity,
        *,
        price: Code | None = None,
        upgrade: ChangeMode | None = None,
        downgrade: ChangeMode | None = None,
        invoice_at: InvoiceAt | None = None,
        effective_at: Instant | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Set how many units of a component there are; 0 takes it away, one that is not there is added.

        Whether more or less is billed now follows `upgrade` or `downgrade`, else the component's price, else the
        settings (behaviour 6.3). Raises component_not_offered, currency_mismatch, invalid_value,
        transition_not_allowed, payment_in_doubt.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "change", sub.reference)
        asked = Asked(
            components={component: str(Decimal(quantity))},
            component_prices={component: price} if price is not None else {},
            period="keep",
            upgrade=upgrade,
            downgrade=downgrade,
            invoice_at=invoice_at,
        )
        return carry_out(scope, sub, asked, "now", as_instant(effective_at), named=None)


def carry_out(
    scope: Scope, sub: Subscription, asked: Asked, when: str, effective_at: datetime | None = None, *, named: str | None
) -> Subscription:
    """Check a change as a whole, then make it now or keep it for later. Raises as `change`, whose price is `named`."""
    check(sub.state, "change", sub.reference)
    customer = scope.customer(sub.customer_id)
    later = when == "renewal" or (effective_at is not None and effective_at > scope.now)
    at = effective_at or scope.now
    facts = facts_for(scope, sub, customer, scope.now + NOW_INCLUDED)
    target = target_of(scope, sub, facts, asked, at)
    _require_something(sub, asked, target, named)
    _require_sense(sub, facts, target, asked, when, effective_at)
    if later:
        return plan_change(scope, sub, asked, None if when == "renewal" else at)
    wish = asked.wish(at, facts, target)
    if _waits_for_its_interval(sub, facts, target, wish):
        return plan_change(scope, sub, evolve(asked, proration=None, period=None), None)
    if effective_at is not None:
        _require_reachable(scope, sub, at, new_period=wish.period == "reset")
    if scope.settings.change_decline == "refuse" and effective_at is None:

        def make(asking: Scope) -> Step:
            return change_step(asking, sub, facts, target, wish, pays_first=True)

        if pay_first(scope, sub, customer, "change", asked.drafted(target).stored(), make):
            return sub
    note_change(scope, sub, asked, at)
    step = change_step(scope, sub, facts, target, wish)
    steps = [evolve(step, usage_until=at + NOW_INCLUDED if step.usage else None)]
    if wish.period == "reset":
        steps += addon_steps(scope, step, at)
    bill_all_now(scope, steps)
    return step.subscription


def _waits_for_its_interval(sub: Subscription, facts: Facts, target: Target, wish: Wish) -> bool:
    """Whether a price of another interval is to leave the running period as it is: it begins where that ends."""
    other = target.facts.price.every != facts.price.every and sub.anchor is not None and sub.state != "trialing"
    return other and wish.period == "keep" and wish.proration == "none"


def _require_something(sub: Subscription, asked: Asked, target: Target, named: str | None) -> None:
    """Refuse a change that changes nothing; a component that is as asked for already is no refusal."""
    if asked.price_id is not None or target.quantity != sub.quantity or asked.components:
        return
    if asked.billing_day is not None or asked.include_trial or asked.period == "reset":
        return
    raise Refused(
        "price_unchanged",
        f"Subscription {sub.reference} has price {named or target.facts.price.code} already"
        + (f", {target.quantity} times." if asked.quantity is not None else "."),
        remedy="Name another price, quantity or component; or begin a new period (period = reset).",
        price=target.facts.price.code,
    )


def _require_sense(
    sub: Subscription, facts: Facts, target: Target, asked: Asked, when: str, effective_at: datetime | None
) -> None:
    """Refuse combinations that mean nothing (behaviour 6.1)."""
    wish = asked.wish(effective_at or sub.created_at, facts, target)
    if when == "renewal":
        given = [name for name in ("proration", "period") if getattr(asked, name) is not None]
        if given or effective_at is not None:
            raise InvalidValue(
                f"A change at the renewal takes no {' and no '.join(given) or 'effective_at'}.",
                remedy="The ending period is closed at its own price; leave it out, or change now.",
                parameter=given[0] if given else "effective_at",
            )
        return
    if wish.proration == "full" and wish.period == "keep":
        raise Refused(
            "full_needs_reset",
            "A full charge inside a running period would bill its time twice.",
            remedy="Use period = reset, or proration = prorated.",
        )
    other_interval = target.facts.price.every != facts.price.every
    prorated = wish.proration != "none"  # Otherwise the new interval begins where the running period ends.
    if wish.period == "keep" and other_interval and prorated and sub.anchor is not None and sub.state != "trialing":
        raise InvalidValue(
            f"Price {target.facts.price.code} is billed every {target.facts.price.every}: the dates cannot stay.",
            remedy="Use period = reset, or when = renewal.",
            parameter="period",
        )
    if wish.proration == "none" and wish.period == "reset" and not asked.reason:
        raise InvalidValue("A new period without a charge needs a reason.", remedy="Give reason.", parameter="reason")
    if sub.base_id is not None and wish.period == "reset" and sub.state != "trialing":
        raise InvalidValue(
            f"Subscription {sub.reference} is an add-on: it has the dates of its base.",
            remedy="Change its base, or keep the period.",
            parameter="period",
        )
    if asked.billing_day is not None and (wish.period == "keep" or target.facts.price.every is None):
        raise InvalidValue(
            "A billing day is changed with a new period only.",
            remedy="Use period = reset, or subscriptions.change_billing_date.",
            parameter="billing_day",
        )


def _require_reachable(scope: Scope, sub: Subscription, at: datetime, *, new_period: bool) -> None:
    """Refuse to reach back further than the subscription has run without a break."""
    if sub.activated_at is None or sub.state == "trialing" or sub.period_start is None:
        raise InvalidValue(
            f"Subscription {sub.reference} has no paid period that a change could reach back into.",
            remedy="Leave effective_at out.",
            parameter="effective_at",
        )
    addons = subscriptions.addons(scope.tx, [sub.id], scope.catalog.coupons) if new_period else []
    for one in (sub, *(addon for addon in addons if addon.ended_at is None)):  # They take its dates (behaviour 6.6).
        if new_period and one.period_start is not None and at < one.period_start:
            raise InvalidValue(
                f"The running period of subscription {one.reference} began at {one.period_start:%Y-%m-%d %H:%M} UTC.",
                remedy="A new period begins inside it; keep the dates to reach back further.",
                parameter="effective_at",
            )
    back = store.returned_at(scope.tx, sub.id)
    first = max(sub.activated_at, text_to_instant(back)) if back is not None else sub.activated_at
    if at < first:
        raise InvalidValue(
            f"{at:%Y-%m-%d %H:%M} UTC lies before subscription {sub.reference} began to run at {first:%Y-%m-%d %H:%M}.",
            remedy="Name a later instant.",
            parameter="effective_at",
        )


def _text(quantity: str | int | Decimal | None) -> str | None:
    if quantity is None:
        return None
    if Decimal(quantity) == 0:
        raise InvalidValue("quantity is 0.", remedy="Cancel the subscription instead.", parameter="quantity")
    return str(quantity)
