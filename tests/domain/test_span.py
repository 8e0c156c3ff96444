"""What one full price covers of time that was billed, and of time that is billed again (behaviour 3.2)."""

import pytest
from attrs import evolve

from billcore.domain.durations import Duration
from billcore.domain.facts import Spanned
from billcore.domain.invoice import Renewal
from billcore.domain.periods import Period, Schedule
from billcore.domain.renewal import renew, renewal_of
from billcore.domain.span import as_billed, begun_anew, billed_before, ended, with_span
from tests.builders import day, facts, ids, price, subscription

MONTH = Duration(1, "month")
PRICES = {"pri_pro": price(), "pri_year": price("300.00", "1 year", id="pri_year", code="pro-y")}


def period(start, end):
    return Period(day(start), day(end))


def row(sequence, start, end, span=(None, None), **changes):
    """The row of a billing; `span` where it is not the period."""
    first, last = (each and day(each) for each in span)
    made = Renewal(f"ren_{sequence}", "cus_1", "sub_1", sequence, day(start), day(end), day(start), "pri_pro", None)
    return evolve(made, span_start=first, span_end=last, **changes)


def before(*rows, end):
    return [(one.period, one.span) for one in billed_before(rows, day(end), MONTH, PRICES)]


def test_a_renewal_keeps_the_span_of_a_period_that_is_short_and_none_of_one_that_is_whole() -> None:
    step = renew(subscription(), facts(), day("02-01"), day("02-01"), ids())
    assert (step.renewal.price_id, step.renewal.span_start, step.renewal.span_end) == ("pri_pro", None, None)
    short = with_span(subscription(), period("01-01", "03-01"))
    made = renewal_of(short, period("01-01", "02-01"), day("01-01"), ids())
    assert (made.span_start, made.span_end) == (day("01-01"), day("03-01"))


def test_a_period_that_is_cut_short_keeps_the_span_it_was_billed_with() -> None:
    cut = ended(row(1, "01-01", "02-01"), day("01-16"), period("01-01", "02-01"))
    assert cut == row(1, "01-01", "01-16", ("01-01", "02-01"))
    assert before(cut, end="01-16") == [(period("01-01", "01-16"), period("01-01", "02-01"))]


def test_a_period_that_is_its_own_span_again_has_none_beside_it() -> None:
    cut = row(1, "01-01", "01-16", ("01-01", "02-01"))
    assert ended(cut, day("01-21"), period("01-01", "01-21")) == row(1, "01-01", "01-21")


def test_a_period_that_never_ran_leaves_its_number_and_its_invoice_to_the_one_in_its_place() -> None:
    fresh = row(1, "01-01", "03-01", price_id="pri_year", free=True, id="ren_9", billed_at=day("01-05"))
    taken = begun_anew(row(1, "01-01", "02-01", invoice_id="inv_1"), fresh)
    assert taken == evolve(fresh, id="ren_1", billed_at=day("01-01"), invoice_id="inv_1")


def test_a_period_lasts_until_the_next_one_began() -> None:
    """One that went on after a hold has its own row, inside the former."""
    rows = (row(1, "01-01", "02-01"), row(2, "01-11", "02-01", ("01-01", "02-01")), row(3, "02-01", "03-01"))
    january = period("01-01", "02-01")
    assert before(*rows, end="02-15") == [
        (period("01-01", "01-11"), january),
        (period("01-11", "02-01"), january),
        (period("02-01", "02-15"), period("02-01", "03-01")),
    ]


def test_of_the_rows_of_one_period_the_last_one_knows_its_end() -> None:
    rows = (row(1, "01-01", "02-01"), row(2, "01-01", "01-21"), row(3, "01-21", "02-21"))
    assert before(*rows, end="01-21") == [(period("01-01", "01-21"), period("01-01", "01-21"))]


def test_what_ran_on_behind_its_span_and_what_had_another_interval_is_left_out() -> None:
    rows = (row(1, "01-01", "02-01", price_id="pri_year"), row(2, "02-01", "03-15", ("02-01", "03-01")))
    assert before(*rows, end="03-15") == [(period("02-01", "03-01"), period("02-01", "03-01"))]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("01-21", [("01-21", "02-05", "01-01", "02-05"), ("02-10", "03-01", "02-01", "03-01")]),
        (
            "01-05",
            [
                ("01-05", "01-10", "01-01", "02-01"),
                ("01-10", "02-05", "01-01", "02-05"),
                ("02-10", "03-01", "02-01", "03-01"),
            ],
        ),
        ("02-06", [("02-10", "03-01", "02-01", "03-01")]),
        ("02-20", [("02-20", "03-01", "02-01", "03-01")]),
        ("03-01", []),
    ],
)
def test_time_is_billed_again_in_the_spans_it_was_billed_with(start, expected) -> None:
    """What was free is left out; what was not billed is cut at the boundaries there are."""
    known = (
        Spanned(period("01-10", "02-05"), period("01-01", "02-05")),
        Spanned(period("02-05", "02-10"), period("02-05", "02-10"), free=True),
    )
    pieces = as_billed(day(start), day("03-01"), known, Schedule(day("01-01"), MONTH, "UTC"))
    assert pieces == [(period(first, last), period(*span)) for first, last, *span in expected]
