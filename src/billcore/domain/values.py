"""Frozen values: how a changed copy is made."""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from attrs import fields

T = TypeVar("T")

NewId = Callable[[str], str]
"""Makes a new id with the given prefix: `new_id("inv")`. Injected, so that decisions stay pure."""

if TYPE_CHECKING:
    # So that the type checker knows the fields of each class.
    from attrs import evolve as evolve  # noqa: PLC0414  exported
else:

    def evolve(value: T, /, **changes: object) -> T:
        """A copy of an attrs value with some fields changed, as attrs.evolve makes it.

        attrs' own looks every field up at every call; with the dozen copies of a renewal that was a sixth of
        its time. Raises TypeError for a field that the class does not have.
        """
        return _copier(type(value))(value, changes)


class Stored:
    """A record whose copies know in which fields they differ from the row it was read from: only those are written.

    `changed` are their names. It is None for one that was not read, or not copied by `evolve`: such a one may differ
    in any field.
    """

    changed: ClassVar[frozenset[str] | None] = None

    def mark_read(self) -> None:
        """Its row is as it is."""
        self.__dict__["changed"] = frozenset()


@lru_cache(maxsize=256)
def _copier(cls: type) -> Callable[[Any, dict[str, object]], object]:
    """What copies values of a class. One with a dictionary (`slots=False`) takes no longer for having many fields."""
    made_of = [field for field in fields(cls) if field.init]
    assert len(made_of) > 1 and not any(field.kw_only for field in made_of), cls
    place = {field.alias or field.name: index for index, field in enumerate(made_of)}
    read = attrgetter(*(field.name for field in made_of))
    names = frozenset(place)

    def refuse(changes: dict[str, object]) -> NoReturn:
        raise TypeError(f"{cls.__name__} has no {min(changes.keys() - names)!r}.")

    def constructed(value: object, changes: dict[str, object]) -> object:
        values = list(read(value))
        if not names.issuperset(changes):
            refuse(changes)
        for name, changed in changes.items():
            values[place[name]] = changed
        return cls(*values)

    def updated(value: object, changes: dict[str, object]) -> object:
        if not names.issuperset(changes):
            refuse(changes)
        copy: object = object.__new__(cls)
        object.__setattr__(copy, "__dict__", value.__dict__ | changes)
        return copy

    def noted(value: Stored, changes: dict[str, object]) -> object:
        copy = updated(value, changes)
        if value.changed is not None:
            copy.__dict__["changed"] = value.changed.union(changes)
        return copy

    if issubclass(cls, Stored):
        return noted
    return constructed if hasattr(cls, "__slots__") else updated
