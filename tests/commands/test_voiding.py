"""invoices.void and write_off: taken back and given up, in the books too (behaviour 8.5)."""

import json

import pytest

from tests.builders import books, day, dump, refusal


def owing(*, price="pro-m", country="US", **changed):
    """acme with an open invoice of the price, to be paid by transfer within 30 days."""
    billing = books(**changed)
    billing.customers.update("acme", country=country)
    billing.subscriptions.create("s1", "acme", price, collection="remittance")
    return billing


def balance(billing):
    found = billing.customers.balances("acme")
    return found[0] if found else None


def ledger(billing):
    """What each account holds, credits positive."""
    with billing.database.transaction(reads=True) as tx:
        rows = tx.rows("SELECT debit, credit, amount FROM billcore_ledger_entries")
    held = {}
    for debit, credit, amount in rows:
        held[debit] = held.get(debit, 0) - amount
        held[credit] = held.get(credit, 0) + amount
    return {account: amount for account, amount in held.items() if amount}


def test_a_void_invoice_keeps_its_number_and_leaves_the_books() -> None:
    billing = owing(country="DE")
    made = billing.invoices.void("1", reason="sent to the wrong company")
    assert (made.status, made.number, made.due) == ("void", 1, 0)
    assert ledger(billing) == {}
    assert billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    assert billing.invoices.get("acme/2").number == 2


def test_the_time_of_a_void_invoice_is_not_billed_again_by_itself() -> None:
    billing = owing()
    billing.invoices.void("1")
    billing.run(day("02-01"))
    assert [(one.status, one.lines[0].start) for one in billing.invoices.list()] == [
        ("void", day("01-01")),
        ("open", day("02-01")),
    ]
    billing.subscriptions.cancel("s1", credit="unused")
    assert [note.to for note in billing.invoices.credit_notes()] == ["invoice"]


@pytest.mark.parametrize("status", ["paid", "void", "uncollectible"])
def test_only_open_invoices_are_made_void(status) -> None:
    billing = owing()
    {
        "paid": billing.invoices.record_payment,
        "void": billing.invoices.void,
        "uncollectible": billing.invoices.write_off,
    }[status]("1")
    before = dump(billing)
    for verb in (billing.invoices.void, billing.invoices.write_off):
        refused = refusal(verb, "1")
        assert refused.code == "transition_not_allowed" and refused.facts["state"] == status
    assert dump(billing) == before


def test_what_had_paid_a_part_of_it_is_there_again() -> None:
    """Credits where they were, with their end; payments as prepayment: the customer's own money."""
    billing = books()
    billing.credits.add("acme", amount="4.00", expires_at="2026-12-31")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    billing.invoices.record_payment("1", "6.00", method="cash")
    assert billing.invoices.get("1").due == 2000
    billing.invoices.void("1")
    now = balance(billing)
    assert (now.service_credit, now.prepayment, now.due, now.lifetime_value) == (400, 600, 0, 600)
    assert {one.account: one.expires_at for one in billing.credits.list("acme")} == {
        "service_credits": day("12-31"),
        "prepayments": None,
    }
    assert billing.payments.get("acme/pay/1").applied == 0


def test_what_a_card_paid_of_it_becomes_prepayment() -> None:
    billing = books(method="approve")
    billing.gateway("test").script(["approve", "approve:10.00"], default="decline:insufficient_funds")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-01"))
    assert billing.invoices.get("acme/2").due == 2000
    billing.invoices.void("acme/2")
    assert balance(billing).prepayment == 1000
    assert billing.subscriptions.get("s1").state == "active"


def test_what_comes_back_goes_to_the_next_open_invoice() -> None:
    billing = owing()
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    billing.invoices.record_payment("acme/1", "10.00")
    billing.invoices.void("acme/1")
    assert billing.invoices.get("acme/2").due == 2000


def test_a_void_invoice_is_no_debt_any_more() -> None:
    billing = owing(net_terms={"remittance": 5})
    billing.run(day("01-10"))
    assert billing.subscriptions.get("s1").state == "past_due"
    billing.invoices.void("1")
    assert billing.subscriptions.get("s1").state == "active"


def test_notes_to_it_stay_and_only_the_rest_is_taken_back() -> None:
    billing = owing(country="DE")
    billing.invoices.credit("1", amount="10.00")
    void = billing.invoices.void("1")
    assert (void.status, void.credited) == ("void", 1000)
    assert ledger(billing) == {}


