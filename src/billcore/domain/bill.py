"""From steps to documents: one invoice or credit note for what falls due together, issued and posted (behaviour 8)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

from billcore.domain import ledger
from billcore.domain.compact import compact
from billcore.domain.credit import Allocation, Credit, Drawing, draw, usable
from billcore.domain.customer import Customer
from billcore.domain.discount import AppliedCoupon
from billcore.domain.draft import DraftLine, draft
from billcore.domain.event import Event, StateChange
from billcore.domain.invoice import Coverage, CreditNote, CreditTo, Invoice, Line
from billcore.domain.money import share
from billcore.domain.periods import local_date
from billcore.domain.step import Step, purpose_of
from billcore.domain.subscription import Subscription
from billcore.domain.tax import Place, Taxes, TaxFacts
from billcore.domain.values import NewId, evolve
from billcore.domain.writes import Writes
from billcore.settings import Settings

A_DAY = timedelta(days=1)
"""After which an invoice that is due at once and paid by hand counts as overdue."""


@frozen
class Site:
    """What all documents of a site share: its settings and what taxes them."""

    settings: Settings
    taxes: Taxes


@frozen
class Bill:
    """A document that is not issued yet: an invoice (draft), or a credit note where more is given back.

    `returned` is what its credit lines take out of what had settled other invoices.
    """

    invoice: Invoice | None
    note: CreditNote | None
    used: frozenset[str] = frozenset()
    returned: tuple[Allocation, ...] = ()


NOTHING = Bill(None, None)


def make_bill(steps: Sequence[Step], customer: Customer, site: Site, at: datetime, new_id: NewId) -> Bill:
    """One document for the lines of `steps`, which share payer, currency, collection and terms (behaviour 8.3).

    Without lines there is none; one that comes to nothing is made only where a line has an amount (behaviour 8.5).
    """
    lines = [_of(step, line) for step in steps for line in step.lines]
    # One of nothing is written where there is no other: the document of a period that costs nothing.
    lines = [line for line in lines if line.amount or line.credit is not None] or lines
    if not lines:
        return NOTHING
    sub = steps[0].subscription
    invoice_id = new_id("inv")
    coupons: dict[str | None, Sequence[AppliedCoupon]] = {
        step.subscription.id: step.subscription.coupons for step in steps if step.subscription.coupons
    }
    drafted = draft(
        invoice_id,
        customer.id,
        lines,
        coupons,
        tax_facts(customer, site, at),
        site.settings,
        sub.currency,
        at,
        new_id,
    )
    subscription_id = sub.id if all(step.subscription.id == sub.id for step in steps) else None
    returned = tuple(one for line in lines for one in line.returned)
    if drafted.total < 0:
        note = _note(drafted.lines, customer.id, subscription_id, None, sub.currency, "credit", None, at, new_id)
        return Bill(None, note, drafted.used, returned)
    if drafted.total == 0 and not site.settings.issue_zero_invoices and not any(line.amount for line in drafted.lines):
        return NOTHING
    invoice = Invoice(
        invoice_id,
        customer.id,
        subscription_id,
        purpose_of(steps),
        sub.currency,
        "draft",
        sub.collection,
        at,
        drafted.subtotal,
        drafted.discount,
        drafted.tax,
        drafted.tax_included,
        drafted.total,
        lines=drafted.lines,
    )
    return Bill(invoice, None, drafted.used, returned)


def _of(step: Step, line: DraftLine) -> DraftLine:
    """A step's line, without tax where its subscription is exempt."""
    return evolve(line, exempt=True) if step.subscription.tax_exempt else line


def tax_facts(customer: Customer, site: Site, at: datetime) -> TaxFacts:
    """Where and when the customer is taxed: the local date at `at`."""
    zone = customer.timezone or site.settings.timezone
    return TaxFacts(
        site.taxes,
        Place(customer.country, customer.region, customer.postcode),
        local_date(at, zone),
        customer.tax_exempt,
        customer.vat_number or "",
        customer.city,
        customer.address,
        site.settings.seller,
    )


