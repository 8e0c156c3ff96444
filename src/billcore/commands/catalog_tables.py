"""A catalog that a program gives as tables: only what a file could hold."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from numbers import Real

from billcore.errors import FileInvalid, InvalidValue


def document_of(value: object, _zone: str) -> Mapping[str, object]:
    """The tables of a catalog as a program gives them; raises InvalidValue, FileInvalid naming the key path."""
    if not isinstance(value, Mapping):
        raise InvalidValue("This is not a catalog.", remedy="Give a file or its tables.")
    _check_parts(value, "", 0)
    return value


def _check_parts(value: object, path: str, depth: int) -> None:
    """A program may give what no file holds: such a value is named by its key path."""
    if depth > 20:
        raise FileInvalid(
            "catalog_invalid", f"{path[:100]}… is nested too deeply.", remedy="Use fewer levels.", path=path
        )
    match value:
        case Mapping():
            for key, part in value.items():
                _check_parts(part, f"{path}.{key}" if path else str(key), depth + 1)
        case list() | tuple() | set() | frozenset():
            for place, part in enumerate(value):
                _check_parts(part, f"{path}[{place}]", depth + 1)
        case None | str() | int() | Decimal() | date():
            return
        case _:
            kind = "is a float; floats lose cents" if isinstance(value, Real) else "has no place in a catalog"
            raise FileInvalid(
                "catalog_invalid",
                f"{path} = {value!r:.100} {kind}.",
                remedy=f'Write it in quotes: "{value!s:.100}".',
                path=path,
            )
