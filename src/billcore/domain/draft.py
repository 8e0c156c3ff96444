"""From draft lines to a document: discounts, then tax, then totals, in this order (behaviour 8)."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from attrs import field, frozen

from billcore.domain.compact import compact
from billcore.domain.credit import Allocation
from billcore.domain.discount import AppliedCoupon, Discountable, discount_lines
from billcore.domain.invoice import Line, LineKind
from billcore.domain.periods import Period
from billcore.domain.proration import LineCredit, Portion
from billcore.domain.tax import LineTax, TaxableLine, TaxFacts
from billcore.domain.values import NewId, evolve
from billcore.errors import InvalidValue
from billcore.settings import Settings, TaxRounding

LARGEST = 2**53
"""What amounts on documents stay below: exact in every JSON reader, and a thousand of them add up in 64 bits."""

BasisValue = str | int | bool | None | Sequence[object] | Mapping[str, object]


@frozen(slots=False)
class DraftLine:
    """A priced line before discount and tax.

    `codes` are what coupons may name; `credit` is set on credit lines, which carry discount and tax of the line they
    give back (behaviour 3.4), `returned` says what they take out of what had settled its invoice. `waiting` is the
    stored line, of an earlier command, that waited for this document with its own discount (behaviour 6.2, 8.1);
    `layer` is the layer of the coverage it will have. An `exempt` one is not taxed, whoever the customer is.
    """

    subscription_id: str | None
    item_id: str | None
    kind: LineKind
    price_id: str | None
    code: str | None
    description: str
    period: Period | None
    quantity: Decimal
    amount: int
    codes: frozenset[str] = frozenset()
    tax_code: str | None = None
    taxable: bool = True
    inclusive: bool = False
    mid_period: bool = False
    basis: Mapping[str, BasisValue] = field(factory=dict)
    credit: LineCredit | None = None
    credits_line_id: str | None = None
    returned: tuple[Allocation, ...] = ()
    waiting: Line | None = None
    layer: int = 0
    exempt: bool = False


@frozen
class Drafted:
    """A document's lines and totals, and the coupons that it used up (`used`: applied coupon ids)."""

    lines: tuple[Line, ...]
    subtotal: int
    discount: int
    tax: int
    tax_included: int
    used: frozenset[str]

    @property
    def total(self) -> int:
        """Subtotal - discount + tax - tax_included; negative when more is given back than charged."""
        return self.subtotal - self.discount + self.tax - self.tax_included


def draft(
    invoice_id: str,
    customer_id: str,
    lines: Sequence[DraftLine],
    coupons: Mapping[str | None, Sequence[AppliedCoupon]],
    tax: TaxFacts,
    settings: Settings,
    currency: str,
    at: datetime,
    new_id: NewId,
) -> Drafted:
    """Apply discounts and tax to `lines` and add them up. `coupons` are by subscription id, or None (8.1, 8.2)."""
    charges = [line for line in lines if line.credit is None]
    discounts, used, taken = _discounts(charges, coupons, currency, at)
    taxes = tax.taxes.tax(
        [
            TaxableLine(line.amount - discount, line.tax_code, line.inclusive, line.taxable, line.exempt)
            for line, discount in zip(charges, discounts, strict=True)
        ],
        tax,
        invoice_id,
        currency,
        settings.tax_rounding,
    )
    charged = iter(zip(discounts, taxes, strict=True))
    made = []
    for line in lines:
        if line.credit is not None:
            figures = line.credit.discount, line.credit.tax, line.credit.tax_included
            basis: dict[str, object] = dict(line.basis)
        else:
            discount, line_tax = next(charged)
            figures = discount, line_tax.amount, line_tax.included
            basis = _basis(line, line_tax, settings, taken.get(line.subscription_id) if discount else None)
        made.append(_line(invoice_id, customer_id, line, *figures, basis, new_id))
    waited = {line.id: line for line in made if line.waited}
    if waited:
        made = _with_their_tax(made, waited)
    drafted = Drafted(
        tuple(made),
        sum(line.amount for line in made),
        sum(line.discount for line in made),
        sum(line.tax for line in made),
        sum(line.tax_included for line in made),
        used,
    )
    _check_size(drafted, currency)
    return drafted


