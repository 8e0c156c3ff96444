"""Who makes an attempt holds its lease: who lost it begins no call, and what he believes counts no more (F6)."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from attrs import evolve

from billcore.billing import Billing
from billcore.domain.payment import Outcome
from billcore.engine.collection import Settled, record_outcomes
from billcore.engine.leases import Held
from billcore.plugins.gateway import GatewayNotSent
from billcore_gateway_test.gateway import ScriptedGateway
from tests import databases
from tests.builders import HandClock, books, day
from tests.engine.test_crash import dying

pytestmark = pytest.mark.usefixtures("books_are_proven")

MONTH = day("02-01")


def monthly(file, count, clock):
    """Books with so many subscriptions whose renewals are due, nobody's yet."""
    names = [f"c{n}" for n in range(count)]
    billing = books(databases.at(file), clock=clock, customers=names)
    for name in names:
        billing.subscriptions.create(name, name, "pro-m")
    clock.time = MONTH
    return billing


def beside(billing, file, clock):
    """A second process with the same books and the same gateway."""
    other = Billing(databases.at(file), clock=clock)
    other.gateway = billing.gateway
    return other


def charged(billing):
    """How often each invoice was charged, by the gateway's own book."""
    owner = {one.id: one.invoice_id for one in billing.payments.list(limit=1000)}
    return Counter(owner[one.attempt_id] for one in billing.gateway("test").book())


@pytest.fixture
def file(tmp_path):
    return tmp_path / "books.db"


def test_who_lost_his_lease_does_not_say_that_nothing_was_sent(file, monkeypatch) -> None:
    """He sleeps in the middle of a call; another asks, charges, and is not undone by what the sleeper believes."""
    clock, asleep, awake = HandClock(), threading.Event(), threading.Event()
    billing = monthly(file, 1, clock)
    charge = ScriptedGateway.charge

    def sleeping(_self, request):
        asleep.set()
        awake.wait(30)
        raise GatewayNotSent("The connection was refused.", attempt_id=request.attempt_id)

    monkeypatch.setattr(ScriptedGateway, "charge", sleeping)
    sleeper = threading.Thread(target=billing.run)
    sleeper.start()
    assert asleep.wait(30)
    monkeypatch.setattr(ScriptedGateway, "charge", charge)
    later = HandClock(MONTH + timedelta(minutes=3))
    with beside(billing, file, later) as other:
        other.run()
        assert other.payments.list()[-1].status == "succeeded"
        awake.set()
        sleeper.join(30)
        assert [one.status for one in other.payments.list()] == ["succeeded", "succeeded"]
        other.run()
    assert set(charged(billing).values()) == {1} and billing.gateway("test").charges() == 2
    assert billing.subscriptions.get("c0").state == "active"


@pytest.mark.parametrize("kind", ["not_sent", "unknown", "not_found"])
def test_only_facts_are_taken_from_who_holds_no_lease(file, kind) -> None:
    clock = HandClock()
    billing = monthly(file, 1, clock)
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    billing.run()
    payment = billing.payments.list()[-1]
    stale = Settled(payment.id, payment.customer_id, Outcome(kind), clock.now(), "somebody/0:1:2.3")
    record_outcomes(billing._workplace(), [stale])
    assert billing.payments.get(payment.id) == payment
    fact = evolve(stale, outcome=Outcome("approved", payment.amount, "charge-1"))
    for _ in range(2):
        record_outcomes(billing._workplace(), [fact])
    assert billing.payments.get(payment.id).status == "succeeded"
    assert billing.invoices.get(payment.invoice_id).paid == payment.amount


def test_a_call_is_not_begun_when_it_might_outlast_its_lease(file, monkeypatch) -> None:
    """The machine slept for two minutes after the first call: what is left is asked for before it is sent."""
    clock = HandClock()
    billing = monthly(file, 5, clock)
    charge = ScriptedGateway.charge

    def slow(self, request):
        clock.time += timedelta(minutes=2)
        return charge(self, request)

    monkeypatch.setattr(ScriptedGateway, "charge", slow)
    workplace = billing._workplace
    monkeypatch.setattr(billing, "_workplace", lambda: evolve(workplace(), threads=1))
    billing.run(MONTH)
    assert Counter(one.status for one in billing.payments.list()[5:]) == {"succeeded": 1, "pending": 4}
    monkeypatch.setattr(ScriptedGateway, "charge", charge)
    clock.time += timedelta(minutes=10)
    billing.run()
    assert Counter(one.status for one in billing.payments.list()[5:]) == {"succeeded": 5}
    assert set(charged(billing).values()) == {1}


