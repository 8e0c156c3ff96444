"""Workers on PostgreSQL that are killed while connections and answers get lost: `python -m tests.engine.storm`.

Four processes bill the same book. One is killed every few tenths of a second and started again; a proxy cuts
connections just after COMMIT; the gateway loses answers before and after it has charged. At the end the books are
compared with the gateway's own. `--mutant` breaks the protocol (a fresh key for every call, nobody is asked first):
the comparison must then see what the books cannot.

Everything that is left to chance is drawn from `--seed`; which process meets which transaction is the machine's.
"""

import argparse
import gc
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
from attrs import evolve
from sqlalchemy.engine import make_url

from billcore import hookimpl
from billcore.billing import Billing
from billcore.plugins.gateway import Answer, AttemptNotFound, Charge, GatewaySpec, GatewayUnknown, Lookup, Outcome
from billcore_gateway_test import Config, ScriptedGateway
from tests.builders import CATALOG
from tests.engine.cutter import Cutter
from tests.engine.dying import say

START = datetime(2026, 2, 1, tzinfo=UTC)
SPEED = 300  # Five minutes pass in a second, so that what is asked for again is asked for soon.
WORKERS = 4
BATCH = 20
SETTINGS = {
    "require_customer_name": False,
    "require_customer_email": False,
    "not_found_after": "10 minutes",
    "dunning": {"retry_after": ["1 day", "3 days"], "final": "leave"},
}


class FastClock:
    """The machine's clock, many times as fast, counted from `origin` (seconds); leases run on real time."""

    simulated = False

    def __init__(self, origin: int) -> None:
        self.origin = origin

    def now(self) -> datetime:
        passed = (time.time_ns() - self.origin * 1_000_000_000) * SPEED // 1_000_000_000
        return START + timedelta(seconds=passed)

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, to: datetime) -> None:
        raise AssertionError(f"nobody moves real time to {to}")


class Lossy(ScriptedGateway):
    """Loses one call in ten on the way there, two on the way back, and one question in twenty."""

    dice = random.Random()
    mutant = False

    def charge(self, request: Charge) -> Outcome:
        if self.mutant:
            request = evolve(request, idempotency_key=uuid4().hex)
        fate = self.dice.randrange(100)
        if fate < 10:
            raise GatewayUnknown("lost on the way there", attempt_id=request.attempt_id)
        outcome = super().charge(request)
        if fate < 30:
            raise GatewayUnknown("lost on the way back", attempt_id=request.attempt_id)
        return outcome

    def lookup(self, request: Lookup) -> Answer:
        if self.mutant:
            return AttemptNotFound(request.attempt_id)
        if self.dice.randrange(100) < 5:
            raise GatewayUnknown("the question got lost", attempt_id=request.attempt_id)
        return super().lookup(request)


class Plugin:
    """Offers the lossy gateway in the place of the test gateway."""

    @hookimpl
    def register_gateways(self) -> Iterable[GatewaySpec[Config]]:
        return [GatewaySpec("test", Config, Lossy)]


def opened(url: str, book: Path, origin: int) -> Billing:
    """The books as a worker opens them; the gateway's own book is a file that all share."""
    return Billing(
        url,
        clock=FastClock(origin),
        settings=SETTINGS,
        plugins={"test": Plugin()},
        gateways={"test": {"book": str(book)}},
        batch=BATCH,
    )


def set_up(url: str, book: Path, origin: int, subscriptions: int) -> None:
    """Customers with one subscription each, all renewed on the first of February."""
    with opened(url, book, origin) as billing:
        billing.catalog.apply(CATALOG)

        def sign_up(scope) -> None:
            for n in range(subscriptions):
                owner = billing.customers.create.within(scope, {"reference": f"c{n}"})
                billing.payment_methods.add.within(scope, {"customer": owner.id, "token": "approve"})
                given = {"reference": f"s{n}", "customer": owner.id, "price": "pro-m"}
                dates = {"starts_at": START - timedelta(days=31), "next_billing_at": START}
                billing.subscriptions.create.within(scope, given | dates)

        billing.unit(sign_up)


def work(url: str, book: Path, origin: int) -> None:
    """A worker: runs what is due, for ever."""
    with opened(url, book, origin) as billing:
        while True:
            billing.run()
            time.sleep(0.05)


