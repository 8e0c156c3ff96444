"""Several at once on one set of books: runs, threads, hosts in the middle of a transaction (P2, P7, F5, F11, F20)."""

import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from billcore import sqlite_engine
from billcore.billing import Billing
from billcore.errors import BillcoreError
from tests.builders import books, day, refusal
from tests.engine.test_crash import dying

pytestmark = pytest.mark.usefixtures("books_are_proven")

THREADS = 8


def at_once(call, count=THREADS):
    """What `count` threads got from call(n), all begun at one moment: values and errors."""
    together = threading.Barrier(count)

    def one(n):
        together.wait()
        try:
            return call(n)
        except BillcoreError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "books.db"


def test_one_key_from_eight_threads_is_one_effect(file) -> None:
    """A double click: everybody gets the same subscription, the gateway is called once."""
    billing = books(f"sqlite:///{file}")

    def sign_up(_n):
        return billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="click")

    made = at_once(sign_up)
    assert len({one.id for one in made}) == 1
    assert {one.state for one in made} <= {"active", "pending"}
    assert billing.gateway("test").charges() == 1
    assert sign_up(0).state == "active"


def test_one_reference_from_eight_threads_is_given_once(file) -> None:
    billing = books(f"sqlite:///{file}")
    made = at_once(lambda n: billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key=f"k{n}"))
    assert Counter(getattr(one, "code", "made") for one in made) == {"made": 1, "reference_taken": THREADS - 1}
    assert billing.gateway("test").charges() == 1


def test_eight_threads_that_do_everything_lose_nothing(file) -> None:
    """Customers, signups, usage, cancellations and runs on one Billing object."""
    billing = books(f"sqlite:///{file}")

    def everything(n):
        billing.customers.create(f"c{n}")
        billing.payment_methods.add(f"c{n}", "approve")
        for k in range(3):
            billing.subscriptions.create(f"s{n}-{k}", f"c{n}", "pro-m", components={"calls": "0"})
            billing.usage.record(f"s{n}-{k}", "calls", "10", event_id="e1")
            billing.run(billing.clock.now())
        billing.subscriptions.cancel(f"s{n}-2")
        return "done"

    assert at_once(everything) == ["done"] * THREADS
    billing.run(day("02-01"))
    states = Counter(one.state for one in billing.subscriptions.list(limit=100))
    assert states == {"active": 2 * THREADS, "canceled": THREADS}
    invoices = billing.invoices.list(limit=1000)
    assert sorted(one.number for one in invoices) == list(range(1, len(invoices) + 1))
    assert sum(one.total for one in invoices) == THREADS * (3 * 3000 + 100 + 2 * (3000 + 100))
    assert billing.gateway("test").taken("USD").minor == sum(one.paid for one in invoices)


def test_three_runs_at_once_bill_and_charge_everything_once(file) -> None:
    """Three processes with one file and one gateway: `billcore run` typed three times."""
    (told,) = dying("tests.engine.racing", str(file))
    assert told["findings"] == []
    assert told["ended"] == [0, 0, 0]
    assert told["charged"] == told["paid"] and len(told["paid"]) > 250
    assert told["numbers"] == list(range(1, len(told["numbers"]) + 1))
    assert set(told["renewals"]) == {2, 3}


def test_a_writer_that_stays_is_named_and_what_was_asked_for_can_be_repeated(file) -> None:
    billing = books(f"sqlite:///{file}?timeout=1")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        refused = refusal(billing.customers.create, "bolt")
        assert refused.code == "database_locked" and "Another process" in refused.remedy
        assert 0.5 < time.monotonic() - began < 5
        assert billing.customers.get("acme").reference == "acme"  # Reading does not wait.
        other.execute("ROLLBACK")
    assert billing.customers.create("bolt").reference == "bolt"


def test_a_host_in_its_transaction_makes_others_wait_and_nobody_hangs(file) -> None:
    """The host holds SQLite's one write lock: another thread waits for it, and is refused when it takes too long."""
    billing = books(f"sqlite:///{file}?timeout=1")
    engine = sqlite_engine(f"sqlite:///{file}")
    inside, done = threading.Event(), threading.Event()

    def host():
        with engine.begin() as connection, billing.joined(connection) as joined:
            joined.customers.create("bolt")
            inside.set()
            done.wait(20)
            joined.customers.create("crab")

    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(host)
        assert inside.wait(20)
        refused = refusal(billing.customers.create, "dune")
        assert refused.code == "database_locked"
        assert [one.reference for one in billing.customers.list()] == ["acme"]
        waiting = pool.submit(billing.customers.create, "dune")
        done.set()
        held.result(20)
        assert waiting.result(20).reference == "dune"
    assert sorted(one.reference for one in billing.customers.list()) == ["acme", "bolt", "crab", "dune"]
    engine.dispose()


def test_a_command_from_within_the_hosts_own_thread_is_refused_not_hung(file) -> None:
    """Whoever calls the outer object while his own transaction is open waits for himself: only so long."""
    billing = books(f"sqlite:///{file}?timeout=1")
    engine = sqlite_engine(f"sqlite:///{file}")
    with engine.begin() as connection, billing.joined(connection) as joined:
        joined.customers.create("bolt")
        assert refusal(billing.customers.create, "crab").code == "database_locked"
        connection.execute(sa.text("SELECT 1"))
    assert sorted(one.reference for one in billing.customers.list()) == ["acme", "bolt"]
    engine.dispose()


def test_two_processes_that_open_a_new_file_at_once_make_one_store(file) -> None:
    def opened(_n):
        with Billing(f"sqlite:///{file}") as billing:
            return billing.installation

    assert len(set(at_once(opened))) == 1
