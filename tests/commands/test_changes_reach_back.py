"""A change in the past bills time again with the price span that it was billed with (behaviour 3.2, 6.1)."""

import pytest

from tests.builders import books, day
from tests.commands.test_changes_meet import CATALOG, PRORATED


@pytest.fixture
def billing(stores):
    return books(catalog=CATALOG, start=day("2026-06-01"))


def charged(billing, document=-1):
    """What one document charges: code, first and last day, amount."""
    documents = sorted(billing.invoices.list(limit=100), key=lambda one: (one.issued_at, one.id))
    return [
        (line.code, f"{line.start:%m-%d}", f"{line.end:%m-%d}", line.amount)
        for line in documents[document].lines
        if line.kind != "credit"
    ]


def test_a_period_that_a_new_one_cut_short_keeps_its_span(billing) -> None:
    """62.00 and 31.00 for five of June's thirty days, though the boundaries are others by now."""
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    billing.run(day("06-16"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("07-01"))
    billing.subscriptions.change("s1", price="big-m", effective_at=day("06-11"))
    assert charged(billing) == [("big-m", "06-11", "06-16", 1033), ("big-m", "06-16", "07-16", 6200)]
    billing.subscriptions.set_component("s1", "seats", "2", effective_at=day("06-11"), **PRORATED)
    assert charged(billing) == [("seats-p", "06-11", "06-16", 1033), ("seats-p", "06-16", "07-16", 6200)]


def test_a_component_added_in_the_past_has_the_spans_of_the_periods_it_goes_with(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-16"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("07-01"))
    billing.subscriptions.set_component("s1", "seats", "1", effective_at=day("06-11"), **PRORATED)
    assert charged(billing) == [("seats-p", "06-11", "06-16", 517), ("seats-p", "06-16", "07-16", 3100)]
    billing.subscriptions.set_component("s1", "desks", "1", effective_at=day("06-11"), **PRORATED)
    assert charged(billing) == [("desks-p", "06-11", "06-16", 517)]


def test_a_component_on_its_own_interval_keeps_the_spans_of_its_lines(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("06-16"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("07-01"))
    billing.subscriptions.set_component("s1", "hosting", "2", effective_at=day("06-11"), **PRORATED)
    assert charged(billing) == [("hosting-p", "06-11", "06-16", 1033), ("hosting-p", "06-16", "07-16", 6200)]


def test_a_billing_day_that_moves_leaves_the_span_of_a_running_own_interval(stores) -> None:
    """18 of February's 28 days are left; by the new day they would be parts of two other months."""
    billing = books(catalog=CATALOG, start=day("2026-02-01"))
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("02-10"))
    billing.subscriptions.change_billing_date("s1", billing_day=15)
    billing.run(day("02-11"))
    billing.subscriptions.set_component("s1", "hosting", "2", **PRORATED)
    assert charged(billing) == [("hosting-p", "02-11", "03-01", 3986)]


@pytest.mark.parametrize(("moved_to", "first", "last"), [("06-21", "06-11", 3100), ("07-15", "07-01", 1973)])
def test_a_moved_date_makes_the_real_period_the_span_for_good(billing, moved_to, first, last) -> None:
    """10 of the 20 days that 62.00 covered, or 14 of 44."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-05"))
    billing.subscriptions.change_billing_date("s1", next_billing_at=day(moved_to))
    billing.run(day(moved_to))
    billing.subscriptions.change("s1", quantity=2, effective_at=day(first))
    assert charged(billing)[0] == ("pro-m", first, moved_to, last)


def test_what_was_billed_behind_a_span_is_billed_again_behind_it(billing) -> None:
    """14 of July's 31 days were the extension: they cost that again, not a part of June's price."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-05"))
    billing.subscriptions.change_billing_date("s1", next_billing_at=day("07-15"), proration="prorated")
    assert charged(billing) == [("pro-m", "07-01", "07-15", 1400)]
    billing.run(day("07-20"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("06-16"))
    assert charged(billing) == [
        ("pro-m", "06-16", "07-01", 3100),
        ("pro-m", "07-01", "07-15", 2800),
        ("pro-m", "07-15", "08-01", 3400),
    ]


def test_a_short_first_period_charged_in_full_is_its_own_span(billing) -> None:
    billing.run(day("06-11"))
    billing.subscriptions.create("s1", "acme", "pro-m", billing_day=1, first_charge="full")
    billing.run(day("07-06"))
    billing.subscriptions.change("s1", price="big-m", effective_at=day("06-21"))
    assert charged(billing) == [("big-m", "06-21", "07-01", 3100), ("big-m", "07-01", "08-01", 6200)]


def test_a_free_period_is_not_charged_by_a_change_that_reaches_behind_it(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-11"))
    billing.subscriptions.change("s1", period="reset", proration="none", reason="goodwill")
    billing.run(day("06-21"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("07-01"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("06-06"))
    assert charged(billing) == [("pro-m", "06-06", "06-11", 1033), ("pro-m", "06-21", "07-21", 6200)]


def test_periods_billed_again_for_own_intervals_are_one_period(billing) -> None:
    """Each renewal of hosting has a row with the product's period; the last one knows that it was cut short."""
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "1"})
    billing.run(day("08-05"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("08-10"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("07-26"))
    assert charged(billing) == [("pro-y", "07-26", "08-05", 2000), ("pro-y", "08-05", "08-05", 73000)]


def test_a_price_of_another_interval_is_cut_at_the_boundaries_there_are_now(billing) -> None:
    """Ten days of a year of 365.00: what 31.00 covered of June says nothing of it."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-21"))
    billing.subscriptions.change("s1", price="pro-y")
    billing.run(day("07-01"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("06-11"))
    assert charged(billing) == [("pro-y", "06-11", "06-21", 2000), ("pro-y", "06-21", "06-21", 73000)]


def test_chained_periods_are_billed_again_as_they_were(stores) -> None:
    billing = books(catalog=CATALOG, start=day("2026-01-15"), period_policy="chained")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-20"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("02-01"))
    assert charged(billing) == [("pro-m", "02-01", "02-15", 2800), ("pro-m", "02-15", "03-15", 6200)]


def test_periods_of_arrears_are_billed_again_as_they_were(stores) -> None:
    billing = books(catalog=CATALOG, start=day("2026-06-01"))
    billing.subscriptions.create("s1", "acme", "pro-late", trial_until=day("06-01", 1))
    billing.run(day("06-16", 1))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("07-01", 1))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("06-11", 1))
    assert charged(billing) == [("pro-late", "06-11", "06-16", 1033)]


def test_what_ran_before_it_was_taken_over_is_cut_at_the_boundaries_there_are(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at=day("05-11"), next_billing_at=day("06-11"))
    billing.run(day("06-15"))
    billing.subscriptions.change("s1", quantity=2, effective_at=day("06-06"))
    assert charged(billing) == [("pro-m", "06-06", "06-11", 1000), ("pro-m", "06-11", "07-11", 6200)]


def test_a_piece_of_the_past_that_costs_less_than_half_a_unit_is_no_gap(billing) -> None:
    """An hour of a small price at the end of a period: no line, whatever was changed after it, and before by then."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-16"))
    billing.subscriptions.change("s1", period="reset")
    billing.run(day("06-20"))
    billing.subscriptions.set_component("s1", "seats", "1", **PRORATED)
    billing.subscriptions.set_component("s1", "desks", "0.05", effective_at=day("06-15", 23), **PRORATED)
    billing.run(day("06-25"))
    billing.subscriptions.set_component("s1", "seats", "3", effective_at=day("06-18"), **PRORATED)
    billing.run(day("07-20"))
    assert billing.verify().ok


WHOLE = {"upgrade": "full", "downgrade": "full"}


def test_a_whole_difference_is_billed_for_each_period_it_reaches_back_into(billing) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={"hosting": "1", "seats": "1"})
    billing.run(day("07-11"))
    billing.subscriptions.set_component("s1", "seats", "3", effective_at=day("06-16"), **WHOLE)
    assert charged(billing) == [("seats-p", "06-16", "07-01", 6200), ("seats-p", "07-01", "08-01", 6200)]
    billing.subscriptions.set_component("s1", "desks", "2", effective_at=day("06-16"), **WHOLE)
    assert charged(billing) == [("desks-p", "06-16", "07-01", 6200)]
    billing.run(day("08-01"))
    assert ("desks-p", "07-01", "08-01", 6200) in charged(billing)
    assert billing.verify().ok


@pytest.mark.parametrize("code", ["desks", "seats"])
def test_what_was_there_with_no_units_begins_with_the_next_period(billing, code) -> None:
    billing.subscriptions.create("s1", "acme", "pro-m", components={code: "0"})
    billing.run(day("07-11"))
    billing.subscriptions.set_component("s1", code, "2", effective_at=day("06-16"), upgrade="none")
    billing.run(day("09-02"))
    assert billing.verify().ok