def issue(
    invoice: Invoice,
    credits: Sequence[Credit],
    terms: int,
    at: datetime,
    collects: bool,
    site: Site,
    writes: Writes,
    new_id: NewId,
) -> Invoice:
    """Make a draft an open or paid invoice: post it, cover the time of its lines, draw on the customer's credits.

    `terms` are days from issue to due; with `collects` an automatic invoice is collected when it is due. The number
    is given by the store right before the write (behaviour 8.5). Adds everything but the invoice's own row to
    `writes`.
    """
    due_at = at + timedelta(days=terms)
    post(writes, new_id, invoice.customer_id, at, invoice.currency, _revenue(invoice), invoice_id=invoice.id)
    for line in invoice.lines:
        cover(line, writes, new_id)
    if credits:
        invoice = apply_credits(invoice, _own(invoice, credits, site.settings, due=terms == 0), at, writes, new_id)
    collect_at = invoice.collect_at
    if invoice.due and collects:
        collect_at = due_at if terms or invoice.collection == "automatic" else at + A_DAY
    issued = evolve(
        invoice,
        status=invoice.after("issue", "open" if invoice.due else "paid"),
        issued_at=at,
        due_at=due_at,
        collect_at=collect_at,
    )
    record(writes, new_id, issued.customer_id, at, "invoice.issued", issued.id, total=issued.total)
    return issued


def _own(invoice: Invoice, credits: Sequence[Credit], settings: Settings, *, due: bool) -> list[Credit]:
    return usable(credits, settings, due=due, prepaid=invoice.collection == "prepaid")


def missing(bill: Bill, credits: Sequence[Credit], settings: Settings, at: datetime) -> int:
    """What of a bill these credits do not pay, in minor units; they pay in the order of behaviour 8."""
    if bill.invoice is None:
        return 0
    mine = [one for one in _own(bill.invoice, credits, settings, due=True) if one.currency == bill.invoice.currency]
    return bill.invoice.total - sum(drawing.amount for drawing in draw(bill.invoice.total, mine, at))


def apply_credits(invoice: Invoice, credits: Sequence[Credit], at: datetime, writes: Writes, new_id: NewId) -> Invoice:
    """Pay what is due from the customer's credits in their fixed order (behaviour 8)."""
    mine = [credit for credit in credits if credit.currency == invoice.currency]
    for drawing in draw(invoice.due, mine, at):
        writes.put(drawing.credit)
        post(
            writes,
            new_id,
            invoice.customer_id,
            at,
            invoice.currency,
            [(drawing.credit.account, ledger.RECEIVABLE, drawing.amount)],
            invoice_id=invoice.id,
        )
        writes.add(
            Allocation(
                new_id("all"),
                invoice.customer_id,
                invoice.id,
                invoice.currency,
                drawing.credit.account,
                drawing.credit.id,
                at,
                drawing.amount,
            )
        )
        invoice = evolve(invoice, credited=invoice.credited + drawing.amount)
    return invoice


def issue_note(note: CreditNote, at: datetime, writes: Writes, new_id: NewId, restored: Sequence[Drawing] = ()) -> None:
    """Issue a credit note: post it and give the customer what it says.

    What of it goes back to credits that had paid (`restored`, as they are afterwards) is given there; the rest is a
    new credit, is owed as a refund, or reduces what the invoice is due.
    """
    accounts: dict[str, int] = {}
    for drawing in restored:
        writes.put(drawing.credit)
        accounts[drawing.credit.account] = accounts.get(drawing.credit.account, 0) + drawing.amount
    rest = note.total - sum(accounts.values())
    if rest:
        target = {"invoice": ledger.RECEIVABLE, "refund": ledger.REFUNDS, "credit": ledger.CREDITS}[note.to]
        accounts[target] = accounts.get(target, 0) + rest
    # The tax of the credited lines is negative.
    movements = []
    for (account, amount), tax in zip(accounts.items(), share(-note.tax, list(accounts.values())), strict=True):
        movements += [(ledger.REVENUE, account, amount - tax), (ledger.TAX_PAYABLE, account, tax)]
    post(
        writes,
        new_id,
        note.customer_id,
        at,
        note.currency,
        movements,
        credit_note_id=note.id,
        invoice_id=note.invoice_id,
    )
    if rest and note.to == "credit":
        writes.add(Credit(new_id("crd"), note.customer_id, "credits", note.currency, rest, rest, at, source_id=note.id))
    writes.add(note)
    write_lines(writes, note.lines)
    for line in note.lines:
        # A document that gives back more than it charges has charges for time all the same (behaviour 6.2).
        cover(line, writes, new_id)
    record(writes, new_id, note.customer_id, at, "credit_note.issued", note.id, total=note.total)


def note_for(
    lines: Sequence[Line],
    invoice: Invoice,
    to: CreditTo,
    reason: str | None,
    at: datetime,
    new_id: NewId,
) -> CreditNote:
    """A credit note over `lines`, which give back a part of `invoice`."""
    return _note(
        lines,
        invoice.customer_id,
        invoice.subscription_id,
        invoice.id,
        invoice.currency,
        to,
        reason,
        at,
        new_id,
    )


