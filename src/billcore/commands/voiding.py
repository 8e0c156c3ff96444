"""Invoices that are taken back or given up: void, billed again, written off (behaviour 8.5)."""

import json
from collections.abc import Sequence

from attrs import evolve

from billcore.commands.bill import number, number_notes
from billcore.commands.prepaid import money_came
from billcore.commands.receivables import apply_to_open, receivable_of, require_no_doubt, written
from billcore.commands.returning import billed_of, put_back
from billcore.commands.scope import Scope
from billcore.commands.waiting import taxed_as
from billcore.domain import ledger
from billcore.domain.bill import issue, issue_note, note_for, post, record, tax_facts
from billcore.domain.credit import Allocation, Credit
from billcore.domain.crediting import Source
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Payment
from billcore.domain.voiding import bill_again, still_billed
from billcore.errors import Refused
from billcore.store import crediting
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions
from billcore.store import usage as usage_store


def void_invoice(scope: Scope, invoice: Invoice, reason: str | None, *, rebill: bool) -> Invoice:
    """Take an open invoice back: it keeps its number, what it billed leaves the books, its time is covered no more.

    Credits that paid a part of it are there again, payments become prepayment. With `rebill` the same is billed again
    at once. Raises payment_in_doubt, transition_not_allowed.
    """
    void = _take_back(scope, invoice, reason, rebill=rebill)
    if rebill:
        _bill_again(scope, void)
    else:
        _keep_credit_lines(scope, void)
    apply_to_open(scope, invoice.customer_id, invoice.currency)
    money_came(scope, invoice.customer_id, invoice.currency)
    return void


def void_all(scope: Scope, found: Sequence[Invoice], reason: str | None, but: frozenset[str]) -> None:
    """Take several open invoices of a customer back, as `void_invoice` does; what had paid them pays none of them.

    Subscriptions in `but` (ids) are left as they are: what asks for it decides on them itself. Raises payment_in_doubt
    before anything is written, transition_not_allowed.
    """
    for invoice in found:
        require_no_doubt(scope, invoice)
    for invoice in found:
        _keep_credit_lines(scope, _take_back(scope, invoice, reason, rebill=False, but=but))
        scope.flush()
    for customer_id, currency in dict.fromkeys((invoice.customer_id, invoice.currency) for invoice in found):
        apply_to_open(scope, customer_id, currency)
    scope.flush()


def _take_back(
    scope: Scope, invoice: Invoice, reason: str | None, *, rebill: bool, but: frozenset[str] = frozenset()
) -> Invoice:
    require_no_doubt(scope, invoice)
    status = invoice.after("void", "void")
    billed = billed_of(scope, invoice)
    _require_nothing_given_back(scope, invoice, rebill=rebill)
    revenue, tax = still_billed(billed)
    _post(scope, invoice, [(ledger.REVENUE, ledger.RECEIVABLE, revenue), (ledger.TAX_PAYABLE, ledger.RECEIVABLE, tax)])
    for source in billed.sources:
        if source.id is not None:
            _put_back(scope, invoice, source)
    for row in crediting.coverage_of(scope.tx, [line.id for line in invoice.lines]):
        scope.writes.put(evolve(row, status="void"))
    noted = sum(note.total for note in crediting.notes_to(scope.tx, invoice.id))
    receivable = receivable_of(scope, invoice, but)
    void = evolve(invoice, status=status, credited=noted, paid=0, overdue=False, collect_at=None)
    receivable.put(void)
    receivable.paid_up()
    record(scope.writes, scope.new_id, invoice.customer_id, scope.now, "invoice.voided", invoice.id, reason=reason)
    return void


def write_off(scope: Scope, invoice: Invoice, reason: str | None) -> Invoice:
    """Give up what an open invoice is due: it is not collected any more, but may still be paid.

    Raises payment_in_doubt, transition_not_allowed.
    """
    require_no_doubt(scope, invoice)
    status = invoice.after("write_off", "uncollectible")
    _post(scope, invoice, [(ledger.WRITE_OFFS, ledger.RECEIVABLE, invoice.due)])
    receivable = receivable_of(scope, invoice)
    receivable.put(evolve(invoice, status=status, overdue=False, collect_at=None))
    receivable.paid_up("written_off")
    record(
        scope.writes,
        scope.new_id,
        invoice.customer_id,
        scope.now,
        "invoice.written_off",
        invoice.id,
        amount=invoice.due,
        reason=reason,
    )
    return receivable.invoice


def is_partly_given_back(scope: Scope, invoice: Invoice) -> bool:
    """Whether a part of what had paid the invoice was given back: then it cannot be made void any more."""
    return any(one.returned for one in crediting.allocations(scope.tx, [invoice.id]))


