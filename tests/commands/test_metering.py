"""Usage rated by period: aggregations, single events, corrections, thresholds, rating again (behaviour 12)."""

import json
from decimal import Decimal

import pytest

from tests.builders import CATALOG, books, day, documents, dump, refusal


def catalog(component=None, price=None, product=None):
    made = json.loads(json.dumps(CATALOG))
    made["products"][0]["prices"].append({"code": "metered-m", "amount": "0.00", "every": "1 month", **(product or {})})
    given = {"code": "use-p", "scheme": "per_unit", "unit_amount": "1.00"}
    made["components"].append(
        {"code": "use", "name": "Use", "kind": "metered", **(component or {}), "prices": [price or given]}
    )
    return made


def metered(component=None, price=None, product=None, until="01-31", coupons=(), **given):
    billing = books(catalog=catalog(component, price, product), **given)
    billing.subscriptions.create("s1", "acme", "metered-m", components={"use": "0"}, coupons=list(coupons))
    billing.run(day(until))
    return billing


def record(billing, *events, **given):
    for quantity, at in events:
        billing.usage.record("s1", "use", quantity, timestamp=day(at), **given)


def lines(billing, kind="usage"):
    return [
        (f"{one.issued_at:%m-%d}", row.kind, str(row.quantity), row.amount)
        for one in billing.invoices.list()
        for row in one.lines
        if kind is None or row.kind == kind
    ]


def bills(billing):
    """What every document comes to, credit notes negative, in order."""
    found = [(one.created_at, one.id, one.total) for one in billing.invoices.list()]
    found += [(one.created_at, one.id, -one.total) for one in billing.invoices.credit_notes()]
    return [(f"{at:%m-%d}", total) for at, _, total in sorted(found)]


def proven(billing):
    """Everything derives again and the books are right."""
    assert billing.verify().ok, billing.verify()
    for one in (*billing.invoices.list(), *billing.invoices.credit_notes()):
        explained = billing.explain(one.id)
        assert explained.agrees, explained


EVENTS = (("10", "01-05"), ("30", "01-10"), ("20", "01-20"))


@pytest.mark.parametrize(
    ("how", "amount"), [("sum", 6000), ("count", 300), ("max", 3000), ("latest", 2000), ("unique", 300)]
)
def test_each_aggregation_is_billed_at_the_end_of_its_period(how, amount) -> None:
    billing = metered({"aggregation": how})
    record(billing, *EVENTS)
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == [amount]
    proven(billing)


