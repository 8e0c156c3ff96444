"""The steps of a dunning case (behaviour 9.5)."""

import pytest

from billcore.domain.dunning import DunningCase, first_step, is_over, next_step
from billcore.settings import DunningPolicy
from tests.builders import START, day

POLICY = DunningPolicy(("1 day", "3 days", "5 days", "7 days"), "leave")


def case(**changes):
    return DunningCase(**({"id": "dun_1", "customer_id": "cus_1", "currency": "USD", "opened_at": START} | changes))


def test_steps_count_from_the_failure() -> None:
    its, planned = first_step(case(), POLICY, "UTC"), []
    while its.next_step_at is not None:
        planned.append(its.next_step_at)
        its = next_step(its, POLICY, "UTC")
    assert planned == [day("01-02"), day("01-04"), day("01-06"), day("01-08")]
    assert (its.step, is_over(its, POLICY)) == (4, True)


def test_without_retries_the_final_action_is_due_at_once() -> None:
    policy = DunningPolicy((), "cancel")
    its = first_step(case(), policy, "UTC")
    assert (its.next_step_at, is_over(its, policy)) == (START, True)


def test_days_are_the_payers_own() -> None:
    its = first_step(case(opened_at=day("03-28T12:00")), POLICY, "Europe/Berlin")
    assert its.next_step_at == day("03-29T11:00")


@pytest.mark.parametrize(("step", "over"), [(0, False), (3, False), (4, True), (9, True)])
def test_a_case_is_over_when_all_its_steps_are_done(step, over) -> None:
    assert is_over(case(step=step), POLICY) is over
