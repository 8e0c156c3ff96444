"""Stored idempotency keys, settings, meta values, events and the audit log."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from billcore.domain.event import Event
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS
from billcore.store.types import text_to_instant

_EVENT = BY_CLASS[Event]


def remembered(tx: Transaction, verb: str, key: str, since: datetime) -> tuple[str, str] | None:
    """(parameters, result) of a call with this key since an instant, as JSON."""
    row = tx.one(
        "SELECT parameters, result FROM billcore_idempotency WHERE verb = ? AND key = ? AND created_at >= ?",
        [verb, key, since],
    )
    return (row[0], row[1]) if row else None


def remember(tx: Transaction, verb: str, key: str, parameters: str, result: str, at: datetime) -> None:
    """Keep the result of a call under its key; a second write of the same key replaces it."""
    tx.execute(
        "INSERT INTO billcore_idempotency (verb, key, parameters, result, created_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (verb, key) DO UPDATE SET parameters = excluded.parameters, result = excluded.result, "
        "created_at = excluded.created_at",
        [verb, key, parameters, result, at],
    )


def settings(tx: Transaction) -> dict[str, object]:
    """Site settings that were set, by name."""
    return {row[0]: json.loads(row[1]) for row in tx.rows("SELECT name, value FROM billcore_settings")}


def save_settings(tx: Transaction, values: Mapping[str, object]) -> None:
    """Set site settings."""
    tx.execute_many(
        "INSERT INTO billcore_settings (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, json.dumps(value)) for name, value in values.items()],
    )


def meta(tx: Transaction) -> dict[str, str]:
    """The store's own values: installation id, clock, revision."""
    return {row[0]: row[1] for row in tx.rows("SELECT key, value FROM billcore_meta")}


def revision(tx: Transaction) -> int:
    """How often settings or catalog were changed."""
    row = tx.one("SELECT value FROM billcore_meta WHERE key = 'revision'")
    return int(row[0]) if row else 0


def save_meta(tx: Transaction, key: str, value: str) -> None:
    """Set one of the store's own values."""
    tx.execute(
        "INSERT INTO billcore_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )


def waiting_events(tx: Transaction, limit: int) -> list[Event]:
    """Events that were not delivered yet, oldest first."""
    rows = tx.rows(f"{_EVENT.select} WHERE delivered_at IS NULL ORDER BY id LIMIT ?", [limit])
    return _EVENT.load_all(rows)


def undelivered(tx: Transaction) -> tuple[int, datetime | None]:
    """How many events were not delivered yet, and since when."""
    row = tx.one("SELECT count(*), min(at) FROM billcore_events WHERE delivered_at IS NULL")
    return (row[0], text_to_instant(row[1])) if row and row[1] else (0, None)


def delivered(tx: Transaction, ids: Sequence[str], at: datetime) -> None:
    """Mark events as delivered."""
    tx.execute("UPDATE billcore_events SET delivered_at = ? WHERE id IN ??", [at, list(ids)])
