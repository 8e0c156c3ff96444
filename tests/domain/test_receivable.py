"""An invoice being collected: past due, dunning cases, and everything well again (behaviour 5.2, 9.5)."""

import pytest

from billcore.domain.dunning import DunningCase
from billcore.domain.event import StateChange
from billcore.domain.invoice import Renewal
from tests.builders import START, day, invoice, line, receivable, site, subscription


def sub(state="active", **changes):
    return subscription(state, **changes)


def case(**changes):
    given = {"id": "dun_1", "customer_id": "cus_1", "currency": "USD", "opened_at": START, "next_step_at": day("01-02")}
    return DunningCase(**(given | changes))


def states(affair):
    return [one.state for one in affair.on_invoice()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("active", "past_due"),
        ("trialing", "past_due"),
        ("soft_failure", "past_due"),
        ("past_due", "past_due"),
        ("unpaid", "unpaid"),
        ("on_hold", "on_hold"),
        ("canceled", "canceled"),
    ],
)
def test_a_failure_takes_what_runs_past_due_and_leaves_the_rest(before, after) -> None:
    affair = receivable(None, sub(before))
    affair.fail(START, "collection", None)
    assert states(affair) == [after]
    assert len(affair.writes.new(StateChange)) == (before != after)
    overdue = before != "canceled"  # What a canceled one owes is not dunned.
    assert (affair.invoice.overdue, affair.invoice.collect_at, affair.invoice.reserved_by) == (overdue, None, None)


def test_the_first_failure_opens_the_case_at_the_attempt() -> None:
    affair = receivable(None, at=day("01-05"))
    affair.fail(day("01-03"), "collection", "pm_1")
    (made,) = affair.writes.new(DunningCase)
    assert (made.opened_at, made.next_step_at, made.refused_method_id) == (day("01-03"), day("01-04"), "pm_1")


def test_an_open_case_is_joined() -> None:
    affair = receivable(None, case=case())
    affair.fail(day("01-20"), "collection", None)
    assert affair.writes.new(DunningCase) == affair.writes.changed(DunningCase) == []


def test_the_last_retrys_failure_brings_the_final_action_at_once() -> None:
    affair = receivable(invoice(overdue=True), sub("past_due"), at=day("01-08"), case=case(step=4, next_step_at=None))
    affair.fail(day("01-08"), "dunning", None)
    (made,) = affair.writes.changed(DunningCase)
    assert made.next_step_at == day("01-08")


def test_an_attempt_by_hand_brings_no_final_action_and_no_new_case() -> None:
    affair = receivable(invoice(overdue=True), sub("past_due"), case=case(step=4, next_step_at=None))
    affair.fail(START, "retry", None)
    assert affair.writes.changed(DunningCase) == []
    affair = receivable(invoice(overdue=True), sub("unpaid"))
    affair.fail(START, "retry", None)
    assert affair.writes.new(DunningCase) == []


@pytest.mark.parametrize(
    ("purpose", "state"), [("renewal", "to be ended"), ("trial_end", "past_due"), ("start", "past_due")]
)
def test_without_dunning_a_declined_renewal_cancels(purpose, state) -> None:
    affair = receivable(invoice(purpose=purpose), of=site(dunning="none"))
    affair.fail(START, "collection", None)
    (after,) = affair.on_invoice()
    assert ("to be ended" if affair.unpaid == [after] else after.state) == state
    assert affair.invoice.overdue == (state == "past_due")
    assert affair.writes.new(DunningCase) == []


def test_a_final_invoice_is_tried_once() -> None:
    affair = receivable(invoice(purpose="final"), sub("canceled"))
    affair.fail(START, "collection", None)
    assert (affair.invoice.overdue, affair.invoice.collect_at, affair.case) == (False, None, None)


def test_remittance_is_past_due_without_a_case() -> None:
    affair = receivable(invoice(collection="remittance"), sub(collection="remittance"))
    affair.fail(START, "collection", None)
    assert (states(affair), affair.case) == (["past_due"], None)


def test_when_nothing_is_overdue_any_more_all_is_well() -> None:
    affair = receivable(
        invoice(overdue=True),
        sub("past_due"),
        sub("unpaid", id="sub_2"),
        case=case(),
        overdue={"inv_1": frozenset({"sub_1"})},
    )
    affair.paid_up()
    assert [affair._subscriptions[one].state for one in ("sub_1", "sub_2")] == ["active", "active"]
    assert (affair.case.status, affair.case.closed_by, affair.case.next_step_at) == ("closed", "paid", None)


def test_while_another_invoice_of_it_is_overdue_nothing_changes() -> None:
    on = frozenset({"sub_1"})
    affair = receivable(None, sub("past_due"), case=case(), overdue={"inv_1": on, "inv_2": on})
    affair.paid_up()
    assert (states(affair), affair.case.status, bool(affair.writes)) == (["past_due"], "open", False)


def test_what_another_subscription_owes_keeps_none_past_due_and_the_case_open() -> None:
    of_two = {"inv_1": frozenset({"sub_1"}), "inv_2": frozenset({"sub_2"})}
    affair = receivable(None, sub("past_due"), sub("past_due", id="sub_2"), case=case(), overdue=of_two)
    affair.paid_up()
    assert [affair._subscriptions[one].state for one in ("sub_1", "sub_2")] == ["active", "past_due"]
    assert affair.case.status == "open"


@pytest.mark.parametrize("before", ["active", "trialing"])
def test_soft_failure_goes_back_to_where_it_came_from(before) -> None:
    affair = receivable(None, sub("soft_failure", previous_state=before))
    affair.paid_up()
    (after,) = affair.on_invoice()
    assert (after.state, after.previous_state) == (before, None)


def test_the_doubt_about_another_invoice_stays() -> None:
    affair = receivable(None, sub(), sub("soft_failure", id="sub_2", previous_state="active"))
    affair.paid_up()
    assert affair._subscriptions["sub_2"].state == "soft_failure"


@pytest.mark.parametrize(
    ("pending", "left", "state"),
    [
        ({"sequence": 1}, False, "active"),
        ({"sequence": 0, "trial_until": day("01-15")}, False, "trialing"),
        ({"sequence": 1}, True, "past_due"),
    ],
)
def test_a_settled_draft_starts_what_waited_for_it(pending, left, state) -> None:
    waiting = sub("active", **pending, period_start=START, period_end=day("02-01"))
    draft = invoice(status="draft", purpose="signup", reserved_by="pay_1", lines=(line(),))
    affair = receivable(
        draft,
        subscription(
            "pending", **{k: getattr(waiting, k) for k in ("sequence", "trial_until", "period_start", "period_end")}
        ),
    )
    affair.begin(declined=left)
    assert (states(affair), affair.invoice.status, affair.invoice.reserved_by) == ([state], "open", None)
    assert len(affair.writes.new(Renewal)) == pending["sequence"]


def test_a_discarded_draft_fails_what_waited_for_it() -> None:
    affair = receivable(invoice(status="draft", purpose="signup"), subscription("pending"))
    affair.discard()
    assert (states(affair), affair.invoice.status, affair.invoice.discarded_at) == (
        ["failed_to_create"],
        "draft",
        START,
    )
    assert affair.invoice.number is None