def test_a_level_is_billed_for_the_time_it_held_and_goes_on() -> None:
    billing = metered({"aggregation": "weighted_sum"})
    record(billing, ("31", "01-11"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == [2100, 3100]
    proven(billing)


def test_a_level_is_rounded_once_on_the_line() -> None:
    billing = metered({"aggregation": "weighted_sum"})
    record(billing, ("1", "01-11"))
    billing.run(day("02-01"))
    assert lines(billing) == [("02-01", "usage", "0.677419354839", 68)]
    proven(billing)


def test_a_cancellation_inside_the_period_bills_the_level_so_far() -> None:
    billing = metered({"aggregation": "weighted_sum"}, until="01-11")
    record(billing, ("31", "01-01"))
    billing.subscriptions.cancel("s1")
    assert [row[3] for row in lines(billing)] == [1000]
    proven(billing)


def test_what_is_measured_by_a_property_is_refused_without_it() -> None:
    billing = metered({"aggregation": "max", "aggregate_on": "gb"})
    before = dump(billing)
    assert refusal(billing.usage.record, "s1", "use", "1").facts["parameter"] == "properties"
    assert dump(billing) == before
    record(billing, ("1", "01-05"), properties={"gb": "2.5"})
    record(billing, ("1", "01-06"), properties={"gb": "1"})
    billing.run(day("02-01"))
    assert [row[3] for row in lines(billing)] == [250]
    assert billing.usage.list("s1")[0].properties == {"gb": "2.5"}


@pytest.mark.parametrize(
    ("how", "late", "amounts"),
    [
        ("sum", "5", [6000, 500]),
        ("max", "50", [3000, 2000]),
        ("max", "5", [3000]),
        ("unique", "5", [300, 100]),
        ("unique", "10", [300]),
        ("count", "5", [300, 100]),
        ("latest", "7", [2000]),
    ],
)
def test_a_late_event_bills_what_it_adds_to_its_period(how, late, amounts) -> None:
    billing = metered({"aggregation": how})
    record(billing, *EVENTS)
    billing.run(day("02-03"))
    record(billing, (late, "01-06"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == amounts
    billing.run(day("04-01"))
    assert [row[3] for row in lines(billing)] == amounts
    proven(billing)


def test_a_late_change_of_a_level_is_billed_for_every_period_since() -> None:
    billing = metered({"aggregation": "weighted_sum"})
    billing.run(day("03-05"))
    record(billing, ("31", "01-11"))
    billing.run(day("04-01"))
    assert sorted(row[3] for row in lines(billing)) == [2100, 3100, 3100]
    proven(billing)


def test_late_usage_takes_the_tier_it_would_have_had() -> None:
    """And neither its minimum nor its included units once more."""
    tiers = [{"up_to": 10, "unit_amount": "2.00"}, {"unit_amount": "1.00"}]
    price = {"code": "use-p", "scheme": "graduated", "tiers": tiers, "included": 5, "minimum": "15.00"}
    billing = metered(price=price)
    record(billing, ("12", "01-05"))
    billing.run(day("02-03"))
    record(billing, ("8", "01-06"))
    billing.run(day("03-01"))
    first = [row for row in lines(billing) if row[0] == "02-01"]
    assert first == [("02-01", "usage", "12", 1500)]
    assert sorted(row[3] for row in lines(billing) if row[0] == "03-01") == [1000, 1500]
    proven(billing)


def test_fees_per_event_are_for_each_event() -> None:
    price = {
        "code": "use-p",
        "scheme": "percentage",
        "rate": "1",
        "fixed_per_event": "0.30",
        "minimum_per_event": "0.50",
        "maximum_per_event": "2.00",
        "included_events": 1,
    }
    billing = metered(price=price)
    record(billing, ("999", "01-02"), ("10", "01-03"), ("100", "01-04"), ("1000", "01-05"), ("10", "01-06"))
    billing.run(day("02-03"))
    assert [row[3] for row in lines(billing)] == [50 + 130 + 200 + 50]
    record(billing, ("50", "01-05"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)][1:] == [80]
    proven(billing)


# -- corrections -------------------------------------------------------------------------------------------


def test_a_correction_before_billing_is_as_if_the_event_had_been_right() -> None:
    billing = metered({"aggregation": "max"})
    billing.usage.record("s1", "use", "90", event_id="e1", timestamp=day("01-05"))
    made = billing.usage.correct("s1", "use", "e1", "40")
    assert (made.event_id, made.quantity, made.at) == ("e1#1", Decimal(-50), day("01-05"))
    assert billing.usage.correct("s1", "use", "e1", "40") == made
    again = billing.usage.correct(customer="acme", component="use", event_id="e1", quantity="45")
    assert (again.event_id, again.quantity) == ("e1#2", Decimal(5))
    billing.run(day("02-01"))
    assert [row[3] for row in lines(billing)] == [4500]
    assert [one.event_id for one in billing.usage.list("s1")] == ["e1", "e1#1", "e1#2"]


def test_the_number_that_is_measured_is_what_a_correction_sets() -> None:
    billing = metered({"aggregation": "sum", "aggregate_on": "gb"})
    billing.usage.record("s1", "use", "1", event_id="e1", properties={"gb": "9"})
    assert billing.usage.correct("s1", "use", "e1", "4").properties == {"gb": "-5"}
    billing.run(day("02-01"))
    assert [row[3] for row in lines(billing)] == [400]


def test_a_correction_downwards_of_what_was_billed_and_paid_comes_back_as_credit() -> None:
    billing = metered(coupons=["TEN"])
    billing.customers.update("acme", country="DE")
    billing.usage.record("s1", "use", "100", event_id="e1", timestamp=day("01-05"))
    billing.run(day("02-03"))
    billing.usage.correct("s1", "use", "e1", "40")
    billing.run(day("03-01"))
    paid, back = bills(billing)
    assert paid[0] == "02-01" and back[0] == "03-01"
    assert back[1] * 100 == -paid[1] * 60
    proven(billing)
    billing.usage.correct("s1", "use", "e1", "0")
    billing.run(day("04-01"))
    assert sum(total for _, total in bills(billing)) == 0
    proven(billing)


def test_a_correction_of_what_was_not_paid_reduces_what_is_due() -> None:
    billing = metered(method=None, net_terms={"automatic": 60})
    billing.usage.record("s1", "use", "100", event_id="e1", timestamp=day("01-05"))
    billing.run(day("02-03"))
    billing.usage.correct("s1", "use", "e1", "40")
    billing.run(day("03-01"))
    (note,) = billing.invoices.credit_notes()
    assert (note.to, note.total) == ("invoice", 6000)
    assert billing.invoices.get("acme/1").due == 4000
    proven(billing)


def test_an_amount_given_back_for_another_reason_is_not_billed_again() -> None:
    billing = metered()
    record(billing, ("100", "01-05"))
    billing.run(day("02-03"))
    billing.invoices.credit("acme/1", amount="30.00")
    record(billing, ("5", "01-06"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == [10000, 500]
    proven(billing)


def test_an_unknown_event_is_not_corrected() -> None:
    billing = metered()
    assert refusal(billing.usage.correct, "s1", "use", "nope", "1").code == "invalid_value"


# -- who ---------------------------------------------------------------------------------------------------


def test_usage_of_a_customer_goes_to_his_one_subscription_that_has_the_component() -> None:
    billing = metered()
    billing.subscriptions.create("other", "acme", "pro-m")
    assert billing.usage.record(customer="acme", component="use", quantity="1").subscription_id
    billing.subscriptions.create("s2", "acme", "metered-m", components={"use": "0"})
    refused = refusal(billing.usage.record, customer="acme", component="use", quantity="1")
    assert (refused.code, refused.facts["subscriptions"]) == ("invalid_value", ["s1", "s2"])
    assert refusal(billing.usage.record, customer="acme", component="calls", quantity="1").code == "invalid_value"
    assert refusal(billing.usage.record, component="use", quantity="1").code == "invalid_parameter"


def test_events_are_listed_in_pages_and_found_by_both_ids() -> None:
    billing = metered()
    for n in range(5):
        billing.usage.record("s1", "use", str(n), event_id=f"e{n}")
    first = billing.usage.list("s1", limit=2)
    rest = billing.usage.list("s1", after=first[-1].id)
    assert [one.event_id for one in (*first, *rest)] == ["e0", "e1", "e2", "e3", "e4"]
    assert billing.usage.get(first[1].id) == billing.usage.get("e1", subscription="s1", component="use")
    assert refusal(billing.usage.get, "e1").code == "not_found"
    assert billing.usage.list("s1", component="calls") == []


# -- thresholds --------------------------------------------------------------------------------------------


def test_usage_that_reaches_a_threshold_is_invoiced_at_once_and_the_rest_at_the_end() -> None:
    billing = metered(product={"thresholds": ["20.00", "50.00"]}, until="01-10")
    record(billing, ("19", "01-09"))
    assert documents(billing) == []
    record(billing, ("1", "01-09"))
    assert documents(billing) == [("paid", "01-10", 2000, [("usage", 2000)])]
    assert billing.invoices.get("acme/1").purpose == "usage"
    billing.run(day("01-15"))
    record(billing, ("49", "01-15"))
    assert len(documents(billing)) == 1
    record(billing, ("1", "01-14"))
    record(billing, ("50", "01-15"))
    assert [one[2] for one in documents(billing)] == [2000, 5000, 5000]
    record(billing, ("3", "01-15"))
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing)] == [2000, 5000, 5000, 300]
    billing.run(day("03-01"))
    assert len(documents(billing)) == 4
    proven(billing)


@pytest.mark.parametrize(
    "price",
    [
        {"scheme": "graduated", "tiers": [{"up_to": 10, "unit_amount": "3.00"}, {"unit_amount": "1.00"}]},
        {"scheme": "volume", "tiers": [{"up_to": 40, "unit_amount": "3.00"}, {"unit_amount": "1.00"}]},
        {"scheme": "package", "package_size": 7, "package_amount": "5.00"},
        {"scheme": "per_unit", "unit_amount": "1.333", "included": 4, "minimum": "90.00"},
        {"scheme": "per_unit", "unit_amount": "1.333", "maximum": "33.00"},
        {"scheme": "percentage", "rate": "40", "fixed_per_event": "1.00", "included_events": 2},
    ],
)
@pytest.mark.parametrize("aggregation", ["sum", "max"])
def test_what_is_billed_in_parts_comes_to_what_one_bill_would_have_been(price, aggregation) -> None:
    events = [("9", "01-03"), ("14", "01-05"), ("2", "01-12"), ("31", "01-20"), ("5", "01-25")]
    totals = []
    if aggregation == "max" and price["scheme"] == "percentage":
        price = {"scheme": "percentage", "rate": "80"}
    for product in ({}, {"thresholds": ["10.00"]}):
        billing = metered({"aggregation": aggregation}, {"code": "use-p", **price}, product, until="01-01")
        for event in events:
            billing.run(day(event[1]))
            record(billing, event)
        billing.run(day("02-01"))
        totals.append(sum(total for _, total in bills(billing)))
        parts = len(bills(billing))
        proven(billing)
    assert parts > 1
    assert totals[0] == totals[1]


def test_a_minimum_of_the_product_counts_what_was_invoiced_before() -> None:
    billing = metered(product={"thresholds": ["20.00"], "minimum": "50.00"}, until="01-10")
    record(billing, ("20", "01-09"))
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing)] == [2000, 3000]
    proven(billing)


def test_a_minimum_counts_usage_on_its_own_interval_and_a_forecast_of_it_too() -> None:
    price = {"code": "use-p", "scheme": "per_unit", "unit_amount": "1.00", "every": "1 month"}
    billing = metered(price=price, product={"every": "3 months", "minimum": "50.00"}, until="01-10")
    record(billing, ("20", "01-09"))
    ahead = [one.invoice.total for one in billing.subscriptions.forecast("s1", months=3) if one.invoice]
    assert ahead == [2000, 3000]
    billing.run(day("03-10"))
    record(billing, ("10", "03-09"))
    assert [one.invoice.total for one in billing.subscriptions.forecast("s1", months=1) if one.invoice] == [3000]
    billing.run(day("04-01"))
    assert [one[2] for one in documents(billing)] == [2000, 3000]
    assert [row[1::2] for row in lines(billing, None)] == [("usage", 2000), ("minimum", 2000), ("usage", 1000)]
    proven(billing)


def test_a_declined_interim_invoice_is_owed_like_any_other() -> None:
    billing = metered(product={"thresholds": ["20.00"]}, until="01-10", method="decline_soft")
    record(billing, ("25", "01-09"))
    assert [one[:3] for one in documents(billing)] == [("open", "01-10", 2500)]
    assert billing.subscriptions.get("s1").state == "past_due"
    record(billing, ("5", "01-09"))
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing)] == [2500, 500]


