"""Giving money back at the terminal: what is said before, after, and of what is still owed (behaviour 9.6)."""

from billcore.billing import Billing
from billcore.cli.output.refunds import refund_line
from tests.builders import refund


def test_a_refund_is_confirmed_and_shown_with_its_payment(shell):
    shell.with_subscription()
    said = shell.ok("payments", "refund", "acme/pay/1", "--amount", "9.00", "--reason", "late")
    assert said.out == "Refund of 9.00 USD to the payment method: succeeded.\n"
    said = shell.ok("payments", "refund", "acme/pay/1", "--amount", "1.00", "--external", "--no-credit")
    assert said.out == "Refund of 1.00 USD outside: succeeded.\n"
    page = shell.ok("payments", "get", "acme/pay/1").out
    for part in ("partially_refunded", "10.00 USD", "method", "external"):
        assert part in page
    page = shell.ok("refunds", "get", "acme/refund/1").out
    for part in ("credit note   CN-1", "asked for: late", "to the payment method", "sent 1 time"):
        assert part in page
    assert [row.split()[2] for row in shell.ok("refunds", "list").out.splitlines()[2:4]] == ["method", "external"]
    assert shell.ok("verify").out.startswith("verify: ok")


def test_a_dry_run_shows_the_credit_note_and_keeps_nothing(shell):
    shell.with_subscription()
    said = shell.ok("payments", "refund", "acme/pay/1", "--dry-run").out
    assert "Refund of 49.00 USD to the payment method: succeeded." in said
    assert "given as     refund" in said and "Payment of" not in said
    assert shell.json("refunds", "list") == []


def test_an_amount_over_several_payments(shell):
    shell.with_subscription()
    shell.ok("subscriptions", "create", "--reference", "s2", "--customer", "acme", "--price", "pro-monthly")
    said = shell.ok("refunds", "create", "--customer", "acme", "--amount", "60.00").out
    assert said.splitlines() == [
        "Refund of 49.00 USD to the payment method: succeeded.",
        "Refund of 11.00 USD to the payment method: succeeded.",
    ]


def test_what_cannot_be_given_back_is_refused_with_what_is_left(shell):
    shell.with_subscription()
    said = shell("payments", "refund", "acme/pay/1", "--amount", "49.01")
    assert "[amount_exceeds]" in said.err and "Give back at most 49.00 USD." in said.err
    said = shell("payments", "refund", "acme/pay/1", "--to", "credit", "--no-credit")
    assert said.code == 1 and "[invalid_value]" in said.err


def test_a_line_says_how_a_refund_stands() -> None:
    owed = refund(1000, "failed", id="ref_1", parked_reason="too old; 10.00 USD are owed to the customer")
    assert refund_line(owed) == (
        "Refund of 10.00 USD to the payment method: failed. too old; 10.00 USD are owed to the customer; "
        "make it good: billcore refunds retry ref_1"
    )
    back = refund(1000, "failed", message="too old")
    assert refund_line(back).endswith("failed (too old); its invoice is paid by it again.")
    assert refund_line(refund(1000)).endswith("pending; its gateway is asked again.")


def test_what_is_owed_is_listed_and_made_good(shell):
    shell.with_subscription()
    with Billing(f"sqlite:///{shell.environment['BILLCORE_DATABASE']}") as billing:
        billing.gateway("test").script(["decline:generic_decline"], default="approve")
        billing.payments.refund("acme/pay/1", amount="5.00")
    assert "failed (owed)" in shell.ok("refunds", "list").out
    said = shell("doctor").out
    assert "owed refund" in said and "billcore refunds retry ref_" in said
    assert shell.ok("refunds", "retry", "acme/refund/1").out.endswith("succeeded.\n")
    assert shell.ok("doctor").out == "Nothing is stuck.\n"


def test_of_a_credit_it_is_said_to_which_account_it_went_back(shell):
    """What gifts and prepayments had paid is theirs again; only the rest is credit (behaviour 3.5)."""
    shell.with_customer()
    shell.ok("credits", "add", "--customer", "acme", "--amount", "4.00")
    shell.ok("prepayments", "add", "--customer", "acme", "--amount", "6.00")
    shell.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly")
    said = " ".join(shell.ok("invoices", "credit", "acme/1", "--amount", "40.00").out.split())
    assert said.startswith("Credit note CN-1: 1.00 USD is his prepayment again, 39.00 USD is the customer's credit.")
    said = " ".join(shell.ok("invoices", "credit", "acme/1").out.split())
    assert "Credit note CN-2: 5.00 USD is his prepayment again, 4.00 USD is his service credit again." in said