def started(url: str, book: Path, origin: int, seed: str, *, mutant: bool) -> int:
    """The number of a new worker."""
    child = os.fork()
    if child:
        return child
    Lossy.dice, Lossy.mutant = random.Random(seed), mutant
    try:
        work(url, book, origin)
    except BaseException:  # noqa: BLE001  the child ends here, whatever it was
        sys.excepthook(*sys.exc_info())
    os._exit(1)


def unpaid(url: str, subscriptions: int) -> bool:
    """Whether there is something left to do."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM billcore_invoices WHERE status = 'paid'").fetchone()
    assert row is not None
    return bool(row[0] < subscriptions)


def rage(given: argparse.Namespace, origin: int) -> dict[str, object]:
    """Let the workers work through the proxy, and kill one after the other for as long as there is work."""
    url, book, seed, mutant = given.url, given.book, given.seed, given.mutant
    dice = random.Random(seed)
    server = make_url(url)
    died = kills = 0
    with Cutter(server.host or "127.0.0.1", server.port or 5432, percent=6, seed=seed) as cutter:
        through = server.set(host="127.0.0.1", port=cutter.port).render_as_string(hide_password=False)
        workers = [started(through, book, origin, f"{seed}:{n}", mutant=mutant) for n in range(WORKERS)]
        while kills < given.kills and unpaid(url, given.subscriptions):
            kills += 1
            time.sleep(dice.uniform(0.1, 0.5))
            place = dice.randrange(WORKERS)
            os.kill(workers[place], signal.SIGKILL)
            died += os.waitstatus_to_exitcode(os.waitpid(workers[place], 0)[1]) != -signal.SIGKILL
            workers[place] = started(through, book, origin, f"{seed}:{WORKERS + kills}", mutant=mutant)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        return {"kills": kills, "died by themselves": died, "cut commits": cutter.cuts}


def calm(url: str, book: Path, origin: int) -> None:
    """One undisturbed worker, until nothing is due and nothing in doubt."""
    with opened(url, book, origin) as billing:
        for _ in range(600):
            billing.run()
            if not billing.payments.list(status="unknown", limit=1) and not billing.payments.list(
                status="pending", limit=1
            ):
                return
            time.sleep(0.1)
    raise AssertionError("some attempts never got an outcome")


def told(url: str, book: Path, origin: int) -> dict[str, object]:
    """How the books stand, and what the gateway's own book has."""
    with opened(url, book, origin) as billing:
        proof = billing.verify()
        invoices = billing.invoices.list(limit=100_000)
        owner = {one.id: one.invoice_id for one in billing.payments.list(limit=100_000)}
        moved = billing.gateway("test").book()
        charged = Counter(owner[one.attempt_id] for one in moved if one.verb == "charge")
        given_back = sum(one.amount.minor for one in moved if one.verb != "charge")
        return {
            "findings": [str(one) for one in proof.findings],
            "invoices": len(invoices),
            "paid": sum(one.status == "paid" for one in invoices),
            "gapless": sorted(one.number for one in invoices) == list(range(1, len(invoices) + 1)),
            "charges": sum(charged.values()),
            "charged twice": sum(count > 1 for count in charged.values()),
            "taken": sum(one.amount.minor for one in moved if one.verb == "charge") - given_back,
            "paid in books": sum(one.paid for one in invoices),
            "renewed": Counter(str(one.sequence) for one in billing.subscriptions.list(limit=100_000)),
        }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="an empty PostgreSQL database")
    parser.add_argument("book", type=Path, help="the file of the gateway's own book")
    parser.add_argument("--seed", type=int, default=20260201)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--subscriptions", type=int, default=1000)
    parser.add_argument("--mutant", action="store_true")
    given = parser.parse_args(arguments)
    gc.freeze()
    origin = int(time.time())
    begun = time.monotonic()
    set_up(given.url, given.book, origin + 3600, given.subscriptions)  # When their renewals lie ahead.
    raged = rage(given, origin)
    if not given.mutant:  # The mutant has shown what it does.
        calm(given.url, given.book, origin)
    stands = told(given.url, given.book, origin)
    say({"seed": given.seed, **raged, **stands, "seconds": int(time.monotonic() - begun)})


if __name__ == "__main__":
    main(sys.argv[1:])
