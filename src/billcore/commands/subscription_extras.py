"""What is done to a running subscription's bill by hand: charges, coupons, its payer's balance (behaviour 8.1, 8.7)."""

from typing import Literal, Unpack

from attrs import evolve, frozen

from billcore.commands.adjusting import Adjustment, adjust
from billcore.commands.amounts import minor_of, signed_minor_of
from billcore.commands.components import require_applicable
from billcore.commands.parameters import Amount, Code, Options, SubscriptionRef, Text
from billcore.commands.redeeming import redeem_one
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_now, pay_draft, to_pay_now
from billcore.commands.verb import Noun, verb
from billcore.commands.waiting import keep_waiting
from billcore.domain.bill import make_bill, put_subscription, record
from billcore.domain.extra import ExtraLine, extra_line
from billcore.domain.invoice import Invoice, Line
from billcore.domain.money import Money
from billcore.domain.states import require_alive
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused


@frozen
class Charge:
    """A charge by hand: on an invoice of its own, or (`line`) waiting for the subscription's next one."""

    subscription: str
    invoice: Invoice | None
    line: Line | None


class Extras(Noun):
    """Verbs that charge or give something beside what a subscription costs."""

    noun = "subscriptions"

    @verb(collects=True)
    def add_charge(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        amount: Amount,
        description: Text,
        *,
        invoice_at: Literal["now", "renewal"] = "now",
        tax_code: Code | None = None,
        **options: Unpack[Options],
    ) -> Charge:
        """Charge something once: now, on an invoice of its own, or with the next renewal.

        The subscription's percent coupons apply and are not used up by it, those of an amount do not. One that waits
        keeps its discount and is taxed when it is billed, at the latest with the final invoice. A declined charge
        leaves the subscription past due, or with change_decline = refuse nothing is billed (payment_declined).
        """
        sub = scope.subscription(subscription)
        require_alive(sub.state, sub.reference, "add_charge")
        price = Money(minor_of(amount, sub.currency), sub.currency)
        line = extra_line(ExtraLine(_described(description), price, tax_code=tax_code), sub.currency, sub)
        if invoice_at == "renewal":
            keep_waiting(scope, sub, [line])
            kept = [one for one in scope.writes.new(Line) if isinstance(one, Line)]
            return Charge(sub.reference, None, kept[-1])
        customer = scope.customer(sub.customer_id)
        step = Step(sub, sub, "ad_hoc", (line,), collects=sub.state != "unpaid")
        bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
        due = to_pay_now(scope, bill, sub, customer)
        if due and scope.settings.change_decline == "refuse":
            pay_draft(scope, bill, customer, sub, due)
        else:
            bill_now(scope, step, customer)
        made = [one for writes in (*scope.saved, scope.writes) for one in writes.new(Invoice)]
        invoice = made[-1] if made else None
        assert invoice is None or isinstance(invoice, Invoice)
        return Charge(sub.reference, invoice, None)

    @verb()
    def apply_coupon(
        self, scope: Scope, subscription: SubscriptionRef, coupon: Code, **options: Unpack[Options]
    ) -> Subscription:
        """Give a running subscription a coupon: it holds from its next invoice, its duration counts from now.

        Raises coupon_not_found, coupon_expired, coupon_used_up, coupon_not_applicable, currency_mismatch.
        """
        sub = scope.subscription(subscription)
        require_alive(sub.state, sub.reference, "apply_coupon")
        return give_coupon(scope, sub, coupon)

    @verb()
    def remove_coupon(
        self, scope: Scope, subscription: SubscriptionRef, coupon: Code, **options: Unpack[Options]
    ) -> Subscription:
        """End a subscription's coupon now; it counts as redeemed, and may be applied again.

        Raises coupon_not_found when the subscription does not have it, or not any more.
        """
        sub = scope.subscription(subscription)
        require_alive(sub.state, sub.reference, "remove_coupon")
        held = [one for one in sub.coupons if one.holds(scope.now)]
        if coupon not in {one.coupon.code for one in held}:
            raise Refused(
                "coupon_not_found",
                f"Subscription {sub.reference} has no coupon {coupon}.",
                remedy=f"It has {', '.join(one.coupon.code for one in held) or 'none'}.",
                coupon=coupon,
            )
        left = [
            evolve(one, until=scope.now) if one in held and one.coupon.code == coupon else one for one in sub.coupons
        ]
        after = evolve(sub, coupons=tuple(left))
        put_subscription(scope.writes, after, sub)
        record(
            scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.coupon_removed", sub.id, coupon=coupon
        )
        return after

    @verb()
    def adjust_balance(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        target: Amount | None = None,
        amount: Amount | None = None,
        reason: Text,
        **options: Unpack[Options],
    ) -> Adjustment:
        """Set what the payer owes in the subscription's currency to `target`, or move it by ± `amount`.

        The balance is what is due less credit-note credits and prepayments. Up: an invoice with one charge line, not
        charged by itself before the next renewal. Down: what is due is reduced, the oldest first; the rest is credit.
        """
        sub = scope.subscription(subscription)
        if (target is None) == (amount is None):
            raise Refused(
                "invalid_parameter",
                "A balance is set to a target, or moved by an amount: one of them.",
                remedy="Give target or amount.",
                parameter="target",
            )
        wanted = signed_minor_of(target, sub.currency, "target") if target is not None else None
        by = signed_minor_of(amount, sub.currency) if amount is not None else None
        return adjust(scope, sub, target=wanted, by=by, reason=_described(reason, "reason"))


def give_coupon(scope: Scope, sub: Subscription, coupon: str, price_id: str | None = None) -> Subscription:
    """The subscription with one more coupon, checked as it would be with another price where that is given (8.1)."""
    require_applicable(scope, evolve(sub, price_id=price_id or sub.price_id), scope.catalog.catalog.coupon(coupon))
    applied = redeem_one(
        scope,
        coupon,
        zone=scope.zone(scope.customer(sub.customer_id)),
        at=scope.now,
        currency=sub.currency,
        held=sub.coupons,
        subscription_id=sub.id,
    )
    after = evolve(sub, coupons=(*sub.coupons, applied))
    put_subscription(scope.writes, after, sub)
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.coupon_applied", sub.id, coupon=coupon)
    return after


def _described(text: str, parameter: str = "description") -> str:
    """A text that says something; raises InvalidValue for an empty one."""
    if text.strip():
        return text
    raise InvalidValue(f"{parameter} is empty.", remedy="Say what it is for: it stands on a document.")
