"""The built-in tax engine: the row that holds, three roundings, inclusive and exclusive (behaviour 8.2)."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.catalog import TaxRow
from billcore.domain.money import round_exact
from billcore.domain.tax import Place, RateTable, TaxableLine, tax_lines

DAY = date(2026, 6, 1)
BERLIN = Place("DE", "BE", "10115")
ROUNDINGS = ("group", "line", "document")


def row(rate="19", country="DE", region="", postcode="", code="*", **more):
    name = f"{country}/{region}/{postcode}/{code}/{rate}"
    return TaxRow(country, region, postcode, code, name, Decimal(rate), id=name, **more)


def taxes(lines, rows, *, rounding="group", exempt=False, place=BERLIN):
    return tax_lines(lines, RateTable(rows), place, DAY, exempt=exempt, rounding=rounding)


def found(rows, place, code, on):
    return RateTable(rows).find(place, code, on)


def gross(amount, code=None):
    return TaxableLine(amount, code, inclusive=True)


def test_the_rate_is_a_percentage_of_the_discounted_amount():
    [tax] = taxes([TaxableLine(12300)], [row("23")])
    assert (tax.amount, tax.included, tax.reason) == (2829, 0, None)
    [rate] = tax.rates
    assert (rate.rate, rate.amount) == (Decimal(23), 2829)


def test_an_inclusive_price_contains_its_tax():
    [tax] = taxes([gross(11900)], [row()])
    assert (tax.amount, tax.included) == (1900, 1900)


@pytest.mark.parametrize(
    ("rounding", "amount", "tax"), [("line", 10000, 7985), ("group", 10000, 7983), ("group", 9998, 7982)]
)
def test_five_lines_with_tax_inside(rounding, amount, tax):
    """Known figures of a ticket shop: five at 100.00, and five at 9998 yen."""
    assert sum(line.amount for line in taxes([gross(amount)] * 5, [row()], rounding=rounding)) == tax


def test_four_lines_with_one_rounding():
    """Known figures of an invoice: 175.50 less ten percent at 6.75 %."""
    lines = [TaxableLine(amount) for amount in (8910, 1395, 4230, 1260)]
    assert sum(line.amount for line in taxes(lines, [row("6.75")])) == 1066


def test_a_document_is_rounded_once_over_all_rates():
    """Three thirds of a cent are lost line by line and group by group, not in the document."""
    lines = [TaxableLine(5, code) for code in "abc"]
    rows = [row("7", code=code) for code in "abc"]
    assert [tax.amount for tax in taxes(lines, rows, rounding="group")] == [0, 0, 0]
    assert sum(tax.amount for tax in taxes(lines, rows, rounding="document")) == 1


def test_inclusive_and_exclusive_lines_are_groups_of_their_own():
    lines = [TaxableLine(3), TaxableLine(3), gross(3), gross(3)]
    taxed = taxes(lines, [row("10")])
    assert sum(tax.amount for tax in taxed[:2]) == 1
    assert sum(tax.amount for tax in taxed[2:]) == 1
    assert [tax.included for tax in taxed[:2]] == [0, 0]


def test_no_row_for_the_place_is_not_collecting():
    for place in (Place("FR"), Place()):
        [tax] = taxes([TaxableLine(10000)], [row()], place=place)
        assert (tax.amount, tax.rates, tax.reason) == (0, (), "not_collecting")


def test_an_exempt_customer_comes_before_everything_and_lines_say_why():
    lines = [TaxableLine(10000), gross(10000), TaxableLine(10000, taxable=False)]
    assert [(tax.amount, tax.included, tax.reason) for tax in taxes(lines, [row()], exempt=True)] == [
        (0, 0, "exempt")
    ] * 3


def test_a_line_that_is_not_taxable_says_so():
    [tax] = taxes([TaxableLine(10000, taxable=False)], [row()])
    assert (tax.amount, tax.reason) == (0, "not_taxable")


def test_a_rate_of_zero_is_a_rate():
    [tax] = taxes([TaxableLine(10000)], [row("0")])
    assert (tax.amount, tax.reason, len(tax.rates)) == (0, None, 1)


def test_the_postcode_goes_before_the_region_before_the_country():
    rows = [
        row("1"),
        row("2", region="BE"),
        row("3", postcode="10115"),
        row("4", region="BE", postcode="10115"),
    ]
    assert found(rows, BERLIN, None, DAY) == rows[3]
    assert found(rows[:3], BERLIN, None, DAY) == rows[2]
    assert found(rows[:2], BERLIN, None, DAY) == rows[1]
    assert found(rows, Place("DE", "BY", "80331"), None, DAY) == rows[0]


def test_the_tax_code_goes_before_the_star_within_the_place():
    rows = [row("19"), row("7", code="books")]
    assert found(rows, BERLIN, "books", DAY) == rows[1]
    assert found(rows, BERLIN, "toys", DAY) == rows[0]
    assert found(rows, BERLIN, None, DAY) == rows[0]
    assert found(rows[1:], BERLIN, None, DAY) is None


def test_the_place_goes_before_the_tax_code():
    """A free port stays free whatever the country says on books."""
    rows = [row("7", code="books"), row("0", postcode="10115")]
    assert found(rows, BERLIN, "books", DAY) == rows[1]


def test_a_row_holds_from_since_and_before_until():
    old = row("16", since=date(2020, 7, 1), until=date(2021, 1, 1))
    new = row("19", since=date(2021, 1, 1))
    for rows in ([old, new], [new, old]):
        assert found(rows, BERLIN, None, date(2020, 6, 30)) is None
        assert found(rows, BERLIN, None, date(2020, 12, 31)) == old
        assert found(rows, BERLIN, None, date(2021, 1, 1)) == new


def test_the_latest_of_rows_alike_wins():
    rows = [row("20", since=date(2025, 1, 1)), row("19", since=date(2021, 1, 1)), row("18")]
    assert found(rows, BERLIN, None, DAY) == rows[0]
    assert found([row("1"), row("2")], BERLIN, None, DAY) == row("2")


def test_a_row_that_is_over_leaves_the_wider_one():
    rows = [row("19"), row("5", region="BE", until=date(2026, 1, 1))]
    assert found(rows, BERLIN, None, DAY) == rows[0]


def test_capitals_and_spaces_of_an_address_do_not_matter():
    rows = [row("5", "GB", postcode="SW1A 1AA")]
    assert found(rows, Place("gb", "", "sw1a1aa"), None, DAY) == rows[0]


def test_a_table_answers_the_same_when_asked_again_and_after_many_others():
    table = RateTable([row()])
    asked = [Place("DE", "", str(number)) for number in range(5000)]
    assert {table.find(place, None, DAY) for place in asked} == {row()}
    assert table.find(asked[0], None, DAY) is table.find(asked[0], None, DAY)


rates = st.decimals(0, 60, places=3)
amounts = st.integers(0, 10**9)
documents = st.lists(
    st.builds(
        TaxableLine,
        st.integers(-(10**6), 10**9),
        st.sampled_from([None, "a", "b"]),
        inclusive=st.booleans(),
        taxable=st.booleans(),
    ),
    max_size=8,
)
rate_rows = st.tuples(rates, rates).map(lambda pair: [row(str(pair[0])), row(str(pair[1]), code="a")])


def exact(line, rows):
    rate = Fraction(found(rows, BERLIN, line.code, DAY).rate)
    return line.amount * rate / (100 + rate if line.inclusive else 100) if line.taxable else Fraction(0)


@given(documents, rate_rows)
def test_the_lines_add_up_to_what_was_rounded(lines, rows):
    """line: each; document: all charges once; group: each rate, inclusive and exclusive apart."""
    charges = [line for line in lines if line.amount >= 0]
    expected = {
        "line": sum(round_exact(exact(line, rows)) for line in charges),
        "document": round_exact(sum((exact(line, rows) for line in charges), Fraction(0))),
        "group": sum(
            round_exact(
                sum(
                    (exact(line, rows) for line in charges if (line.code == "a", line.inclusive) == (a, inclusive)),
                    Fraction(0),
                )
            )
            for a in (False, True)
            for inclusive in (False, True)
        ),
    }
    for rounding in ROUNDINGS:
        taxed = taxes(lines, rows, rounding=rounding)
        charged = [tax for line, tax in zip(lines, taxed, strict=True) if line.amount >= 0]
        assert sum(tax.amount for tax in charged) == expected[rounding]
        assert [tax.amount for tax in charged] == [tax.amount for tax in taxes(charges, rows, rounding=rounding)]


@given(documents, rate_rows, st.sampled_from(ROUNDINGS))
def test_each_line_is_near_its_exact_tax(lines, rows, rounding):
    for line, tax in zip(lines, taxes(lines, rows, rounding=rounding), strict=True):
        assert abs(tax.amount - exact(line, rows)) < Fraction(3, 2)
        assert tax.included == (tax.amount if line.inclusive else 0)
        assert sum(rate.amount for rate in tax.rates) == tax.amount


@given(st.lists(amounts, min_size=1, max_size=6), rates)
def test_inclusive_and_exclusive_agree(nets, rate):
    """Tax put on top of a net sum is the tax found inside the gross sum."""
    rows = [row(str(rate))]
    on_top = [tax.amount for tax in taxes([TaxableLine(net) for net in nets], rows)]
    inside = taxes([gross(net + tax) for net, tax in zip(nets, on_top, strict=True)], rows)
    assert sum(tax.amount for tax in inside) == sum(on_top)


@given(documents, rate_rows, st.sampled_from(ROUNDINGS))
def test_the_opposite_lines_have_the_opposite_tax(lines, rows, rounding):
    lines = [line for line in lines if line.amount]
    opposite = [TaxableLine(-line.amount, line.code, line.inclusive, line.taxable) for line in lines]
    assert [tax.amount for tax in taxes(opposite, rows, rounding=rounding)] == [
        -tax.amount for tax in taxes(lines, rows, rounding=rounding)
    ]
