"""Prepayments: the customer's own money, paid in advance."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, Unpack

from billcore.commands.amounts import minor_of
from billcore.commands.credits import owner_of
from billcore.commands.parameters import Amount, CustomerRef, Instant, Options, SubscriptionRef, Text
from billcore.commands.paying_out import pay_out
from billcore.commands.recording import receive
from billcore.commands.refunding import stored
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund


class Prepayments(Noun):
    """Prepayments: the customer's own money, paid in advance."""

    noun = "prepayments"

    @verb()
    def add(
        self,
        scope: Scope,
        customer: CustomerRef | None = None,
        *,
        amount: Amount,
        subscription: SubscriptionRef | None = None,
        method: Text | None = None,
        date: Instant | None = None,
        **options: Unpack[Options],
    ) -> Payment:
        """Record money that came in for nothing in particular: later invoices are paid from it (behaviour 10).

        The customer is named, or one of his subscriptions, whose currency it then has. Open invoices are paid from it
        at once where the setting `apply_prepayments` allows.
        """
        owner, currency = owner_of(scope, customer, subscription, amount)
        came = date if isinstance(date, datetime) else None
        return receive(scope, owner, currency, minor_of(amount, currency), (), method, came)

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
        """Pay a customer's own money out that was not used yet, the oldest first (behaviour 10).

        By the gateway that took it, where that gives money back, otherwise outside: there it is only booked. Raises
        insufficient_credit for more than there is, or than the usage of prepaid subscriptions has left of it.
        """
        owner, currency = owner_of(scope, customer, subscription, amount)
        return pay_out(scope, owner, currency, "prepayments", minor_of(amount, currency), to, reason)

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The refunds as they are after their gateways answered."""
        return stored(scope, result)
