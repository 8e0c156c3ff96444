"""Refunds: what each outcome makes of one in each status, and what may be given back at all (behaviour 9.6)."""

import pytest

from billcore.domain.payment import OUTCOME_KINDS
from billcore.domain.refund import OPEN, REFUND_STATUSES, TABLE, left_of
from tests.builders import payment, refund

CELLS = [(status, outcome) for status in REFUND_STATUSES for outcome in OUTCOME_KINDS]

# What has not ended takes what it is told; "not sent" and "not found" say nothing of a refund that may be out.
TOLD = {"approved": "succeeded", "declined": "failed", "canceled": "failed", "pending": "pending"}
TOLD |= {"action_required": "pending", "unknown": "unknown"}
# Money that left may come back, and what was given up may arrive: both are facts (9.6). Nothing else is news.
LATE = {("succeeded", "declined"): "failed", ("succeeded", "canceled"): "failed", ("failed", "approved"): "succeeded"}


@pytest.mark.parametrize(("status", "outcome"), CELLS)
def test_every_cell_is_decided(status, outcome) -> None:
    expected = TOLD.get(outcome, status) if status in OPEN else LATE.get((status, outcome), status)
    assert TABLE[status][outcome] == expected


def test_the_table_has_no_other_cells() -> None:
    assert {(status, outcome) for status in TABLE for outcome in TABLE[status]} == set(CELLS)


def test_an_answer_that_is_repeated_changes_nothing() -> None:
    for status, outcome in CELLS:
        after = TABLE[status][outcome]
        if after != "unknown":
            assert TABLE[after][outcome] == after


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ((), 3000),
        ((refund(1000, "succeeded"),), 2000),
        ((refund(1000, "pending"), refund(500, "unknown")), 1500),
        ((refund(1000, "failed"),), 3000),
        ((refund(1000, "failed", parked_reason="declined"),), 2000),
        # What became credit is still here, to be paid out.
        ((refund(1000, "succeeded", to="credit"), refund(2000, "succeeded", to="external")), 1000),
    ],
)
def test_what_is_out_or_on_its_way_or_owed_is_not_given_back_twice(given, left) -> None:
    assert left_of(payment(status="succeeded", captured=3000), given) == left
