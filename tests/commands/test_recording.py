"""Payments that came in otherwise: one invoice, several, too little, too much (behaviour 9.8)."""

import pytest

from billcore.domain.money import Money
from tests.builders import books, day, dump, refusal


def owing(count=1, **changed):
    """acme with `count` open invoices of 30.00, each due a day after the one before."""
    billing = books(**changed)
    for place in range(count):
        billing.run(day(f"01-0{place + 1}"))
        billing.subscriptions.create(f"s{place + 1}", "acme", "pro-m", collection="remittance")
    return billing


def dues(billing):
    return [one.due for one in billing.invoices.list(customer="acme")]


def balance(billing):
    return billing.customers.balances("acme")[0]


def allocated(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT account, amount FROM billcore_allocations ORDER BY id")


def test_a_part_payment_leaves_the_rest_due() -> None:
    billing = owing()
    paid = billing.invoices.record_payment("acme/1", "10.00", method="cash")
    assert (paid.status, paid.amount, paid.applied, paid.method) == ("succeeded", 1000, 1000, "cash")
    assert (paid.gateway, paid.invoice_id, paid.cause) == ("external", None, "recorded")
    assert (billing.invoices.get("1").status, dues(billing)) == ("open", [2000])


def test_without_an_amount_all_that_is_due_is_paid() -> None:
    billing = owing()
    billing.invoices.record_payment("1", "0.01")
    billing.invoices.record_payment("1")
    assert billing.invoices.get("1").status == "paid"
    assert refusal(billing.invoices.record_payment, "1").code == "transition_not_allowed"


def test_what_is_more_than_due_is_paid_in_advance() -> None:
    billing = owing()
    paid = billing.invoices.record_payment("1", "42.00")
    assert (paid.captured, paid.applied) == (4200, 3000)
    assert (balance(billing).prepayment, balance(billing).lifetime_value) == (1200, 4200)
    billing.run(day("02-01"))
    assert billing.invoices.get("2").due == 1800


def test_one_payment_pays_several_invoices_oldest_first() -> None:
    billing = owing(3)
    paid = billing.payments.record("acme", "70.00", method="transfer")
    assert dues(billing) == [0, 0, 2000]
    assert allocated(billing) == [("payments", 3000), ("payments", 3000), ("payments", 1000)]
    assert [one.id for one in billing.payments.list(invoice="acme/3")] == [paid.id]
    assert len(billing.payments.list()) == 1


def test_a_payment_says_what_it_pays() -> None:
    billing = owing(3)
    billing.payments.record("acme", Money(3000, "USD"), invoices={"acme/3": "25.00", "acme/1": "5.00"})
    assert dues(billing) == [2500, 3000, 500]
    assert (balance(billing).prepayment, balance(billing).due) == (0, 6000)


def test_what_is_left_of_it_pays_the_oldest_after_all() -> None:
    """The rest is prepayment, and prepayment pays open invoices at once (8.7)."""
    billing = owing(2)
    billing.payments.record("acme", "50.00", invoices={"acme/2": "30.00"})
    assert dues(billing) == [1000, 0]
    assert billing.invoices.get("acme/1").credited == 2000


def test_money_for_nothing_is_paid_in_advance() -> None:
    billing = books()
    billing.payments.record("acme", "50.00")
    assert balance(billing).prepayment == 5000


@pytest.mark.parametrize(
    ("invoices", "code"),
    [
        ({"acme/1": "30.01"}, "amount_exceeds"),
        ({"acme/1": "30.00", "acme/2": "20.00"}, "amount_exceeds"),
        ({"acme/9": "1.00"}, "not_found"),
        ({"acme/1": "0"}, "invalid_value"),
        ({"bolt/1": "1.00"}, "invalid_value"),
        ({"acme/1": Money(100, "EUR")}, "currency_mismatch"),
    ],
)
def test_shares_that_do_not_fit_are_refused(invoices, code) -> None:
    billing = owing(2, customers=("acme", "bolt"))
    billing.subscriptions.create("b1", "bolt", "pro-m", collection="remittance")
    before = dump(billing)
    assert refusal(billing.payments.record, "acme", "40.00", invoices=invoices).code == code
    assert dump(billing) == before


def test_money_pays_invoices_of_its_own_currency() -> None:
    billing = owing()
    billing.subscriptions.create("e1", "acme", "pro-eur", collection="remittance")
    billing.payments.record("acme", Money(1000, "EUR"))
    billing.payments.record("acme", "5.00", currency="EUR")
    assert dues(billing) == [3000, 1300]
    refused = refusal(billing.payments.record, "acme", Money(1000, "EUR"), invoices={"acme/1": "1.00"})
    assert refused.code == "currency_mismatch"
    assert {one.currency: one.due for one in billing.customers.balances("acme")} == {"USD": 3000, "EUR": 1300}


def test_a_payment_has_the_date_on_which_it_came() -> None:
    billing = owing()
    billing.run(day("01-20"))
    paid = billing.invoices.record_payment("1", date="2026-01-15")
    assert (paid.created_at, paid.settled_at) == (day("01-15"), day("01-20"))
    assert refusal(billing.payments.record, "acme", "1.00", date="2026-01-21").code == "invalid_value"


# -- who has paid is active again -----------------------------------------------------------------------------------


def test_remittance_is_active_again_when_everything_of_it_is_paid() -> None:
    """Overdue means past due, without dunning (9.8); what another subscription owes is none of its business (5.2)."""
    billing = owing(2, net_terms={"remittance": 7})
    billing.run(day("01-20"))
    assert [billing.subscriptions.get(name).state for name in ("s1", "s2")] == ["past_due", "past_due"]
    billing.invoices.record_payment("acme/1")
    assert [billing.subscriptions.get(name).state for name in ("s1", "s2")] == ["active", "past_due"]
    billing.payments.record("acme", "30.00")
    assert [billing.subscriptions.get(name).state for name in ("s1", "s2")] == ["active", "active"]


def test_a_debt_in_dunning_may_be_paid_by_hand() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-02"))
    tries = len(billing.payments.list())
    billing.invoices.record_payment("acme/2", "10.00")
    assert billing.subscriptions.get("s1").state == "past_due"
    billing.invoices.record_payment("acme/2")
    assert billing.subscriptions.get("s1").state == "active"
    billing.run(day("02-25"))
    assert len(billing.payments.list()) == tries + 2


def test_a_part_paid_by_hand_is_not_charged() -> None:
    billing = books(net_terms={"automatic": 5})
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.record_payment("1", "12.00")
    billing.run(day("01-06"))
    assert [one.amount for one in billing.payments.list()] == [1200, 1800]
    assert billing.invoices.get("1").status == "paid"


def test_an_invoice_in_doubt_is_passed_over() -> None:
    """Nobody knows whether it is paid; what comes by hand pays the next, or is kept (9.3)."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    billing.gateway("test").script(["timeout_after_charge"], default="timeout_before")
    billing.run(day("02-01"))
    reserved = next(one for one in billing.invoices.list() if one.reserved_by)
    billing.payments.record("acme", "100.00")
    assert billing.invoices.get(reserved.id).due == 3000
    assert balance(billing).prepayment == 4000


# -- in advance -----------------------------------------------------------------------------------------------------


def test_a_prepayment_pays_what_is_open_and_then_what_comes() -> None:
    billing = owing()
    paid = billing.prepayments.add("acme", amount="50.00", method="transfer")
    assert (paid.amount, paid.applied) == (5000, 0)
    assert (dues(billing), balance(billing).prepayment) == ([0], 2000)
    billing.run(day("02-01"))
    assert (billing.invoices.get("2").due, balance(billing).prepayment) == (1000, 0)


def test_a_prepayment_may_wait_for_the_due_date() -> None:
    billing = books(apply_prepayments="at_due", net_terms={"automatic": 5})
    billing.prepayments.add("acme", amount="12.00")
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert (billing.invoices.get("1").due, balance(billing).prepayment) == (3000, 1200)
    billing.run(day("01-06"))
    assert [one.amount for one in billing.payments.list()] == [1200, 1800]
    assert (billing.invoices.get("1").status, balance(billing).prepayment) == ("paid", 0)


def test_a_prepayment_that_covers_it_all_needs_no_attempt() -> None:
    billing = books(apply_prepayments="at_due", net_terms={"automatic": 5})
    billing.prepayments.add("acme", amount="80.00")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-06"))
    assert billing.invoices.get("1").status == "paid"
    assert len(billing.payments.list()) == 1


def test_a_prepayment_may_be_left_alone() -> None:
    billing = owing(apply_prepayments="manual")
    billing.prepayments.add("acme", amount="80.00")
    billing.run(day("02-01"))
    assert (dues(billing), balance(billing).prepayment) == ([3000, 3000], 8000)


def test_credit_that_came_during_an_attempt_is_used_before_the_next() -> None:
    """While it was under way nobody knew whether the invoice was paid."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["pending"], default="approve")
    billing.run(day("02-01"))
    billing.credits.add("acme", amount="20.00")
    assert billing.invoices.get("2").due == 3000
    billing.gateway("test").settle(billing.payments.get("acme/pay/2").id, "decline:insufficient_funds")
    billing.run(day("02-03"))
    assert (billing.invoices.get("2").status, billing.invoices.get("2").credited) == ("paid", 2000)
    assert [(one.status, one.amount) for one in billing.payments.list()[1:]] == [("failed", 3000), ("succeeded", 1000)]
