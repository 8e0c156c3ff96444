"""What gateways and tax engines are opened with, from a file and the environment: strict keys, secrets by reference."""

import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from attrs import AttrsInstance, fields, frozen

from billcore.errors import FileInvalid, PluginError
from billcore.files import read_table_file
from billcore.plugins.config import Secret, read_config
from billcore.plugins.registry import Registry

PREFIX = "BILLCORE_GATEWAY_"
"""How variables begin that configure a gateway: BILLCORE_GATEWAY_NAME_KEY."""

TAX_PREFIX = "BILLCORE_TAX_"
"""How variables begin that configure a tax engine: BILLCORE_TAX_NAME_KEY."""

_LARGEST_SECRET = 65_536

Configuration = dict[str, dict[str, object]]


@frozen
class _Place:
    """Where a value stands, for messages, and the folder from which its paths count."""

    name: str
    folder: Path


@frozen
class _Family:
    """What is configured: its name, its table in the file, how its variables begin, and those that are installed."""

    name: str
    table: str
    prefix: str
    installed: Callable[[], tuple[str, ...]]
    config: Callable[[str], type[AttrsInstance]]


def read_gateways(
    registry: Registry, file: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Configuration:
    """The configuration of every gateway that the file or a variable names; a variable goes before the file.

    Raises FileInvalid: file_unreadable, configuration_invalid naming file and key or the variable; and PluginError:
    plugin_unknown, gateway_misconfigured. Values never stand in a message.
    """
    family = _Family("gateway", "gateways", PREFIX, registry.gateways, registry.gateway_config)
    return _read(family, file, environment)


def read_tax_engines(
    registry: Registry, file: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Configuration:
    """As read_gateways, of tax engines."""
    family = _Family("tax engine", "tax_engines", TAX_PREFIX, registry.tax_engines, registry.tax_engine_config)
    return _read(family, file, environment)


def _read(family: _Family, file: str | Path | None, environment: Mapping[str, str] | None) -> Configuration:
    variables = os.environ if environment is None else environment
    found: Configuration = {}
    if file is not None:
        path = Path(file)
        for name, table in _tables(path, family).items():
            place = _Place(f"{path}: {family.table}.{name}", path.parent)
            try:
                kinds = kinds_of(family.config(name))
            except PluginError as unknown:
                _refuse(f"{place.name}: {unknown.message}", unknown.remedy, name)
            found[name] = {
                key: _from_file(place, key, kinds.get(key), value, variables) for key, value in table.items()
            }
    wanted = {name: text for name, text in variables.items() if name.startswith(family.prefix)}
    if wanted:
        for name, key, value in _from_variables(family, wanted):
            found.setdefault(name, {})[key] = value
    for name, config in found.items():
        where = f"{file}: " if file is not None else ""
        read_config(family.config(name), config, f"{where}{family.name} {name!r}")
    return found


def kinds_of(config: type[AttrsInstance]) -> dict[str, object]:
    """The type of each key of a configuration class, without None."""
    hints = typing.get_type_hints(config)
    kinds: dict[str, object] = {}
    for attribute in fields(config):
        hint = hints.get(attribute.name, object)
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        if attribute.init:
            kinds[attribute.name] = next(option for option in options if option is not types.NoneType)
    return kinds


def variable_of(name: str, key: str, prefix: str = PREFIX) -> str:
    """The variable that sets a key of a gateway, or of what else has variables that begin with `prefix`."""
    return prefix + f"{name}_{key}".upper().replace("-", "_")


# -- the file ------------------------------------------------------------------------------------------------


_TABLES = ("gateways", "tax_engines")


def _tables(path: Path, family: _Family) -> dict[str, Mapping[str, object]]:
    """One table of the file; the others are left to those who read them."""
    tables = read_table_file(path, "configuration_invalid")
    for key in tables:
        if key not in _TABLES:
            near = get_close_matches(key, _TABLES, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            _refuse(f"{path}: there is no key {key!r}.", f"{hint}It has the tables {' and '.join(_TABLES)} only.", key)
    wanted = family.table
    found = tables.get(wanted, {})
    if not isinstance(found, Mapping) or not all(isinstance(table, Mapping) for table in found.values()):
        _refuse(f"{path}: {wanted} has one table for each {family.name}.", f"Write [{wanted}.NAME].", wanted)
    return dict(found)


def _from_file(place: _Place, key: str, kind: object, value: object, variables: Mapping[str, str]) -> object:
    """A value as the gateway takes it; keys that it does not have are refused later, with the nearest ones."""
    if kind is Secret:
        return _secret(place, key, value, variables)
    if kind == tuple[Secret, ...] and isinstance(value, list):
        return tuple(_secret(place, key, one, variables) for one in value)
    if isinstance(value, str) and value.startswith("env:") and kind is str:
        return _variable(place, key, value, variables)
    return value


def _secret(place: _Place, key: str, value: object, variables: Mapping[str, str]) -> Secret:
    if isinstance(value, str) and value.startswith("env:"):
        return Secret(_variable(place, key, value, variables))
    if isinstance(value, str) and value.startswith("file:"):
        return Secret(_contents(place, key, value))
    return _refuse(
        f"{place.name}.{key} is a secret, which does not stand in the file itself.",
        'Write where it is: "env:NAME" for a variable, or "file:PATH".',
        key,
    )


def _variable(place: _Place, key: str, value: str, variables: Mapping[str, str]) -> str:
    name = value.removeprefix("env:")
    text = variables.get(name, "")
    if not text:
        _refuse(f"{place.name}.{key}: the variable {name!r} is not set.", f"Set {name}, or name another.", key)
    return text


def _contents(place: _Place, key: str, value: str) -> str:
    path = place.folder / Path(value.removeprefix("file:")).expanduser()
    try:
        with path.open("rb") as opened:
            text = opened.read(_LARGEST_SECRET + 1).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        _refuse(f"{place.name}.{key}: {path} cannot be read ({reason}).", "Check path and permissions.", key)
    if not text or len(text) > _LARGEST_SECRET:
        _refuse(f"{place.name}.{key}: {path} holds no secret.", "Put it there, on a line of its own.", key)
    return text


# -- the environment -----------------------------------------------------------------------------------------


def _from_variables(family: _Family, wanted: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """(name, key, value) of each variable; refuses one that configures nothing."""
    known = {
        variable_of(owner, key, family.prefix): (owner, key, kind)
        for owner in family.installed()
        for key, kind in kinds_of(family.config(owner)).items()
    }
    for name, text in sorted(wanted.items()):
        if name not in known:
            # All begin alike: what follows tells them apart.
            prefix = family.prefix
            near = get_close_matches(name.removeprefix(prefix), [one.removeprefix(prefix) for one in known], n=1)
            installed = ", ".join(family.installed()) or "none"
            hint = (
                f"Did you mean {prefix}{near[0]}?"
                if near
                else f"Write {prefix}NAME_KEY. Installed {family.name}s: {installed}."
            )
            _refuse(f"The variable {name} configures nothing.", hint, name)
        owner, key, kind = known[name]
        yield owner, key, _from_text(_Place(f"The variable {name}", Path()), key, kind, text)


def _from_text(place: _Place, key: str, kind: object, text: str) -> object:
    """A variable's text as the type of its key."""
    if kind is Secret:
        return Secret(_contents(place, key, text) if text.startswith("file:") else text)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            _refuse(f"{place.name} is neither true nor false.", "Write true or false.", key)
        return text.lower() == "true"
    if kind is int:
        if not text.isascii() or not text.removeprefix("-").isdigit():
            _refuse(f"{place.name} is not a whole number.", "Write digits only.", key)
        return int(text)
    if kind in (tuple[str, ...], tuple[Secret, ...]):
        parts: Sequence[str] = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(_from_text(place, key, Secret if kind == tuple[Secret, ...] else str, part) for part in parts)
    return text


def _refuse(message: str, remedy: str, key: str) -> NoReturn:
    raise FileInvalid("configuration_invalid", message, remedy=remedy, key=key)
