"""A host whose process ends hard at a chosen point: `python -m tests.engine.dying FILE sqlite|postgresql [EVERY]`.

One of EVERY points is tried, or all. It forks a process for every point at which the undisturbed one commits or
charges. Each does the same work on a copy of the same store with the test gateway's book in a file beside it, dies
there, is started again, and tells how its books stand at last.
"""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from billcore.billing import Billing
from billcore.errors import Refused
from billcore.store.postgresql import PostgresqlStore
from billcore.store.sqlite import SqliteStore
from billcore_gateway_test.gateway import ScriptedGateway
from tests import databases
from tests.builders import books

DIED = 137
END = datetime(2026, 2, 2, tzinfo=UTC)
AFTERWARDS = datetime(2026, 2, 3, tzinfo=UTC)


class Fault:
    """Counts commits, charges and refunds, and ends the process before or after one of them."""

    def __init__(self, kind: str = "", number: int = 0, side: str = "") -> None:
        self.wanted = (kind, number, side)
        self.counted = {"commit": 0, "charge": 0, "refund": 0}

    def passes(self, kind: str, side: str) -> None:
        if side == "before":
            self.counted[kind] += 1
        if (kind, self.counted[kind], side) == self.wanted:
            os._exit(DIED)

    def armed(self) -> None:
        transaction, commit = SqliteStore.transaction, PostgresqlStore._commit
        fault = self

        @contextmanager
        def watched(self, *, reads, observe):
            with transaction(self, reads=reads, observe=observe) as tx:
                yield tx
                if not reads:
                    fault.passes("commit", "before")
            if not reads:
                fault.passes("commit", "after")

        def committing(self, opened):
            if not opened.reads:
                fault.passes("commit", "before")
            lost = commit(self, opened)
            if not opened.reads:
                fault.passes("commit", "after")
            return lost

        def counted(kind, call):
            def calling(self, request):
                fault.passes(kind, "before")
                try:
                    return call(self, request)
                finally:
                    fault.passes(kind, "after")

            return calling

        SqliteStore.transaction, PostgresqlStore._commit = watched, committing
        ScriptedGateway.charge = counted("charge", ScriptedGateway.charge)
        ScriptedGateway.refund = counted("refund", ScriptedGateway.refund)


def opened(file: Path) -> Billing:
    book = {"test": {"book": f"{file}.test-gateway.jsonl"}}
    return Billing(databases.at(file), gateways=book, batch=2, create=False)


def set_up(file: Path) -> None:
    """Customers who pay, one whose bank says no, one whose answers get lost on the way back."""
    with books(databases.at(file), customers=("acme", "bolt")) as billing:
        for name, token in (("crab", "decline:insufficient_funds"), ("dune", "timeout_after_charge")):
            billing.customers.create(name)
            billing.payment_methods.add(name, token)


def work(file: Path) -> None:
    """What the host does; it repeats its commands under their keys when it comes back."""
    with opened(file) as billing:
        sign_up = billing.subscriptions.create
        sign_up("s1", "acme", "pro-fee", components={"seats": "2"}, idempotency_key="k1")
        sign_up("s2", "bolt", "try", idempotency_key="k2")
        sign_up("s3", "dune", "pro-m", idempotency_key="k3")
        with suppress(Refused):
            sign_up("s4", "crab", "pro-m", idempotency_key="k4")
        billing.subscriptions.activate("s2", idempotency_key="k5")
        billing.run(END)
        refund = billing.payments.refund
        refund("acme/pay/1", amount="20.00", reason="late", idempotency_key="k6")
        refund("bolt/pay/1", idempotency_key="k7")
        refund("dune/pay/2", amount="5.00", credit=False, idempotency_key="k8")
        billing.run(AFTERWARDS)


