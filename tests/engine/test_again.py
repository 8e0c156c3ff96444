"""A unit of work may be asked for again: by a serialization failure, a deadlock, a lost connection (F9)."""

import psycopg
import pytest
from sqlalchemy.engine import make_url

from billcore.store.database import Database
from billcore.store.postgresql import PostgresqlStore
from tests import databases
from tests.builders import CATALOG, books, day, refusal
from tests.commands.test_calls import WRITING, running
from tests.engine.test_at_once import at_once
from tests.engine.test_run import story, told

pytestmark = pytest.mark.usefixtures("books_are_proven")

ZONE = "Europe/Berlin"
END = day("04-15")


class Undone(Exception):
    """Rolls a unit back that is then done again."""


@pytest.fixture
def everything_twice(monkeypatch):
    """Each unit of work is done, rolled back, and done again."""
    unit = Database.unit

    def twice(self, work, *, reads=False):
        def undone(tx):
            work(tx)
            raise Undone

        try:
            unit(self, undone, reads=reads)
        except Undone:
            return unit(self, work, reads=reads)
        raise AssertionError("it was not done")

    monkeypatch.setattr(Database, "unit", twice)


@pytest.fixture(scope="module")
def undisturbed():
    """What the story comes to where nothing is in its way."""
    with databases.stores("sqlite"):
        billing = story(ZONE)
        billing.run(END)
        return told(billing), billing.gateway("test").taken("USD")


def test_whatever_is_done_twice_is_found_once(everything_twice, undisturbed) -> None:
    """Nothing that a unit collects outlives its rollback, in commands or in runs."""
    billing = story(ZONE)
    billing.run(END)
    assert (told(billing), billing.gateway("test").taken("USD")) == undisturbed


@pytest.mark.sqlite_only("what a command collects has nothing to do with the database")
@pytest.mark.parametrize(("noun", "verb", "args", "given"), WRITING)
def test_a_command_done_twice_is_one_command(noun, verb, args, given, everything_twice) -> None:
    billing = running()
    before = _count(billing)
    getattr(getattr(billing, noun), verb)(*args, **given, idempotency_key="k1")
    written = _count(billing) - before
    assert written == 1


def _count(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT count(*) FROM billcore_audit_log")[0][0]


@pytest.mark.postgresql_only("SQLite has one writer, who never fails to be serialized")
def test_serialization_failures_at_every_third_commit_change_nothing(monkeypatch, undisturbed) -> None:
    failed, commit = [], PostgresqlStore._commit

    def failing(self, opened):
        failed.append(not opened.reads)
        if sum(failed) % 3 == 0 and not opened.reads:
            self._roll_back(opened)
            raise psycopg.errors.SerializationFailure("could not serialize access")
        return commit(self, opened)

    monkeypatch.setattr(PostgresqlStore, "_commit", failing)
    billing = story(ZONE)
    billing.run(END)
    assert sum(failed) > 50
    assert (told(billing), billing.gateway("test").taken("USD")) == undisturbed


@pytest.fixture
def serializable(stores, monkeypatch):
    """New databases are opened so that every transaction of theirs is SERIALIZABLE."""
    fresh = stores.fresh

    def strict():
        options = {"options": "-c default_transaction_isolation=serializable"}
        return make_url(fresh()).update_query_dict(options).render_as_string(hide_password=False)

    monkeypatch.setattr(stores, "fresh", strict)


@pytest.mark.postgresql_only("SQLite's transactions are never anything else")
def test_books_on_a_serializable_database_are_the_same(serializable, undisturbed) -> None:
    billing = story(ZONE)
    with billing.database.transaction(reads=False) as tx:
        assert tx.rows("SHOW transaction_isolation") == [("serializable",)]
    billing.run(END)
    assert (told(billing), billing.gateway("test").taken("USD")) == undisturbed


@pytest.mark.postgresql_only("SQLite's transactions are never anything else")
def test_a_serializable_database_takes_double_clicks_and_limits_too(serializable) -> None:
    catalog = CATALOG | {"coupons": [{"code": "THREE", "percent_off": "10", "max_redemptions": 3}]}
    billing = books(catalog=catalog, customers=tuple(f"c{n}" for n in range(8)))
    made = at_once(lambda n: billing.subscriptions.create(f"s{n}", f"c{n}", "pro-m", coupons=["THREE"]), 8)
    assert sum(getattr(one, "state", "") == "active" for one in made) == 3
    made = at_once(lambda _n: billing.subscriptions.create("one", "c0", "pro-m", idempotency_key="click"), 8)
    assert len({one.id for one in made}) == 1
    assert billing.gateway("test").charges() == 4
    assert refusal(billing.subscriptions.create, "one", "c0", "pro-m").code == "reference_taken"
