"""The benchmark measures what it says: the same rows, all of them, and books that add up."""

import json

import pytest
from click.testing import CliRunner

from billcore.bench.book import SETTINGS, START, make_book
from billcore.bench.floor import Floor, sqlite_connection
from billcore.bench.recorder import Recorder
from billcore.bench.renewals import measure_renewals, uncounted
from billcore.billing import Billing
from billcore.cli.bench import bench
from billcore.clock import SimulatedClock
from billcore.errors import InvalidValue, StoreError
from tests import databases


def test_two_hundred_subscriptions_are_renewed_settled_and_written_again(tmp_path):
    """At least a dozen rows each: invoice, lines, coverage, payment, ledger, events, and what they change."""
    measured = measure_renewals(200, database=str(tmp_path / "kept.db"))
    assert measured.problems == ()
    assert measured.books.startswith("verify: ok")
    assert measured.subscriptions == 200
    assert measured.rows_per_renewal >= 12
    assert measured.rows["billcore_renewals", "inserted"] == 200
    assert measured.rows["billcore_lines", "inserted"] == 400
    assert measured.rows["billcore_payments", "updated"] == 200
    assert measured.settings["journal_mode"] == "wal" and measured.settings["synchronous"] == 2
    assert 0 < measured.floor_ns < measured.engine_ns
    assert (tmp_path / "kept.db").exists() and len(list(tmp_path.iterdir())) == 1


def test_the_floor_writes_exactly_what_the_engine_wrote(tmp_path):
    """Every table of the replayed file is equal to the engine's, row by row."""
    engine, floor = tmp_path / "engine.db", tmp_path / "floor.db"
    with Billing(f"sqlite:///{engine}", clock=SimulatedClock(START), settings=SETTINGS, seed=1) as billing:
        make_book(billing, 20, lambda _made: None)
    floor.write_bytes(engine.read_bytes())
    with (
        Floor(f"sqlite:///{floor}") as bare,
        Billing(f"sqlite:///{engine}", clock=SimulatedClock(START), settings=SETTINGS, seed=1) as billing,
    ):
        billing.database.observe = Recorder(bare.write)
        billing.run(START.replace(day=29))
    one, two = sqlite_connection(str(engine)), sqlite_connection(str(floor))
    try:
        names = [row[0] for row in one.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "billcore_ledger_entries" in names
        for name in names:
            query = f"SELECT * FROM {name} ORDER BY 1"
            assert one.execute(query).fetchall() == two.execute(query).fetchall(), name
    finally:
        one.close()
        two.close()


@pytest.fixture
def server(database_kind):
    return databases.server_url()


@pytest.mark.postgresql_only
def test_on_postgresql_workers_renew_together_and_the_floor_writes_every_row(server):
    """Both floors have the same checks and the same guards: a row that is missing or doubled would fail there."""
    measured = measure_renewals(120, database=server, workers=2)
    assert measured.problems == ()
    assert measured.books.count("verify: ok") == 2
    assert measured.rows_per_renewal >= 12
    assert measured.rows["billcore_renewals", "inserted"] == 120
    assert 0 < measured.floor_ns < measured.engine_ns
    assert measured.crowd is not None and measured.crowd.workers == 2
    assert 0 < measured.crowd.floor_ns < measured.crowd.engine_ns
    assert "synchronous_commit" in measured.settings


def test_sqlite_has_one_worker(tmp_path):
    with pytest.raises(InvalidValue, match="one writer"):
        measure_renewals(10, workers=2)


def test_a_floor_that_cannot_write_says_so(tmp_path, capfd):
    with Floor(f"sqlite:///{tmp_path}/empty.db") as bare, pytest.raises(StoreError, match="ended early"):
        bare.write([("INSERT INTO nowhere VALUES (?)", [(1,)])])
    assert "no such table" in capfd.readouterr().err


def test_what_was_not_renewed_is_told(tmp_path):
    """A book of five is short of one where six were wanted."""
    measure_renewals(5, database=str(tmp_path / "kept.db"))
    with Billing(f"sqlite:///{tmp_path}/kept.db") as billing:
        assert uncounted(billing, 5) == []
        assert uncounted(billing, 6)[0] == "5 second renewals instead of 6"


def test_a_store_that_exists_is_never_touched(tmp_path):
    (tmp_path / "books.db").write_bytes(b"dear")
    with pytest.raises(InvalidValue, match="exists already"):
        measure_renewals(1, database=str(tmp_path / "books.db"))
    assert (tmp_path / "books.db").read_bytes() == b"dear"


def test_programs_get_json():
    result = CliRunner().invoke(bench, ["renewals", "--subscriptions", "30", "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert set(data) == {
        "subscriptions",
        "milliseconds",
        "renewals_per_second",
        "transactions",
        "floor_per_second",
        "ratio",
        "rows_per_renewal",
        "rows",
        "batch",
        "memory_mib",
        "settings",
        "crowd",
        "versions",
        "books",
        "problems",
    }
    assert data["problems"] == [] and data["subscriptions"] == 30 and data["rows_per_renewal"] >= 12
    assert 0 < data["ratio"] < 1


def test_people_get_a_page():
    result = CliRunner().invoke(bench, ["renewals", "-n", "30"])
    assert result.exit_code == 0, result.output
    for part in ("rows per renewal", "renewals per second", "raw floor per second", "ratio", "books", "ledger_entries"):
        assert part in result.stdout
