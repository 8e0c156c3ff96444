"""Coupons on a document: order, sums, shares, and what uses them up (behaviour 8.1)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.catalog import Coupon, Periods
from billcore.domain.discount import AppliedCoupon, Discountable, discount_lines, in_order, redeem
from billcore.domain.money import round_exact
from billcore.domain.periods import Duration
from billcore.errors import Refused

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def coupon(code="C", **fields):
    for name in ("percent_off", "amount_off", "minimum"):
        if fields.get(name) is not None:
            fields[name] = Decimal(fields[name])
    return Coupon(code, **fields)


def applied(*coupons, **fields):
    return [AppliedCoupon(each.code, each, position, **fields) for position, each in enumerate(coupons)]


def line(amount, *codes, mid_period=False, subscription="s1"):
    return Discountable(subscription, frozenset(codes), amount, mid_period)


def percent(off, code=None, **fields):
    return coupon(code or f"P{off}", percent_off=off, **fields)


def off(amount, code=None, **fields):
    return coupon(code or f"A{amount}", amount_off=amount, **fields)


def discounts(lines, *coupons, currency="USD"):
    return discount_lines(lines, applied(*coupons), currency, NOW)


def test_no_coupon_no_discount():
    assert discounts([line(100)]).per_line == (0,)


@pytest.mark.parametrize(
    ("amounts", "coupons", "total"),
    [
        ([10000], [percent("10"), percent("20")], 2800),
        ([10000], [percent("10", stacking="full_price"), percent("20", stacking="full_price")], 3000),
        ([10000], [percent("30", stacking="full_price"), percent("20", stacking="full_price")], 5000),
        ([10000], [percent("50")], 5000),
        ([2000], [off("50.00")], 2000),
        ([5000, 5000], [off("10.00")], 1000),
        ([6000, 4000], [off("10.00")], 1000),
        ([1000, 1000], [off("15.00")], 1500),
        ([1000, 1000], [off("25.00")], 2000),
        ([100, 200], [off("1.00")], 100),
        ([1000, 2000], [percent("10")], 300),
        ([20000, 5000], [percent("25")], 6250),
        ([9900, 1550, 4700, 1400], [percent("10")], 1755),
        ([0, 180000], [off("270.00")], 27000),
    ],
)
def test_known_figures_of_other_systems(amounts, coupons, total):
    assert discounts([line(amount) for amount in amounts], *coupons).total == total


def test_a_coupon_is_shared_by_largest_remainder():
    assert discounts([line(100), line(200)], off("1.00")).per_line == (33, 67)
    assert discounts([line(1), line(1), line(1)], percent("50")).per_line == (1, 1, 0)


def test_it_is_computed_once_on_the_sum():
    """Ten lines of 0.05 less ten percent: five cents, where each line alone would round up to one."""
    assert discounts([line(5)] * 10, percent("10")).total == 5


def test_restricted_before_general_full_price_before_compound_amount_before_percent_then_as_applied():
    coupons = applied(
        percent("1"),
        percent("2"),
        off("3"),
        percent("4", stacking="full_price"),
        off("5", stacking="full_price"),
        percent("6", applies_to=("a",)),
        off("7", applies_to=("a",)),
        percent("8", applies_to=("a",), stacking="full_price"),
    )
    order = ["P8", "A7", "P6", "A5", "P4", "A3", "P1", "P2"]
    assert [each.id for each in in_order(coupons)] == order
    assert [each.id for each in in_order(reversed(coupons))] == order


def test_compound_percent_comes_after_amount_off():
    """100.00 less 10.00 first, then ten percent of the 90.00 that are left."""
    result = discounts([line(10000)], percent("10"), off("10.00"))
    assert result.by_coupon == {"A10.00": 1000, "P10": 900}


def test_a_restricted_coupon_takes_only_its_own_lines():
    lines = [line(10000, "prod-a", "a-monthly"), line(10000, "prod-b")]
    for code in ("prod-a", "a-monthly"):
        assert discounts(lines, off("20.00", applies_to=(code,))).per_line == (2000, 0)
    assert discounts(lines, off("20.00", applies_to=("other",))).by_coupon == {}


def test_full_price_takes_its_share_of_each_full_price():
    lines = [line(10000, "a"), line(10000, "b")]
    result = discounts(lines, percent("50", applies_to=("a",)), percent("10", stacking="full_price", code="ALL"))
    assert result.per_line == (6000, 1000)
    assert result.by_coupon == {"P50": 5000, "ALL": 2000}


def test_what_a_line_cannot_take_falls_on_the_others():
    lines = [line(10000, "a"), line(10000, "b")]
    result = discounts(lines, percent("100", applies_to=("a",)), percent("10", stacking="full_price", code="ALL"))
    assert result.per_line == (10000, 2000)


def test_never_below_zero():
    coupons = [percent("60", stacking="full_price", code=code) for code in "AB"]
    result = discounts([line(100)], *coupons, off("5.00"))
    assert result.per_line == (100,)
    assert result.by_coupon == {"A": 60, "B": 40}


def test_credit_lines_are_not_discounted():
    result = discounts([line(-5000), line(10000)], percent("10"))
    assert result.per_line == (0, 1000)


def test_amount_off_leaves_charges_inside_a_period_alone():
    lines = [line(10000, mid_period=True), line(5000)]
    assert discounts(lines, off("60.00")).per_line == (0, 5000)
    assert discounts(lines[:1], off("60.00")).used == frozenset()


def test_percent_applies_to_charges_inside_a_period_and_is_not_used_up():
    result = discounts([line(10000, mid_period=True)], percent("10"))
    assert result.per_line == (1000,)
    assert result.used == frozenset()


def test_a_coupon_touches_its_own_subscription():
    """On a consolidated invoice; a subscription that charges nothing keeps its coupon."""
    lines = [line(1000, subscription="s1"), line(1000, subscription="s2"), line(-10, subscription="s3")]
    coupons = [
        AppliedCoupon("one", percent("10"), 1, subscription_id="s1"),
        AppliedCoupon("three", percent("50"), 1, subscription_id="s3"),
    ]
    result = discount_lines(lines, coupons, "USD", NOW)
    assert result.per_line == (100, 0, 0)
    assert result.used == {"one"}


def test_it_is_used_where_the_subscription_charges_even_if_nothing_was_left_or_eligible():
    coupons = [percent("100"), off("5.00"), percent("10", applies_to=("other",))]
    assert discounts([line(1000)], *coupons).used == {"P100", "A5.00", "P10"}
    assert discounts([line(0)], *coupons).used == frozenset()


def test_credits_on_the_document_do_not_keep_a_coupon_fresh():
    assert discounts([line(-5000), line(1000)], percent("10")).used == {"P10"}


def test_minimum_is_compared_with_the_eligible_lines():
    small = percent("10", minimum="20.00", applies_to=("a",))
    assert discounts([line(1999, "a"), line(9000)], small).used == frozenset()
    assert discounts([line(1999, "a"), line(9000)], small).total == 0
    assert discounts([line(2000, "a")], small).total == 200
    assert discounts([line(2000, "a")], percent("50"), small).by_coupon["P10"] == 200


def test_minimum_counts_full_prices():
    """What another coupon takes off does not push it below."""
    result = discounts([line(2000)], off("10.00"), percent("10", minimum="20.00"))
    assert result.by_coupon == {"A10.00": 1000, "P10": 100}


def test_a_coupon_that_is_used_up_or_over_gives_nothing():
    ten = percent("10")
    for gone in (AppliedCoupon("c", ten, 1, remaining=0), AppliedCoupon("c", ten, 1, until=NOW)):
        assert discount_lines([line(1000)], [gone], "USD", NOW).total == 0
    for there in (
        AppliedCoupon("c", ten, 1, remaining=1),
        AppliedCoupon("c", ten, 1, until=NOW + timedelta(1)),
    ):
        assert discount_lines([line(1000)], [there], "USD", NOW).total == 100


def test_decimals_follow_the_currency():
    assert discounts([line(1000)], off("500", currency="JPY"), currency="JPY").total == 500
    assert discounts([line(9000)], off("1.5", currency="KWD"), currency="KWD").total == 1500


def test_money_of_another_currency_is_refused():
    for each in (off("5.00", currency="EUR"), percent("5", minimum="1", currency="EUR")):
        with pytest.raises(Refused) as caught:
            discounts([line(1000)], each)
        assert caught.value.code == "currency_mismatch"
    assert discounts([line(1000)], percent("10", currency="EUR")).total == 100


def redeemed(each, held=(), redemptions=0, at=NOW):
    return redeem(each, applied_id="new", at=at, zone="UTC", currency="USD", redemptions=redemptions, held=held)


def test_the_duration_says_how_long_it_holds():
    assert redeemed(percent("10")).remaining == 1
    assert redeemed(percent("10", duration=Periods(3))).remaining == 3
    forever = redeemed(percent("10", duration="forever"))
    assert (forever.remaining, forever.until) == (None, None)
    months = redeemed(percent("10", duration=Duration.parse("6 months")))
    assert (months.remaining, months.until) == (None, datetime(2026, 12, 1, tzinfo=UTC))


def test_positions_follow_the_order_of_application():
    held = [redeemed(percent("10"))]
    assert redeemed(percent("20"), held).position == held[0].position + 1


@pytest.mark.parametrize(
    ("each", "held", "redemptions", "code"),
    [
        (percent("10", redeem_by=NOW - timedelta(1)), (), 0, "coupon_expired"),
        (percent("10", max_redemptions=2), (), 2, "coupon_used_up"),
        (percent("10", stacking="exclusive"), applied(percent("20")), 0, "coupon_not_applicable"),
        (percent("10"), applied(percent("20", stacking="exclusive")), 0, "coupon_not_applicable"),
        (percent("10"), applied(percent("10")), 0, "coupon_not_applicable"),
        (off("5.00", currency="EUR"), (), 0, "currency_mismatch"),
    ],
)
def test_a_coupon_that_cannot_be_redeemed_is_refused(each, held, redemptions, code):
    with pytest.raises(Refused) as caught:
        redeemed(each, held, redemptions)
    assert caught.value.code == code
    assert caught.value.remedy


def test_the_limits_themselves_are_inside():
    assert redeemed(percent("10", redeem_by=NOW, max_redemptions=1)).remaining == 1


def test_exclusive_is_alone_again_when_the_other_is_used_up():
    held = applied(percent("20", stacking="exclusive"), remaining=0)
    assert redeemed(percent("10"), held).coupon.code == "P10"
    assert redeemed(percent("20"), held).remaining == 1


codes = st.frozensets(st.sampled_from("abc"), max_size=2)
charges = st.builds(
    Discountable,
    st.sampled_from(["s1", "s2"]),
    codes,
    st.integers(-(10**6), 10**9),
    st.booleans(),
)
restrictions = st.none() | st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple)
stackings = st.sampled_from(["compound", "full_price"])
coupons = st.builds(
    Coupon,
    st.just("C"),
    percent_off=st.decimals(0, 100, places=2),
    applies_to=restrictions,
    stacking=stackings,
    minimum=st.none() | st.just(Decimal("10.00")),
) | st.builds(
    Coupon,
    st.just("C"),
    amount_off=st.decimals(0, 10**6, places=2),
    applies_to=restrictions,
    stacking=stackings,
)
stacks = st.lists(st.tuples(coupons, st.none() | st.sampled_from(["s1", "s2"])), max_size=5).map(
    lambda stack: [
        AppliedCoupon(str(position), each, position, subscription_id=subscription)
        for position, (each, subscription) in enumerate(stack)
    ]
)


@given(st.lists(charges, max_size=6), stacks)
def test_shares_add_up_and_no_line_goes_below_zero(lines, stack):
    result = discount_lines(lines, stack, "USD", NOW)
    assert result.total == sum(result.by_coupon.values())
    for each, discount in zip(lines, result.per_line, strict=True):
        assert 0 <= discount <= max(each.amount, 0)
    eligible = {each.id: set() for each in stack}
    for each in stack:
        for index, charge in enumerate(lines):
            own = each.subscription_id in (None, charge.subscription_id)
            named = each.coupon.applies_to is None or charge.codes & set(each.coupon.applies_to)
            if own and named and not (charge.mid_period and each.coupon.amount_off is not None):
                eligible[each.id].add(index)
    for key, amount in result.by_coupon.items():
        assert 0 < amount <= sum(max(lines[index].amount, 0) for index in eligible[key])


@given(st.lists(charges, max_size=6), stacks)
def test_the_order_of_the_list_does_not_matter(lines, stack):
    assert discount_lines(lines, stack, "USD", NOW) == discount_lines(lines, stack[::-1], "USD", NOW)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.decimals(0, 100, places=3))
def test_one_percentage_is_the_rounded_share_of_the_sum(amounts, rate):
    result = discounts([line(amount) for amount in amounts], coupon(percent_off=rate))
    assert result.total == round_exact(sum(amounts) * Fraction(rate) / 100)
    for amount, discount in zip(amounts, result.per_line, strict=True):
        assert abs(discount - amount * Fraction(rate) / 100) < Fraction(3, 2)


@given(st.lists(charges, max_size=6), stacks)
def test_one_invoice_is_the_same_as_one_for_each_subscription(lines, stack):
    """Consolidation never changes what a coupon gives or whether it is used (behaviour 8.1, 8.3)."""
    stack = [each for each in stack if each.subscription_id]
    together = discount_lines(lines, stack, "USD", NOW)
    for subscription in ("s1", "s2"):
        own = [index for index, each in enumerate(lines) if each.subscription_id == subscription]
        mine = [each for each in stack if each.subscription_id == subscription]
        alone = discount_lines([lines[index] for index in own], mine, "USD", NOW)
        assert alone.per_line == tuple(together.per_line[index] for index in own)
        assert alone.used == together.used & {each.id for each in mine}
