"""Sums over the books for people: by month, by state, by customer. Each currency on its own (behaviour 1.4)."""

from datetime import datetime

from attrs import frozen

from billcore.store.database import Transaction
from billcore.store.types import text_to_instant


@frozen
class Month:
    """One month (2026-01, UTC) in one currency: invoices issued in it, payments that succeeded and failed in it.

    Amounts are minor units; `due` is what is still open of the invoices issued in it.
    """

    month: str
    currency: str
    invoices: int = 0
    invoiced: int = 0
    due: int = 0
    collected: int = 0
    failures: int = 0
    failed: int = 0


@frozen
class LifetimeValue:
    """What a customer has paid and kept, in one currency, over how many payments."""

    reference: str
    currency: str
    payments: int
    amount: int


@frozen
class Running:
    """An active subscription in a period that was billed by an invoice of its own, over `total` minor units."""

    reference: str
    currency: str
    period_start: datetime
    period_end: datetime
    total: int


def months(tx: Transaction) -> list[Month]:
    """Every month with an invoice or a payment, in order."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for month, currency, invoices, invoiced, due in tx.rows(
        f"SELECT {tx.month('issued_at')}, currency, count(*), CAST(sum(total) AS BIGINT), "
        "CAST(sum(CASE WHEN status = 'open' THEN total - paid - credited ELSE 0 END) AS BIGINT) FROM billcore_invoices "
        "WHERE issued_at IS NOT NULL AND status <> 'void' GROUP BY 1, 2"
    ):
        found.setdefault((month, currency), {}).update(invoices=invoices, invoiced=invoiced, due=due)
    for month, currency, collected, failures, failed in tx.rows(
        f"SELECT {tx.month('created_at')}, currency, CAST(sum(captured) AS BIGINT), "
        "count(CASE WHEN status = 'failed' THEN 1 END), "
        "CAST(sum(CASE WHEN status = 'failed' THEN amount ELSE 0 END) AS BIGINT) FROM billcore_payments GROUP BY 1, 2"
    ):
        found.setdefault((month, currency), {}).update(collected=collected, failures=failures, failed=failed)
    return [Month(month, currency, **found[month, currency]) for month, currency in sorted(found)]


def states(tx: Transaction) -> dict[str, int]:
    """How many subscriptions are in each state, most first."""
    rows = tx.rows("SELECT state, count(*) FROM billcore_subscriptions GROUP BY state ORDER BY 2 DESC, 1")
    return dict(rows)


def top_customers(tx: Transaction, limit: int) -> list[LifetimeValue]:
    """The customers with the highest lifetime value: paid less refunded (behaviour 9.6)."""
    rows = tx.rows(
        "SELECT c.reference, p.currency, p.n, p.kept FROM (SELECT customer_id, currency, CAST(sum(n) AS BIGINT) AS n, "
        "CAST(sum(kept) AS BIGINT) AS kept FROM ("
        "SELECT customer_id, currency, 1 AS n, captured - refunded AS kept FROM billcore_payments WHERE captured > 0 "
        "UNION ALL SELECT customer_id, currency, 0, -amount FROM billcore_refunds "
        "WHERE payment_id IS NULL AND status = 'succeeded') m "
        "GROUP BY customer_id, currency ORDER BY 4 DESC, customer_id LIMIT ?) p "
        "JOIN billcore_customers c ON c.id = p.customer_id ORDER BY p.kept DESC, c.reference",
        [limit],
    )
    return [LifetimeValue(*row) for row in rows]


def running(tx: Transaction, at: datetime) -> list[Running]:
    """Active subscriptions that go on, whose period is paid and whose payers' payments all succeeded, by reference."""
    rows = tx.rows(
        "SELECT s.reference, s.currency, s.period_start, s.period_end, i.total FROM billcore_subscriptions s "
        "JOIN billcore_renewals r ON r.customer_id = s.customer_id AND r.subscription_id = s.id "
        "AND r.sequence = s.sequence JOIN billcore_invoices i ON i.id = r.invoice_id "
        "WHERE s.state = 'active' AND s.cancel_at IS NULL AND i.status = 'paid' AND s.period_end > ? "
        "AND NOT EXISTS (SELECT 1 FROM billcore_payments p WHERE p.customer_id = s.customer_id AND p.status = 'failed')"
        " ORDER BY s.reference",
        [at],
    )
    return [Running(row[0], row[1], text_to_instant(row[2]), text_to_instant(row[3]), row[4]) for row in rows]


def hard_won_invoice(tx: Transaction) -> str:
    """The number of an invoice that shows much: the newest paid one that was declined first, else the newest.

    "" where there is none.
    """
    row = tx.one(
        "SELECT number_text FROM billcore_invoices WHERE status = 'paid' AND attempts > 1 "
        "ORDER BY issued_at DESC, number LIMIT 1"
    ) or tx.one(
        "SELECT number_text FROM billcore_invoices WHERE number IS NOT NULL ORDER BY issued_at DESC, number LIMIT 1"
    )
    return row[0] if row else ""
