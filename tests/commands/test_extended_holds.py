"""Paid time behind a hold that appended it: what is given back of it later (behaviour 3.4, 3.6, 5.2)."""

import pytest

from tests.builders import books, day, documents

CATALOG = {
    "products": [
        {"code": "basic", "prices": [{"code": "basic-m", "amount": "30.00", "every": "1 month"}]},
        {"code": "plus", "prices": [{"code": "plus-m", "amount": "60.00", "every": "1 month"}]},
        {"code": "week", "prices": [{"code": "week-w", "amount": "7.00", "every": "1 week"}]},
    ],
    "components": [
        {
            "code": "seats",
            "kind": "quantity",
            "name": "Seats",
            "prices": [{"code": "seats-p", "scheme": "per_unit", "unit_amount": "15.00"}],
        },
        {
            "code": "disk",
            "kind": "quantity",
            "name": "Disk",
            "prices": [{"code": "disk-p", "scheme": "per_unit", "unit_amount": "30.00", "every": "1 month"}],
        },
    ],
}


def held(*holds, price="basic-m", start="06-01", **given):
    """A subscription with these holds, each from one day to another, which append what was left."""
    billing = books(catalog=CATALOG, start=day(start), **given.pop("settings", {}))
    billing.subscriptions.create("s1", "acme", price, **given)
    for since, until in holds:
        billing.run(day(since))
        billing.subscriptions.hold("s1", unused="extend")
        billing.run(day(until))
        billing.subscriptions.resume("s1")
    return billing


def given_back(billing):
    """What cancelling now gives back of unused time."""
    billing.subscriptions.cancel("s1", credit="unused")
    notes = billing.invoices.credit_notes()
    assert billing.verify().ok
    for note in notes:
        assert billing.explain(note.id).agrees
    return sum(note.total for note in notes)


def covered(billing, item=None):
    """The active coverage of an item, the subscription's own by default, as (from, to)."""
    item = item or billing.subscriptions.get("s1").id
    with billing.database.transaction(reads=True) as tx:
        rows = tx.rows(
            "SELECT start, \"end\" FROM billcore_coverage WHERE item_id = ? AND status = 'active' ORDER BY start",
            [item],
        )
    return [(start[5:10], end[5:10]) for start, end in rows]


def test_a_hold_parts_the_paid_time_and_is_no_part_of_it() -> None:
    billing = held(("06-11", "06-21"), components={"seats": "1"})
    sub = billing.subscriptions.get("s1")
    assert covered(billing) == [("06-01", "06-11"), ("06-21", "07-11")]
    assert covered(billing, sub.items[0].id) == covered(billing)
    billing.run(day("07-11"))
    assert covered(billing)[1:] == [("06-21", "07-11"), ("07-11", "08-11")]


def test_a_change_in_the_appended_time_gives_back_what_is_left_of_it() -> None:
    billing = held(("06-11", "06-21"))
    billing.run(day("07-01"))
    billing.subscriptions.change("s1", price="plus-m")
    assert documents(billing)[1:] == [("paid", "07-01", 1000, [("credit", -1000), ("product", 2000)])]
    explained = billing.explain("acme/2")
    assert explained.agrees
    credit = next(line for line in explained.lines if line.line.kind == "credit")
    assert "not used from 2026-07-01T00:00:00Z on: 864000/2592000 seconds" in [str(step) for step in credit.steps]


@pytest.mark.parametrize(("at", "left"), [("06-21", 2000), ("06-26", 1500), ("07-01", 1000), ("07-10", 100)])
def test_a_cancellation_after_an_extended_hold_gives_back_the_days_that_are_left(at, left) -> None:
    billing = held(("06-11", "06-21"))
    billing.run(day(at))
    assert given_back(billing) == left


@pytest.mark.parametrize("basis", ["second", "day", "fixed_30"])
def test_what_was_held_at_its_very_start_is_given_back_whole(basis) -> None:
    billing = held(("06-01", "08-19"), settings={"proration_basis": basis})
    assert covered(billing) == [("08-19", "09-18")]
    assert given_back(billing) == 3000


