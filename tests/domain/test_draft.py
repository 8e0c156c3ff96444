"""From lines to a document: discounts, then tax, then totals (behaviour 8)."""

from datetime import date
from decimal import Decimal

from billcore.domain.catalog import Coupon, TaxRow
from billcore.domain.discount import AppliedCoupon
from billcore.domain.draft import draft
from billcore.domain.periods import Period
from billcore.domain.proration import LineCredit, Portion
from billcore.domain.tax import Place, RateTable, TaxFacts
from tests.builders import START, day, draft_line, ids, settings

VAT = TaxRow("DE", "", "", "*", "VAT", Decimal(19), None)
GERMANY = TaxFacts(RateTable([VAT]), Place("DE", "", ""), date(2026, 1, 1), exempt=False)


def drafted(*lines, coupons=(), tax=GERMANY, **changed):
    applied = {"sub_1": tuple(coupons)} if coupons else {}
    return draft("inv_1", "cus_1", lines, applied, tax, settings(**changed), "USD", START, ids())


def ten_percent():
    return AppliedCoupon("cpn_1", Coupon("TEN", percent_off=Decimal(10), duration="forever"), 1, None)


def credit_line(amount=-1000, discount=-100, tax=-171):
    credit = LineCredit(amount, discount, tax, Portion(1, 2), Period(day("01-16"), day("02-01")))
    return draft_line(amount, kind="credit", credit=credit, credits_line_id="lin_0")


def test_tax_is_on_the_discounted_amount() -> None:
    made = drafted(draft_line(10000), coupons=[ten_percent()])
    assert (made.subtotal, made.discount, made.tax, made.total) == (10000, 1000, 1710, 10710)


def test_inclusive_tax_is_counted_and_not_added() -> None:
    made = drafted(draft_line(11900, inclusive=True))
    assert (made.subtotal, made.tax, made.tax_included, made.total) == (11900, 1900, 1900, 11900)


def test_a_document_is_the_sum_of_its_lines() -> None:
    made = drafted(draft_line(3333), draft_line(6667, inclusive=True), draft_line(1), coupons=[ten_percent()])
    assert made.total == sum(line.total for line in made.lines)
    assert made.discount == sum(line.discount for line in made.lines)


def test_credit_lines_are_neither_discounted_nor_taxed_again() -> None:
    """They carry discount and tax of what they give back (3.4)."""
    made = drafted(draft_line(10000), credit_line(), coupons=[ten_percent()])
    charge, credit = made.lines
    assert (charge.discount, charge.tax) == (1000, 1710)
    assert (credit.amount, credit.discount, credit.tax, credit.credits_line_id) == (-1000, -100, -171, "lin_0")
    assert made.total == 10710 - 1071


def test_more_given_back_than_charged_is_a_negative_total() -> None:
    assert drafted(credit_line()).total == -1071


def test_an_exempt_customer_pays_no_tax_and_the_line_says_why() -> None:
    made = drafted(draft_line(10000), tax=TaxFacts(GERMANY.taxes, GERMANY.place, GERMANY.on, exempt=True))
    assert made.tax == 0
    assert '"untaxed":"exempt"' in made.lines[0].basis


def test_a_coupon_touches_its_own_subscription_only() -> None:
    made = drafted(draft_line(1000), draft_line(1000, subscription_id="sub_2"), coupons=[ten_percent()])
    assert [line.discount for line in made.lines] == [100, 0]
    assert made.used == {"cpn_1"}
