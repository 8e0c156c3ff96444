"""Every record class and its table say the same, and what is saved is what is read."""

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from types import NoneType
from typing import get_args, get_type_hints

import psycopg
import pytest
from attrs import evolve, fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, Integer
from sqlalchemy.dialects import sqlite

from billcore.domain import values
from billcore.domain.catalog import Coupon
from billcore.domain.change import Change
from billcore.domain.credit import Allocation, Credit
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.discount import AppliedCoupon
from billcore.domain.dunning import DunningCase
from billcore.domain.event import AuditRecord, Event, StateChange
from billcore.domain.inbox import InboxEvent
from billcore.domain.invoice import Coverage, CreditNote, Invoice, Line, Renewal
from billcore.domain.ledger import Entry
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import UsageEvent
from billcore.domain.writes import Writes
from billcore.errors import StoreError
from billcore.store import schema
from billcore.store.database import Database
from billcore.store.mapping import Mapper
from billcore.store.records import BY_CLASS, MAPPERS
from billcore.store.types import ExactDecimal, Instant, JsonText, PlainText, PreciseInstant

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 28, 12, tzinfo=UTC)

# What stands in tables of its own.
PARTS = {"items", "coupons", "lines"}
# Known of a line while it is decided on, stored otherwise: whether it has waited, and the layer of its coverage.
DECIDED = {"Line.waited", "Line.layer"}
# Optional in the decision, there when it is written: a number is drawn right before.
ALWAYS_WRITTEN = {"CreditNote.number", "CreditNote.number_text"}

each_mapper = pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: mapper.record.__name__)


def stored_fields(mapper):
    """The fields of a record that stand in a column of its table."""
    for field in fields(mapper.record):
        if field.name not in PARTS and f"{mapper.record.__name__}.{field.name}" not in DECIDED:
            yield field


def column_of(mapper, field):
    """The column behind a field: its own name, but an applied coupon keeps the id of its coupon."""
    return "coupon_id" if (mapper.record, field) == (AppliedCoupon, "coupon") else field


@each_mapper
def test_columns_are_the_fields_of_the_record(mapper):
    named = [column_of(mapper, field.name) for field in stored_fields(mapper)]
    assert list(mapper.columns) == named
    assert sorted(mapper.columns) == sorted(column.name for column in mapper.table.columns)


@each_mapper
def test_a_column_may_be_empty_where_the_field_may(mapper):
    hints = get_type_hints(mapper.record)
    for field in stored_fields(mapper):
        optional = NoneType in get_args(hints[field.name])
        if f"{mapper.record.__name__}.{field.name}" in ALWAYS_WRITTEN:
            optional = False
        column = mapper.table.columns[column_of(mapper, field.name)]
        assert column.nullable == optional, str(column)


@each_mapper
def test_rows_are_found_by_their_id(mapper):
    assert [column.name for column in mapper.table.primary_key.columns] == ["id"]


def test_what_others_point_to_is_written_first():
    """Foreign keys are checked at once, so the order of the mappers is the order of the writes."""
    place = {mapper.table.name: number for number, mapper in enumerate(MAPPERS)}
    for mapper in MAPPERS:
        for key in mapper.table.foreign_keys:
            target = key.column.table.name
            assert place.get(target, -1) < place[mapper.table.name], f"{mapper.table.name} -> {target}"


# Values of every kind

moments = st.datetimes().map(lambda value: value.replace(tzinfo=UTC))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
KINDS = {
    Boolean: st.booleans(),
    Integer: st.integers(-(2**31), 2**31 - 1),
    BigInteger: st.integers(-(2**63), 2**63 - 1),
    PreciseInstant: moments,
    Instant: moments.map(lambda value: value.replace(microsecond=0)),
    ExactDecimal: st.decimals(allow_nan=False, allow_infinity=False),
    JsonText: st.just('{"a": 1}'),
    PlainText: texts,
}


