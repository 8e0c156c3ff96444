"""What each outcome makes of payment, invoice, subscription and books (behaviour 5.1, 9)."""

import pytest

from billcore.domain.dunning import DunningCase
from billcore.domain.ledger import Entry
from billcore.domain.payment import IN_DOUBT, OUTCOME_KINDS, PAYMENT_STATUSES, TABLE, Outcome
from billcore.domain.refund import Refund
from billcore.domain.settlement import settle
from tests.builders import START, credit, day, invoice, line, payment, receivable, site, subscription

AT = day("01-05")


def settled(kind, affair, amount=3000, its=None, **facts):
    return settle(its or payment(), Outcome(kind, amount if kind == "approved" else 0, **facts), affair)


def open_affair(state="active", **changes):
    return receivable(invoice(reserved_by="pay_1"), subscription(state, **changes), at=AT)


def draft_affair(purpose="signup", *, credits=(), **changed):
    draft = invoice(status="draft", purpose=purpose, reserved_by="pay_1", lines=(line(),))
    return receivable(
        draft,
        subscription("pending", sequence=1, period_start=START, period_end=day("02-01")),
        at=AT,
        of=site(**changed),
        credits=credits,
    )


def posted(affair):
    return [(entry.debit, entry.credit, entry.amount) for entry in affair.writes.new(Entry)]


def state(affair):
    return affair.on_invoice()[0].state


CELLS = [(status, kind) for status in PAYMENT_STATUSES for kind in OUTCOME_KINDS]


@pytest.mark.parametrize(("status", "kind"), CELLS)
def test_the_payment_goes_where_the_table_says(status, kind) -> None:
    """One transition for every way an answer comes: call, resolver, webhook (9.3)."""
    its = payment(status=status, captured=3000 if status == "succeeded" else 0)
    after = settled(kind, open_affair(), its=its)
    assert after.status == TABLE[status][kind]
    assert (after.next_check_at is not None) == (after.status in IN_DOUBT and status in IN_DOUBT)


@pytest.mark.parametrize(("status", "kind"), [cell for cell in CELLS if cell[0] not in IN_DOUBT])
def test_what_has_ended_moves_no_money_twice(status, kind) -> None:
    affair = open_affair()
    settled(kind, affair, its=payment(status=status))
    late = kind == "approved" and status in ("failed", "canceled")
    assert posted(affair) == ([("cash:test", "receivable", 3000)] if late else [])
    assert affair.invoice.paid == (3000 if late else 0)


def test_approved_pays_the_invoice() -> None:
    affair = open_affair()
    its = settled("approved", affair, gateway_id="g1")
    assert (its.captured, its.settled_at, its.gateway_id) == (3000, AT, "g1")
    assert (affair.invoice.status, affair.invoice.paid, affair.invoice.reserved_by) == ("paid", 3000, None)
    assert posted(affair) == [("cash:test", "receivable", 3000)]


def test_a_part_that_was_approved_counts_and_the_rest_is_past_due() -> None:
    affair = open_affair()
    settled("approved", affair, 1000)
    assert (affair.invoice.status, affair.invoice.due, state(affair)) == ("open", 2000, "past_due")
    assert posted(affair) == [("cash:test", "receivable", 1000)]


@pytest.mark.parametrize(
    "its",
    [
        invoice(status="void"),
        invoice(status="paid", paid=3000),
        invoice(status="draft", discarded_at=START),
        invoice(reserved_by="pay_2"),
    ],
)
@pytest.mark.parametrize("before", ["unknown", "failed", "canceled"])
def test_money_for_what_no_longer_wants_it_is_given_back_by_itself(its, before) -> None:
    """Kept apart until it is on its way: the customer is owed it from then on (5.1)."""
    affair = receivable(its, at=AT)
    after = settled("approved", affair, its=payment(status=before))
    (back,) = affair.writes.new(Refund)
    assert (after.status, after.captured, after.applied, after.parked_reason) == ("succeeded", 3000, 0, None)
    assert (back.cause, back.to, back.amount, back.status, back.next_check_at) == (
        "late_success",
        "method",
        3000,
        "pending",
        AT,
    )
    assert posted(affair) == [("cash:test", "unapplied", 3000), ("unapplied", "refunds", 3000)]
    assert affair.invoice == its


def test_a_draft_whose_subscription_went_another_way_goes_with_its_money() -> None:
    draft = invoice(status="draft", purpose="activation", reserved_by="pay_1", lines=(line(),))
    affair = receivable(draft, subscription("canceled"), at=AT)
    settled("approved", affair)
    assert (affair.invoice.discarded_at, affair.invoice.reserved_by) == (AT, None)
    assert [one.amount for one in affair.writes.new(Refund)] == [3000]


@pytest.mark.parametrize(("amount", "status"), [(3000, "paid"), (1000, "uncollectible")])
def test_late_money_pays_what_was_written_off(amount, status) -> None:
    """Like money that is recorded by hand; a part of it begins no dunning (5.1, 8.5)."""
    affair = receivable(invoice(status="uncollectible"), at=AT)
    after = settled("approved", affair, amount, its=payment(status="failed"))
    assert (after.applied, affair.invoice.status, affair.invoice.paid) == (amount, status, amount)
    assert posted(affair) == [("receivable", "write_offs", amount), ("cash:test", "receivable", amount)]
    assert (affair.writes.new(Refund), affair.writes.new(DunningCase), state(affair)) == ([], [], "active")


