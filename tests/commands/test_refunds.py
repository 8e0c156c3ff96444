"""Giving money back: how much, of what, where to, and what is refused (behaviour 9.6)."""

import re

import pytest

from billcore import Money, sqlite_engine
from billcore.plugins.gateway import Capability
from billcore.store import payment as payments
from tests.builders import books, day, dump, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

GROWN = ("billcore_audit_log", "billcore_idempotency")


def paid(**changed):
    """Books with a payment of 30.00 of acme's first invoice."""
    billing = books(**changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    return billing


def notes(billing):
    return [(note.to, note.total) for note in billing.invoices.credit_notes()]


def credit(billing, account="credits"):
    """What acme has in an account."""
    owner = billing.customers.get("acme").id
    with billing.database.transaction(reads=True) as tx:
        held = payments.open_credits(tx, [owner])
    return sum(one.remaining for mine in held.values() for one in mine if one.account == account)


def test_all_that_is_left_is_given_back_with_a_credit_note() -> None:
    billing = paid()
    billing.payments.refund("acme/pay/1", amount="10.00")
    made = billing.payments.refund("acme/pay/1", reason="not what was ordered")
    assert (made.amount, made.to, made.status, made.attempt) == (2000, "method", "succeeded", 2)
    assert notes(billing) == [("refund", 1000), ("refund", 2000)]
    assert billing.payments.get("acme/pay/1").status == "refunded"
    invoice = billing.invoices.get("acme/1")
    assert (invoice.status, invoice.paid, invoice.due) == ("paid", 3000, 0)
    assert billing.gateway("test").taken("USD") == Money(0, "USD")


@pytest.mark.parametrize("amount", ["30.01", "31", Money(3001, "USD")])
def test_never_more_than_was_taken(amount) -> None:
    refused = refusal(paid().payments.refund, "acme/pay/1", amount=amount)
    assert (refused.code, refused.facts["most"]) == ("amount_exceeds", 3000)


def test_never_more_than_is_left() -> None:
    billing = paid()
    billing.payments.refund("acme/pay/1", amount="29.00")
    assert refusal(billing.payments.refund, "acme/pay/1", amount="1.01").facts["most"] == 100
    billing.payments.refund("acme/pay/1", amount="1.00")
    assert refusal(billing.payments.refund, "acme/pay/1").code == "amount_exceeds"


@pytest.mark.parametrize("answer", ["pending", "timeout_before", "unreachable", "decline:generic_decline"])
def test_what_is_on_its_way_or_owed_is_not_left(answer) -> None:
    billing = paid()
    billing.gateway("test").script([answer], default="approve")
    billing.payments.refund("acme/pay/1", amount="20.00")
    assert refusal(billing.payments.refund, "acme/pay/1", amount="10.01").facts["most"] == 1000


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"amount": "0"}, "invalid_value"),
        ({"amount": "-1.00"}, "invalid_value"),
        ({"amount": "1.001"}, "invalid_value"),
        ({"amount": Money(100, "EUR")}, "currency_mismatch"),
        ({"external": True, "to": "credit"}, "invalid_value"),
        ({"to": "credit", "credit": False}, "invalid_value"),
        ({"to": "elsewhere"}, "invalid_value"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(given, code) -> None:
    billing = paid()
    before = dump(billing, *GROWN)
    assert refusal(billing.payments.refund, "acme/pay/1", **given).code == code
    assert dump(billing, *GROWN) == before


def test_where_nothing_was_taken_nothing_is_given_back() -> None:
    billing = paid()
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-01"))
    refused = refusal(billing.payments.refund, "acme/pay/2")
    assert (refused.code, refused.facts["state"]) == ("transition_not_allowed", "failed")


@pytest.mark.parametrize("answer", ["pending", "action", "timeout_after_charge"])
def test_while_an_attempt_is_open_nobody_gives_back(answer) -> None:
    billing = paid()
    billing.gateway("test").script(["approve:10.00", answer], default="approve")
    billing.run(day("02-02"))
    assert refusal(billing.payments.refund, "acme/pay/3").code == "payment_in_doubt"
    # Nor of the part that was paid before: its invoice is reserved.
    assert refusal(billing.payments.refund, "acme/pay/2").code == "payment_in_doubt"
    billing.payments.refund("acme/pay/1")


def test_a_gateway_without_refunds_is_refused_before_anything_is_stored(monkeypatch) -> None:
    billing = paid()
    gateway = billing.gateway("test")
    monkeypatch.setattr(gateway, "capabilities", gateway.capabilities - {Capability.REFUND})
    before = dump(billing, *GROWN)
    refused = refusal(billing.payments.refund, "acme/pay/1")
    assert refused.code == "unsupported_capability" and "external" in refused.remedy
    assert dump(billing, *GROWN) == before
    assert billing.payments.refund("acme/pay/1", external=True).status == "succeeded"


@pytest.mark.parametrize(
    ("noun", "name", "given"),
    [
        ("payments", "refund", {"payment": "acme/pay/1"}),
        ("refunds", "create", {"customer": "acme", "amount": "5.00"}),
        ("invoices", "credit", {"invoice": "acme/1", "to": "refund"}),
    ],
)
def test_the_way_out_where_a_gateway_gives_nothing_back_is_one_that_the_verb_has(
    monkeypatch, noun, name, given
) -> None:
    """Every option that the remedy names is taken; a verb that is named instead has its own."""
    billing = paid()
    gateway = billing.gateway("test")
    monkeypatch.setattr(gateway, "capabilities", gateway.capabilities - {Capability.REFUND})
    definition = getattr(getattr(billing, noun), name).definition
    remedy = refusal(getattr(getattr(billing, noun), name), **given).remedy
    own = remedy.split("payments.refund")[0]
    options = dict(re.findall(r"(\w+) = (\w+)", own))
    assert options
    for option, value in options.items():
        parameter = next(one for one in definition.parameters if one.name == option)
        assert not parameter.choices or value in parameter.choices
        getattr(getattr(billing, noun), name)(**{**given, option: value}, dry_run=True)


def test_outside_the_gateway_nothing_is_called() -> None:
    billing = paid()
    made = billing.payments.refund("acme/pay/1", amount="10.00", external=True)
    assert (made.to, made.status) == ("external", "succeeded")
    assert billing.payments.get("acme/pay/1").refunded == 1000
    assert billing.gateway("test").taken("USD") == Money(3000, "USD")
    assert notes(billing) == [("refund", 1000)]


def test_as_credit_the_money_stays_and_pays_the_next_invoice() -> None:
    billing = paid()
    billing.payments.refund("acme/pay/1", amount="10.00", to="credit")
    payment = billing.payments.get("acme/pay/1")
    assert (payment.refunded, payment.status, credit(billing), notes(billing)) == (
        0,
        "succeeded",
        1000,
        [("credit", 1000)],
    )
    billing.run(day("02-01"))
    assert (billing.invoices.get("acme/2").credited, billing.payments.get("acme/pay/2").amount) == (1000, 2000)


def test_without_a_credit_note_the_invoice_is_open_again_and_not_collected_by_itself() -> None:
    billing = paid()
    billing.payments.refund("acme/pay/1", amount="10.00", credit=False)
    invoice = billing.invoices.get("acme/1")
    assert (invoice.status, invoice.due, invoice.collect_at, invoice.overdue) == ("open", 1000, None, False)
    assert (notes(billing), billing.subscriptions.get("s1").state) == ([], "active")
    billing.run(day("03-05"))
    assert billing.invoices.get("acme/1").due == 1000
    assert billing.gateway("test").charges() == 3


def test_a_partial_credit_note_before_leaves_less_to_refund_by_note() -> None:
    """What was given as credit once is not given back again; without a note it may not be either."""
    billing = paid()
    billing.invoices.credit("acme/1", amount="25.00")
    assert refusal(billing.payments.refund, "acme/pay/1", amount="5.01").facts["most"] == 500
    assert refusal(billing.payments.refund, "acme/pay/1", amount="5.01", credit=False).facts["most"] == 500
    assert billing.payments.refund("acme/pay/1").amount == 500


def test_discount_and_tax_are_given_back_in_proportion() -> None:
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    billing.payments.refund("acme/pay/1", amount="10.00")
    (note,) = billing.invoices.credit_notes()
    assert (note.total, note.subtotal, note.discount, note.tax) == (1000, -933, -93, -160)
    assert billing.explain(note.id).agrees


def test_over_two_lines_in_proportion_to_what_was_paid_of_them() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "solo-m", components={"seats": "1"})  # 9.00 and 5.00
    billing.payments.refund("acme/pay/1", amount="7.00")
    (note,) = billing.invoices.credit_notes()
    assert [(line.code, line.amount) for line in note.lines] == [("solo-m", -450), ("seats-p", -250)]