def told(file: Path) -> dict[str, object]:
    """How the books stand, without ids and the minutes that an outage cost."""
    with opened(file) as billing:
        proof = billing.verify()
        invoices = billing.invoices.list(limit=1000)
        payments = billing.payments.list(limit=1000)
        moved = billing.gateway("test").book()
        charged = [one for one in moved if one.verb == "charge"]
        refunds = billing.refunds.list(limit=1000)
        return {
            "findings": [str(one) for one in proof.findings],
            "subscriptions": sorted(
                f"{one.reference} {one.state} {one.sequence} {one.period_end:%m-%d}"
                if one.period_end
                else f"{one.reference} {one.state}"
                for one in billing.subscriptions.list()
            ),
            "invoices": sorted(
                f"{one.purpose} {one.status} {one.total} {one.paid} {[row.amount for row in one.lines]}"
                for one in invoices
            ),
            "payments": sorted(f"{one.cause} {one.status} {one.captured}" for one in payments),
            "charges per invoice": sorted(_per_invoice(charged, payments).values()),
            "charged": sum(one.amount.minor for one in charged),
            "captured": sum(one.captured for one in payments),
            "given back": sorted(one.amount.minor for one in moved if one.verb == "refund"),
            "refunds": sorted(f"{one.cause} {one.status} {one.amount}" for one in refunds),
            "notes": sorted(f"{one.to} {one.total}" for one in billing.invoices.credit_notes(limit=1000)),
            "numbers": sorted(one.number for one in invoices if one.number is not None),
        }


def _per_invoice(charged, payments) -> dict[str, int]:
    owner = {one.id: one.invoice_id for one in payments}
    counts: dict[str, int] = {}
    for movement in charged:
        counts[owner[movement.attempt_id]] = counts.get(owner[movement.attempt_id], 0) + 1
    return counts


def in_child(task: Callable[[], None]) -> int:
    """The exit code of a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            task()
        except BaseException:  # noqa: BLE001  the child ends here, whatever it was
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def saying(file: Path, answer: Callable[[], object]) -> object:
    """What a process of its own answers."""
    out = file.with_suffix(".json")
    assert in_child(lambda: out.write_text(json.dumps(answer())) and None) == 0
    return json.loads(out.read_text())


def counting(file: Path) -> dict[str, int]:
    fault = Fault()
    fault.armed()
    work(file)
    return fault.counted


def points(counted: dict[str, int]) -> Iterator[tuple[str, int, str]]:
    """Dying before a commit leaves what dying after the one before it, or after a charge between them, leaves."""
    yield "commit", 1, "before"
    for kind, count in counted.items():
        for number in range(1, count + 1):
            if kind != "commit":
                yield kind, number, "before"
            yield kind, number, "after"


def after_death(file: Path, point: tuple[str, int, str]) -> dict[str, object]:
    copy = databases.CURRENT[-1].copied(file, "-".join(map(str, point)))

    def die() -> None:
        Fault(*point).armed()
        work(copy)

    def come_back() -> dict[str, object]:
        work(copy)
        return told(copy)

    died = in_child(die)
    return {"point": point, "died": died, "stands": saying(copy, come_back)}


def say(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def told_to(arguments: list[str]) -> tuple[Path, databases.Kind, int]:
    """FILE sqlite|postgresql [EVERY]"""
    file, kind, *every = arguments
    return Path(file), "postgresql" if kind == "postgresql" else "sqlite", int(*every or [1])


def main(file: Path, kind: databases.Kind, every: int) -> None:
    gc.freeze()
    with databases.stores(kind) as stores:
        stores.at(file)
        assert in_child(lambda: set_up(file)) == 0
        whole = stores.copied(file, "whole")
        counted = saying(whole, lambda: counting(whole))
        say({"whole": saying(whole, lambda: told(whole)), "counted": counted})
        for point in list(points(counted))[every // 2 :: every]:
            say(after_death(file, point))
    databases.close()


if __name__ == "__main__":
    main(*told_to(sys.argv[1:]))
