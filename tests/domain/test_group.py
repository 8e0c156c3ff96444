"""Who pays for whom, and what a new payer makes of a subscription (behaviour 14, 7.2, 7.3)."""

from calendar import monthrange

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.durations import Duration
from billcore.domain.facts import schedule_of
from billcore.domain.group import day_of, on_day, pay_from_now, payer_of, require_fit, terms_beside
from billcore.domain.periods import local_date
from billcore.errors import InvalidValue, Refused
from tests.builders import START, customer, day, ids, settings, subscription


def line(*pays):
    """A customer and his parents upwards, each with who pays for him."""
    count = len(pays)
    return [
        customer(id=f"cus_{n}", reference=f"c{n}", pays=one, parent_id=f"cus_{n + 1}" if n + 1 < count else None)
        for n, one in enumerate(pays)
    ]


@pytest.mark.parametrize(
    ("pays", "payer"),
    [
        (("self",), 0),
        (("self", "self"), 0),
        (("parent", "self"), 1),
        (("parent", "parent", "self"), 2),
        (("parent", "self", "parent", "self"), 1),
    ],
)
def test_the_payer_is_the_first_who_pays_himself(pays, payer) -> None:
    assert payer_of(line(*pays)).id == f"cus_{payer}"


def test_nobody_stands_above_himself() -> None:
    above = line("parent", "parent", "self")
    with pytest.raises(InvalidValue, match="stands above"):
        require_fit(above[2], above)
    with pytest.raises(InvalidValue, match="his own parent"):
        require_fit(above[0], above)


def test_a_payer_pays_in_his_own_currency_only() -> None:
    payer, child = customer(id="cus_9", reference="head", currency="USD"), customer()
    require_fit(child, [payer], [subscription(currency="USD")])
    require_fit(customer(currency="EUR"), [customer(id="cus_9")], [subscription(currency="EUR")])
    for his, sold in ((child, "EUR"), (customer(currency="EUR"), "USD")):
        with pytest.raises(Refused) as refused:
            require_fit(his, [payer], [subscription(currency=sold)])
        assert refused.value.code == "currency_mismatch"


@pytest.mark.parametrize(
    ("state", "previous", "after"),
    [
        ("past_due", None, "active"),
        ("unpaid", None, "active"),
        ("soft_failure", "trialing", "trialing"),
        ("trialing", None, "trialing"),
        ("on_hold", "active", "on_hold"),
    ],
)
def test_a_debt_stays_with_who_made_it(state, previous, after) -> None:
    sub = subscription(state, previous_state=previous, payment_method_id="pm_1", net_terms=10)
    moved, changes = pay_from_now(sub, "cus_9", 30, START, "ada", ids())
    assert (moved.state, moved.customer_id, moved.owner_id) == (after, "cus_9", "cus_1")
    assert (moved.payment_method_id, moved.net_terms) == (None, 30)
    assert [(one.state, one.customer_id, one.cause) for one in changes] == (
        [(after, "cus_9", "payer_changed")] if after != state else []
    )
    back, _ = pay_from_now(moved, "cus_1", None, START, "ada", ids())
    assert (back.customer_id, back.owner_id, back.net_terms) == ("cus_1", None, None)


def test_terms_are_those_of_the_payers_own_subscription_of_that_collection() -> None:
    own = [subscription(net_terms=5), subscription(collection="remittance", net_terms=14)]
    assert [terms_beside(own, one) for one in ("automatic", "remittance")] == [5, 14]
    assert terms_beside([], "automatic") is None


def test_the_payers_day_is_his_own_or_that_of_his_oldest_subscription() -> None:
    anchored = subscription(anchor=day("01-20T23:30"))
    assert day_of(customer(billing_day=31), [anchored], "UTC") == 31
    assert day_of(customer(), [anchored, subscription(billing_day=3)], "Asia/Kolkata") == 21
    assert day_of(customer(), [subscription(anchor=None), subscription(billing_day=3)], "UTC") == 3
    with pytest.raises(InvalidValue):
        day_of(customer(), [subscription(anchor=None)], "UTC")


@given(
    months=st.sampled_from([1, 3, 12]),
    wanted=st.integers(1, 31),
    begun=st.integers(0, 400).map(lambda days: day("2025-01-03").fromordinal(day("2025-01-03").toordinal() + days)),
)
def test_a_payers_day_leaves_the_current_period_and_makes_the_next_no_longer(months, wanted, begun) -> None:
    every, start = Duration(months, "month"), begun.replace(tzinfo=START.tzinfo)
    sub = subscription(anchor=start, period_start=start)
    end = schedule_of(sub, every, "UTC", settings()).boundary_after(start)
    sub = subscription(anchor=start, period_start=start, period_end=end)
    moved = on_day(sub, every, wanted, "UTC", settings(), start)
    assert (moved.period_start, moved.period_end, moved.span_start) == (start, end, None)
    schedule = schedule_of(moved, every, "UTC", settings())
    following = schedule.boundary_after(end)
    assert local_date(following, "UTC").day in (wanted, 28, 29, 30)
    whole = local_date(end, "UTC").day == min(wanted, monthrange(end.year, end.month)[1])  # It ends on that day.
    no_longer = following <= schedule_of(sub, every, "UTC", settings()).boundary_after(end)
    assert end < following and (no_longer or months == 1 or whole)
    assert schedule.is_boundary(schedule.boundary_after(following))


def test_prices_of_days_and_weeks_keep_their_dates() -> None:
    sub = subscription()
    assert on_day(sub, Duration(2, "week"), 15, "UTC", settings(), START) == sub