def test_a_preview_of_an_event_shows_its_invoice_and_keeps_nothing() -> None:
    billing = metered(product={"thresholds": ["20.00"]}, until="01-10")
    before = dump(billing)
    preview = billing.usage.record("s1", "use", "25", dry_run=True)
    assert [one.total for one in preview.invoices] == [2500]
    assert dump(billing) == before


def test_usage_in_a_trial_reaches_no_threshold() -> None:
    billing = metered(product={"thresholds": ["20.00"], "trial": "14 days"}, until="01-10")
    record(billing, ("25", "01-09"))
    billing.run(day("02-20"))
    assert lines(billing) == []


def test_thresholds_of_components_on_their_own_interval() -> None:
    price = {"code": "use-p", "scheme": "per_unit", "unit_amount": "1.00", "every": "1 week"}
    billing = metered(price=price, product={"thresholds": ["20.00"]}, until="01-03")
    record(billing, ("25", "01-02"), ("4", "01-03"))
    billing.run(day("01-10"))
    record(billing, ("3", "01-02"), ("30", "01-09"))
    billing.run(day("01-15"))
    assert [row[3] for row in lines(billing)] == [2500, 400, 3000, 300]
    proven(billing)


# -- rating again ------------------------------------------------------------------------------------------


def test_a_past_period_rated_again_bills_what_came_late_at_once() -> None:
    billing = metered({"aggregation": "max"})
    record(billing, *EVENTS)
    billing.run(day("02-10"))
    assert billing.usage.rerate("s1", "use", day("01-15")).difference == 0
    record(billing, ("50", "01-06"))
    made = billing.usage.rerate("s1", "use", "2026-01-15")
    assert (made.start, made.end, made.billed, made.difference) == (day("01-01"), day("02-01"), 3000, 2000)
    assert billing.usage.rerate("s1", "use", "2026-01-15").difference == 0
    billing.run(day("03-01"))
    assert bills(billing) == [("02-01", 3000), ("02-10", 2000)]
    proven(billing)


