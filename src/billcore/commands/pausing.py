"""The operator's stop: what falls due waits, for one subscription or a customer, and goes on in order (5.2)."""

from billcore.commands.overdue import overdue_of
from billcore.commands.scope import Scope
from billcore.domain.bill import record_change
from billcore.domain.customer import Customer
from billcore.domain.event import StateChange
from billcore.domain.pausing import pause, unpause
from billcore.domain.states import LIVE, PROBLEM
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.store import subscription as subscriptions

STOPPABLE = tuple(sorted((LIVE | PROBLEM) - {"paused"}))
"""States that a pause stops; in all others nothing is served or billed."""


def pause_one(scope: Scope, sub: Subscription) -> Subscription:
    """Stop a subscription; raises transition_not_allowed where nothing runs."""
    return _put(scope, sub, pause(sub), "pause")


def unpause_one(scope: Scope, sub: Subscription) -> Subscription:
    """Let a subscription go on in its state before, as its invoices stand by now."""
    owes = any(sub.id in one.states for one in overdue_of(scope, [sub.customer_id]))
    return _put(scope, sub, unpause(sub, owes=owes), "unpause")


def of_customer(scope: Scope, customer_id: str, states: tuple[str, ...]) -> list[Subscription]:
    """A customer's subscriptions in these states, in order of creation."""
    return subscriptions.of_customers(scope.tx, [customer_id], scope.catalog.coupons, states)


def require_not_paused(customer: Customer) -> None:
    """Refuse to begin anything for a customer who is paused: transition_not_allowed."""
    if customer.paused_at is not None:
        raise Refused(
            "transition_not_allowed",
            f"Customer {customer.reference} is paused since {customer.paused_at:%Y-%m-%d}.",
            remedy="Unpause him first: customers.unpause.",
            state="paused",
        )


def require_paused(customer: Customer) -> None:
    """Refuse to let go on who is not stopped: transition_not_allowed."""
    if customer.paused_at is None:
        raise Refused(
            "transition_not_allowed",
            f"Customer {customer.reference} is not paused.",
            remedy="Only what was paused goes on; see customers.pause.",
            state="active",
        )


def _put(scope: Scope, before: Subscription, after: Subscription, cause: str) -> Subscription:
    scope.writes.put(after)
    change_id = scope.new_id("chg")
    change = StateChange(
        change_id, before.customer_id, before.id, before.state, after.state, scope.now, cause, scope.actor
    )
    record_change(scope.writes, scope.new_id, change)
    return after
