"""Subscriptions: sign up, cancel, hold, resume, activate, retry."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.agreement import Terms, base_of, check_new, first_step, new_subscription
from billcore.commands.cancellation import NOW_INCLUDED, cancel_at, cancel_now
from billcore.commands.components import custom_price, new_items, redeem_coupons
from billcore.commands.facts import facts_for
from billcore.commands.parameters import (
    BillingDay,
    Code,
    Codes,
    Count,
    Custom,
    CustomerRef,
    Days,
    Instant,
    MethodRef,
    Options,
    Quantities,
    Quantity,
    Reference,
    SubscriptionRef,
    Text,
    When,
    as_day,
    as_instant,
    as_quantities,
)
from billcore.commands.payment_methods import retry_overdue
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_now, pay_draft, sign_up, to_pay_now
from billcore.commands.unused import give_back
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import make_bill, record
from billcore.domain.lifecycle import activate, hold, resume, schedule_cancel, uncancel
from billcore.domain.payment import Payment
from billcore.domain.states import State, check
from billcore.domain.subscription import FirstCharge, Subscription, Unused
from billcore.errors import InvalidValue, Refused
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as store


class Subscriptions(Noun):
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
        collection: Literal["automatic", "remittance"] = "automatic",
        net_terms: Days | None = None,
        base: SubscriptionRef | None = None,
        payment_method: MethodRef | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Subscribe a customer to a price; what is due at once is collected before the call returns.

        A start in the future charges nothing before; `next_billing_at` takes over a subscription that runs already.
        `custom` replaces fields of the price for this subscription only; `base` makes it an add-on that takes its
        base's dates. Raises not_found, reference_taken, invalid_value, period_empty, currency_mismatch,
        component_not_offered, the coupon errors, and payment_declined where the first payment is refused.
        """
        buyer = scope.customer(customer)
        chosen = scope.catalog.catalog.price(price)
        if custom:
            chosen = custom_price(scope, chosen, custom)
        terms = Terms(
            as_instant(trial_until),
            as_instant(starts_at),
            as_instant(next_billing_at),
            as_instant(ends_at),
            collection,
            net_terms,
            as_day(billing_day),
            first_charge,
        )
        check_new(scope, reference, chosen, terms, Decimal(quantity))
        based = base_of(scope, base, buyer)
        sub = evolve(
            new_subscription(scope, reference, buyer, chosen, Decimal(quantity), terms),
            payment_method_id=scope.payment_method(buyer, payment_method).id if payment_method else None,
            base_id=based.id if based is not None else None,
        )
        sub = evolve(sub, items=new_items(scope, sub, as_quantities(components), scope.now))
        sub = evolve(sub, coupons=redeem_coupons(scope, sub, coupons or (), scope.zone(buyer), scope.now))
        return sign_up(scope, first_step(scope, sub, buyer, terms, based), buyer)

    @verb(collects=True)
    def activate(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """End the trial now, or do not wait for the start date: a new period begins and is charged.

        A decline leaves the subscription as it was (setting activation_decline) and raises payment_declined;
        payment_in_doubt while an earlier activation's attempt is open.
        """
        sub = scope.subscription(subscription)
        waiting = invoices.draft_in_doubt(scope.tx, sub.customer_id, sub.id)
        if waiting is not None:
            raise Refused(
                "payment_in_doubt",
                f"An activation of subscription {sub.reference} has an attempt without an outcome.",
                remedy="Wait for the next check of the payment.",
                payment=waiting,
            )
        customer = scope.customer(sub.customer_id)
        facts = facts_for(scope, sub, customer, scope.now)
        step = activate(sub, facts, scope.now, scope.new_id)
        bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
        due = to_pay_now(scope, bill, step.subscription, customer)
        if due and scope.settings.activation_decline == "revert":
            pay_draft(scope, bill, customer, sub, due)
            return sub
        bill_now(scope, step, customer)
        return step.subscription

    @verb(collects=True)
    def cancel(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        when: When = "now",
        *,
        credit: Literal["none", "unused"] = "none",
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Cancel now, at the end of the current period, or at a date; add-ons go with their base.

        Usage and what is owed in arrears is billed and collected once. `credit = "unused"` gives back unused time
        as credit. Open invoices stay open. Raises transition_not_allowed, invalid_value for a date that is past.
        """
        sub = scope.subscription(subscription)
        at = cancel_at(sub, when, scope)
        for each in (sub, *store.addons(scope.tx, [sub.id], scope.catalog.coupons)):
            if each.id != sub.id and each.ended_at is not None:
                continue
            if at is None:
                cancel_now(scope, each, credit, reason)
            else:
                after = schedule_cancel(each, at, scope.now, reason, credit)
                scope.writes.put(after)
                _event(scope, each, "subscription.cancel_scheduled")
        return sub

    @verb()
    def uncancel(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Undo a cancellation that has not come into effect yet."""
        sub = scope.subscription(subscription)
        after = uncancel(sub)
        scope.writes.put(after)
        for addon in store.addons(scope.tx, [sub.id], scope.catalog.coupons):
            if addon.cancel_at == sub.cancel_at:
                scope.writes.put(uncancel(addon))
        _event(scope, sub, "subscription.cancel_undone")
        return after

    @verb(collects=True)
    def hold(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        resume_at: Instant | None = None,
        unused: Unused = "forfeit",
        **options: Unpack[Options],
    ) -> Subscription:
        """Stop a subscription on purpose until it is resumed, by hand or at `resume_at`; add-ons hold with it.

        What is owed in arrears is billed. Unused paid time is forfeited, credited, or appended when it resumes.
        """
        sub = scope.subscription(subscription)
        until = resume_at if isinstance(resume_at, datetime) else None
        if until is not None and until <= scope.now:
            raise InvalidValue("resume_at is not in the future.", remedy="Choose a later date.")
        held = sub
        for each in (sub, *store.addons(scope.tx, [sub.id], scope.catalog.coupons)):
            if each.id != sub.id and each.state not in ("active", "trialing"):
                continue
            check(each.state, "hold", each.reference)
            customer = scope.customer(each.customer_id)
            facts = facts_for(scope, each, customer, scope.now + NOW_INCLUDED)
            credits = give_back(scope, each, facts, scope.now) if unused == "credit" else ()
            step = hold(each, facts, scope.now, until, unused, scope.new_id, credits)
            bill_now(scope, evolve(step, usage_until=scope.now + NOW_INCLUDED), customer)
            held = step.subscription if each.id == sub.id else held
        return held

    @verb(collects=True)
    def resume(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        period: Literal["reset", "keep"] = "reset",
        **options: Unpack[Options],
    ) -> Subscription:
        """Go on after a hold. Before the old period's end nothing is charged and the dates stay.

        After it a new period begins now (`reset`), or the rest of the old anchor's period is charged (`keep`).
        """
        sub = scope.subscription(subscription)
        back = sub
        for each in (sub, *store.addons(scope.tx, [sub.id], scope.catalog.coupons)):
            if each.id != sub.id and each.state != "on_hold":
                continue
            customer = scope.customer(each.customer_id)
            facts = facts_for(scope, each, customer, scope.now)
            step = resume(each, facts, scope.now, period == "keep", scope.new_id)
            bill_now(scope, step, customer)
            back = step.subscription if each.id == sub.id else back
        return back

    @verb(collects=True)
    def retry(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Try now to collect what is overdue of the subscription's payer, oldest first, until the first decline.

        The dunning schedule stays. Raises transition_not_allowed unless something is overdue, payment_in_doubt
        while an attempt is open.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "retry", sub.reference)
        if not retry_overdue(scope, sub.customer_id, "retry", sub.currency):
            raise _nothing_to_retry(sub)
        return sub

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
        after: SubscriptionRef | None = None,
        limit: Count = 50,
    ) -> list[Subscription]:
        """Subscriptions in order of creation, of one customer or in one state."""
        return store.page(
            scope.tx,
            scope.catalog.coupons,
            customer_id=scope.customer(customer).id if customer is not None else None,
            state=state,
            after=scope.subscription(after).id if after is not None else None,
            limit=limit,
        )

    def settled(self, scope: Scope, result: Subscription, attempts: Collection[str]) -> Subscription:
        """The subscription as it stands after its attempts; a refused signup or activation raises."""
        sub = store.by_ids(scope.tx, [result.id], scope.catalog.coupons)[result.id]
        for payment in payments.by_ids(scope.tx, attempts).values():
            invoice = invoices.by_ids(scope.tx, [payment.billed], lines=False)[payment.billed]
            if invoice.discarded_at is not None:
                raise _declined(sub, payment)
        return sub


def _nothing_to_retry(sub: Subscription) -> Refused:
    if sub.collection != "automatic":
        return Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is paid by remittance; nothing of it is ever charged.",
            remedy="Record the payment when it arrives.",
            state=sub.state,
        )
    return Refused(
        "payment_in_doubt",
        f"Every overdue invoice of subscription {sub.reference} has an attempt without an outcome.",
        remedy="Wait for the next check of the payment.",
    )


def _declined(sub: Subscription, payment: Payment) -> Refused:
    return Refused(
        "payment_declined",
        f"The payment {payment.id} for subscription {sub.reference} was declined: "
        f"{payment.decline_code or payment.message or 'not sent'}.",
        remedy="Try another payment method.",
        payment=payment.id,
        subscription=sub.reference,
        decline_code=payment.decline_code,
        decline_kind=payment.decline_kind,
    )


def _event(scope: Scope, sub: Subscription, kind: str) -> None:
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, kind, sub.id)
