"""What is due next: rows of all kinds of work, each customer's earliest first (behaviour 2.5)."""

from datetime import datetime

from attrs import field, frozen

from billcore.store import inbox
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import refund as refunds
from billcore.store import subscription as subscriptions
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among
from billcore.store.mapping import Row
from billcore.store.types import text_to_instant


@frozen
class Due:
    """One row of due work: the instant, whose it is, and the row's id."""

    at: datetime
    customer_id: str
    id: str


@frozen
class Agenda:
    """Work that can be done in one go: of each customer only what comes first, and of one kind."""

    webhooks: list[Due] = field(factory=list)
    actions: list[Due] = field(factory=list)
    collections: list[Due] = field(factory=list)
    checks: list[Due] = field(factory=list)
    refunds: list[Due] = field(factory=list)
    steps: list[Due] = field(factory=list)

    @property
    def rows(self) -> list[Due]:
        """Everything, kind by kind."""
        return [*self.webhooks, *self.actions, *self.collections, *self.checks, *self.refunds, *self.steps]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first(self) -> datetime:
        """The earliest instant."""
        return min(row.at for row in self.rows)


def read_agenda(
    tx: Transaction, until: datetime, limit: int, among: Among = EVERYBODY, *, paused: bool = False
) -> Agenda:
    """What is due up to `until`, at most about `limit` rows of each kind.

    Customers do not depend on each other, so their work may be done in any order between them; one customer's is
    done in order of time, at one instant in the order of behaviour 2.5. While the store is `paused` only what gateways
    say is listened to.
    """
    pages: list[list[Row]] = []
    horizon: str | None = None
    for read in (
        inbox.due,
        subscriptions.due,
        invoices.due,
        payments.due_checks,
        refunds.due_checks,
        payments.due_steps,
    ):
        if paused and read in (subscriptions.due, invoices.due, payments.due_steps):
            pages.append([])
            continue
        page, cut = _whole_customers(read(tx, until, limit, among), limit)
        if cut is not None and (horizon is None or cut < horizon):
            horizon = cut
        pages.append(page)
    first: dict[str, tuple[str, int]] = {}
    for rank, page in enumerate(pages):
        for at, customer, _ in page:
            if (horizon is None or at <= horizon) and (customer not in first or (at, rank) < first[customer]):
                first[customer] = (at, rank)
    chosen: list[list[Due]] = [[] for _ in pages]
    for rank, page in enumerate(pages):
        for at, customer, row_id in page:
            if first.get(customer) == (at, rank):
                chosen[rank].append(Due(text_to_instant(at), customer, row_id))
    return Agenda(*chosen)


def _whole_customers(rows: list[Row], limit: int) -> tuple[list[Row], str | None]:
    """A page without its last customer, of whom rows may be missing, and the instant up to which it is complete."""
    if len(rows) < limit:
        return rows, None
    last_at, last_customer, _ = rows[-1]
    whole = [row for row in rows if row[0] != last_at or row[1] != last_customer]
    return whole or rows, last_at
