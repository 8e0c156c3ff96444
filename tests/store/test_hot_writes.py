"""COPY and set-based updates on PostgreSQL write what single statements write."""

from contextlib import closing, contextmanager, suppress

import psycopg
import pytest
from attrs import evolve, fields_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billcore.domain import values
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.invoice import Invoice
from billcore.domain.ledger import Entry
from billcore.domain.payment import Payment
from billcore.domain.subscription import Subscription
from billcore.domain.writes import Writes
from billcore.errors import StoreError
from billcore.store.database import COMMIT, Database
from billcore.store.mapping import Mapper
from billcore.store.postgresql_transaction import AT_ONCE
from billcore.store.records import BY_CLASS
from billcore.store.wire import array_text, many_inserted, many_updated, parameters, translated
from tests.store.test_mapping import NOW, each_mapper, records, texts

pytestmark = pytest.mark.postgresql_only("SQLite's driver has one way for one row and for many")


@pytest.fixture
def database(stores):
    with closing(Database(stores.fresh())) as database:
        yield database


class GivenUpError(Exception):
    """The end of a transaction that was only for looking."""


@contextmanager
def scratch(database, mapper):
    """A transaction with an empty table of the mapper's that refers to nothing; nothing of it stays."""
    name = mapper.table.name
    with suppress(GivenUpError), database.transaction() as tx:
        tx.execute(f"CREATE TEMPORARY TABLE {name} (LIKE public.{name}) ON COMMIT DROP")
        yield tx
        raise GivenUpError


def numbered(mapper: Mapper, drawn):
    """The records with ids of their own."""
    made = [evolve(record, id=f"id_{number:03}") for number, record in enumerate(drawn)]
    return [evolve(record, version=1) for record in made] if "version" in fields_dict(mapper.record) else made


def stored(mapper, record):
    """As it comes back: an applied coupon's row has the id of its coupon."""
    return evolve(record, coupon=record.coupon.id) if hasattr(record, "coupon") else record


def loaded(tx, mapper):
    return [mapper.load(row) for row in tx.rows(f"{mapper.select} ORDER BY id")]


many = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@each_mapper
@many
@given(data=st.data())
def test_records_come_back_however_they_were_written(database, mapper, data):
    """One by one, by COPY, and after a set-based update: every text, instant, decimal and flag."""
    kinds = st.lists(records(mapper), min_size=AT_ONCE, max_size=AT_ONCE + 2)
    first, second = numbered(mapper, data.draw(kinds)), numbered(mapper, data.draw(kinds))
    second = second[: len(first)]
    with scratch(database, mapper) as tx:
        tx._insert(mapper, first[:1])
        tx._insert(mapper, [*first, evolve(first[0], id="other")][1:])
        assert loaded(tx, mapper) == [stored(mapper, one) for one in [*first, evolve(first[0], id="other")]]
        changed = [evolve(new, id=old.id) for old, new in zip(first, second, strict=False)]
        assert tx._update(mapper, changed) == len(changed)
        found = {one.id: one for one in loaded(tx, mapper)}
        for one in changed:
            expected = stored(mapper, one)
            assert found[one.id] == (evolve(expected, version=2) if mapper.versioned else expected)


@pytest.mark.parametrize("record", [Subscription, Invoice, Payment])
@many
@given(data=st.data())
def test_what_was_read_and_changed_in_some_fields_comes_back_with_them(database, record, data):
    """Each record in fields of its own: the others keep what they have in the columns that are written for all."""
    mapper = BY_CLASS[record]
    kinds = st.lists(records(mapper), min_size=AT_ONCE, max_size=AT_ONCE)
    first, second = numbered(mapper, data.draw(kinds)), numbered(mapper, data.draw(kinds))
    names = st.sets(st.sampled_from([name for name in mapper.columns if name not in ("id", "version")]), max_size=4)
    with scratch(database, mapper) as tx:
        tx._insert(mapper, first)
        changed = [
            values.evolve(old, **{name: getattr(new, name) for name in data.draw(names)})
            for old, new in zip(loaded(tx, mapper), second, strict=True)
        ]
        assert tx._update(mapper, changed) == len(changed)
        assert loaded(tx, mapper) == [evolve(one, version=2) for one in changed]


def customers(count):
    return [Customer(f"cus_{number:05}", f"c{number}", NOW) for number in range(count)]


def save(database, *new, changed=()):
    writes = Writes()
    writes.add(*new)
    writes.put(*changed)
    database.unit(lambda tx: tx.save(writes))


def count(database, table):
    with database.transaction(reads=True) as tx:
        return tx.one(f"SELECT count(*) FROM {table}")[0]


def test_one_stale_row_of_a_thousand_stops_all(database):
    """The guard holds for each row of a set: rows that changed meanwhile are not found, and that is counted."""
    made = customers(1000)
    save(database, *made)
    save(database, changed=[evolve(made[500], name="meanwhile")])
    with pytest.raises(StoreError, match="1 of 1000 rows of billcore_customers") as error:
        save(database, changed=[evolve(customer, name="mine") for customer in made])
    assert error.value.code == "version_conflict"
    with database.transaction(reads=True) as tx:
        assert tx.rows("SELECT name FROM billcore_customers WHERE name IS NOT NULL") == [("meanwhile",)]


