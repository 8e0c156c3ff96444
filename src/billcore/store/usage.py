"""Stored usage events."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from billcore.domain.usage import UsageEvent, UsageTotal
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS
from billcore.store.types import precise_to_text, text_to_instant

_USAGE = BY_CLASS[UsageEvent]
ZERO = Decimal(0)


def unbilled(tx: Transaction, windows: Sequence[tuple[str, datetime, datetime, datetime]]) -> dict[str, UsageTotal]:
    """What is unbilled of each item, by item id, summed exactly.

    A window is (item id, earliest, start, until): events in [start, until) are current, those in [earliest, start)
    late.
    """
    if not windows:
        return {}
    bounds = {item: (earliest, start, until) for item, earliest, start, until in windows}
    current: dict[str, Decimal] = {}
    late: dict[str, Decimal] = {}
    events: dict[str, int] = {}
    for item, quantity, at in tx.stream(
        "SELECT item_id, quantity, at FROM billcore_usage_events "
        "WHERE line_id IS NULL AND item_id IN ?? ORDER BY item_id, at",
        [list(bounds)],
    ):
        earliest, start, until = bounds[item]
        instant = text_to_instant(at)
        if earliest <= instant < until:
            target = current if instant >= start else late
            target[item] = target.get(item, ZERO) + Decimal(quantity)
            events[item] = events.get(item, 0) + 1
    return {item: UsageTotal(current.get(item, ZERO), late.get(item, ZERO), events.get(item, 0)) for item in events}


def mark_billed(tx: Transaction, rows: Iterable[tuple[str, str, datetime]]) -> None:
    """Tie the unbilled events of items before an instant to what billed them: (line or renewal id, item id, until)."""
    tx.execute_many(
        "UPDATE billcore_usage_events SET line_id = ? WHERE item_id = ? AND at < ? AND line_id IS NULL",
        [(line_id, item_id, precise_to_text(until)) for line_id, item_id, until in rows],
    )


def move_marks(tx: Transaction, items: Iterable[tuple[str, str, str]]) -> None:
    """Tie events to another line that bills them: (item id, line that billed them, line that does)."""
    tx.execute_many(
        "UPDATE billcore_usage_events SET line_id = ? WHERE item_id = ? AND line_id = ?",
        [(after, item_id, before) for item_id, before, after in items],
    )


def find(tx: Transaction, subscription_id: str, component: str, event_id: str) -> UsageEvent | None:
    """The event with this id of a subscription's component."""
    row = tx.one(
        f"{_USAGE.select} WHERE subscription_id = ? AND component = ? AND event_id = ?",
        [subscription_id, component, event_id],
    )
    return _USAGE.load(row) if row else None
