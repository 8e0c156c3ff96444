"""How a plugin is configured: an attrs class with strict keys, whose secrets hide themselves."""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from hmac import compare_digest
from typing import Generic, NoReturn, TypeVar, cast

from attrs import NOTHING, Attribute, AttrsInstance, fields, frozen

from billcore.errors import PluginError

C = TypeVar("C", bound=AttrsInstance)
T = TypeVar("T")

_PLAIN = (str, bool, int, Decimal)


class Secret:
    """A configured secret: *** in repr, str and format, refused by pickle; only `reveal()` gives the text."""

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """The secret itself, to be handed to the provider's client and nowhere else."""
        return self._text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would leave the process in clear")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()


@frozen
class Spec(Generic[C, T]):
    """What a registration hook returns: the name users write, the class of the configuration, the builder."""

    name: str
    config: type[C]
    build: Callable[[C], T]

    def open(self, config: Mapping[str, object]) -> T:
        """The object itself, built from a checked configuration; it has done no network call yet."""
        return self.build(read_config(self.config, config, f"plugin {self.name!r}"))


def read_config(config: type[C], given: Mapping[str, object], owner: str) -> C:
    """`given` as an instance of the attrs class `config`; refuses unknown keys, missing keys and other types.

    Fields may be str, int, bool, Decimal (from text), Secret (from text), tuple[str, ...] and tuple[Secret, ...]
    (from a list), each also `| None`. Given values never stand in a message. Raises
    PluginError("gateway_misconfigured").
    """
    known = {attribute.name: attribute for attribute in fields(config) if attribute.init}
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(known) or 'no keys'}."
            _refuse(owner, f"does not know the configuration key {key!r}.", hint, key)
    missing = [name for name, a in known.items() if a.default is NOTHING and name not in given]
    if missing:
        remedy = f"Set {missing[0]!r} in billcore.toml, by a variable, or where Billing is opened."
        _refuse(owner, f"needs the configuration key {missing[0]!r}.", remedy, missing[0])
    hints = typing.get_type_hints(config)
    values = {name: _converted(owner, known[name], hints.get(name, object), value) for name, value in given.items()}
    return config(**values)


def _converted(owner: str, attribute: "Attribute[object]", kind: object, value: object) -> object:
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    for option in options:
        if (option in _PLAIN or option is Secret) and type(value) is option:
            return value
        if option is Secret and isinstance(value, str):
            return Secret(value)
        if option is Decimal and isinstance(value, str) and _is_decimal(value):
            return Decimal(value)
        if option == tuple[str, ...] and _is_texts(value):
            return tuple(cast("Sequence[str]", value))
        if option == tuple[Secret, ...] and _is_secrets(value):
            return tuple(
                one if isinstance(one, Secret) else Secret(one) for one in cast("Sequence[str | Secret]", value)
            )
    wanted = " or ".join(_type_name(option) for option in options)
    return _refuse(
        owner,
        f"wants {wanted} for the configuration key {attribute.name!r}, not {type(value).__name__}.",
        f"Give {attribute.name!r} as {wanted}.",
        attribute.name,
    )


def _type_name(option: object) -> str:
    if option is Secret:
        return "text (a secret)"
    if option is Decimal:
        return "a decimal text"
    if option is str:
        return "text"
    if option == tuple[Secret, ...]:
        return "a list of texts (secrets)"
    return option.__name__ if isinstance(option, type) else str(option)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_secrets(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str | Secret) for item in value)


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


def _refuse(owner: str, message: str, remedy: str, key: str) -> NoReturn:
    text = f"{owner[0].upper()}{owner[1:]} {message}"
    raise PluginError("gateway_misconfigured", text, remedy=remedy, key=key)
