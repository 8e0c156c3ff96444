"""A `billcore run` that is killed again and again while it bills months: `python -m tests.engine.killing FILE`."""

import gc
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from billcore.cli.app import root
from tests.builders import books
from tests.engine.dying import in_child, opened, say, saying

KILLS = 20
SUBSCRIPTIONS = 300
PRICES = ("try", "pro-w", "free", "pro-late")
TOKENS = ("approve", "timeout_after_charge", "decline_share:40:k", "approve", "error_500_after_charge")


def set_up(file: Path) -> None:
    """A year's first customers, made in memory because that is quick, and put into a file."""
    start = "2026-01-20"
    with books(customers=()) as billing:
        for n in range(SUBSCRIPTIONS):
            billing.customers.create(f"c{n}")
            billing.payment_methods.add(f"c{n}", TOKENS[n % len(TOKENS)])
            given = {"starts_at": start} if n % 4 else {}
            billing.subscriptions.create(f"s{n}", f"c{n}", PRICES[n % len(PRICES)], **given)
        with closing(sqlite3.connect(file)) as target, billing.database.raw() as connection:
            connection.connection.driver_connection.backup(target)


def run(file: Path) -> None:
    """As a person types it."""
    with Path(os.devnull).open("w") as nothing, suppress(SystemExit):
        os.dup2(nothing.fileno(), 1)
        root(["-d", str(file), "run", "--until", "2026-04-02"], standalone_mode=False)


def killed(file: Path, progress: int, linger_s: float) -> bool:
    """Whether a run was killed before it was done: at some moment after it got `progress` rows further."""
    goal = written(file) + progress
    child = os.fork()
    if child == 0:
        run(file)
        os._exit(0)
    for _ in range(2000):
        if written(file) >= goal or os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.002)
    time.sleep(linger_s)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def written(file: Path) -> int:
    """How far the books are: what a run commits first and last."""
    with closing(sqlite3.connect(file)) as books:
        return sum(
            int(books.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            for table in ("billcore_invoices", "billcore_payments", "billcore_ledger_entries")
        )


def told(file: Path) -> dict[str, object]:
    with opened(file) as billing:
        proof = billing.verify()
        invoices = billing.invoices.list(limit=100_000)
        payments = {one.id: one for one in billing.payments.list(limit=100_000)}
        charged = [payments[one.attempt_id].invoice_id for one in billing.gateway("test").book()]
        return {
            "findings": [str(one) for one in proof.findings],
            "renewed": sum(one.sequence for one in billing.subscriptions.list(limit=1000)),
            "charged": sorted(charged),
            "paid": sorted(one.id for one in invoices if one.paid),
            "numbers": sorted(one.number for one in invoices if one.number is not None),
            "totals": sorted(one.total for one in invoices if one.number is not None),
            "parked": [one.parked_reason for one in payments.values() if one.parked_reason],
        }


def main(file: Path) -> None:
    gc.freeze()
    assert in_child(lambda: set_up(file)) == 0
    dice = random.Random(20260131)
    whole = file.with_name("whole.db")
    whole.write_bytes(file.read_bytes())
    assert in_child(lambda: run(whole)) == 0
    kills, stood = 0, set()
    for _ in range(KILLS):
        kills += killed(file, dice.randint(0, 120), dice.uniform(0, 0.03))
        stood.add(written(file))
    assert in_child(lambda: run(file)) == 0
    say({"kills": kills, "stood": len(stood)})
    say({"whole": saying(whole, lambda: told(whole)), "killed": saying(file, lambda: told(file))})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
