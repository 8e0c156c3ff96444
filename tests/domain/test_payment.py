"""Payments: what each outcome makes of an attempt in each status (behaviour 9.1-9.3)."""

import pytest

from billcore.domain.payment import IN_DOUBT, OUTCOME_KINDS, PAYMENT_STATUSES, TABLE, Chain, chain_of
from tests.builders import payment

CELLS = [(status, outcome) for status in PAYMENT_STATUSES for outcome in OUTCOME_KINDS]

# What has not ended takes what it is told. "Not sent" is certain, so it ends an attempt that was in doubt; "not
# found" by itself is not (9.3); an unknown answer does not take back that the bank or the customer is at it.
OPEN = {
    "approved": dict.fromkeys(IN_DOUBT, "succeeded"),
    "declined": dict.fromkeys(IN_DOUBT, "failed"),
    "canceled": dict.fromkeys(IN_DOUBT, "canceled"),
    "not_sent": dict.fromkeys(IN_DOUBT, "failed"),
    "pending": dict.fromkeys(IN_DOUBT, "pending"),
    "action_required": dict.fromkeys(IN_DOUBT, "requires_action"),
    "unknown": {"pending": "unknown", "requires_action": "requires_action", "unknown": "unknown"},
    "not_found": {status: status for status in IN_DOUBT},
}
# Late money is money: it must be seen (5.1). Nothing else changes what has ended.
LATE = {("failed", "approved"): "succeeded", ("canceled", "approved"): "succeeded"}


@pytest.mark.parametrize(("status", "outcome"), CELLS)
def test_every_cell_is_decided(status, outcome) -> None:
    expected = OPEN[outcome][status] if status in IN_DOUBT else LATE.get((status, outcome), status)
    assert TABLE[status][outcome] == expected


def test_the_table_has_no_other_cells() -> None:
    assert [(status, outcome) for status in TABLE for outcome in TABLE[status]] == CELLS


def test_money_may_be_moving_in_exactly_three_statuses() -> None:
    assert {"pending", "requires_action", "unknown"} == IN_DOUBT


def test_an_answer_that_is_repeated_changes_nothing() -> None:
    for status, outcome in CELLS:
        after = TABLE[status][outcome]
        if after != "unknown":
            assert TABLE[after][outcome] == after


@pytest.mark.parametrize(
    ("causes", "cause", "tried"),
    [
        (["collection"], "collection", {"pm_0"}),
        (["collection", "fallback", "fallback"], "collection", {"pm_0", "pm_1", "pm_2"}),
        (["collection", "fallback", "dunning"], "dunning", {"pm_2"}),
        (["collection", "fallback", "dunning", "fallback"], "dunning", {"pm_2", "pm_3"}),
        (["fallback"], "collection", {"pm_0"}),
    ],
)
def test_a_chain_begins_with_the_last_attempt_that_followed_on_no_decline(causes, cause, tried) -> None:
    made = [payment(cause=its, attempt=n + 1, payment_method_id=f"pm_{n}") for n, its in enumerate(causes)]
    assert chain_of(made) == Chain(cause, frozenset(tried))