def test_a_past_period_rated_again_gives_back_what_was_too_much() -> None:
    billing = metered({"aggregation": "max"})
    billing.usage.record("s1", "use", "90", event_id="e1", timestamp=day("01-05"))
    record(billing, ("10", "01-07"))
    billing.run(day("02-10"))
    billing.usage.correct("s1", "use", "e1", "0")
    assert billing.usage.rerate("s1", "use", "2026-01-15").difference == -8000
    assert bills(billing) == [("02-01", 9000), ("02-10", -8000)]
    billing.run(day("03-01"))
    assert bills(billing) == [("02-01", 9000), ("02-10", -8000)]
    proven(billing)


def test_the_running_period_is_not_rated_again() -> None:
    billing = metered()
    for at in (day("01-15"), day("2025-12-15")):
        assert refusal(billing.usage.rerate, "s1", "use", at).code == "invalid_value"


def test_usage_corrected_after_the_end_is_rated_again_by_hand() -> None:
    billing = metered(until="01-20")
    billing.usage.record("s1", "use", "50", event_id="e1")
    billing.subscriptions.cancel("s1")
    billing.usage.correct("s1", "use", "e1", "20")
    assert billing.usage.rerate("s1", "use", day("01-10")).difference == -3000
    assert sorted(bills(billing)) == [("01-20", -3000), ("01-20", 5000)]
    proven(billing)


