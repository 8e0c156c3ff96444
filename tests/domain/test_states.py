"""The table of a subscription's states: every cell is decided, and agrees with behaviour 5."""

import pytest

from billcore.domain.states import (
    BILLING,
    BY_HAND,
    END,
    EVENTS,
    LIVE,
    PROBLEM,
    STATES,
    TABLE,
    Allowed,
    Refusal,
    allowed_events,
    check,
    move,
)
from billcore.errors import CODES, Refused

CELLS = [(state, event) for event in EVENTS for state in STATES]

# Behaviour 5.2, row by row: (event, from, where it may lead). What a row does not name is refused; events that
# the money brings ("a fact") never are, they leave the state alone where they mean nothing.
RUNNING = ("trialing", "active", "soft_failure", "past_due", "unpaid", "suspended")
NOT_ENDED = ("awaiting_signup", *RUNNING, "on_hold", "paused")
ROWS = [
    # create
    ("signup_settled", ("pending",), ("active", "trialing", "awaiting_signup")),
    ("signup_refused", ("pending", "awaiting_signup"), ("failed_to_create",)),
    ("signup_left_unpaid", ("pending", "awaiting_signup"), ("past_due",)),
    # start date reached; pending while a first payment that may still fail the start is open
    ("start_reached", ("awaiting_signup",), ("trialing", "active", "pending", "suspended")),
    # activate by hand
    ("activate", ("awaiting_signup", "trialing"), ("active",)),
    # trial ends, with and without a method
    ("trial_ran_out", ("trialing",), ("active", "past_due", "suspended", "trial_ended", "canceled")),
    # renewal
    ("renewal_due", ("active",), ("active", "suspended")),
    ("renewal_due", ("past_due",), ("past_due", "suspended")),
    ("renewal_due", ("unpaid",), ("unpaid",)),
    ("renewal_due", ("soft_failure",), ("soft_failure",)),
    # renewal declined; dunning = none cancels
    ("payment_declined", ("active", "soft_failure"), ("past_due", "canceled")),
    ("payment_declined", ("trialing",), ("past_due",)),
    # outcome unknown, or gateway unreachable
    ("payment_unknown", ("trialing", "active"), ("soft_failure",)),
    ("payment_not_sent", ("soft_failure",), ("active", "trialing")),
    # everything overdue paid
    ("debt_paid", ("past_due", "unpaid"), ("active",)),
    ("debt_paid", ("soft_failure",), ("active", "trialing")),
    # dunning ends
    ("dunning_ended", ("past_due",), ("canceled", "unpaid", "past_due")),
    ("dunning_ended", ("unpaid",), ("canceled", "unpaid")),
    ("dunning_ended", ("soft_failure",), ("canceled", "unpaid", "soft_failure")),
    # cancel now, at period end, at a date
    ("cancel", NOT_ENDED, ("canceled",)),
    ("cancel_date_reached", NOT_ENDED, ("canceled",)),
    # hold and resume
    ("hold", ("trialing", "active"), ("on_hold",)),
    ("resume", ("on_hold",), ("active", "trialing", "past_due")),
    ("resume_date_reached", ("on_hold",), ("active", "trialing", "suspended", "past_due")),
    # prepaid balance
    ("balance_short", ("active",), ("suspended",)),
    ("balance_topped_up", ("suspended",), ("active", "trialing")),
    # expiry, term end; a trial inside a term ends with it
    ("end_reached", ("active", "past_due", "unpaid", "soft_failure", "trialing", "suspended"), ("expired",)),
    # reactivate
    ("reactivate", ("canceled", "trial_ended", "expired", "unpaid"), ("active", "trialing")),
    # a change may begin the trial of its new price
    ("change", ("active",), ("active", "trialing")),
    # pause and unpause by the operator
    ("pause", RUNNING, ("paused",)),
    ("unpause", ("paused",), RUNNING),
    # somebody else pays from now on: the debt stays where it is
    ("payer_changed", ("past_due", "unpaid"), ("active",)),
    ("payer_changed", ("soft_failure",), ("active", "trialing")),
]
STAYING = {
    "change": ("trialing", "active", "soft_failure", "past_due", "unpaid", "suspended"),
    "change_billing_date": ("trialing", "active", "soft_failure", "past_due", "unpaid"),
    "set_term": NOT_ENDED,
    "schedule_cancel": NOT_ENDED,
    "uncancel": NOT_ENDED,
    "retry": ("soft_failure", "past_due", "unpaid"),
    "payer_changed": (*NOT_ENDED, "canceled", "expired", "trial_ended"),
}
FACTS = ("payment_declined", "payment_unknown", "payment_not_sent", "debt_paid", "dunning_ended")


