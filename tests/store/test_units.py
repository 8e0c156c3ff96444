"""Units of work that are run again as a whole, and COMMITs whose answer was lost (F7, F8, F9)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import exc as sa

from billcore.domain.customer import Customer
from billcore.domain.event import Event
from billcore.domain.writes import Writes
from billcore.errors import Refused, StoreError
from billcore.store.database import Database
from billcore.store.patience import CONFLICTS, PATIENCE_S, Patience, is_conflict, is_contended, is_lost, meaning
from billcore.store.postgresql import PostgresqlStore
from tests.store.line import Line
from tests.store.test_mapping import NOW

pytestmark = pytest.mark.postgresql_only("SQLite has one writer, whose unit nothing takes apart")

ADD = "UPDATE billcore_meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)"
INSERT = "INSERT INTO billcore_meta (key, value) VALUES (?, ?)"


class Waits:
    """Time that passes at once: what was waited, in milliseconds."""

    def __init__(self):
        self.list = []
        self.passed = 0

    def sleep(self, milliseconds):
        self.list.append(milliseconds)
        self.passed += milliseconds

    def clock(self):
        return self.passed * 1_000_000

    def give_to(self, database):
        database._store.sleep, database._store.clock = self.sleep, self.clock


@pytest.fixture
def url(stores):
    return stores.fresh()


@pytest.fixture
def database(url):
    with closing(Database(url)) as database:
        yield database


def keys(url):
    with closing(Database(url)) as database, database.transaction(reads=True) as tx:
        return [key for (key,) in tx.rows("SELECT key FROM billcore_meta ORDER BY key")]


class Unit:
    """Writes one row a time; before that it does what it is given, once for each time it runs."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.runs = 0

    def __call__(self, tx):
        self.runs += 1
        if self.troubles:
            self.troubles.pop(0)(tx)
        tx.execute(INSERT, ("k", str(self.runs)))
        return self.runs


def failing(state):
    """The server itself says so."""

    def work(tx):
        tx.execute(INSERT, ("half", "v"))
        tx.execute(f"DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{state}'; END $$")

    return work


# What the database asks for


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08006"])
def test_a_unit_is_run_again_as_a_whole(database, url, state):
    unit = Unit(failing(state), failing(state))
    assert database.unit(unit) == 3
    assert keys(url) == ["k"]


def test_a_unit_that_never_gets_through_ends_with_what_to_do(database, url):
    waits = Waits()
    waits.give_to(database)
    with pytest.raises(StoreError) as error:
        database.unit(Unit(*[failing("40001")] * 1000))
    assert error.value.code == "database_locked"
    assert waits.passed >= PATIENCE_S * 1000
    assert waits.list[0] <= 10 < waits.list[8]
    assert max(waits.list) <= 1000
    assert keys(url) == []


def test_an_error_that_was_turned_into_another_is_still_the_databases(database, url):
    """A rule that wraps what it does not know must not hide that the database wants the unit again."""

    def wrapped(tx):
        try:
            failing("40001")(tx)
        except psycopg.Error as error:
            raise Refused("invalid_value", "Something went wrong.") from error

    assert database.unit(Unit(wrapped)) == 2
    assert keys(url) == ["k"]


def test_an_error_that_was_swallowed_is_still_the_databases(database, url):
    def swallowed(tx):
        with pytest.raises(psycopg.Error):
            failing("40001")(tx)

    def work(tx):
        runs.append(tx)
        if len(runs) == 1:
            swallowed(tx)
        else:
            tx.execute(INSERT, ("k", "v"))

    runs = []
    database.unit(work)
    assert len(runs) == 2
    assert keys(url) == ["k"]


def test_a_refusal_is_not_run_again(database, url):
    unit = Unit()

    def work(tx):
        unit(tx)
        raise Refused("invalid_value", "No.")

    with pytest.raises(Refused):
        database.unit(work)
    assert unit.runs == 1
    assert keys(url) == []


def test_ctrl_c_ends_it_even_where_the_database_asks_for_more(database, url):
    def work(tx):
        with pytest.raises(psycopg.Error):
            failing("40001")(tx)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.unit(work)
    assert keys(url) == []


