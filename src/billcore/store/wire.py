"""How rows travel to and from PostgreSQL: the store's statements and row forms, in psycopg's protocol.

Nothing here changes a connection: cursors bring their own adapters, so a host's connection can be joined as it is.
Results come in binary form, which is the same in every time zone and date style of the session.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.rows import tuple_row
from sqlalchemy import BigInteger, Boolean, Integer
from sqlalchemy.types import TypeEngine

from billcore.store.mapping import Mapper, Row, Update
from billcore.store.types import ExactDecimal, Instant, PreciseInstant, instant_to_text

Driver = psycopg.Connection[Any]

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|\bNOT IN \?\?|\bIN \?\?|\?""")


class _Instants(dict[Buffer, str]):
    """PostgreSQL's instants, microseconds since 2000, and their texts; remembered, as a batch reads the same few."""

    def __missing__(self, data: Buffer) -> str:
        data = bytes(data)  # A view of the driver's own memory, which it uses again.
        at = _EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True))
        text = at.isoformat().removesuffix("+00:00") + "Z"
        if len(self) >= _REMEMBERED:
            self.clear()
        self[data] = text
        return text


_REMEMBERED = 16_384
_INSTANTS = _Instants()


class _InstantLoader(Loader):
    """timestamptz -> 2026-01-31T00:00:00Z, with six digits more where there is a part of a second."""

    format = Format.BINARY
    # A method of the dictionary itself, without a call of Python's own: a renewal reads dozens of instants.
    load = staticmethod(_INSTANTS.__getitem__)  # type: ignore[assignment]


class _FlagLoader(Loader):
    """Boolean -> 0 or 1."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return data[0]


class _DecimalLoader(Loader):
    """Numeric -> its text, every digit."""

    format = Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        kind = psycopg.adapters.get_loader(oid, Format.BINARY)
        assert kind is not None
        self._inner = kind(oid)

    def load(self, data: Buffer) -> str:
        return str(self._inner.load(data))


_ADAPTERS = AdaptersMap(psycopg.adapters)
_ADAPTERS.register_loader("timestamptz", _InstantLoader)
_ADAPTERS.register_loader("bool", _FlagLoader)
_ADAPTERS.register_loader("numeric", _DecimalLoader)


class StoreCursor(psycopg.RawCursor[Row]):
    """A cursor with the store's adapters on any connection."""

    def __init__(self, connection: Driver) -> None:
        super().__init__(connection, row_factory=tuple_row)

    @property
    def adapters(self) -> AdaptersMap:
        """The store's own instead of the connection's."""
        return _ADAPTERS


class StreamCursor(psycopg.RawServerCursor[Row]):
    """The same for results that are fetched page by page."""

    def __init__(self, connection: Driver, name: str) -> None:
        super().__init__(connection, name, row_factory=tuple_row)
        self.itersize = 2000

    @property
    def adapters(self) -> AdaptersMap:
        """The store's own instead of the connection's."""
        return _ADAPTERS


@cache
def translated(sql: str) -> str:
    """A statement with numbered parameters; lists become `= ANY` and `<> ALL`."""
    place = 0

    def token(found: re.Match[str]) -> str:
        nonlocal place
        text = found[0]
        if not text.endswith("?"):
            return text
        place += 1
        if text == "?":
            return f"${place}"
        return f"<> ALL(${place})" if text.startswith("NOT") else f"= ANY(${place})"

    return _TOKEN.sub(token, sql)


def parameters(values: Iterable[object]) -> list[str | None]:
    """Parameters as texts without a type, which take that of the column they meet."""
    return [value if value is None or type(value) is str else _text(value) for value in values]


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return instant_to_text(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return array_text(list(value))
    return str(value)


def array_text(values: Sequence[object]) -> str:
    """Values as the text of an array."""
    if not values:
        return "{}"
    if None not in values:
        inner = '","'.join(map(str, values))
        if "\\" not in inner and inner.count('"') == 2 * (len(values) - 1):
            return f'{{"{inner}"}}'
    return "{" + ",".join("NULL" if value is None else f'"{_escaped(str(value))}"' for value in values) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def many_inserted(mapper: Mapper) -> str:
    """What inserts many records of a class at once: COPY."""
    columns = ", ".join(f'"{name}"' for name in mapper.columns)
    return f"COPY {mapper.table.name} ({columns}) FROM STDIN"


@cache
def many_updated(mapper: Mapper, update: Update) -> str:
    """What changes many records of a class at once: UPDATE from arrays, one for each column, with the version guard."""
    names = ", ".join(f'"{name}"' for name in update.columns)
    arrays = ", ".join(f"CAST(? AS {_cast(mapper.table.columns[name].type)}[])" for name in update.columns)
    assignments = [f'"{name}" = d."{name}"' for name in update.columns if name not in ("id", "version")]
    guard = ""
    if mapper.versioned:
        assignments.append('"version" = t."version" + 1')
        guard = ' AND t."version" = d."version"'
    return (
        f"UPDATE {mapper.table.name} AS t SET {', '.join(assignments)} FROM unnest({arrays}) AS d({names}) "
        f'WHERE t."id" = d."id"{guard}'
    )


def _cast(kind: TypeEngine[Any]) -> str:
    if isinstance(kind, (Instant, PreciseInstant)):
        return "timestamptz"
    if isinstance(kind, ExactDecimal):
        return "numeric"
    if isinstance(kind, Boolean):
        return "boolean"
    if isinstance(kind, BigInteger):
        return "bigint"
    return "integer" if isinstance(kind, Integer) else "text"


def write_copy(driver: Driver, statement: str, rows: Iterable[Row]) -> None:
    """Insert rows by COPY."""
    with StoreCursor(driver) as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def write_set(driver: Driver, statement: str, rows: Sequence[Row]) -> int:
    """Run a statement that takes the columns of `rows` as arrays; returns how many rows it touched."""
    arrays = [array_text(column) for column in zip(*rows, strict=True)]
    with StoreCursor(driver) as cursor:
        return cursor.execute(translated(statement), arrays, prepare=False).rowcount


def write_each(driver: Driver, statements: Sequence[tuple[str, Sequence[Row]]]) -> list[int]:
    """Run each statement for each of its rows, all in one round trip; returns how many rows each one touched."""
    made: list[list[StoreCursor]] = []
    with driver.pipeline():
        for statement, rows in statements:
            sql = translated(statement)
            made.append([])
            for row in rows:
                cursor = StoreCursor(driver)
                made[-1].append(cursor)
                cursor.execute(sql, parameters(row), prepare=False)
    return [sum(max(cursor.rowcount, 0) for cursor in cursors) for cursors in made]


def streamed(driver: Driver, sql: str, values: Sequence[object], name: str) -> Iterator[Row]:
    """The rows of a query, a page at a time."""
    with StreamCursor(driver, name) as cursor:
        cursor.execute(translated(sql), parameters(values), binary=True)
        yield from cursor