def expected():
    made = {(state, event): {state} for event in FACTS for state in STATES}
    made |= {(state, event): {state} for event, states in STAYING.items() for state in states}
    for event, states, targets in ROWS:
        for state in states:
            made[state, event] = set(targets)
    return made


def test_there_are_fourteen_states_each_of_one_sort() -> None:
    assert len(STATES) == 14
    others = {"pending", "awaiting_signup", "on_hold"}
    assert set(STATES) == LIVE | PROBLEM | END | others
    assert len(LIVE) + len(PROBLEM) + len(END) + len(others) == 14
    assert {"canceled", "expired", "trial_ended", "failed_to_create"} == END


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_cell_is_decided(state, event) -> None:
    match TABLE[event][state]:
        case Allowed(targets=targets):
            assert targets and len(set(targets)) == len(targets)
            assert set(targets) <= set(STATES)
        case Refusal(code=code):
            assert code in CODES


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_cell_agrees_with_the_rules(state, event) -> None:
    cell = TABLE[event][state]
    targets = set(cell.targets) if isinstance(cell, Allowed) else None
    assert targets == expected().get((state, event))


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_cell_is_kept(state, event) -> None:
    """What the table allows happens, everything else is refused with the state and what is possible."""
    cell = TABLE[event][state]
    if isinstance(cell, Allowed):
        for target in cell.targets:
            assert move(state, event, target, "s1") == target
        return
    with pytest.raises(Refused) as refused:
        check(state, event, "s1")
    assert refused.value.code == cell.code
    assert f"Subscription s1 is {state}" in refused.value.message
    assert refused.value.facts["state"] == state
    assert refused.value.facts["allowed"] == [one for one in allowed_events(state) if one in BY_HAND]


def reachable(start):
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for event in EVENTS:
            cell = TABLE[event][state]
            new = set(cell.targets) - found if isinstance(cell, Allowed) else set()
            found |= new
            todo.extend(new)
    return found


def test_every_state_can_be_reached_by_a_new_subscription() -> None:
    assert reachable("pending") == set(STATES)


@pytest.mark.parametrize("state", sorted(END - {"failed_to_create"}))
def test_an_ended_subscription_comes_back_only_by_reactivation(state) -> None:
    leaving = {
        event for event in EVENTS if isinstance(cell := TABLE[event][state], Allowed) and cell.targets != (state,)
    }
    assert leaving == {"reactivate"}


def test_what_failed_to_be_created_stays_so() -> None:
    assert reachable("failed_to_create") == {"failed_to_create"}
    assert not [event for event in allowed_events("failed_to_create") if event in BY_HAND]


def test_periods_advance_in_exactly_the_billing_states() -> None:
    assert {state for state in STATES if isinstance(TABLE["renewal_due"][state], Allowed)} == BILLING


@pytest.mark.parametrize("event", [event for event in EVENTS if event in FACTS])
def test_facts_about_money_are_never_refused(event) -> None:
    assert all(isinstance(TABLE[event][state], Allowed) for state in STATES)


def test_a_fact_that_means_nothing_here_changes_nothing() -> None:
    assert move("canceled", "debt_paid", "active", "s1") == "canceled"
    with pytest.raises(AssertionError):
        move("active", "payment_declined", "trialing", "s1")
