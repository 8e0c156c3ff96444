"""Changes meet holds, ends, own intervals and other changes; a day of January costs one unit of everything here."""

import pytest

from tests.builders import books, day, refusal

MONTHLY = {"amount": "31.00", "every": "1 month"}
CATALOG = {
    "products": [
        {
            "code": "pro",
            "name": "Pro",
            "prices": [
                {"code": "pro-m", **MONTHLY},
                {"code": "pro-late", **MONTHLY, "bill": "arrears", "trial": "14 days"},
                {"code": "pro-y", "amount": "365.00", "every": "1 year"},
                {"code": "pro-w", "amount": "7.00", "every": "1 week"},
            ],
        },
        {"code": "big", "name": "Big", "prices": [{"code": "big-m", "amount": "62.00", "every": "1 month"}]},
        {
            "code": "solo",
            "name": "Solo",
            "components": ["seats"],
            "prices": [{"code": "solo-m", "amount": "31.00", "every": "1 month"}],
        },
    ],
    "components": [
        {
            "code": code,
            "name": code.capitalize(),
            "kind": "metered" if code == "minutes" else "quantity",
            "prices": [{"code": f"{code}-p", "scheme": "per_unit", "unit_amount": "31.00", **given}],
        }
        for code, given in (
            ("seats", {}),
            ("desks", {"bill": "arrears"}),
            ("hosting", {"every": "1 month"}),
            ("storage", {"every": "1 month", "bill": "arrears"}),
            ("minutes", {"every": "1 month"}),
        )
    ],
}
PRORATED = {"upgrade": "prorated", "downgrade": "prorated"}


@pytest.fixture
def billing(stores):
    return books(catalog=CATALOG)


def billed(billing):
    """Totals of what was issued: invoices, and credit notes as negative ones, in order."""
    documents = [(one.issued_at, one.total) for one in billing.invoices.list(limit=100)]
    documents += [(one.issued_at, -one.total) for one in billing.invoices.credit_notes(limit=100)]
    return [total for _, total in sorted(documents, key=lambda pair: pair[0])]


def test_time_on_hold_is_not_billed_in_arrears_by_the_end_that_follows(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-late", trial_until=day("01-01", 1))
    billing.run(day("01-11", 1))
    billing.subscriptions.hold("s1")
    assert billed(billing) == [1000]
    billing.run(day("01-21"))
    billing.subscriptions.cancel("s1")
    assert billed(billing) == [1000]


def test_a_second_trial_is_not_billed_in_arrears(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-late", trial_until=day("01-01", 1))
    billing.run(day("01-11", 1))
    billing.subscriptions.change("s1", include_trial=True)
    assert billed(billing) == [1000]
    billing.run(day("01-16"))
    billing.subscriptions.cancel("s1")
    assert billed(billing) == [1000]


def test_a_hold_gives_nothing_back_of_what_still_waits_to_be_billed(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-11"))
    billing.subscriptions.set_component("s1", "seats", "1", invoice_at="renewal")
    billing.run(day("01-21"))
    billing.subscriptions.hold("s1", unused="credit")
    assert billed(billing) == [3100, -1100]
    billing.run(day("01-22"))
    billing.subscriptions.cancel("s1")
    assert billed(billing) == [3100, -1100, 1000]


def test_a_moved_date_gives_nothing_back_of_what_still_waits_to_be_billed(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-11"))
    billing.subscriptions.set_component("s1", "seats", "1", invoice_at="renewal")
    billing.subscriptions.change_billing_date("s1", next_billing_at=day("01-21"), proration="prorated")
    assert billed(billing) == [3100, -1100]
    billing.subscriptions.cancel("s1", day("01-21"))
    billing.run(day("01-21"))
    assert billed(billing) == [3100, -1100, 1000]


def test_a_component_in_arrears_on_its_own_interval_costs_what_it_was_in_each_part_of_it(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"storage": "1"})
    billing.run(day("01-11"))
    billing.subscriptions.set_component("s1", "storage", "2", **PRORATED)
    billing.run(day("02-01"))
    assert billed(billing) == [36500, 1000 + 4200]


def test_usage_of_a_component_taken_away_is_billed_at_the_end_of_its_own_interval(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"minutes": "0"})
    billing.run(day("01-11"))
    billing.usage.record("s1", "minutes", "2")
    billing.subscriptions.set_component("s1", "minutes", "0")
    billing.run(day("02-01"))
    assert billed(billing) == [36500, 6200]
    billing.run(day("03-01"))
    assert billed(billing) == [36500, 6200]


def test_a_component_taken_away_at_the_renewal_owes_its_last_own_interval(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"storage": "1"})
    billing.run(day("2026-12-01"))
    billing.subscriptions.change("s1", components={"storage": "0"}, when="renewal")
    billing.run(day("2027-02-01"))
    assert billed(billing)[-1] == 36500 + 3100


def test_an_own_interval_that_becomes_the_products_is_billed_once(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("2026-12-15"))
    billing.subscriptions.change("s1", "pro-m", when="renewal")
    billing.run(day("2027-02-01"))
    assert billed(billing)[-2:] == [3100 + 3100, 3100 + 3100]


def test_the_products_interval_that_becomes_its_own_goes_on_being_billed(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"hosting": "1"})
    billing.subscriptions.change("s1", "pro-y", when="renewal")
    billing.run(day("03-01"))
    assert billed(billing) == [3100 + 3100, 36500 + 3100, 3100]


