"""Stored changes of subscriptions, planned and done."""

from collections.abc import Iterable
from datetime import datetime

from billcore.domain.change import Change
from billcore.domain.invoice import Renewal
from billcore.domain.subscription import Subscription
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS

_CHANGE = BY_CLASS[Change]
_RENEWAL = BY_CLASS[Renewal]


def get(tx: Transaction, change_id: str) -> Change:
    """One change by id."""
    row = tx.one(f"{_CHANGE.select} WHERE id = ?", [change_id])
    assert row is not None, change_id
    return _CHANGE.load(row)  # type: ignore[no-any-return]


def of_subscriptions(tx: Transaction, subscription_ids: Iterable[str]) -> list[Change]:
    """The changes of subscriptions in the order in which they were asked for."""
    rows = tx.rows(f"{_CHANGE.select} WHERE subscription_id IN ?? ORDER BY id", [list(subscription_ids)])
    return _CHANGE.load_all(rows)


def for_invoice(tx: Transaction, invoice_id: str) -> Change | None:
    """The change that waits for the payment of a draft."""
    row = tx.one(f"{_CHANGE.select} WHERE invoice_id = ? AND status = 'waiting'", [invoice_id])
    return _CHANGE.load(row) if row else None


def running(tx: Transaction, customer_id: str, subscription_id: str, sequence: int) -> Renewal | None:
    """The row of the billing that took a subscription into its period."""
    row = tx.one(
        f"{_RENEWAL.select} WHERE customer_id = ? AND subscription_id = ? AND sequence = ?",
        [customer_id, subscription_id, sequence],
    )
    return _RENEWAL.load(row) if row else None


def earlier(tx: Transaction, sub: Subscription, after: datetime) -> list[Renewal]:
    """The rows of the billings before that, whose periods end after an instant, in their order."""
    rows = tx.rows(
        f"{_RENEWAL.select} WHERE customer_id = ? AND subscription_id = ? AND sequence < ? AND period_end > ? "
        "ORDER BY sequence",
        [sub.customer_id, sub.id, sub.sequence, after],
    )
    return _RENEWAL.load_all(rows)


def returned_at(tx: Transaction, subscription_id: str) -> str | None:
    """When a subscription last came back from a hold or an end, as the store writes instants."""
    row = tx.one(
        "SELECT max(at) FROM billcore_state_changes WHERE subscription_id = ? AND previous IN "
        "('on_hold', 'paused', 'canceled', 'expired', 'trial_ended', 'trialing')",
        [subscription_id],
    )
    return row[0] if row else None
