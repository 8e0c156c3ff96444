"""PostgreSQL: transactions side by side, nothing left on a connection, errors that say what to do."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy.engine import make_url

from billcore import Billing
from billcore.errors import StoreError
from billcore.store import health, schema
from billcore.store.database import Database, shown

pytestmark = pytest.mark.postgresql_only("what SQLite does is in test_database.py")

INSERT = "INSERT INTO billcore_meta (key, value) VALUES (?, ?)"


@pytest.fixture
def url(stores):
    return stores.own("books")


@pytest.fixture
def database(url):
    with closing(Database(url)) as database:
        yield database


def write(database, key="k"):
    database.unit(lambda tx: tx.execute(INSERT, (key, "v")))


def keys(database):
    with database.transaction(reads=True) as tx:
        return [key for (key,) in tx.rows("SELECT key FROM billcore_meta ORDER BY key")]


def refused(code, run, *arguments):
    with pytest.raises(StoreError) as error:
        run(*arguments)
    assert error.value.code == code, error.value
    assert error.value.remedy
    return error.value


def sessions(url):
    """What the server says of our connections to a database: (state, application)."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            "SELECT state, application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'billcore'"
        ).fetchall()


# Addresses


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_an_address_may_begin_as_tools_write_it(url, scheme):
    given = make_url(url).set(drivername=scheme).render_as_string(hide_password=False)
    with closing(Database(given)) as database:
        assert database.dialect == "postgresql"
        assert database.path is None
        write(database)
        assert keys(database) == ["k"]


@pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "postgresql+asyncpg", "mysql"])
def test_other_drivers_are_refused(scheme):
    assert "postgresql://" in refused("database_unreachable", Database, f"{scheme}://host/billing").remedy


