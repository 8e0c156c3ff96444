"""Taxes on a document: what an engine is asked and answers; the built-in one finds its rates in a table (8.2)."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from math import lcm
from typing import Protocol

from attrs import frozen

from billcore.domain.catalog import TaxRow
from billcore.domain.money import round_ratio, share
from billcore.settings import Seller, TaxRounding

ANY_CODE = "*"
_FOUND_AT_MOST = 4096
_NOBODY = Seller()


@frozen
class Place:
    """Where a customer is taxed; an empty text is not known.

    Capitals do not matter, nor do spaces in a postcode.
    """

    country: str = ""
    region: str = ""
    postcode: str = ""


@frozen
class TaxableLine:
    """One charge line as the tax sees it: `amount` in minor units after its discount, `code` its tax code.

    An `exempt` one belongs to a subscription that is, whoever its customer is.
    """

    amount: int
    code: str | None = None
    inclusive: bool = False
    taxable: bool = True
    exempt: bool = False


@frozen
class AppliedRate:
    """One rate on one line: `rate` in percent, `amount` the tax it gave in minor units.

    `source` is the id of its row, or the jurisdiction that an engine names.
    """

    name: str
    rate: Decimal
    source: str
    amount: int


@frozen
class LineTax:
    """One line's tax in minor units: `amount` is all of it, `included` the part inside an inclusive price.

    `reason` says why there is none: exempt, not_taxable or not_collecting; None where a rate holds, 0 % too.
    `engine` names the engine that reckoned it, None for the built-in one.
    """

    amount: int
    included: int
    rates: tuple[AppliedRate, ...]
    reason: str | None = None
    engine: str | None = None


@frozen
class TaxFacts:
    """What taxes a document beside its lines: the engine, where and who the customer is, on which day, who sells."""

    taxes: "Taxes"
    place: Place
    on: date
    exempt: bool
    vat_number: str = ""
    city: str = ""
    address: str = ""
    seller: Seller = _NOBODY


class Taxes(Protocol):
    """What reckons the tax of a document: without I/O, the same answer to the same question (behaviour 8.2)."""

    def tax(
        self, lines: Sequence[TaxableLine], facts: TaxFacts, document: str, currency: str, rounding: TaxRounding, /
    ) -> Sequence[LineTax]:
        """One LineTax for each charge line, in their order. `document` is the document's id."""


class RateTable:
    """A catalog's rate rows, arranged once so that many documents find theirs quickly.

    The most specific row valid at the date wins (behaviour 8.2), in this order: a row that names the
    postcode before one that does not, then the region, then the country; an empty field of a row stands for
    every place. Of rows for the same place one that names the line's tax code goes before "*". The place
    comes first because it decides whose law holds: a free port where nothing is taxed must not be overruled
    by the country's reduced rate for books; a narrower place that keeps that rate says so in a row of its
    own. Of rows alike in all of this the one with the latest `since` wins, then the last given.

    A row is valid from `since` up to, not including, `until`; without them it has no such end.
    """

    __slots__ = ("_by_key", "_found", "rows")

    def __init__(self, rows: Iterable[TaxRow]) -> None:
        self.rows = tuple(rows)
        by_key: dict[tuple[str, str, str, str], list[TaxRow]] = {}
        for row in reversed(self.rows):
            place = _normal(row.country, row.region, row.postcode)
            by_key.setdefault((*place, row.code), []).append(row)
        for alike in by_key.values():
            alike.sort(key=lambda row: row.since or date.min, reverse=True)
        self._by_key = by_key
        self._found: dict[tuple[Place, str | None, date], TaxRow | None] = {}

    def find(self, place: Place, code: str | None, on: date) -> TaxRow | None:
        """The row for a line with this tax code (None: only rows with "*"), or None where none holds."""
        key = (place, code, on)
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _FOUND_AT_MOST:
                self._found.clear()
            row = self._found[key] = self._search(place, code, on)
            return row

    def tax(
        self, lines: Sequence[TaxableLine], facts: TaxFacts, _document: str, _currency: str, rounding: TaxRounding, /
    ) -> list[LineTax]:
        """The tax of a document's charge lines by these rates."""
        return tax_lines(lines, self, facts.place, facts.on, exempt=facts.exempt, rounding=rounding)

    def _search(self, place: Place, code: str | None, on: date) -> TaxRow | None:
        country, region, postcode = _normal(place.country, place.region, place.postcode)
        codes = (ANY_CODE,) if code is None or code == ANY_CODE else (code, ANY_CODE)
        for a_postcode in dict.fromkeys((postcode, "")):
            for a_region in dict.fromkeys((region, "")):
                for a_country in dict.fromkeys((country, "")):
                    for a_code in codes:
                        for row in self._by_key.get((a_country, a_region, a_postcode, a_code), ()):
                            if _valid(row, on):
                                return row
        return None


