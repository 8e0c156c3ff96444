"""Reading invoices: many subscriptions in one query, by an index."""

from billcore.store.invoice import billed_since
from tests.builders import books, day

CATALOG = {
    "products": [
        {"code": "least", "prices": [{"code": "least-m", "amount": "10.00", "every": "1 month", "minimum": "25.00"}]}
    ]
}


def test_what_was_billed_since_each_period_began_is_read_at_once_and_by_index() -> None:
    """A minimum must not make a run read the renewals of the whole book for every subscription."""
    billing = books(customers=("a", "b", "c"), catalog=CATALOG)
    for place, name in enumerate("abc"):
        billing.run(day(f"01-0{place + 1}"))
        billing.subscriptions.create(f"s-{name}", name, "least-m", quantity=place + 1)
    billing.run(day("03-15"))
    subs = billing.subscriptions.list()
    wanted = {(sub.customer_id, sub.id): sub.period_start for sub in subs}
    statements = []
    with billing.database.transaction(reads=True) as tx:
        tx._driver.set_trace_callback(statements.append)
        found = billed_since(tx, wanted)
        tx._driver.set_trace_callback(None)
        (statement,) = statements
        plan = " ".join(row[3] for row in tx.rows(f"EXPLAIN QUERY PLAN {statement}"))
    assert [found[sub.id] for sub in subs] == [1000, 2000, 3000]
    assert "SCAN r" not in plan and "SCAN l" not in plan and "SCAN i" not in plan
    made = sorted(one.total for one in billing.invoices.list() if one.issued_at >= day("03-01"))
    assert made == [2500, 2500, 3000]
