"""One document for what falls due together; issued, posted, covered (behaviour 6.2, 8)."""

from decimal import Decimal

import pytest
from attrs import evolve

from billcore.domain.bill import apply_credits, issue, issue_note, make_bill, use_coupons
from billcore.domain.catalog import Coupon
from billcore.domain.credit import Credit
from billcore.domain.discount import AppliedCoupon
from billcore.domain.invoice import Coverage
from billcore.domain.ledger import Entry
from billcore.domain.periods import Period
from billcore.domain.proration import LineCredit, Portion
from billcore.domain.step import Step
from billcore.domain.writes import Writes
from tests.builders import START, credit, customer, day, draft_line, ids, invoice, line, site, subscription


def step(*lines, sub=None, **changes):
    its = sub or subscription()
    return Step(its, its, lines=lines, **changes)


def billed(*steps, of=None):
    return make_bill(steps, customer(), of or site(), START, ids())


def given_back(amount):
    return draft_line(
        -amount,
        kind="credit",
        credit=LineCredit(-amount, 0, 0, Portion(1, 2), Period(day("01-16"), day("02-01"))),
    )


def issued(its=None, credits=(), terms=0, *, collects=True, of=None):
    writes = Writes()
    made = issue(its or drafted(), credits, terms, START, collects, of or site(), writes, ids())
    return made, writes


def drafted(*lines):
    its = lines or (line(),)
    total = sum(one.total for one in its)
    included = sum(one.tax_included for one in its)
    return invoice(total, "draft", lines=its, tax=sum(one.tax for one in its), tax_included=included)


def posted(writes):
    return [(entry.debit, entry.credit, entry.amount) for entry in writes.new(Entry)]


def test_without_lines_there_is_no_document() -> None:
    assert (billed(step()).invoice, billed(step()).note) == (None, None)


def test_steps_that_fall_due_together_share_one_invoice() -> None:
    other = subscription(id="sub_2")
    bill = billed(step(draft_line(3000)), step(draft_line(500, subscription_id="sub_2"), sub=other))
    assert (bill.invoice.total, bill.invoice.subscription_id, len(bill.invoice.lines)) == (3500, None, 2)
    assert billed(step(draft_line(3000))).invoice.subscription_id == "sub_1"


@pytest.mark.parametrize(
    ("charged", "back", "invoice_total", "note_total"),
    [(3000, 1000, 2000, None), (1000, 3000, None, 2000), (1000, 1000, 0, None)],
)
def test_the_sign_of_the_net_decides_what_document_it_is(charged, back, invoice_total, note_total) -> None:
    bill = billed(step(draft_line(charged), given_back(back)))
    assert (bill.invoice and bill.invoice.total) == invoice_total
    assert (bill.note and bill.note.total) == note_total
    document = bill.invoice or bill.note
    assert sorted(one.amount for one in document.lines) == [-back, charged]


def test_lines_of_nothing_need_the_setting() -> None:
    assert billed(step(draft_line(0))).invoice is None
    assert billed(step(draft_line(0)), of=site(issue_zero_invoices=True)).invoice.total == 0


def test_an_issued_invoice_is_due_after_its_terms_and_collected_then() -> None:
    made, _ = issued(terms=10)
    assert (made.status, made.issued_at, made.due_at, made.collect_at) == ("open", START, day("01-11"), day("01-11"))
    assert issued(collects=False)[0].collect_at is None


def test_an_invoice_of_nothing_is_paid() -> None:
    made, writes = issued(drafted(line(0)))
    assert (made.status, made.collect_at, posted(writes)) == ("paid", None, [])


def test_revenue_and_tax_are_posted_and_balance_the_total() -> None:
    _, writes = issued(drafted(line(10000, discount=1000, tax=1710)))
    assert posted(writes) == [("receivable", "revenue", 9000), ("receivable", "tax_payable", 1710)]


def test_inclusive_tax_is_taken_out_of_revenue() -> None:
    _, writes = issued(drafted(line(11900, tax=1900, tax_included=1900)))
    assert posted(writes) == [("receivable", "revenue", 10000), ("receivable", "tax_payable", 1900)]


def test_products_and_components_cover_their_time_and_nothing_else_does() -> None:
    lines = (
        line(),
        line(500, id="lin_2", kind="usage", item_id="itm_1"),
        line(500, id="lin_3", kind="setup_fee", item_id=None, start=None, end=None),
        line(500, id="lin_4", kind="component", item_id="itm_2"),
    )
    _, writes = issued(drafted(*lines))
    assert [(row.item_id, row.line_id) for row in writes.new(Coverage)] == [("sub_1", "lin_1"), ("itm_2", "lin_4")]


def test_credits_pay_before_anybody_is_charged() -> None:
    made, writes = issued(credits=[credit(1000), credit(5000, "prepayments", id="crd_2")])
    assert (made.status, made.credited, made.due, made.collect_at) == ("paid", 3000, 0, None)
    assert posted(writes)[1:] == [("credits", "receivable", 1000), ("prepayments", "receivable", 2000)]
    assert [one.remaining for one in writes.changed(Credit)] == [0, 3000]


def test_credits_wait_where_they_are_applied_by_hand() -> None:
    made, _ = issued(credits=[credit(1000)], of=site(apply_credits="manual"))
    assert (made.credited, made.due) == (0, 3000)


def test_credit_in_another_currency_is_not_touched() -> None:
    its = apply_credits(invoice(), [credit(1000, currency="EUR")], START, Writes(), ids())
    assert its.credited == 0


@pytest.mark.parametrize(("to", "account"), [("credit", "credits"), ("invoice", "receivable")])
def test_a_credit_note_takes_revenue_and_tax_back(to, account) -> None:
    its = billed(step(given_back(1000))).note
    note = evolve(its, to=to, tax=-190, total=1190)
    writes = Writes()
    issue_note(note, START, writes, ids())
    assert posted(writes) == [("revenue", account, 1000), ("tax_payable", account, 190)]
    assert [one.remaining for one in writes.new(Credit)] == ([1190] if to == "credit" else [])


def test_a_coupon_is_counted_down_where_it_was_used() -> None:
    coupon = AppliedCoupon("cpn_1", Coupon("TWO", percent_off=Decimal(50)), 1, 2)
    its = step(sub=subscription(coupons=(coupon,)))
    assert use_coupons(its, frozenset(["cpn_1"])).subscription.coupons[0].remaining == 1
    assert use_coupons(its, frozenset()) is its
