"""Reading invoices: many subscriptions in one query, by an index."""

import re

import pytest

from billcore.store.invoice import billed_since
from tests import databases
from tests.builders import books, day

CATALOG = {
    "products": [
        {"code": "least", "prices": [{"code": "least-m", "amount": "10.00", "every": "1 month", "minimum": "25.00"}]}
    ]
}


@pytest.mark.usefixtures("stores")
def test_what_was_billed_since_each_period_began_is_read_at_once_and_by_index() -> None:
    """A minimum must not make a run read the renewals of the whole book for every subscription."""
    billing = books(customers=("a", "b", "c"), catalog=CATALOG)
    for place, name in enumerate("abc"):
        billing.run(day(f"01-0{place + 1}"))
        billing.subscriptions.create(f"s-{name}", name, "least-m", quantity=place + 1)
    billing.run(day("03-15"))
    subs = billing.subscriptions.list()
    wanted = {(sub.customer_id, sub.id): sub.period_start for sub in subs}
    with billing.database.transaction(reads=True) as tx:
        found = billed_since(tx, wanted)
        if tx.dialect == "postgresql":
            # A few rows fit on one page, which is read whole otherwise.
            tx.execute("SET LOCAL enable_seqscan = off")
        plan = databases.plan(tx, lambda tx: billed_since(tx, wanted))
    assert [found[sub.id] for sub in subs] == [1000, 2000, 3000]
    assert not re.search(r"SCAN [rli]\b|Seq Scan", plan), plan
    made = sorted(one.total for one in billing.invoices.list() if one.issued_at >= day("03-01"))
    assert made == [2500, 2500, 3000]
