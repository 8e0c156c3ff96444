"""invoices.credit: what is given back, out of what had paid it, and where it goes (behaviour 3.5, 8.6)."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from billcore.domain.money import Money
from billcore.errors import Refused
from tests.builders import books, day, dump, refusal


def signed_up(*, price="pro-m", components=None, collection="automatic", country="US", **changed):
    """acme with one invoice of the price; seats are 5.00 each."""
    billing = books(**changed)
    billing.customers.update("acme", country=country)
    billing.subscriptions.create("s1", "acme", price, components=components, collection=collection)
    return billing


def balance(billing, customer="acme"):
    found = billing.customers.balances(customer)
    return found[0] if found else None


def notes(billing):
    return [(note.to, note.total) for note in billing.invoices.credit_notes()]


def entries(billing, note):
    """The ledger's entries of a credit note: (debit, credit, amount)."""
    with billing.database.transaction(reads=True) as tx:
        return tx.rows(
            "SELECT debit, credit, amount FROM billcore_ledger_entries WHERE credit_note_id = ? ORDER BY id", [note.id]
        )


def test_a_paid_invoice_is_credited_in_full_and_its_time_ends() -> None:
    """Nothing is left that a cancellation could give back once more."""
    billing = signed_up(components={"seats": "2"}, country="DE")
    billing.run(day("01-11"))
    made = billing.invoices.credit("acme/1", reason="not as described")
    assert [(note.to, note.total, note.number_text, note.reason) for note in made.credit_notes] == [
        ("credit", 4760, "CN-1", "not as described")
    ]
    assert [(line.kind, line.amount, line.tax) for line in made.credit_notes[0].lines] == [
        ("credit", -3000, -570),
        ("credit", -1000, -190),
    ]
    assert made.invoice.status == "paid" and made.invoice.paid == 4760
    assert balance(billing).credit == 4760
    billing.subscriptions.cancel("s1", credit="unused")
    assert notes(billing) == [("credit", 4760)]


def test_by_line_ends_the_time_of_that_line_only() -> None:
    billing = signed_up(components={"seats": "2"})
    billing.run(day("01-16T12:00"))
    billing.invoices.credit("acme/1", lines=["seats-p"])
    billing.subscriptions.cancel("s1", credit="unused")
    assert notes(billing) == [("credit", 1000), ("credit", 1500)]


@pytest.mark.parametrize("name", ["2", "seats-p", "ID"])
def test_a_line_is_named_by_place_code_or_id(name) -> None:
    billing = signed_up(components={"seats": "2"})
    line = billing.invoices.get("1").lines[1]
    made = billing.invoices.credit("1", lines=[line.id if name == "ID" else name], amount="4.00")
    assert [(one.credits_line_id, one.amount) for one in made.credit_notes[0].lines] == [(line.id, -400)]


def test_a_line_that_is_not_there_is_not_found() -> None:
    billing = signed_up()
    refused = refusal(billing.invoices.credit, "1", lines=["seats-p"])
    assert refused.code == "not_found" and "1 (pro-m)" in refused.remedy


def test_an_empty_list_of_lines_is_not_all_of_them() -> None:
    billing = signed_up()
    assert refusal(billing.invoices.credit, "1", lines=[]).code == "invalid_value"


def test_by_amount_the_period_goes_on_and_later_credits_stop_at_what_is_left() -> None:
    billing = signed_up()
    billing.invoices.credit("1", amount="20.00")
    billing.run(day("01-11T08:00"))
    billing.subscriptions.cancel("s1", credit="unused")
    assert notes(billing) == [("credit", 2000), ("credit", 1000)]
    assert refusal(billing.invoices.credit, "1", amount="0.01").code == "amount_exceeds"


def test_an_amount_has_its_tax_inside() -> None:
    """Discount and tax in proportion, rounded; the amount is the rest, so that the total is what was asked."""
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    made = billing.invoices.credit("1", amount=Money(1000, "USD"))
    (line,) = made.credit_notes[0].lines
    assert (line.amount, line.discount, line.tax, line.total) == (-933, -93, -160, -1000)
    assert billing.explain("CN-1").agrees


# -- what is due first -------------------------------------------------------------------------------------------


def test_an_unpaid_invoice_owes_less_and_nothing_is_given() -> None:
    billing = signed_up(collection="remittance")
    billing.invoices.credit("1", amount="12.00", to="refund")
    assert notes(billing) == [("invoice", 1200)]
    assert (billing.invoices.get("1").due, billing.invoices.get("1").credited) == (1800, 1200)
    assert balance(billing).credit == 0


def test_crediting_all_that_is_due_pays_it_and_ends_the_debt() -> None:
    """Subscriptions that were past due are active again, as with any other payment (5.2)."""
    billing = signed_up(collection="remittance", net_terms={"remittance": 10})
    billing.run(day("01-20"))
    assert billing.subscriptions.get("s1").state == "past_due"
    made = billing.invoices.credit("1")
    assert (made.invoice.status, made.invoice.overdue) == ("paid", False)
    assert billing.subscriptions.get("s1").state == "active"


