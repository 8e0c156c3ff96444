"""What all tests share: the databases they run on, where files stand, and that the long ones begin first.

A test whose fixtures ask for `database_kind` runs on SQLite and on PostgreSQL, and its id says on which. In a usual run
a part of those runs on PostgreSQL that differ in values rather than in queries (tests/share.py).
"""

import gc
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders, databases
from tests.databases import KINDS, NONE, Kind, Stores
from tests.share import share

FIRST = (
    "tests/cli/test_plugin_new.py",
    "tests/demo/test_telco.py",
    "tests/engine/test_at_once.py",
    "tests/engine/test_crash.py",
    "tests/engine/test_storm.py",
    "tests/test_examples.py",
    "tests/test_go_live.py",
    "tests/test_howtos.py",
)

MANY, ONE_OF = 8, 8
"""From so many cases on a test runs with one of so many on PostgreSQL, but for those of the store."""

PARTS = {"tests/commands/": 6, "tests/engine/": 3}
"""Of the tests of one file there one of so many runs on PostgreSQL."""

MEETING = ("at_once", "crash", "leases", "storm", "webhook_orders", "workers")
"""Files whose tests are about what meets in the database: all of them run."""


MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30
"""A file system in memory, and the bytes that a run may want of it at most."""


def pytest_configure(config: pytest.Config) -> None:
    """The first process has the server; those that xdist starts get to know it by their environment."""
    if not hasattr(config, "workerinput"):
        _work_in_memory()
        databases.KEEPER.append(databases.Keeper())
        if config.getoption("numprocesses", None):
            databases.KEEPER[0].start()


def _work_in_memory() -> None:
    """Let temporary files stand in memory where there is room, if nobody has said where.

    The server makes and drops many thousands of files, which costs more on a disk than all it does with them.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    about = os.statvfs(MEMORY)
    if about.f_bavail * about.f_frsize >= ROOM and not about.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_unconfigure() -> None:
    databases.close()
    while databases.KEEPER:
        databases.KEEPER.pop().end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reason = databases.missing()
    if reason is not None and NONE not in os.environ:
        terminalreporter.write_line(reason, red=True, bold=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        only = {name: metafunc.definition.get_closest_marker(f"{name}_only") for name in KINDS}
        kinds = [name for name in KINDS if only[name]] or list(KINDS)
        metafunc.parametrize("database_kind", kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = _left_out(items)
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


def pytest_collection_finish() -> None:
    """What was collected stays until the end: nobody looks through it for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """What does not run on PostgreSQL in a usual run."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        test, _, case = item.nodeid.partition("[")
        if case.startswith("postgresql") and not test.startswith("tests/store/"):
            cases[test.partition("::")[0] if _part(test) else test].append(item)
    left_out = []
    for place, found in cases.items():
        one_of = _part(place) or (ONE_OF if len(found) >= MANY else 1)
        left_out += set(found).difference(share(found, one_of))
    return left_out


def _part(test: str) -> int:
    """Of how many tests of its file one runs on PostgreSQL; 0 where it is not counted by the file."""
    if test.partition("::")[0].removesuffix(".py").endswith(MEETING):
        return 0
    return next((one_of for place, one_of in PARTS.items() if test.startswith(place)), 0)


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> Kind:
    """The database of the running test: "sqlite" or "postgresql"."""
    kind: Kind = request.param
    if kind == "postgresql" and NONE in os.environ:
        pytest.skip(f"{NONE} is set")
    if kind == "postgresql":
        databases.server_url()
    return kind


@pytest.fixture
def stores(database_kind: Kind) -> Iterator[Stores]:
    """Where the running test's books stand."""
    builders.OPENED.clear()
    with databases.stores(database_kind) as made:
        yield made


@pytest.fixture
def books_are_proven(request: pytest.FixtureRequest, stores: Stores) -> Iterator[None]:
    """Whatever a test does to its books, they must prove right, unless it damages them on purpose (behaviour 10)."""
    if "tmp_path" in request.fixturenames:
        request.getfixturevalue("tmp_path")  # So that its files go after this.
    yield
    for billing in builders.OPENED:
        proof = billing.verify()
        assert proof.ok, proof.findings