def test_a_hold_that_ends_where_it_began_moves_nothing() -> None:
    billing = held(("06-11", "06-11"))
    assert covered(billing) == [("06-01", "07-01")]
    billing.run(day("06-21"))
    assert given_back(billing) == 1000


def test_holds_that_follow_each_other_each_append_what_was_left() -> None:
    billing = held(("06-11", "06-21"), ("06-26", "07-06"), ("07-06", "07-07"), ("07-16", "08-01"))
    # Ten days, five, nine and the last six of thirty.
    assert covered(billing) == [("06-01", "06-11"), ("06-21", "06-26"), ("07-07", "07-16"), ("08-01", "08-07")]
    assert billing.subscriptions.get("s1").period_end == day("08-07")
    billing.run(day("08-05"))
    assert given_back(billing) == 200


def test_a_cancellation_dated_back_before_the_hold_gives_back_each_part_once() -> None:
    billing = held(("06-11", "06-21"))
    billing.run(day("07-01"))
    billing.subscriptions.cancel("s1", effective_at="2026-06-06")
    (note,) = billing.invoices.credit_notes()
    assert [(line.start, line.end, line.amount) for line in note.lines] == [
        (day("06-21"), day("07-11"), -2000),
        (day("06-06"), day("06-11"), -500),
    ]
    assert billing.explain(note.id).agrees


def test_a_cancellation_dated_back_into_the_hold_gives_back_what_lies_behind_it() -> None:
    billing = held(("06-11", "06-21"))
    billing.run(day("07-01"))
    billing.subscriptions.cancel("s1", effective_at="2026-06-16")
    (note,) = billing.invoices.credit_notes()
    assert [(line.start, line.amount) for line in note.lines] == [(day("06-21"), -2000)]


def test_a_refund_of_the_whole_period_gives_back_a_parted_line_once() -> None:
    billing = held(("06-11", "06-21"))
    billing.run(day("07-01"))
    billing.subscriptions.cancel("s1", refund="all")
    assert [note.total for note in billing.invoices.credit_notes()] == [3000]


def test_a_component_bought_before_the_hold_is_left_behind_it_in_proportion() -> None:
    billing = held(("06-11", "06-21"), components={"seats": "1"})
    billing.run(day("07-01"))
    billing.subscriptions.set_component("s1", "seats", "2")
    assert documents(billing)[1:] == [("paid", "07-01", 500, [("credit", -500), ("component", 1000)])]


def test_units_added_at_their_whole_price_lie_behind_the_hold_too() -> None:
    billing = held(components={"seats": "1"})
    billing.run(day("06-06"))
    billing.subscriptions.set_component("s1", "seats", "2", upgrade="full")
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("06-21"))
    sub = billing.subscriptions.resume("s1")
    assert covered(billing, sub.items[0].id) == [
        ("06-01", "06-11"),
        ("06-06", "06-11"),
        ("06-21", "07-11"),
        ("06-21", "07-11"),
    ]
    billing.run(day("07-01"))
    # 10 of 30 days of the plan and of the first seat, 10 of the 25 of the second one.
    assert given_back(billing) == 1000 + 500 + 600


def test_a_component_on_its_own_interval_moves_by_the_length_of_the_hold() -> None:
    billing = held(("06-04", "06-14"), price="week-w", components={"disk": "1"})
    sub = billing.subscriptions.get("s1")
    assert covered(billing, sub.items[0].id) == [("06-01", "06-04"), ("06-14", "07-11")]
    assert (sub.period_end, sub.items[0].period_end) == (day("06-18"), day("07-11"))
    billing.run(day("07-01"))
    assert given_back(billing) == 100 + 1000  # One day of the week, ten of the disk's month.


