"""Frozen values: how a changed copy is made."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

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
        cls = type(value)
        read, place = _fields(cls)
        values = list(read(value))
        try:
            for name, changed in changes.items():
                values[place[name]] = changed
        except KeyError as error:
            raise TypeError(f"{cls.__name__} has no field {error.args[0]!r} to change") from None
        return cls(*values)


@lru_cache(maxsize=256)
def _fields(cls: type) -> tuple[Callable[[object], tuple[object, ...]], Mapping[str, int]]:
    """How all values that the class is made of are read at once, and the place of each in its constructor."""
    made_of = [field for field in fields(cls) if field.init]
    assert len(made_of) > 1 and not any(field.kw_only for field in made_of), cls
    place = {field.alias or field.name: index for index, field in enumerate(made_of)}
    return attrgetter(*(field.name for field in made_of)), place
