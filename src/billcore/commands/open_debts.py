"""What becomes of the open invoices of subscriptions that are canceled: let go, or made void (behaviour 5.2, 9.5)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from billcore.commands.receivables import receivables
from billcore.commands.scope import Scope
from billcore.commands.voiding import is_partly_given_back, void_all
from billcore.domain.invoice import Invoice
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions


def let_go(scope: Scope, canceled: Mapping[str, datetime], customer_ids: Collection[str]) -> None:
    """Collect no more by itself what is overdue of subscriptions that were canceled; it stays open.

    `canceled` says when each ended, by id; `customer_ids` are their payers'. An invoice goes on when a subscription
    that still runs stands on it too. With nothing overdue left the dunning case closes (behaviour 9.5).
    """
    if not canceled:  # Nearly every batch.
        return
    scope.flush()
    rows = invoices.overdue(scope.tx, customer_ids)
    overdue = invoices.by_ids(scope.tx, [row[2] for row in rows]) if rows else {}
    last: dict[tuple[str, str], tuple[Invoice, datetime]] = {}
    for invoice in _only_on(scope, overdue.values(), canceled):
        loose = evolve(invoice, overdue=False, collect_at=None)
        scope.writes.put(loose)
        at = max(canceled[sub_id] for sub_id in named_on(invoice) if sub_id in canceled)
        last[invoice.customer_id, invoice.currency] = (loose, at)
    # Of each payer one invoice will do: that the others are not overdue any more is in the writes.
    for affair in receivables(scope, list(last.values()), {}).values():
        affair.paid_up("canceled")


def void_own(scope: Scope, ending: Sequence[Subscription], reason: str | None) -> None:
    """Make the open invoices void on which only these subscriptions stand, and ones that have ended before.

    Those of which a part was given back stay open. Raises payment_in_doubt before anything is written.
    """
    ids = frozenset(sub.id for sub in ending)
    stored = invoices.open_of(scope.tx, ending[0].customer_id)
    void_all(scope, [one for one in _only_on(scope, stored, ids) if not is_partly_given_back(scope, one)], reason, ids)


def named_on(invoice: Invoice) -> set[str]:
    """The ids of the subscriptions that stand on an invoice."""
    named = {line.subscription_id for line in invoice.lines} | {invoice.subscription_id}
    return {sub_id for sub_id in named if sub_id is not None}


def _only_on(scope: Scope, found: Iterable[Invoice], ending: Collection[str]) -> list[Invoice]:
    """Those of the invoices on which one of `ending` stands and no subscription that goes on."""
    mine = [invoice for invoice in found if not named_on(invoice).isdisjoint(ending)]
    others = {sub_id for invoice in mine for sub_id in named_on(invoice)}.difference(ending)
    if not others:
        return mine
    known = subscriptions.by_ids(scope.tx, others, scope.catalog.coupons)
    running = {sub.id for sub in known.values() if sub.ended_at is None}
    return [invoice for invoice in mine if running.isdisjoint(named_on(invoice))]
