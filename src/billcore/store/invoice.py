"""Stored invoices, credit notes, lines, coverage, and the number series."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billcore.domain.invoice import Coverage, CreditNote, Invoice, Line
from billcore.domain.payment import IN_DOUBT
from billcore.errors import InvalidValue
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among, due_rows
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS
from billcore.store.types import text_to_instant

_INVOICE = BY_CLASS[Invoice]
_NOTE = BY_CLASS[CreditNote]
_LINE = BY_CLASS[Line]
_COVERAGE = BY_CLASS[Coverage]


def by_ids(tx: Transaction, ids: Iterable[str], *, lines: bool = True) -> dict[str, Invoice]:
    """Invoices by id, in its order."""
    rows = tx.rows(f"{_INVOICE.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {invoice.id: invoice for invoice in _load(tx, rows, lines)}


def get(tx: Transaction, ref: str) -> Invoice | None:
    """The invoice with this id, this number, or this reference of its host.

    Raises InvalidValue where it is the number of one and the reference of another: neither is meant for sure.
    """
    rows = tx.rows(f"{_INVOICE.select} WHERE id = ?", [ref]) if ref.startswith("inv_") else []
    rows = rows or _named(tx, ref)
    return next(iter(_load(tx, rows, True)), None)


def _named(tx: Transaction, ref: str) -> list[Row]:
    numbered, referred = _numbered(tx, _INVOICE.select, ref), by_reference(tx, ref)
    if numbered and referred and numbered[0][0] != referred[0][0]:
        raise InvalidValue(
            f"{ref!r} is the number of one invoice and the reference of another.",
            remedy=f"Name it by its id: {numbered[0][0]} has the number, {referred[0][0]} the reference.",
        )
    return numbered or referred


def by_reference(tx: Transaction, reference: str) -> list[Row]:
    """The row of the invoice with this reference, if there is one."""
    return tx.rows(f"{_INVOICE.select} WHERE reference = ?", [reference])


def _numbered(tx: Transaction, select: str, ref: str) -> list[Row]:
    """The document whose number is printed so: found by the digits in it, as there is no index on the print."""
    digits = ",".join(sorted({str(int(run)) for run in re.findall(r"[0-9]{1,18}", ref)}))
    if not digits:
        return []
    return tx.rows(
        f"{select} WHERE series IN (SELECT series FROM billcore_counters) AND number IN ({digits}) AND number_text = ?",
        [ref],
    )


def nth(tx: Transaction, customer_id: str, place: int) -> Invoice | None:
    """The customer's n-th issued invoice, counted from 1."""
    rows = tx.rows(
        f"{_INVOICE.select} WHERE customer_id = ? AND number IS NOT NULL ORDER BY number LIMIT 1 OFFSET ?",
        [customer_id, place - 1],
    )
    return next(iter(_load(tx, rows, True)), None)


def page(
    tx: Transaction,
    *,
    customer_id: str | None,
    status: str | None,
    after: str | None,
    limit: int,
    newest: bool = False,
) -> list[Invoice]:
    """Invoices in order of creation, without discarded drafts and the documents of top-ups."""
    where: list[str] = ["discarded_at IS NULL", "purpose <> 'top_up'"]
    parameters: list[object] = []
    if after is not None:
        where.append("id < ?" if newest else "id > ?")
        parameters.append(after)
    if customer_id is not None:
        where.append("customer_id = ?")
        parameters.append(customer_id)
    if status is not None:
        where.append("status = ?")
        parameters.append(status)
    order = "id DESC" if newest else "id"
    rows = tx.rows(f"{_INVOICE.select} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?", [*parameters, limit])
    return _load(tx, rows, True)


def any_of(tx: Transaction, customer_id: str) -> bool:
    """Whether a customer has an invoice, a draft or even one that was discarded."""
    return tx.one("SELECT 1 FROM billcore_invoices WHERE customer_id = ? LIMIT 1", [customer_id]) is not None