def records(mapper):
    """Any record of the class, with values that its columns can hold."""
    values = {}
    for field in stored_fields(mapper):
        column = mapper.table.columns[column_of(mapper, field.name)]
        made = KINDS[type(column.type)]
        values[field.name] = st.none() | made if column.nullable else made
    for objects in {"custom_fields", "properties"} & values.keys():
        values[objects] = st.dictionaries(texts, texts, max_size=3)
    if mapper.record is AppliedCoupon:
        values["coupon"] = texts.map(lambda id_: Coupon("c", id=id_))
    return st.builds(mapper.record, **values)


@each_mapper
# A subscription has so many fields that to draw one takes longer than the check of its health allows.
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_record_comes_back_from_its_row_as_it_was(mapper, data):
    record = data.draw(records(mapper))
    with sqlite3.connect(":memory:") as connection:
        kinds = (f'"{c.name}" {c.type.compile(sqlite.dialect())}' for c in mapper.table.columns)
        connection.execute(f"CREATE TABLE {mapper.table.name} ({', '.join(kinds)})")
        connection.execute(mapper.insert, mapper.row(record))
        (row,) = connection.execute(mapper.select).fetchall()
    connection.close()
    # A coupon's definition stands in the catalog; its row has the id.
    stored = evolve(record, coupon=record.coupon.id) if mapper.record is AppliedCoupon else record
    assert mapper.load(row) == stored
    assert row == mapper.row(record)


# Saving


def everything():
    """One record of each class, pointing at each other as in a first invoice."""
    c, s, i = "cus_1", "sub_1", "inv_1"
    return [
        Customer(c, "acme", NOW, name="Åsa & Söhne", custom_fields={"plan": "ü"}),
        PaymentMethod("pm_1", c, "test", "card", "approve", NOW, last4="4242"),
        Subscription(s, "s1", c, "USD", "pri_1", Decimal("2.50"), "active", NOW, anchor=NOW),
        Item("itm_1", s, "seats", "pri_1", Decimal(3), NOW),
        Invoice(
            i, c, s, "signup", "USD", "open", "automatic", NOW, 1000, 100, 90, 0, 990, "INV", 1, "INV-1", NOW
        ),
        AppliedCoupon("apc_1", Coupon("HALF", id="cou_1"), 1, remaining=3, subscription_id=s),
        CreditNote("crn_1", c, s, i, "USD", "credit", NOW, NOW, 100, 0, 0, 0, 100, "CN", 1, "CN-1"),
        Line(
            "lin_1", i, None, c, s, "itm_1", "component", "pri_1", "seats", "Seats", NOW, LATER, Decimal(3),
            1000, 100, 90, 0, '{"unit": "4"}',
        ),
        Coverage("cov_1", c, "itm_1", NOW, LATER, "lin_1"),
        Renewal("ren_1", c, s, 1, NOW, LATER, NOW, "pri_1", i),
        Payment("pay_1", c, i, 1, "inv_1:1", "signup", 990, "USD", "test", "pm_1", "{}", "pending", NOW),
        Refund("ref_1", c, "pay_1", 1, "pay_1:r1", "refund", "method", 100, "USD", "test", "{}", "pending", NOW),
        Credit("crd_1", c, "credits", "USD", 100, 40, NOW),
        Allocation("all_1", c, i, "USD", "credits", "crd_1", NOW, 60),
        DunningCase("dun_1", c, "USD", NOW),
        Entry("ent_1", c, NOW, "USD", "receivable", "revenue", 990, invoice_id=i),
        UsageEvent("use_1", c, s, "itm_1", "seats", "e1", Decimal("0.001"), NOW.replace(microsecond=5), NOW),
        Change("cha_1", c, s, "change", '{"price": "pro"}', NOW, "test", at=LATER, before="{}"),
        StateChange("chg_1", c, s, None, "active", NOW, "created", "test"),
        Event("evt_1", c, NOW, "invoice_issued", i, "{}"),
        AuditRecord("aud_1", NOW, "test", "customers.create", "{}", "{}"),
        InboxEvent("inb_1", "test", "evt_1", NOW, "attempt", "charge.succeeded", "{}", "{}"),
    ]  # fmt: skip


