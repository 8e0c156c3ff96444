"""Records and rows: which class stands in which table, and how its values are written and read."""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import fields
from sqlalchemy import Boolean, Table

from billcore.store.types import (
    INSTANT_WRITER,
    ExactDecimal,
    Instant,
    PreciseInstant,
    precise_to_text,
    text_to_decimal,
    text_to_instant,
)

Row = tuple[Any, ...]


class Mapper:
    """One record class and its table. The table's columns are the class's fields, in any order.

    `codecs` write and read columns that need more than their type, `attributes` name the path to a column's value
    where it is not a field. A class with a `version` is updated only where the stored version is the one that was read.
    """

    def __init__(
        self,
        record: type,
        table: Table,
        *,
        attributes: Mapping[str, str] | None = None,
        codecs: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] | None = None,
    ) -> None:
        self.record = record
        self.table = table
        renamed = attributes or {}
        column_of = {path.split(".")[0]: column for column, path in renamed.items()}
        named = (column_of.get(field.name, field.name) for field in fields(record))
        # In the order of the class's fields, so that a row can be handed to it as it comes.
        self.columns = tuple(name for name in named if name in table.columns)
        self._get = attrgetter(*(renamed.get(name, name) for name in self.columns))
        self._writers: list[tuple[int, Callable[[Any], Any]]] = []
        self._readers: list[tuple[int, Callable[[Any], Any]]] = []
        for place, column in enumerate(table.columns[name] for name in self.columns):
            write, read = (codecs or {}).get(column.name) or _codec(column.type)
            if write is not None:
                self._writers.append((place, write))
            if read is not None:
                self._readers.append((place, read))
        self.versioned = "version" in self.columns
        names = ", ".join(f'"{name}"' for name in self.columns)
        self.select = f"SELECT {names} FROM {table.name}"
        self.insert = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(self.columns))})"
        changing = [name for name in self.columns if name != "id"]
        assignments = ", ".join(
            '"version" = "version" + 1' if name == "version" else f'"{name}" = ?' for name in changing
        )
        guard = ' AND "version" = ?' if self.versioned else ""
        self.update = f'UPDATE {table.name} SET {assignments} WHERE "id" = ?{guard}'
        order = [*(name for name in changing if name != "version"), "id", *(["version"] if self.versioned else [])]
        self.update_columns = tuple(order)
        self._get_update = attrgetter(*(renamed.get(name, name) for name in order))
        writer_of = {self.columns[place]: write for place, write in self._writers}
        self._update_writers = [(place, writer_of[name]) for place, name in enumerate(order) if name in writer_of]

    def row(self, record: object) -> Row:
        """The record as an inserted row."""
        return _written(self._get(record), self._writers)

    def rows(self, records: Sequence[object]) -> list[Row]:
        """Many records as inserted rows."""
        return [self.row(record) for record in records]

    def update_rows(self, records: Sequence[object]) -> list[Row]:
        """Many records as the parameters of `update`."""
        return [_written(self._get_update(record), self._update_writers) for record in records]

    def values(self, row: Sequence[Any]) -> list[Any]:
        """A stored row as the values of its columns, in their order."""
        values = list(row)
        for place, read in self._readers:
            value = values[place]
            if value is not None:
                values[place] = read(value)
        return values

    def load(self, row: Sequence[Any], *parts: object) -> Any:
        """A stored row as a record; `parts` are the fields behind its columns."""
        return self.record(*self.values(row), *parts)


JSON_CODEC: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (
    lambda value: json.dumps(dict(value), sort_keys=True, ensure_ascii=False),
    # Most objects of custom fields are empty.
    lambda text: {} if text == "{}" else json.loads(text),
)


def _written(values: Row, writers: Sequence[tuple[int, Callable[[Any], Any]]]) -> Row:
    """Values as the database takes them."""
    row = list(values)
    for place, write in writers:
        value = row[place]
        if value is not None:
            row[place] = write(value)
    return tuple(row)


def _codec(kind: object) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    if isinstance(kind, PreciseInstant):
        return precise_to_text, text_to_instant
    if isinstance(kind, Instant):
        return INSTANT_WRITER, text_to_instant
    if isinstance(kind, ExactDecimal):
        return str, text_to_decimal
    if isinstance(kind, Boolean):
        return None, bool
    return None, None
