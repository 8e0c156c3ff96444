"""Stored usage events."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

from attrs import frozen

from billcore.domain.instants import FIRST_YEAR
from billcore.domain.invoice import Line
from billcore.domain.usage import UsageEvent
from billcore.store.database import Transaction
from billcore.store.records import BY_CLASS
from billcore.store.types import precise_to_text, text_to_instant

_USAGE = BY_CLASS[UsageEvent]
_LINE = BY_CLASS[Line]
_PAGE = 1000
ZERO = Decimal(0)
BEGINNING = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
"""Before every event."""


@frozen
class Unbilled:
    """What is unbilled of one item: the sum of the `current` events, when the `late` ones were, and how many in all."""

    current: Decimal
    late: tuple[datetime, ...]
    events: int


def unbilled(tx: Transaction, windows: Sequence[tuple[str, datetime, datetime, datetime]]) -> dict[str, Unbilled]:
    """What is unbilled of each item, by item id, summed exactly.

    A window is (item id, earliest, start, until): events in [start, until) are current, those in [earliest, start)
    late.
    """
    if not windows:
        return {}
    bounds = {item: (earliest, start, until) for item, earliest, start, until in windows}
    current: dict[str, Decimal] = {}
    late: dict[str, list[datetime]] = {}
    events: dict[str, int] = {}
    for item, quantity, at in tx.stream(
        "SELECT item_id, quantity, at FROM billcore_usage_events "
        "WHERE line_id IS NULL AND item_id IN ?? ORDER BY item_id, at",
        [list(bounds)],
    ):
        earliest, start, until = bounds[item]
        instant = text_to_instant(at)
        if earliest <= instant < until:
            events[item] = events.get(item, 0) + 1
            if instant >= start:
                current[item] = current.get(item, ZERO) + Decimal(quantity)
            else:
                late.setdefault(item, []).append(instant)
    return {item: Unbilled(current.get(item, ZERO), tuple(late.get(item, ())), count) for item, count in events.items()}


def events_of(tx: Transaction, since: Mapping[str, datetime | None]) -> dict[str, list[UsageEvent]]:
    """All events of items, billed or not, by item id, each from an instant on (None: from the first)."""
    if not since:
        return {}
    earliest = min((at or BEGINNING for at in since.values()), default=BEGINNING)
    found: dict[str, list[UsageEvent]] = {}
    rows = tx.stream(
        f"{_USAGE.select} WHERE item_id IN ?? AND at >= ? ORDER BY item_id, at, id",
        [list(since), precise_to_text(earliest)],
    )
    while page := list(islice(rows, _PAGE)):
        for event in _USAGE.load_all(page):
            if event.at >= (since[event.item_id] or BEGINNING):
                found.setdefault(event.item_id, []).append(event)
    return found


def lines_of(tx: Transaction, item_ids: Iterable[str]) -> list[tuple[Line, str]]:
    """The usage lines of items, oldest first, each with the status of its invoice (a credit note's: "paid").

    Those of discarded drafts are left out.
    """
    rows = tx.rows(f"{_LINE.select} WHERE kind = 'usage' AND item_id IN ?? ORDER BY id", [list(item_ids)])
    lines: list[Line] = _LINE.load_all(rows)
    wanted = {line.invoice_id for line in lines if line.invoice_id is not None}
    stands = {
        row[0]: row[1]
        for row in tx.rows(
            "SELECT id, status FROM billcore_invoices WHERE id IN ?? AND discarded_at IS NULL", [list(wanted)]
        )
    }
    return [
        (line, stands[line.invoice_id] if line.invoice_id else "paid")
        for line in lines
        if line.invoice_id is None or line.invoice_id in stands
    ]


def mark_billed(tx: Transaction, rows: Iterable[tuple[str, str, datetime | None, datetime]]) -> None:
    """Tie the unbilled events of items to what billed them.

    Rows are (line or renewal id, item id, since, until): events in [since, until), with None all before `until`.
    """
    tx.execute_many(
        "UPDATE billcore_usage_events SET line_id = ? WHERE item_id = ? AND at >= ? AND at < ? AND line_id IS NULL",
        [
            (line_id, item_id, precise_to_text(since or BEGINNING), precise_to_text(until))
            for line_id, item_id, since, until in rows
        ],
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


def corrections(tx: Transaction, event: UsageEvent) -> list[UsageEvent]:
    """The corrections of an event, oldest first."""
    rows = tx.rows(
        f"{_USAGE.select} WHERE item_id = ? AND at = ? ORDER BY id", [event.item_id, precise_to_text(event.at)]
    )
    found: list[UsageEvent] = _USAGE.load_all(rows)
    return [one for one in found if one.corrects == event.event_id]


def get(tx: Transaction, ref: str) -> UsageEvent | None:
    """The event with this id."""
    row = tx.one(f"{_USAGE.select} WHERE id = ?", [ref])
    return _USAGE.load(row) if row else None


def page(
    tx: Transaction, subscription_id: str, *, component: str | None, after: str | None, limit: int
) -> list[UsageEvent]:
    """A subscription's events in order of recording; `after` is the id of the last one of the page before."""
    where, parameters = ["subscription_id = ?", "id > ?"], [subscription_id, after or ""]
    if component is not None:
        where.append("component = ?")
        parameters.append(component)
    rows = tx.rows(f"{_USAGE.select} WHERE {' AND '.join(where)} ORDER BY id LIMIT ?", [*parameters, limit])
    return _USAGE.load_all(rows)
