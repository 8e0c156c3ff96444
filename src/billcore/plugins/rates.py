"""The built-in tax engine behind the contract: the rates of a catalog's table (behaviour 8.2)."""

from billcore.domain.tax import Place, RateTable, tax_lines
from billcore.plugins.tax import AppliedRate, TaxAnswer, TaxedLine, TaxRequest, Untaxed


class Rates:
    """The engine `rates`. Documents of its own site are taxed by the table itself, with the same result."""

    local = True

    def __init__(self, table: RateTable) -> None:
        self._table = table

    def quote(self, request: TaxRequest) -> TaxAnswer:
        """The most specific row for each line, rounded as the seller has it; no row: not collecting."""
        buyer = request.buyer
        place = Place(buyer.country, buyer.region, buyer.postcode)
        taxed = tax_lines(request.lines, self._table, place, request.on, exempt=buyer.exempt, rounding=request.rounding)
        lines = [
            TaxedLine(
                one.amount,
                tuple(AppliedRate(rate.name, rate.rate, rate.amount, buyer.country) for rate in one.rates),
                None if one.reason is None else Untaxed(one.reason),
            )
            for one in taxed
        ]
        return TaxAnswer(request.currency, tuple(lines))
