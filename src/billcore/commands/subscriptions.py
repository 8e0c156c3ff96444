"""Subscriptions: sign up, cancel, hold, resume, activate, retry."""

from collections.abc import Collection
from decimal import Decimal
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.agreement import Terms, base_of, check_new, first_step, new_subscription
from billcore.commands.components import custom_price, new_items, redeem_coupons
from billcore.commands.groups import buyer_and_payer, terms_of
from billcore.commands.parameters import (
    Amount,
    BillingDay,
    Code,
    Codes,
    Count,
    Custom,
    CustomerRef,
    Days,
    Flag,
    Instant,
    MethodRef,
    Options,
    Quantities,
    Quantity,
    Reference,
    SubscriptionRef,
    Text,
    as_day,
    as_instant,
    as_quantities,
)
from billcore.commands.pausing import require_not_paused
from billcore.commands.prepaid import top_up_where_low
from billcore.commands.referrals import coupons_of, referrer_of
from billcore.commands.scope import Scope
from billcore.commands.signup import sign_up
from billcore.commands.subscription_attach import Attached, Attaching
from billcore.commands.subscription_dates import Dates
from billcore.commands.subscription_extras import Charge, Extras
from billcore.commands.subscription_life import Life
from billcore.commands.subscription_outlook import Outlook
from billcore.commands.subscription_prepaid import Prepaying, with_top_up
from billcore.commands.subscription_record import Records
from billcore.commands.verb import verb
from billcore.domain.payment import Payment
from billcore.domain.states import State
from billcore.domain.subscription import FirstCharge, Subscription
from billcore.errors import Refused
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as store


