"""The real file, billed without declines: every customer for exactly the months that he stayed.

A usual run takes one customer of forty; with BILLCORE_TEST_ALL=1 all of them are billed.
"""

import csv
import json
import os
import subprocess
import sys
from calendar import monthrange
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from billcore.billing import Billing
from billcore.demo.book import ENDS, REAL_FILE
from tests.project import ROOT
from tests.share import ALL, share

FILE = ROOT.parent / REAL_FILE
STAYING, INVOICES, TOTAL = (7_032, 227_990, 16_055_091_45) if ALL else (174, 5_859, 409_406_15)

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"the real file is not at ../{REAL_FILE}")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    head, *lines = FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    taken = tmp_path_factory.mktemp("telco") / "telco.csv"
    taken.write_text("".join([head, *share(lines, 40)]), encoding="utf-8")
    return taken


@pytest.fixture(scope="module")
def customers(file):
    with file.open(newline="", encoding="utf-8") as opened:
        return {row["customerID"]: row for row in csv.DictReader(opened)}


@pytest.fixture(scope="module")
def billed(tmp_path_factory, file):
    """The store, billed by a process that no coverage slows down, and what that process said."""
    path = tmp_path_factory.mktemp("telco") / "telco.db"
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("bill_telco.py"), path, file],
        capture_output=True,
        text=True,
        env=unmeasured,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Billing(f"sqlite:///{path}") as billing:
        yield billing, json.loads(done.stdout)
    path.unlink()


def rows(billing, sql, parameters=()):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows(sql, parameters)


def cents(row):
    return int(Decimal(row["MonthlyCharges"]) * 100)


def months_later(start, months):
    """Calendar arithmetic of its own, day by day of the month."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def test_every_line_comes_in(billed, customers):
    _, told = billed
    staying = sum(row["tenure"] != "0" for row in customers.values())
    assert (told["customers"], told["subscriptions"], told["rejected"]) == (len(customers), staying, 0)
    assert (len(customers) == 7_043 or not ALL) and staying == STAYING


def test_the_books_are_proved(billed):
    _, told = billed
    assert told["findings"] == []
    assert told["ok"]


def test_the_sums_are_those_of_the_file(billed):
    billing, _ = billed
    found = rows(billing, "SELECT count(*), sum(total), sum(paid), count(DISTINCT number) FROM billcore_invoices")
    assert found == [(INVOICES, TOTAL, TOTAL, INVOICES)]
    assert rows(billing, "SELECT status, count(*), sum(captured) FROM billcore_payments GROUP BY status") == [
        ("succeeded", INVOICES, TOTAL)
    ]


def test_each_customer_is_billed_for_his_months_at_his_amount(billed, customers):
    billing, _ = billed
    found = rows(
        billing,
        "SELECT c.reference, count(i.id), coalesce(sum(i.total), 0) FROM billcore_customers c "
        "LEFT JOIN billcore_invoices i ON i.customer_id = c.id GROUP BY c.id",
    )
    assert {reference: (count, total) for reference, count, total in found} == {
        reference: (int(row["tenure"]), int(row["tenure"]) * cents(row)) for reference, row in customers.items()
    }


def test_who_left_is_canceled_and_who_stayed_is_active(billed, customers):
    billing, _ = billed
    expected = Counter(
        "canceled" if row["Churn"] == "Yes" else "active" for row in customers.values() if row["tenure"] != "0"
    )
    assert dict(rows(billing, "SELECT state, count(*) FROM billcore_subscriptions GROUP BY state")) == expected


def test_a_hundred_invoices_are_right_line_by_line(billed, customers):
    """Against an own computation from the file: periods tile from the start, one whole month each at the amount."""
    billing, _ = billed
    step = INVOICES // 100
    for number in range(1, INVOICES, step):
        [(reference, place)] = rows(
            billing,
            "SELECT c.reference, (SELECT count(*) FROM billcore_invoices o WHERE o.customer_id = i.customer_id "
            "AND o.number < i.number) FROM billcore_invoices i JOIN billcore_customers c ON c.id = i.customer_id "
            "WHERE i.number = ?",
            [number],
        )
        row = customers[reference]
        sub = billing.subscriptions.get(reference)
        invoice = billing.invoices.get(str(number))
        start, end = months_later(sub.starts_at, place), months_later(sub.starts_at, place + 1)
        [line] = invoice.lines
        assert (line.kind, line.code, line.quantity) == ("product", "line-monthly", Decimal(1))
        assert (line.start, line.end) == (start, end)
        assert (line.amount, line.discount, line.tax, line.tax_included) == (cents(row), 0, 0, 0)
        assert (invoice.subtotal, invoice.total, invoice.paid, invoice.due) == (cents(row), cents(row), cents(row), 0)
        assert (invoice.status, invoice.currency, invoice.issued_at) == ("paid", "USD", start)
        last = months_later(sub.starts_at, int(row["tenure"]))
        assert last <= ENDS if row["Churn"] == "Yes" else months_later(last, -1) <= ENDS < last
        assert (sub.ended_at == last) == (row["Churn"] == "Yes")
        [payment] = [
            one for one in billing.payments.list(customer=reference, limit=100) if one.invoice_id == invoice.id
        ]
        assert (payment.status, payment.captured, payment.created_at) == ("succeeded", cents(row), start)
        assert json.loads(payment.request)["amount"] == cents(row)
        assert start.tzinfo is UTC and isinstance(start, datetime)
