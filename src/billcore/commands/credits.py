"""Credits: what the merchant gives his customers as a gift, and what credit notes owe them."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, Unpack

from billcore.commands.amounts import currency_of, minor_of
from billcore.commands.parameters import Amount, CustomerRef, Instant, Options, SubscriptionRef, Text
from billcore.commands.paying_out import pay_out
from billcore.commands.prepaid import money_came
from billcore.commands.receivables import apply_to_open, held_credits, written
from billcore.commands.refunding import stored
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain import ledger
from billcore.domain.bill import post, record
from billcore.domain.credit import Credit, draw
from billcore.domain.customer import Customer
from billcore.domain.money import Money
from billcore.domain.refund import Refund
from billcore.errors import InvalidValue, Refused
from billcore.store import payment as payments


class Credits(Noun):
    """Credits: what the merchant gives his customers as a gift, and what credit notes owe them."""

    noun = "credits"

    @verb()
    def add(
        self,
        scope: Scope,
        customer: CustomerRef | None = None,
        *,
        amount: Amount,
        subscription: SubscriptionRef | None = None,
        expires_at: Instant | None = None,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Credit:
        """Give a service credit: it pays invoices first and is never refunded (behaviour 10).

        The customer is named, or one of his subscriptions, whose currency it then has. Open invoices are paid from it
        at once, the oldest first. From `expires_at` on it pays nothing more.
        """
        owner, currency = owner_of(scope, customer, subscription, amount)
        minor = minor_of(amount, currency)
        ends = expires_at if isinstance(expires_at, datetime) else None
        if ends is not None and ends <= scope.now:
            raise InvalidValue(
                f"{ends:%Y-%m-%d} is over.", remedy="Let it end later, or never.", parameter="expires_at"
            )
        credit = Credit(
            scope.new_id("crd"), owner.id, "service_credits", currency, minor, minor, scope.now, expires_at=ends
        )
        scope.writes.add(credit)
        _post(scope, credit, (ledger.GIFTS, ledger.SERVICE_CREDITS), minor)
        _event(scope, credit, "credit.added", minor, reason)
        apply_to_open(scope, owner.id, currency)
        made = written(scope, credit)
        money_came(scope, owner.id, currency)
        return made

    @verb()
    def deduct(
        self,
        scope: Scope,
        customer: CustomerRef | None = None,
        *,
        amount: Amount,
        subscription: SubscriptionRef | None = None,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> list[Credit]:
        """Take service credit back that was not used yet, from what expires soonest; the credits as they are then.

        Raises insufficient_credit for more than there is.
        """
        owner, currency = owner_of(scope, customer, subscription, amount)
        minor = minor_of(amount, currency)
        held = [one for one in held_credits(scope, owner.id, currency) if one.account == "service_credits"]
        taken = draw(minor, held, scope.now)
        there = sum(drawing.amount for drawing in taken)
        if there < minor:
            raise Refused(
                "insufficient_credit",
                f"Customer {owner.reference} has {Money(there, currency)} of service credit.",
                remedy=f"Take at most {Money(there, currency)}." if there else "There is none to take back.",
                asked=minor,
                most=there,
            )
        for drawing in taken:
            scope.writes.put(drawing.credit)
            _post(scope, drawing.credit, (ledger.SERVICE_CREDITS, ledger.GIFTS), drawing.amount)
            _event(scope, drawing.credit, "credit.deducted", drawing.amount, reason)
        return [drawing.credit for drawing in taken]

    @verb(collects=True)
    def refund(
        self,
        scope: Scope,
        customer: CustomerRef | None = None,
        *,
        amount: Amount,
        subscription: SubscriptionRef | None = None,
        to: Literal["method", "external"] = "method",
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> list[Refund]:
        """Pay out what credit notes owe a customer, the oldest first; service credits never (behaviour 10).

        By the gateways of the payments that had paid what was credited, where they give money back, otherwise outside:
        there it is only booked. Raises insufficient_credit for more than there is.
        """
        owner, currency = owner_of(scope, customer, subscription, amount)
        return pay_out(scope, owner, currency, "credits", minor_of(amount, currency), to, reason)

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The refunds as they are after their gateways answered."""
        return stored(scope, result)

    @verb(reads=True)
    def list(self, scope: Scope, customer: CustomerRef) -> list[Credit]:
        """What a customer has left of service credits, credit notes and prepayments, in the order of creation."""
        owner = scope.customer(customer)
        return payments.open_credits(scope.tx, [owner.id]).get(owner.id, [])


def owner_of(scope: Scope, customer: str | None, subscription: str | None, amount: Amount) -> tuple[Customer, str]:
    """Who is meant, by himself or by one of his subscriptions, and in which currency; raises invalid_parameter."""
    if (customer is None) == (subscription is None):
        raise Refused(
            "invalid_parameter",
            "A customer or a subscription is named, and only one of them.",
            remedy="Give customer or subscription.",
            parameter="customer",
        )
    if subscription is not None:
        sub = scope.subscription(subscription)
        return scope.customer(sub.customer_id), sub.currency
    assert customer is not None
    owner = scope.customer(customer)
    return owner, currency_of(amount, owner.currency, scope.settings.currency)


def _post(scope: Scope, credit: Credit, sides: tuple[str, str], amount: int) -> None:
    post(scope.writes, scope.new_id, credit.customer_id, scope.now, credit.currency, [(*sides, amount)])


def _event(scope: Scope, credit: Credit, kind: str, amount: int, reason: str | None) -> None:
    record(
        scope.writes,
        scope.new_id,
        credit.customer_id,
        scope.now,
        kind,
        credit.id,
        amount=amount,
        currency=credit.currency,
        reason=reason,
    )