def test_time_that_a_moved_date_added_lies_behind_the_rest_of_the_period() -> None:
    billing = held()
    billing.run(day("06-06"))
    billing.subscriptions.change_billing_date("s1", next_billing_at="2026-07-11", proration="prorated")
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("07-01"))
    billing.subscriptions.resume("s1")
    assert covered(billing) == [("06-01", "06-11"), ("07-01", "07-21"), ("07-21", "07-31")]
    billing.run(day("07-26"))
    assert given_back(billing) == round(documents(billing)[1][2] / 2)


def test_a_date_moved_before_and_after_a_hold_makes_the_paid_time_longer() -> None:
    billing = held()
    billing.run(day("06-06"))
    billing.subscriptions.change_billing_date("s1", next_billing_at="2026-07-11")  # 40 days
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("06-21"))
    billing.subscriptions.resume("s1")
    assert covered(billing) == [("06-01", "06-11"), ("06-21", "07-21")]
    billing.subscriptions.change_billing_date("s1", next_billing_at="2026-07-31")  # 50 days
    billing.run(day("07-21"))
    assert given_back(billing) == 600


def test_the_hold_may_end_at_its_date_and_others_go_on_in_the_same_run() -> None:
    billing = held()
    billing.subscriptions.create("s2", "acme", "basic-m")
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend", resume_at="2026-07-01")
    billing.run(day("07-11"))
    assert covered(billing) == [("06-01", "06-11"), ("07-01", "07-21")]
    assert given_back(billing) == 1000


def test_an_addon_that_is_held_with_its_base_keeps_its_paid_time_too() -> None:
    billing = held()
    billing.subscriptions.create("s2", "acme", "plus-m", base="s1")
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("06-21"))
    billing.subscriptions.resume("s1")
    billing.run(day("07-01"))
    assert given_back(billing) == 1000 + 2000


def test_an_invoice_that_is_billed_again_after_the_hold_covers_the_time_behind_it() -> None:
    billing = held(("06-11", "06-21"), collection="remittance", net_terms=60)
    billing.invoices.void("acme/1", rebill=True)
    assert covered(billing) == [("06-01", "06-11"), ("06-21", "07-11")]
    billing.run(day("07-01"))
    assert given_back(billing) == 1000


def test_a_resume_without_an_extension_leaves_coverage_as_it_was() -> None:
    billing = held()
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1")
    billing.run(day("06-21"))
    billing.subscriptions.resume("s1")
    assert covered(billing) == [("06-01", "07-01")]
    assert given_back(billing) == 1000


def test_a_component_that_costs_from_the_next_period_on_costs_from_the_moved_one() -> None:
    billing = held(components={"seats": "0"})
    billing.run(day("06-06"))
    billing.subscriptions.set_component("s1", "seats", "1", upgrade="none")
    billing.run(day("06-11"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("06-21"))
    billing.subscriptions.resume("s1")
    billing.run(day("07-11"))
    assert documents(billing)[1:] == [("paid", "07-11", 4500, [("product", 3000), ("component", 1500)])]
    assert billing.verify().ok


def test_what_costs_nothing_up_to_the_first_billing_day_is_free_as_long_after_the_hold() -> None:
    billing = held(("06-11", "06-21"), billing_day=30, first_charge="none")
    assert billing.subscriptions.get("s1").period_end == day("07-10")
    billing.run(day("07-05"))
    billing.subscriptions.change("s1", price="plus-m")
    assert documents(billing) == []
    billing.run(day("07-10"))
    assert documents(billing) == [("paid", "07-10", 6000, [("product", 6000)])]


def test_verify_finds_paid_time_that_was_not_appended() -> None:
    billing = held(("06-11", "06-21"))
    ends = "UPDATE billcore_coverage SET \"end\" = ? WHERE start = '2026-06-21T00:00:00Z'"
    with billing.database.transaction() as tx:
        tx.execute(ends, [day("07-01")])
    assert [finding.law for finding in billing.verify().findings] == ["coverage_gap"]
    with billing.database.transaction() as tx:
        tx.execute(ends, [day("07-11")])