def test_two_that_create_the_same_find_the_refusal_at_the_second_try(database, url):
    """Both looked, none was there, both wrote: the second one reads what the first has made."""
    both = threading.Barrier(2, timeout=30)
    looked = set()

    def work(tx):
        if tx.one("SELECT 1 FROM billcore_meta WHERE key = 'k'") is not None:
            raise Refused("reference_taken", "k is taken.")
        if threading.get_ident() not in looked:
            looked.add(threading.get_ident())
            both.wait()
        tx.execute(INSERT, ("k", "v"))

    with ThreadPoolExecutor(2) as threads:
        errors = [one.exception() for one in [threads.submit(database.unit, work) for _ in range(2)]]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "Refused"]
    assert keys(url) == ["k"]


def test_what_always_collides_is_an_error_after_a_few_tries(database):
    database.unit(Unit())
    unit = Unit()
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.unit(unit)
    assert unit.runs == CONFLICTS


def test_a_row_that_changed_meanwhile_is_read_again(database):
    customer = Customer("cus_1", "acme", NOW)
    save(database, Writes(), new=[customer])
    runs = []

    def work(tx):
        (version,) = tx.one("SELECT version FROM billcore_customers")
        runs.append(version)
        if len(runs) == 1:
            with closing(Database(database.url)) as other:
                other.unit(lambda theirs: theirs.execute("UPDATE billcore_customers SET version = version + 1"))
        writes = Writes()
        writes.put(Customer("cus_1", "acme", NOW, name="mine", version=version))
        tx.save(writes)

    database.unit(work)
    assert runs == [1, 2]


def save(database, writes, new):
    writes.add(*new)
    database.unit(lambda tx: tx.save(writes))


def test_a_deadlock_is_solved(database, url):
    """Each has what the other wants next: the server ends one of them, which then begins anew."""
    database.unit(lambda tx: tx.execute_many(INSERT, [("a", "0"), ("b", "0")]))
    both = threading.Barrier(2, timeout=10)

    def add(order):
        def work(tx):
            for key in order:
                tx.execute(
                    "UPDATE billcore_meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = ?", [key]
                )
                if not both.broken and key == order[0]:
                    both.wait()
            both.abort()

        return work

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(database.unit, add(order)) for order in ("ab", "ba")]:
            one.result()
    with database.transaction(reads=True) as tx:
        assert tx.rows("SELECT value FROM billcore_meta") == [("2",), ("2",)]


def test_serializable_sessions_lose_no_update(url):
    """A site whose database is set to SERIALIZABLE gets 40001 for what others would not notice."""
    with closing(Database(f"{url}?options=-c%20default_transaction_isolation%3Dserializable")) as database:
        database.unit(lambda tx: tx.execute(INSERT, ("n", "0")))

        def add(tx):
            (value,) = tx.one("SELECT value FROM billcore_meta WHERE key = 'n'")
            tx.execute("UPDATE billcore_meta SET value = ? WHERE key = 'n'", [str(int(value) + 1)])

        with ThreadPoolExecutor(4) as threads:
            for one in [threads.submit(database.unit, add) for _ in range(40)]:
                one.result()
        with database.transaction(reads=True) as tx:
            assert tx.one("SELECT value FROM billcore_meta") == ("40",)


# Lost connections