class Subscriptions(Life, Attaching, Dates, Outlook, Prepaying, Extras, Records):
    """Subscriptions: sign up, cancel, hold, resume, activate, retry."""

    noun = "subscriptions"

    @verb(collects=True)
    def create(
        self,
        scope: Scope,
        reference: Reference,
        customer: CustomerRef,
        price: Code,
        *,
        quantity: Quantity = "1",
        components: Quantities | None = None,
        coupons: Codes | None = None,
        custom: Custom | None = None,
        billing_day: BillingDay | None = None,
        first_charge: FirstCharge = "prorated",
        trial_until: Instant | None = None,
        starts_at: Instant | None = None,
        next_billing_at: Instant | None = None,
        ends_at: Instant | None = None,
        collection: Literal["automatic", "remittance", "prepaid"] = "automatic",
        net_terms: Days | None = None,
        base: SubscriptionRef | None = None,
        payment_method: MethodRef | None = None,
        referral: Text | None = None,
        top_up_below: Amount | None = None,
        top_up_amount: Amount | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Subscribe a customer to a price; what is due at once is collected of his payer before the call returns.

        A start in the future charges nothing before; `next_billing_at` takes over a subscription that runs already.
        `custom` replaces fields of the price for this subscription only; `base` makes it an add-on that takes its
        base's dates. `referral` is the code of who sent the customer; paid in advance (`collection = "prepaid"`), the
        prepayment has to cover what is due, and is topped up by `top_up_amount` when it falls below `top_up_below`.
        Raises insufficient_credit, not_found, reference_taken, invalid_value, period_empty, currency_mismatch,
        component_not_offered, the coupon errors, and payment_declined where the first payment is refused.
        """
        buyer, payer = buyer_and_payer(scope, customer)
        require_not_paused(payer)
        chosen = scope.catalog.catalog.price(price)
        if custom:
            chosen = custom_price(scope, chosen, custom)
        terms = Terms(
            as_instant(trial_until),
            as_instant(starts_at),
            as_instant(next_billing_at),
            as_instant(ends_at),
            collection,
            net_terms if net_terms is not None else terms_of(scope, buyer, payer, collection),
            as_day(billing_day),
            first_charge,
            referrer_of(scope, referral, buyer) if referral is not None else None,
        )
        check_new(scope, reference, chosen, terms, Decimal(quantity))
        based = base_of(scope, base, buyer)
        sub = evolve(
            new_subscription(scope, reference, buyer, payer, chosen, Decimal(quantity), terms),
            payment_method_id=scope.payment_method(payer, payment_method).id if payment_method else None,
            base_id=based.id if based is not None else None,
        )
        sub = evolve(sub, items=new_items(scope, sub, as_quantities(components), scope.now))
        sub = evolve(
            sub, coupons=redeem_coupons(scope, sub, coupons_of(scope, sub, coupons or ()), scope.zone(buyer), scope.now)
        )
        sub = with_top_up(sub, top_up_below, top_up_amount)
        made = sign_up(scope, first_step(scope, sub, payer, terms), payer)
        if made.top_up_below is not None:
            scope.flush()
            top_up_where_low(scope, payer.id, made.currency)
        return made

    @verb(reads=True)
    def get(self, scope: Scope, subscription: SubscriptionRef) -> Subscription:
        """One subscription by reference or id."""
        return scope.subscription(subscription)

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        *,
        customer: CustomerRef | None = None,
        state: State | None = None,
        archived: Flag = False,
        after: SubscriptionRef | None = None,
        limit: Count = 50,
    ) -> list[Subscription]:
        """Subscriptions in order of creation, of one customer or in one state; with `archived` those too.

        A customer's are those he subscribed to, whoever pays, and those he pays for.
        """
        return store.page(
            scope.tx,
            scope.catalog.coupons,
            customer_id=scope.customer(customer).id if customer is not None else None,
            state=state,
            after=scope.subscription(after).id if after is not None else None,
            limit=limit,
            archived=archived,
        )

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The result as it stands after its attempts; what was refused for want of payment raises."""
        if isinstance(result, Attached):
            sub = result.subscription
            return result if sub is None else evolve(result, subscription=_paid(scope, sub, attempts))
        if isinstance(result, Charge) and result.invoice is not None:
            _require_accepted(scope, result.subscription, attempts)
            return evolve(result, invoice=invoices.by_ids(scope.tx, [result.invoice.id])[result.invoice.id])
        return _paid(scope, result, attempts) if isinstance(result, Subscription) else result


def _paid(scope: Scope, result: Subscription, attempts: Collection[str]) -> Subscription:
    """The subscription as it is by now; raises where what was to be paid first was discarded."""
    sub = store.by_ids(scope.tx, [result.id], scope.catalog.coupons).get(result.id, result)
    _require_accepted(scope, sub.reference, attempts)
    return sub


def _require_accepted(scope: Scope, reference: str, attempts: Collection[str]) -> None:
    for payment in payments.by_ids(scope.tx, attempts).values():
        invoice = invoices.by_ids(scope.tx, [payment.billed], lines=False)[payment.billed]
        if invoice.discarded_at is not None:
            raise _came_to_nothing(reference, payment) if payment.captured else _declined(reference, payment)


def _came_to_nothing(reference: str, payment: Payment) -> Refused:
    return Refused(
        "transition_not_allowed",
        f"Subscription {reference} went another way while its payment {payment.id} was made: it is given back.",
        remedy="Look at the subscription, and repeat the command if it is still wanted.",
        payment=payment.id,
        subscription=reference,
    )


def _declined(reference: str, payment: Payment) -> Refused:
    said = payment.decline_code or (payment.message or "it was not sent").rstrip(".")
    sent = payment.decline_code is not None
    return Refused(
        "payment_declined",
        f"The payment {payment.id} for subscription {reference} {'was declined' if sent else 'was not made'}: {said}.",
        remedy="Try another payment method." if sent else "Nothing was charged: try again when the gateway answers.",
        payment=payment.id,
        subscription=reference,
        decline_code=payment.decline_code,
        decline_kind=payment.decline_kind,
    )
