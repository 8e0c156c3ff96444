"""Stored payments, dunning cases and credits."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from billcore.domain.credit import Credit
from billcore.domain.dunning import DunningCase
from billcore.domain.payment import IN_DOUBT, Payment
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among, due_rows
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS

_PAYMENT = BY_CLASS[Payment]
_CREDIT = BY_CLASS[Credit]
_CASE = BY_CLASS[DunningCase]


def get(tx: Transaction, payment_id: str) -> Payment | None:
    """The payment with this id."""
    row = tx.one(f"{_PAYMENT.select} WHERE id = ?", [payment_id])
    return _PAYMENT.load(row) if row else None


def by_ids(tx: Transaction, ids: Iterable[str]) -> dict[str, Payment]:
    """Payments by id, in its order."""
    rows = tx.rows(f"{_PAYMENT.select} WHERE id IN ?? ORDER BY id", [list(ids)])
    return {one.id: one for one in _PAYMENT.load_all(rows)}


def nth(tx: Transaction, customer_id: str, place: int) -> Payment | None:
    """The customer's n-th payment, counted from 1."""
    row = tx.one(f"{_PAYMENT.select} WHERE customer_id = ? ORDER BY id LIMIT 1 OFFSET ?", [customer_id, place - 1])
    return _PAYMENT.load(row) if row else None


def of_invoice(tx: Transaction, invoice_id: str) -> list[Payment]:
    """The attempts to collect an invoice, in order."""
    rows = tx.rows(f"{_PAYMENT.select} WHERE invoice_id = ? ORDER BY attempt", [invoice_id])
    return _PAYMENT.load_all(rows)


def page(
    tx: Transaction,
    *,
    customer_id: str | None,
    invoice_id: str | None,
    status: str | None,
    after: str | None,
    limit: int,
    newest: bool = False,
) -> list[Payment]:
    """Payments in order of creation."""
    where, parameters = ["id < ?" if newest and after else "id > ?"], [after or ""]
    if invoice_id is not None:
        # What was recorded by hand pays by allocations.
        where.append(
            "id IN (SELECT p.id FROM billcore_payments p WHERE p.invoice_id = ? UNION SELECT a.source_id "
            "FROM billcore_allocations a WHERE a.invoice_id = ? AND a.account = 'payments' AND a.amount > 0)"
        )
        parameters += [invoice_id, invoice_id]
    for column, value in (("customer_id", customer_id), ("status", status)):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    order = "id DESC" if newest else "id"
    rows = tx.rows(f"{_PAYMENT.select} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?", [*parameters, limit])
    return _PAYMENT.load_all(rows)


def due_checks(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(next_check_at, customer_id, id) of attempts whose outcome is asked for up to `until`."""
    return due_rows(tx, "billcore_payments", "next_check_at", until, limit, among)


def check_now(tx: Transaction, payment_id: str, at: datetime) -> None:
    """Let the outcome of an open attempt be asked for at `at`, as a message from its gateway asks."""
    tx.execute(
        "UPDATE billcore_payments SET next_check_at = ?, version = version + 1 WHERE id = ? AND status IN ??",
        [at, payment_id, IN_DOUBT],
    )


def due_steps(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(next_step_at, customer_id, id) of dunning cases with a step up to `until`."""
    return due_rows(tx, "billcore_dunning_cases", "next_step_at", until, limit, among, pausable=True)


def open_cases(tx: Transaction, customer_ids: Iterable[str]) -> dict[tuple[str, str], DunningCase]:
    """Open dunning cases by customer id and currency."""
    rows = tx.rows(
        f"{_CASE.select} WHERE customer_id IN ?? AND status = 'open' ORDER BY id",
        [list(customer_ids)],
    )
    cases: Sequence[DunningCase] = _CASE.load_all(rows)
    return {(case.customer_id, case.currency): case for case in cases}


def cases_by_ids(tx: Transaction, ids: Iterable[str]) -> list[DunningCase]:
    """Dunning cases by id, in order of their opening."""
    return _CASE.load_all(tx.rows(f"{_CASE.select} WHERE id IN ?? ORDER BY id", [list(ids)]))


def put_step_aside(tx: Transaction, case_id: str, until: datetime, states: Collection[str]) -> list[str]:
    """Let a case's step wait until then; the ids of its customer's subscriptions in these states."""
    tx.execute(
        "UPDATE billcore_dunning_cases SET next_step_at = ?, version = version + 1 WHERE id = ?", [until, case_id]
    )
    rows = tx.rows(
        "SELECT s.id FROM billcore_subscriptions s JOIN billcore_dunning_cases c ON c.customer_id = s.customer_id "
        "WHERE c.id = ? AND s.state IN ?? AND s.parked_at IS NULL ORDER BY s.id",
        [case_id, states],
    )
    return [str(row[0]) for row in rows]


def open_credits(tx: Transaction, customer_ids: Iterable[str]) -> dict[str, list[Credit]]:
    """Credits with something left, by customer id."""
    found: dict[str, list[Credit]] = {}
    sql = f"{_CREDIT.select} WHERE customer_id IN ?? AND remaining > 0 ORDER BY id"
    for credit in _CREDIT.load_all(tx.rows(sql, [list(customer_ids)])):
        found.setdefault(credit.customer_id, []).append(credit)
    return found


def in_doubt(tx: Transaction, limit: int, acting_since: datetime) -> list[Payment]:
    """Payments whose outcome is open; those that wait for their customer only if they were made by then."""
    rows = tx.rows(
        f"{_PAYMENT.select} WHERE status IN ?? AND (status <> 'requires_action' OR created_at <= ?) "
        "ORDER BY id LIMIT ?",
        [IN_DOUBT, acting_since, limit],
    )
    return _PAYMENT.load_all(rows)
