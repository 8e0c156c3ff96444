"""Workers at the same due rows at the same time: `python -m tests.engine.crowding URL FILE WORKERS [unlocked|sliced]`.

`unlocked` takes their locks from them: what the tables and the versions of rows refuse must be enough.
"""

import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from billcore.billing import Billing
from billcore.store.postgresql_transaction import PostgresqlTransaction
from tests.builders import CATALOG, HandClock
from tests.engine.dying import in_child, say

START = datetime(2026, 2, 1, tzinfo=UTC)
COUNT = 120


def opened(url: str, file: Path, at: datetime, batch: int = 25) -> Billing:
    settings = {"require_customer_name": False, "require_customer_email": False}
    gateways = {"test": {"book": f"{file}.test-gateway.jsonl"}}
    return Billing(url, clock=HandClock(at), settings=settings, gateways=gateways, batch=batch)


def set_up(url: str, file: Path) -> None:
    """Everybody's renewal is due, and every tenth customer has two subscriptions."""
    with opened(url, file, START - timedelta(days=20)) as billing:
        billing.catalog.apply(CATALOG)

        def everybody(scope) -> None:
            for n in range(COUNT):
                customer = billing.customers.create.within(scope, {"reference": f"c{n}"})
                billing.payment_methods.add.within(scope, {"customer": customer.id, "token": "approve"})
                for place in range(1 + (n % 10 == 0)):
                    given = {"reference": f"s{n}-{place}", "customer": customer.id, "price": "pro-m"}
                    dates = {"starts_at": START - timedelta(days=31), "next_billing_at": START}
                    billing.subscriptions.create.within(scope, given | dates)
                scope.flush()

        billing.unit(everybody)


def work(url: str, file: Path, number: int, count: int, how: str) -> None:
    if how == "unlocked":
        PostgresqlTransaction.lock_customers = lambda _self, ids, *, skip=False: sorted(set(ids))
    with opened(url, file, START + timedelta(minutes=1)) as billing:
        for _ in range(3):
            billing.run(slice=(number, count) if how == "sliced" else None)


def told(url: str, file: Path) -> dict[str, object]:
    with opened(url, file, START + timedelta(minutes=1)) as billing:
        report = billing.run()
        owner = {one.id: one.invoice_id for one in billing.payments.list(limit=1000)}
        charged = Counter(owner[one.attempt_id] for one in billing.gateway("test").book())
        invoices = billing.invoices.list(limit=1000)
        return {
            "findings": [str(one) for one in billing.verify().findings],
            "left to do": report.total,
            "renewed": Counter(str(one.sequence) for one in billing.subscriptions.list(limit=1000)),
            "invoices": len(invoices),
            "paid": sum(one.status == "paid" for one in invoices),
            "charges per invoice": sorted(set(charged.values())),
            "charged": len(charged),
            "gapless": sorted(one.number for one in invoices) == list(range(1, len(invoices) + 1)),
            "parked": billing.doctor().troubles == () or [one.kind for one in billing.doctor().troubles],
        }


def main(url: str, file: Path, count: int, how: str) -> None:
    assert in_child(lambda: set_up(url, file)) == 0
    begin = time.time() + 1
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            time.sleep(max(0, begin - time.time()))
            try:
                work(url, file, number, count, how)
            except BaseException:  # noqa: BLE001  the child ends here, whatever it was
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    say({"ended": ended, **told(url, file)})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), (sys.argv[4:] or [""])[0])