_EXEMPT = LineTax(0, 0, (), "exempt")
_NOT_TAXABLE = LineTax(0, 0, (), "not_taxable")
_NOT_COLLECTING = LineTax(0, 0, (), "not_collecting")


def tax_lines(
    lines: Sequence[TaxableLine],
    table: RateTable,
    place: Place,
    on: date,
    *,
    exempt: bool,
    rounding: TaxRounding,
) -> list[LineTax]:
    """Tax the charge lines of one document, in their order (behaviour 8.2).

    A rate of r percent is r/100 of an exclusive amount and r/(100 + r) of an inclusive one, which contains
    it. `rounding` says what is rounded once, half away from zero: `group` the lines of one rate row that are
    alike inclusive or exclusive, `line` each line, `document` all of them; the rounded tax is shared over
    its lines by largest remainder, so that they always add up. An exempt customer comes before everything,
    then a line that is not taxable. Credited lines of a billed document carry their old tax and do not
    belong here; another negative line (a rebate by hand) is taxed too, but rounded apart from the charges.
    """
    if exempt:
        return [_EXEMPT] * len(lines)
    result: list[LineTax] = [_NOT_COLLECTING] * len(lines)
    together: dict[tuple[int, bool, bool], list[tuple[int, TaxRow]]] = {}
    for index, line in enumerate(lines):
        if line.exempt or not line.taxable:
            result[index] = _EXEMPT if line.exempt else _NOT_TAXABLE
            continue
        row = table.find(place, line.code, on)
        if row is None:
            continue
        if rounding == "group":
            key = (id(row), line.inclusive, line.amount < 0)
        elif rounding == "line":
            key = (index, False, False)
        else:
            key = (0, False, line.amount < 0)
        together.setdefault(key, []).append((index, row))
    for members in together.values():
        taxes = _rounded([_exact(lines[index], row) for index, row in members])
        for (index, row), tax in zip(members, taxes, strict=True):
            applied = AppliedRate(row.name, row.rate, row.id, tax)
            result[index] = LineTax(tax, tax if lines[index].inclusive else 0, (applied,))
    return result


def _exact(line: TaxableLine, row: TaxRow) -> tuple[int, int]:
    numerator, denominator = _ratio(row.rate, line.inclusive)
    return line.amount * numerator, denominator


def _rounded(taxes: list[tuple[int, int]]) -> list[int]:
    """Exact taxes (numerator, denominator) of one sign, rounded once in sum and shared."""
    if len(taxes) == 1:
        return [round_ratio(*taxes[0])]
    common = lcm(*[denominator for _, denominator in taxes])
    weights = [numerator * (common // denominator) for numerator, denominator in taxes]
    total = round_ratio(sum(weights), common)
    return share(total, [abs(weight) for weight in weights])


@lru_cache(maxsize=1024)
def _ratio(rate: Decimal, inclusive: bool) -> tuple[int, int]:
    numerator, denominator = rate.as_integer_ratio()
    return numerator, denominator * 100 + (numerator if inclusive else 0)


def _normal(country: str, region: str, postcode: str) -> tuple[str, str, str]:
    return country.strip().upper(), region.strip().upper(), "".join(postcode.split()).upper()


def _valid(row: TaxRow, on: date) -> bool:
    return (row.since is None or row.since <= on) and (row.until is None or on < row.until)
