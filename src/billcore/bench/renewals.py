"""Measures renewals: the whole engine, and the bare database writing the same rows."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter_ns

from attrs import define, evolve, frozen

from billcore import __version__
from billcore.bench.book import UNTIL, make_book, opened
from billcore.bench.crowd import Crowd, measure_crowd
from billcore.bench.floor import Floor
from billcore.bench.places import Place, place
from billcore.bench.recorder import Recorder
from billcore.billing import Billing
from billcore.engine.run import Progress, Watcher
from billcore.errors import InvalidValue

_SECOND = 1_000_000_000


@frozen
class Measured:
    """What came out. Times are nanoseconds, memory is bytes (None where the system does not tell).

    One process took `engine_ns` for all renewals and their settlement, the bare database `floor_ns` for the same
    `rows`, which are counted by (table, inserted or updated). `crowd` is what several workers took, where they were
    asked for. `settings` are the database's; `books` is what their proof said, `problems` what is wrong with them:
    nothing.
    """

    subscriptions: int
    engine_ns: int
    floor_ns: int
    rows: Mapping[tuple[str, str], int]
    transactions: int
    memory_10: int | None
    memory_100: int | None
    settings: Mapping[str, object]
    versions: Mapping[str, str]
    books: str
    problems: tuple[str, ...]
    crowd: Crowd | None = None

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
    def speedup_permille(self) -> tuple[int, int] | None:
        """How much quicker the crowd was than one, in thousandths: engine and floor; None without a crowd."""
        if self.crowd is None:
            return None
        return self.engine_ns * 1000 // self.crowd.engine_ns, self.floor_ns * 1000 // self.crowd.floor_ns


Say = Callable[[str], None]


def measure_renewals(
    subscriptions: int,
    *,
    database: str | None = None,
    workers: int = 1,
    say: Say = lambda _text: None,
    watch: Watcher = lambda _progress: None,
) -> Measured:
    """Make `subscriptions`, renew and settle them all, and let the bare database write the same rows.

    `database` is a new SQLite file, which stays, or the URL of a PostgreSQL database, beside which temporary ones are
    made; without it a temporary file is used. With more than one of the `workers` the same book is also renewed by
    that many processes at once. `say` hears what happens, `watch` follows the engine. Raises InvalidValue when the
    file exists already, or for several workers on SQLite, which has one writer.
    """
    with place(database) as where:
        if workers > 1 and where.dialect == "sqlite":
            raise InvalidValue(
                "SQLite has one writer: several workers would only wait for each other.",
                remedy="Name a PostgreSQL database, or leave --workers out.",
            )
        return _Bench(subscriptions, workers, where, say, watch).run()


@define
class _Bench:
    subscriptions: int
    workers: int
    place: Place
    say: Say
    watch: Watcher
    memory_10: int | None = None

    def run(self) -> Measured:
        book = self.place.book()
        with opened(book) as billing:
            make_book(billing, self.subscriptions, lambda made: self.say(f"{made:,} subscriptions made"))
        spare = self.place.copy(book) if self.workers > 1 else None
        measured = self._alone(book)
        if spare is None:
            return measured
        self.say(f"renewing with {self.workers} workers, then writing the same rows with as many")
        crowd = measure_crowd(spare, self.place.copy(spare), self.workers)
        with opened(spare) as billing:
            proof, problems = self._proved(billing)
        return evolve(measured, crowd=crowd, books=f"{measured.books}; {proof}", problems=measured.problems + problems)

    def _alone(self, book: str) -> Measured:
        """One process."""
        with Floor(self.place.copy(book)) as floor, opened(book) as billing:
            recorder = Recorder(floor.write)
            self.say("renewing, and writing the same rows with the bare database after each batch")
            engine_ns = self._renew(billing, recorder)
            memory_100 = resident()
            self.say("proving the books")
            proof, problems = self._proved(billing)
        return Measured(
            self.subscriptions,
            engine_ns,
            recorder.floor_ns,
            dict(recorder.rows),
            recorder.transactions,
            self.memory_10,
            memory_100,
            self.place.settings(book),
            self._versions(),
            proof,
            problems,
        )

    def _proved(self, billing: Billing) -> tuple[str, tuple[str, ...]]:
        proof = billing.verify()
        findings = (str(finding) for finding in proof.findings)
        return str(proof), (*uncounted(billing, self.subscriptions), *findings)

    def _versions(self) -> dict[str, str]:
        return {
            "billcore": __version__,
            "python": platform.python_version(),
            self.place.dialect: self.place.version(),
            "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }

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


def resident() -> int | None:
    """The memory that this process has now, in bytes; None where the system does not tell (it does on Linux)."""
    if sys.platform != "linux":
        return None
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
