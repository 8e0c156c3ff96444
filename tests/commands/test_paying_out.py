"""Prepayments and what credit notes owe are paid out, gifts never (behaviour 10, 9.6)."""

import pytest

from billcore.plugins.gateway import Capability
from tests.builders import books, day, dump, refusal

NO = "decline:insufficient_funds"


def balance(billing):
    return billing.customers.balances("acme")[0]


def proved(billing):
    proof = billing.verify()
    assert proof.ok, [str(finding) for finding in proof.findings]


def cash(billing):
    """What the ledger holds in each cash account."""
    with billing.database.transaction(reads=True) as tx:
        rows = tx.rows("SELECT debit, credit, amount FROM billcore_ledger_entries")
    held = {}
    for debit, credit, amount in rows:
        held[debit] = held.get(debit, 0) + amount
        held[credit] = held.get(credit, 0) - amount
    return {name: amount for name, amount in held.items() if name.startswith("cash:") and amount}


def topped_up():
    """A customer whose prepayment came by a gateway."""
    billing = books()
    billing.prepayments.add("acme", amount="31.00")
    options = {"top_up_below": "5.00", "top_up_amount": "40.00"}
    billing.subscriptions.create("s1", "acme", "pro-m", collection="prepaid", **options)
    billing.run(day("01-02"))
    return billing


def void_prepayment():
    """A customer whose prepayment is what a gateway's payment had paid of an invoice that is void."""
    billing = books()
    billing.gateway("test").script(["approve:12.00"], default=NO)
    billing.subscriptions.create("s1", "acme", "pro-m", collection="automatic", net_terms=3)
    billing.run(day("01-05"))
    billing.gateway("test").script([], default="approve")
    billing.invoices.void("1")
    return billing


def test_money_that_came_by_hand_goes_back_outside_the_oldest_first() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    billing.prepayments.add("acme", amount="7.00")
    made = billing.prepayments.refund("acme", amount="12.00", reason="he moves")
    assert [(one.to, one.cause, one.amount, one.status) for one in made] == [
        ("external", "payout", 1000, "succeeded"),
        ("external", "payout", 200, "succeeded"),
    ]
    assert (balance(billing).prepayment, balance(billing).lifetime_value) == (500, 500)
    assert [one.status for one in billing.payments.list()] == ["refunded", "partially_refunded"]
    assert cash(billing) == {"cash:external": 500}
    proved(billing)


@pytest.mark.parametrize("paid", [topped_up, void_prepayment], ids=["topped up", "of a void invoice"])
def test_what_a_gateway_took_goes_back_to_the_method(paid) -> None:
    billing = paid()
    there = balance(billing).prepayment
    through_gateway = cash(billing)["cash:test"]
    made = billing.prepayments.refund("acme", amount="12.00")
    sent = [one for one in made if one.to == "method"]
    assert sum(one.amount for one in made) == 1200 and all(one.status == "succeeded" for one in made)
    moved = {one.attempt_id: one.amount.minor for one in billing.gateway("test").book()}
    assert sent and [moved[one.id] for one in sent] == [one.amount for one in sent]
    assert balance(billing).prepayment == there - 1200
    assert cash(billing).get("cash:test", 0) == through_gateway - sum(one.amount for one in sent)
    proved(billing)


def test_at_most_what_there_is_is_paid_out() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    before = dump(billing)
    refused = refusal(billing.prepayments.refund, "acme", amount="10.01")
    assert (refused.code, refused.facts["most"]) == ("insufficient_credit", 1000)
    assert refusal(billing.credits.refund, "acme", amount="0.01").remedy == "There is nothing to pay out."
    assert dump(billing) == before


def test_a_gift_is_never_paid_out() -> None:
    billing = books()
    billing.credits.add("acme", amount="50.00")
    for verb in (billing.credits.refund, billing.prepayments.refund):
        refused = refusal(verb, "acme", amount="1.00")
        assert refused.code == "insufficient_credit" and "gift" in str(refused)