def end_sessions(url):
    """As an administrator does, or a server that is shut down."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'billcore'"
        )


def test_a_connection_that_is_cut_in_a_unit_is_no_error(database, url):
    unit = Unit(lambda _tx: end_sessions(url), lambda _tx: end_sessions(url))
    assert database.unit(unit) == 3
    assert keys(url) == ["k"]


def test_connections_that_died_in_the_pool_are_no_error(database, url):
    """Reading too: whether a connection lives is asked by BEGIN."""
    both = threading.Barrier(3, timeout=10)
    with ThreadPoolExecutor(3) as threads:
        for one in [threads.submit(database.unit, lambda _tx: both.wait()) for _ in range(3)]:
            one.result()
    end_sessions(url)
    waits = Waits()
    waits.give_to(database)
    with database.transaction(reads=True) as tx:
        assert tx.one("SELECT 1") == (1,)
    assert waits.list == []


def test_reading_units_are_run_again_too(database, url):
    def work(tx):
        runs.append(tx)
        if len(runs) == 1:
            end_sessions(url)
        return tx.one("SELECT 1")

    runs = []
    assert database.unit(work, reads=True) == (1,)
    assert len(runs) == 2


def test_a_connection_that_is_cut_outside_of_a_unit_says_what_to_do(database, url):
    def read():
        with database.transaction(reads=True) as tx:
            end_sessions(url)
            tx.one("SELECT 1")

    with pytest.raises(StoreError) as error:
        read()
    assert error.value.code == "database_unreachable"


# Lost answers


def through(line):
    """A database behind the line, whose waits take no time."""
    database = Database(line.url)
    waits = Waits()
    waits.give_to(database)
    return database, waits


@pytest.mark.parametrize("cuts", [["before"], ["after"], ["before", "after"], ["after", "before"], ["before"] * 3])
def test_a_unit_whose_commit_has_no_answer_is_done_once(url, cuts):
    """The server is asked whether it was kept: then it is not run again, else it is."""
    with Line(url) as line:
        database, _ = through(line)
        with closing(database):
            database.unit(lambda tx: tx.execute(INSERT, ("first", "v")))
            line.cuts = list(cuts)
            unit = Unit()
            expected = (cuts.index("after") + 1) if "after" in cuts else len(cuts) + 1
            assert database.unit(unit) == expected
            database.close()
    assert keys(url) == ["first", "k"]


def test_a_transaction_whose_commit_has_no_answer_is_known_too(url):
    """Outside of a unit: kept is kept, and what was not kept is said."""
    with Line(url) as line:
        database, _ = through(line)
        with closing(database):
            line.cuts = ["after", "before"]
            with database.transaction() as tx:
                tx.execute(INSERT, ("kept", "v"))
            with pytest.raises(StoreError) as error, database.transaction() as tx:
                tx.execute(INSERT, ("lost", "v"))
            assert error.value.code == "database_unreachable"
    assert keys(url) == ["kept"]


def test_a_reading_unit_whose_commit_has_no_answer_is_done(url):
    with Line(url) as line:
        database, _ = through(line)
        with closing(database):
            line.cuts = ["before"]
            assert database.unit(lambda tx: tx.one("SELECT 1"), reads=True) == (1,)
            assert line.done == ["before"]


def test_a_transaction_that_goes_on_without_us_is_ended_and_run_again(url):
    """A line that still seems to live would keep its locks until the server's operating system gives up."""
    with Line(url) as line:
        database, waits = through(line)
        with closing(database):
            line.cuts = ["held"]
            assert database.unit(Unit()) == 2
            assert waits.passed < 30_000
    assert keys(url) == ["k"]


def test_what_nobody_can_tell_is_an_error_of_its_own(url, monkeypatch):
    monkeypatch.setattr(PostgresqlStore, "_ask", lambda *_: None)
    with Line(url) as line:
        database, _ = through(line)
        with closing(database):
            line.cuts = ["after"]
            with pytest.raises(StoreError) as error:
                database.unit(Unit())
            assert error.value.code == "commit_unknown"
            assert error.value.facts["transaction"].isdecimal()
            assert "repeated" in error.value.remedy


def test_a_server_that_stays_away_after_a_commit_leaves_it_unknown(url, monkeypatch):
    gone = sa.OperationalError("connect", None, psycopg.OperationalError("connection refused"))
    monkeypatch.setattr(PostgresqlStore, "_ask", lambda *_: raising(gone))
    with Line(url) as line:
        database, waits = through(line)
        with closing(database):
            line.cuts = ["after"]
            with pytest.raises(StoreError, match="cannot be told"):
                database.unit(Unit())
            assert waits.passed >= PATIENCE_S * 1000


def raising(error):
    raise error


