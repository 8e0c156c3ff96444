"""Column types: how instants, exact decimals and JSON stand in each database.

SQLite keeps instants as text that sorts (2026-01-31T00:00:00Z), PostgreSQL as timestamptz; decimals are text
on SQLite, which has no exact number, and numeric on PostgreSQL.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine


class _Texts(dict[datetime | None, str | None]):
    """Instants and their texts, made at the first question and remembered for a batch, which writes the same few.

    Only those in UTC are kept: elsewhere both 1:30 of a long night are one key. No instant is no text.
    """

    def __missing__(self, value: datetime | None) -> str | None:
        if value is None:
            self[value] = None
            return None
        text = instant_to_text(value)
        if value.tzinfo is UTC:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[value] = text
        return text


_REMEMBERED = 16_384
INSTANT_WRITER: Callable[[datetime | None], str | None] = _Texts().__getitem__
"""`instant_to_text` or nothing, without a call of Python's own: a renewal writes dozens of instants."""


def instant_to_text(value: datetime) -> str:
    """An aware instant as sortable text with whole seconds."""
    assert value.tzinfo is not None
    return value.astimezone(UTC).isoformat()[:19] + "Z"


@lru_cache(maxsize=_REMEMBERED)
def text_to_instant(text: str) -> datetime:
    """The instant of such a text."""
    return datetime.fromisoformat(text)


@lru_cache(maxsize=_REMEMBERED)
def text_to_instant_or_none(text: str | None) -> datetime | None:
    """The instant of such a text; none of no text."""
    return None if text is None else datetime.fromisoformat(text)


@lru_cache(maxsize=4096)
def text_to_decimal(text: str) -> Decimal:
    """The exact decimal of a text."""
    return Decimal(text)


def precise_to_text(value: datetime) -> str:
    """An aware instant as sortable text with microseconds.

    It sorts among its like only: as text, `…:00.000000Z` comes before `…:00Z`. So whatever is compared with a
    `PreciseInstant` column is written by this function, whole seconds too.
    """
    assert value.tzinfo is not None
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


class _InstantType(TypeDecorator[datetime]):
    impl = DateTime(timezone=True)
    cache_ok = True
    write: Callable[[datetime], str]

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, timestamptz elsewhere."""
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """An aware datetime as the database keeps it."""
        if value is None or dialect.name != "sqlite":
            return value
        return type(self).write(value)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """What the database keeps as an aware UTC datetime."""
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        assert value is None or isinstance(value, datetime)
        return value.astimezone(UTC) if value is not None else None


class Instant(_InstantType):
    """An aware UTC instant with whole seconds."""

    cache_ok = True
    write = staticmethod(instant_to_text)


class PreciseInstant(_InstantType):
    """An aware UTC instant with microseconds, for usage events."""

    cache_ok = True
    write = staticmethod(precise_to_text)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that never becomes a binary fraction, and keeps every digit it was given."""

    impl = Numeric()
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, numeric elsewhere."""
        kind: TypeEngine[Any] = Text() if dialect.name == "sqlite" else Numeric()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> object:
        """A decimal as the database keeps it."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: object, dialect: Dialect) -> Decimal | None:
        """What the database keeps as a decimal."""
        if isinstance(value, str):
            return Decimal(value)
        assert value is None or isinstance(value, Decimal)
        return value


class PlainText(TypeDecorator[str]):
    """A text that sorts by its code points on every database: ids and references come in one order everywhere."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Collation "C" on PostgreSQL, whose default is that of the place where the database was made."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()


class JsonText(TypeDecorator[str]):
    """JSON, written and read as text by the core; never queried inside."""

    impl = Text
    cache_ok = True
