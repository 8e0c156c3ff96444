"""The stored inbox: each event once, found by when it is tried next."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from billcore.domain.inbox import InboxEvent
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among, due_rows
from billcore.store.mapping import Row
from billcore.store.records import BY_CLASS
from billcore.store.types import instant_to_text

_EVENT = BY_CLASS[InboxEvent]
_PAYMENT = BY_CLASS[Payment]
_REFUND = BY_CLASS[Refund]
_INSERT = f"{_EVENT.insert} ON CONFLICT (gateway, key) DO NOTHING"
# Bodies are long; lists do without them.
_SHORT = _EVENT.select.replace('"body"', "'' AS \"body\"")


def take_in(tx: Transaction, event: InboxEvent) -> bool:
    """Keep an event; False where the gateway has told it before."""
    return tx.execute(_INSERT, _EVENT.row(event)) == 1


def get(tx: Transaction, ref: str) -> InboxEvent | None:
    """The event with this id, or the newest that a gateway calls so."""
    row = tx.one(f"{_EVENT.select} WHERE id = ?", [ref]) if ref.startswith("evi_") else None
    row = row or tx.one(f"{_EVENT.select} WHERE key = ? ORDER BY id DESC LIMIT 1", [ref])
    return _EVENT.load(row) if row else None


def by_ids(tx: Transaction, ids: Iterable[str]) -> list[InboxEvent]:
    """Events by id, in the order they came in, without their bodies."""
    return _EVENT.load_all(tx.rows(f"{_SHORT} WHERE id IN ?? ORDER BY id", [list(ids)]))


def page(
    tx: Transaction,
    *,
    gateway: str | None,
    status: str | None,
    customer_id: str | None,
    after: str | None,
    limit: int,
    newest: bool = False,
) -> list[InboxEvent]:
    """Events in the order they came in, or the newest first, without their bodies."""
    where: list[str] = []
    parameters: list[object] = []
    if after is not None:
        where.append("id < ?" if newest else "id > ?")
        parameters.append(after)
    for column, value in (("gateway", gateway), ("status", status), ("customer_id", customer_id)):
        if value is not None:
            where.append(f"{column} = ?")
            parameters.append(value)
    filtered = f" WHERE {' AND '.join(where)}" if where else ""
    order = "id DESC" if newest else "id"
    rows = tx.rows(f"{_SHORT}{filtered} ORDER BY {order} LIMIT ?", [*parameters, limit])
    return _EVENT.load_all(rows)


def due(tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY) -> list[Row]:
    """(next_try_at, customer id, id) of events to work on up to `until`; an event of nobody is its own customer."""
    whose = "coalesce(customer_id, id)"
    return due_rows(tx, "billcore_inbox", "next_try_at", until, limit, among, customer=whose)


def claim(tx: Transaction, ids: Sequence[str], by: datetime, until: datetime) -> list[InboxEvent]:
    """Those of the events that are still to be worked on `by` then: nobody else takes them up before `until`."""
    rows = tx.rows(
        "UPDATE billcore_inbox SET next_try_at = ?, version = version + 1 "
        "WHERE id IN ?? AND status = 'waiting' AND next_try_at <= ? RETURNING id",
        [until, ids, by],
    )
    return by_ids(tx, [row[0] for row in rows])


def finish(tx: Transaction, events: Sequence[InboxEvent]) -> int:
    """Write down what became of events; one that somebody else has taken up meanwhile stays as it is."""
    return tx.execute_many(
        "UPDATE billcore_inbox SET status = ?, tries = ?, next_try_at = ?, done_at = ?, reason = ?, customer_id = ?, "
        "version = version + 1 WHERE id = ? AND version = ?",
        [
            (
                event.status,
                event.tries,
                _text(event.next_try_at),
                _text(event.done_at),
                event.reason,
                event.customer_id,
                event.id,
                event.version,
            )
            for event in events
        ],
    )


def again(
    tx: Transaction,
    at: datetime,
    *,
    gateway: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
) -> int:
    """Let events be worked on at `at` as if they had just come in; returns how many."""
    where, parameters = ["TRUE"], []
    for column, value in (("gateway = ?", gateway), ("status = ?", status)):
        if value is not None:
            where.append(column)
            parameters.append(value)
    for column, instant in (("received_at >= ?", since), ("received_at < ?", until)):
        if instant is not None:
            where.append(column)
            parameters.append(instant_to_text(instant))
    return tx.execute(
        "UPDATE billcore_inbox SET status = 'waiting', tries = 0, next_try_at = ?, done_at = NULL, reason = NULL, "
        f"version = version + 1 WHERE {' AND '.join(where)}",
        [at, *parameters],
    )


def parked(tx: Transaction, limit: int) -> list[InboxEvent]:
    """Events that wait for a person, oldest first."""
    return page(tx, gateway=None, status="parked", customer_id=None, after=None, limit=limit)


def payments_called(tx: Transaction, gateway_ids: Iterable[str]) -> list[Payment]:
    """The payments that gateways call so."""
    rows = tx.rows(f"{_PAYMENT.select} WHERE gateway_id IN ?? ORDER BY id", [list(gateway_ids)])
    return _PAYMENT.load_all(rows)


def refunds_called(tx: Transaction, gateway_ids: Iterable[str]) -> list[Refund]:
    """The refunds that gateways call so."""
    rows = tx.rows(f"{_REFUND.select} WHERE gateway_id IN ?? ORDER BY id", [list(gateway_ids)])
    return _REFUND.load_all(rows)


def _text(at: datetime | None) -> str | None:
    return None if at is None else instant_to_text(at)
