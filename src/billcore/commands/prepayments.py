"""Prepayments: the customer's own money, paid in advance."""

from datetime import datetime
from typing import Unpack

from billcore.commands.amounts import minor_of
from billcore.commands.credits import owner_of
from billcore.commands.parameters import Amount, CustomerRef, Instant, Options, SubscriptionRef, Text
from billcore.commands.recording import receive
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.payment import Payment


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