def test_a_dunning_case_closes_when_its_last_invoice_is_credited() -> None:
    billing = signed_up()
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-02"))
    assert billing.subscriptions.get("s1").state == "past_due"
    billing.invoices.credit("acme/2")
    assert billing.subscriptions.get("s1").state == "active"
    tries = len(billing.payments.list())
    billing.run(day("02-20"))
    assert len(billing.payments.list()) == tries


def test_what_is_partly_paid_is_reduced_first_and_the_rest_given() -> None:
    billing = signed_up(collection="remittance")
    billing.invoices.record_payment("1", "10.00")
    made = billing.invoices.credit("1", amount="25.00")
    assert [(note.to, note.total) for note in made.credit_notes] == [("invoice", 2000), ("credit", 500)]
    assert made.invoice.status == "paid"


def test_a_note_to_the_invoice_never_exceeds_what_is_due() -> None:
    billing = signed_up(collection="remittance")
    billing.invoices.record_payment("1", "10.00")
    refused = refusal(billing.invoices.credit, "1", amount="20.01", to="invoice")
    assert refused.code == "amount_exceeds" and "20.00 USD" in refused.remedy
    billing.invoices.credit("1", amount="20.00", to="invoice")
    assert billing.invoices.get("1").status == "paid"


# -- each part back to its account ----------------------------------------------------------------------------------


def paid_by_everything():
    """An invoice of 30.00, settled by service credit 4, credit 5, prepayment 6 and 15 by card."""
    billing = books()
    billing.subscriptions.create("old", "acme", "pro-m", collection="remittance")
    billing.payments.record("acme", "36.00")
    billing.invoices.credit("acme/1", amount="5.00")
    billing.credits.add("acme", amount="4.00", expires_at="2026-12-31")
    assert (balance(billing).service_credit, balance(billing).credit, balance(billing).prepayment) == (400, 500, 600)
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert billing.invoices.get("acme/2").credited == 1500
    return billing


def test_a_credit_takes_what_payments_paid_first() -> None:
    billing = paid_by_everything()
    billing.invoices.credit("acme/2", amount="14.00")
    now = balance(billing)
    assert (now.credit, now.prepayment, now.service_credit) == (1400, 0, 0)


def test_each_part_goes_back_to_its_own_account() -> None:
    """The note still says to = credit (3.5); a gift keeps its end."""
    billing = paid_by_everything()
    made = billing.invoices.credit("acme/2", amount="28.00")
    (note,) = made.credit_notes
    assert (note.to, note.total) == ("credit", 2800)
    now = balance(billing)
    assert (now.credit, now.prepayment, now.service_credit) == (1500 + 500, 600, 200)
    assert {account: amount for _, account, amount in entries(billing, note)} == {
        "credits": 2000,
        "prepayments": 600,
        "service_credits": 200,
    }
    (gift,) = [one for one in billing.credits.list("acme") if one.account == "service_credits"]
    assert (gift.remaining, gift.expires_at) == (200, day("12-31"))


def test_only_what_a_card_paid_goes_back_to_it() -> None:
    billing = paid_by_everything()
    made = billing.invoices.credit("acme/2", to="refund")
    assert [(note.to, note.total) for note in made.credit_notes] == [("refund", 1500), ("credit", 1500)]
    assert [(one.amount, one.to, one.status) for one in made.refunds] == [(1500, "method", "succeeded")]
    now = balance(billing)
    assert (now.credit, now.prepayment, now.service_credit) == (500, 600, 400)
    assert billing.payments.get("acme/pay/2").status == "refunded"
    assert now.lifetime_value == 3600


def test_what_was_paid_by_hand_is_given_back_by_hand() -> None:
    billing = signed_up(collection="remittance")
    billing.invoices.record_payment("1", method="cash")
    made = billing.invoices.credit("1", amount="10.00", to="refund")
    assert [(one.to, one.status) for one in made.refunds] == [("external", "succeeded")]
    assert billing.payments.get("acme/pay/1").status == "partially_refunded"


def test_several_credits_give_back_everything_once() -> None:
    billing = paid_by_everything()
    for amount in ("0.01", "13.33", "2.00", "7.77"):
        billing.invoices.credit("acme/2", amount=amount)
    billing.invoices.credit("acme/2")
    now = balance(billing)
    assert (now.credit, now.prepayment, now.service_credit) == (2000, 600, 400)
    refused = refusal(billing.invoices.credit, "acme/2")
    assert refused.code == "amount_exceeds" and refused.remedy == "Nothing more can be given back."


def test_credit_goes_to_the_oldest_open_invoice_at_once() -> None:
    billing = signed_up()
    for name in ("s2", "s3"):
        billing.subscriptions.create(name, "acme", "pro-m", collection="remittance", net_terms=30)
    billing.invoices.credit("acme/1", amount="25.00")
    assert [billing.invoices.get(f"acme/{place}").due for place in (2, 3)] == [500, 3000]
    billing.invoices.credit("acme/1", amount="5.00")
    assert billing.invoices.get("acme/2").status == "paid"
    assert balance(billing).credit == 0


