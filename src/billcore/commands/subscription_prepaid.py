"""Verbs of subscriptions that stop what falls due, and that top a prepayment up (behaviour 5.2, 9.8)."""

from typing import Unpack

from attrs import evolve

from billcore.commands.amounts import minor_of
from billcore.commands.parameters import Amount, Options, SubscriptionRef
from billcore.commands.pausing import pause_one, unpause_one
from billcore.commands.prepaid import top_up_where_low
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused


class Prepaying(Noun):
    """Verbs of subscriptions: pause, unpause, set_top_up."""

    noun = "subscriptions"

    @verb()
    def pause(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Stop what falls due for a subscription until it is unpaused; nothing is billed, given back or ended.

        Its invoices are still collected; `customers.pause` stops that too. Raises transition_not_allowed for what
        does not run (behaviour 5.2).
        """
        return pause_one(scope, scope.subscription(subscription))

    @verb()
    def unpause(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Let a paused subscription go on in the state it had; what it missed is billed in order by the next run.

        Raises transition_not_allowed unless it is paused, or while its customer is.
        """
        sub = scope.subscription(subscription)
        owner = scope.customer(sub.customer_id)
        if sub.state == "paused" and owner.paused_at is not None:
            raise Refused(
                "transition_not_allowed",
                f"Customer {owner.reference} is paused, and subscription {sub.reference} with him.",
                remedy="Unpause the customer: customers.unpause.",
                state=sub.state,
            )
        return unpause_one(scope, sub)

    @verb()
    def set_top_up(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        below: Amount | None = None,
        amount: Amount | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Charge `amount` to the default method by itself when the prepayment falls below `below`; None for never.

        One that is below already is topped up by the next run. Raises invalid_value for one without the other, and
        for a subscription that is not paid in advance.
        """
        sub = scope.subscription(subscription)
        after = evolve(with_top_up(sub, below, amount), top_up_id=None)
        scope.writes.put(after)
        scope.flush()
        top_up_where_low(scope, sub.customer_id, sub.currency)
        return scope.subscription(sub.id)


def with_top_up(sub: Subscription, below: Amount | None, amount: Amount | None) -> Subscription:
    """A subscription with its top-up; raises InvalidValue for half of one, and where nothing is paid in advance."""
    if (below is None) != (amount is None):
        raise InvalidValue(
            "A top-up has a limit and an amount.",
            remedy="Give both, or neither.",
            parameter="top_up_below" if below is None else "top_up_amount",
        )
    if below is None or amount is None:
        return evolve(sub, top_up_below=None, top_up_amount=None)
    if sub.collection != "prepaid":
        raise InvalidValue(
            f"Subscription {sub.reference} is not paid in advance; there is nothing to top up.",
            remedy="Top-ups go with collection=prepaid.",
            parameter="top_up_below",
        )
    return evolve(
        sub,
        top_up_below=minor_of(below, sub.currency, "top_up_below"),
        top_up_amount=minor_of(amount, sub.currency, "top_up_amount"),
    )
