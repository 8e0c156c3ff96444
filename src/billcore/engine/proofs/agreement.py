"""Subscriptions as the proofs read them: periods, coverage and the times in which nothing is billed, batch by batch."""

from collections import defaultdict
from collections.abc import Iterator

from attrs import evolve, field, frozen

from billcore.domain.states import END
from billcore.engine.proofs.law import BATCH
from billcore.store.database import Transaction

FOREVER = "~"
"""Sorts after every instant."""

OFF = frozenset({"on_hold", "trialing", *END})
"""States in which no time is billed (behaviour 3.6): a trial begins anew after a change or a return."""

_STILL = ("suspended", "paused")
"""States that go on with what was off before: a hold that ended without the money for it."""

Span = tuple[str, str]
"""A stretch of time, [from, to), as the store writes instants: they sort."""


@frozen
class Billed:
    """One row of renewals."""

    sequence: int
    start: str
    end: str
    invoice_id: str | None
    free: bool
    span_start: str
    span_end: str


@frozen
class Covered:
    """One row of active coverage, and the line it stands for."""

    start: str
    end: str
    line_id: str
    layer: int = 0


@frozen
class Part:
    """What of a subscription is billed for time: the product (its id is the subscription's) or a component.

    `added` and `ended` bound when it is there; `own` is the end of its own period where it has an own interval.
    """

    id: str
    price_id: str
    quantity: str
    component: str | None
    added: str
    ended: str
    own: str | None = None


@frozen
class Agreement:
    """One subscription with all that says for which time it was billed."""

    id: str
    reference: str
    customer_id: str
    currency: str
    state: str
    sequence: int
    period_start: str | None
    period_end: str | None
    arrears_from: str | None
    parts: tuple[Part, ...]
    price_id: str
    periods: list[Billed] = field(factory=list)
    off: list[Span] = field(factory=list)
    coverage: dict[str, list[Covered]] = field(factory=lambda: defaultdict(list))
    ended: dict[str, list[Span]] = field(factory=lambda: defaultdict(list))


_SUBSCRIPTIONS = (
    "SELECT id, reference, customer_id, currency, state, sequence, period_start, period_end, arrears_from, "
    "price_id, quantity, ended_at, held_at FROM billcore_subscriptions "
    "WHERE id > ? ORDER BY id LIMIT ?"
)
_ITEMS = (
    "SELECT subscription_id, id, price_id, quantity, component, added_at, ended_at, period_end "
    "FROM billcore_subscription_items WHERE subscription_id IN ??"
)
_PERIODS = (
    "SELECT r.subscription_id, r.sequence, r.period_start, r.period_end, r.invoice_id, r.free, "
    "coalesce(r.span_start, r.period_start), coalesce(r.span_end, r.period_end) "
    "FROM billcore_subscriptions s JOIN billcore_renewals r "
    "ON r.customer_id = s.customer_id AND r.subscription_id = s.id "
    "WHERE s.id IN ?? ORDER BY r.subscription_id, r.sequence"
)
_CHANGES = (
    "SELECT subscription_id, previous, state, at FROM billcore_state_changes "
    "WHERE subscription_id IN ?? ORDER BY subscription_id, at, id"
)
_COVERAGE = (
    'SELECT item_id, start, "end", line_id, layer FROM billcore_coverage '
    "WHERE item_id IN ?? AND status = 'active' ORDER BY item_id, layer, start"
)
# Coverage that a credit note ended as a whole, and that of void invoices.
_ENDED = (
    "SELECT item_id, start, \"end\" FROM billcore_coverage WHERE item_id IN ?? AND status <> 'active' "
    "AND (status = 'void' OR EXISTS ("
    "SELECT 1 FROM billcore_lines c WHERE c.credits_line_id = billcore_coverage.line_id)) ORDER BY item_id, start"
)


def read_agreements(tx: Transaction) -> Iterator[list[Agreement]]:
    """All subscriptions in batches, in order of creation."""
    last = ""
    while True:
        rows = tx.rows(_SUBSCRIPTIONS, [last, BATCH])
        if not rows:
            return
        last = rows[-1][0]
        yield _batch(tx, rows)


def _batch(tx: Transaction, rows: list[tuple[object, ...]]) -> list[Agreement]:
    ids = [str(row[0]) for row in rows]
    items: dict[str, list[Part]] = defaultdict(list)
    for subscription, item, price, quantity, component, added, ended, own in tx.stream(_ITEMS, [ids]):
        items[subscription].append(Part(item, price, quantity, component, added, ended or FOREVER, own))
    made = {agreement.id: agreement for agreement in (_agreement(row, items) for row in rows)}
    for subscription, *period in tx.stream(_PERIODS, [ids]):
        _note_period(made[subscription].periods, Billed(*period))
    for subscription, previous, state, at in tx.stream(_CHANGES, [ids]):
        _note_change(made[subscription].off, previous, state, at)
    for row in rows:
        _note_end(made[str(row[0])], row[11], row[12])
    owner = {part.id: agreement for agreement in made.values() for part in agreement.parts}
    for item, *covered in tx.stream(_COVERAGE, [list(owner)]):
        owner[item].coverage[item].append(Covered(*covered))
    for item, start, end in tx.stream(_ENDED, [list(owner)]):
        owner[item].ended[item].append((start, end))
    return list(made.values())


def _note_period(periods: list[Billed], row: Billed) -> None:
    """One more billing: a period that is billed again for components on intervals of their own has the last one's end.

    A change or a moved date writes the end into the last row only.
    """
    place = len(periods)
    while place and periods[place - 1].start == row.start:
        place -= 1
        periods[place] = evolve(periods[place], end=row.end, span_start=row.span_start, span_end=row.span_end)
    periods.append(row)


def _agreement(row: tuple[object, ...], items: dict[str, list[Part]]) -> Agreement:
    values: list[str] = [value if isinstance(value, str) else "" for value in row]
    id_, price, quantity = values[0], values[9], values[10]
    product = Part(id_, price, quantity, None, "", FOREVER)
    assert isinstance(row[5], int)
    return Agreement(
        id_,
        values[1],
        values[2],
        values[3],
        values[4],
        row[5],
        values[6] or None,
        values[7] or None,
        values[8] or None,
        (product, *items.get(id_, ())),
        price,
    )


def _note_change(off: list[Span], previous: str | None, state: str, at: str) -> None:
    running = bool(off) and off[-1][1] == FOREVER
    if state in _STILL and running:
        return
    if state in OFF and not running:
        off.append((at, FOREVER))
    elif state not in OFF and running and (previous in OFF or previous in _STILL):
        off[-1] = (off[-1][0], at)


def _note_end(agreement: Agreement, ended: object, held: object) -> None:
    """An end counts from when it took effect, which may be before it was written down (behaviour 2.5)."""
    since = ended if agreement.state in END else held if agreement.state == "on_hold" else None
    if isinstance(since, str):
        agreement.off.append((since, FOREVER))


def subtract(spans: list[Span], taken: list[Span]) -> list[Span]:
    """What of `spans` is left without `taken`."""
    for begin, end in taken:
        left = []
        for start, stop in spans:
            if end <= start or stop <= begin:
                left.append((start, stop))
                continue
            if start < begin:
                left.append((start, begin))
            if end < stop:
                left.append((end, stop))
        spans = left
        if not spans:
            break
    return spans
