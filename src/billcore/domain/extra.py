"""Lines that no price stands behind: what somebody charges by hand, and rebates (behaviour 8.7)."""

from decimal import Decimal
from fractions import Fraction
from typing import Literal

from attrs import frozen

from billcore.domain.draft import BasisValue, DraftLine
from billcore.domain.invoice import Invoice
from billcore.domain.money import Money, decimal_text, format_minor, minor_units, parse_minor, round_exact
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused

TaxKind = Literal["exclusive", "inclusive"]


@frozen
class ExtraLine:
    """A line as its caller wants it: an `amount` (the line's total before tax), or `quantity` times `unit_amount`.

    Amounts are in major units; a negative one is a rebate. With `tax = inclusive` they contain the tax.
    """

    description: str
    amount: Decimal | Money | None = None
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    tax_code: str | None = None
    tax: TaxKind = "exclusive"


def extra_line(wanted: ExtraLine, currency: str, sub: Subscription | None = None, *, taxable: bool = True) -> DraftLine:
    """The draft of a line, rounded once; of a subscription it is a charge in mid-period (behaviour 1.2, 8.1).

    Raises InvalidValue for more decimals than the currency has and for what comes to nothing, Refused
    currency_mismatch for Money in another currency.
    """
    quantity, unit = _priced(wanted, currency)
    # As fractions: a product of decimals would be cut to the digits of their context.
    amount = round_exact(Fraction(quantity) * minor_units(unit, currency))
    if amount == 0:
        raise InvalidValue(
            f"Line {wanted.description!r} comes to nothing.",
            remedy="Lines of zero are not written: leave it out.",
            parameter="lines",
        )
    basis: dict[str, BasisValue] = {"quantity": decimal_text(quantity), "unit_amount": decimal_text(unit)}
    if wanted.tax_code is not None:
        basis["tax_code"] = wanted.tax_code
    return DraftLine(
        sub.id if sub is not None else None,
        None,
        "one_time",
        None,
        None,
        wanted.description,
        None,
        quantity,
        amount,
        tax_code=wanted.tax_code,
        taxable=taxable,
        inclusive=wanted.tax == "inclusive",
        mid_period=sub is not None,
        basis=basis,
    )


def require_not_negative(total: int, currency: str) -> None:
    """Refuse an invoice on which rebates are more than charges."""
    if total < 0:
        raise InvalidValue(
            f"The lines come to {Money(total, currency)}.",
            remedy="An invoice is not below zero; give money back by a credit note or a credit.",
            parameter="lines",
        )


def require_draft(invoice: Invoice, event: Literal["issue", "discard"]) -> None:
    """Refuse to issue or discard by hand what is no draft made by hand: transition_not_allowed."""
    invoice.after(event, "draft" if event == "discard" else "open")
    if invoice.purpose == "ad_hoc" and invoice.subscription_id is None and invoice.discarded_at is None:
        return
    gone = invoice.discarded_at is not None
    raise Refused(
        "transition_not_allowed",
        f"Draft {invoice.id} {'was discarded' if gone else 'waits for its payment'}; {event} is not possible.",
        remedy="Make another one: invoices.create." if gone else "It is issued, or discarded, with its outcome.",
        state=invoice.status,
        event=event,
    )


def _priced(wanted: ExtraLine, currency: str) -> tuple[Decimal, Decimal]:
    """Quantity and price of one unit, in major units."""
    if wanted.amount is None:
        assert wanted.quantity is not None and wanted.unit_amount is not None
        return wanted.quantity, wanted.unit_amount
    if isinstance(wanted.amount, Money):
        if wanted.amount.currency != currency:
            raise Refused(
                "currency_mismatch",
                f"lines: {wanted.amount} is not in {currency}.",
                remedy=f"Give amounts in {currency}.",
                parameter="lines",
            )
        return Decimal(1), Decimal(format_minor(wanted.amount.minor, currency))
    parse_minor(decimal_text(wanted.amount), currency)
    return Decimal(1), wanted.amount