def _require_nothing_given_back(scope: Scope, invoice: Invoice, *, rebill: bool) -> None:
    """A document that gave something of the invoice back to its payer cannot be undone with it."""
    returned = is_partly_given_back(scope, invoice)
    noted = rebill and crediting.notes_to(scope.tx, invoice.id)
    if not returned and not noted:
        return
    called = invoice.number_text or invoice.id
    what = "billed again: credit notes reduced it" if noted else "made void: a part of what paid it was given back"
    raise Refused(
        "transition_not_allowed",
        f"Invoice {called} cannot be {what}.",
        remedy="Make it void without rebill." if noted else "Credit what is due: invoices.credit with to = invoice.",
        state=invoice.status,
        event="void",
    )


def _put_back(scope: Scope, invoice: Invoice, source: Source) -> None:
    """What had paid a part of a void invoice is the customer's again."""
    assert source.id is not None
    taken_off = Allocation(
        scope.new_id("all"),
        invoice.customer_id,
        invoice.id,
        invoice.currency,
        source.account,
        source.id,
        scope.now,
        amount=-source.left,
    )
    if source.account == "payments":
        payment = written(scope, payments.by_ids(scope.tx, [source.id])[source.id])
        scope.writes.put(evolve(payment, applied=payment.applied - source.left))
        if payment.invoice_id is None:
            scope.writes.add(taken_off)
        _prepay(scope, invoice, payment, source.left)
        return
    credit = written(scope, crediting.credits_by_ids(scope.tx, [source.id])[source.id])
    scope.writes.put(evolve(credit, remaining=credit.remaining + source.left))
    scope.writes.add(taken_off)
    _post(scope, invoice, [(ledger.RECEIVABLE, source.account, source.left)])


def _prepay(scope: Scope, invoice: Invoice, payment: Payment, amount: int) -> None:
    cash = ledger.cash(payment.gateway)
    _post(scope, invoice, [(ledger.RECEIVABLE, cash, amount)], payment.id)
    _post(scope, None, [(cash, ledger.PREPAYMENTS, amount)], payment.id, of=invoice)
    scope.writes.add(
        Credit(
            scope.new_id("crd"),
            invoice.customer_id,
            "prepayments",
            invoice.currency,
            amount,
            amount,
            scope.now,
            source_id=payment.id,
        )
    )


def _keep_credit_lines(scope: Scope, void: Invoice) -> None:
    """What credit lines on a void invoice gave back is given back by a note of its own."""
    lines = [line for line in void.lines if line.credits_line_id is not None]
    if not lines:
        return
    own = [evolve(line, id=scope.new_id("lin")) for line in lines]
    note = evolve(
        note_for(own, void, "credit", "credit lines of a void invoice", scope.now, scope.new_id), invoice_id=None
    )
    returns = crediting.returned_for(scope.tx, [void.customer_id], [void.id])
    scope.writes.put(*[evolve(one, document_id=note.id) for one in returns])
    issue_note(note, scope.now, scope.writes, scope.new_id, put_back(scope, returns, note))
    number_notes(scope)


def _bill_again(scope: Scope, void: Invoice) -> None:
    customer = scope.customer(void.customer_id)
    bases = [json.loads(line.basis) for line in void.lines]
    named = {line.subscription_id for line in void.lines if line.subscription_id is not None}
    exempt = {one.id for one in subscriptions.by_ids(scope.tx, named, scope.catalog.coupons).values() if one.tax_exempt}
    taxed = {
        line.id: evolve(taxed_as(scope, line, basis), exempt=line.subscription_id in exempt)
        for line, basis in zip(void.lines, bases, strict=True)
    }
    facts = tax_facts(customer, scope.site, scope.now)
    rounding = scope.settings.tax_rounding
    draft = bill_again(void, bases, taxed, facts, rounding, scope.now, scope.new_id)
    for returned in crediting.returned_for(scope.tx, [void.customer_id], [void.id]):
        scope.writes.put(evolve(returned, document_id=draft.id))
    # The coverage of the void invoice has to be gone before the same time is covered again (behaviour 8.4).
    scope.flush()
    assert void.issued_at is not None and void.due_at is not None
    issued = issue(
        draft,
        payments.open_credits(scope.tx, [customer.id]).get(customer.id, []),
        (void.due_at - void.issued_at).days,
        scope.now,
        True,
        scope.site,
        scope.writes,
        scope.new_id,
    )
    number(scope, [issued])
    if issued.collect_at is not None:
        scope.collects.add(customer.id)
    scope.flush()
    crediting.bill_elsewhere(scope.tx, void, issued)
    both = zip(void.lines, issued.lines, strict=True)
    usage_store.move_marks(scope.tx, [(old.item_id, old.id, new.id) for old, new in both if old.item_id is not None])


def _post(
    scope: Scope,
    invoice: Invoice | None,
    movements: list[tuple[str, str, int]],
    payment_id: str | None = None,
    *,
    of: Invoice | None = None,
) -> None:
    owner = invoice or of
    assert owner is not None
    post(
        scope.writes,
        scope.new_id,
        owner.customer_id,
        scope.now,
        owner.currency,
        movements,
        invoice_id=invoice.id if invoice is not None else None,
        payment_id=payment_id,
    )
