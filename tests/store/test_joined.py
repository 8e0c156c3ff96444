"""Commands in a PostgreSQL transaction of the host's: any session, nothing of it changed (behaviour 15)."""

from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader
from sqlalchemy.engine import make_url

from billcore import Billing, SimulatedClock
from billcore.errors import Refused, StoreError
from billcore.store.database import JoinedDatabase
from billcore.store.wire import StoreCursor

pytestmark = pytest.mark.postgresql_only("SQLite's are in test_database.py and tests/commands/test_joined.py")

SETTINGS = {"require_customer_name": False, "require_customer_email": False}
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def url(stores):
    return stores.fresh()


@pytest.fixture
def billing(url):
    with closing(Billing(url, clock=SimulatedClock(AT), settings=SETTINGS)) as billing:
        yield billing


@pytest.fixture
def host(url, billing):
    """The host's own engine, as SQLAlchemy makes it."""
    engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id TEXT)")
    yield engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE orders")
    engine.dispose()


def order(connection, name="one"):
    connection.execute(sa.text("INSERT INTO orders VALUES (:name)"), {"name": name})


def orders(host):
    with host.begin() as connection:
        return connection.execute(sa.text("SELECT id FROM orders")).scalars().all()


def references(billing):
    return [customer.reference for customer in billing.customers.list()]


def refused(connection):
    with pytest.raises(Refused) as error:
        JoinedDatabase(connection)
    assert error.value.code == "join_refused"
    assert "engine.begin()" in error.value.remedy
    return str(error.value)


# Together


def test_host_and_books_commit_together(billing, host):
    with host.begin() as connection:
        order(connection)
        with billing.joined(connection) as inside:
            inside.customers.create("acme")
            assert references(inside) == ["acme"]
        assert references(billing) == []
    assert (orders(host), references(billing)) == (["one"], ["acme"])


def test_host_and_books_roll_back_together(billing, host):
    with host.connect() as connection, connection.begin() as transaction:
        order(connection)
        with billing.joined(connection) as inside:
            inside.customers.create("acme")
        transaction.rollback()
    assert (orders(host), references(billing)) == ([], [])


def test_a_command_may_be_the_first_statement_of_the_transaction(billing, host):
    """SQLAlchemy's `begin` sends nothing; the driver begins with the first statement, and the host commits it."""
    with host.connect() as connection, connection.begin() as transaction:
        with billing.joined(connection) as inside:
            inside.customers.create("kept")
        transaction.commit()
    with host.connect() as connection, connection.begin() as transaction:
        with billing.joined(connection) as inside:
            inside.customers.create("gone")
        transaction.rollback()
    assert references(billing) == ["kept"]


def test_what_is_refused_leaves_nothing_and_the_transaction_goes_on(billing, host):
    with host.begin() as connection:
        order(connection)
        with billing.joined(connection) as inside:
            inside.customers.create("acme")
            with pytest.raises(Refused):
                inside.customers.create("acme")
            inside.customers.create("other", dry_run=True)
        order(connection, "two")
    assert (orders(host), references(billing)) == (["one", "two"], ["acme"])


def test_an_error_of_the_database_leaves_the_transaction_whole(billing, host):
    with host.begin() as connection:
        order(connection)
        joined = JoinedDatabase(connection)

        def wrong():
            with joined.transaction() as tx:
                tx.execute("INSERT INTO billcore_meta (key, value) VALUES ('k', 'v')")
                tx.rows("SELECT nonsense FROM billcore_meta")

        with pytest.raises(psycopg.errors.UndefinedColumn):
            wrong()
        assert joined.unit(lambda tx: tx.one("SELECT 1 FROM billcore_meta WHERE key = 'k'")) is None
    assert orders(host) == ["one"]


def test_a_unit_is_not_run_again_in_a_transaction_that_is_the_hosts(billing, host):
    """Only the host can begin his transaction again."""
    runs = []

    def work(tx):
        runs.append(tx)
        tx.execute("DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '40001'; END $$")

    with host.begin() as connection, pytest.raises(StoreError) as error:
        JoinedDatabase(connection).unit(work)
    assert error.value.code == "database_locked"
    assert len(runs) == 1


def test_a_bare_driver_connection_can_be_joined(billing, url):
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
        with billing.joined(connection) as inside:
            inside.customers.create("statement")
    own = psycopg.connect(url, autocommit=True)
    with own as connection, connection.transaction(), billing.joined(connection) as inside:
        inside.customers.create("block")
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction() as transaction:
        with billing.joined(connection) as inside:
            inside.customers.create("gone")
        raise psycopg.Rollback(transaction)
    assert references(billing) == ["statement", "block"]


def test_our_own_connections_are_not_used(billing, url, host):
    """While the host's transaction is open, other threads find all of ours."""
    before = sessions(url)
    with host.begin() as connection, billing.joined(connection) as inside:
        inside.customers.create("acme")
        assert sessions(url) == before
        assert billing.database.engine.pool.checkedout() == 0


def sessions(url):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'billcore'"
        ).fetchone()


# Any session


