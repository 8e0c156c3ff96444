"""Referrals: who sent a new customer, and the thanks for it when he first pays (behaviour 11)."""

from collections.abc import Sequence

from billcore.commands.receivables import written
from billcore.commands.scope import Scope
from billcore.domain import ledger
from billcore.domain.bill import post, record
from billcore.domain.credit import Allocation, Credit
from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Payment
from billcore.domain.referral import as_code
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.errors import InvalidValue, NotFound
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions

_MONEY = ("payments", "prepayments")
"""What counts as a payment of the one who was referred: his own money."""


def referrer_of(scope: Scope, code: str, buyer: Customer) -> str:
    """The id of the subscription whose code was given; raises NotFound, InvalidValue for the buyer's own code."""
    found = subscriptions.by_referral_code(scope.tx, as_code(code))
    if found is None:
        raise NotFound(
            f"There is no referral code {code!r}.",
            remedy="Sign up without it, or ask for the code again.",
            noun="referral code",
            ref=code,
        )
    subscription_id, owner = found
    if owner == buyer.id:
        raise InvalidValue(
            f"{code} is a code of customer {buyer.reference} himself.",
            remedy="A code is for others; sign up without it.",
            parameter="referral",
        )
    return subscription_id


def coupons_of(scope: Scope, sub: Subscription, given: Sequence[str]) -> Sequence[str]:
    """The coupons of a signup: those given, and for one that somebody sent the site's (setting referral_coupon)."""
    coupon = scope.settings.referral_coupon
    if sub.referred_by is None or coupon is None or coupon in given:
        return given
    return (*given, coupon)


def thank_referrers(scope: Scope) -> None:
    """Give a service credit to whoever sent a customer that has paid for the first time in this unit of work.

    Once for each referred subscription, which remembers it; whether the payment goes back later changes nothing.
    """
    paid = _paid(scope)
    if not paid:
        return
    known = {one.id: one for one in _found(scope, paid)}
    new = [one for one in scope.writes.new(Subscription) if isinstance(one, Subscription)]
    known |= {one.id: one for one in new if one.customer_id in set(paid.values())}
    for stored in known.values():
        sub = written(scope, stored)
        if sub.referred_by is not None and sub.referral_paid_at is None and _is_on(scope, sub, paid):
            scope.writes.put(evolve(sub, referral_paid_at=scope.now))
            _thank(scope, sub)


def _paid(scope: Scope) -> dict[str, str]:
    """The invoices that customers' own money pays in this unit, with their customers, by id."""
    paid = {}
    for record_ in scope.writes.new(Allocation):
        if isinstance(record_, Allocation) and record_.account in _MONEY and record_.amount > 0:
            paid[record_.invoice_id] = record_.customer_id
    for payment in scope.writes.changed(Payment):
        if isinstance(payment, Payment) and payment.status == "succeeded" and payment.applied > 0:
            paid[payment.invoice_id or ""] = payment.customer_id
    return paid


def _found(scope: Scope, paid: dict[str, str]) -> list[Subscription]:
    return subscriptions.referred(scope.tx, set(paid.values()), scope.catalog.coupons)


def _is_on(scope: Scope, sub: Subscription, paid: dict[str, str]) -> bool:
    mine = [invoice_id for invoice_id, owner in paid.items() if owner == sub.customer_id]
    stored = {one.id: one for one in invoices.by_ids(scope.tx, mine).values()}
    for invoice_id in mine:
        made = scope.writes.get(Invoice, invoice_id)
        documents = [one for one in (made, stored.get(invoice_id)) if isinstance(one, Invoice)]
        if any(sub.id in (one.subscription_id, *(line.subscription_id for line in one.lines)) for one in documents):
            return True
    return False


def _thank(scope: Scope, referred: Subscription) -> None:
    referrer = subscriptions.by_ids(scope.tx, [referred.referred_by or ""], scope.catalog.coupons)
    for sub in referrer.values():
        amount = dict(scope.settings.referral_credit).get(sub.currency, 0)
        if not amount:
            return
        credit = Credit(
            scope.new_id("crd"),
            sub.customer_id,
            "service_credits",
            sub.currency,
            amount,
            amount,
            scope.now,
            source_id=referred.id,
        )
        scope.writes.add(credit)
        sides = (ledger.GIFTS, ledger.SERVICE_CREDITS, amount)
        post(scope.writes, scope.new_id, sub.customer_id, scope.now, sub.currency, [sides])
        record(
            scope.writes,
            scope.new_id,
            sub.customer_id,
            scope.now,
            "referral.rewarded",
            credit.id,
            amount=amount,
            currency=sub.currency,
            referred=referred.id,
        )
