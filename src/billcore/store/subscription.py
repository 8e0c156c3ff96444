"""Stored subscriptions with their components and coupons."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billcore.domain.catalog import Coupon
from billcore.domain.discount import AppliedCoupon
from billcore.domain.subscription import Item, Subscription
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among, due_rows
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS

_SUBSCRIPTION = BY_CLASS[Subscription]
_ITEM = BY_CLASS[Item]
_COUPON = BY_CLASS[AppliedCoupon]

Coupons = Mapping[str, Coupon]


def get(tx: Transaction, ref: str, coupons: Coupons) -> Subscription | None:
    """The subscription with this id or reference."""
    rows = tx.rows(f"{_SUBSCRIPTION.select} WHERE id = ?", [ref]) if ref.startswith("sub_") else []
    rows = rows or tx.rows(f"{_SUBSCRIPTION.select} WHERE reference = ?", [ref])
    return next(iter(_load(tx, rows, coupons)), None)


def by_ids(tx: Transaction, ids: Iterable[str], coupons: Coupons) -> dict[str, Subscription]:
    """Subscriptions by id, in its order."""
    rows = tx.rows(f"{_SUBSCRIPTION.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {sub.id: sub for sub in _load(tx, rows, coupons)}


def of_customers(
    tx: Transaction, customer_ids: Iterable[str], coupons: Coupons, states: Sequence[str] | None = None
) -> list[Subscription]:
    """The customers' subscriptions in order of creation, only those in `states` where given."""
    if states is None:
        rows = tx.rows(f"{_SUBSCRIPTION.select} WHERE customer_id IN ?? ORDER BY id", [list(customer_ids)])
    else:
        rows = tx.rows(
            f"{_SUBSCRIPTION.select} WHERE customer_id IN ?? AND state IN ?? ORDER BY id",
            [list(customer_ids), list(states)],
        )
    return _load(tx, rows, coupons)


def addons(tx: Transaction, base_ids: Iterable[str], coupons: Coupons) -> list[Subscription]:
    """The subscriptions that take their dates from these."""
    wanted = list(base_ids)
    if not wanted:
        return []
    return _load(tx, tx.rows(f"{_SUBSCRIPTION.select} WHERE base_id IN ?? ORDER BY id", [wanted]), coupons)


def prepaid(tx: Transaction, customer_ids: Iterable[str], coupons: Coupons) -> list[Subscription]:
    """The customers' subscriptions that are paid in advance and have not ended, in order of creation."""
    rows = tx.rows(
        f"{_SUBSCRIPTION.select} WHERE collection = 'prepaid' AND customer_id IN ?? AND ended_at IS NULL ORDER BY id",
        [list(customer_ids)],
    )
    return _load(tx, rows, coupons)


