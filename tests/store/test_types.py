"""Instants and decimals come back from the database as they went in."""

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from billcore.store.types import (
    ExactDecimal,
    Instant,
    JsonText,
    PlainText,
    PreciseInstant,
    instant_to_text,
    precise_to_text,
    text_to_decimal,
    text_to_instant,
)

zones = st.sampled_from([UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"), timezone(timedelta(hours=14))])
first, last = datetime(1900, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - `zones` are added to them
precise = st.datetimes(first, last, timezones=zones)
instants = precise.map(lambda value: value.replace(microsecond=0))
decimals = st.decimals(allow_nan=False, allow_infinity=False)

values = Table(
    "kinds",
    MetaData(),
    Column("whole", Instant),
    Column("precise", PreciseInstant),
    Column("exact", ExactDecimal),
    Column("json", JsonText),
)


@pytest.fixture(scope="module")
def connection():
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        values.metadata.create_all(connection)
        yield connection
    engine.dispose()


@given(instants)
@example(datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York")))
@example(datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")))
def test_an_instant_is_stored_as_utc_to_the_second(instant):
    """Also the two half past one of the night that is an hour longer, which Python takes for equal."""
    back = text_to_instant(instant_to_text(instant))
    assert back == instant.astimezone(UTC)
    assert back.tzinfo is UTC


def test_an_instant_reads_as_people_write_it():
    assert instant_to_text(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00Z"
    assert precise_to_text(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00.000000Z"


@given(precise)
def test_the_time_of_usage_keeps_its_microseconds(instant):
    back = text_to_instant(precise_to_text(instant))
    assert back == instant.astimezone(UTC)
    assert back.tzinfo is UTC


@given(instants, instants)
def test_stored_instants_sort_as_they_happened(one, other):
    """Due work is found by an index on these texts."""
    assert (instant_to_text(one) < instant_to_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


@given(precise, precise)
@example(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, 0, 0, 0, 1, tzinfo=UTC))
def test_times_of_usage_sort_as_they_happened(one, other):
    """Usage at the end of a period belongs to the next one, to the microsecond (behaviour 12)."""
    assert (precise_to_text(one) < precise_to_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


def test_the_two_forms_are_not_compared_with_each_other():
    """Why bounds on times of usage are written by precise_to_text: a whole second would come after itself."""
    boundary = datetime(2026, 2, 1, tzinfo=UTC)
    assert precise_to_text(boundary) < instant_to_text(boundary)


@given(decimals)
@example(Decimal("0.10"))
@example(Decimal("1E+30"))
@example(Decimal("-0"))
def test_a_decimal_is_stored_exactly(value):
    assert str(text_to_decimal(str(value))) == str(value)


@given(instants, precise, decimals, st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_row_comes_back_as_it_went_in(connection, instant, moment, exact, text):
    connection.execute(values.delete())
    connection.execute(insert(values).values(whole=instant, precise=moment, exact=exact, json=text))
    whole, to_the_microsecond, number, json = connection.execute(select(values)).one()
    assert (whole, to_the_microsecond) == (instant.astimezone(UTC), moment.astimezone(UTC))
    assert str(number) == str(exact)
    assert json == text


def test_nothing_comes_back_as_nothing(connection):
    connection.execute(values.delete())
    connection.execute(insert(values).values(whole=None, precise=None, exact=None, json=None))
    assert connection.execute(select(values)).one() == (None, None, None, None)


def test_sqlite_never_makes_a_decimal_binary(connection):
    """Stored as text: 0.1 + 0.2 of binary numbers is no amount."""
    connection.execute(values.delete())
    connection.execute(insert(values).values(exact=Decimal("0.10")))
    assert connection.exec_driver_sql("SELECT typeof(exact), exact FROM kinds").one() == ("text", "0.10")


@pytest.mark.parametrize("kind", [Instant, PreciseInstant])
def test_postgresql_keeps_instants_with_their_zone(kind):
    assert kind().compile(dialect=postgresql.dialect()) == "TIMESTAMP WITH TIME ZONE"
    assert kind().compile(dialect=sqlite.dialect()) == "TEXT"
    aware = datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2)))
    to_server = kind().dialect_impl(postgresql.dialect()).bind_processor(postgresql.dialect())
    assert to_server is None or to_server(aware) == aware
    assert kind().process_result_value(aware, postgresql.dialect()).tzinfo is UTC


def test_postgresql_keeps_decimals_as_numeric():
    assert ExactDecimal().compile(dialect=postgresql.dialect()) == "NUMERIC"
    assert ExactDecimal().process_bind_param(Decimal(1), postgresql.dialect()) == Decimal(1)
    assert ExactDecimal().process_result_value(Decimal(1), postgresql.dialect()) == Decimal(1)


def test_postgresql_sorts_texts_by_their_code_points():
    assert PlainText().compile(dialect=postgresql.dialect()) == 'TEXT COLLATE "C"'
    assert PlainText().compile(dialect=sqlite.dialect()) == "TEXT"


def test_whole_numbers_have_64_bits():
    """Beyond them SQLite refuses instead of rounding (F31)."""
    connection = sqlite3.connect(":memory:")
    with pytest.raises(OverflowError):
        connection.execute("SELECT ?", (2**63,))
    connection.close()
