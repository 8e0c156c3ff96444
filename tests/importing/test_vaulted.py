"""Methods that a gateway's vault keeps already are taken over with the customer it keeps them for (behaviour 9.7)."""

import pytest

from billcore.files import parse_tables
from tests.fakes import fake_books
from tests.importing.shop import csv_file, run

pytestmark = pytest.mark.usefixtures("stores")

MAPPING = """
[customer]
reference = "id"

[payment_method]
gateway = { constant = "fake" }
token = "card"
gateway_customer = "there"
brand = "brand"
"""
LINES = ("ada,pm_1,gc_1,visa", "bob,pm_2,,visa", "cas,,,")


def test_a_vaults_methods_come_in_with_the_customer_there(tmp_path):
    billing, fake = fake_books(customers=())
    path = csv_file(tmp_path, *LINES, header="id,card,there,brand")
    report, rejects = run(billing, path, parse_tables(MAPPING, "mapping.toml", "import_invalid"))
    assert (report.customers, report.methods) == (2, 1)
    assert [(one.line, one.code) for one in rejects] == [(3, "payment_method_refused")]
    (method,) = billing.payment_methods.list("ada")
    assert (method.token, method.gateway_customer, method.brand) == ("pm_1", "gc_1", "visa")
    assert fake.asked == []
