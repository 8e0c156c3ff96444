"""Invoices in the hands of whoever settles them: with their payer's subscriptions, dunning case and credits."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from billcore.commands.overdue import overdue_of
from billcore.commands.scope import Scope
from billcore.domain.bill import apply_credits
from billcore.domain.credit import Credit, usable
from billcore.domain.invoice import Invoice, InvoiceEvent
from billcore.domain.receivable import WAITS_FOR_PAYMENT, Account, Receivable
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.domain.writes import Record
from billcore.errors import Refused
from billcore.store import crediting
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

PROBLEMS = ("past_due", "unpaid", "soft_failure")
"""States of subscriptions that owe something or may: a payment can end them."""


R = TypeVar("R", bound=Record)

Begins = Callable[[Scope, Invoice, Subscription], Callable[[], Step] | None]


def written(scope: Scope, record: R) -> R:
    """A stored record as this unit of work has made it so far."""
    mine = scope.writes.get(type(record), record.id)
    return mine if isinstance(mine, type(record)) else record


def settle(
    scope: Scope,
    invoice: Invoice,
    event: InvoiceEvent,
    *,
    paid: int = 0,
    credited: int = 0,
    but: frozenset[str] = frozenset(),
) -> Invoice:
    """Count more of an invoice as paid or credited, with all that follows from nothing being due any more.

    Subscriptions in `but` (ids) are left as they are: what asks for it decides on them itself.
    """
    receivable = receivable_of(scope, invoice, but)
    receivable.settle(event, paid=paid, credited=credited)
    return receivable.invoice


def receivable_of(scope: Scope, invoice: Invoice, but: frozenset[str] = frozenset()) -> Receivable:
    """One invoice with all that hangs on it; subscriptions in `but` (ids) are left out."""
    zone = scope.zone(scope.customer(invoice.customer_id))
    return receivables(scope, [(invoice, scope.now)], {invoice.customer_id: zone}, but=but)[invoice.id]


def apply_to_open(scope: Scope, customer_id: str, currency: str) -> None:
    """Credit that arises while invoices are open goes to the oldest at once, as the settings allow (behaviour 8.7)."""
    credits = held_credits(scope, customer_id, currency)
    for stored in crediting.still_due(scope.tx, customer_id, currency) if credits else ():
        invoice = written(scope, stored)
        if invoice.status != "open" or invoice.reserved_by is not None or invoice.due_at is None:
            continue
        if pay_from(scope, invoice, credits, due=invoice.due_at <= scope.now) != invoice:
            credits = held_credits(scope, customer_id, currency)


def pay_from(scope: Scope, invoice: Invoice, credits: Sequence[Credit], *, due: bool) -> Invoice:
    """Pay an open invoice from its customer's credits, as the settings allow; `due` says if it is due by now."""
    if not credits:  # Nearly every invoice of a run.
        return invoice
    own = [one for one in credits if one.currency == invoice.currency]
    mine = usable(own, scope.settings, due=due, prepaid=invoice.collection == "prepaid")
    after = apply_credits(invoice, mine, scope.now, scope.writes, scope.new_id)
    drawn = after.credited - invoice.credited
    return settle(scope, invoice, "pay", credited=drawn) if drawn else invoice


def held_credits(scope: Scope, customer_id: str, currency: str) -> list[Credit]:
    """A customer's credits in one currency with something left, as this unit of work has made them so far."""
    found = {one.id: written(scope, one) for one in payments.open_credits(scope.tx, [customer_id]).get(customer_id, [])}
    for record in (*scope.writes.new(Credit), *scope.writes.changed(Credit)):
        if isinstance(record, Credit) and record.customer_id == customer_id:
            found[record.id] = record
    return [one for one in found.values() if one.currency == currency and one.remaining > 0]


def require_no_doubt(scope: Scope, invoice: Invoice) -> None:
    """Refuse while an attempt on the invoice has no outcome: payment_in_doubt with its next check (behaviour 9.3)."""
    if invoice.reserved_by is None:
        return
    payment = payments.get(scope.tx, invoice.reserved_by)
    check = payment.next_check_at if payment is not None else None
    when = f"it is asked for at {check:%Y-%m-%d %H:%M} UTC" if check is not None else "see billcore doctor"
    raise Refused(
        "payment_in_doubt",
        f"Invoice {invoice.number_text or invoice.id} has an attempt without an outcome ({invoice.reserved_by}).",
        remedy=f"Repeat the command when the outcome is known: {when}.",
        payment=invoice.reserved_by,
        next_check_at=check,
    )


