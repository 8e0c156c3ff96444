"""A worker that is stopped in the middle of its calls, and goes on when another has taken over.

`python -m tests.engine.pausing URL FILE`: machine time runs twenty times as fast, so that a lease of a minute ends
after three seconds; the gateway takes a tenth of a second for each of sixty calls.
"""

import os
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from billcore.billing import Billing
from billcore_gateway_test.gateway import ScriptedGateway
from tests.builders import CATALOG
from tests.engine.dying import in_child, say

SPEED = 20
START = datetime(2026, 2, 1, tzinfo=UTC)
COUNT = 60


class FastClock:
    """Machine and business time alike, both many times as fast."""

    simulated = False

    def __init__(self, origin_ns: int) -> None:
        self.origin_ns = origin_ns

    def wall(self) -> datetime:
        return START + timedelta(microseconds=(time.time_ns() - self.origin_ns) * SPEED // 1000)

    def now(self) -> datetime:
        return self.wall().replace(microsecond=0)

    def advance(self, to: datetime) -> None:
        raise AssertionError(f"nobody moves real time to {to}")


def slowly(self, request, charge=ScriptedGateway.charge):
    """A gateway that takes its time."""
    time.sleep(0.1)
    return charge(self, request)


def opened(url: str, file: Path, origin_ns: int) -> Billing:
    settings = {"require_customer_name": False, "require_customer_email": False}
    gateways = {"test": {"book": f"{file}.test-gateway.jsonl"}}
    return Billing(url, clock=FastClock(origin_ns), settings=settings, gateways=gateways)


def set_up(url: str, file: Path, origin_ns: int) -> None:
    with opened(url, file, origin_ns) as billing:
        billing.catalog.apply(CATALOG)
        for n in range(COUNT):
            billing.customers.create(f"c{n}")
            billing.payment_methods.add(f"c{n}", "approve")
            dates = {"starts_at": START - timedelta(days=31), "next_billing_at": START + timedelta(days=1)}
            billing.subscriptions.create(f"s{n}", f"c{n}", "pro-m", **dates)


def work(url: str, file: Path, origin_ns: int) -> None:
    ScriptedGateway.charge = slowly
    with opened(url, file, origin_ns) as billing:
        billing.run()


def worker(url: str, file: Path, origin_ns: int) -> int:
    """The id of a process at work."""
    process = os.fork()
    if process == 0:
        work(url, file, origin_ns)
        os._exit(0)
    return process


def charges(file: Path) -> int:
    """How many lines the gateway's book has."""
    book = Path(f"{file}.test-gateway.jsonl")
    return len(book.read_text().splitlines()) if book.exists() else 0


def told(url: str, file: Path, origin_ns: int) -> dict[str, object]:
    with opened(url, file, origin_ns) as billing:
        payments = {one.id: one for one in billing.payments.list(limit=1000)}
        book = billing.gateway("test").book()
        counts = Counter(payments[one.attempt_id].invoice_id for one in book)
        invoices = billing.invoices.list(limit=1000)
        return {
            "findings": [str(one) for one in billing.verify().findings],
            "invoices": len(invoices),
            "paid": sum(one.status == "paid" for one in invoices),
            "charged": len(book),
            "charges per invoice": sorted(set(counts.values())),
            "statuses": sorted({one.status for one in payments.values()}),
        }


def main(url: str, file: Path) -> None:
    # Renewals are due a day after the beginning: the clock stands there when the workers begin.
    origin_ns = time.time_ns()
    assert in_child(lambda: set_up(url, file, origin_ns)) == 0
    due_ns = time.time_ns() - 86_400 * 1_000_000_000 // SPEED - 1_000_000_000
    sleeper = worker(url, file, due_ns)
    while charges(file) < 10:
        time.sleep(0.01)
        if os.waitpid(sleeper, os.WNOHANG)[0]:  # On a busy machine its leases ended before it had begun to call.
            sleeper = worker(url, file, due_ns)
    os.kill(sleeper, signal.SIGSTOP)
    before, begun = charges(file), time.monotonic()
    while time.monotonic() - begun < 3.5:  # Longer than a lease, and than the first check.
        time.sleep(0.1)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert in_child(lambda: work(url, file, due_ns)) == 0
        if charges(file) >= COUNT:
            break
        time.sleep(0.3)
    os.kill(sleeper, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(sleeper, 0)[1]) == 0
    time.sleep(0.5)
    for _ in range(20):
        assert in_child(lambda: work(url, file, due_ns)) == 0
        stands = told(url, file, due_ns)
        if stands["statuses"] == ["succeeded"]:
            break
        time.sleep(0.5)
    say({"charged before": before, "slept": COUNT - before, **stands})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