def test_credit_waits_where_the_site_applies_it_by_hand() -> None:
    billing = signed_up(apply_credits="manual")
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    billing.invoices.credit("acme/1", amount="25.00")
    assert billing.invoices.get("acme/2").due == 3000
    assert balance(billing).credit == 2500


# -- what cannot be credited ---------------------------------------------------------------------------------------


def test_what_was_written_off_is_not_credited_but_what_was_paid_is() -> None:
    billing = signed_up(collection="remittance")
    billing.invoices.record_payment("1", "10.00")
    billing.invoices.write_off("1")
    assert refusal(billing.invoices.credit, "1", amount="10.01").code == "amount_exceeds"
    assert refusal(billing.invoices.credit, "1", amount="1.00", to="invoice").code == "amount_exceeds"
    made = billing.invoices.credit("1")
    assert [(note.to, note.total) for note in made.credit_notes] == [("credit", 1000)]
    assert (made.invoice.status, made.invoice.due) == ("uncollectible", 2000)


def test_unused_time_of_an_invoice_that_was_written_off_gives_nothing_back() -> None:
    """Never give back what was not paid (3.5)."""
    billing = signed_up(collection="remittance")
    billing.invoices.record_payment("1", "3.00")
    billing.invoices.write_off("1")
    billing.subscriptions.cancel("s1", credit="unused")
    assert notes(billing) == [("credit", 300)]
    assert billing.explain("CN-1").agrees


def test_an_invoice_in_doubt_is_left_alone() -> None:
    """The refusal names the payment and when it is asked for (9.3), and changes nothing."""
    billing = signed_up()
    billing.gateway("test").script(["timeout_after_charge"], default="timeout_before")
    billing.run(day("02-01"))
    before = dump(billing)
    for call in (
        lambda: billing.invoices.credit("acme/2"),
        lambda: billing.invoices.void("acme/2"),
        lambda: billing.invoices.write_off("acme/2"),
        lambda: billing.invoices.record_payment("acme/2"),
        lambda: billing.payments.record("acme", "5.00", invoices={"acme/2": "5.00"}),
    ):
        refused = refusal(call)
        assert refused.code == "payment_in_doubt"
        assert refused.facts["payment"] == billing.payments.get("acme/pay/2").id
        assert refused.facts["next_check_at"] is not None
    assert dump(billing) == before


def test_amounts_are_in_the_invoices_currency_and_above_zero() -> None:
    billing = signed_up()
    assert refusal(billing.invoices.credit, "1", amount=Money(100, "EUR")).code == "currency_mismatch"
    for amount in ("0", "-1.00", "0.001"):
        assert refusal(billing.invoices.credit, "1", amount=amount).code == "invalid_value"
    billing.invoices.void(_open(billing))
    assert refusal(billing.invoices.credit, "acme/2").code == "transition_not_allowed"


def _open(billing):
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    return "acme/2"


def test_a_repeat_with_its_key_credits_once() -> None:
    billing = signed_up()
    first = billing.invoices.credit("1", amount="1.00", to="refund", idempotency_key="k")
    again = billing.invoices.credit("1", amount="1.00", to="refund", idempotency_key="k")
    assert again == first
    assert notes(billing) == [("refund", 100)]
    assert [one.amount for one in billing.refunds.list()] == [100]


def test_a_dry_run_shows_the_notes_and_keeps_nothing() -> None:
    billing = signed_up()
    before = dump(billing)
    preview = billing.invoices.credit("1", amount="1.00", to="refund", dry_run=True)
    assert [(note.to, note.total) for note in preview.credit_notes] == [("refund", 100)]
    assert dump(billing) == before


def test_at_once_no_more_is_given_back_than_there_is() -> None:
    """Eight at a time want 5.00 each of an invoice of 30.00: six get it."""
    billing = signed_up()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: _tried(billing), range(8)))
    assert sorted(made) == ["amount_exceeds"] * 2 + ["given"] * 6
    assert balance(billing).credit == 3000
    assert [note.number for note in billing.invoices.credit_notes()] == [1, 2, 3, 4, 5, 6]


def _tried(billing):
    try:
        billing.invoices.credit("acme/1", amount="5.00")
    except Refused as refused:
        return refused.code
    return "given"


def test_notes_are_listed_by_invoice_and_shown_by_number() -> None:
    billing = signed_up()
    billing.run(day("02-01"))
    billing.invoices.credit("acme/1", amount="1.00")
    billing.invoices.credit("acme/2", amount="2.00")
    (note,) = billing.invoices.credit_notes(invoice="acme/2")
    assert billing.invoices.credit_note("CN-2") == billing.invoices.credit_note(note.id) == note
    assert refusal(billing.invoices.credit_note, "CN-3").code == "not_found"


def test_a_credit_line_keeps_what_it_is_part_of() -> None:
    billing = signed_up(components={"seats": "2"})
    billing.invoices.credit("1", amount="10.00")
    basis = json.loads(billing.invoices.credit_note("CN-1").lines[0].basis)
    assert basis["billed"] == [3000, 0, 0]
    assert (basis["part"], basis["of"], basis["left"]) == (750, [1000, 4000], [3000, 0, 0, 0])
