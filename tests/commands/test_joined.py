"""Inside the host's own transaction: commit and roll back together, nothing collected before (behaviour 15)."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from billcore import sqlite_engine
from tests.builders import attempts, books, day, documents, dump, refusal


@pytest.fixture
def house(stores, tmp_path):
    """A host's engine on the database that has the books, with a table of the host's own."""
    url = stores.own(tmp_path / "books.db")
    billing = books(url)
    if stores.kind == "sqlite":
        engine = sqlite_engine(url)
    else:
        engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (name TEXT)"))
    yield billing, engine
    engine.dispose()


def entered(billing, connection):
    with billing.joined(connection) as inside:
        inside.customers.list()


def orders(engine):
    with engine.begin() as connection:
        return [row[0] for row in connection.execute(sa.text("SELECT name FROM orders"))]


def test_host_and_books_commit_together_and_the_run_collects(house) -> None:
    billing, engine = house
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO orders VALUES ('one')"))
        joined = billing.joined(connection)
        with joined as inside:
            sub = inside.subscriptions.create("s1", "acme", "pro-m")
            assert sub.state == "pending"
            assert inside.subscriptions.get("s1") == sub
    assert orders(engine) == ["one"]
    assert billing.gateway("test").charges() == 0
    assert billing.subscriptions.get("s1").state == "pending"
    billing.run(day("01-01"))
    assert billing.subscriptions.get("s1").state == "active"
    assert attempts(billing) == [("succeeded", "01-01", 3000)]
    assert documents(billing) == [("paid", "01-01", 3000, [("product", 3000)])]


def test_a_signup_that_is_canceled_before_the_run_is_never_charged(house) -> None:
    billing, engine = house
    with engine.begin() as connection, billing.joined(connection) as inside:
        inside.subscriptions.create("s1", "acme", "pro-m")
    assert billing.subscriptions.cancel("s1").state == "canceled"
    billing.run(day("01-02"))
    assert (billing.gateway("test").charges(), documents(billing)) == (0, [])
    assert [one.status for one in billing.payments.list()] == ["canceled"]


def test_host_and_books_roll_back_together(house) -> None:
    billing, engine = house
    before = dump(billing)
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.text("INSERT INTO orders VALUES ('one')"))
        with billing.joined(connection) as inside:
            inside.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1")
        transaction.rollback()
    assert orders(engine) == []
    assert dump(billing) == before
    billing.run(day("01-02"))
    assert billing.gateway("test").charges() == 0
    assert billing.subscriptions.create("s1", "acme", "pro-m", idempotency_key="k1").state == "active"


def test_a_declined_joined_signup_fails_at_the_run(house) -> None:
    billing, engine = house
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    with engine.begin() as connection, billing.joined(connection) as inside:
        inside.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-01"))
    assert billing.subscriptions.get("s1").state == "failed_to_create"


def test_a_refusal_leaves_the_hosts_transaction_usable(house) -> None:
    billing, engine = house
    with engine.begin() as connection:
        with billing.joined(connection) as inside:
            assert refusal(inside.subscriptions.create, "s1", "nobody", "pro-m").code == "not_found"
            inside.customers.create("bolt")
        connection.execute(sa.text("INSERT INTO orders VALUES ('two')"))
    assert orders(engine) == ["two"]
    assert billing.customers.get("bolt").reference == "bolt"


def test_a_refused_command_leaves_nothing_in_the_hosts_transaction(house) -> None:
    """A command that is refused half-way must not have its first half committed by the host."""
    billing, engine = house
    before = dump(billing)
    with engine.begin() as connection, billing.joined(connection) as inside:
        given = {"custom": {"amount": "1.00"}, "coupons": ["NONE"]}
        assert refusal(inside.subscriptions.create, "s1", "acme", "pro-m", **given).code == "coupon_not_found"
    assert dump(billing) == before


def test_a_dry_run_inside_leaves_the_hosts_own_work(house) -> None:
    billing, engine = house
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO orders VALUES ('one')"))
        with billing.joined(connection) as inside:
            preview = inside.subscriptions.create("s1", "acme", "pro-m", dry_run=True)
            assert preview.invoices[0].total == 3000
    assert orders(engine) == ["one"]
    assert refusal(billing.subscriptions.get, "s1").code == "not_found"


def test_due_work_does_not_run_inside(house) -> None:
    billing, engine = house
    with engine.begin() as connection, billing.joined(connection) as inside:
        assert refusal(inside.run).code == "join_refused"


@pytest.mark.sqlite_only("PostgreSQL has no late beginning: any engine will do")
def test_another_engine_is_refused_with_the_recipe(house, tmp_path) -> None:
    """SQLAlchemy's own begins late: the host would read before the lock and lose the race."""
    billing, _ = house
    plain = sa.create_engine(billing.database.url)
    with plain.begin() as connection:
        refused = refusal(entered, billing, connection)
    assert refused.code == "join_refused" and "sqlite_engine" in refused.remedy
    plain.dispose()


