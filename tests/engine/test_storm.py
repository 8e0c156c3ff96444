"""Four workers on PostgreSQL under fire: one charge per invoice by the gateway's own book (promises P1, P5, P6, P7).

`make soak` runs the same for as long as you like: `make soak SECONDS=600 SEED=7`.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from tests import databases
from tests.project import ROOT

pytestmark = pytest.mark.postgresql_only

SOAK_S = int(os.environ.get("BILLCORE_SOAK_SECONDS", "0"))
SEED = int(os.environ.get("BILLCORE_SOAK_SEED", "20260201"))


def storm(folder, *options, seed=SEED):
    """What the storm says of the books it left; in a process of its own, because it forks."""
    quiet = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-m", "tests.engine.storm", databases.fresh(), str(folder / f"book-{seed}.jsonl")]
    done = subprocess.run(
        [*command, "--seed", str(seed), *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=quiet,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_every_invoice_was_charged_once(told) -> None:
    assert told["findings"] == []
    assert told["died by themselves"] == 0
    assert told["charges"] == told["invoices"] == told["paid"] >= 1000
    assert told["charged twice"] == 0
    assert told["taken"] == told["paid in books"]
    assert told["gapless"]
    assert told["renewed"] == {"2": told["invoices"]}


def test_forty_kills_cut_commits_and_lost_answers_leave_one_charge_for_every_invoice(stores, tmp_path) -> None:
    """Every kill comes while there is work; commits lose their answer, charges get lost on the way there and back."""
    told = storm(tmp_path)
    assert told["kills"] >= 40 and told["cut commits"] >= 10
    assert_every_invoice_was_charged_once(told)


def test_the_storm_sees_a_protocol_that_charges_twice(stores, tmp_path) -> None:
    """A fresh key for every call and no question first: the books look well, only the gateway's own show it."""
    told = storm(tmp_path, "--mutant", "--kills", "8", "--subscriptions", "200")
    assert told["findings"] == []
    assert told["charged twice"] > 0  # It stops before every invoice had its turn.


@pytest.mark.skipif(SOAK_S == 0, reason="a soak takes as long as it is told: make soak")
def test_a_long_storm(stores, tmp_path) -> None:
    end = time.monotonic() + SOAK_S
    seed = SEED
    while time.monotonic() < end:
        told = storm(tmp_path, seed=seed)
        assert_every_invoice_was_charged_once(told)
        seed += 1
        databases.renew()