def the(kind):
    """The one record of this class among them."""
    return next(record for record in everything() if type(record) is kind)


@pytest.fixture
def database(stores):
    database = Database(stores.fresh())
    schema.create(database)
    with database.transaction() as transaction:
        for id_, kind in (("pri_1", "price"), ("cou_1", "coupon")):
            transaction.execute(
                "INSERT INTO billcore_catalog (id, kind, code, version, definition, published_at)"
                " VALUES (?, ?, ?, 1, '{}', ?)",
                (id_, kind, id_, NOW),
            )
    yield database
    database.close()


def save(database, *new, changed=()):
    writes = Writes()
    writes.add(*new)
    writes.put(*changed)
    with database.transaction() as transaction:
        transaction.save(writes)


def load(database, kind):
    mapper = BY_CLASS[kind]
    with database.transaction(reads=True) as transaction:
        return [mapper.load(row) for row in transaction.rows(mapper.select)]


def test_the_example_has_every_record_class():
    assert [type(record) for record in everything()] == [mapper.record for mapper in MAPPERS]


def test_everything_is_saved_in_one_transaction_in_any_order(database):
    save(database, *reversed(everything()))
    for record in everything():
        stored = evolve(record, coupon=record.coupon.id) if isinstance(record, AppliedCoupon) else record
        assert load(database, type(record)) == [stored]


def test_an_update_writes_every_changed_value_and_counts_the_version(database):
    save(database, *everything())
    customer, subscription = the(Customer), the(Subscription)
    save(
        database,
        changed=[
            evolve(customer, name=None, tax_exempt=True),
            evolve(subscription, period_end=LATER, sequence=1),
        ],
    )
    assert load(database, Customer) == [evolve(customer, name=None, tax_exempt=True, version=2)]
    assert load(database, Subscription) == [evolve(subscription, period_end=LATER, sequence=1, version=2)]


@pytest.mark.parametrize("record", [Subscription, Invoice, Payment])
def test_of_what_was_read_only_the_columns_are_written_that_may_differ(database, record):
    """So no index over the others is written again for every renewal."""
    save(database, *everything())
    mapper = BY_CLASS[record]
    (read,) = load(database, record)
    moved, named = values.evolve(read, created_at=LATER), values.evolve(read, currency="CHF")
    assert mapper.update([moved]).columns == ("created_at", "id", "version")
    assert {*mapper.update([moved, named]).columns} == {"created_at", "currency", "id", "version"}
    assert mapper.update([moved, the(record)]) is mapper.whole
    assert {*mapper.whole.columns} == {*mapper.columns}
    with database.transaction() as transaction:
        transaction.execute(f"UPDATE {mapper.table.name} SET currency = 'SEK'")
    save(database, changed=[moved])
    assert load(database, record) == [evolve(read, created_at=LATER, currency="SEK", version=2)]


def test_what_was_read_and_not_changed_counts_its_version_all_the_same(database):
    save(database, *everything())
    (read,) = load(database, Subscription)
    save(database, changed=[read])
    assert load(database, Subscription) == [evolve(read, version=2)]
    with pytest.raises(StoreError):
        save(database, changed=[values.evolve(read, quantity=Decimal(9))])


def test_sets_of_columns_without_end_are_not_remembered():
    mapper = Mapper(Subscription, BY_CLASS[Subscription].table)
    read = mapper.load(mapper.row(the(Subscription)), (), ())
    changing = [name for name in mapper.columns if name not in ("id", "version")]
    for number in range(1, 600):
        names = [name for place, name in enumerate(changing) if number >> place & 1]
        update = mapper.update([values.evolve(read, **dict.fromkeys(names))])
        assert {*update.columns} == {*names, "id", "version"} or update is mapper.whole
    assert update is mapper.whole
    assert len(mapper._updates) == 512


