"""`--workers N`: several processes do the due work of one command, on PostgreSQL (P7)."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from billcore.billing import Billing
from billcore.cli.context import App
from billcore.cli.workers import crew_of, passes
from billcore.clock import SystemClock
from billcore.errors import StoreError
from tests import databases
from tests.builders import CATALOG, books, day
from tests.engine.test_run import told

pytestmark = pytest.mark.postgresql_only("SQLite has one writer")

PRICES = ("pro-m", "pro-w", "try", "pro-late")
TOKENS = ("approve", "decline:insufficient_funds", "approve", "approve")


@pytest.fixture(autouse=True)
def on_postgresql(stores):
    """The running test's databases."""


def command(url, *arguments):
    return [sys.executable, "-m", "billcore", "-d", url, *arguments]


def typed(url, *arguments):
    return subprocess.run(command(url, *arguments), capture_output=True, text=True, timeout=120, check=False)


def started(url, *arguments):
    """A command that goes on, at its own terminal."""
    return subprocess.Popen(
        command(url, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def children(process):
    """The processes that a command has started, when it has started two."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + 60
    while len(found := listed.read_text().split()) < 2:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    return [int(one) for one in found]


def is_there(number):
    return Path(f"/proc/{number}").exists()


def crowd(count, price=None, **given):
    names = [f"c{n}" for n in range(count)]
    billing = books(method=None, customers=names)
    for n, name in enumerate(names):
        billing.payment_methods.add(name, TOKENS[n % 4])
        billing.subscriptions.create(name, name, price or PRICES[n % 4], starts_at="2026-01-03", **given)
    return billing


def test_several_workers_write_the_documents_of_one(stores) -> None:
    """In simulated time each customer's work is done at its own instants, whoever does it."""
    alone, together = crowd(8), crowd(8)
    alone.run(day("03-02"))
    said = typed(together.database.url, "run", "--until", "2026-03-02", "--workers", "3")
    assert said.returncode == 0, said.stderr
    with Billing(together.database.url) as again:
        assert told(again) == told(alone)
        assert again.clock.now() == day("03-02")
        assert again.verify().ok
        numbers = sorted(one.number for one in again.invoices.list(limit=10_000) if one.number)
        assert numbers == list(range(1, len(numbers) + 1))


def test_on_the_systems_clock_everything_that_is_due_is_done() -> None:
    with Billing(databases.fresh(), settings={"require_customer_name": False, "require_customer_email": False}) as real:
        real.catalog.apply(CATALOG)
        for n in range(40):
            real.customers.create(f"c{n}")
            real.payment_methods.add(f"c{n}", "approve")
        now = SystemClock().now()
        for n in range(40):
            dates = {"starts_at": now - timedelta(days=20), "next_billing_at": now + timedelta(seconds=10)}
            real.subscriptions.create(f"s{n}", f"c{n}", "pro-m", **dates)
        while SystemClock().now() < now + timedelta(seconds=10):
            time.sleep(0.1)
        said = typed(real.database.url, "run", "--workers", "2")
        assert said.returncode == 0, said.stderr
        assert "40 subscription dates, 40 collections" in said.stdout
        assert {one.status for one in real.invoices.list(limit=100)} == {"paid"}
        assert len(real.payments.list(limit=100)) == 40
        assert real.verify().ok


def test_ctrl_c_stops_all_of_them_cleanly_and_the_next_run_goes_on() -> None:
    billing = crowd(4, "pro-w")
    with started(billing.database.url, "run", "--until", "2046-01-01", "--workers", "2") as process:
        workers = children(process)
        while len(billing.invoices.list(limit=100)) < 20:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Stopped cleanly" in out and "Traceback" not in err
    assert not any(is_there(one) for one in workers)
    assert billing.verify().ok
    assert billing.clock.now() == day("01-01")


def test_a_worker_that_fails_is_named_and_the_others_go_on() -> None:
    billing = crowd(8, "pro-w")
    with started(billing.database.url, "run", "--until", "2026-06-30", "--workers", "2") as process:
        os.kill(children(process)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 70
    assert "Worker 1 of 2: It was ended by SIGKILL" in err and "Traceback" not in err
    sequences = [one.sequence for one in billing.subscriptions.list()]
    assert max(sequences) > 20
    assert typed(billing.database.url, "run", "--until", "2026-06-30").returncode == 0
    assert len({one.sequence for one in billing.subscriptions.list()}) == 1
    assert billing.verify().ok


def test_workers_that_work_for_ever_end_together() -> None:
    with Billing(databases.fresh()) as billing:
        url = billing.database.url
    with started(url, "worker", "--every", "1s", "--workers", "2", "--json") as process:
        workers = children(process)
        assert process.stdout is not None
        assert '"total": 0' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "stopped cleanly" in err
    assert not any(is_there(one) for one in workers)


def test_of_workers_that_work_for_ever_one_that_fails_ends_all() -> None:
    with Billing(databases.fresh()) as billing:
        url = billing.database.url
    with started(url, "worker", "--every", "1s", "--workers", "2") as process:
        os.kill(children(process)[1], signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 70 and "Worker 2 of 2" in err


def test_a_worker_that_ends_before_it_was_told_its_task_has_failed(tmp_path, monkeypatch) -> None:
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\nkill -KILL $$\n")
    ends.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(ends))
    app = App("postgresql://nowhere/books")
    app.actor = "x" * 1_000_000  # More than a pipe holds: whoever writes it waits for a reader.
    with crew_of(app, 2, every=1) as crew:
        told = list(crew.told(lambda: False))
    assert [one.kind for one in told] == ["failed", "failed"]
    assert told[0].content["message"] == "It was ended by SIGKILL."


def test_workers_whose_parent_is_gone_stop() -> None:
    with Billing(databases.fresh()) as billing:
        url = billing.database.url
    with started(url, "worker", "--every", "1s", "--workers", "2") as process:
        workers = children(process)
        process.kill()
    end = time.monotonic() + 30
    while any(is_there(one) for one in workers):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_server_that_is_away_is_waited_for_a_file_is_not() -> None:
    with Billing(databases.fresh()) as server, Billing("sqlite://") as memory:
        for code, waited in (("database_unreachable", True), ("commit_unknown", True), ("database_replaced", False)):
            assert passes(StoreError(code, "It is away."), server) is waited
            assert not passes(StoreError(code, "It is away."), memory)
        assert passes(StoreError("database_locked", "Somebody writes."), memory)
