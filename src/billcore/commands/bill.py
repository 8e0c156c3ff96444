"""From steps to writes: groups what falls due together, bills and issues it, and numbers the documents."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from billcore.commands.facts import zones_of
from billcore.commands.receivables import apply_to_open
from billcore.commands.referrals import thank_referrers
from billcore.commands.returning import give_back, write_down
from billcore.commands.scope import Scope
from billcore.commands.unused import append_rest, settle_usage
from billcore.domain.bill import (
    Bill,
    Site,
    issue,
    issue_note,
    make_bill,
    missing,
    put_subscription,
    record_change,
    use_coupons,
    write_lines,
)
from billcore.domain.credit import Credit
from billcore.domain.customer import Customer
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.store import invoice as invoices
from billcore.store import usage as usage_store

Credits = dict[str, list[Credit]]


def net_terms(sub: Subscription, scope: Scope) -> int:
    """Days from issue to due: the subscription's own, or the site's for its collection (behaviour 7.3)."""
    if sub.collection == "prepaid":
        return 0
    if sub.net_terms is not None:
        return sub.net_terms
    if sub.collection == "automatic":
        return scope.settings.net_terms_automatic
    return scope.settings.net_terms_remittance


def together(step: Step, due: datetime, zone: str, scope: Scope) -> tuple[object, ...]:
    """What has to be the same for two steps to share an invoice (behaviour 8.3)."""
    sub = step.subscription
    shared = scope.settings.consolidate and sub.collection != "prepaid" and step.short is None
    alone = "" if shared else sub.id
    return (sub.customer_id, sub.currency, sub.collection, net_terms(sub, scope), zone, due, step.collects, alone)


def grouped(
    scope: Scope,
    steps: Sequence[tuple[Step, datetime]],
    customers: Mapping[str, Customer],
    at: Mapping[str, datetime],
) -> list[list[Step]]:
    """The steps by the document that they stand on, each with what its credits may give back (behaviour 8.3, 12.3)."""
    groups: dict[tuple[object, ...], list[Step]] = {}
    zones = zones_of(scope, [step.subscription for step, _ in steps], customers)
    for made_up, due in steps:
        step = settle_usage(scope, made_up, at[made_up.subscription.id])
        groups.setdefault(together(step, due, zones[step.subscription.id], scope), []).append(step)
    return list(groups.values())


def bill_steps(
    scope: Scope,
    steps: Sequence[tuple[Step, datetime]],
    customers: Mapping[str, Customer],
    credits: Credits,
    at: Mapping[str, datetime],
) -> list[Invoice]:
    """Bill and issue the steps, each with the instant it was due; returns the invoices, not numbered yet.

    `at` is when each subscription's step happens, by id. `credits` are the open ones by customer, drawn on in
    order. Everything is put into the scope's writes but the documents themselves: `number` does that.
    """
    made = []
    site = scope.site
    for planned in grouped(scope, steps, customers, at):
        group = planned
        customer = customers[group[0].subscription.customer_id]
        now = at[group[0].subscription.id]
        bill = make_bill(group, customer, site, now, scope.new_id)
        short = group[0].short
        if short is not None and missing(bill, credits.get(customer.id, ()), scope.settings, now):
            group = [short]
            bill = make_bill(group, customer, site, now, scope.new_id)
        invoice = _issue(scope, site, bill, group[0], customer, credits, now)
        if invoice is not None:
            made.append(invoice)
        invoice_id = invoice.id if invoice is not None else None
        for step in group:
            write_step(scope, use_coupons(step, bill.used), invoice_id, bill)
        if bill.note is not None:
            apply_to_open(scope, customer.id, bill.note.currency)
    return made


def write_step(scope: Scope, step: Step, invoice_id: str | None, bill: Bill) -> None:
    """Put one step's own records into the writes."""
    # Who enters a period is another one; comparing all fields would cost more than it tells.
    if step.renewal is not None or step.subscription != step.before:
        put_subscription(scope.writes, step.subscription, step.before)
    if step.renewal is not None:
        scope.writes.add(evolve(step.renewal, invoice_id=invoice_id))
    if step.cut is not None:
        scope.writes.put(step.cut)
    if step.held is not None:
        append_rest(scope, step.subscription, step.held)
    for change in step.changes:
        record_change(scope.writes, scope.new_id, change)
    if step.usage:
        mark_usage(scope, step, _lines(bill))


def mark_usage(scope: Scope, step: Step, lines: Sequence[Line]) -> None:
    """Tie the usage that a step bills to the lines that bill it."""
    if step.usage and step.usage_until is not None:
        usage_store.mark_billed(scope.tx, _usage_marks(step, lines))