# -- more than one payment -----------------------------------------------------------------------------------


def several(months=3, **changed):
    """Three payments of 30.00."""
    billing = paid(**changed)
    billing.run(day(f"0{months}-01"))
    return billing


def test_an_amount_is_spread_over_payments_newest_first() -> None:
    billing = several()
    made = billing.refunds.create("acme", "70.00", reason="goodwill")
    numbers = {billing.payments.get(f"acme/pay/{n}").id: n for n in (1, 2, 3)}
    assert [(numbers[one.payment_id], one.amount, one.status) for one in made] == [
        (3, 3000, "succeeded"),
        (2, 3000, "succeeded"),
        (1, 1000, "succeeded"),
    ]
    assert notes(billing) == [("refund", 3000), ("refund", 3000), ("refund", 1000)]


def test_more_than_all_payments_have_changes_nothing() -> None:
    billing = several()
    before = dump(billing, *GROWN)
    refused = refusal(billing.refunds.create, "acme", "90.01")
    assert (refused.code, refused.facts["most"]) == ("amount_exceeds", 9000)
    assert dump(billing, *GROWN) == before


def test_of_one_invoice_only_its_payments() -> None:
    billing = paid()
    billing.gateway("test").script(["approve:10.00"], default="approve")
    billing.run(day("02-05"))
    assert billing.invoices.get("acme/2").status == "paid"
    made = billing.refunds.create("acme", "25.00", invoice="acme/2", credit=False)
    assert [one.amount for one in made] == [2000, 500]
    assert billing.invoices.get("acme/2").due == 2500
    assert refusal(billing.refunds.create, "acme", "5.01", invoice="acme/2").facts["most"] == 500


