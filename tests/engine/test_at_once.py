"""Several at once on one set of books: runs, threads, hosts in the middle of a transaction (P2, P7, F5, F11, F20)."""

import json
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
from tests import databases
from tests.builders import CATALOG, books, day, refusal
from tests.engine.test_crash import dying

pytestmark = pytest.mark.usefixtures("books_are_proven")

THREADS = 20


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


def test_one_key_from_twenty_threads_is_one_effect(file) -> None:
    """A double click: everybody gets the same subscription, the gateway is called once."""
    billing = books(databases.at(file))

    def sign_up(_n):
        return billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="click")

    made = at_once(sign_up)
    assert len({one.id for one in made}) == 1
    assert {one.state for one in made} <= {"active", "pending"}
    assert billing.gateway("test").charges() == 1
    assert sign_up(0).state == "active"


def test_one_reference_from_twenty_threads_is_given_once(file) -> None:
    billing = books(databases.at(file))
    made = at_once(lambda n: billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key=f"k{n}"))
    assert Counter(getattr(one, "code", "made") for one in made) == {"made": 1, "reference_taken": THREADS - 1}
    assert billing.gateway("test").charges() == 1


def test_eight_threads_that_do_everything_lose_nothing(file) -> None:
    """Customers, signups, usage, cancellations and runs on one Billing object."""
    billing = books(databases.at(file))

    def everything(n):
        billing.customers.create(f"c{n}")
        billing.payment_methods.add(f"c{n}", "approve")
        for k in range(3):
            billing.subscriptions.create(f"s{n}-{k}", f"c{n}", "pro-m", components={"calls": "0"})
            billing.usage.record(f"s{n}-{k}", "calls", "10", event_id="e1")
            billing.run(billing.clock.now())
        billing.subscriptions.cancel(f"s{n}-2")
        return "done"

    count = 8
    assert at_once(everything, count) == ["done"] * count
    billing.run(day("02-01"))
    states = Counter(one.state for one in billing.subscriptions.list(limit=100))
    assert states == {"active": 2 * count, "canceled": count}
    invoices = billing.invoices.list(limit=1000)
    assert sorted(one.number for one in invoices) == list(range(1, len(invoices) + 1))
    assert sum(one.total for one in invoices) == count * (3 * 3000 + 100 + 2 * (3000 + 100))
    assert billing.gateway("test").taken("USD").minor == sum(one.paid for one in invoices)


def told(made):
    """What the callers got, counted: the state of what was returned, or the code of a refusal."""
    return Counter(getattr(one, "state", None) or getattr(one, "code", None) or type(one).__name__ for one in made)


def test_keys_of_their_own_on_one_subscription_end_it_once(file) -> None:
    """F20: who comes second is told that it is over; what was given back was given back once."""
    billing = books(databases.at(file))
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-10"))
    made = at_once(lambda n: billing.subscriptions.cancel("s1", credit="unused", idempotency_key=f"k{n}"))
    assert told(made) == {"canceled": 1, "transition_not_allowed": THREADS - 1}
    assert len(billing.invoices.credit_notes()) == 1


def test_one_key_that_cancels_answers_everybody_the_same(file) -> None:
    billing = books(databases.at(file))
    billing.subscriptions.create("s1", "acme", "pro-m")
    made = at_once(lambda _n: billing.subscriptions.cancel("s1", idempotency_key="click"))
    assert told(made) == {"canceled": THREADS}
    assert len({str(one) for one in made}) == 1