def _usage_marks(step: Step, lines: Sequence[Line]) -> list[tuple[str, str, datetime | None, datetime]]:
    """Which line bills which events: one without a period those of the earlier period that it rated.

    An interim invoice bills nothing but its lines; any other document all that there is up to its cut-off.
    """
    assert step.usage_until is not None
    marks: list[tuple[str, str, datetime | None, datetime]] = []
    used = [line for line in lines if line.kind == "usage" and line.item_id in step.usage]
    for line in used:
        if line.start is None and line.item_id is not None:
            since, until = json.loads(line.basis)["rated"]
            marks.append((line.id, line.item_id, datetime.fromisoformat(since), datetime.fromisoformat(until)))
    marks.sort(key=lambda mark: mark[3])
    current = {line.item_id: line for line in used if line.start is not None}
    for item in step.usage:
        now = current.get(item)
        if step.purpose != "usage":
            line_id = now.id if now is not None else f"free:{step.subscription.id}"
            marks.append((line_id, item, None, step.usage_until))
        elif now is not None:
            marks.append((now.id, item, now.start, step.usage_until))
    return marks


def number(scope: Scope, documents: Sequence[Invoice]) -> None:
    """Number new invoices and the notes in the writes, in their order, and put them into the writes.

    The counter of each series is moved once, right before the write (behaviour 8.5).
    """
    open_ones = [invoice for invoice in documents if invoice.status != "draft"]
    _number_series(scope, open_ones)
    for invoice in documents:
        if invoice.status == "draft":
            scope.writes.add(invoice)
            write_lines(scope.writes, invoice.lines)
    if open_ones:
        thank_referrers(scope)


def number_notes(scope: Scope) -> None:
    """Number the credit notes in the writes."""
    notes = [note for note in scope.writes.new(CreditNote) if isinstance(note, CreditNote)]
    waiting = [note for note in notes if note.number is None]
    if waiting:
        first = invoices.take_numbers(scope.tx, "CN", len(waiting))
        for place, note in enumerate(waiting):
            scope.writes.put(evolve(note, number=first + place, number_text=f"CN-{first + place}"))


def number_issued(scope: Scope, invoice: Invoice) -> Invoice:
    """Give a stored draft that was just issued its number."""
    first = invoices.take_numbers(scope.tx, invoice.series, 1)
    return evolve(invoice, number=first, number_text=number_text(scope, invoice, first))


def number_text(scope: Scope, invoice: Invoice, value: int) -> str:
    """The number as it is printed, by the setting invoice_number."""
    year = invoice.issued_at.year if invoice.issued_at is not None else 0
    return scope.settings.invoice_number.format(series=invoice.series, year=year, number=value)


def _number_series(scope: Scope, documents: Sequence[Invoice]) -> None:
    by_series: dict[str, list[Invoice]] = {}
    for invoice in documents:
        by_series.setdefault(invoice.series, []).append(invoice)
    for series, mine in by_series.items():
        first = invoices.take_numbers(scope.tx, series, len(mine))
        for place, invoice in enumerate(mine):
            value = first + place
            scope.writes.add(evolve(invoice, number=value, number_text=number_text(scope, invoice, value)))
            write_lines(scope.writes, invoice.lines)


def _issue(
    scope: Scope, site: Site, bill: Bill, first: Step, customer: Customer, credits: Credits, at: datetime
) -> Invoice | None:
    if bill.note is not None:
        restored = give_back(scope, bill.returned, bill.note)
        issue_note(bill.note, at, scope.writes, scope.new_id, restored)
        return None
    if bill.invoice is None:
        return None
    write_down(scope, bill.returned, bill.invoice.id)
    issued = issue(
        bill.invoice,
        credits.get(customer.id, ()),
        net_terms(first.subscription, scope),
        at,
        first.collects,
        site,
        scope.writes,
        scope.new_id,
    )
    if not first.collects and issued.due > 0:
        # Dunning is over: the invoice is owed like the others, but nothing is charged for it (behaviour 5).
        now, ends = issued.due_at == at, issued.purpose == "final"
        issued = evolve(issued, overdue=now and not ends, collect_at=None if now or ends else issued.due_at)
    if issued.credited and customer.id in credits:
        drawn = {credit.id: credit for credit in scope.writes.changed(Credit) if isinstance(credit, Credit)}
        credits[customer.id] = [drawn.get(credit.id, credit) for credit in credits[customer.id]]
    return issued


def _lines(bill: Bill) -> Sequence[Line]:
    document = bill.invoice or bill.note
    return document.lines if document is not None else ()