@pytest.mark.parametrize(
    "options",
    [
        "TimeZone=Asia/Kathmandu",
        "DateStyle=German",
        "DateStyle=SQL,MDY TimeZone=America/New_York",
        "DateStyle=Postgres,DMY",
        "IntervalStyle=sql_standard extra_float_digits=0 bytea_output=escape",
        "client_encoding=LATIN1",
        "default_transaction_isolation=serializable",
        "statement_timeout=60000 search_path=public",
    ],
)
def test_values_are_right_in_whatever_session_the_host_has(billing, url, options):
    given = " ".join(f"-c {option}" for option in options.split())
    with psycopg.connect(url, options=given) as connection:
        connection.execute("SELECT 1")
        with billing.joined(connection) as inside:
            made = inside.customers.create("acme", name="Jürgen 50%")
            assert made.created_at == AT
            inside.payment_methods.add("acme", token="approve")
            assert inside.customers.get("acme").name == "Jürgen 50%"
            assert inside.customers.get("acme").created_at == AT
    assert billing.customers.get("acme").created_at == AT


def test_the_hosts_connection_stays_as_it_was(billing, url):
    """Its rows, its types, its settings, its prepared statements: another library is a guest there."""

    class Loud(TextLoader):
        def load(self, data):
            return str(super().load(data)).upper()

    with psycopg.connect(url, row_factory=dict_row, prepare_threshold=0) as connection:
        connection.adapters.register_loader("text", Loud)
        seen = connection.execute("SELECT 'a'::text AS x, '2026-01-31'::timestamptz AS t, true AS f").fetchone()
        settings = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        prepared = connection.execute("SELECT count(*) AS n FROM pg_prepared_statements").fetchone()
        with billing.joined(connection) as inside:
            for number in range(8):
                inside.customers.create(f"c{number}")
            assert inside.customers.get("c1").reference == "c1"
        again = connection.execute("SELECT 'a'::text AS x, '2026-01-31'::timestamptz AS t, true AS f").fetchone()
        assert again == seen
        assert again["x"] == "A"
        assert connection.execute("SELECT name, setting FROM pg_settings").fetchall() == settings
        after = connection.execute("SELECT count(*) AS n FROM pg_prepared_statements").fetchone()
        assert after["n"] - prepared["n"] <= 1  # the count itself
        assert connection.row_factory is dict_row
        assert connection.cursor_factory is not StoreCursor


def test_a_hosts_many_rows_travel_as_ours(billing, url):
    """COPY and arrays on the host's connection, where his text loader shouts and his session is elsewhere."""
    with psycopg.connect(url, options="-c TimeZone=Asia/Kathmandu -c DateStyle=German") as connection:
        connection.execute("SELECT 1")
        with billing.joined(connection) as inside:
            inside.unit(lambda scope: [many(inside, scope, number) for number in range(20)])
    assert references(billing) == [f"c{number:02}" for number in range(20)]


def many(billing, scope, number):
    billing.customers.create.within(scope, {"reference": f"c{number:02}"})


# Refused


def test_joining_wants_an_open_transaction(billing, host, url):
    with host.connect() as connection:
        assert "No transaction is open" in refused(connection)
    with psycopg.connect(url) as connection:
        assert "No transaction is open" in refused(connection)


def test_joining_refuses_autocommit(billing, host, url):
    """Every statement would be kept at once, whatever the host does afterwards."""
    with host.connect().execution_options(isolation_level="AUTOCOMMIT") as connection, connection.begin():
        order(connection)
        assert "No transaction is open" in refused(connection)
    with psycopg.connect(url, autocommit=True) as connection:
        assert "No transaction is open" in refused(connection)


def test_joining_refuses_a_transaction_that_has_failed(billing, host):
    with host.connect() as connection:
        transaction = connection.begin()
        with pytest.raises(sa.exc.ProgrammingError):
            connection.exec_driver_sql("SELECT nonsense")
        assert "has failed" in refused(connection)
        transaction.rollback()


def test_joining_refuses_a_pipeline(billing, url):
    with psycopg.connect(url) as connection, connection.transaction(), connection.pipeline():
        connection.execute("SELECT 1")
        assert "busy" in refused(connection)


def test_joining_refuses_what_is_closed(billing, host, url):
    connection = host.connect()
    connection.close()
    assert "closed" in refused(connection)
    bare = psycopg.connect(url)
    bare.close()
    assert "closed" in refused(bare)


def test_joining_refuses_what_is_no_connection(billing, host):
    assert "str" in refused("postgresql://host/db")
    assert "Engine" in refused(host)


def test_a_joined_store_ends_with_the_hosts_transaction(billing, host, url):
    with host.connect() as connection:
        with connection.begin():
            joined = JoinedDatabase(connection)
        with pytest.raises(Refused), joined.transaction():
            pass
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            joined = JoinedDatabase(connection)
        with pytest.raises(Refused), joined.transaction():
            pass
        joined.close()
        assert not connection.closed


def test_a_hosts_password_is_not_shown(url):
    engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg", password="s3cret"))
    with engine.begin() as connection:
        joined = JoinedDatabase(connection)
        assert "s3cret" not in joined.url

        def wrong():
            with joined.transaction() as tx:
                tx.rows("SELECT 1 FROM nowhere")

        with pytest.raises(StoreError) as error:
            wrong()
        assert "s3cret" not in str(error.value)
    engine.dispose()


def test_the_host_sees_a_lost_connection_as_such(billing, url):
    def lost():
        with psycopg.connect(url) as connection:
            pid = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
            with billing.joined(connection) as inside:
                end = "SELECT pg_terminate_backend(CAST(? AS INTEGER))"
                billing.database.unit(lambda tx: tx.rows(end, [pid]))
                inside.customers.list()

    with pytest.raises(StoreError) as error:
        lost()
    assert error.value.code == "database_unreachable"