@pytest.fixture
def renewals(monkeypatch):
    """Is set whenever a batch has recorded what it had and renewed the rest."""
    renewed, renew = threading.Event(), Held.renew

    def noted(self):
        renew(self)
        renewed.set()

    monkeypatch.setattr(Held, "renew", noted)
    return renewed


def test_a_long_batch_renews_its_leases_and_records_what_it_has(file, monkeypatch, renewals) -> None:
    """Twelve calls of ten seconds take longer than a lease; nobody else gets at them meanwhile."""
    clock = HandClock()
    billing = monthly(file, 12, clock)
    charge, seen = ScriptedGateway.charge, []

    def slow(self, request):
        if len(seen) in (2, 4, 6, 8, 10):  # After two calls of ten seconds, while this one is on its way.
            assert renewals.wait(30)
            renewals.clear()
        clock.time += timedelta(seconds=10)
        if len(seen) == 11:
            with beside(billing, file, HandClock(MONTH + timedelta(minutes=10))) as other:
                stored = other.payments.list(limit=100)
                seen.append(Counter(one.status for one in stored[12:]))
                clock_now = clock.now()
                assert all(one.lease_until > clock_now for one in stored if one.status == "pending")
        else:
            seen.append(None)
        return charge(self, request)

    monkeypatch.setattr(ScriptedGateway, "charge", slow)
    workplace = billing._workplace
    monkeypatch.setattr(billing, "_workplace", lambda: evolve(workplace(), threads=1))
    billing.run(MONTH)
    assert seen[-1]["succeeded"] >= 8
    assert Counter(one.status for one in billing.payments.list(limit=100)[12:]) == {"succeeded": 12}
    assert set(charged(billing).values()) == {1}


def test_what_somebody_else_has_taken_over_is_dropped_from_a_long_batch(file, monkeypatch, renewals) -> None:
    clock = HandClock()
    billing = monthly(file, 6, clock)
    charge, taken = ScriptedGateway.charge, []

    def slow(self, request):
        if taken:
            assert renewals.wait(30)
            renewals.clear()
        else:
            last = billing.payments.list(limit=100)[-1]
            taken.append(last.id)
            with billing.database.transaction() as tx:
                tx.execute(
                    "UPDATE billcore_payments SET lease_owner = ?, version = version + 1 WHERE id = ?",
                    ["other/0:1:2.3", last.id],
                )
        clock.time += timedelta(seconds=16)
        return charge(self, request)

    monkeypatch.setattr(ScriptedGateway, "charge", slow)
    workplace = billing._workplace
    monkeypatch.setattr(billing, "_workplace", lambda: evolve(workplace(), threads=1))
    billing.run(MONTH)
    statuses = {one.id: one.status for one in billing.payments.list(limit=100)[6:]}
    assert statuses.pop(taken[0]) == "pending"
    assert set(statuses.values()) == {"succeeded"}
    assert taken[0] not in {one.attempt_id for one in billing.gateway("test").book()}
    clock.time += timedelta(minutes=10)
    billing.run()
    assert set(charged(billing).values()) == {1} and len(charged(billing)) == 12


@pytest.mark.postgresql_only("a sleeper on SQLite may hold its one lock")
def test_a_process_that_sleeps_past_its_leases_and_wakes_changes_nothing(file) -> None:
    """SIGSTOP in the middle of a batch; another process takes over; SIGCONT."""
    (told,) = dying("tests.engine.pausing", databases.at(file), str(file))
    assert told["findings"] == []
    assert told["slept"] > 0 and told["charged before"] < told["invoices"]
    assert told["charges per invoice"] == [1]
    assert told["paid"] == told["invoices"] == told["charged"]
    assert told["statuses"] == ["succeeded"]