def test_of_more_than_is_due_only_the_rest_is_given_back() -> None:
    affair = receivable(invoice(credited=2000, reserved_by="pay_1"), at=AT)
    after = settled("approved", affair, 3000)
    (back,) = affair.writes.new(Refund)
    assert (after.captured, after.applied, affair.invoice.status, back.amount) == (3000, 1000, "paid", 2000)
    assert affair.invoice.paid == 1000


def test_a_decline_opens_dunning_at_the_instant_of_its_attempt() -> None:
    affair = open_affair()
    its = settled("declined", affair, decline_kind="soft", decline_code="insufficient_funds")
    (case,) = affair.writes.new(DunningCase)
    assert (its.status, case.opened_at, case.refused_method_id, state(affair)) == ("failed", START, None, "past_due")


@pytest.mark.parametrize(
    ("before", "opened"),
    [
        ({"status": "pending"}, START),  # Its answer was lost: it failed when it was made.
        ({"status": "unknown", "gateway_id": "g1"}, START),
        ({"status": "requires_action", "gateway_id": "g1"}, START),
        ({"status": "pending", "gateway_id": "g1"}, AT),  # It was on its way until now.
    ],
)
def test_a_debit_that_was_on_its_way_fails_when_its_bank_says_so(before, opened) -> None:
    affair = open_affair()
    settled("declined", affair, its=payment(**before))
    (case,) = affair.writes.new(DunningCase)
    assert case.opened_at == opened


def test_a_hard_decline_names_the_method_that_is_not_tried_again() -> None:
    affair = open_affair()
    settled("declined", affair, decline_kind="hard")
    (case,) = affair.writes.new(DunningCase)
    assert case.refused_method_id == "pm_1"


def test_an_unknown_outcome_never_opens_a_case() -> None:
    affair = open_affair()
    its = settled("unknown", affair)
    assert (its.status, state(affair), affair.on_invoice()[0].previous_state) == ("unknown", "soft_failure", "active")
    assert affair.writes.new(DunningCase) == []
    assert affair.invoice.reserved_by == "pay_1"
    assert its.next_check_at == day("01-05T00:01")


def test_checks_come_less_and_less_often() -> None:
    waits = [settled("unknown", open_affair(), its=payment(checks=n)).next_check_at - AT for n in range(6)]
    assert [wait.seconds // 60 for wait in waits] == [1, 5, 15, 60, 60, 60]


def test_surely_not_sent_is_tried_again_after_an_hour() -> None:
    affair = open_affair()
    its = settled("not_sent", affair)
    assert (its.status, affair.invoice.collect_at, state(affair)) == ("failed", day("01-05T01:00"), "soft_failure")
    assert (affair.invoice.reserved_by, affair.writes.new(DunningCase)) == (None, [])


def test_what_turns_out_not_to_have_been_sent_is_due_again_and_the_state_as_before() -> None:
    affair = open_affair("soft_failure", previous_state="active")
    settled("not_sent", affair, its=payment(status="unknown"))
    assert (affair.invoice.collect_at, state(affair)) == (AT, "active")


@pytest.mark.parametrize("kind", ["pending", "action_required"])
def test_waiting_changes_no_state_and_keeps_the_invoice_reserved(kind) -> None:
    affair = open_affair()
    its = settled(kind, affair, action_url="https://bank.example/3ds")
    assert (state(affair), affair.invoice.reserved_by, its.action_url) == (
        "active",
        "pay_1",
        "https://bank.example/3ds",
    )


@pytest.mark.parametrize(
    ("kind", "setting", "after", "status"),
    [
        ("approved", {}, "active", "paid"),
        ("declined", {}, "failed_to_create", "draft"),
        ("canceled", {}, "failed_to_create", "draft"),
        ("not_sent", {}, "failed_to_create", "draft"),
        ("declined", {"signup_decline": "past_due"}, "past_due", "open"),
        ("pending", {}, "active", "open"),
        ("pending", {"async_signup": "wait"}, "pending", "draft"),
        ("action_required", {}, "pending", "draft"),
        ("unknown", {}, "pending", "draft"),
        ("not_found", {}, "pending", "draft"),
    ],
)
def test_a_signups_first_payment(kind, setting, after, status) -> None:
    affair = draft_affair(**setting)
    settled(kind, affair)
    assert (state(affair), affair.invoice.status) == (after, status)
    assert (affair.invoice.discarded_at is not None) == (after == "failed_to_create")


@pytest.mark.parametrize(("held", "after", "overdue"), [(3000, "active", False), (1000, "past_due", True)])
def test_credit_that_came_while_a_signup_was_open_pays_what_was_declined(held, after, overdue) -> None:
    affair = draft_affair(credits=(credit(held),), signup_decline="past_due")
    settled("declined", affair)
    assert (state(affair), affair.invoice.credited, affair.invoice.overdue) == (after, held, overdue)
    assert (affair.invoice.status, len(affair.writes.new(DunningCase))) == ("open" if overdue else "paid", overdue)


def test_a_declined_start_may_fail_it() -> None:
    affair = draft_affair("start", start_decline="failed_to_create")
    settled("declined", affair)
    assert state(affair) == "failed_to_create"
