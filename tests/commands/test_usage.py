"""usage.record: sums, late events, repeats and corrections (behaviour 12)."""

import pytest

from tests.builders import books, day, documents, dump, refusal


def metered(until=None, **given):
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"}, **given)
    if until is not None:
        billing.run(day(until))
    return billing


def usage(billing, place):
    return [row.amount for row in billing.invoices.get(f"acme/{place}").lines if row.kind == "usage"]


def test_usage_is_summed_and_billed_in_arrears() -> None:
    billing = metered("01-20")
    for quantity, when in (("10", "01-05"), ("2.5", "01-10"), ("7.5", "01-20")):
        billing.usage.record("s1", "calls", quantity, timestamp=day(when))
    billing.run(day("02-01"))
    assert documents(billing)[1] == ("paid", "02-01", 3200, [("usage", 200), ("product", 3000)])
    billing.run(day("03-01"))
    assert usage(billing, 3) == []


def test_an_event_at_the_boundary_belongs_to_the_next_period() -> None:
    """Periods are half-open (2.1); the renewal at that instant comes first (2.5)."""
    billing = metered("02-01")
    billing.usage.record("s1", "calls", "10", timestamp=day("02-01"))
    billing.run(day("03-01"))
    assert (usage(billing, 2), usage(billing, 3)) == ([], [100])


def test_a_late_event_goes_to_the_next_invoice_as_a_line_of_its_own() -> None:
    billing = metered("02-03")
    billing.usage.record("s1", "calls", "10", timestamp=day("01-31"))
    billing.usage.record("s1", "calls", "20", timestamp=day("02-02"))
    billing.run(day("03-01"))
    assert sorted(usage(billing, 3)) == [100, 200]


def test_an_event_before_the_period_is_billed_belongs_to_it() -> None:
    billing = metered("01-31")
    billing.usage.record("s1", "calls", "10", timestamp=day("01-02"))
    billing.run(day("02-01"))
    assert usage(billing, 2) == [100]


def test_a_repeated_event_is_answered_with_the_first() -> None:
    billing = metered("01-10")
    first = billing.usage.record("s1", "calls", "10", event_id="e1", timestamp=day("01-05"))
    assert billing.usage.record("s1", "calls", "10", event_id="e1") == first
    refused = refusal(billing.usage.record, "s1", "calls", "11", event_id="e1")
    assert (refused.code, refused.facts["field"]) == ("idempotency_conflict", "quantity")
    billing.run(day("02-01"))
    assert usage(billing, 2) == [100]


def test_an_event_id_belongs_to_one_subscription() -> None:
    billing = metered()
    billing.subscriptions.create("s2", "acme", "pro-m")
    one = billing.usage.record("s1", "calls", "10", event_id="e1")
    two = billing.usage.record("s2", "calls", "20", event_id="e1")
    assert one.id != two.id


def test_a_negative_quantity_corrects_and_a_negative_total_costs_nothing() -> None:
    billing = metered("01-10")
    billing.usage.record("s1", "calls", "10")
    billing.usage.record("s1", "calls", "-4")
    billing.run(day("02-01"))
    billing.usage.record("s1", "calls", "-5")
    billing.run(day("03-01"))
    assert (usage(billing, 2), usage(billing, 3)) == ([60], [])


def test_usage_of_a_component_that_is_not_attached_attaches_it() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.usage.record("s1", "calls", "10")
    assert [item.component for item in billing.subscriptions.get("s1").items] == ["calls"]
    billing.run(day("02-01"))
    assert usage(billing, 2) == [100]


def test_usage_in_a_trial_is_free() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "try", components={"calls": "0"})
    billing.run(day("01-10"))
    billing.usage.record("s1", "calls", "10")
    billing.run(day("02-15"))
    assert (usage(billing, 1), usage(billing, 2)) == ([], [])


@pytest.mark.parametrize(
    ("component", "quantity", "given", "code"),
    [
        ("seats", "1", {}, "invalid_value"),
        ("cals", "1", {}, "not_found"),
        ("calls", "many", {}, "invalid_value"),
        ("calls", 1.5, {}, "invalid_value"),
        ("calls", "NaN", {}, "invalid_value"),
        ("calls", "1", {"timestamp": "2026-01-02"}, "invalid_value"),
        ("calls", "1", {"timestamp": "soon"}, "invalid_value"),
        ("calls", "1", {"event_id": "a b"}, "invalid_value"),
    ],
)
def test_what_cannot_be_recorded_is_refused(component, quantity, given, code) -> None:
    billing = metered()
    before = dump(billing)
    assert refusal(billing.usage.record, "s1", component, quantity, **given).code == code
    assert dump(billing) == before


def test_what_a_product_does_not_offer_is_not_recorded() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "solo-m")
    assert refusal(billing.usage.record, "s1", "calls", "1").code == "component_not_offered"


def test_what_has_ended_takes_no_usage() -> None:
    billing = metered()
    billing.subscriptions.cancel("s1")
    assert refusal(billing.usage.record, "s1", "calls", "1").code == "transition_not_allowed"


def test_every_event_is_billed_once_or_not_at_all() -> None:
    billing = metered("01-20")
    for n in range(5):
        billing.usage.record("s1", "calls", str(n), event_id=f"e{n}")
    billing.run(day("02-01"))
    billing.subscriptions.hold("s1")
    billing.run(day("02-05"))
    billing.subscriptions.resume("s1")
    billing.run(day("03-01"))
    assert sum(sum(usage(billing, place)) for place in (2, 3)) == 100


def test_usage_of_a_time_without_the_subscription_is_refused() -> None:
    """No period would ever bill it."""
    billing = metered(starts_at=day("01-20"))
    assert refusal(billing.usage.record, "s1", "calls", "1").code == "transition_not_allowed"
    billing.run(day("01-25"))
    billing.usage.record("s1", "calls", "10", timestamp=day("01-20"))
    before = metered("01-05")
    for books_, when in ((billing, day("2025-12-01")), (before, day("2025-12-31", 23))):
        assert refusal(books_.usage.record, "s1", "calls", "1", timestamp=when).code == "invalid_value"


def test_a_customer_stands_for_the_subscription_that_may_have_the_component() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "solo-m")
    billing.subscriptions.create("s2", "acme", "pro-m")
    assert billing.usage.record(component="calls", quantity="10", customer="acme").subscription_id == (
        billing.subscriptions.get("s2").id
    )
    billing.subscriptions.create("s3", "acme", "pro-m")
    billing.usage.record(component="calls", quantity="10", customer="acme")
    billing.run(day("02-01"))
    assert sorted(one.total for one in billing.invoices.list()) == [900, 3000, 3000, 900 + 3000 + 3000 + 200]