def test_a_missing_driver_says_how_to_install_it(monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("psycopg", "billcore.store.postgresql"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused("database_unreachable", Database, "postgresql://host/billing")
    assert 'pip install "billcore[postgres]"' in error.remedy


def test_a_sqlite_store_does_not_import_the_driver():
    code = (
        "import sys; from billcore.store import schema; from billcore.store.database import Database;"
        "database = Database('sqlite://'); schema.create(database); sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host/db?password=s3cret", "postgresql://me@host/db?password=***"),
        ("postgresql://me@host/db?sslpassword=s3cret&user=x", "postgresql://me@host/db?sslpassword=***&user=x"),
        ("postgresql://me:s3/cret@@host/db", None),
        ("postgresql://me:s3cret@host:port/db", None),
        ("sqlite:///billing.db", "sqlite:///billing.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url, seen):
    assert "cret" not in shown(url)
    if seen is not None:
        assert shown(url) == seen


def test_no_error_shows_the_password(url):
    parts = make_url(url).set(password="s3cret")
    given = [
        parts.set(port=1),
        parts.set(database="no_such"),
        parts.set(drivername="mysql"),
        parts.set(host=None, query={"host": "/no/such/folder"}),
    ]
    for one in given:
        with pytest.raises(StoreError) as error:
            schema.check(Database(one.render_as_string(hide_password=False)))
        assert "s3cret" not in f"{error.value} {error.value.__cause__}"
    with pytest.raises(StoreError) as error:
        Database("postgresql://me:s3cret@host:port/db")
    assert "s3cret" not in str(error.value)


# What can be wrong with a server


def test_a_server_that_is_not_there_is_named_at_once(url):
    """Nobody waits a minute for a mistyped address."""
    began = time.monotonic()
    error = refused("database_unreachable", schema.check, Database(make_url(url).set(port=1).render_as_string(False)))
    assert time.monotonic() - began < 20
    assert "host and port" in error.remedy


def test_a_database_that_does_not_exist_says_so(url):
    error = refused(
        "database_unreachable", schema.check, Database(make_url(url).set(database="no_such").render_as_string(False))
    )
    assert "CREATE DATABASE" in error.remedy


@pytest.fixture
def reader(url):
    """A role that may read our tables and do nothing else."""
    name = f"reader_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    yield make_url(url).set(username=name).render_as_string(False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


def test_a_role_without_the_right_to_write_can_read(reader):
    with closing(Database(reader)) as database:
        schema.require(database)
        assert "Grant" in refused("database_read_only", write, database).remedy
        assert keys(database) == []


def test_a_role_that_may_not_make_tables_is_told_so(stores, tmp_path, reader):
    blank = make_url(stores.blank(tmp_path / "blank.db")).set(username=make_url(reader).username)
    with closing(Database(blank.render_as_string(False))) as database:
        assert "Grant" in refused("database_read_only", schema.create, database).remedy


def test_a_standby_can_be_read_and_not_written(url):
    """A server that only follows another says of each transaction what this one is set to say."""
    standby = make_url(url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    with closing(Database(standby.render_as_string(False))) as database:
        schema.require(database)
        assert "primary" in refused("database_read_only", write, database).remedy


def test_a_database_without_our_tables_says_how_to_make_them(stores, tmp_path):
    with closing(Database(stores.blank(tmp_path / "blank.db"))) as database:
        assert "db upgrade" in refused("schema_missing", write, database).remedy


def test_a_user_who_has_too_many_connections_is_told_so(url):
    name = f"busy_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 1")
        try:
            mine = make_url(url).set(username=name).render_as_string(False)
            with psycopg.connect(mine):
                error = refused("database_unreachable", schema.check, Database(mine))
                assert "max_connections" in error.remedy
        finally:
            connection.execute(f"DROP ROLE {name}")


def test_a_database_in_another_encoding_is_refused(url):
    """What a customer is called could not be stored in it."""
    name = f"latin_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            latin = make_url(url).set(database=name).render_as_string(False)
            assert "UTF8" in refused("database_unreachable", schema.check, Database(latin)).remedy
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_wrong_statement_is_not_excused_as_a_broken_database(database):
    with pytest.raises(psycopg.errors.UndefinedColumn):
        database.unit(lambda tx: tx.execute("UPDATE billcore_meta SET nonsense = 1"))
    write(database)
    with pytest.raises(psycopg.errors.UniqueViolation):
        write(database)
    assert keys(database) == ["k"]


# Transactions


def test_an_error_rolls_everything_back(database):
    def half(error):
        with database.transaction() as tx:
            tx.execute(INSERT, ("half", "v"))
            raise error

    for error in (KeyError, KeyboardInterrupt):
        with pytest.raises(error):
            half(error)
    assert keys(database) == []


def test_an_error_that_was_caught_keeps_nothing(database):
    """After an error the server answers COMMIT by rolling back, and says nothing of it."""

    def work(tx):
        tx.execute(INSERT, ("lost", "v"))
        with pytest.raises(psycopg.errors.UndefinedTable):
            tx.rows("SELECT 1 FROM nowhere")

    with pytest.raises(StoreError, match="nowhere"):
        database.unit(work)
    assert keys(database) == []


def test_an_error_in_a_savepoint_is_over_with_it(database):
    def work(tx):
        tx.execute(INSERT, ("kept", "v"))
        tx.execute("SAVEPOINT one")
        with pytest.raises(psycopg.errors.UndefinedTable):
            tx.rows("SELECT 1 FROM nowhere")
        tx.execute("ROLLBACK TO SAVEPOINT one")

    database.unit(work)
    assert keys(database) == ["kept"]


def test_threads_have_transactions_side_by_side(database):
    both = threading.Barrier(2, timeout=10)

    def work(tx):
        tx.execute(INSERT, (str(threading.get_ident()), "v"))
        both.wait()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(database.unit, work) for _ in range(2)]:
            done.result()
    assert len(keys(database)) == 2


def test_a_second_transaction_in_the_first_is_refused(database):
    """It would take another connection, and wait there for what the first one keeps, without end."""
    with database.transaction(reads=True):
        assert "inside" in refused("internal", write, database).message
    write(database)
    refused("internal", database.unit, lambda _tx: keys(database))
    assert keys(database) == ["k"]


def test_reading_sees_one_picture_of_the_books(database):
    with database.transaction(reads=True) as tx:
        assert tx.rows("SELECT 1 FROM billcore_meta") == []
        with closing(Database(database.url)) as other:
            write(other)
        assert tx.rows("SELECT 1 FROM billcore_meta") == []
    assert keys(database) == ["k"]


def test_reading_writes_nothing(database):
    def work():
        with database.transaction(reads=True) as tx:
            tx.execute(INSERT, ("k", "v"))

    refused("database_read_only", work)


def test_connections_are_used_again_and_ended_by_close(url):
    with closing(Database(url)) as database:
        for number in range(5):
            write(database, str(number))
        assert sessions(url) == [("idle", "billcore")]
        database.close()
        wait_until(lambda: sessions(url) == [])
        assert len(keys(database)) == 5
    wait_until(lambda: sessions(url) == [])


def test_a_connection_at_work_is_ended_by_close_when_it_is_done(url):
    database = Database(url)
    with database.transaction() as tx:
        tx.execute(INSERT, ("k", "v"))
        database.close()
    wait_until(lambda: sessions(url) == [])


def test_a_store_that_nobody_closed_takes_its_connections_with_it(url):
    write(Database(url))
    wait_until(lambda: sessions(url) == [])


def wait_until(holds):
    """The server notices the end of a connection a moment later."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_connections_in_use_is_an_error_after_a_while(url, monkeypatch):
    monkeypatch.setattr("billcore.store.postgresql.POOL", 1)
    monkeypatch.setattr("billcore.store.postgresql.OVERFLOW", 0)
    monkeypatch.setattr("billcore.store.postgresql.POOL_TIMEOUT_S", 1)
    with closing(Database(url)) as database, database.transaction(reads=True), ThreadPoolExecutor(1) as thread:
        assert "threads" in refused("database_locked", thread.submit(keys, database).result).remedy


def test_a_process_that_was_forked_uses_connections_of_its_own(database, url):
    """Two processes on one connection would read each other's answers."""
    write(database, "parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            write(database, "child")
            database.close()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0
    write(database, "parent again")
    assert keys(database) == ["child", "parent", "parent again"]


# Locks


def two_customers(url):
    with closing(Database(url)) as database:
        sql = (
            "INSERT INTO billcore_customers (id, reference, created_at, country, region, postcode, city, address, "
            "tax_exempt, custom_fields, pays, version) VALUES (?, ?, ?, '', '', '', '', '', ?, '{}', 'self', 1)"
        )
        database.unit(
            lambda tx: tx.execute_many(sql, [(f"cus_{n}", f"c{n}", datetime(2026, 1, 1, tzinfo=UTC), 0) for n in "ab"])
        )


def test_a_customer_who_is_kept_is_waited_for_or_left_out(database, url):
    two_customers(url)
    with closing(Database(url)) as other, database.transaction() as tx, ThreadPoolExecutor(1) as thread:
        assert tx.lock_customers(["cus_b", "cus_b"]) == ["cus_b"]
        assert other.unit(lambda theirs: theirs.lock_customers(["cus_b", "cus_a"], skip=True)) == ["cus_a"]
        waiting = thread.submit(other.unit, lambda theirs: theirs.lock_customers(["cus_b", "cus_a", "cus_none"]))
        time.sleep(0.1)
        assert not waiting.done()
        tx.execute(INSERT, ("k", "v"))
        tx.driver.rollback()
        tx.driver.execute("BEGIN")
        assert waiting.result(timeout=10) == ["cus_a", "cus_b"]


def test_who_keeps_a_customer_does_not_hold_up_rows_that_refer_to_him(database, url):
    two_customers(url)
    sql = (
        "INSERT INTO billcore_credits (id, customer_id, account, currency, amount, remaining, created_at, version) "
        "VALUES ('crd_1', 'cus_a', 'credits', 'USD', 1, 1, '2026-01-01T00:00:00Z', 1)"
    )
    with closing(Database(url)) as other, database.transaction() as tx:
        tx.lock_customers(["cus_a"])
        other.unit(lambda theirs: theirs.execute(sql))


def test_a_name_is_kept_by_one_at_a_time(database, url):
    with closing(Database(url)) as other, ThreadPoolExecutor(1) as thread:
        with database.transaction() as tx:
            tx.lock("settings")
            other.unit(lambda theirs: theirs.lock("catalog"))
            waiting = thread.submit(other.unit, lambda theirs: theirs.lock("settings"))
            time.sleep(0.1)
            assert not waiting.done()
        waiting.result(timeout=10)


# What stays on a connection: nothing


def test_nothing_is_prepared_and_no_setting_outlives_a_transaction(url):
    """So a pooler may hand the connection to somebody else after each transaction."""
    with closing(Billing(url, settings={"require_customer_name": False, "require_customer_email": False})) as billing:
        before = settings_of(billing.database)
        for number in range(12):
            billing.customers.create(f"c{number}")
            billing.customers.list()
        with billing.database.transaction(reads=True) as tx:
            assert list(tx.stream("SELECT reference FROM billcore_customers ORDER BY id"))
            assert tx.rows("SELECT name FROM pg_prepared_statements") == []
            assert tx.rows("SELECT name FROM pg_cursors WHERE name <> ''") == []
            assert tx.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == []
            assert tx.rows("SELECT 1 FROM pg_class WHERE relpersistence = 't'") == []
        assert settings_of(billing.database) == before


def settings_of(database):
    """The session's settings outside of any transaction."""
    with database.raw() as connection:
        return dict(connection.exec_driver_sql("SELECT name, setting FROM pg_settings").fetchall())


# Values


def test_values_come_back_in_the_forms_of_sqlite(database):
    with database.transaction() as tx:
        tx.execute("CREATE TABLE kinds (at timestamptz, amount numeric, flag boolean, count bigint, note text)")
        row = ("2026-01-31T00:00:00Z", "1.50", 1, 2**62, '50% of \\ "it"\n\tü')
        tx.execute("INSERT INTO kinds VALUES (?, ?, ?, ?, ?)", row)
        tx.execute(
            "INSERT INTO kinds VALUES (?, ?, ?, ?, ?)", (datetime(2026, 2, 1, tzinfo=UTC), Decimal(2), False, 0, None)
        )
        tx.execute("INSERT INTO kinds (at) VALUES (?)", ["2026-01-31T00:00:00.000005Z"])
        found = tx.rows("SELECT * FROM kinds")
        assert found[0] == row
        assert found[1] == ("2026-02-01T00:00:00Z", "2", 0, 0, None)
        assert found[2] == ("2026-01-31T00:00:00.000005Z", None, None, None, None)
        assert list(tx.stream("SELECT * FROM kinds")) == found
        assert tx.one("SELECT flag FROM kinds WHERE flag") == (1,)
        assert tx.rows("SELECT note FROM kinds WHERE count IN ??", [[2**62]]) == [(row[4],)]
        assert tx.rows("SELECT count FROM kinds WHERE note NOT IN ??", [["x", 'a"b\\']]) == [(2**62,)]
        assert tx.rows("SELECT count FROM kinds WHERE note LIKE ? AND note LIKE '5%?'", ["50!% of%"]) == []
        assert tx.rows("SELECT count FROM kinds WHERE note LIKE '5%'") == [(2**62,)]
        tx.execute("DROP TABLE kinds")


def test_texts_sort_by_their_code_points(database):
    """As on SQLite, whatever the language of the server is: pages of references go on where the last one ended."""
    for key in ("a", "B", "ä", "Z", "_"):
        write(database, key)
    assert keys(database) == sorted(["a", "B", "ä", "Z", "_"])


def test_whole_numbers_have_64_bits(database):
    """Beyond them the server refuses instead of rounding (F31)."""
    sql = "INSERT INTO billcore_counters (series, last) VALUES ('INV', ?)"
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        database.unit(lambda tx: tx.execute(sql, [2**63]))


# Its settings


@pytest.mark.parametrize(
    ("option", "what"),
    [("synchronous_commit=off", "synchronous_commit"), ("default_transaction_read_only=on", "default_transaction")],
)
def test_settings_that_lose_commits_are_named(url, option, what):
    given = make_url(url).update_query_dict({"options": f"-c {option}"}).render_as_string(False)
    with closing(Database(given)) as database, database.transaction(reads=True) as tx:
        assert any(name.startswith(what) and remedy for name, _, remedy in health.warnings(database, tx))
        assert health.damage(tx) == []