def test_a_number_given_twice_does_not_pass_for_ours(url, monkeypatch):
    """After a crash a server may give the number of a lost transaction to the next one: only our row proves ours."""
    with Line(url) as line:
        database, _ = through(line)
        with closing(database):
            asked = []
            ask = PostgresqlStore._ask

            def mistaken(store, sql, values):
                asked.append(ask(store, sql, values))
                return ("committed",) if asked[-1] == ("aborted",) else asked[-1]

            monkeypatch.setattr(PostgresqlStore, "_ask", mistaken)
            line.cuts = ["before"]
            writes = Writes()
            writes.add(Event("evt_1", "cus_1", NOW, "invoice_issued", "inv_1", "{}"))
            database.unit(lambda tx: tx.save(writes))
            assert asked[-2:] == [("aborted",), None]
            with database.transaction(reads=True) as tx:
                assert tx.rows("SELECT id FROM billcore_events") == [("evt_1",)]


# Meanings


def made(kind, text="it went wrong"):
    return kind(text)


@pytest.mark.parametrize(
    ("error", "lost", "contended", "conflict"),
    [
        (made(psycopg.errors.SerializationFailure), False, True, False),
        (made(psycopg.errors.DeadlockDetected), False, True, False),
        (made(psycopg.errors.LockNotAvailable), False, True, False),
        (made(psycopg.errors.AdminShutdown), True, False, False),
        (made(psycopg.errors.CrashShutdown), True, False, False),
        (made(psycopg.errors.CannotConnectNow), True, False, False),
        (made(psycopg.errors.IdleInTransactionSessionTimeout), True, False, False),
        (made(psycopg.errors.ConnectionFailure), True, False, False),
        (made(psycopg.errors.TooManyConnections), True, False, False),
        (made(psycopg.OperationalError, "server closed the connection unexpectedly"), True, False, False),
        (made(psycopg.OperationalError, "FATAL:  the database system is starting up"), True, False, False),
        (made(psycopg.OperationalError, 'FATAL:  password authentication failed for user "x"'), False, False, False),
        (made(psycopg.OperationalError, 'FATAL:  database "x" does not exist'), False, False, False),
        (made(psycopg.errors.UniqueViolation), False, False, True),
        (made(psycopg.errors.ForeignKeyViolation), False, False, True),
        (StoreError("version_conflict", "Changed."), False, False, True),
        (StoreError("database_full", "Full."), False, False, False),
        (made(psycopg.errors.CheckViolation), False, False, False),
        (made(psycopg.errors.UndefinedColumn), False, False, False),
        (KeyError("k"), False, False, False),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}"[:60] if isinstance(value, Exception) else "",
)  # fmt: skip
def test_what_an_error_asks_for(error, lost, contended, conflict):
    for one in (error, sa.DBAPIError("statement", None, error)):
        assert (is_lost(one), is_contended(one)) == (lost, contended)
    assert is_conflict(error) == conflict


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.errors.DiskFull("no space"), "database_full"),
        (psycopg.errors.OutOfMemory("no memory"), "database_full"),
        (psycopg.errors.ReadOnlySqlTransaction("standby"), "database_read_only"),
        (psycopg.errors.InsufficientPrivilege("denied"), "database_read_only"),
        (psycopg.errors.LockNotAvailable("held"), "database_locked"),
        (psycopg.errors.QueryCanceled("statement timeout"), "database_locked"),
        (psycopg.errors.UndefinedTable("no table"), "schema_missing"),
        (psycopg.errors.TooManyConnections("too many"), "database_unreachable"),
        (psycopg.OperationalError('FATAL:  password authentication failed for user "x"'), "database_unreachable"),
        (psycopg.OperationalError('FATAL:  no pg_hba.conf entry for host "h"'), "database_unreachable"),
        (psycopg.OperationalError('FATAL:  role "x" does not exist'), "database_unreachable"),
        (psycopg.OperationalError("could not translate host name"), "database_unreachable"),
        (psycopg.errors.CheckViolation("a rule"), None),
        (psycopg.errors.SyntaxError("wrong"), None),
        (KeyError("k"), None),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}" if isinstance(value, Exception) else "",
)
def test_what_an_error_means(error, code):
    found = meaning(error)
    assert (found[0] if found else None) == code


def test_patience_is_for_what_passes():
    waits = Waits()
    patience = Patience(waits.sleep, waits.clock)
    assert not patience.again(KeyError("k"))
    assert patience.again(psycopg.errors.SerializationFailure("again"))
    assert len(waits.list) == 1
