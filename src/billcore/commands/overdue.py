"""What is overdue of customers, which subscriptions stand on it, and what of it no dunning touches (5.2, 9.5)."""

from collections.abc import Iterable

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.domain.invoice import Invoice
from billcore.domain.states import END
from billcore.domain.subscription import Subscription
from billcore.store import invoice as invoices

AT_REST = frozenset({"unpaid", "on_hold"})
"""States of subscriptions of which nothing is charged by itself once it is overdue."""


@frozen
class Overdue:
    """An overdue invoice with the subscriptions that stand on it; `reserved_by` is an open attempt."""

    id: str
    customer_id: str
    currency: str
    reserved_by: str | None
    automatic: bool
    states: dict[str, str]
    """The states of its subscriptions, by id."""

    @property
    def rests(self) -> bool:
        """Whether no dunning is about it: it is paid by remittance, or who still runs on it is unpaid or on hold."""
        running = set(self.states.values()) - END
        return not self.automatic or (bool(running) and running <= AT_REST)


def overdue_of(scope: Scope, customer_ids: Iterable[str], currency: str | None = None) -> list[Overdue]:
    """What is overdue of these customers as this unit of work has left it so far, oldest first; in one currency."""
    rows = []
    for row in invoices.overdue(scope.tx, customer_ids):
        mine = scope.writes.get(Invoice, row[2])
        if currency in (None, row[1]) and (not isinstance(mine, Invoice) or mine.overdue):
            rows.append(row)
    if not rows:  # Nearly always.
        return []
    states: dict[str, dict[str, str]] = {}
    for invoice_id, subscription_id, stored in invoices.standing(scope.tx, [row[2] for row in rows]):
        now = scope.writes.get(Subscription, subscription_id)
        state = now.state if isinstance(now, Subscription) else stored
        states.setdefault(invoice_id, {})[subscription_id] = state
    return [
        Overdue(
            invoice_id, customer_id, its_currency, reserved_by, collection == "automatic", states.get(invoice_id, {})
        )
        for customer_id, its_currency, invoice_id, reserved_by, collection in rows
    ]
