"""invoices.get, list, preview; payments.get, list."""

from attrs import evolve

from tests.builders import books, day, dump, refusal


def test_an_invoice_is_named_by_id_number_or_place() -> None:
    billing = books(customers=("acme", "bolt"))
    for n, customer in enumerate(("bolt", "acme", "acme")):
        billing.subscriptions.create(f"s{n}", customer, "pro-m")
    second = billing.invoices.get("acme/2")
    assert second.number == 3
    assert billing.invoices.get(second.id) == second == billing.invoices.get("3")
    for wrong in ("acme/3", "acme/0", "acme/x", "99", "nobody/1"):
        assert refusal(billing.invoices.get, wrong).code == "not_found"


def test_invoices_are_listed_by_customer_status_and_page() -> None:
    billing = books(customers=("acme", "bolt"))
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "bolt", "pro-m", collection="remittance")
    billing.run(day("03-01"))
    assert [one.number for one in billing.invoices.list(customer="acme")] == [1, 3, 5]
    assert {one.status for one in billing.invoices.list(customer="bolt")} == {"open"}
    assert len(billing.invoices.list(status="open")) == 3
    newest = billing.invoices.list(newest=True, limit=2)
    oldest = billing.invoices.list()
    assert [one.id for one in newest] == [one.id for one in oldest[:-3:-1]]
    assert billing.invoices.list(after=oldest[3].id) == oldest[4:]


def test_payments_are_named_by_place_and_listed() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("02-02"))
    assert billing.payments.get("acme/pay/2").status == "failed"
    assert refusal(billing.payments.get, "acme/pay/4").code == "not_found"
    assert len(billing.payments.list(invoice="acme/2")) == 2
    assert len(billing.payments.list(status="succeeded")) == 2
    assert billing.payments.list(newest=True, limit=1) == [billing.payments.get("acme/pay/3")]


def plain(document):
    """A document without what only storing it gives."""
    lines = tuple(
        sorted(
            (row.kind, row.code, row.start, row.end, row.amount, row.discount, row.tax, row.basis)
            for row in document.lines
        )
    )
    return document.subtotal, document.discount, document.tax, document.total, lines


def test_a_preview_is_what_then_happens() -> None:
    """Preview and execution are one computation (3.8)."""
    billing = books(customers=())
    billing.customers.create("acme", country="DE")
    billing.payment_methods.add("acme", "approve")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "3", "calls": "0"}, coupons=["TEN", "TWO"])
    billing.run(day("01-15"))
    billing.usage.record("s1", "calls", "33")
    before = dump(billing)
    preview = billing.invoices.preview("s1")
    assert (preview.action, preview.credit_note) == ("renew", None)
    assert dump(billing) == before
    billing.run(day("02-01"))
    assert plain(billing.invoices.get("acme/2")) == plain(preview.invoice)


def test_the_preview_of_a_trial_is_its_end() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-trial")
    preview = billing.invoices.preview("s1")
    assert (preview.action, preview.invoice.total) == ("trial_end", 4000)


def test_the_preview_of_a_planned_cancellation_is_its_credit() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1", "2026-01-16", credit="unused")
    preview = billing.invoices.preview("s1")
    assert preview.action == "cancel"
    billing.run(day("01-16"))
    (note,) = billing.invoices.credit_notes()
    assert plain(evolve(note, number=None)) == plain(preview.credit_note)


def test_what_is_over_has_no_preview() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1")
    assert refusal(billing.invoices.preview, "s1").code == "transition_not_allowed"
