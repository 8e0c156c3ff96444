"""`billcore run` and `billcore worker`: due work from a terminal, stopped cleanly, gone on with later."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from billcore.cli.run import _seconds


def test_a_run_moves_a_simulated_clock_and_says_what_it_did(shell):
    shell.with_subscription()
    said = shell.ok("run", "--until", "2026-05-01")
    assert said.out == "Done up to 2026-05-01: 3 subscription dates, 3 collections.\n"
    assert shell.ok("run", "--until", "2026-05-01").out == "Done up to 2026-05-01: nothing was due.\n"
    assert len(shell.json("invoices", "list")) == 4


def test_a_run_tells_programs_what_it_did(shell):
    shell.with_subscription()
    report = shell.json("run", "--until", "2026-03-01")
    assert (report["actions"], report["collections"], report["stopped"]) == (1, 1, False)


def test_a_system_clock_is_not_moved(shell):
    shell.ok("init")
    said = shell("run", "--until", "2999-01-01")
    assert said.code == 1 and "billcore init --clock" in said.err


def test_an_attempt_without_an_answer_is_asked_for_by_the_next_process(shell):
    """The test gateway keeps its book beside the store: a charge whose reply was lost is found again (9.3)."""
    shell.with_customer("timeout_after_charge")
    create = ["subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly"]
    assert "pending" in shell.process(*create).out
    assert shell.json("payments", "list")[0]["status"] == "unknown"
    assert shell.process("run", "--until", "2026-02-01").code == 0
    payments = shell.json("payments", "list")
    assert [(one["status"], one["captured"]) for one in payments] == [("succeeded", 4900)]
    assert shell.json("subscriptions", "get", "s1")["state"] == "active"


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(shell):
    shell.with_customer()
    shell.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-daily")
    process = shell.start("run", "--until", "2046-01-31")
    deadline = time.monotonic() + 30
    while not shell.json("invoices", "list", "--newest", "--limit", "1")[0]["number"] > 3:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "Stopped cleanly" in out and "Traceback" not in err
    billed = shell.json("subscriptions", "get", "s1")
    until = billed["period_end"]
    shell.ok("run", "--until", until)
    assert shell.json("subscriptions", "get", "s1")["sequence"] == billed["sequence"] + 1


def test_a_worker_works_until_it_is_told_to_stop(shell):
    shell.ok("init")
    process = shell.start("worker", "--every", "1s", "--json")
    assert process.stdout is not None
    assert '"total": 0' in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped cleanly" in err


def test_a_worker_does_not_wait_for_a_clock_that_stands_still(shell):
    shell.with_catalog()
    said = shell("worker")
    assert said.code == 1 and "run --until" in said.err


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("90", 90), ("5m", 300), ("1 h", 3600)])
def test_pauses(text, seconds):
    assert _seconds(text) == seconds


def test_sqlite_refuses_a_second_worker_and_says_why(shell):
    shell.with_catalog()
    said = shell("run", "--workers", "2")
    assert said.code == 1 and "one writer" in said.err and "PostgreSQL" in said.err


def test_a_person_who_watches_sees_time_pass(shell):
    """The bar and colours are for terminals only."""
    shell.with_customer()
    shell.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-daily")
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-m", "billcore", "run", "--until", "2026-06-01"]
    environment = {**os.environ, **shell.environment, "TERM": "xterm-256color"}
    with subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # The terminal is closed at the end.
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
    assert process.returncode == 0
    assert b"2026-0" in shown and b" done" in shown and b"\x1b[" in shown
    assert "Done up to 2026-06-01: 121 subscription dates" in shown.decode()


def test_a_worker_whose_file_is_replaced_stops(shell):
    """F12: what it wrote would be seen by nobody."""
    shell.ok("init")
    process = shell.start("worker", "--every", "1s", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    (shell.folder / "books.db").rename(shell.folder / "elsewhere.db")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "database_replaced" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("token", "code", "status"),
    [
        ("approve", 0, "succeeded"),
        ("decline:expired_card", 1, "failed"),
        ("pending", 0, "pending"),
        ("action", 0, "requires_action"),
        ("timeout_before", 0, "unknown"),
        ("timeout_after_charge", 0, "unknown"),
        ("error_500_after_charge", 0, "unknown"),
        ("garbage", 0, "unknown"),
        ("unreachable", 1, "failed"),
        ("no_such_method", 1, "failed"),
    ],
)
def test_every_answer_of_a_gateway_is_told_without_a_traceback(shell, token, code, status):
    shell.with_customer(token)
    create = ["subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly"]
    said = shell(*create)
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert ("https://" in said.out) is (token == "action")
    assert shell.json("payments", "get", "acme/pay/1")["status"] == status
    assert status in shell.ok("payments", "list").out
    assert shell("run", "--until", "2026-02-02").code == 0
