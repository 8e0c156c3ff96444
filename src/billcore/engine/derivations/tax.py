"""The tax of a charge line: its rate on the discounted amount, rounded with the lines of its group (behaviour 8.2)."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from billcore.domain.catalog import TaxRow
from billcore.domain.invoice import Line
from billcore.domain.money import decimal_text
from billcore.domain.tax import LineTax, Place, RateTable, TaxableLine, tax_lines
from billcore.engine.derivations.step import Basis, Document, Step, exact_text

REASONS = {
    "exempt": "the customer or the subscription is exempt",
    "not_taxable": "what is sold is not taxable",
    "not_collecting": "the tax table has no rate for this place and tax code",
    "reverse_charge": "the customer owes it himself (reverse charge)",
    "not_subject": "what is sold is not subject to tax here",
}
TOGETHER = {
    "group": "rounded once with the lines of this rate",
    "line": "rounded by itself",
    "document": "rounded once over the document",
}


def tax_of(line: Line, basis: Basis, document: Document) -> tuple[list[Step], int, int]:
    """The steps to a charge line's tax, the tax, and the part of it inside an inclusive price, in minor units."""
    if "untaxed" in basis:
        return [Step(f"no tax: {REASONS.get(basis['untaxed'], basis['untaxed'])}", "0")], 0, 0
    if not basis.get("rates"):
        return [], 0, 0
    if "engine" in basis:
        return _told(line, basis, document.currency)
    charges = [pair for pair in document.lines if pair[0].credits_line_id is None]
    rounding = _rounding(basis)
    derived = _derive(charges, rounding)
    place = next(index for index, (one, _) in enumerate(charges) if one.id == line.id)
    tax = derived[place]
    rate = tax.rates[0]
    base = line.amount - line.discount
    inclusive = bool(basis.get("inclusive"))
    percent = Fraction(rate.rate)
    exact = base * percent / (100 + percent if inclusive else 100)
    where = _where(base, document.currency, inclusive=inclusive)
    steps = [Step(f"{rate.name}, {decimal_text(rate.rate)} % {where}", exact_text(exact, document.currency))]
    if exact != tax.amount:
        steps.append(Step(TOGETHER[rounding], exact_text(tax.amount, document.currency)))
    return steps, tax.amount, tax.included


def _told(line: Line, basis: Basis, currency: str) -> tuple[list[Step], int, int]:
    """What another engine said of each rate; how it rounds is its own business, so its amounts are added up."""
    inclusive = bool(basis.get("inclusive"))
    where = _where(line.amount - line.discount, currency, inclusive=inclusive)
    steps, tax = [], 0
    for name, percent, amount, jurisdiction in basis["rates"]:
        of = f" ({jurisdiction})" if jurisdiction else ""
        steps.append(Step(f"{name}{of}, {decimal_text(Decimal(percent))} % {where}", exact_text(amount, currency)))
        tax += amount
    steps.append(Step(f"tax as the engine {basis['engine']} reckoned it", exact_text(tax, currency)))
    return steps, tax, tax if inclusive else 0


def _where(base: int, currency: str, *, inclusive: bool) -> str:
    return f"inside {exact_text(base, currency)}" if inclusive else f"on {exact_text(base, currency)}"


def _rounding(basis: Basis) -> Literal["group", "line", "document"]:
    match basis.get("rounding"):
        case "line":
            return "line"
        case "document":
            return "document"
        case _:
            return "group"


def _derive(charges: list[tuple[Line, Basis]], rounding: Literal["group", "line", "document"]) -> list[LineTax]:
    """All charge lines taxed again by the rates that their bases keep, whatever the catalog says by now."""
    rows: dict[str, TaxRow] = {}
    lines = []
    for line, basis in charges:
        code = None
        for name, rate, _amount, row_id in basis.get("rates", ()):
            code = f"{row_id} {name} {rate}"
            rows[code] = TaxRow("", "", "", code, str(name), Decimal(str(rate)), id=str(row_id))
        inclusive = bool(basis.get("inclusive"))
        lines.append(TaxableLine(line.amount - line.discount, code, inclusive, code is not None))
    table = RateTable(rows.values())
    return tax_lines(lines, table, Place(), date(1970, 1, 1), exempt=False, rounding=rounding)
