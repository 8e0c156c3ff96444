"""Records and rows: which class stands in which table, and how its values are written and read."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import fields, frozen
from sqlalchemy import Boolean, Column, Table

from billcore.domain.values import Stored
from billcore.store.types import (
    INSTANT_WRITER,
    ExactDecimal,
    Instant,
    PreciseInstant,
    precise_to_text,
    text_to_decimal,
    text_to_instant,
    text_to_instant_or_none,
)

Row = tuple[Any, ...]

Converter = Callable[[Any], Any]
"""Makes of a record's value what a row has, or of a row's what the record has."""

Codec = tuple[Converter, Converter]
"""What writes the values of a column, and what reads them."""


_REMEMBERED = 512
"""So many statements of a class are kept, each for fields that change together."""


@frozen(eq=False)
class Update:
    """A statement that changes one row, what its parameters are called, and how they are taken from records."""

    sql: str
    columns: tuple[str, ...]
    _get: Callable[[Any], Row]
    _writers: "Converters"

    def rows(self, records: Sequence[object]) -> list[Row]:
        """The parameters, a row for each record."""
        return _converted(map(self._get, records), self._writers)


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
        codecs: Mapping[str, Codec] | None = None,
    ) -> None:
        self.record = record
        self.table = table
        renamed = attributes or {}
        column_of = {path.split(".")[0]: column for column, path in renamed.items()}
        named = (column_of.get(field.name, field.name) for field in fields(record))
        # In the order of the class's fields, so that a row can be handed to it as it comes.
        self.columns = tuple(name for name in named if name in table.columns)
        self._path = {name: renamed.get(name, name) for name in self.columns}
        self._get = attrgetter(*self._path.values())
        self._write_of: dict[str, Converter] = {}
        self._readers: list[tuple[int, Converter]] = []
        for place, column in enumerate(table.columns[name] for name in self.columns):
            write, read = (codecs or {}).get(column.name) or _codec(column)
            if write is not None:
                self._write_of[column.name] = write
            if read is not None:
                self._readers.append((place, read))
        self._writers = self._writers_of(self.columns)
        self.versioned = "version" in self.columns
        # The columns that are left out have to be as they were read.
        assert self.versioned or not issubclass(record, Stored), record
        names = ", ".join(f'"{name}"' for name in self.columns)
        self.select = f"SELECT {names} FROM {table.name}"
        self.insert = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(self.columns))})"
        self.whole = self._update(self.columns)
        self._updates: dict[frozenset[str], Update] = {}

    def row(self, record: object) -> Row:
        """The record as an inserted row."""
        return self.rows([record])[0]

    def rows(self, records: Sequence[object]) -> list[Row]:
        """Many records as inserted rows."""
        return _converted(map(self._get, records), self._writers)

    def update(self, records: Sequence[object]) -> Update:
        """What changes the rows of records: the columns in which any of them differs, all where one does not say.

        So no index over the others is written again, and no value of theirs made.
        """
        if not issubclass(self.record, Stored):
            return self.whole
        changed: set[str] = set()
        for record in records:
            assert isinstance(record, Stored)
            if record.changed is None:
                return self.whole
            changed |= record.changed
        names = frozenset(changed)
        found = self._updates.get(names)
        if found is None:
            if len(self._updates) >= _REMEMBERED:  # What is seldom changed together can be written whole.
                return self.whole
            found = self._updates[names] = self._update(names)
        return found

    def _update(self, names: Collection[str]) -> Update:
        """The statement that writes some columns; the row is found by its id and, where it has one, its version."""
        columns = [name for name in self.columns if name in names and name not in ("id", "version")]
        assignments = [f'"{name}" = ?' for name in columns]
        found = ["id"]
        if self.versioned:
            assignments.append('"version" = "version" + 1')
            found.append("version")
        where = " AND ".join(f'"{name}" = ?' for name in found)
        order = (*columns, *found)
        return Update(
            f"UPDATE {self.table.name} SET {', '.join(assignments)} WHERE {where}",
            order,
            attrgetter(*(self._path[name] for name in order)),
            self._writers_of(order),
        )

    def _writers_of(self, columns: Collection[str]) -> "Converters":
        return [(place, self._write_of[name]) for place, name in enumerate(columns) if name in self._write_of]

    def load(self, row: Row, *parts: object) -> Any:
        """A stored row as a record; `parts` are the fields behind its columns."""
        return self.load_all([row], *([part] for part in parts))[0]

    def load_all(self, rows: Sequence[Row], *parts: Iterable[object]) -> list[Any]:
        """Stored rows as records; each of the `parts` has the values of one field behind the columns, row by row."""
        if not rows:
            return []
        records = list(map(self.record, *_by_column(rows, self._readers), *parts))
        if issubclass(self.record, Stored):
            for record in records:
                record.mark_read()
        return records


JSON_CODEC: Codec = (
    lambda value: json.dumps(dict(value), sort_keys=True, ensure_ascii=False),
    # Most objects of custom fields are empty.
    lambda text: {} if text == "{}" else json.loads(text),
)


Converters = Sequence[tuple[int, Converter]]
"""The places of columns that need more than their type, and what converts a value of each."""


def _by_column(rows: Iterable[Row], converters: Converters) -> list[Iterable[Any]]:
    """The columns of rows, converted. By columns, as a batch's values then pass without a step of Python's for each."""
    columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
    for place, convert in converters if columns else ():
        columns[place] = map(convert, columns[place])
    return columns


def _converted(rows: Iterable[Row], converters: Converters) -> list[Row]:
    """Rows with their columns converted."""
    return list(zip(*_by_column(rows, converters), strict=True))


def _codec(column: Column[Any]) -> tuple[Converter | None, Converter | None]:
    """What writes and reads a column; both take None where the column may be empty."""
    write: Converter | None = None
    read: Converter | None = None
    match column.type:
        case Instant():
            return INSTANT_WRITER, text_to_instant_or_none
        case PreciseInstant():
            write, read = precise_to_text, text_to_instant
        case ExactDecimal():
            write, read = str, text_to_decimal
        case Boolean():
            read = bool
    return (_or_none(write), _or_none(read)) if column.nullable else (write, read)


def _or_none(convert: Converter | None) -> Converter | None:
    return convert and (lambda value: None if value is None else convert(value))