def test_what_was_given_back_of_it_cannot_be_undone() -> None:
    """A refund without a credit note opens it again; what a note gave before stands in its way."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    billing.payments.refund("acme/pay/1", amount="20.00", credit=False)
    refused = refusal(billing.invoices.void, "1")
    assert refused.code == "transition_not_allowed" and "given back" in refused.message


def test_credit_lines_of_a_void_invoice_are_a_note_of_their_own() -> None:
    """Usage and unused time stood on one invoice; the time was paid, so its credit is owed all the same."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.run(day("01-16T12:00"))
    billing.usage.record("s1", "calls", "400")
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.subscriptions.cancel("s1", credit="unused")
    assert [(line.kind, line.amount) for line in billing.invoices.get("acme/2").lines] == [
        ("usage", 4000),
        ("credit", -1500),
    ]
    billing.invoices.void("acme/2")
    (note,) = billing.invoices.credit_notes()
    assert (note.to, note.total, note.lines[0].amount) == ("credit", 1500, -1500)
    assert balance(billing).credit == 1500
    assert all(billing.explain(name).agrees for name in ("acme/1", "acme/2", "CN-1"))


# -- billed again --------------------------------------------------------------------------------------------------


def test_with_rebill_the_same_is_billed_again_at_once() -> None:
    billing = owing(price="pro-fee")
    billing.credits.add("acme", amount="4.00")
    billing.run(day("01-05"))
    billing.invoices.void("1", rebill=True)
    again = billing.invoices.get("acme/2")
    old = billing.invoices.get("acme/1")
    assert (old.status, again.status, again.total, again.due) == ("void", "open", 4000, 3600)
    assert [(line.kind, line.start, line.end) for line in again.lines] == [
        (line.kind, line.start, line.end) for line in old.lines
    ]
    assert again.due_at == day("02-04")
    assert billing.explain("acme/2").agrees


def test_billed_again_is_taxed_as_of_now() -> None:
    """The usual reason: the address or exemption was wrong."""
    billing = owing(country="DE")
    assert billing.invoices.get("1").tax == 570
    billing.customers.update("acme", tax_exempt=True)
    billing.invoices.void("1", rebill=True)
    again = billing.invoices.get("2")
    assert (again.tax, again.total) == (0, 3000)
    assert json.loads(again.lines[0].basis)["untaxed"] == "exempt"
    billing.customers.update("acme", tax_exempt=False)
    billing.invoices.void("2", rebill=True)
    assert billing.invoices.get("3").tax == 570
    assert billing.explain("3").agrees


def test_billed_again_it_is_collected_like_before() -> None:
    billing = books(net_terms={"automatic": 5})
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.void("1", rebill=True)
    billing.run(day("01-06"))
    assert billing.invoices.get("2").status == "paid"
    assert len(billing.payments.list()) == 1


def test_usage_that_is_billed_again_belongs_to_the_new_line() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"}, collection="remittance")
    billing.usage.record("s1", "calls", "70")
    billing.run(day("02-01"))
    assert billing.invoices.get("acme/2").total == 3700
    billing.invoices.void("acme/2", rebill=True)
    billing.run(day("03-01"))
    assert [one.total for one in billing.invoices.list()] == [3000, 3700, 3700, 3000]


def test_what_notes_reduced_is_not_billed_again() -> None:
    billing = owing()
    billing.invoices.credit("1", amount="10.00")
    refused = refusal(billing.invoices.void, "1", rebill=True)
    assert refused.code == "transition_not_allowed" and "without rebill" in refused.remedy
    assert billing.invoices.void("1").status == "void"


def test_a_discount_is_billed_again_as_it_was() -> None:
    """A coupon that was used up is not asked again."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["ONCE"], collection="remittance")
    billing.invoices.void("1", rebill=True)
    assert (billing.invoices.get("2").discount, billing.invoices.get("2").total) == (500, 2500)
    assert billing.explain("2").agrees
    billing.run(day("02-01"))
    assert billing.invoices.get("3").total == 3000


# -- written off ---------------------------------------------------------------------------------------------------


def test_what_is_written_off_is_not_owed_and_not_collected() -> None:
    billing = books(dunning={"retry_after": ["1 day"], "final": "leave"})
    billing.gateway("test").script(["approve"], default="decline:insufficient_funds")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-01"))
    made = billing.invoices.write_off("acme/2", reason="bankrupt")
    assert (made.status, made.due, made.overdue) == ("uncollectible", 3000, False)
    assert balance(billing).due == 0
    assert ledger(billing)["write_offs"] == -3000
    assert billing.subscriptions.get("s1").state == "active"
    billing.run(day("02-20"))
    assert len(billing.payments.list()) == 2


def test_what_was_written_off_may_still_be_paid() -> None:
    billing = owing()
    billing.invoices.write_off("1")
    billing.invoices.record_payment("1", "10.00")
    assert (billing.invoices.get("1").status, billing.invoices.get("1").due) == ("uncollectible", 2000)
    assert ledger(billing)["write_offs"] == -2000
    billing.invoices.record_payment("1", "25.00")
    assert billing.invoices.get("1").status == "paid"
    assert balance(billing).prepayment == 500
    assert "write_offs" not in ledger(billing)
    assert billing.explain("1").agrees