def test_what_usage_has_used_up_is_not_paid_out() -> None:
    """It is the merchant's already, though not billed yet."""
    billing = books()
    billing.prepayments.add("acme", amount="100.00")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"}, collection="prepaid")
    billing.usage.record("s1", "calls", "100")
    there = balance(billing).prepayment
    refused = refusal(billing.prepayments.refund, "acme", amount=f"{there / 100:.2f}")
    assert refused.code == "insufficient_credit" and "not billed yet" in str(refused)
    most = refused.facts["most"]
    assert 0 < most < there
    billing.prepayments.refund("acme", amount=f"{most / 100:.2f}")
    proved(billing)


def test_what_a_credit_note_owes_goes_back_to_the_payment_it_gave_back_of() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    (made,) = billing.credits.refund("acme", amount="4.00")
    assert (made.to, made.status, made.payment_id) == ("method", "succeeded", billing.payments.get("acme/pay/1").id)
    assert (balance(billing).credit, balance(billing).lifetime_value) == (600, 2600)
    assert billing.payments.get("acme/pay/1").refunded == 400
    (made,) = billing.credits.refund("acme", amount="6.00", to="external")
    assert made.to == "external"
    assert cash(billing) == {"cash:test": 2600, "cash:external": -600}
    proved(billing)


def test_the_invoice_of_a_paid_out_credit_gives_back_what_is_left_of_it_and_no_more() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.payments.refund("acme/pay/1", amount="10.00", to="credit")
    billing.credits.refund("acme", amount="10.00")
    assert refusal(billing.payments.refund, "acme/pay/1", amount="20.01").code == "amount_exceeds"
    billing.payments.refund("acme/pay/1", amount="20.00")
    assert balance(billing).lifetime_value == 0
    proved(billing)


def test_a_credit_that_no_payment_is_behind_is_paid_outside() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.adjust_balance("s1", amount="-8.00", reason="agreed")
    (made,) = billing.credits.refund("acme", amount="5.00")
    assert (made.to, made.payment_id, made.status) == ("external", None, "succeeded")
    assert (balance(billing).credit, balance(billing).lifetime_value) == (300, 2500)
    assert cash(billing) == {"cash:test": 3000, "cash:external": -500}
    assert billing.refunds.get(made.id) == made
    proved(billing)


def test_where_the_gateway_gives_nothing_back_it_is_paid_outside(monkeypatch) -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    gateway = billing.gateway("test")
    monkeypatch.setattr(gateway, "capabilities", gateway.capabilities - {Capability.REFUND})
    (made,) = billing.credits.refund("acme", amount="10.00")
    assert made.to == "external"
    proved(billing)


@pytest.mark.parametrize("to", ["external", "credit", "method"])
def test_a_payout_that_fails_is_owed_until_it_is_made_good(to) -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    billing.gateway("test").script([NO], default="approve")
    (made,) = billing.credits.refund("acme", amount="10.00")
    assert made.is_owed and balance(billing).credit == 0
    proved(billing)
    billing.refunds.retry(made.id, to=to)
    assert balance(billing).credit == (1000 if to == "credit" else 0)
    assert balance(billing).lifetime_value == (3000 if to == "credit" else 2000)
    proved(billing)
    if to == "credit":
        (again,) = billing.credits.refund("acme", amount="10.00")
        assert again.status == "succeeded" and balance(billing).lifetime_value == 2000
        proved(billing)


def test_a_payout_whose_answer_is_lost_is_asked_for() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    (made,) = billing.credits.refund("acme", amount="10.00")
    assert made.status == "unknown"
    proved(billing)
    billing.run(day("01-02"))
    assert billing.refunds.get(made.id).status == "succeeded"
    assert balance(billing).lifetime_value == 2000
    proved(billing)


def test_a_repeat_with_its_key_pays_out_once() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    first = billing.prepayments.refund("acme", amount="4.00", idempotency_key="k")
    assert billing.prepayments.refund("acme", amount="4.00", idempotency_key="k") == first
    assert balance(billing).prepayment == 600


def test_a_dry_run_pays_nothing_out() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="10.00")
    before = dump(billing)
    preview = billing.prepayments.refund("acme", amount="4.00", dry_run=True)
    assert [one.amount for one in preview.value] == [400]
    assert dump(billing) == before
