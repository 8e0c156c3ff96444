"""What one unit of work wants written: new records and changed ones, collected by decisions and saved by the store."""

from collections.abc import Iterator
from typing import Protocol


class Record(Protocol):
    """Anything with an id that the store has a table for."""

    @property
    def id(self) -> str:
        """The primary key."""


class Writes:
    """New and changed records by class, in the order they came. A record changed twice is written once, as last put."""

    __slots__ = ("_changed", "_new")

    def __init__(self) -> None:
        self._new: dict[type, dict[str, Record]] = {}
        self._changed: dict[type, dict[str, Record]] = {}

    def add(self, *records: Record) -> None:
        """Insert these."""
        for record in records:
            self._new.setdefault(type(record), {})[record.id] = record

    def put(self, *records: Record) -> None:
        """Update these; one that is still new stays an insert."""
        for record in records:
            new = self._new.get(type(record))
            if new is not None and record.id in new:
                new[record.id] = record
            else:
                self._changed.setdefault(type(record), {})[record.id] = record

    def get(self, kind: type, record_id: str) -> Record | None:
        """The record of this class and id as it was last put, None where it was not touched."""
        changed = self._changed.get(kind)
        found = changed.get(record_id) if changed is not None else None
        if found is not None:
            return found
        new = self._new.get(kind)
        return new.get(record_id) if new is not None else None

    def take(self, other: "Writes") -> None:
        """Everything that `other` collected, after what is here already."""
        for records in other._new.values():
            self.add(*records.values())
        for records in other._changed.values():
            self.put(*records.values())

    def emptied(self) -> "Writes":
        """All that is here, as a collection of its own; this one is empty then, for whoever goes on putting into it."""
        taken = Writes()
        taken._new, self._new = self._new, {}
        taken._changed, self._changed = self._changed, {}
        return taken

    def new(self, kind: type) -> list[Record]:
        """The records of one class to insert."""
        return list(self._new.get(kind, {}).values())

    def changed(self, kind: type) -> list[Record]:
        """The records of one class to update."""
        return list(self._changed.get(kind, {}).values())

    def __iter__(self) -> Iterator[Record]:
        for records in (*self._new.values(), *self._changed.values()):
            yield from records.values()

    def __bool__(self) -> bool:
        return any(self._new.values()) or any(self._changed.values())
