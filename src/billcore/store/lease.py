"""Leases of attempts: prolonged by their owner, as long as nobody else has taken them over."""

from collections.abc import Collection
from datetime import datetime

from billcore.domain.payment import IN_DOUBT
from billcore.store.database import Transaction


def renew(tx: Transaction, table: str, ids: Collection[str], owner: str, until: datetime) -> list[str]:
    """Prolong the owner's leases of these open attempts to `until`; returns the ids of those that are still his."""
    mine = "id IN ?? AND lease_owner = ? AND status IN ??"
    parameters = [ids, owner, IN_DOUBT]
    tx.execute(f"UPDATE {table} SET lease_until = ?, version = version + 1 WHERE {mine}", [until, *parameters])
    return [row[0] for row in tx.rows(f"SELECT id FROM {table} WHERE {mine}", parameters)]