@pytest.mark.parametrize("keys", ["click", "k{}"])
def test_a_retry_asked_for_by_many_charges_once(file, keys) -> None:
    billing = books(databases.at(file))
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("02-01"))
    assert billing.subscriptions.get("s1").state == "past_due"
    made = at_once(lambda n: billing.subscriptions.retry("s1", idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"active", "past_due", "transition_not_allowed", "payment_in_doubt"}
    assert billing.gateway("test").charges() == 2
    assert [one.status for one in billing.payments.list()] == ["succeeded", "failed", "succeeded"]
    assert billing.subscriptions.get("s1").state == "active"


@pytest.mark.parametrize("keys", ["click", "k{}"])
def test_an_activation_asked_for_by_many_is_charged_once(file, keys) -> None:
    billing = books(databases.at(file))
    billing.subscriptions.create("s1", "acme", "try")
    made = at_once(lambda n: billing.subscriptions.activate("s1", idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"active", "trialing", "payment_in_doubt", "transition_not_allowed"}
    assert billing.gateway("test").charges() == 1
    assert billing.subscriptions.get("s1").state == "active"


def test_a_new_method_from_many_is_tried_once_on_what_is_overdue(file) -> None:
    billing = books(databases.at(file), method=None)
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-01-10")
    billing.run(day("01-11"))
    assert billing.subscriptions.get("s1").state == "past_due"
    made = at_once(lambda n: billing.payment_methods.add("acme", "approve", reference="card", idempotency_key=f"k{n}"))
    assert told(made) == {"PaymentMethod": 1, "reference_taken": THREADS - 1}
    assert billing.gateway("test").charges() == 1


def test_while_an_attempt_is_under_way_its_key_answers_that_it_is(file) -> None:
    """The second click comes while the gateway still thinks about the first."""
    billing = books(databases.at(file))
    billing.gateway("test").script(["slow:1"], default="approve")

    def sign_up():
        return billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="click")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(sign_up)
        while not billing.payments.list():
            time.sleep(0.01)
        second = sign_up()
        assert second.state == "pending" and not first.done()
        assert (first.result(20).state, first.result().id) == ("active", second.id)
    assert sign_up().state == "active"
    assert billing.gateway("test").charges() == 1


def test_a_coupon_for_three_is_given_to_three_of_twenty(file) -> None:
    catalog = CATALOG | {"coupons": [{"code": "THREE", "percent_off": "10", "max_redemptions": 3}]}
    billing = books(databases.at(file), catalog=catalog, customers=tuple(f"c{n}" for n in range(THREADS)))
    made = at_once(lambda n: billing.subscriptions.create(f"s{n}", f"c{n}", "pro-m", coupons=["THREE"]))
    assert told(made) == {"active": 3, "coupon_used_up": THREADS - 3}


def test_changes_of_the_site_do_not_undo_each_other(file) -> None:
    billing = books(databases.at(file))
    values = {
        "tax_rounding": "line",
        "signup_decline": "past_due",
        "period_policy": "chained",
        "expiry_from": "activation",
    }

    def change(n):
        if n % 2:
            billing.catalog.apply({"coupons": [{"code": f"C{n}", "percent_off": "5"}]})
        else:
            name = list(values)[n // 2 % len(values)]
            billing.settings.set(name, values[name])
        return "done"

    assert at_once(change) == ["done"] * THREADS
    with Billing(databases.at(file)) as again:
        for each in (billing, again):
            codes = {one["code"] for one in each.catalog.export()["coupons"]}
            assert codes >= {f"C{n}" for n in range(1, THREADS, 2)}
            assert {name: str(each.settings.list()[name]) for name in values} == values


def test_an_event_told_by_many_is_recorded_once(file) -> None:
    billing = books(databases.at(file))
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    made = at_once(lambda _n: billing.usage.record("s1", "calls", "10", event_id="e1"))
    assert len({one.id for one in made}) == 1


def test_a_threshold_that_many_reach_together_is_invoiced_once(file) -> None:
    """Twenty times five units with one bill for every fifty: two invoices, each event on one of them (12.4)."""
    own = json.loads(json.dumps(CATALOG))
    own["products"][0]["prices"].append({"code": "own", "amount": "0.00", "every": "1 month", "thresholds": ["5.00"]})
    billing = books(databases.at(file), catalog=own)
    billing.subscriptions.create("s1", "acme", "own", components={"calls": "0"})
    billing.run(day("01-10"))
    at_once(lambda n: billing.usage.record("s1", "calls", "5", event_id=f"e{n}"))
    assert [one.total for one in billing.invoices.list()] == [500, 500]
    assert all(one.line_id is not None for one in billing.usage.list("s1"))
    assert billing.gateway("test").charges() == 2


def test_one_custom_price_is_made_once(file) -> None:
    billing = books(databases.at(file), customers=tuple(f"c{n}" for n in range(THREADS)))
    made = at_once(lambda n: billing.subscriptions.create(f"s{n}", f"c{n}", "pro-m", custom={"amount": "1.00"}))
    assert told(made) == {"active": THREADS}
    assert len({one.price_id for one in made}) == 1


@pytest.mark.sqlite_only("test_workers.py has more of it on PostgreSQL")
def test_three_runs_at_once_bill_and_charge_everything_once(file) -> None:
    """Three processes with one file and one gateway: `billcore run` typed three times."""
    (told,) = dying("tests.engine.racing", str(file))
    assert told["findings"] == []
    assert told["ended"] == [0, 0, 0]
    assert told["charged"] == told["paid"] and len(told["paid"]) > 250
    assert told["numbers"] == list(range(1, len(told["numbers"]) + 1))
    assert set(told["renewals"]) == {2, 3}


@pytest.mark.sqlite_only("a row's lock is SQLite's whole file")
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


@pytest.mark.sqlite_only("PostgreSQL's writers do not wait for each other")
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


@pytest.mark.sqlite_only("PostgreSQL's writers do not wait for each other")
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


def test_all_who_open_a_new_database_at_once_open_one_store(file) -> None:
    url = databases.CURRENT[-1].blank(file)

    def opened(_n):
        with Billing(url) as billing:
            return billing.installation

    assert len(set(at_once(opened))) == 1
