"""Giving money back: what a promise and its outcome make of payment, invoice and books (behaviour 9.6)."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billcore.domain.credit import Allocation, Credit
from billcore.domain.ledger import Entry
from billcore.domain.payment import OUTCOME_KINDS, Outcome
from billcore.domain.refund import OPEN, REFUND_STATUSES, TABLE, left_of
from billcore.domain.refunding import Till
from billcore.domain.writes import Writes
from tests.builders import day, ids, invoice, payment, receivable, refund

AT = day("01-05")
NOTE = {"note_id": "crn_1"}


def paid(amount=3000, **changes):
    given = {"status": "succeeded", "captured": amount, "applied": amount}
    return payment(**(given | {"gateway_id": "ch_1", "idempotency_key": "site:inv_1:1"} | changes))


def till(its=None, *refunds, bill=None):
    """A till over a payment of an invoice that it has paid."""
    affair = receivable(bill or invoice(status="paid", paid=3000), at=AT)
    return Till(its or paid(), refunds, affair, AT, affair.writes, affair.new_id)


def posted(its):
    return [(one.debit, one.credit, one.amount) for one in its.writes.new(Entry)]


def now(its, made):
    """The refund as it stands in the till by now."""
    return next(one for one in its.refunds if one.id == made.id)


def test_a_refund_to_the_method_is_written_down_exactly_before_it_is_sent() -> None:
    its = till()
    made = its.promise(1000, "method", reason="too late", **NOTE)
    assert (made.status, made.sends, made.next_check_at, made.gateway) == ("pending", 0, AT, "test")
    assert made.idempotency_key == "site:pay_1:r1"
    assert json.loads(made.request) == {
        "attempt_id": made.id,
        "idempotency_key": "site:pay_1:r1",
        "amount": 1000,
        "currency": "USD",
        "gateway_id": "ch_1",
        "reason": "too late",
    }
    assert (its.payment.refunded, its.payment.status) == (0, "succeeded")
    assert its.promise(500, "method", **NOTE).idempotency_key == "site:pay_1:r2"


def test_without_a_credit_note_the_invoice_is_open_again_and_not_collected_by_itself() -> None:
    its = till()
    its.promise(1000, "method")
    bill = its.receivable.invoice
    assert (bill.status, bill.due, bill.paid, bill.collect_at, bill.overdue) == ("open", 1000, 2000, None, False)
    assert its.payment.applied == 2000
    assert posted(its) == [("receivable", "refunds", 1000)]


def test_a_credit_note_has_posted_what_it_owes_and_the_invoice_stays_paid() -> None:
    its = till()
    its.promise(1000, "method", **NOTE)
    assert (its.receivable.invoice.status, its.payment.applied, posted(its)) == ("paid", 3000, [])


def test_outside_the_gateway_it_is_booked_at_once() -> None:
    its = till()
    made = its.promise(3000, "external", **NOTE)
    assert (made.status, made.request, made.gateway, made.next_check_at) == ("succeeded", "{}", "external", None)
    assert (its.payment.refunded, its.payment.status) == (3000, "refunded")
    assert posted(its) == [("refunds", "cash:external", 3000)]


def test_given_as_credit_by_a_note_no_money_leaves() -> None:
    """The note itself makes the credit, and the payment keeps its money: the credit may be paid out of it (10).

    That its invoice is given back less is said by what the payment still pays of it.
    """
    its = till()
    made = its.promise(1000, "credit", **NOTE)
    assert (made.status, its.payment.refunded, its.payment.status) == ("succeeded", 0, "succeeded")
    assert posted(its) == [] and its.writes.new(Credit) == []
    assert left_of(its.payment, its.refunds) == 3000


def test_more_than_is_left_is_never_promised() -> None:
    its = till()
    its.promise(2500, "method", **NOTE)
    with pytest.raises(AssertionError):
        its.promise(501, "method", **NOTE)


def test_what_succeeds_has_left_the_gateway() -> None:
    its = till()
    made = its.promise(1000, "method", **NOTE)
    after = its.settle(made, Outcome("approved", 1000, "re_1"))
    assert (after.status, after.gateway_id, after.settled_at, after.next_check_at) == ("succeeded", "re_1", AT, None)
    assert (its.payment.refunded, its.payment.status) == (1000, "partially_refunded")
    assert posted(its) == [("refunds", "cash:test", 1000)]


def test_the_last_part_makes_it_refunded() -> None:
    its = till(paid(refunded=2000, status="partially_refunded"), refund(2000, "succeeded"))
    made = its.promise(1000, "method", **NOTE)
    its.settle(made, Outcome("approved", 1000))
    assert (its.payment.refunded, its.payment.status) == (3000, "refunded")


def test_what_fails_with_a_note_is_owed_and_waits_for_a_person() -> None:
    its = till()
    made = its.promise(1000, "method", **NOTE)
    after = its.settle(made, Outcome("declined", decline_code="generic_decline", message="too old"))
    assert (after.status, after.is_owed) == ("failed", True)
    assert after.parked_reason == "too old; 10.00 USD are owed to the customer"
    assert (its.payment.refunded, posted(its)) == (0, [])
    assert left_of(its.payment, its.refunds) == 2000


def test_what_fails_without_a_note_pays_its_invoice_again() -> None:
    its = till()
    made = its.promise(1000, "method")
    after = its.settle(made, Outcome("declined"))
    bill = its.receivable.invoice
    assert (after.is_owed, bill.status, bill.due, its.payment.applied) == (False, "paid", 0, 3000)
    assert posted(its) == [("receivable", "refunds", 1000), ("refunds", "receivable", 1000)]
    assert left_of(its.payment, its.refunds) == 3000


@pytest.mark.parametrize(
    "changed",
    [{"status": "paid", "paid": 3000}, {"status": "void"}, {"reserved_by": "pay_2"}, {"credited": 800}],
)
def test_an_invoice_that_was_settled_meanwhile_does_not_take_it(changed) -> None:
    bill = invoice(**({"status": "open", "paid": 2000} | changed))
    its = till(paid(applied=2000), bill=bill)
    its.refunds = (refund(1000, "pending", invoice_id="inv_1"),)
    assert its.settle(its.refunds[0], Outcome("declined")).is_owed
    assert its.receivable.invoice == bill


def test_it_may_fail_after_it_had_succeeded() -> None:
    """The bank sends it back days later: the payment has it again, and the customer is owed it."""
    its = till()
    made = its.settle(its.promise(1000, "method", **NOTE), Outcome("approved", 1000))
    after = its.settle(made, Outcome("declined", decline_code="account_closed"))
    assert after.is_owed and "account_closed" in after.parked_reason
    assert (its.payment.refunded, its.payment.status) == (0, "succeeded")
    assert posted(its) == [("refunds", "cash:test", 1000), ("cash:test", "refunds", 1000)]


@pytest.mark.parametrize(
    ("to", "entries", "refunded"),
    [
        ("method", [], 0),
        ("external", [("refunds", "cash:external", 1000)], 1000),
        ("credit", [("refunds", "credits", 1000)], 0),
    ],
)
def test_what_is_owed_is_made_good_in_any_way(to, entries, refunded) -> None:
    failed = refund(1000, "failed", credit_note_id="crn_1", parked_reason="declined")
    its = till(paid(), failed)
    made = its.again(failed, to)
    assert (made.replaces, made.amount, made.credit_note_id, made.attempt) == (failed.id, 1000, "crn_1", 2)
    assert (posted(its), its.payment.refunded) == (entries, refunded)
    assert not now(its, failed).is_owed
    assert [one.remaining for one in its.writes.new(Credit)] == ([1000] if to == "credit" else [])


def test_money_that_paid_nothing_becomes_a_prepayment() -> None:
    failed = refund(1000, "failed", cause="late_success", parked_reason="declined")
    its = Till(paid(applied=0), (failed,), None, AT, Writes(), ids())
    its.again(failed, "credit")
    assert posted(its) == [("refunds", "prepayments", 1000)]


def test_only_a_part_leaves_the_rest_owed() -> None:
    its = till()
    after = its.settle(its.promise(1000, "method", **NOTE), Outcome("approved", 400))
    rest = its.refunds[-1]
    assert (after.amount, after.status, rest.amount, rest.is_owed) == (400, "succeeded", 600, True)
    assert (its.payment.refunded, posted(its)) == (400, [("refunds", "cash:test", 400)])


def test_what_was_given_up_and_arrives_is_no_longer_owed() -> None:
    failed = refund(1000, "failed", credit_note_id="crn_1", parked_reason="not found")
    its = till(paid(), failed)
    after = its.settle(failed, Outcome("approved", 1000))
    assert (after.status, after.parked_reason, its.payment.refunded) == ("succeeded", None, 1000)


def test_what_was_made_good_otherwise_and_arrives_is_told() -> None:
    """The customer has it twice: the books say so, and a person has to see to it."""
    failed = refund(1000, "failed", credit_note_id="crn_1", parked_reason="not found")
    its = till(paid(), failed)
    its.again(failed, "external")
    after = its.settle(now(its, failed), Outcome("approved", 1000))
    assert "10.00 USD were given back twice" in after.parked_reason
    assert posted(its)[-1] == ("unapplied", "cash:test", 1000)
    assert its.payment.refunded == 2000


def test_a_loss_that_is_accepted_is_written_off_and_told_no_more() -> None:
    twice = refund(1000, "succeeded", credit_note_id="crn_1", parked_reason="given back twice")
    its = till(paid(refunded=2000, status="partially_refunded"), twice, refund(1000, "succeeded", attempt=2))
    after = its.accept(twice)
    assert (after.cause, after.parked_reason, after.holds) == ("lost", None, False)
    assert posted(its) == [("write_offs", "unapplied", 1000)]


def test_what_arrived_twice_and_comes_back_is_even_again() -> None:
    twice = refund(1000, "succeeded", credit_note_id="crn_1", parked_reason="given back twice")
    its = till(paid(refunded=2000, status="partially_refunded"), twice, refund(1000, "succeeded", attempt=2))
    after = its.settle(twice, Outcome("declined"))
    assert (after.is_owed, its.payment.refunded) == (False, 1000)
    assert posted(its) == [("cash:test", "unapplied", 1000)]


def test_of_a_payment_recorded_by_hand_the_allocation_says_what_it_pays() -> None:
    its = till(paid(invoice_id=None, gateway="external"))
    its.promise(1000, "external")
    (taken,) = its.writes.new(Allocation)
    assert (taken.account, taken.source_id, taken.invoice_id, taken.amount) == ("payments", "pay_1", "inv_1", -1000)
    assert posted(its) == [("receivable", "refunds", 1000), ("refunds", "cash:external", 1000)]


def test_surely_not_sent_waits_and_is_sent_again_as_it_is() -> None:
    its = till()
    sent = refund(1000, "pending", sends=1)
    its.refunds = (sent,)
    after = its.settle(sent, Outcome("not_sent", message="refused"))
    assert (after.status, after.sends, after.next_check_at) == ("pending", 0, day("01-05T01:00"))
    assert after.request == sent.request


def test_an_unreachable_gateway_says_nothing_of_what_may_be_out() -> None:
    for known in (refund(1000, "unknown", sends=1), refund(1000, "pending", sends=1, gateway_id="re_1")):
        after = till(paid(), known).settle(known, Outcome("not_sent"))
        assert (after.status, after.sends) == (known.status, 1)


CELLS = [(status, kind) for status in REFUND_STATUSES for kind in OUTCOME_KINDS]


@pytest.mark.parametrize(("status", "kind"), CELLS)
def test_the_refund_goes_where_the_table_says(status, kind) -> None:
    its = till(paid(), refund(1000, status, credit_note_id="crn_1"))
    after = its.settle(its.refunds[0], Outcome(kind, 1000 if kind == "approved" else 0))
    assert after.status == TABLE[status][kind]
    news_lost = kind in ("unknown", "not_sent")
    assert (after.next_check_at is not None) == (after.status in OPEN or news_lost)
    assert its.payment.refunded == (1000 if after.status == "succeeded" else 0) or status == "succeeded" == after.status


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("promise"), st.integers(1, 3000), st.sampled_from(["method", "external", "credit"])),
            st.tuples(st.just("again"), st.integers(0, 5), st.sampled_from(["method", "external", "credit"])),
            st.tuples(st.just("settle"), st.integers(0, 5), st.sampled_from(OUTCOME_KINDS)),
        ),
        max_size=12,
    )
)
def test_whatever_happens_the_books_agree(steps) -> None:
    """Accounts equal the rows after any outcomes in any order, and what may be given back never goes below nothing."""
    its = till()
    promised = 0
    for step, value, how in steps:
        if step == "promise":
            if value <= left_of(its.payment, its.refunds):
                its.promise(value, how, **NOTE)
                promised += value if how != "credit" else 0
        elif step == "again":
            owed = [one for one in its.refunds if one.is_owed]
            if owed:
                its.again(owed[value % len(owed)], how)
        elif its.refunds:
            one = its.refunds[value % len(its.refunds)]
            if one.to == "method":
                its.settle(one, Outcome(how, one.amount if how == "approved" else 0))
        books = Counter()
        for debit, credit, amount in posted(its):
            books[debit] += amount
            books[credit] -= amount
        out = Counter()
        for one in its.refunds:
            out[one.gateway] += one.amount if one.status == "succeeded" and one.to != "credit" else 0
        waiting = sum(one.amount for one in its.refunds if one.status in OPEN or one.is_owed)
        twice = sum(one.amount for one in its.refunds if one.status == "succeeded" and one.parked_reason)
        assert -books["cash:test"] == out["test"]
        assert -books["cash:external"] == out["external"]
        assert promised - books["refunds"] == waiting
        assert books["unapplied"] == twice
        assert its.payment.refunded == min(3000, out.total())
        assert left_of(its.payment, its.refunds) >= 0 or twice