def test_a_connection_without_a_transaction_is_refused(house) -> None:
    billing, engine = house
    with engine.connect() as connection:
        refused = refusal(entered, billing, connection)
    assert refused.code == "join_refused" and "transaction" in refused.message


def test_another_database_is_refused(house, stores, tmp_path) -> None:
    billing, engine = house
    url = stores.blank(tmp_path / "other.db")
    other = (
        sqlite_engine(url)
        if stores.kind == "sqlite"
        else sa.create_engine(engine.url.set(database=make_url(url).database))
    )
    with other.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x TEXT)"))
    with other.begin() as connection:
        refused = refusal(entered, billing, connection)
    assert refused.code in ("join_refused", "schema_missing")
    other.dispose()


def test_a_command_after_the_hosts_commit_is_refused(house) -> None:
    billing, engine = house
    with engine.begin() as connection, billing.joined(connection) as inside:
        inside.customers.create("bolt")
    assert refusal(inside.customers.create, "crab").code == "join_refused"
    assert [one.reference for one in billing.customers.list()] == ["acme", "bolt"]


PAID_FIRST = {
    "change": lambda subs: subs.change("s1", quantity=2, idempotency_key="k"),
    "set_component": lambda subs: subs.set_component("s1", "seats", "2", idempotency_key="k"),
    "attach": lambda subs: subs.attach("s2", "acme", "pro-y", idempotency_key="k"),
    "reactivate": lambda subs: subs.reactivate("s1", idempotency_key="k"),
    "add_charge": lambda subs: subs.add_charge("s1", "5.00", "Extra", idempotency_key="k"),
    "cancel": lambda subs: subs.cancel("s1", refund="unused", idempotency_key="k"),
}


@pytest.fixture(params=sorted(PAID_FIRST))
def command(request):
    return request.param


def running(house, command, decline):
    """The host's books with `s1` running, or ended where it is to come back, as seen before the command."""
    billing, engine = house
    billing.settings.set("change_decline", decline)
    billing.subscriptions.create("s1", "acme", "pro-m")
    if command == "reactivate":
        billing.subscriptions.cancel("s1")
    billing.run(day("01-16"))
    return billing, engine, len(billing.gateway("test").book())


@pytest.mark.parametrize("decline", ["keep", "refuse"])
def test_a_joined_command_moves_money_when_a_worker_sees_its_commit(house, command, decline) -> None:
    """Also one that is paid before it happens: its attempt is left to the worker."""
    billing, engine, moved = running(house, command, decline)
    with engine.begin() as connection, billing.joined(connection) as inside:
        PAID_FIRST[command](inside.subscriptions)
    assert len(billing.gateway("test").book()) == moved
    billing.run(day("01-17"))
    assert len(billing.gateway("test").book()) == moved + 1
    sub = billing.subscriptions.get("s1")
    expected = {"change": "2", "set_component": "1", "cancel": "1"}.get(command, "1")
    assert (str(sub.quantity), sub.state) == (expected, "canceled" if command == "cancel" else "active")
    assert all(one.status == "paid" for one in billing.invoices.list())
    PAID_FIRST[command](billing.subscriptions)  # Under its key it is the same call.
    assert len(billing.gateway("test").book()) == moved + 1
    assert billing.verify().ok


def test_a_joined_command_rolls_back_with_the_host(house, command) -> None:
    billing, engine, moved = running(house, command, "refuse")
    before = dump(billing)
    with engine.connect() as connection, connection.begin() as transaction:
        with billing.joined(connection) as inside:
            PAID_FIRST[command](inside.subscriptions)
        transaction.rollback()
    assert dump(billing) == before
    billing.run(day("01-17"))
    assert len(billing.gateway("test").book()) == moved


def test_a_joined_change_that_is_declined_changes_nothing(house) -> None:
    billing, engine, _ = running(house, "change", "refuse")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    with engine.begin() as connection, billing.joined(connection) as inside:
        assert inside.subscriptions.change("s1", quantity=2).quantity == 1
    billing.run(day("01-17"))
    assert (billing.subscriptions.get("s1").quantity, billing.subscriptions.get("s1").state) == (1, "active")
    assert billing.subscriptions.change("s1", quantity=2).quantity == 2
