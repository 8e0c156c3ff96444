"""What a line asks for: values by column, constant, template and map; dates told or counted."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.periods import Duration, Schedule
from billcore.errors import InvalidValue
from billcore.importing.mapping_reader import read_mapping
from billcore.importing.rows import wanted

MONTH = Duration(1, "month")


def mapping(customer="", method="", subscription="", file=None):
    tables = {"customer": {"reference": "id"} | dict(customer or {})}
    if method:
        tables["payment_method"] = {"gateway": {"constant": "test"}} | method
    if subscription:
        tables["subscription"] = {"price": {"constant": "pro"}, "start": "since"} | subscription
    return read_mapping(tables | ({"file": file} if file else {}), "m.toml")


def counted(months, reference, *, left=False, spread=28, name="ada"):
    """Start and end of who has been there for so many months."""
    rules = {
        "start": {"months_before": "tenure", "reference": reference, "spread": spread},
        "cancel": {"column": "left", "values": ["yes"], "months_after": "tenure"},
    }
    row = {"id": name, "tenure": str(months), "left": "yes" if left else "no"}
    found = wanted(mapping(subscription=rules), row, "UTC")
    return found.start, found.ends


def boundaries(start, months):
    schedule = Schedule(start, MONTH, "UTC")
    found = [start]
    for _ in range(months):
        found.append(schedule.boundary_after(found[-1]))
    return found


references = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@given(st.integers(1, 240), references, st.integers(1, 28), st.text("abc", min_size=1, max_size=5))
def test_who_is_still_here_is_billed_as_many_months_up_to_the_reference(months, reference, spread, name):
    start, ends = counted(months, reference, spread=spread, name=name)
    day = datetime.combine(reference, datetime.min.time(), UTC)
    billed = boundaries(start, months)
    assert ends is None
    assert billed[months - 1] <= day < billed[months]


@given(st.integers(1, 240), references, st.integers(1, 28), st.text("abc", min_size=1, max_size=5))
def test_who_left_has_completed_as_many_months_by_the_reference(months, reference, spread, name):
    start, ends = counted(months, reference, left=True, spread=spread, name=name)
    assert ends == boundaries(start, months)[months]
    assert ends <= datetime.combine(reference, datetime.min.time(), UTC)


def test_starts_are_spread_over_days_and_stay_where_they_are():
    starts = {counted(3, date(2025, 12, 28), name=f"c{n}")[0] for n in range(200)}
    assert len(starts) > 20
    assert starts == {counted(3, date(2025, 12, 28), name=f"c{n}")[0] for n in range(200)}


def test_values_come_from_columns_constants_templates_and_maps():
    rules = {
        "name": {"template": "{first} {last}"},
        "country": {"constant": "DE"},
        "city": {"column": "town", "default": "Berlin"},
        "tax_exempt": "exempt",
        "billing_day": "day",
        "custom_fields": {"plan": {"column": "plan", "map": {"p": "Pro"}, "default": "Basic"}},
    }
    row = {"id": "ada", "first": "Ada", "last": "L", "town": "", "exempt": "Yes", "day": "end", "plan": "x"}
    found = wanted(mapping(customer=rules), row, "UTC")
    assert found.customer == {
        "reference": "ada",
        "name": "Ada L",
        "country": "DE",
        "city": "Berlin",
        "tax_exempt": True,
        "billing_day": "end",
        "custom_fields": {"plan": "Basic"},
    }
    assert found.method is None and found.subscription is None


@pytest.mark.parametrize(
    ("order", "text", "day"),
    [("DMY", "31.1.2026", (2026, 1, 31)), ("MDY", "01/31/2026", (2026, 1, 31)), ("YMD", "2026/1/31", (2026, 1, 31))],
)
def test_dates_are_read_in_the_order_that_is_told(order, text, day):
    rules = {"start": {"column": "since", "order": order}}
    found = wanted(mapping(subscription=rules), {"id": "ada", "since": text}, "UTC")
    assert found.start == datetime(*day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("order", "text"), [("DMY", "1/31/2026"), ("MDY", "31/1/2026"), ("DMY", "1.2.26"), ("DMY", "x")]
)
def test_a_date_in_another_order_is_refused(order, text):
    rules = {"start": {"column": "since", "order": order}}
    with pytest.raises(InvalidValue, match="order"):
        wanted(mapping(subscription=rules), {"id": "ada", "since": text}, "UTC")


def test_an_instant_keeps_its_time():
    found = wanted(
        mapping(subscription={"quantity": "n"}), {"id": "ada", "since": "2026-01-31T12:00:00Z", "n": "2"}, "UTC"
    )
    assert found.start == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found.subscription["quantity"] == "2"


@pytest.mark.parametrize(("text", "amount"), [("49,90", "49.90"), ("1234", "1234"), ("0,5", "0.5")])
def test_a_decimal_comma_is_read_where_the_mapping_says_so(text, amount):
    rules = mapping(subscription={"amount": "price"}, file={"decimal": ","})
    found = wanted(rules, {"id": "ada", "since": "2026-01-01", "price": text}, "UTC")
    assert Decimal(found.subscription["custom"]["amount"]) == Decimal(amount)


@pytest.mark.parametrize("text", ["1.234,50", "49.90,", "1 000", "$5", "٣"])
def test_signs_for_thousands_are_refused_as_they_may_be_decimal_signs(text):
    rules = mapping(subscription={"amount": "price"}, file={"decimal": ","})
    with pytest.raises(InvalidValue, match="no number"):
        wanted(rules, {"id": "ada", "since": "2026-01-01", "price": text}, "UTC")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"exempt": "maybe"}, "exempt is 'maybe'"),
        ({"day": "first"}, "day is 'first', which is no whole number"),
        ({"day": "²"}, "no whole number"),
    ],
)
def test_values_of_the_wrong_kind_name_their_column(row, said):
    rules = mapping(customer={"tax_exempt": "exempt", "billing_day": "day"})
    with pytest.raises(InvalidValue, match=said):
        wanted(rules, {"id": "ada", "exempt": "no", "day": "1"} | row, "UTC")


def test_a_share_of_the_customers_gets_another_token_always_the_same_ones():
    rules = mapping(method={"token": {"constant": "approve"}, "share": [{"percent": 25, "token": "decline"}]})
    tokens = [wanted(rules, {"id": f"c{n}"}, "UTC").method["token"] for n in range(2000)]
    assert 400 < tokens.count("decline") < 600
    assert tokens[:50] == [wanted(rules, {"id": f"c{n}"}, "UTC").method["token"] for n in range(50)]


def test_a_method_needs_its_gateway():
    rules = mapping(method={"token": "card", "gateway": "by"})
    with pytest.raises(InvalidValue, match="by is empty"):
        wanted(rules, {"id": "ada", "card": "approve", "by": ""}, "UTC")