def test_what_stands_in_tables_of_its_own_is_no_column_of_an_update(database):
    save(database, *everything())
    (read,) = load(database, Invoice)
    assert BY_CLASS[Invoice].update([values.evolve(read, lines=())]).columns == ("id", "version")


def test_a_record_without_a_version_is_updated_by_its_id(database):
    save(database, *everything())
    coverage = evolve(the(Coverage), status="credited")
    save(database, changed=[coverage])
    assert load(database, Coverage) == [coverage]


def test_a_row_that_changed_meanwhile_stops_the_whole_unit(database):
    """Two workers read version 1; the second to write has decided on what is no longer so (F6)."""
    save(database, *everything())
    customer, subscription = the(Customer), the(Subscription)
    save(database, changed=[evolve(customer, name="first")])
    with pytest.raises(StoreError) as refused:
        save(database, changed=[evolve(subscription, sequence=9), evolve(customer, name="second")])
    assert refused.value.code == "version_conflict"
    assert load(database, Customer) == [evolve(customer, name="first", version=2)]
    assert load(database, Subscription) == [subscription]


def test_one_stale_row_of_many_is_noticed(database):
    others = [Customer(f"cus_{n}", f"c{n}", NOW) for n in range(5)]
    save(database, *others)
    save(database, changed=[evolve(others[3], name="meanwhile")])
    with pytest.raises(StoreError, match="1 of 5 rows of billcore_customers"):
        save(database, changed=[evolve(customer, name="mine") for customer in others])


def test_a_record_that_is_not_there_cannot_be_updated(database):
    with pytest.raises(StoreError) as refused:
        save(database, changed=[the(Customer)])
    assert refused.value.code == "version_conflict"


@pytest.mark.parametrize(
    ("again", "rule"),
    [
        (Renewal("ren_2", "cus_1", "sub_1", 1, NOW, LATER, NOW, "pri_1", None), "one renewal per sequence"),
        (Coverage("cov_2", "cus_1", "itm_1", NOW, LATER, "lin_1"), "no time billed twice"),
        (evolve(the(Payment), id="pay_2", idempotency_key="other"), "one payment per attempt"),
        (evolve(the(Payment), id="pay_2", attempt=2), "one charge per key"),
        (evolve(the(Invoice), id="inv_2"), "one invoice per number"),
        (evolve(the(UsageEvent), id="use_2"), "usage counted once"),
        (evolve(the(DunningCase), id="dun_2"), "one open case per payer and currency"),
        (evolve(the(Entry), id="ent_2", amount=0), "entries move money"),
        (evolve(the(Entry), id="ent_2", credit="receivable"), "between two accounts"),
        (evolve(the(Credit), id="crd_2", remaining=101), "a credit has no more than it was"),
        (evolve(the(Invoice), id="inv_2", number=2, paid=900, credited=91), "no more paid than is owed"),
        (evolve(the(Invoice), id="inv_2", number=None), "issued invoices have numbers"),
        (evolve(the(Line), id="lin_2", credit_note_id="crn_1"), "a line is of one document"),
        (evolve(the(Coverage), id="cov_2", start=LATER, end=NOW), "time goes forward"),
        (
            evolve(the(Payment), id="pay_2", attempt=2, idempotency_key="k", captured=991),
            "as asked at most",
        ),
        (evolve(the(Subscription), id="sub_2", reference="s2", customer_id="cus_9"), "a payer that exists"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_database_itself_refuses(database, again, rule):
    """The constraints of behaviour 8.4 hold whatever the code above does."""
    save(database, *everything())
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        save(database, again)


def test_credited_time_can_be_billed_again(database):
    save(database, *everything())
    save(database, changed=[evolve(the(Coverage), status="credited")])
    save(database, Coverage("cov_2", "cus_1", "itm_1", NOW, LATER, "lin_1"))
