"""A book in a file survives kills and is shared by processes: one truth for all of them."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from billcore.plugins.gateway import Approved, AttemptNotFound, Charge, Lookup, Money, Pending, Refund, perform
from billcore_gateway_test import Config, ScriptedGateway

USD = Money(4900, "USD")


def charge(number, token="approve"):
    return Charge(f"pay_{number}", f"key_{number}", USD, token, "cus_1", f"inv_{number}")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "book.jsonl")


def test_a_new_object_knows_what_the_old_one_charged(path):
    first = ScriptedGateway(Config(book=path, fsync=True))
    perform(first, charge(1))
    perform(first, charge(2, "pending"))
    perform(first, Refund("ref_1", "refund_1", Money(900, "USD"), "test_key_1"))
    first.close()
    second = ScriptedGateway(Config(book=path))
    assert second.taken("USD") == Money(4000, "USD")
    assert second.lookup(Lookup("pay_1", USD)) == Approved("test_key_1", 4900, "USD")
    assert second.lookup(Lookup("pay_2", USD)) == Pending("test_key_2")
    assert perform(second, charge(1)) == Approved("test_key_1", 4900, "USD")
    assert second.settle("pay_2", "approve") == Approved("test_key_2", 4900, "USD")
    assert second.charges() == 2
    second.close()


def test_objects_of_one_file_see_each_others_charges_at_once(path):
    first, second = ScriptedGateway(Config(book=path)), ScriptedGateway(Config(book=path))
    perform(first, charge(1))
    assert perform(second, charge(1)) == Approved("test_key_1", 4900, "USD")
    assert first.charges() == second.charges() == 1
    perform(second, charge(2))
    assert first.lookup(Lookup("pay_2", USD)) == Approved("test_key_2", 4900, "USD")
    first.close()
    second.close()


def test_a_line_cut_off_by_a_kill_is_dropped(path):
    first = ScriptedGateway(Config(book=path))
    perform(first, charge(1))
    first.close()
    with Path(path).open("ab") as file:
        file.write(b'{"key":"key_2","attempt')
    second = ScriptedGateway(Config(book=path))
    assert second.lookup(Lookup("pay_2", USD)) == AttemptNotFound("pay_2")
    perform(second, charge(2))
    second.close()
    third = ScriptedGateway(Config(book=path))
    assert [movement.key for movement in third.book()] == ["key_1", "key_2"]
    third.close()


def test_a_killed_process_leaves_what_it_charged_in_the_book(path):
    """The charge is written before its answer is given, so a kill between the two loses the answer only."""
    program = (
        "import os, sys\n"
        "from billcore_gateway_test import Config, ScriptedGateway\n"
        "from billcore.plugins.gateway import Charge, Money\n"
        "gateway = ScriptedGateway(Config(book=sys.argv[1]))\n"
        "gateway.charge(Charge('pay_1', 'key_1', Money(4900, 'USD'), 'approve', 'cus_1', 'inv_1'))\n"
        "os._exit(137)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], check=False, env=dict(os.environ))
    assert killed.returncode == 137
    gateway = ScriptedGateway(Config(book=path))
    assert gateway.lookup(Lookup("pay_1", USD)) == Approved("test_key_1", 4900, "USD")
    gateway.close()


def _charge_all(path):
    gateway = ScriptedGateway(Config(book=path))
    for number in range(200):
        perform(gateway, charge(number))
    gateway.close()


def test_processes_that_send_the_same_keys_charge_each_once(path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_charge_all, args=(path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    gateway = ScriptedGateway(Config(book=path))
    assert gateway.charges() == len({movement.key for movement in gateway.book()}) == 200
    gateway.close()