def receivables(
    scope: Scope,
    wanted: Sequence[tuple[Invoice, datetime]],
    zones: Mapping[str, str],
    quiet: set[str] | None = None,
    but: frozenset[str] = frozenset(),
    begins: Begins | None = None,
) -> dict[str, Receivable]:
    """The invoices with all that hangs on them, by id. `quiet` ones need no subscriptions that are well.

    `zones` are those of customers who have one of their own; subscriptions in `but` are left out. `begins` says how
    the payment of a draft brings about what its command asked for (`commands.phases`).
    """
    ids = {invoice.customer_id for invoice, _ in wanted}
    overdue: dict[tuple[str, str], dict[str, frozenset[str]]] = {}
    resting = set()
    for one in overdue_of(scope, ids):
        overdue.setdefault((one.customer_id, one.currency), {})[one.id] = frozenset(one.states)
        if one.rests:
            resting.add(one.id)
    cases = {key: written(scope, case) for key, case in payments.open_cases(scope.tx, ids).items()}
    subs = _concerned(scope, wanted, ids, quiet)
    drafts = [invoice.customer_id for invoice, _ in wanted if invoice.status == "draft"]
    credits = payments.open_credits(scope.tx, drafts) if drafts else {}
    made, site = {}, scope.site
    for invoice, at in wanted:
        key = (invoice.customer_id, invoice.currency)
        account = Account(
            zones.get(invoice.customer_id, scope.settings.timezone),
            tuple(
                sub
                for sub in subs.get(invoice.customer_id, {}).values()
                if sub.currency == invoice.currency and sub.id not in but
            ),
            cases.get(key),
            overdue.get(key, {}),
            frozenset(resting),
            tuple(credits.get(invoice.customer_id, ())),
            activation=_activation(scope, invoice, subs, begins),
        )
        made[invoice.id] = Receivable(invoice, account, site, at, scope.writes, scope.new_id)
    return made


def _concerned(
    scope: Scope, wanted: Sequence[tuple[Invoice, datetime]], ids: set[str], quiet: set[str] | None
) -> dict[str, dict[str, Subscription]]:
    """The subscriptions that stand on the invoices, and all of their customers' that owe something; by both ids."""
    subs: dict[str, dict[str, Subscription]] = {}
    for sub in subscriptions.of_customers(scope.tx, ids, scope.catalog.coupons, PROBLEMS):
        subs.setdefault(sub.customer_id, {})[sub.id] = written(scope, sub)
    named = {
        sub_id
        for invoice, _ in wanted
        if quiet is None or invoice.id not in quiet
        for sub_id in (invoice.subscription_id, *(line.subscription_id for line in invoice.lines))
        if sub_id is not None
    }
    if named:
        for sub in subscriptions.by_ids(scope.tx, named, scope.catalog.coupons).values():
            subs.setdefault(sub.customer_id, {})[sub.id] = written(scope, sub)
    return subs


def _activation(
    scope: Scope, invoice: Invoice, subs: dict[str, dict[str, Subscription]], begins: Begins | None
) -> Callable[[], Step] | None:
    """How a draft's payment brings about what it waits for; None when its subscription went another way."""
    if begins is None or invoice.status != "draft" or invoice.purpose not in WAITS_FOR_PAYMENT:
        return None
    sub = subs.get(invoice.customer_id, {}).get(invoice.subscription_id or "")
    return begins(scope, invoice, sub) if sub is not None else None


def with_lines_where_shared(scope: Scope, ids: Collection[str]) -> dict[str, Invoice]:
    """Invoices by id; their lines only where they are needed: drafts, and those of several subscriptions."""
    found = invoices.by_ids(scope.tx, ids, lines=False)
    needy = [invoice.id for invoice in found.values() if invoice.subscription_id is None or invoice.status == "draft"]
    if needy:
        found.update(invoices.by_ids(scope.tx, needy))
    return found