def test_a_component_added_at_the_renewal_is_billed_from_there_on(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y")
    billing.subscriptions.change("s1", components={"hosting": "1"}, when="renewal")
    billing.run(day("2027-02-01"))
    assert billed(billing) == [36500, 36500 + 3100, 3100]


def test_units_given_up_without_money_back_are_over_with_the_own_interval(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "5"})
    billing.run(day("01-11"))
    billing.subscriptions.set_component("s1", "hosting", "2", downgrade="none")
    billing.run(day("02-15"))
    billing.subscriptions.set_component("s1", "hosting", "4", **PRORATED)
    assert billed(billing) == [36500 + 15500, 6200, 3100]  # Two more for half of February.


def test_what_was_added_without_a_charge_is_not_taken_for_paid(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.set_component("s1", "seats", "2", upgrade="none")
    billing.subscriptions.set_component("s1", "seats", "3", upgrade="full")
    assert billed(billing) == [3100, 9300]


def test_a_change_in_the_past_reaches_arrears_that_are_billed_already(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"desks": "1"})
    billing.run(day("02-11"))
    billing.subscriptions.set_component("s1", "desks", "2", effective_at=day("01-22"), **PRORATED)
    billing.run(day("03-01"))
    assert billed(billing) == [3100, 6200, 1000, 3100 + 6200]