def note_by_hand(
    lines: Sequence[Line],
    customer_id: str,
    subscription_id: str,
    currency: str,
    reason: str,
    at: datetime,
    new_id: NewId,
) -> CreditNote:
    """A credit note that gives back of no invoice: a correction with its reason (behaviour 8.7)."""
    return _note(lines, customer_id, subscription_id, None, currency, "credit", reason, at, new_id)


def use_coupons(step: Step, used: frozenset[str]) -> Step:
    """The step with its subscription's coupons counted down where the document used them up (behaviour 8.1)."""
    coupons = step.subscription.coupons
    if not used or not any(coupon.id in used and coupon.remaining for coupon in coupons):
        return step

    def count(applied: AppliedCoupon) -> AppliedCoupon:
        if applied.id in used and applied.remaining:
            return evolve(applied, remaining=applied.remaining - 1)
        return applied

    sub = evolve(step.subscription, coupons=tuple(count(applied) for applied in coupons))
    return evolve(step, subscription=sub)


def post(
    writes: Writes,
    new_id: NewId,
    customer_id: str,
    at: datetime,
    currency: str,
    movements: Sequence[tuple[str, str, int]],
    *,
    invoice_id: str | None = None,
    payment_id: str | None = None,
    credit_note_id: str | None = None,
) -> None:
    """Write (debit, credit, amount) movements to the ledger; zero needs no entry."""
    for debit, credit, amount in movements:
        sides = ledger.sides(debit, credit, amount)
        if sides is not None:
            writes.add(
                ledger.Entry(new_id("ent"), customer_id, at, currency, *sides, invoice_id, payment_id, credit_note_id)
            )


def record(
    writes: Writes,
    new_id: NewId,
    customer_id: str,
    at: datetime,
    kind: str,
    subject_id: str,
    **data: str | int | None,
) -> None:
    """Put an event into the outbox."""
    writes.add(Event(new_id("evt"), customer_id, at, kind, subject_id, compact(data)))


def record_change(writes: Writes, new_id: NewId, change: StateChange) -> None:
    """Record a subscription's change of state, and put it into the outbox (behaviour 5.3)."""
    writes.add(change)
    record(writes, new_id, change.customer_id, change.at, f"subscription.{change.state}", change.subscription_id)


def write_lines(writes: Writes, lines: Sequence[Line]) -> None:
    """Put a document's lines into the writes: new ones, and those that waited for it."""
    for line in lines:
        if line.waited:
            writes.put(evolve(line, waited=False))
        else:
            writes.add(line)


def put_subscription(writes: Writes, sub: Subscription, before: Subscription) -> None:
    """Put a changed subscription into the writes, with those of its components and coupons that changed."""
    writes.put(sub)
    for after, earlier in ((sub.items, before.items), (sub.coupons, before.coupons)):
        if after is earlier:
            continue
        known = {record.id: record for record in earlier}
        for part in after:
            if part.id not in known:
                writes.add(part)
            elif part != known[part.id]:
                writes.put(part)


def _revenue(invoice: Invoice) -> list[tuple[str, str, int]]:
    return [
        (ledger.RECEIVABLE, ledger.REVENUE, invoice.total - invoice.tax),
        (ledger.RECEIVABLE, ledger.TAX_PAYABLE, invoice.tax),
    ]


def cover(line: Line, writes: Writes, new_id: NewId) -> None:
    """Write down the time that a line bills; one that waited for its document has its coverage already."""
    timed = line.kind in ("product", "component") and line.start != line.end
    if line.waited or not timed or line.item_id is None or line.start is None or line.end is None:
        return
    writes.add(Coverage(new_id("cov"), line.customer_id, line.item_id, line.start, line.end, line.id, layer=line.layer))


def _note(
    lines: Sequence[Line],
    customer_id: str,
    subscription_id: str | None,
    invoice_id: str | None,
    currency: str,
    to: CreditTo,
    reason: str | None,
    at: datetime,
    new_id: NewId,
) -> CreditNote:
    note_id = new_id("crn")
    own = tuple(evolve(line, invoice_id=None, credit_note_id=note_id) for line in lines)
    subtotal = sum(line.amount for line in own)
    discount = sum(line.discount for line in own)
    tax = sum(line.tax for line in own)
    included = sum(line.tax_included for line in own)
    return CreditNote(
        note_id,
        customer_id,
        subscription_id,
        invoice_id,
        currency,
        to,
        at,
        at,
        subtotal,
        discount,
        tax,
        included,
        -(subtotal - discount + tax - included),
        reason=reason,
        lines=own,
    )