def test_a_constraint_holds_for_rows_that_are_copied(database):
    entries = [Entry(f"ent_{number}", "cus_1", NOW, "USD", "receivable", "revenue", 1) for number in range(100)]
    with pytest.raises(psycopg.errors.CheckViolation):
        save(database, *entries, Entry("ent_x", "cus_1", NOW, "USD", "receivable", "revenue", 0))
    assert count(database, "billcore_ledger_entries") == 0
    save(database, *entries)
    assert count(database, "billcore_ledger_entries") == 100


@pytest.fixture
def waits(monkeypatch):
    """Every time the driver waits for the server."""
    waits = []
    wait = psycopg.Connection.wait

    def waiting(connection, *given, **named):
        waits.append(given)
        return wait(connection, *given, **named)

    monkeypatch.setattr(psycopg.Connection, "wait", waiting)
    return waits


def test_round_trips_do_not_grow_with_the_rows(database, waits):
    """A thousand rows are one COPY in a few packets, and one UPDATE."""
    made = customers(1000)
    save(database, *made[:10])
    waits.clear()
    save(database, *made[10:])
    assert len(waits) < 25
    waits.clear()
    save(database, changed=[evolve(one, name="n") for one in made])
    assert len(waits) < 10


def test_what_a_command_writes_to_many_tables_is_one_round_trip(database, waits):
    """The driver sends all of it in a pipeline, and waits once at its end."""
    one, two, three = customers(3)
    entries = [Entry(f"ent_{number}", "cus_00000", NOW, "USD", "receivable", "revenue", 1) for number in range(3)]
    save(database, one)
    waits.clear()
    save(database, two, three, *entries, changed=[evolve(one, name="n")])
    names = [given[0].__name__ for given in waits]
    assert names.count("_exit_gen") == 1
    begin, number = 1, 1
    assert names.count("_execute_gen") == begin + 6 + number


def test_single_rows_go_before_the_many_that_refer_to_them(database):
    """What is put off for one round trip is sent before a COPY that needs it."""
    methods = [PaymentMethod(f"pm_{n}", "cus_00000", "test", "card", "approve", NOW) for n in range(AT_ONCE)]
    save(database, *customers(1), *methods)
    assert count(database, "billcore_payment_methods") == AT_ONCE


def test_a_stale_row_among_single_ones_is_noticed(database):
    one, two = customers(2)
    save(database, one, two)
    save(database, changed=[evolve(one, name="first")])
    with pytest.raises(StoreError, match="1 of 2 rows of billcore_customers") as error:
        save(database, changed=[evolve(one, name="second"), evolve(two, name="second")])
    assert error.value.code == "version_conflict"
    with database.transaction(reads=True) as tx:
        assert tx.rows("SELECT name FROM billcore_customers ORDER BY id") == [("first",), (None,)]


# What an observer sees


def test_an_observer_can_replay_what_was_written(database):
    seen = []
    database.observe = lambda sql, rows: seen.append((sql, rows))
    made = customers(AT_ONCE)
    save(database, *made)
    save(database, changed=[evolve(one, name="n") for one in made])
    save(database, changed=[evolve(made[0], name="m", version=2)])
    mapper = BY_CLASS[Customer]
    inserted, updated = many_inserted(mapper), many_updated(mapper, mapper.whole)
    assert [sql for sql, _ in seen] == [inserted, COMMIT, updated, COMMIT, mapper.whole.sql, COMMIT]
    assert seen[0][1] == mapper.rows(made)
    assert inserted.startswith("COPY billcore_customers (")
    assert updated.startswith("UPDATE billcore_customers ")


def test_what_was_rolled_back_is_not_committed_for_an_observer(database):
    seen = []
    database.observe = lambda sql, _rows: seen.append(sql)
    with pytest.raises(KeyError):
        database.unit(lambda tx: [tx.execute("DELETE FROM billcore_meta"), {}["k"]])
    with database.transaction(reads=True):
        pass
    assert COMMIT not in seen


# Forms


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | texts | st.sampled_from(["NULL", "", " ", '"', "\\", ",", "{}", "a b"]), max_size=6))
def test_any_list_is_one_parameter(database, values):
    with database.transaction(reads=True) as tx:
        found = [value for (value,) in tx.rows("SELECT unnest(CAST(? AS text[]))", [array_text(values)])]
        assert found == values
        known = [value for value in values if value is not None]
        if known:
            assert tx.one("SELECT CAST(? AS text) IN ??", [known[-1], known]) == (1,)
            assert tx.one("SELECT CAST(? AS text) NOT IN ??", [known[-1], known]) == (0,)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT a FROM b WHERE c = ? AND d = ?", "SELECT a FROM b WHERE c = $1 AND d = $2"),
        ("c IN ?? AND d NOT IN ?? AND e = ?", "c = ANY($1) AND d <> ALL($2) AND e = $3"),
        ("c = '?' AND d LIKE '50%?''?' AND \"e?\" = ?", "c = '?' AND d LIKE '50%?''?' AND \"e?\" = $1"),
        ("a LIKE ? ESCAPE '\\' OR b LIKE '%s'", "a LIKE $1 ESCAPE '\\' OR b LIKE '%s'"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_statements_are_translated_once_for_all(ours, theirs):
    assert translated(ours) == theirs
    assert translated(ours) is translated(ours)


def test_parameters_are_texts_that_take_the_type_they_meet():
    assert parameters(["a", None, 5, True, NOW, ["x", "y"]]) == [
        "a",
        None,
        "5",
        "True",
        "2026-01-31T12:00:00Z",
        '{"x","y"}',
    ]
