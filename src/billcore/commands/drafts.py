"""Invoices made by hand, without a subscription: as drafts, issued, discarded (behaviour 8.7)."""

import json
from collections.abc import Sequence

from attrs import evolve

from billcore.commands.attempts import usable_method
from billcore.commands.bill import number, number_issued
from billcore.commands.redeeming import redeem_for_invoice
from billcore.commands.scope import Scope
from billcore.domain.bill import issue, record, tax_facts, write_lines
from billcore.domain.customer import Customer
from billcore.domain.discount import AppliedCoupon
from billcore.domain.draft import TAX_KEYS, Drafted, DraftLine, draft
from billcore.domain.extra import ExtraLine, extra_line, require_draft, require_not_negative
from billcore.domain.invoice import Invoice, Line
from billcore.domain.money import Money, exponent
from billcore.errors import Refused
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments


def draft_by_hand(
    scope: Scope,
    customer: Customer,
    lines: Sequence[ExtraLine],
    *,
    reference: str | None,
    currency: str | None,
    coupons: Sequence[str],
    terms: int | None,
) -> tuple[Invoice, list[AppliedCoupon]]:
    """A draft over these lines, and the coupons that it has redeemed; nothing is written.

    Raises reference_taken, currency_mismatch, the coupon errors, and InvalidValue for lines that come to less than
    nothing.
    """
    _require_free(scope, reference)
    code = currency or next(
        (line.amount.currency for line in lines if isinstance(line.amount, Money)),
        customer.currency or scope.settings.currency,
    )
    exponent(code)  # Whether there is such a currency.
    invoice_id = scope.new_id("inv")
    redeemed = redeem_for_invoice(scope, invoice_id, coupons, code, scope.zone(customer))
    made = [extra_line(line, code) for line in lines]
    drafted = _drafted(scope, invoice_id, customer, made, redeemed, code)
    invoice = _with(
        Invoice(
            invoice_id,
            customer.id,
            None,
            "ad_hoc",
            code,
            "draft",
            _collection(scope, customer),
            scope.now,
            0,
            0,
            0,
            0,
            0,
            reference=reference,
            terms=terms,
        ),
        drafted,
    )
    return invoice, [one for one in redeemed if one.id in drafted.used]


def keep_draft(scope: Scope, invoice: Invoice, redeemed: Sequence[AppliedCoupon]) -> Invoice:
    """Store a draft: it has no number and owes nothing until it is issued."""
    scope.writes.add(invoice, *redeemed)
    write_lines(scope.writes, invoice.lines)
    record(scope.writes, scope.new_id, invoice.customer_id, scope.now, "invoice.drafted", invoice.id)
    return invoice


def issue_at_once(scope: Scope, invoice: Invoice, customer: Customer, redeemed: Sequence[AppliedCoupon]) -> Invoice:
    """Issue a draft that is not stored yet."""
    issued = _issued(scope, invoice, customer)
    number(scope, [issued])
    scope.writes.add(*redeemed)
    found = scope.writes.get(Invoice, issued.id)
    assert isinstance(found, Invoice)
    return found


def issue_draft(scope: Scope, invoice: Invoice) -> Invoice:
    """Issue a stored draft: with the discount it has, taxed and collected as of now.

    Raises transition_not_allowed for what is no draft made by hand.
    """
    require_draft(invoice, "issue")
    customer = scope.customer(invoice.customer_id)
    lines = [_again(line) for line in invoice.lines]
    drafted = _drafted(scope, invoice.id, customer, lines, (), invoice.currency)
    issued = _issued(scope, _with(invoice, drafted), customer)
    numbered = number_issued(scope, issued)
    scope.writes.put(numbered)
    write_lines(scope.writes, numbered.lines)
    return numbered


def discard_draft(scope: Scope, invoice: Invoice) -> Invoice:
    """Drop a draft: its coupons are free again, and its reference too.

    Raises transition_not_allowed for what is no draft made by hand.
    """
    require_draft(invoice, "discard")
    dropped = evolve(invoice, discarded_at=scope.now, reference=None)
    scope.writes.put(dropped)
    record(scope.writes, scope.new_id, invoice.customer_id, scope.now, "invoice.discarded", invoice.id)
    return dropped


def _require_free(scope: Scope, reference: str | None) -> None:
    if reference is not None and invoices.by_reference(scope.tx, reference):
        raise Refused(
            "reference_taken",
            f"An invoice {reference!r} exists already.",
            remedy="Choose another reference, or use that invoice.",
            reference=reference,
        )


def _drafted(
    scope: Scope,
    invoice_id: str,
    customer: Customer,
    lines: Sequence[DraftLine],
    coupons: Sequence[AppliedCoupon],
    currency: str,
) -> Drafted:
    facts = tax_facts(customer, scope.site, scope.now)
    drafted = draft(
        invoice_id, customer.id, lines, {None: coupons}, facts, scope.settings, currency, scope.now, scope.new_id
    )
    require_not_negative(drafted.total, currency)
    return drafted


def _with(invoice: Invoice, drafted: Drafted) -> Invoice:
    return evolve(
        invoice,
        subtotal=drafted.subtotal,
        discount=drafted.discount,
        tax=drafted.tax,
        tax_included=drafted.tax_included,
        total=drafted.total,
        lines=drafted.lines,
    )


def _issued(scope: Scope, invoice: Invoice, customer: Customer) -> Invoice:
    """The draft issued, not numbered yet; its collection is planned."""
    own = evolve(invoice, collection=_collection(scope, customer))
    usual = {"automatic": scope.settings.net_terms_automatic, "remittance": scope.settings.net_terms_remittance}
    terms = own.terms if own.terms is not None else usual[own.collection]
    credits = payments.open_credits(scope.tx, [customer.id]).get(customer.id, [])
    issued = issue(own, credits, terms, scope.now, True, scope.site, scope.writes, scope.new_id)
    if issued.collect_at is not None:
        scope.collects.add(customer.id)
    return issued


def _collection(scope: Scope, customer: Customer) -> str:
    """Automatic where the customer has a default method that can be charged, else remittance (behaviour 8.7)."""
    methods = customers.methods(scope.tx, [customer.id]).get(customer.id, [])
    return "automatic" if usable_method(methods, customer, None) is not None else "remittance"


def _again(line: Line) -> DraftLine:
    """A stored line as it is drafted again: priced and discounted as it is, its tax not known yet."""
    basis = {key: value for key, value in json.loads(line.basis).items() if key not in TAX_KEYS}
    return DraftLine(
        None,
        None,
        line.kind,
        None,
        None,
        line.description,
        None,
        line.quantity,
        line.amount,
        tax_code=basis.get("tax_code"),
        inclusive=bool(basis.get("inclusive")),
        basis=basis,
        waiting=line,
    )
