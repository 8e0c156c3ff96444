"""What is overdue of customers, and which subscriptions stand on it (behaviour 5.2, 9.5)."""

from collections.abc import Iterable

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.domain.invoice import Invoice
from billcore.store import invoice as invoices


@frozen
class Overdue:
    """An overdue invoice with the ids of the subscriptions that stand on it; `reserved_by` is an open attempt."""

    id: str
    customer_id: str
    currency: str
    reserved_by: str | None
    subscriptions: frozenset[str]


def overdue_of(scope: Scope, customer_ids: Iterable[str], currency: str | None = None) -> list[Overdue]:
    """What is overdue of these customers as this unit of work has left it so far, oldest first; in one currency."""
    found = []
    for customer_id, its_currency, invoice_id, reserved_by in invoices.overdue(scope.tx, customer_ids):
        mine = scope.writes.get(Invoice, invoice_id)
        if currency in (None, its_currency) and (not isinstance(mine, Invoice) or mine.overdue):
            found.append((invoice_id, customer_id, its_currency, reserved_by))
    if not found:  # Nearly always.
        return []
    standing: dict[str, set[str]] = {}
    for invoice_id, subscription_id, _ in invoices.standing(scope.tx, [row[0] for row in found]):
        standing.setdefault(invoice_id, set()).add(subscription_id)
    return [Overdue(*row, frozenset(standing.get(row[0], ()))) for row in found]