def test_a_void_invoice_that_was_not_billed_again_stays_what_it_was() -> None:
    billing = metered(method=None, net_terms={"automatic": 60})
    record(billing, ("100", "01-05"))
    billing.run(day("02-03"))
    billing.invoices.void("acme/1")
    record(billing, ("5", "01-06"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == [10000, 500]


def test_an_invoice_that_was_billed_again_counts_once() -> None:
    billing = metered(method=None, net_terms={"automatic": 60})
    record(billing, ("100", "01-05"))
    billing.run(day("02-03"))
    billing.invoices.void("acme/1", rebill=True)
    record(billing, ("5", "01-06"))
    billing.run(day("03-01"))
    assert [row[3] for row in lines(billing)] == [10000, 10000, 500]
    proven(billing)


def test_an_event_in_the_very_instant_of_a_hold_is_billed_once() -> None:
    billing = metered({"aggregation": "sum", "aggregate_on": "gb"}, until="01-10")
    record(billing, ("1", "01-10"), properties={"gb": "7"})
    billing.subscriptions.hold("s1")
    billing.run(day("01-12"))
    billing.subscriptions.resume("s1")
    record(billing, ("1", "01-12"), properties={"gb": "2"})
    billing.run(day("02-01"))
    assert [row[3] for row in lines(billing)] == [700, 200]
    proven(billing)


def test_of_an_aggregation_other_than_the_sum_the_one_quantity_is_one_event() -> None:
    price = {"code": "use-p", "scheme": "percentage", "rate": "1", "fixed_per_event": "0.30"}
    billing = metered({"aggregation": "max"}, price)
    record(billing, ("100", "01-05"), ("50", "01-06"))
    billing.run(day("02-01"))
    assert [row[3] for row in lines(billing)] == [130]
    proven(billing)


def test_an_event_id_that_is_repeated_with_other_properties_is_refused() -> None:
    billing = metered()
    first = billing.usage.record("s1", "use", "1", event_id="e1", properties={"a": "1"})
    assert billing.usage.record("s1", "use", "1", event_id="e1", properties={"a": "1"}) == first
    refused = refusal(billing.usage.record, "s1", "use", "1", event_id="e1", properties={"a": "2"})
    assert (refused.code, refused.facts["field"]) == ("idempotency_conflict", "properties")
