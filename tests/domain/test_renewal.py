"""Periods begin, renew and close (behaviour 5.2, 7); and the year in five zones."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billcore.domain.catalog import Periods, Phase
from billcore.domain.durations import Duration
from billcore.domain.lifecycle import act, enter
from billcore.domain.periods import Period
from billcore.domain.renewal import closing_lines, renew
from billcore.domain.usage import UsageTotal, UsageWindow
from tests.builders import (
    START,
    component,
    component_price,
    day,
    facts,
    ids,
    item,
    price,
    subscription,
    usage_event,
)
from tests.builders import settings as site

SEATS = (component(), component_price())
CALLS = (component("calls", "metered"), component_price("0.10", "calls-p", "calls", bill="arrears"))
HOSTING = (component("hosting"), component_price("2.00", "hosting-m", "hosting", every=Duration(1, "month")))


def lines(step):
    return [(line.kind, line.period and (line.period.start, line.period.end), line.amount) for line in step.lines]


def renewed(sub, its, at="02-01"):
    return renew(sub, its, day(at), day(at), ids())


def test_a_renewal_enters_the_next_period_and_charges_it() -> None:
    step = renewed(subscription(), facts())
    after = step.subscription
    assert (after.period_start, after.period_end, after.sequence) == (day("02-01"), day("03-01"), 2)
    assert (after.next_action, after.next_action_at) == ("renew", day("03-01"))
    assert lines(step) == [("product", (day("02-01"), day("03-01")), 3000)]
    assert (step.renewal.sequence, step.renewal.period_start, step.renewal.period_end) == (
        2,
        day("02-01"),
        day("03-01"),
    )


def test_the_ended_period_is_billed_in_arrears_under_its_own_dates() -> None:
    december = Period(day("2025-12-01"), day("01-01"))
    late = UsageWindow(december, december, (usage_event("3", "2025-12-24"),))
    its = facts(price(bill="arrears"), CALLS, usage={"itm_calls": UsageTotal(Decimal(25), 2, past=(late,))})
    step = renewed(subscription(items=(item("calls", "0"),)), its)
    january = (day("01-01"), day("02-01"))
    assert lines(step) == [("product", january, 3000), ("usage", january, 250), ("usage", None, 30)]
    assert step.usage == ("itm_calls",) and step.usage_until == day("02-01")


def test_what_was_on_hold_is_not_billed_in_arrears() -> None:
    step = renewed(subscription(arrears_from=day("01-16")), facts(price(bill="arrears")))
    assert lines(step) == [("product", (day("01-16"), day("02-01")), 1548)]


def test_a_component_in_advance_is_charged_with_its_product() -> None:
    step = renewed(subscription(items=(item(),)), facts(price(), SEATS))
    assert [row[0::2] for row in lines(step)] == [("product", 3000), ("component", 1500)]


def test_a_component_with_its_own_interval_renews_between_the_products_boundaries() -> None:
    sub = subscription(
        period_end=day("2027-01-01"),
        items=(item("hosting", "1", period_start=day("01-01"), period_end=day("02-01")),),
    )
    step = renewed(sub, facts(price("360.00", "1 year"), HOSTING))
    assert lines(step) == [("component", (day("02-01"), day("03-01")), 200)]
    assert (step.subscription.period_end, step.subscription.items[0].period_end) == (
        day("2027-01-01"),
        day("03-01"),
    )


@pytest.mark.parametrize("known", ["ends_at", "cancel_at"])
def test_a_known_end_shortens_the_last_period_and_its_charge(known) -> None:
    step = renewed(subscription(**{known: day("02-15")}), facts())
    assert lines(step) == [("product", (day("02-01"), day("02-15")), 1500)]


def test_unpaid_is_billed_but_not_collected() -> None:
    step = renewed(subscription("unpaid"), facts())
    assert (step.collects, step.subscription.state, len(step.lines)) == (False, "unpaid", 1)


@pytest.mark.parametrize("state", ["active", "past_due", "unpaid", "soft_failure"])
def test_a_renewal_does_not_change_the_state(state) -> None:
    step = renewed(subscription(state), facts())
    assert (step.subscription.state, step.changes) == (state, ())


def test_the_minimum_is_topped_up_and_counts_what_was_billed() -> None:
    its = facts(price("30.00", minimum=Decimal("100.00")), billed_in_period=3000)
    step = renewed(subscription(), its)
    assert [row[0::2] for row in lines(step)] == [("minimum", 7000), ("product", 3000)]


def on_own_intervals(bill="arrears"):
    """A quarter with a minimum of 100.00 that ends, monthly hosting whose period ends with it, and their facts."""
    quarterly = price("30.00", every="3 months", minimum=Decimal("100.00"))
    hosting = (
        component("hosting"),
        component_price("2.00", "hosting-m", "hosting", every=Duration(1, "month"), bill=bill),
    )
    own = item("hosting", "10", period_start=day("01-01"), period_end=day("02-01"))
    begun = day("2025-11-01")
    sub = subscription(items=(own,), period_start=begun, anchor=begun, arrears_from=begun)
    return sub, facts(quarterly, hosting, billed_in_period=7000)


def test_the_minimum_counts_what_an_own_interval_owes_of_the_period_that_ends() -> None:
    made = [row[0::2] for row in lines(renewed(*on_own_intervals()))]
    assert made == [("minimum", 1000), ("product", 3000), ("component", 2000)]


def test_the_minimum_does_not_count_what_an_own_interval_bills_ahead() -> None:
    made = [row[0::2] for row in lines(renewed(*on_own_intervals("advance")))]
    assert made == [("minimum", 3000), ("product", 3000), ("component", 2000)]


def test_the_minimum_of_an_end_counts_own_intervals_too() -> None:
    sub, its = on_own_intervals()
    made, _ = closing_lines(sub, its, day("02-01"))
    assert [(line.kind, line.amount) for line in made] == [("component", 2000), ("minimum", 1000)]


def test_closing_bills_the_used_part_of_arrears() -> None:
    made, _ = closing_lines(subscription(), facts(price(bill="arrears")), day("01-16"))
    assert [(line.period.end, line.amount) for line in made] == [(day("01-16"), 1452)]
    assert closing_lines(subscription("trialing", sequence=0), facts(price(bill="arrears")), day("01-16")) == ([], ())


@pytest.mark.parametrize(
    ("term", "expected"),
    [(Periods(3), "04-01"), (Duration(3, "month"), "04-01"), (Duration(40, "day"), "03-01")],
)
def test_an_expiry_falls_on_the_first_boundary_on_or_after_its_length(term, expected) -> None:
    started = begun(facts(price(expires_after=term)))
    assert started.expires_at == day(expected)


def test_an_expiry_counts_the_trial_or_not() -> None:
    for setting, expected in (("creation", "03-15"), ("activation", "03-15")):
        its = facts(
            price(expires_after=Duration(2, "month"), trial=Duration(14, "day")), site=site(expiry_from=setting)
        )
        sub = begun(its)
        after = act(sub, "trial_end", its, sub.trial_until, ids()).subscription
        # From creation 2026-03-01, so the boundary after it; from activation 2026-03-15 itself.
        assert after.expires_at == day(expected)
    its = facts(
        price(expires_after=Duration(1, "month"), trial=Duration(45, "day")), site=site(expiry_from="activation")
    )
    sub = begun(its)
    assert act(sub, "trial_end", its, sub.trial_until, ids()).subscription.expires_at == day("03-15")


def begun(its, at=START, **changes):
    sub = subscription("pending", created_at=at, **changes)
    return enter(sub, its, at, ids(), "signup").subscription


def test_phases_count_from_the_end_of_the_trial() -> None:
    phased = price(phases=(Phase(Duration(2, "month"), {"USD": Decimal("10.00")}),), trial=Duration(14, "day"))
    its = facts(phased)
    sub = begun(its)
    amounts = []
    for _ in range(4):
        step = act(sub, sub.next_action, its, sub.next_action_at, ids())
        sub = step.subscription
        amounts.append(step.lines[0].amount)
    assert amounts == [1000, 1000, 3000, 3000]


# -- the year in five zones ----------------------------------------------------------------------------------

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns")
EVERY = ("1 month", "2 weeks", "3 months", "1 day", "10 days", "1 year", "2 months")
HOUR = timedelta(hours=1)


def ticked(sub, its, hours, new_id):
    """Every hour look whether something is due, and do it; what an engine does that never sleeps."""
    now, steps = sub.period_start, []
    for _ in range(hours):
        now += HOUR
        while sub.next_action_at is not None and sub.next_action_at <= now:
            step = act(sub, sub.next_action, its, now, new_id)
            sub = step.subscription
            steps.append(step)
    return sub, steps


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    zone=st.sampled_from(ZONES),
    every=st.sampled_from(EVERY),
    start=st.datetimes(day("2024-01-01").replace(tzinfo=None), day("2026-12-31").replace(tzinfo=None)),
    billing_day=st.none() | st.integers(1, 31),
    billing_time=st.sampled_from(("00:00", "02:30", "23:59")),
)
def test_ticking_hourly_for_a_year_gives_exactly_one_renewal_per_period(
    zone, every, start, billing_day, billing_time
) -> None:
    """The periods tile the year without gap or overlap, through both changes of clocks (2.1, 2.2, 8.4)."""
    own = price("30.00", every)
    its = facts(own, zone=zone, site=site(billing_time=billing_time))
    at = start.replace(microsecond=0, tzinfo=START.tzinfo)
    sub = subscription("pending", created_at=at, billing_day=billing_day if own.every.months else None)
    first = enter(sub, its, at, ids(), "signup")
    hours = 366 * 24
    last, steps = ticked(first.subscription, its, hours, ids())
    renewals = [first.renewal, *(step.renewal for step in steps)]
    assert [one.sequence for one in renewals] == list(range(1, len(renewals) + 1))
    assert renewals[0].period_start == at
    for before, after in pairwise(renewals):
        assert before.period_end == after.period_start < after.period_end
    assert last.period_start <= at + hours * HOUR < last.period_end
    covered = [line.period for step in (first, *steps) for line in step.lines if line.kind == "product"]
    assert [(one.start, one.end) for one in covered] == [(one.period_start, one.period_end) for one in renewals]


@settings(max_examples=25, deadline=None)
@given(zone=st.sampled_from(ZONES), gaps=st.lists(st.integers(1, 24 * 90), min_size=1, max_size=8))
def test_whenever_the_clock_is_looked_at_the_periods_are_the_same(zone, gaps) -> None:
    """A missed period is billed one by one, in order, as if nobody had been away (2.5)."""
    its = facts(price(), SEATS, CALLS, zone=zone)
    sub = subscription("pending", billing_day=31, items=(item(), item("calls", "0")))
    first = enter(sub, its, START, ids(), "signup").subscription
    hourly, by_the_hour = ticked(first, its, sum(gaps), ids())
    now, late, by_chance = START, first, []
    for gap in gaps:
        now += gap * HOUR
        while late.next_action_at <= now:
            step = act(late, late.next_action, its, now, ids())
            late = step.subscription
            by_chance.append(step)
    assert late == hourly
    assert [lines(step) for step in by_chance] == [lines(step) for step in by_the_hour]


def test_a_renewal_is_pure() -> None:
    """The same values give the same step, ids included."""
    sub, its = subscription(items=(item(),)), facts(price(), SEATS)
    assert renewed(sub, its) == renewed(evolve(sub), its)
