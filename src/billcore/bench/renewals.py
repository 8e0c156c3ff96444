"""Measures renewals: the whole engine, and the bare database writing the same rows."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter_ns

from attrs import define, frozen

from billcore import __version__
from billcore.bench.book import SETTINGS, START, UNTIL, make_book
from billcore.bench.floor import Floor
from billcore.bench.recorder import Recorder
from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.engine.run import Progress, Watcher
from billcore.errors import InvalidValue

_REMEMBER = 10_000
_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "cache_size", "page_size", "wal_autocheckpoint")
_SECOND = 1_000_000_000


@frozen
class Measured:
    """What came out. Times are nanoseconds, memory is bytes (None where the system does not tell).

    The engine took `engine_ns` for all renewals and their settlement, the bare database `floor_ns` for the same
    `rows`, which are counted by (table, inserted or updated). `books` is what their
    proof said, `problems` what is wrong with them: nothing.
    """

    subscriptions: int
    engine_ns: int
    floor_ns: int
    rows: Mapping[tuple[str, str], int]
    transactions: int
    memory_10: int | None
    memory_100: int | None
    pragmas: Mapping[str, object]
    books: str
    problems: tuple[str, ...]

    @property
    def rows_per_renewal(self) -> int:
        """Rows inserted or updated per renewal, rounded down."""
        return sum(self.rows.values()) // self.subscriptions

    @property
    def per_second(self) -> int:
        """Renewals per second of the whole engine, settlement included."""
        return self.subscriptions * _SECOND // self.engine_ns

    @property
    def floor_per_second(self) -> int:
        """Renewals per second of the bare database."""
        return self.subscriptions * _SECOND // self.floor_ns

    @property
    def ratio_permille(self) -> int:
        """Engine to floor, in thousandths."""
        return self.floor_ns * 1000 // self.engine_ns

    @property
    def versions(self) -> Mapping[str, str]:
        """What it ran on."""
        return {
            "billcore": __version__,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }


Say = Callable[[str], None]


def measure_renewals(
    subscriptions: int,
    *,
    database: Path | None = None,
    say: Say = lambda _text: None,
    watch: Watcher = lambda _progress: None,
) -> Measured:
    """Make `subscriptions`, renew and settle them all, and let the bare database write the same rows.

    `database` is where the file is made and stays; without it a temporary one is used. `say` hears what happens,
    `watch` follows the engine. Raises InvalidValue when the file exists already.
    """
    if database is not None and database.exists():
        raise InvalidValue(
            f"{database} exists already; a benchmark makes a store of its own.",
            remedy="Name a file that does not exist, or leave --database out.",
        )
    with tempfile.TemporaryDirectory(prefix="billcore-bench-", dir=database.parent if database else None) as folder:
        made = database or Path(folder) / "bench.db"
        return _Bench(subscriptions, made, Path(folder), say, watch).run()


@define
class _Bench:
    subscriptions: int
    database: Path
    folder: Path
    say: Say
    watch: Watcher
    memory_10: int | None = None

    def run(self) -> Measured:
        with self._open() as billing:
            make_book(billing, self.subscriptions, lambda made: self.say(f"{made:,} subscriptions made"))
        # Closed, the store has no log any more: its file is the whole book as it was before.
        copy = self.folder / "floor.db"
        shutil.copyfile(self.database, copy)
        with Floor(copy) as floor, self._open() as billing:
            recorder = Recorder(floor)
            self.say("renewing, and writing the same rows with the bare database after each batch")
            engine_ns = self._renew(billing, recorder)
            memory_100 = resident()
            pragmas = read_pragmas(billing)
            self.say("proving the books")
            proof = billing.verify()
            problems = (*uncounted(billing, self.subscriptions), *(str(finding) for finding in proof.findings))
        return Measured(
            self.subscriptions,
            engine_ns,
            recorder.floor_ns,
            dict(recorder.rows),
            recorder.transactions,
            self.memory_10,
            memory_100,
            pragmas,
            str(proof),
            problems,
        )

    def _open(self) -> Billing:
        return Billing(
            f"sqlite:///{self.database}",
            clock=SimulatedClock(START),
            settings=SETTINGS,
            gateways={"test": {"remember": _REMEMBER}},
            seed=1,
            actor="bench",
        )

    def _renew(self, billing: Billing, recorder: Recorder) -> int:
        """Renew and settle all; the nanoseconds it took, what the floor needed aside."""
        billing.gateway("test")
        billing.database.observe = recorder
        begun = perf_counter_ns()

        def step(progress: Progress) -> None:
            # A renewal is two pieces of work: the invoice and its collection.
            if self.memory_10 is None and progress.done // 2 >= self.subscriptions // 10:
                self.memory_10 = resident()
            self.watch(progress)

        billing.run(UNTIL, watch=step)
        return perf_counter_ns() - begun - recorder.spent_ns


def uncounted(billing: Billing, subscriptions: int) -> list[str]:
    """What there is too much or too little of when every subscription was renewed and paid once."""
    checks = (
        ("second renewals", "SELECT count(*) FROM billcore_renewals WHERE sequence = 2"),
        ("invoices", "SELECT count(*) FROM billcore_invoices"),
        ("paid invoices", "SELECT count(*) FROM billcore_invoices WHERE status = 'paid'"),
        ("successful payments", "SELECT count(*) FROM billcore_payments WHERE status = 'succeeded'"),
    )
    with billing.database.transaction(reads=True) as tx:
        found = {name: tx.rows(query)[0][0] for name, query in checks}
    return [f"{count} {name} instead of {subscriptions}" for name, count in found.items() if count != subscriptions]


def read_pragmas(billing: Billing) -> dict[str, object]:
    """The settings that the engine's own connection runs with."""
    with billing.database.transaction(reads=True) as tx:
        return {name: tx.rows(f"PRAGMA {name}")[0][0] for name in _PRAGMAS}


def resident() -> int | None:
    """The memory that this process has now, in bytes; None where the system does not tell (it does on Linux)."""
    if sys.platform != "linux":
        return None
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