def _check_size(drafted: Drafted, currency: str) -> None:
    """No line or sum may reach LARGEST; raises InvalidValue."""
    amounts = (drafted.subtotal, drafted.tax, drafted.total, *[line.amount for line in drafted.lines])
    if max(amounts) >= LARGEST or min(amounts) <= -LARGEST:
        raise InvalidValue(
            f"An amount of {max(amounts, key=abs)} minor units of {currency} is too large for a document.",
            remedy=f"Amounts on documents stay below {LARGEST} minor units; check quantities and prices.",
            currency=currency,
        )


def _discounts(
    charges: Sequence[DraftLine],
    coupons: Mapping[str | None, Sequence[AppliedCoupon]],
    currency: str,
    at: datetime,
) -> tuple[list[int], frozenset[str], dict[str | None, list[list[str | int]]]]:
    """Each line's discount, the applied coupons that are used up, and what each coupon took of a subscription."""
    discounts = [line.waiting.discount if line.waiting is not None else 0 for line in charges]
    used: frozenset[str] = frozenset()
    taken: dict[str | None, list[list[str | int]]] = {}
    for subscription_id, applied in coupons.items():
        if not applied:
            continue
        places = [
            i for i, line in enumerate(charges) if line.subscription_id == subscription_id and line.waiting is None
        ]
        result = discount_lines(
            [Discountable(subscription_id, charges[i].codes, charges[i].amount, charges[i].mid_period) for i in places],
            applied,
            currency,
            at,
        )
        for i, discount in zip(places, result.per_line, strict=True):
            discounts[i] = discount
        used |= result.used
        ids = {held.id: held.coupon.id for held in applied}
        taken[subscription_id] = [[ids[place], amount] for place, amount in result.by_coupon.items()]
    return discounts, used, taken


def _basis(
    line: DraftLine, taxed: LineTax, settings: Settings, coupons: list[list[str | int]] | None
) -> dict[str, object]:
    """The line's basis with what discounts and tax it: enough to derive both again (behaviour 3.7)."""
    basis: dict[str, object] = dict(line.basis)
    if coupons and line.waiting is None:
        basis["coupons"] = coupons
    if line.mid_period:
        basis["mid_period"] = True
    basis |= tax_basis(taxed, settings.tax_rounding)
    if line.inclusive:
        basis["inclusive"] = True
    return basis


TAX_KEYS = ("rates", "rounding", "engine", "untaxed")
"""What a line's basis says of its tax."""


def tax_basis(taxed: LineTax, rounding: TaxRounding) -> dict[str, object]:
    """What a line's basis says of its tax: rates, rounding and engine, or why there is none."""
    basis: dict[str, object] = {}
    if taxed.rates:
        basis["rates"] = [[rate.name, str(rate.rate), rate.amount, rate.source] for rate in taxed.rates]
        if rounding != "group":
            basis["rounding"] = rounding
    if taxed.engine is not None:
        basis["engine"] = taxed.engine
    if taxed.reason:
        basis["untaxed"] = taxed.reason
    return basis


def _line(
    invoice_id: str,
    customer_id: str,
    line: DraftLine,
    discount: int,
    tax: int,
    included: int,
    basis: dict[str, object],
    new_id: NewId,
) -> Line:
    return Line(
        line.waiting.id if line.waiting is not None else new_id("lin"),
        invoice_id,
        None,
        customer_id,
        line.subscription_id,
        line.item_id,
        line.kind,
        line.price_id,
        line.code,
        line.description,
        line.period.start if line.period else None,
        line.period.end if line.period else None,
        line.quantity,
        line.amount,
        discount,
        tax,
        included,
        compact(basis),
        line.credits_line_id,
        line.waiting is not None,
        line.layer,
    )


def _with_their_tax(lines: list[Line], waited: Mapping[str, Line]) -> list[Line]:
    """Credits of lines that stand on the same document take their share of the tax that is only known now (3.4)."""
    made: list[Line] = []
    given: dict[str, tuple[int, int]] = {}
    for line in lines:
        billed = waited.get(line.credits_line_id or "")
        if billed is None:
            made.append(line)
            continue
        basis = json.loads(line.basis)
        share = Portion(*basis.get("share", basis.get("removed")))
        tax, included = given.get(billed.id, (0, 0))
        due = share.of(billed.tax), share.of(billed.tax_included)
        made.append(evolve(line, tax=tax - due[0], tax_included=included - due[1]))
        given[billed.id] = due
    return made
