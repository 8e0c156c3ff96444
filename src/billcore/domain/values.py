"""Frozen values: how a changed copy is made."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, NoReturn, TypeVar

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
        its time. Raises TypeError for a field that the class does not have, or that `STAYS`.
        """
        return _copier(type(value))(value, changes)


Changes = Mapping[str, object]

STAYS = {"stays": True}
"""The `metadata` of a field that is written once and never changed: `evolve` refuses to.

Of rows that are changed for every renewal the store then writes the others alone, and no index over it twice.
"""


def stays(cls: type) -> frozenset[str]:
    """The names of a class's fields that stay as they were first written."""
    return frozenset(field.name for field in fields(cls) if field.metadata.get("stays"))


@lru_cache(maxsize=256)
def _copier(cls: type) -> Callable[[object, Changes], object]:
    """What copies values of a class. One with a dictionary (`slots=False`) takes no longer for having many fields."""
    made_of = [field for field in fields(cls) if field.init]
    assert len(made_of) > 1 and not any(field.kw_only for field in made_of), cls
    place = {field.alias or field.name: index for index, field in enumerate(made_of)}
    read = attrgetter(*(field.name for field in made_of))
    fixed = stays(cls)
    names = frozenset(place.keys() - fixed)

    def refuse(changes: Changes) -> NoReturn:
        name = min(changes.keys() - names)
        raise TypeError(
            f"{cls.__name__}.{name} stays as it is." if name in fixed else f"{cls.__name__} has no {name!r}."
        )

    def constructed(value: object, changes: Changes) -> object:
        values = list(read(value))
        if not names.issuperset(changes):
            refuse(changes)
        for name, changed in changes.items():
            values[place[name]] = changed
        return cls(*values)

    def updated(value: object, changes: Changes) -> object:
        if not names.issuperset(changes):
            refuse(changes)
        copy: object = object.__new__(cls)
        copy.__dict__.update(value.__dict__)
        copy.__dict__.update(changes)
        return copy

    return constructed if hasattr(cls, "__slots__") else updated
