"""A subscription with a trial, a component, a coupon and tax, billed for half a year."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

from billcore import Billing, Money, SimulatedClock

catalog = tomllib.loads(Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8"))
clock = SimulatedClock(datetime(2026, 1, 31, tzinfo=UTC))

with Billing("sqlite://", clock=clock, settings={"currency": "EUR"}) as billing:
    billing.catalog.apply(catalog)
    billing.customers.create("acme", "Acme GmbH", "billing@acme.example", country="DE")
    billing.payment_methods.add("acme", token="approve")  # noqa: S106  # the test gateway's "always works"
    billing.subscriptions.create("s1", "acme", "pro-monthly", components={"seats": 3}, coupons=["WELCOME10"])
    billing.run(until=datetime(2026, 7, 31, tzinfo=UTC))
    for invoice in billing.invoices.list(customer="acme"):
        total = Money(invoice.total, invoice.currency)
        print(invoice.number_text, f"{invoice.issued_at:%Y-%m-%d}", invoice.status, total)
