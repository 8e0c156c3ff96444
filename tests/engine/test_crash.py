"""A process may end at any point; who comes back finds everything once (promises P1, P5, P6; behaviour 5.1, 9.3)."""

import json
import os
import subprocess
import sys

import pytest

from billcore.clock import SystemClock
from billcore.engine.leases import Leases, has_ended, machine
from tests.project import ROOT
from tests.share import ALL


def dying(*args):
    """What a program of these tests says, line by line; it runs in a process of its own because it forks."""
    quiet = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-m", *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=quiet,
        timeout=2000 if ALL else 400,  # All points on PostgreSQL are hundreds of processes.
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def one_of(database_kind, *, sqlite, postgresql):
    """Of how many points one is tried: on PostgreSQL each takes longer."""
    return "1" if ALL else str({"sqlite": sqlite, "postgresql": postgresql}[database_kind])


@pytest.fixture(scope="module")
def deaths(tmp_path_factory, database_kind):
    every = one_of(database_kind, sqlite=3, postgresql=6)
    return dying("tests.engine.dying", str(tmp_path_factory.mktemp("dying") / "books.db"), database_kind, every)


def test_the_undisturbed_host_is_paid_once_for_everything(deaths) -> None:
    whole = deaths[0]["whole"]
    assert whole["findings"] == []
    assert whole["subscriptions"] == [
        "s1 active 2 03-01",
        "s2 active 2 03-01",
        "s3 active 2 03-01",
        "s4 failed_to_create 1 02-01",
    ]
    assert whole["charged"] == whole["captured"] == 5000 + 3000 + 3000 + 4000 + 3000 + 3000
    assert whole["given back"] == [500, 2000, 3000]
    assert whole["refunds"] == ["refund succeeded 2000", "refund succeeded 3000", "refund succeeded 500"]
    assert whole["notes"] == ["refund 2000", "refund 3000"]
    assert deaths[0]["counted"]["charge"] == 7 and deaths[0]["counted"]["refund"] == 3


def test_whoever_died_at_a_commit_a_charge_or_a_refund_ends_where_nobody_died(deaths, database_kind) -> None:
    """Every commit of signup, activation, renewal, collection and refund, and every call, just before and after."""
    assert len(deaths) > {"sqlite": 15, "postgresql": 7}[database_kind]
    for death in deaths[1:]:
        assert death["died"] == 137, death["point"]
        assert death["stands"] == deaths[0]["whole"], death["point"]


def test_the_gateways_own_book_has_one_charge_for_every_invoice_and_one_refund_for_each_asked_for(deaths) -> None:
    """The books of billcore alone could not see a double charge."""
    for death in deaths[1:]:
        assert set(death["stands"]["charges per invoice"]) == {1}, death["point"]
        assert death["stands"]["charged"] == death["stands"]["captured"], death["point"]
        assert death["stands"]["given back"] == [500, 2000, 3000], death["point"]


def test_a_prepayment_is_topped_up_once_for_each_fall_wherever_the_process_dies(tmp_path, database_kind) -> None:
    """Each customer: 45.00, a signup of 30.00, calls for 16.00, a renewal of 30.00; twice 40.00 are charged."""
    every = one_of(database_kind, sqlite=4, postgresql=8)
    deaths = dying("tests.engine.dying_prepaid", str(tmp_path / "books.db"), database_kind, every)
    whole = deaths[0]["whole"]
    assert whole["findings"] == [] and whole["charged"] == whole["captured"] - 2 * 4500
    assert whole["subscriptions"] == ["s0 active 2 03-01", "s1 active 2 03-01"]
    assert whole["charges per invoice"] == [1] * len(whole["charges per invoice"]) and len(deaths) > 3
    for death in deaths[1:]:
        assert death["died"] == 137, death["point"]
        assert death["stands"] == whole, death["point"]


@pytest.mark.parametrize("decline", ["refuse", "keep"])
def test_what_changes_a_subscription_happens_once_wherever_the_process_dies(tmp_path, database_kind, decline) -> None:
    """Changes, components, attach, returns, refunded cancellations, charges, an invoice by hand and a join."""
    places = {"refuse": {"sqlite": 18, "postgresql": 50}, "keep": {"sqlite": 30, "postgresql": 60}}[decline]
    every = one_of(database_kind, **places)
    whole, *deaths = dying("tests.engine.dying_changes", str(tmp_path / "books.db"), database_kind, decline, every)
    stands = whole["whole"]
    # Whose change was kept although his bank said no still owes it when his dunning is over.
    stuck = {"refuse": [], "keep": ["overdue"]}[decline]
    assert (stands["findings"], stands["stuck"], stands["given back"]) == ([], stuck, [1935, 34126])
    assert set(stands["charges per invoice"]) == {1} and stands["charged"] == stands["captured"]
    assert deaths
    for death in deaths:
        assert death["died"] == 137, death["point"]
        assert death["stands"] == stands, death["point"]


@pytest.mark.sqlite_only("the storm does it to PostgreSQL")
def test_a_run_that_is_killed_twenty_times_charges_every_invoice_once(tmp_path) -> None:
    """300 subscriptions through months; some answers get lost and some cards are declined on top."""
    kills, stands = dying("tests.engine.killing", str(tmp_path / "books.db"))
    assert kills["kills"] >= 15 and kills["stood"] >= 5
    whole, killed = stands["whole"], stands["killed"]
    assert killed["findings"] == whole["findings"] == []
    assert killed["charged"] == killed["paid"]
    assert killed["numbers"] == list(range(1, len(killed["numbers"]) + 1))
    assert (killed["renewed"], killed["totals"]) == (whole["renewed"], whole["totals"])
    assert killed["parked"] == []


def test_a_process_that_has_ended_holds_no_lease() -> None:
    """Nobody waits a minute for the dead; who may be alive somewhere else is waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    here = machine()
    assert has_ended(f"{here}:{ended.pid}:abcd.1")
    assert not has_ended(Leases(SystemClock(), "abcd").take()[0])
    assert not has_ended(f"elsewhere:{ended.pid}:abcd.1")
    assert not has_ended(f"{here[:-1]}:{ended.pid}:abcd.1"), "the machine was started anew, or it is a container"
    assert not has_ended(None) and not has_ended("1") and not has_ended(f"{here}:{10**30}:abcd.1")


def test_leases_of_one_process_are_told_apart() -> None:
    """Two threads, two stores opened in one process, two containers with one name: each lease is its owner's."""
    one, two = (Leases(SystemClock(), instance) for instance in ("abcd", "ef01"))
    assert len({lease.take()[0] for lease in (one, one, two, two)}) == 4
