"""Stripe's objects as plain mappings, and how a value that may be missing is read from them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

Plain: TypeAlias = Mapping[str, object]

NOTHING: Plain = MappingProxyType({})


def text(of: Plain, name: str) -> str:
    """A text field, "" when it is missing or something else."""
    value = of.get(name)
    return value if isinstance(value, str) else ""


def number(of: Plain, name: str) -> int | None:
    """An integer field; None when it is missing or something else."""
    value = of.get(name)
    return value if type(value) is int else None


def part(of: Plain, name: str) -> Plain:
    """An object inside, empty when it is missing or only its id stands there."""
    value = of.get(name)
    return value if isinstance(value, Mapping) else NOTHING


def parts(of: Plain, name: str) -> Sequence[Plain]:
    """The objects of a list, as in a page of results."""
    value = of.get(name)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else ()


def reference(of: Plain, name: str) -> str:
    """The id of an object inside, whether it stands there as a whole or as its id; "" when there is none."""
    return text(of, name) or text(part(of, name), "id")


def ours(of: Plain, name: str) -> str:
    """What we stored in an object's metadata."""
    return text(part(of, "metadata"), name)
