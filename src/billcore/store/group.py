"""Stored groups of customers: who stands above and below whom, and what is moved from one payer to another."""

from collections.abc import Iterable, Sequence

from billcore.domain.customer import Customer
from billcore.domain.subscription import Subscription
from billcore.store import subscription as subscriptions
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS
from billcore.store.subscription import Coupons

_CUSTOMER = BY_CLASS[Customer]

_BELOW = (
    "WITH RECURSIVE below (id) AS (SELECT id FROM billcore_customers WHERE parent_id = ?{paying} "
    "UNION SELECT c.id FROM billcore_customers c JOIN below b ON c.parent_id = b.id{paying_c}) "
)
_EVERYBODY = _BELOW.format(paying="", paying_c="")
_PAID_FOR = _BELOW.format(paying=" AND pays = 'parent'", paying_c=" WHERE c.pays = 'parent'")


def paid_with(tx: Transaction, customer_id: str) -> list[str]:
    """The ids of those for whom is paid by whoever pays for this customer, through him; without himself."""
    return [row[0] for row in tx.rows(f"{_PAID_FOR}SELECT id FROM below ORDER BY id", [customer_id])]


def members(tx: Transaction, customer_id: str, *, after: str | None = None, limit: int) -> list[Customer]:
    """The customers below one, and those below them, in order of creation."""
    rows = tx.rows(
        f"{_EVERYBODY}{_CUSTOMER.select} WHERE id IN (SELECT id FROM below) AND id > ? ORDER BY id LIMIT ?",
        [customer_id, after or "", limit],
    )
    return _CUSTOMER.load_all(rows)


def subscribed(tx: Transaction, owner_ids: Iterable[str], coupons: Coupons) -> list[Subscription]:
    """What these customers subscribed to, whoever owes for it, in order of creation."""
    wanted = list(owner_ids)
    rows = tx.rows(
        "SELECT id FROM billcore_subscriptions WHERE (customer_id IN ?? AND owner_id IS NULL) OR owner_id IN ??",
        [wanted, wanted],
    )
    return list(subscriptions.by_ids(tx, [row[0] for row in rows], coupons).values())


def in_doubt(tx: Transaction, customer_id: str, subscription_ids: Sequence[str]) -> str | None:
    """An invoice of a customer that bills one of these subscriptions and has an attempt without an outcome, by id."""
    row = tx.one(
        "SELECT i.id FROM billcore_invoices i WHERE i.customer_id = ? AND i.reserved_by IS NOT NULL "
        "AND i.discarded_at IS NULL AND EXISTS (SELECT 1 FROM billcore_lines l WHERE l.invoice_id = i.id "
        "AND l.subscription_id IN ??) ORDER BY i.id LIMIT 1",
        [customer_id, list(subscription_ids)],
    )
    return row[0] if row else None


def move_renewals(tx: Transaction, before: str, after: str, subscription_ids: Sequence[str]) -> None:
    """Let the billings of subscriptions stand by their new payer, so that none can be written twice (behaviour 8.4)."""
    tx.execute(
        "UPDATE billcore_renewals SET customer_id = ? WHERE customer_id = ? AND subscription_id IN ??",
        [after, before, list(subscription_ids)],
    )


def billed_for(tx: Transaction, line_ids: Iterable[str]) -> dict[str, str]:
    """Who subscribed and to what ("acme s1") by line, for lines that bill somebody else for it."""
    rows = tx.rows(
        "SELECT l.id, c.reference, s.reference FROM billcore_lines l "
        "JOIN billcore_subscriptions s ON s.id = l.subscription_id "
        "JOIN billcore_customers c ON c.id = coalesce(s.owner_id, s.customer_id) "
        "WHERE l.id IN ?? AND c.id <> l.customer_id",
        [list(line_ids)],
    )
    return {row[0]: f"{row[1]} {row[2]}" for row in rows}