def due(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(collect_at, customer_id, id) of invoices to collect up to `until`, earliest first."""
    return due_rows(tx, "billcore_invoices", "collect_at", until, limit, among, pausable=True)


def overdue(tx: Transaction, customer_ids: Iterable[str]) -> list[Row]:
    """(customer_id, currency, id, reserved_by, collection) of overdue invoices, oldest first."""
    return tx.rows(
        "SELECT customer_id, currency, id, reserved_by, collection FROM billcore_invoices "
        "WHERE customer_id IN ?? AND overdue ORDER BY due_at, number",
        [list(customer_ids)],
    )


def standing(tx: Transaction, invoice_ids: Iterable[str]) -> list[Row]:
    """(invoice id, subscription id, its state) of the subscriptions that stand on these invoices."""
    wanted = list(invoice_ids)
    return tx.rows(
        "SELECT i.id, s.id, s.state FROM billcore_invoices i JOIN billcore_subscriptions s ON s.id = i.subscription_id "
        "WHERE i.id IN ?? UNION SELECT l.invoice_id, s.id, s.state FROM billcore_lines l "
        "JOIN billcore_subscriptions s ON s.id = l.subscription_id WHERE l.invoice_id IN ??",
        [wanted, wanted],
    )


def open_of(tx: Transaction, customer_id: str) -> list[Invoice]:
    """A customer's open invoices, in order of creation."""
    rows = tx.rows(f"{_INVOICE.select} WHERE customer_id = ? AND status = 'open' ORDER BY id", [customer_id])
    return _load(tx, rows, True)


_LEFT_OVERDUE = """
    SELECT c.reference, i.currency, count(*), CAST(sum(i.total - i.credited - i.paid) AS BIGINT), min(i.due_at),
        s.reference
    FROM billcore_invoices i
    JOIN billcore_customers c ON c.id = i.customer_id
    LEFT JOIN billcore_dunning_cases d
        ON d.customer_id = i.customer_id AND d.currency = i.currency AND d.status = 'open'
    LEFT JOIN billcore_subscriptions s ON s.id = (
        SELECT max(p.id) FROM billcore_subscriptions p
        WHERE p.customer_id = i.customer_id AND p.state IN ('past_due', 'unpaid')
    )
    WHERE i.overdue AND i.collection = 'automatic' AND i.collect_at IS NULL AND i.reserved_by IS NULL
        AND d.next_step_at IS NULL
    GROUP BY c.reference, i.currency, s.reference
    ORDER BY min(i.due_at), c.reference LIMIT ?
"""
_NOT_REACHED = """
    SELECT p.gateway, count(*), min(i.due_at), max(p.id)
    FROM billcore_invoices i JOIN billcore_payments p ON p.invoice_id = i.id AND p.attempt = i.attempts
    WHERE i.status = 'open' AND NOT i.overdue AND i.attempts > 0 AND i.collect_at IS NOT NULL
        AND i.reserved_by IS NULL AND p.status = 'failed' AND i.due_at <= ?
    GROUP BY p.gateway ORDER BY p.gateway LIMIT ?
"""
_LEFT_RESERVED = """
    SELECT coalesce(i.number_text, i.id), p.id, p.status, p.settled_at
    FROM billcore_invoices i LEFT JOIN billcore_payments p ON p.id = i.reserved_by
    WHERE i.reserved_by IS NOT NULL AND i.discarded_at IS NULL AND (p.id IS NULL OR p.status NOT IN ??)
    ORDER BY i.id LIMIT ?
"""


def left_overdue(tx: Transaction, limit: int) -> list[Row]:
    """Overdue invoices that no step or attempt will touch, by customer.

    Rows are (customer's reference, currency, how many, due, oldest due_at, reference of a subscription to retry).
    """
    return tx.rows(_LEFT_OVERDUE, [limit])


def not_reached(tx: Transaction, at: datetime, limit: int) -> list[Row]:
    """(gateway, how many, oldest due_at, newest payment id) of invoices due by `at` whose attempts fail on the way."""
    return tx.rows(_NOT_REACHED, [at, limit])


def left_reserved(tx: Transaction, limit: int) -> list[Row]:
    """(number, payment id, its status, settled_at) of invoices reserved by a payment that is over or not there."""
    return tx.rows(_LEFT_RESERVED, [IN_DOUBT, limit])


def not_sent(tx: Transaction, customer_id: str) -> list[Row]:
    """(currency, id) of a customer's invoices whose attempt did not reach the gateway and is made again later."""
    return tx.rows(
        "SELECT currency, id FROM billcore_invoices WHERE customer_id = ? AND status = 'open' AND NOT overdue "
        "AND attempts > 0 AND collect_at IS NOT NULL AND reserved_by IS NULL ORDER BY due_at, number",
        [customer_id],
    )


def stop_retries(tx: Transaction, customer_id: str, currency: str, but: str) -> None:
    """Plan no more attempts on a customer's overdue invoices: a retry stops at the first decline (behaviour 9.5)."""
    tx.execute(
        "UPDATE billcore_invoices SET collect_at = NULL, version = version + 1 "
        "WHERE customer_id = ? AND currency = ? AND overdue AND collect_at IS NOT NULL AND id <> ?",
        [customer_id, currency, but],
    )


def draft_in_doubt(tx: Transaction, customer_id: str, subscription_id: str) -> str | None:
    """The payment without an outcome that a command about a running subscription waits for, if there is one."""
    row = tx.one(
        "SELECT reserved_by FROM billcore_invoices WHERE customer_id = ? AND subscription_id = ? "
        "AND status = 'draft' AND purpose IN ('activation', 'change', 'reactivation') AND discarded_at IS NULL "
        "AND reserved_by IS NOT NULL ORDER BY id",
        [customer_id, subscription_id],
    )
    return row[0] if row else None


def first_drafts(tx: Transaction, customer_id: str, subscription_id: str) -> list[Invoice]:
    """The draft whose payment the first period or the start of a subscription waits for."""
    rows = tx.rows(
        f"{_INVOICE.select} WHERE customer_id = ? AND subscription_id = ? AND status = 'draft' "
        "AND purpose IN ('signup', 'start') AND discarded_at IS NULL",
        [customer_id, subscription_id],
    )
    return _load(tx, rows, True)


def has_top_up(tx: Transaction, customer_id: str, currency: str) -> bool:
    """Whether a customer's prepayment is being topped up: an attempt is open, or follows."""
    return (
        tx.one(
            "SELECT 1 FROM billcore_invoices WHERE customer_id = ? AND currency = ? AND purpose = 'top_up' "
            "AND status = 'draft' AND discarded_at IS NULL LIMIT 1",
            [customer_id, currency],
        )
        is not None
    )


def lines_of(tx: Transaction, line_ids: Iterable[str]) -> dict[str, Line]:
    """Lines by id."""
    rows = tx.rows(f"{_LINE.select} WHERE id IN ?? ORDER BY id", [list(line_ids)])
    return {one.id: one for one in _LINE.load_all(rows)}


def highest_layer(tx: Transaction, item_id: str, after: datetime) -> int:
    """The highest layer of an item's active coverage that ends after an instant; 0 where there is none."""
    row = tx.one(
        "SELECT max(layer) FROM billcore_coverage WHERE item_id = ? AND status = 'active' AND \"end\" > ?",
        [item_id, after],
    )
    return int(row[0]) if row is not None and row[0] is not None else 0


def waiting(tx: Transaction, subscription_ids: Iterable[str]) -> list[Line]:
    """The lines of subscriptions that no document has billed yet, oldest first."""
    rows = tx.rows(
        f"{_LINE.select} WHERE subscription_id IN ?? AND invoice_id IS NULL AND credit_note_id IS NULL ORDER BY id",
        [list(subscription_ids)],
    )
    return _LINE.load_all(rows)


def credit_lines(tx: Transaction, line_ids: Iterable[str]) -> list[Line]:
    """The lines that give back something of these lines, oldest first; not those of void invoices and of drafts."""
    rows = tx.rows(
        f"{_LINE.select} WHERE credits_line_id IN ?? AND NOT EXISTS (SELECT 1 FROM billcore_invoices i "
        "WHERE i.id = billcore_lines.invoice_id AND i.status IN ('void', 'draft')) ORDER BY id",
        [list(line_ids)],
    )
    return _LINE.load_all(rows)


def coverage(tx: Transaction, item_ids: Iterable[str], after: datetime) -> list[Coverage]:
    """Active coverage of items that ends after an instant."""
    rows = tx.rows(
        f"{_COVERAGE.select} WHERE item_id IN ?? AND status = 'active' AND \"end\" > ? ORDER BY start, id",
        [list(item_ids), after],
    )
    return _COVERAGE.load_all(rows)


def billed_since(tx: Transaction, periods: Mapping[tuple[str, str], datetime]) -> dict[str, int]:
    """What each subscription's lines add up to since its period began (minor units, as priced), by subscription id.

    `periods` has that instant by customer id and subscription id. What credit notes gave back of unused time counts,
    what was given back by hand (8.6) does not. Usage counts in the period in which it ends.
    """
    if not periods:
        return {}
    starts = {subscription_id: at for (_, subscription_id), at in periods.items()}
    found = dict.fromkeys(starts, 0)
    first = min(starts.values())
    wanted = [{customer_id for customer_id, _ in periods}, first, list(starts), first]
    for subscription_id, used, start, end, amount in tx.rows(
        "SELECT l.subscription_id, l.kind = 'usage', l.start, l.\"end\", CAST(sum(l.amount) AS BIGINT) "
        "FROM billcore_invoices i JOIN billcore_lines l ON l.invoice_id = i.id "
        "WHERE i.customer_id IN ?? AND i.issued_at >= ? AND i.status <> 'void' AND l.subscription_id IN ?? "
        "AND (l.start >= ? OR l.kind = 'usage' AND l.\"end\" > ?) "
        "GROUP BY l.subscription_id, l.kind = 'usage', l.start, l.\"end\"",
        [*wanted, first],
    ):
        since = starts[subscription_id]
        if text_to_instant(end) > since if used else text_to_instant(start) >= since:
            found[subscription_id] += amount
    for subscription_id, start, amount, basis in tx.rows(
        "SELECT l.subscription_id, l.start, l.amount, l.basis FROM billcore_credit_notes n "
        "JOIN billcore_lines l ON l.credit_note_id = n.id "
        "WHERE n.customer_id IN ?? AND n.issued_at >= ? AND l.subscription_id IN ?? AND l.start >= ?",
        wanted,
    ):
        known = json.loads(basis)
        by_hand = "credits" in known and "share" not in known and "removed" not in known
        if text_to_instant(start) >= starts[subscription_id] and not by_hand:
            found[subscription_id] += amount
    return found


def issued_since(tx: Transaction, customer_ids: Iterable[str], at: datetime) -> list[Invoice]:
    """The valid invoices of customers that were issued at or after an instant."""
    rows = tx.rows(
        f"{_INVOICE.select} WHERE customer_id IN ?? AND issued_at >= ? AND status <> 'void' ORDER BY id",
        [list(customer_ids), at],
    )
    return _load(tx, rows, True)


def notes(
    tx: Transaction, *, customer_id: str | None = None, invoice_id: str | None = None, limit: int
) -> list[CreditNote]:
    """Credit notes in order of creation."""
    wanted = {"customer_id": customer_id, "invoice_id": invoice_id}
    given = {column: value for column, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(f'{column} = ?' for column in given)} " if given else ""
    rows = tx.rows(f"{_NOTE.select} {where}ORDER BY id LIMIT ?", [*given.values(), limit])
    lines = _lines(tx, "credit_note_id", [row[0] for row in rows])
    return _NOTE.load_all(rows, (tuple(lines.get(row[0], ())) for row in rows))


def note(tx: Transaction, ref: str) -> CreditNote | None:
    """The credit note with this id, or with this number."""
    rows = tx.rows(f"{_NOTE.select} WHERE id = ?", [ref]) if ref.startswith("crn_") else []
    row = next(iter(rows or _numbered(tx, _NOTE.select, ref)), None)
    return _NOTE.load(row, tuple(_lines(tx, "credit_note_id", [row[0]]).get(row[0], ()))) if row else None


def names(tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
    """How documents are called, by id: "invoice 17", "credit note CN-3"."""
    wanted = list(ids)
    rows = tx.rows("SELECT id, 'invoice ' || coalesce(number_text, id) FROM billcore_invoices WHERE id IN ??", [wanted])
    rows += tx.rows("SELECT id, 'credit note ' || number_text FROM billcore_credit_notes WHERE id IN ??", [wanted])
    return {row[0]: row[1] for row in rows}


def take_numbers(tx: Transaction, series: str, count: int) -> int:
    """Take `count` numbers of a series in one statement; returns the first. Taken right before the write."""
    tx.execute(
        "INSERT INTO billcore_counters (series, last) VALUES (?, ?) "
        "ON CONFLICT (series) DO UPDATE SET last = billcore_counters.last + excluded.last",
        [series, count],
    )
    row = tx.one("SELECT last FROM billcore_counters WHERE series = ?", [series])
    assert row is not None
    return int(row[0]) - count + 1


def _load(tx: Transaction, rows: Sequence[Row], lines: bool) -> list[Invoice]:
    if not rows:
        return []
    found = _lines(tx, "invoice_id", [row[0] for row in rows]) if lines else {}
    return _INVOICE.load_all(rows, (tuple(found.get(row[0], ())) for row in rows))


def _lines(tx: Transaction, column: str, ids: Sequence[str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in _LINE.load_all(tx.rows(f"{_LINE.select} WHERE {column} IN ?? ORDER BY id", [list(ids)])):
        owner = line.invoice_id or line.credit_note_id
        assert owner is not None
        found.setdefault(owner, []).append(line)
    return found
