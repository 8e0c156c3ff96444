"""Sums over the books: by month, by state, by customer; and documents found by their number."""

from datetime import UTC, datetime

import pytest

from billcore.store import invoice, reports
from tests import databases
from tests.importing.shop import ADA, BOB, csv_file, run, shop

pytestmark = pytest.mark.usefixtures("stores")


def read(billing, function, *args):
    with billing.database.transaction(reads=True) as tx:
        return function(tx, *args)


def billed(tmp_path):
    """Ada pays 49.90 a month from February, Bob's payments of 30.00 are declined from March 10 on."""
    billing = shop(dunning={"retry_after": ["1 day"], "final": "leave"}, invoice_number="{year}-{number:05d}")
    run(billing, csv_file(tmp_path, ADA, BOB))
    billing.run(datetime(2026, 4, 5, tzinfo=UTC))
    return billing


def test_months_say_what_was_invoiced_collected_declined_and_is_open(tmp_path):
    assert read(billed(tmp_path), reports.months) == [
        reports.Month("2026-02", "USD", 1, 4990, 0, 4990, 0, 0),
        reports.Month("2026-03", "USD", 2, 7990, 3000, 4990, 2, 6000),
        reports.Month("2026-04", "USD", 1, 4990, 0, 4990, 0, 0),
    ]


def test_states_are_counted(tmp_path):
    assert read(billed(tmp_path), reports.states) == {"active": 1, "past_due": 1}


def test_lifetime_value_is_what_was_paid(tmp_path):
    assert read(billed(tmp_path), reports.top_customers, 5) == [reports.LifetimeValue("ada", "USD", 3, 14970)]


def test_an_empty_book_has_no_months(tmp_path):
    billing = shop()
    assert read(billing, reports.months) == [] and read(billing, reports.states) == {}
    assert read(billing, reports.hard_won_invoice) == ""


def test_an_invoice_is_found_as_its_number_is_printed(tmp_path):
    billing = billed(tmp_path)
    assert read(billing, reports.hard_won_invoice) == "2026-00004"
    assert read(billing, invoice.get, "2026-00002").number == 2
    assert read(billing, invoice.get, "2026-2") is None
    assert read(billing, invoice.get, "2") is None
    assert read(billing, invoice.get, "acme") is None
    with billing.database.transaction(reads=True) as tx:
        if tx.dialect == "postgresql":
            # Two invoices fit on one page, which is read whole otherwise.
            tx.execute("SET LOCAL enable_seqscan = off")
        plan = databases.plan(tx, lambda tx: invoice.get(tx, "2026-00002"))
    assert {"sqlite": "series=? AND number=?", "postgresql": "billcore_invoices_number"}[tx.dialect] in plan
