"""What one command makes of a base and its add-ons stands on one document (behaviour 6.2, 6.6)."""

import pytest

from tests.builders import books, day, documents, refusal


def with_addon(at, **changed):
    """pro-m for 30.00 and its add-on support-m for 5.00, from January on the first."""
    billing = books(**changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1")
    billing.run(day(at))
    return billing


def notes(billing):
    return [(one.to, one.total, [line.amount for line in one.lines]) for one in billing.invoices.credit_notes()]


def charges(billing):
    return [one.amount for one in billing.payments.list()]


def since(billing, before):
    return [(one.total, [line.amount for line in one.lines]) for one in billing.invoices.list(limit=100)[before:]]


def test_a_cancellation_gives_back_both_on_one_note() -> None:
    billing = with_addon("02-15")
    billing.subscriptions.cancel("s1", credit="unused")
    assert notes(billing) == [("credit", 1750, [-1500, -250])]


def test_a_refunded_cancellation_is_one_note_and_one_refund() -> None:
    billing = with_addon("02-15")
    billing.subscriptions.cancel("s1", refund="unused")
    assert notes(billing) == [("refund", 1750, [-1500, -250])]
    assert [one.amount for one in billing.refunds.list()] == [1750]


def test_a_planned_one_is_the_same() -> None:
    billing = with_addon("02-10")
    billing.subscriptions.cancel("s1", "2026-02-15", refund="unused")
    billing.run(day("02-16"))
    assert notes(billing) == [("refund", 1750, [-1500, -250])]
    assert [one.amount for one in billing.refunds.list()] == [1750]


def test_what_no_payment_had_paid_is_a_second_note_for_both() -> None:
    billing = with_addon("01-15")
    billing.credits.add("acme", "30.00")
    billing.run(day("02-15"))
    billing.subscriptions.cancel("s1", refund="unused")
    assert [(to, total) for to, total, _ in notes(billing)] == [("refund", 500), ("credit", 1250)]
    assert [one.amount for one in billing.refunds.list()] == [500]


@pytest.mark.parametrize("planned", [False, True])
def test_two_that_give_back_of_one_invoice_give_back_no_more_than_was_paid(planned) -> None:
    """5.00 of it came from the bank, 30.00 were the merchant's gift: half a month of both gives 5.00 and 12.50."""
    billing = with_addon("01-15")
    billing.credits.add("acme", "30.00")
    billing.run(day("02-10" if planned else "02-15"))
    billing.subscriptions.cancel("s1", "2026-02-15" if planned else "now", credit="unused")
    billing.run(day("02-16"))
    assert notes(billing) == [("credit", 1750, [-1500, -250])]
    assert [(one.account, one.remaining) for one in billing.credits.list("acme")] == [
        ("service_credits", 1250),
        ("credits", 500),
    ]


def test_a_hold_credits_both_on_one_note_and_its_end_charges_both_once() -> None:
    billing = with_addon("02-15")
    billing.subscriptions.hold("s1", unused="credit")
    assert notes(billing) == [("credit", 1750, [-1500, -250])]
    billing.run(day("03-10"))
    before = len(billing.invoices.list(limit=100))
    billing.subscriptions.resume("s1")
    assert since(billing, before) == [(3500, [3000, 500])]
    assert charges(billing)[-1] == 1750


def test_what_both_need_is_asked_of_who_pays_in_advance() -> None:
    """The base alone would be covered; nothing begins."""
    billing = books(customers=("acme",))
    billing.prepayments.add("acme", amount="70.00")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="prepaid")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1", collection="prepaid")
    billing.subscriptions.hold("s1")
    billing.run(day("02-10"))
    billing.prepayments.refund("acme", "3.00")
    assert refusal(billing.subscriptions.resume, "s1").code == "insufficient_credit"
    assert [one.state for one in billing.subscriptions.list()] == ["on_hold", "on_hold"]


def test_a_new_period_is_one_invoice_and_one_charge() -> None:
    """Half of January is left of both, and both begin anew."""
    billing = with_addon("01-16T12:00", change_decline="keep")
    before = len(billing.invoices.list(limit=100))
    billing.subscriptions.change("s1", quantity=2, period="reset")
    [(total, amounts)] = since(billing, before)
    assert (total, sorted(amounts)) == (6000 + 500 - 1500 - 250, [-1500, -250, 500, 6000])
    assert charges(billing)[-1] == total


def test_a_moved_date_bills_both_on_one_invoice() -> None:
    billing = with_addon("01-20")
    before = len(billing.invoices.list(limit=100))
    billing.subscriptions.change_billing_date("s1", next_billing_at="2026-02-15", proration="prorated")
    assert since(billing, before) == [(1750, [1500, 250])]


def test_what_a_note_charged_is_no_payment_to_give_back() -> None:
    """The yearly price was paid by card; the note of the change paid the monthly one out of what it gave back."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-y")
    billing.subscriptions.change("s1", "pro-m", proration="prorated")
    billing.subscriptions.cancel("s1", refund="unused")
    assert notes(billing) == [("credit", 33000, [-36000, 3000]), ("credit", 3000, [-3000])]
    assert billing.refunds.list() == []


@pytest.mark.parametrize("planned", [False, True])
def test_last_charges_of_a_refunded_cancellation_take_the_gift_first(planned) -> None:
    """10.00 each came by card, in advance and as a gift: 5.00 of usage leave the customer's own money whole."""
    billing = books(apply_prepayments="at_issue")
    billing.prepayments.add("acme", amount="10.00")
    billing.credits.add("acme", amount="10.00")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.usage.record("s1", "calls", "50")
    billing.subscriptions.cancel("s1", "2026-01-01T00:00:01" if planned else "now", refund="unused")
    billing.run(day("01-02"))
    assert [(to, total) for to, total, _ in notes(billing)] == [("refund", 1000), ("credit", 1500)]
    assert [one.amount for one in billing.refunds.list()] == [1000]
    left = [(one.account, one.remaining) for one in billing.credits.list("acme")]
    assert left == [("prepayments", 1000), ("service_credits", 500)]


def test_all_of_a_trial_is_its_amount_and_the_setup_fee() -> None:
    trial = {"code": "t-m", "amount": "30.00", "every": "1 month", "trial": "14 days", "trial_amount": "5.00"}
    billing = books(catalog={"products": [{"code": "t", "prices": [trial | {"setup_fee": "10.00"}]}]})
    billing.subscriptions.create("s1", "acme", "t-m")
    billing.run(day("01-05"))
    billing.invoices.create("acme", lines=[{"description": "else", "amount": "7.00"}])
    billing.subscriptions.cancel("s1", refund="all")
    note = billing.invoices.credit_notes()[0]
    assert (note.to, [line.amount for line in note.lines]) == ("refund", [-500, -1000])


def test_all_of_a_period_is_not_the_minimum_of_the_one_before() -> None:
    price = {"code": "p-m", "amount": "30.00", "every": "1 month", "minimum": "100.00"}
    billing = books(catalog={"products": [{"code": "p", "prices": [price]}]})
    billing.subscriptions.create("s1", "acme", "p-m")
    billing.run(day("02-10"))
    assert [amount for _, amount in documents(billing)[1][3]] == [7000, 3000]
    billing.subscriptions.cancel("s1", refund="all")
    credits = [line.amount for note in billing.invoices.credit_notes() for line in note.lines if line.kind == "credit"]
    assert credits == [-3000]
