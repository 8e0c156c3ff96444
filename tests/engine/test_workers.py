"""Any number of workers at the same books is one worker (P2, P7, F5)."""

import threading
import time
from collections import Counter

import pytest

from billcore.engine import run
from billcore.engine.agenda import read_agenda
from billcore.store.postgresql_transaction import PostgresqlTransaction
from billcore_gateway_test.gateway import ScriptedGateway
from tests import databases
from tests.builders import HandClock, books, day, refusal
from tests.engine.crowding import COUNT
from tests.engine.test_crash import dying

pytestmark = [
    pytest.mark.postgresql_only("SQLite has one writer"),
    pytest.mark.usefixtures("books_are_proven"),
]

MONTH = day("02-01")


@pytest.mark.parametrize(("workers", "how"), [(2, ""), (8, ""), (4, "sliced"), (4, "unlocked")])
def test_workers_at_the_same_rows_bill_and_charge_each_once(tmp_path, workers, how) -> None:
    """Without locks too: what the tables refuse, the unit of work finds done when it is tried again."""
    file = tmp_path / "books.db"
    (told,) = dying("tests.engine.crowding", databases.at(file), str(file), str(workers), how)
    assert told["findings"] == [] and told["ended"] == [0] * workers
    assert told["renewed"] == {"2": COUNT + COUNT // 10}
    assert told["invoices"] == told["paid"] == told["charged"] == COUNT
    assert told["charges per invoice"] == [1]
    assert told["gapless"] and told["left to do"] == 0


def crowd(count):
    clock = HandClock()
    names = [f"c{n}" for n in range(count)]
    billing = books(clock=clock, customers=names)
    for name in names:
        billing.subscriptions.create(name, name, "pro-m")
    clock.time = MONTH
    return billing


def test_a_customer_whom_somebody_keeps_is_left_to_him_and_said() -> None:
    """A host in the middle of a long transaction holds up one customer, not the run."""
    billing = crowd(3)
    kept = billing.customers.get("c1").id
    inside, done = threading.Event(), threading.Event()

    def keep(tx):
        tx.lock_customers([kept])
        inside.set()
        done.wait(60)

    host = threading.Thread(target=lambda: billing.database.unit(keep))
    host.start()
    assert inside.wait(30)
    report = billing.run()
    assert (report.actions, report.collections, report.left) == (2, 2, 1)
    done.set()
    host.join(30)
    assert billing.run().left == 0
    assert {one.sequence for one in billing.subscriptions.list()} == {2}


def test_a_customer_who_is_free_again_in_a_moment_is_done_in_the_same_run() -> None:
    billing = crowd(2)
    kept = billing.customers.get("c0").id
    inside = threading.Event()

    def keep(tx):
        tx.lock_customers([kept])
        inside.set()
        threading.Event().wait(0.5)

    host = threading.Thread(target=lambda: billing.database.unit(keep))
    host.start()
    assert inside.wait(30)
    report = billing.run()
    host.join(30)
    assert (report.actions, report.collections, report.left) == (2, 2, 0)


def test_what_another_worker_has_done_meanwhile_is_counted_by_him_alone(monkeypatch) -> None:
    """Between looking for due work and claiming it another one may have been there."""
    billing = crowd(3)
    reports = []

    def overtaken(*looked_for, **how):
        found = read_agenda(*looked_for, **how)
        monkeypatch.undo()
        other = threading.Thread(target=lambda: reports.append(billing.run()))
        other.start()
        other.join(30)
        return found

    monkeypatch.setattr(run, "read_agenda", overtaken)
    reports.append(billing.run())
    assert [(one.actions, one.collections) for one in reports] == [(3, 3), (0, 0)]


def test_a_page_full_of_customers_whom_others_keep_hides_nobody() -> None:
    """The batch is smaller than what somebody keeps: those behind them are done all the same."""
    billing = crowd(6)
    billing._batch = 2
    kept = sorted(one.id for one in billing.customers.list())[:4]
    inside, done = threading.Event(), threading.Event()

    def keep(tx):
        tx.lock_customers(kept)
        inside.set()
        done.wait(60)

    host = threading.Thread(target=lambda: billing.database.unit(keep))
    host.start()
    assert inside.wait(30)
    report = billing.run()
    assert (report.actions, report.left) == (2, 4)
    done.set()
    host.join(30)
    billing.run()


def test_a_command_waits_for_a_customer_and_decides_on_what_it_finds_then() -> None:
    """Whoever comes second reads after the first has written (F22)."""
    billing = crowd(1)
    sub = billing.subscriptions.get("c0")
    inside, done = threading.Event(), threading.Event()

    def cancel(scope):
        billing.subscriptions.cancel.within(scope, {"subscription": "c0"})
        inside.set()
        done.wait(60)

    host = threading.Thread(target=lambda: billing.unit(cancel))
    host.start()
    assert inside.wait(30)
    second = []
    other = threading.Thread(target=lambda: second.append(refusal(billing.subscriptions.hold, "c0")))
    other.start()
    other.join(0.5)
    assert other.is_alive()
    done.set()
    host.join(30)
    other.join(30)
    assert second[0].code == "transition_not_allowed" and second[0].facts["state"] == "canceled"
    assert billing.subscriptions.get("c0").state != sub.state


def test_reading_keeps_nobody(monkeypatch) -> None:
    billing = crowd(1)
    kept = []
    monkeypatch.setattr(PostgresqlTransaction, "lock_customers", lambda _self, ids, **_: kept.append(ids) or list(ids))
    billing.customers.get("c0")
    billing.subscriptions.get("c0")
    billing.invoices.list(customer="c0")
    billing.payments.list(customer="c0")
    billing.invoices.preview("c0")
    billing.doctor()
    assert kept == []
    billing.subscriptions.cancel("c0", "period_end")
    assert kept


def test_a_slice_that_there_is_not_is_refused() -> None:
    billing = crowd(1)
    assert refusal(billing.run, slice=(2, 2)).code == "invalid_value"


def test_slices_cover_everybody_once() -> None:
    """In simulated time each does its own only: together they have done everything."""
    names = [f"c{n}" for n in range(12)]
    billing = books(customers=names)
    for name in names:
        billing.subscriptions.create(name, name, "pro-m")
    billing.database.unit(lambda _tx: None)
    reports = [billing.run(MONTH, slice=(k, 3)) for k in range(3)]
    assert sum(one.actions for one in reports) == 12
    assert all(one.actions for one in reports)
    assert billing.run(MONTH).total == 0


def test_what_gateways_said_is_written_down_though_somebody_keeps_one_of_the_customers(monkeypatch) -> None:
    """A host keeps a customer while his charge is under way: the others are recorded, he is waited for."""
    billing = crowd(3)
    kept = billing.customers.get("c1").id
    inside, done = threading.Event(), threading.Event()

    def keep(tx):
        tx.lock_customers([kept])
        inside.set()
        done.wait(60)

    host = threading.Thread(target=lambda: billing.database.unit(keep))
    charge = ScriptedGateway.charge

    def charged(self, request):
        if request.customer_id == kept:
            host.start()
            assert inside.wait(30)
        return charge(self, request)

    monkeypatch.setattr(ScriptedGateway, "charge", charged)
    run = threading.Thread(target=billing.run)
    run.start()
    end = time.monotonic() + 30
    while Counter(one.status for one in billing.payments.list()) != {"succeeded": 5, "pending": 1}:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert run.is_alive()
    done.set()
    run.join(30)
    host.join(30)
    assert {one.status for one in billing.payments.list()} == {"succeeded"}