def due(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(next_action_at, customer_id, id) of what falls due up to `until`, earliest first; parked ones wait."""
    return due_rows(
        tx, "billcore_subscriptions", "next_action_at", until, limit, among, "parked_at IS NULL", pausable=True
    )


def references(tx: Transaction) -> list[str]:
    """All references, for naming the nearest ones of an unknown one."""
    return [row[0] for row in tx.rows("SELECT reference FROM billcore_subscriptions ORDER BY id LIMIT 100000")]


def page(
    tx: Transaction,
    coupons: Coupons,
    *,
    customer_id: str | None,
    state: str | None,
    after: str | None,
    limit: int,
    archived: bool = False,
) -> list[Subscription]:
    """Subscriptions in order of creation, those that are archived only where they are asked for.

    A customer's are those he owes for and those somebody pays for him.
    """
    where, parameters = ["id > ?"], [after or ""]
    if not archived:
        where.append("archived_at IS NULL")
    if customer_id is not None:
        where.append("(customer_id = ? OR owner_id = ?)")
        parameters += [customer_id, customer_id]
    if state is not None:
        where.append("state = ?")
        parameters.append(state)
    rows = tx.rows(f"{_SUBSCRIPTION.select} WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", [*parameters, limit])
    return _load(tx, rows, coupons)


def own_methods(tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """The payment methods of subscriptions that have one of their own, by subscription id."""
    rows = tx.rows(
        "SELECT id, payment_method_id FROM billcore_subscriptions WHERE id IN ?? AND payment_method_id IS NOT NULL",
        [list(ids)],
    )
    return {row[0]: row[1] for row in rows}


def unpaid(tx: Transaction, ids: Iterable[str]) -> set[str]:
    """Those of these subscriptions that are unpaid, by id."""
    wanted = list(ids)
    if not wanted:
        return set()
    rows = tx.rows("SELECT id FROM billcore_subscriptions WHERE id IN ?? AND state = 'unpaid'", [wanted])
    return {row[0] for row in rows}


_TRIALS = """
    SELECT 1 FROM billcore_subscriptions s WHERE s.id <> ? AND s.trial_until IS NOT NULL AND s.period_start IS NOT NULL
        AND s.state <> 'failed_to_create' AND {whose} LIMIT 1
"""
_SAME_HAND = """
    (s.customer_id = ? OR s.customer_id IN (
        SELECT other.customer_id FROM billcore_payment_methods mine
        JOIN billcore_payment_methods other ON other.fingerprint = mine.fingerprint
        WHERE mine.customer_id = ? AND mine.fingerprint <> ''))
"""


def by_referral_code(tx: Transaction, code: str) -> tuple[str, str] | None:
    """(subscription id, customer id) of whose code this is."""
    row = tx.one("SELECT id, customer_id FROM billcore_subscriptions WHERE referral_code = ?", [code])
    return (row[0], row[1]) if row else None


def referred(tx: Transaction, customer_ids: Iterable[str], coupons: Coupons) -> list[Subscription]:
    """These customers' subscriptions that somebody sent and that were not paid for yet."""
    rows = tx.rows(
        f"{_SUBSCRIPTION.select} WHERE customer_id IN ?? AND referred_by IS NOT NULL AND referral_paid_at IS NULL",
        [list(customer_ids)],
    )
    return _load(tx, rows, coupons)


def had_trial(tx: Transaction, sub: Subscription, *, fingerprints: bool) -> bool:
    """Whether the customer of a new subscription had a trial before, on another one of his.

    With `fingerprints` also whoever has, or had, a payment method with the same fingerprint as one of his.
    """
    owner = sub.customer_id
    if fingerprints:
        return tx.one(_TRIALS.format(whose=_SAME_HAND), [sub.id, owner, owner]) is not None
    return tx.one(_TRIALS.format(whose="s.customer_id = ?"), [sub.id, owner]) is not None


def redemptions(tx: Transaction, coupon_ids: Iterable[str]) -> int:
    """How often one of these versions of a coupon was redeemed; failed signups and discarded drafts do not count."""
    row = tx.one(
        "SELECT count(*) FROM billcore_applied_coupons c "
        "LEFT JOIN billcore_subscriptions s ON s.id = c.subscription_id "
        "LEFT JOIN billcore_invoices i ON i.id = c.invoice_id "
        "WHERE c.coupon_id IN ?? AND (s.id IS NULL OR s.state <> 'failed_to_create') AND i.discarded_at IS NULL",
        [list(coupon_ids)],
    )
    return int(row[0]) if row else 0


def has_documents(tx: Transaction, sub: Subscription) -> bool:
    """Whether an invoice or credit note bills or credits something of a subscription, or a line waits for one.

    Discarded drafts are none.
    """
    return (
        tx.one(
            "SELECT 1 FROM billcore_renewals WHERE customer_id = ? AND subscription_id = ? AND invoice_id IS NOT NULL "
            "UNION ALL SELECT 1 FROM billcore_invoices i JOIN billcore_lines l ON l.invoice_id = i.id "
            "WHERE i.customer_id = ? AND i.discarded_at IS NULL AND l.subscription_id = ? "
            "UNION ALL SELECT 1 FROM billcore_credit_notes n JOIN billcore_lines l ON l.credit_note_id = n.id "
            "WHERE n.customer_id = ? AND l.subscription_id = ? "
            "UNION ALL SELECT 1 FROM billcore_lines WHERE customer_id = ? AND subscription_id = ? "
            "AND invoice_id IS NULL AND credit_note_id IS NULL LIMIT 1",
            [sub.customer_id, sub.id] * 4,
        )
        is not None
    )


def delete(tx: Transaction, subscription_id: str) -> None:
    """Remove a subscription that no document names, with all that hangs on it."""
    for table in ("applied_coupons", "usage_events", "changes", "state_changes", "renewals", "subscription_items"):
        tx.execute(f"DELETE FROM billcore_{table} WHERE subscription_id = ?", [subscription_id])
    tx.execute("DELETE FROM billcore_subscriptions WHERE id = ?", [subscription_id])


def parked(tx: Transaction, limit: int) -> list[tuple[str, str, str]]:
    """(reference, parked_at, reason) of parked subscriptions."""
    rows = tx.rows(
        "SELECT reference, parked_at, parked_reason FROM billcore_subscriptions "
        "WHERE parked_at IS NOT NULL ORDER BY parked_at LIMIT ?",
        [limit],
    )
    return [(row[0], row[1], row[2]) for row in rows]


def park(tx: Transaction, ids: Sequence[str], at: datetime, reason: str) -> None:
    """Take subscriptions out of the engine's way until somebody looks at them."""
    tx.execute(
        "UPDATE billcore_subscriptions SET parked_at = ?, parked_reason = ?, version = version + 1 WHERE id IN ??",
        [at, reason, list(ids)],
    )


def _load(tx: Transaction, rows: Sequence[Row], coupons: Coupons) -> list[Subscription]:
    if not rows:
        return []
    ids = [row[0] for row in rows]
    items: dict[str, list[Item]] = {}
    for item in _ITEM.load_all(tx.rows(f"{_ITEM.select} WHERE subscription_id IN ?? ORDER BY id", [ids])):
        items.setdefault(item.subscription_id, []).append(item)
    applied: dict[str, list[AppliedCoupon]] = {}
    held = tx.rows(f"{_COUPON.select} WHERE subscription_id IN ?? ORDER BY position", [ids])
    for coupon in _COUPON.load_all([(id_, coupons[coupon_id], *rest) for id_, coupon_id, *rest in held]):
        applied.setdefault(coupon.subscription_id, []).append(coupon)
    return _SUBSCRIPTION.load_all(
        rows, (tuple(items.get(id_, ())) for id_ in ids), (tuple(applied.get(id_, ())) for id_ in ids)
    )
