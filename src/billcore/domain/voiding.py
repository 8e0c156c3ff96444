"""Taking an invoice back altogether: what leaves the books with it, and the same billed again (behaviour 8.5)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import frozen

from billcore.domain.compact import compact
from billcore.domain.crediting import Billed
from billcore.domain.draft import TAX_KEYS, tax_basis
from billcore.domain.invoice import Invoice, Line
from billcore.domain.tax import LineTax, TaxableLine, TaxFacts
from billcore.domain.values import NewId, evolve
from billcore.settings import TaxRounding


def still_billed(billed: Billed) -> tuple[int, int]:
    """What of an invoice no credit note took back yet: revenue before tax, and tax, in minor units."""
    credits = [line for line in billed.invoice.lines if line.credits_line_id is not None]
    total = sum(parts.total for _, parts in billed.lefts) + sum(line.total for line in credits)
    tax = sum(parts.tax for _, parts in billed.lefts) + sum(line.tax for line in credits)
    return total - tax, tax


@frozen
class Taxed:
    """How one line is taxed: its tax code, whether at all, whether inside its price, whether it is exempt."""

    code: str | None
    taxable: bool
    inclusive: bool
    exempt: bool = False


def bill_again(
    void: Invoice,
    bases: Sequence[Mapping[str, object]],
    taxed: Mapping[str, Taxed],
    tax: TaxFacts,
    rounding: TaxRounding,
    at: datetime,
    new_id: NewId,
) -> Invoice:
    """A draft with the lines of an invoice that is void: priced and discounted as before, taxed as of now.

    `bases` are those of its lines in their order, `taxed` is by line id. Credit lines keep the tax of what they give
    back (behaviour 3.4).
    """
    invoice_id = new_id("inv")
    taxes = _taxes(void, taxed, tax, rounding, invoice_id)
    lines = tuple(
        _line(line, basis, taxes.get(line.id), rounding, invoice_id, new_id)
        for line, basis in zip(void.lines, bases, strict=True)
    )
    subtotal, discount = sum(line.amount for line in lines), sum(line.discount for line in lines)
    all_tax, included = sum(line.tax for line in lines), sum(line.tax_included for line in lines)
    return Invoice(
        invoice_id,
        void.customer_id,
        void.subscription_id,
        void.purpose,
        void.currency,
        "draft",
        void.collection,
        at,
        subtotal,
        discount,
        all_tax,
        included,
        subtotal - discount + all_tax - included,
        lines=lines,
    )


def _taxes(
    void: Invoice, taxed: Mapping[str, Taxed], tax: TaxFacts, rounding: TaxRounding, invoice_id: str
) -> dict[str, LineTax]:
    """The tax of each charge line as of now, by its id."""
    charges = [(line, taxed[line.id]) for line in void.lines if line.credits_line_id is None]
    computed = tax.taxes.tax(
        [
            TaxableLine(line.amount - line.discount, how.code, how.inclusive, how.taxable, how.exempt)
            for line, how in charges
        ],
        tax,
        invoice_id,
        void.currency,
        rounding,
    )
    return {line.id: one for (line, _), one in zip(charges, computed, strict=True)}


def _line(
    line: Line,
    basis: Mapping[str, object],
    tax: LineTax | None,
    rounding: TaxRounding,
    invoice_id: str,
    new_id: NewId,
) -> Line:
    """The line on the new invoice; `tax` is None for a credit line, which keeps its own."""
    if tax is None:
        return evolve(line, id=new_id("lin"), invoice_id=invoice_id)
    kept = {key: value for key, value in basis.items() if key not in TAX_KEYS}
    kept.update(tax_basis(tax, rounding))
    if line.kind == "usage":
        kept["again"] = line.id
    return evolve(
        line,
        id=new_id("lin"),
        invoice_id=invoice_id,
        tax=tax.amount,
        tax_included=tax.included,
        basis=compact(kept),
    )
