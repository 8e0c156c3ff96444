"""Service credits, prepayments and what a customer's money comes to (behaviour 8, 10)."""

import pytest

from billcore.domain.money import Money
from tests.builders import books, day, dump, refusal


def balance(billing):
    return billing.customers.balances("acme")[0]


def test_a_gift_pays_invoices_before_anything_else() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    billing.credits.add("acme", amount="25.00")
    billing.subscriptions.create("s1", "acme", "pro-m")
    now = balance(billing)
    assert (now.service_credit, now.prepayment) == (0, 500)
    assert billing.invoices.get("1").credited == 3000


def test_what_expires_soonest_is_used_first_and_nothing_after_it_has() -> None:
    billing = books()
    billing.credits.add("acme", amount="5.00")
    billing.credits.add("acme", amount="6.00", expires_at="2026-03-01")
    billing.credits.add("acme", amount="7.00", expires_at="2026-01-20")
    billing.run(day("01-20"))
    assert balance(billing).service_credit == 1100
    billing.subscriptions.create("s1", "acme", "solo-m")
    assert [(one.amount, one.remaining) for one in billing.credits.list("acme")] == [(500, 200), (700, 700)]
    assert balance(billing).service_credit == 200


def test_a_gift_is_taken_back_as_far_as_it_was_not_used() -> None:
    billing = books()
    billing.credits.add("acme", amount="33.00")
    billing.credits.deduct("acme", amount="22.00")
    assert balance(billing).service_credit == 1100
    refused = refusal(billing.credits.deduct, "acme", amount="11.01")
    assert refused.code == "insufficient_credit" and "11.00 USD" in refused.remedy
    (left,) = billing.credits.deduct("acme", amount="11.00")
    assert left.remaining == 0
    assert refusal(billing.credits.deduct, "acme", amount="0.01").remedy == "There is none to take back."


def test_only_gifts_are_taken_back() -> None:
    """Credit notes and prepayments are the customer's own (10)."""
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    assert refusal(billing.credits.deduct, "acme", amount="1.00").code == "insufficient_credit"


def test_a_subscription_names_its_customer_and_its_currency() -> None:
    billing = books()
    billing.subscriptions.create("e1", "acme", "pro-eur", collection="remittance")
    billing.credits.add(subscription="e1", amount="3.00")
    assert billing.invoices.get("1").due == 2500
    billing.prepayments.add(subscription="e1", amount=Money(500, "EUR"))
    assert billing.invoices.get("1").due == 2000
    assert refusal(billing.credits.add, subscription="e1", amount=Money(1, "USD")).code == "currency_mismatch"


@pytest.mark.parametrize("noun", ["credits", "prepayments"])
def test_a_customer_or_a_subscription_is_named(noun) -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    before = dump(billing)
    add = getattr(billing, noun).add
    assert refusal(add, amount="1.00").code == "invalid_parameter"
    assert refusal(add, "acme", subscription="s1", amount="1.00").code == "invalid_parameter"
    assert refusal(add, "nobody", amount="1.00").code == "not_found"
    assert refusal(add, "acme").code == "invalid_parameter"
    for amount in ("0", "-5.00", "1.001", "9" * 15):
        assert refusal(add, "acme", amount=amount).code == "invalid_value"
    assert dump(billing) == before


def test_a_gift_that_is_over_before_it_begins_is_refused() -> None:
    assert refusal(books().credits.add, "acme", amount="1.00", expires_at="2026-01-01").code == "invalid_value"


def test_a_gift_pays_open_invoices_at_once() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    given = billing.credits.add("acme", amount="12.00", reason="an outage")
    assert (given.amount, given.remaining) == (1200, 0)
    assert billing.invoices.get("1").due == 1800


def test_a_repeat_with_its_key_gives_once() -> None:
    billing = books()
    for _ in range(2):
        billing.credits.add("acme", amount="10.00", idempotency_key="k")
    assert refusal(billing.credits.add, "acme", amount="11.00", idempotency_key="k").code == "idempotency_conflict"
    assert balance(billing).service_credit == 1000


def test_balances_are_told_by_currency() -> None:
    billing = books()
    assert billing.customers.balances("acme") == []
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance", net_terms=3)
    billing.run(day("01-06"))
    billing.credits.add("acme", amount=Money(700, "EUR"))
    euros, dollars = billing.customers.balances("acme")
    assert (euros.currency, euros.service_credit, euros.lifetime_value) == ("EUR", 700, 0)
    assert (dollars.due, dollars.overdue, dollars.lifetime_value) == (3000, 3000, 3000)
    billing.payments.refund("acme/pay/1", amount="10.00")
    assert billing.customers.balances("acme")[1].lifetime_value == 2000


def test_a_customer_with_money_stays() -> None:
    billing = books(customers=("acme", "bolt"))
    billing.credits.add("acme", amount="1.00")
    assert refusal(billing.customers.delete, "acme").code == "not_deletable"