def test_a_change_whose_instant_falls_into_a_hold_comes_with_its_end(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-06"))
    billing.subscriptions.change("s1", "big-m", effective_at=day("01-11"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.run(day("01-21"))
    billing.subscriptions.resume("s1")
    billing.run(day("01-22"))
    assert billed(billing) == [3100, -2600, 1100, 1100]
    assert billing.verify().ok


def test_a_change_that_waited_ends_with_its_subscription(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.change("s1", "big-m", effective_at=day("01-21"))
    billing.subscriptions.cancel("s1", credit="unused")
    billing.run(day("01-25"))
    billing.subscriptions.reactivate("s1", period="keep")
    billing.run(day("02-01"))
    assert billed(billing) == [3100, -3100, 700, 3100]


def test_what_a_waiting_change_takes_away_may_be_gone_when_it_comes(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    billing.subscriptions.change("s1", "big-m", components={"seats": "0"}, when="renewal")
    billing.subscriptions.set_component("s1", "seats", "0", downgrade="none")
    billing.run(day("02-01"))
    assert billing.subscriptions.get("s1").parked_at is None
    assert billed(billing) == [6200, 6200]


def attached(billing):
    return {item.component: item.quantity for item in billing.subscriptions.get("s1").items if item.ended_at is None}


@pytest.mark.parametrize("when", ["now", "renewal"])
def test_what_the_new_product_does_not_offer_ends_with_the_change_and_cannot_be_asked_for(billing, when) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1", "hosting": "2"})
    for units in ("2", "3"):
        refused = refusal(billing.subscriptions.change, "s1", "solo-m", components={"hosting": units}, when=when)
        assert refused.code == "component_not_offered"
    billing.subscriptions.change("s1", "solo-m", components={"seats": "4"}, when=when)
    billing.run(day("02-01"))
    assert attached(billing) == {"seats": 4}


def test_who_stays_with_a_product_keeps_what_it_does_not_offer_any_more(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1", "hosting": "2"})
    pro = CATALOG["products"][0]
    billing.catalog.apply(CATALOG | {"products": [pro | {"components": ["seats"]}, *CATALOG["products"][1:]]})
    billing.subscriptions.set_component("s1", "seats", "2")
    billing.subscriptions.set_component("s1", "hosting", "1")
    assert attached(billing) == {"seats": 2, "hosting": 1}
    billing.subscriptions.set_component("s1", "hosting", "0")
    assert refusal(billing.subscriptions.set_component, "s1", "hosting", "1").code == "component_not_offered"


def test_a_resume_before_the_periods_end_keeps_a_date_that_was_moved(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.change_billing_date("s1", next_billing_at=day("01-26"), proration="prorated")
    billing.run(day("01-11"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.run(day("01-16"))
    assert billing.subscriptions.resume("s1").period_end == day("01-26")
    assert billed(billing) == [3100, -600, -1500, 1000]


def test_a_resume_charges_no_further_than_to_the_end_that_is_known(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-11"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.subscriptions.cancel("s1", day("01-26"))
    billing.run(day("01-16"))
    billing.subscriptions.resume("s1")
    billing.run(day("01-26"))
    assert billed(billing) == [3100, -2100, 1000]


def test_what_ran_unpaid_in_arrears_is_billed_when_it_comes_back(stores) -> None:
    billing = books(catalog=CATALOG, dunning={"retry_after": [], "final": "unpaid"})
    billing.subscriptions.create("s1", "acme", "pro-late", trial_until=day("01-01", 1))
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-11", 1))
    assert billing.subscriptions.get("s1").state == "unpaid"
    billing.gateway("test").script([], default="approve")
    billing.subscriptions.reactivate("s1")
    assert billed(billing) == [3100, 1107]  # Ten of February's 28 days.


def test_a_hold_of_no_time_before_a_known_end_leaves_books_that_prove_right(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1", day("01-11"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.subscriptions.resume("s1")
    billing.run(day("02-01"))
    assert sorted(billed(billing)) == [-3100, 1000, 3100] and billing.verify().ok


def test_a_return_within_the_period_charges_what_was_given_back_of_own_intervals_too(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("01-11"))
    billing.subscriptions.cancel("s1", credit="unused")
    billing.run(day("01-16"))
    billing.subscriptions.reactivate("s1", period="keep")
    assert billed(billing) == [36500 + 3100, -35500 - 2100, 35000 + 1600]
    billing.run(day("02-01"))
    assert billed(billing)[3:] == [3100]


def test_a_return_within_the_period_does_not_charge_what_was_kept_of_own_intervals(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("01-11"))
    billing.subscriptions.cancel("s1")
    billing.run(day("01-16"))
    billing.subscriptions.reactivate("s1", period="keep")
    billing.run(day("02-01"))
    assert billed(billing) == [36500 + 3100, 3100]


def test_an_own_interval_in_arrears_longer_than_the_period_owes_all_since_it_was_there(billing) -> None:
    """Two days of January and four of February (of 28) with the change, the two until the end with that."""
    billing.subscriptions.create("s1", "acme", "pro-w")
    billing.run(day("02-07"))
    billing.subscriptions.set_component("s1", "storage", "1", effective_at=day("01-30"), **PRORATED)
    billing.subscriptions.cancel("s1")
    assert billed(billing) == [700] * 6 + [200 + 443, 221]


def test_an_extension_up_to_another_billing_day_counts_by_that_day_then_and_later(billing) -> None:
    """Of the month up to February 15, 31 days, 14 are added; ten are left on the 5th."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-20"))
    billing.subscriptions.change_billing_date("s1", next_billing_at=day("02-15"), billing_day=15, proration="prorated")
    billing.run(day("02-05"))
    billing.subscriptions.change("s1", quantity=2)
    assert billed(billing) == [3100, 1400, 1000]


def test_a_component_in_arrears_that_is_taken_away_whole_was_not_there_in_its_period(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"desks": "2"})
    billing.run(day("02-11"))
    billing.subscriptions.set_component("s1", "desks", "0", downgrade="full")
    billing.run(day("03-01"))
    assert billed(billing) == [3100, 3100 + 6200, 3100]
    assert billing.verify().ok


@pytest.mark.parametrize(("price", "later"), [("two", 20000), ("none", 4000)])
def test_the_minimum_of_a_period_is_that_of_the_price_it_began_with(stores, price, later) -> None:
    """Without proration the new price counts from the next period on (6.1)."""
    prices = [
        {"code": code, "amount": amount, "every": "1 month"} | ({"minimum": minimum} if minimum else {})
        for code, amount, minimum in (("one", "20.00", "100.00"), ("two", "40.00", "200.00"), ("none", "40.00", None))
    ]
    billing = books(catalog={"products": [{"code": "pro", "name": "Pro", "prices": prices}]})
    billing.subscriptions.create("s1", "acme", "one")
    billing.run(day("01-16"))
    billing.subscriptions.change("s1", price, proration="none")
    billing.run(day("02-01"))
    assert billed(billing) == [2000, 8000 + 4000]
    billing.run(day("03-01"))
    assert billed(billing)[-1] == later
    assert billing.verify().ok
