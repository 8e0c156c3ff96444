"""What customers owe and have, in each currency (behaviour 1.4, 10)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from billcore.store.database import Transaction


@frozen
class Balance:
    """One customer's money in one currency, in minor units.

    `due` is what open invoices are still due, `overdue` the part of it that is past its date or was declined, `credit`
    what credit notes left, `service_credit` what gifts did, as far as they have not expired, `prepayment` what is paid
    ahead, `lifetime_value` what was paid and kept (behaviour 9.6).
    """

    customer_id: str
    currency: str
    due: int = 0
    overdue: int = 0
    credit: int = 0
    service_credit: int = 0
    prepayment: int = 0
    lifetime_value: int = 0


_DUE = """
    SELECT customer_id, currency, CAST(sum(total - credited - paid) AS BIGINT),
        CAST(sum(CASE WHEN overdue THEN total - credited - paid ELSE 0 END) AS BIGINT)
    FROM billcore_invoices WHERE customer_id IN ?? AND status = 'open' GROUP BY customer_id, currency
"""
_HELD = """
    SELECT customer_id, currency, account, CAST(sum(remaining) AS BIGINT) FROM billcore_credits
    WHERE customer_id IN ?? AND remaining > 0 AND (expires_at IS NULL OR expires_at > ?)
    GROUP BY customer_id, currency, account
"""
_KEPT = """
    SELECT customer_id, currency, CAST(sum(captured - refunded) AS BIGINT) FROM billcore_payments
    WHERE customer_id IN ?? AND captured > 0 GROUP BY customer_id, currency
"""
_PAID_OUT = """
    SELECT customer_id, currency, CAST(sum(amount) AS BIGINT) FROM billcore_refunds
    WHERE customer_id IN ?? AND payment_id IS NULL AND status = 'succeeded' GROUP BY customer_id, currency
"""
_FIELDS = {"credits": "credit", "service_credits": "service_credit", "prepayments": "prepayment"}


def balances(tx: Transaction, customer_ids: Sequence[str], at: datetime) -> list[Balance]:
    """The balances of customers, one for each currency in which there is something, by customer and currency."""
    found: dict[tuple[str, str], dict[str, int]] = {}

    for customer_id, currency, due, overdue in tx.rows(_DUE, [customer_ids]):
        found.setdefault((customer_id, currency), {}).update(due=due, overdue=overdue)
    for customer_id, currency, account, remaining in tx.rows(_HELD, [customer_ids, at]):
        found.setdefault((customer_id, currency), {})[_FIELDS[account]] = remaining
    for customer_id, currency, kept in tx.rows(_KEPT, [customer_ids]):
        found.setdefault((customer_id, currency), {})["lifetime_value"] = kept
    for customer_id, currency, out in tx.rows(_PAID_OUT, [customer_ids]):
        mine = found.setdefault((customer_id, currency), {})
        mine["lifetime_value"] = mine.get("lifetime_value", 0) - out
    return [Balance(key[0], key[1], **found[key]) for key in sorted(found)]
