"""Components through a hold: what was billed once is not billed again (behaviour 4.3, 5.2)."""

from tests.builders import books, day, documents

CATALOG = {
    "products": [
        {"code": "app", "prices": [{"code": "app-m", "amount": "10.00", "every": "1 month"}]},
        {"code": "week", "prices": [{"code": "app-w", "amount": "7.00", "every": "1 week"}]},
        {
            "code": "year",
            "prices": [{"code": "app-y", "amount": "100.00", "every": "1 year", "expires_after": "1 year"}],
        },
    ],
    "components": [
        {
            "code": "setup",
            "kind": "one_time",
            "name": "Set-up",
            "prices": [{"code": "setup-p", "scheme": "per_unit", "unit_amount": "50.00"}],
        },
        {
            "code": "disk",
            "kind": "quantity",
            "name": "Disk",
            "prices": [{"code": "disk-p", "scheme": "per_unit", "unit_amount": "31.00", "every": "1 month"}],
        },
        {
            "code": "calls",
            "kind": "metered",
            "name": "Calls",
            "prices": [{"code": "calls-p", "scheme": "per_unit", "unit_amount": "1.00"}],
        },
        {
            "code": "power",
            "kind": "quantity",
            "name": "Power",
            "prices": [
                {"code": "power-p", "scheme": "per_unit", "unit_amount": "31.00", "every": "1 month", "bill": "arrears"}
            ],
        },
    ],
}


def test_a_one_time_component_is_billed_once_however_often_the_subscription_resumes() -> None:
    billing = books(catalog=CATALOG)
    billing.subscriptions.create("s1", "acme", "app-m", components={"setup": "1"})
    billing.run(day("01-10"))
    billing.subscriptions.hold("s1")
    billing.run(day("03-10"))
    billing.subscriptions.resume("s1")
    assert documents(billing) == [
        ("paid", "01-01", 6000, [("product", 1000), ("one_time", 5000)]),
        ("paid", "03-10", 1000, [("product", 1000)]),
    ]


def test_a_component_paid_for_longer_than_its_product_is_not_charged_again_on_resume() -> None:
    billing = books(catalog=CATALOG)
    billing.subscriptions.create("s1", "acme", "app-w", components={"disk": "1"})
    billing.run(day("01-05"))
    billing.subscriptions.hold("s1")
    billing.run(day("01-20"))
    sub = billing.subscriptions.resume("s1")
    assert sub.items[0].period_end == day("02-01")
    assert documents(billing)[1:] == [("paid", "01-20", 700, [("product", 700)])]


def test_what_is_in_arrears_is_billed_up_to_the_hold_and_then_from_the_resume() -> None:
    billing = books(catalog=CATALOG)
    billing.subscriptions.create("s1", "acme", "app-y", components={"power": "1"})
    billing.run(day("01-11"))
    billing.subscriptions.hold("s1")
    billing.run(day("01-21"))
    billing.subscriptions.resume("s1")
    billing.run(day("02-01"))
    assert documents(billing)[1:] == [
        ("paid", "01-11", 1000, [("component", 1000)]),
        ("paid", "02-01", 1100, [("component", 1100)]),
    ]


def test_each_event_is_tied_to_the_line_that_billed_it() -> None:
    billing = books(catalog=CATALOG)
    billing.subscriptions.create("s1", "acme", "app-m", components={"calls": "0"})
    billing.run(day("02-03"))
    billing.usage.record("s1", "calls", "10", timestamp=day("01-31"))
    billing.usage.record("s1", "calls", "20", timestamp=day("02-02"))
    billing.run(day("03-01"))
    lines = {line.id: line.quantity for line in billing.invoices.get("acme/3").lines if line.kind == "usage"}
    with billing.database.transaction(reads=True) as tx:
        rows = tx.rows("SELECT line_id, quantity FROM billcore_usage_events ORDER BY id")
    assert [(str(lines[line_id]), quantity) for line_id, quantity in rows] == [("10", "10"), ("20", "20")]


def test_a_subscription_that_is_taken_over_expires_where_it_would_have() -> None:
    billing = books(catalog=CATALOG)
    sub = billing.subscriptions.create("s1", "acme", "app-y", starts_at="2025-06-01", next_billing_at="2026-06-01")
    assert sub.expires_at == day("06-01")
    billing.run(day("07-01"))
    assert billing.subscriptions.get("s1").state == "expired"
    assert billing.invoices.list() == []
