"""Single lines: what each charge costs for its time, and the basis that says how (behaviour 3.7, 4)."""

from decimal import Decimal

from billcore.domain.catalog import Phase
from billcore.domain.charges import fee_line, item_line, minimum_line, price_in_force, product_line
from billcore.domain.durations import Duration
from billcore.domain.periods import Period
from billcore.domain.proration import Portion
from billcore.domain.rating import usage_lines
from billcore.domain.usage import UsageTotal
from tests.builders import START, component, component_price, day, facts, item, price, subscription

JANUARY = Period(START, day("02-01"))


def test_a_product_is_multiplied_by_its_quantity_and_prorated_by_its_span() -> None:
    half = Period(day("01-16"), day("02-01"))
    line = product_line(subscription(quantity=Decimal(3)), facts(), half, JANUARY)
    assert (line.kind, line.code, line.item_id, line.quantity, line.amount) == ("product", "pro-m", "sub_1", 3, 4645)
    assert line.codes == {"pro", "pro-m"}


def test_what_costs_nothing_is_no_line() -> None:
    assert product_line(subscription(), facts(price("0.00")), JANUARY, JANUARY) is None
    its = facts(price(), (component(), component_price()))
    assert item_line(subscription(), item(quantity="0"), its, JANUARY, JANUARY) is None
    assert fee_line(subscription(), facts(), "setup_fee", None, None) == []
    assert fee_line(subscription(), facts(), "setup_fee", Decimal(0), None) == []


def test_usage_is_never_prorated() -> None:
    calls = (component("calls", "metered"), component_price("0.10", "calls-p", "calls", bill="arrears"))
    its = facts(price(), calls, usage={"itm_calls": UsageTotal(Decimal("12.5"), 3)})
    (line,) = usage_lines(subscription(), item("calls", "0"), its, Period(START, day("01-03")))
    assert (line.kind, line.quantity, line.amount) == ("usage", Decimal("12.5"), 125)


def test_a_period_takes_the_price_in_force_on_its_first_local_day() -> None:
    phased = price(phases=(Phase(Duration(1, "month"), {"USD": Decimal("10.00")}),))
    sub = subscription()
    assert price_in_force(phased, sub, day("01-31T23:00"), "UTC") == {"USD": Decimal("10.00")}
    assert price_in_force(phased, sub, day("02-01"), "UTC") == {"USD": Decimal("30.00")}
    # In Berlin the phase began on January 1, 01:00 and 23:30 UTC is the next day there.
    assert price_in_force(phased, sub, day("01-31T23:30"), "Europe/Berlin") == {"USD": Decimal("30.00")}


def test_a_minimum_tops_up_what_is_missing_prorated_with_the_period() -> None:
    its = facts(price(minimum=Decimal("100.00")))
    (line,) = minimum_line(subscription(), its, 3000, Portion(1, 1), JANUARY)
    assert (line.kind, line.amount) == ("minimum", 7000)
    (line,) = minimum_line(subscription(), its, 3000, Portion(1, 2), JANUARY)
    assert line.amount == 2000
    assert minimum_line(subscription(), its, 10000, Portion(1, 1), JANUARY) == []


def test_fees_carry_the_products_price_code() -> None:
    (line,) = fee_line(subscription(), facts(), "setup_fee", Decimal("10.00"), None)
    assert (line.kind, line.code, line.amount, line.item_id) == ("setup_fee", "pro-m", 1000, None)
