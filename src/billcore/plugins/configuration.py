"""What gateways are opened with, from a file and the environment: strict keys, secrets only by reference."""

import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
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

_LARGEST_SECRET = 65_536

Configuration = dict[str, dict[str, object]]


@frozen
class _Place:
    """Where a value stands, for messages, and the folder from which its paths count."""

    name: str
    folder: Path


def read_gateways(
    registry: Registry, file: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Configuration:
    """The configuration of every gateway that the file or a variable names; a variable goes before the file.

    Raises FileInvalid: file_unreadable, configuration_invalid naming file and key or the variable; and PluginError:
    plugin_unknown, gateway_misconfigured. Values never stand in a message.
    """
    variables = os.environ if environment is None else environment
    found: Configuration = {}
    if file is not None:
        path = Path(file)
        for name, table in _tables(path).items():
            place = _Place(f"{path}: gateways.{name}", path.parent)
            try:
                kinds = kinds_of(registry.gateway_config(name))
            except PluginError as unknown:
                _refuse(f"{place.name}: {unknown.message}", unknown.remedy, name)
            found[name] = {
                key: _from_file(place, key, kinds.get(key), value, variables) for key, value in table.items()
            }
    wanted = {name: text for name, text in variables.items() if name.startswith(PREFIX)}
    if wanted:
        for gateway, key, value in _from_variables(registry, wanted):
            found.setdefault(gateway, {})[key] = value
    for name, config in found.items():
        where = f"{file}: " if file is not None else ""
        read_config(registry.gateway_config(name), config, f"{where}gateway {name!r}")
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


def variable_of(gateway: str, key: str) -> str:
    """The variable that sets a key of a gateway."""
    return PREFIX + f"{gateway}_{key}".upper().replace("-", "_")


# -- the file ------------------------------------------------------------------------------------------------


def _tables(path: Path) -> dict[str, Mapping[str, object]]:
    tables = read_table_file(path, "configuration_invalid")
    for key in tables:
        if key != "gateways":
            near = "Did you mean 'gateways'? " if get_close_matches(key, ["gateways"]) else ""
            _refuse(f"{path}: there is no key {key!r}.", f"{near}It has the table gateways only.", key)
    gateways = tables.get("gateways", {})
    if not isinstance(gateways, Mapping) or not all(isinstance(table, Mapping) for table in gateways.values()):
        _refuse(f"{path}: gateways has one table for each gateway.", "Write [gateways.NAME].", "gateways")
    return dict(gateways)


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


def _from_variables(registry: Registry, wanted: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """(gateway, key, value) of each variable; refuses one that configures nothing."""
    known = {
        variable_of(gateway, key): (gateway, key, kind)
        for gateway in registry.gateways()
        for key, kind in kinds_of(registry.gateway_config(gateway)).items()
    }
    for name, text in sorted(wanted.items()):
        if name not in known:
            # All begin alike: what follows tells them apart.
            near = get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1)
            installed = ", ".join(registry.gateways()) or "none"
            hint = (
                f"Did you mean {PREFIX}{near[0]}?"
                if near
                else f"Write {PREFIX}NAME_KEY. Installed gateways: {installed}."
            )
            _refuse(f"The variable {name} configures nothing.", hint, name)
        gateway, key, kind = known[name]
        yield gateway, key, _from_text(_Place(f"The variable {name}", Path()), key, kind, text)


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