def test_another_customers_invoice_is_not_found() -> None:
    billing = several(customers=("acme", "bolt"))
    assert refusal(billing.refunds.create, "bolt", "1.00", invoice="acme/1").code == "not_found"


def test_other_currencies_are_left_alone() -> None:
    billing = paid()
    billing.subscriptions.create("s2", "acme", "pro-eur")
    assert refusal(billing.refunds.create, "acme", "30.01").facts["most"] == 3000
    assert billing.refunds.create("acme", Money(1000, "EUR"), invoice="acme/2")[0].currency == "EUR"
    assert billing.refunds.create("acme", Money(500, "EUR"))[0].currency == "EUR"


def test_a_note_to_refund_gives_its_payments_back() -> None:
    billing = paid()
    billing.invoices.credit("acme/1", amount="12.00", to="refund")
    (made,) = billing.refunds.list()
    assert (made.cause, made.amount, made.status) == ("credit_note", 1200, "succeeded")
    assert billing.payments.get("acme/pay/1").refunded == 1200


# -- idempotency, previews, hosts ----------------------------------------------------------------------------


def test_a_key_gives_the_same_refund_again() -> None:
    billing = paid()
    first = billing.payments.refund("acme/pay/1", amount="10.00", idempotency_key="click")
    assert billing.payments.refund("acme/pay/1", amount="10.00", idempotency_key="click") == first
    refused = refusal(billing.payments.refund, "acme/pay/1", amount="9.00", idempotency_key="click")
    assert (refused.code, refused.facts["field"]) == ("idempotency_conflict", "amount")
    many = billing.refunds.create("acme", "10.00", idempotency_key="more")
    assert billing.refunds.create("acme", "10.00", idempotency_key="more") == many
    assert billing.payments.get("acme/pay/1").refunded == 2000


@pytest.mark.parametrize("given", [{}, {"credit": False}, {"to": "credit"}, {"external": True}])
def test_a_preview_is_the_command_without_its_commit(given) -> None:
    billing = several()
    before = dump(billing)
    preview = billing.payments.refund("acme/pay/1", amount="10.00", dry_run=True, **given)
    assert (preview.value.amount, preview.value.status, preview.payments) == (1000, "succeeded", ())
    assert [note.total for note in preview.credit_notes] == ([] if given == {"credit": False} else [1000])
    assert len(billing.refunds.create("acme", "70.00", dry_run=True).credit_notes) == 3
    assert dump(billing) == before
    assert billing.gateway("test").taken("USD") == Money(9000, "USD")


@pytest.mark.sqlite_only("the host's engine is made for a file")
def test_inside_the_hosts_transaction_a_worker_sends_it(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'books.db'}"
    billing, engine = paid(url=url), sqlite_engine(url)
    with engine.begin() as connection, billing.joined(connection) as joined:
        made = joined.payments.refund("acme/pay/1", amount="10.00")
        assert (made.status, made.sends) == ("pending", 0)
    assert billing.gateway("test").taken("USD") == Money(3000, "USD")
    billing.run()
    assert billing.refunds.get(made.id).status == "succeeded"
    engine.dispose()


def test_payments_are_found_by_what_was_given_back_of_them() -> None:
    billing = several()
    billing.refunds.create("acme", "40.00")
    assert [one.id for one in billing.payments.list(status="refunded")] == [billing.payments.get("acme/pay/3").id]
    assert len(billing.payments.list(status="partially_refunded")) == 1
    assert len(billing.payments.list(status="succeeded")) == 1


def test_refunds_are_found_by_customer_payment_and_status() -> None:
    billing = several(customers=("acme", "bolt"))
    billing.gateway("test").script(["approve", "decline:generic_decline"], default="approve")
    billing.refunds.create("acme", "40.00")
    every = billing.refunds.list()
    assert billing.refunds.list(customer="bolt") == []
    assert billing.refunds.list(payment="acme/pay/3") == every[:1]
    assert billing.refunds.list(status="failed") == every[1:]
    assert billing.refunds.list(newest=True, limit=1) == every[1:]
    assert billing.refunds.list(after="acme/refund/1") == every[1:]
    assert billing.refunds.get("acme/refund/2") == every[1]
    assert refusal(billing.refunds.get, "acme/refund/3").code == "not_found"
