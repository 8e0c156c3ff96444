"""Joins and leaves that race each other, commands and the run: one outcome, and nobody waits for ever (P2, P7, F20)."""

from collections import Counter

import pytest

from billcore.clock import SimulatedClock
from billcore.engine.actions import do_actions
from billcore.engine.agenda import Due
from billcore.errors import BillcoreError
from tests import databases
from tests.builders import HandClock, books, day
from tests.engine.test_at_once import at_once

pytestmark = pytest.mark.usefixtures("books_are_proven")

THREADS = 8


@pytest.fixture
def billing(tmp_path):
    """Two who may pay, `a` and `b`, and a child with a subscription of its own."""
    billing = books(databases.at(tmp_path / "books.db"), customers=("a", "b", "child"))
    billing.subscriptions.create("s1", "child", "pro-m")
    return billing


def said(made):
    return Counter(one.code if isinstance(one, BillcoreError) else one.pays for one in made)


def owes(billing, *subscriptions):
    customers = {one.id: one.reference for one in billing.customers.list()}
    return [customers[billing.subscriptions.get(one).customer_id] for one in subscriptions]


def test_of_two_who_join_each_other_one_is_told_that_he_stands_above(billing) -> None:
    made = at_once(lambda n: billing.customers.join(*(("a", "b") if n % 2 else ("b", "a"))), 2)
    assert said(made) == {"parent": 1, "invalid_value": 1}


def test_a_ring_of_joins_never_closes(billing) -> None:
    ring = ("a", "b", "child")
    made = at_once(lambda n: billing.customers.join(ring[n % 3], ring[(n + 1) % 3]), THREADS)
    assert set(said(made)) <= {"parent", "invalid_value"}
    assert Counter(one.pays for one in billing.customers.list())["self"] >= 1
    (payer,) = owes(billing, "s1")
    assert billing.customers.get(payer).pays == "self"


def test_joins_of_two_parents_leave_one_payer(billing) -> None:
    made = at_once(lambda n: billing.customers.join("child", "ab"[n % 2]), THREADS)
    assert said(made) == {"parent": THREADS}
    parent = billing.customers.get("child").parent_id
    assert billing.subscriptions.get("s1").customer_id == parent
    billing.run(day("02-01"))
    assert len(billing.invoices.list(customer=parent)) == 1


def test_a_member_who_subscribes_while_he_joins_and_leaves_is_charged_to_his_payer(billing) -> None:
    def one(n):
        if n % 2:
            return billing.subscriptions.create(f"n{n}", "child", "pro-m") and billing.customers.get("child")
        return billing.customers.join("child", "a") if n % 4 else billing.customers.leave("child")

    made = at_once(one, THREADS)
    assert set(said(made)) <= {"parent", "self", "transition_not_allowed", "payment_in_doubt"}
    payer = "a" if billing.customers.get("child").pays == "parent" else "child"
    running = [one.reference for one in billing.subscriptions.list(customer="child")]
    assert set(owes(billing, *running)) == {payer}


@pytest.mark.parametrize("clock", [SimulatedClock, HandClock])
def test_what_falls_due_while_its_payer_changes_is_billed_once(tmp_path, clock) -> None:
    """A run and joins at one instant: the renewal is on one invoice, of who was the payer when it was billed.

    In simulated time the run waits for customers whom somebody else keeps, in real time it leaves them to him.
    """
    time = clock(day("01-01"))
    billing = books(databases.at(tmp_path / "books.db"), customers=("a", "b"), clock=time)
    for n in range(6):
        billing.customers.create(f"m{n}")
        billing.payment_methods.add(f"m{n}", "approve")
        billing.subscriptions.create(f"t{n}", f"m{n}", "pro-m")
    if clock is HandClock:
        time.time = day("02-01")

    def run():
        billing.run(day("02-01") if clock is SimulatedClock else None)

    def one(n):
        if n < 2:
            run()
            return billing.customers.get("a")
        return billing.customers.join(f"m{n - 2}", "ab"[n % 2])

    made = at_once(one, THREADS)
    assert set(said(made)) <= {"self", "parent", "payment_in_doubt"}
    run()
    renewed = [
        line.subscription_id
        for one in billing.invoices.list(limit=100)
        if one.purpose == "renewal"
        for line in one.lines
    ]
    assert sorted(Counter(renewed).values()) == [1] * 6
    assert {one.sequence for one in billing.subscriptions.list()} == {2}


def test_a_worker_who_read_what_is_due_before_its_payer_changed_leaves_it(billing) -> None:
    """He keeps the one who owed; who owes now is somebody else's, and so is the renewal."""
    sub = billing.subscriptions.get("s1")
    read = Due(day("02-01"), sub.customer_id, sub.id)
    billing.customers.join("child", "a")
    do_actions(billing._workplace(), [read])
    assert billing.subscriptions.get("s1").sequence == 1
    do_actions(billing._workplace(), [Due(read.at, billing.customers.get("a").id, sub.id)])
    assert billing.subscriptions.get("s1").sequence == 2


def test_usage_and_commands_go_on_while_the_payer_changes(billing) -> None:
    def one(n):
        if n % 2:
            billing.usage.record("s1", "calls", "1", event_id=f"e{n}")
        else:
            billing.customers.join("child", "ab"[n // 2 % 2])
        return billing.customers.get("child")

    assert not [one for one in at_once(one, THREADS) if isinstance(one, BillcoreError)]
    billing.run(day("02-01"))
    (invoice,) = [one for one in billing.invoices.list() if one.purpose == "renewal"]
    assert invoice.total == 3000 + 40
