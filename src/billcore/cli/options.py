"""Parameters of verbs as arguments and options of commands, and what was typed as values for the verb."""

import re
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import get_args, get_type_hints

import click

from billcore.commands.parameters import UNSET
from billcore.commands.verb import Definition, Parameter
from billcore.files import read_table_file

# What each noun calls its own objects.
_SELF: Mapping[str, str] = {
    "customers": "customer",
    "payment_methods": "payment_method",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "payments": "payment",
    "webhooks": "webhook",
    "usage": "usage",
}
# Verbs that make something new: everything about it is an option.
_MAKES = frozenset({"create", "add", "record"})

# What click has for a parameter that was not given, once or repeated.
_NOTHING = (None, ())

_HINTS: Mapping[str, str] = {
    "reference": "Your own key for it.",
    "customer": "Reference or id.",
    "subscription": "Reference or id.",
    "invoice": "Id, number, or CUSTOMER/N.",
    "payment": "Id, or CUSTOMER/pay/N.",
    "credit_note": "Id or number.",
    "payment_method": "Reference or id.",
    "usage": "Id of an event.",
    "webhook": "Id, or the gateway's own key.",
    "amount": "In whole units, as 49.00.",
    "quantity": "As 3 or 2.5.",
    "signed_quantity": "As 3 or 2.5; negative corrects.",
    "instant": "As 2026-01-31 or 2026-01-31T12:00; local unless it ends in Z.",
    "when": "now, period_end, or a date.",
    "duration": 'As "3 months".',
    "billing_day": '1 to 31, or "end" of the month.',
    "days": "0 to 180 days.",
    "quantities": "As seats=3; may be repeated.",
    "amounts": "As acme/1=10.00; may be repeated.",
    "fields": "As color=blue; may be repeated.",
    "custom": "As amount=29.00; may be repeated.",
    "lines": 'As "description=Setup;amount=10.00"; may be repeated.',
    "codes": "May be repeated.",
    "numbers": "May be repeated.",
    "period": "From and to.",
    "catalog": "A TOML or JSON file.",
}


def arguments_of(definition: Definition) -> list[click.Parameter]:
    """The object that a verb acts on stands without a name; so does what a verb without one cannot do without.

    Each may be named as well, as in Python: `get --customer acme`.
    """
    made: list[click.Parameter] = []
    for parameter in _positional(definition):
        many = parameter.kind is not None and parameter.kind.repeated
        shown = f"{_metavar(parameter)}{'...' if many else ''}"
        made.append(
            click.Argument([parameter.name], required=False, metavar=shown, type=click.STRING, nargs=-1 if many else 1)
        )
        made.append(click.Option([_flag(parameter), f"named_{parameter.name}"], hidden=True, multiple=many))
    return made


def options_of(definition: Definition) -> list[click.Parameter]:
    """All other parameters, required ones first."""
    positional = {parameter.name for parameter in _positional(definition)}
    rest = [parameter for parameter in definition.parameters if parameter.name not in positional]
    removable = _removable(definition)
    return [
        _option(parameter, removable=parameter.name in removable)
        for parameter in sorted(rest, key=lambda each: not each.required)
    ]


def given_values(definition: Definition, options: dict[str, object], context: click.Context) -> dict[str, object]:
    """The verb's parameters that were given, as its converters take them; the others are left to the verb."""
    for parameter in _positional(definition):
        named = options.pop(f"named_{parameter.name}")
        is_named, is_placed = named not in _NOTHING, options[parameter.name] not in _NOTHING
        if is_named and is_placed:
            raise click.UsageError(f"{_metavar(parameter)} is given twice.", context)
        if is_named:
            options[parameter.name] = named
        elif not is_placed:
            raise click.UsageError(f"Missing {_metavar(parameter)}.", context)
    removable = _removable(definition)
    values: dict[str, object] = {}
    for parameter in definition.parameters:
        value = options[parameter.name]
        if value in _NOTHING:
            continue
        if value == "" and parameter.name in removable:
            value = None
        values[parameter.name] = _value(parameter, value, context)
    return values


def documented(definition: Definition, text: str) -> str:
    """A docstring for readers of the command line: `net_terms` is written --net-terms there."""
    positional = {parameter.name for parameter in _positional(definition)}
    for parameter in definition.parameters:
        shown = _metavar(parameter) if parameter.name in positional else _flag(parameter)
        text = re.sub(rf"`{parameter.name}\b( = [^`]*)?`", rf"{shown}\1", text)
    return text.replace("`", "")


def _positional(definition: Definition) -> list[Parameter]:
    if definition.name in _MAKES:
        return []
    own = _SELF.get(definition.noun)
    for parameter in definition.parameters:
        if own is not None and parameter.required and parameter.kind and parameter.kind.name == own:
            return [parameter]
    return [parameter for parameter in definition.parameters if parameter.required]


def _option(parameter: Parameter, *, removable: bool) -> click.Option:
    kind = parameter.kind
    flag = _flag(parameter)
    hint = "" if kind is None else _HINTS.get(kind.name, "")
    if removable:
        hint = f"{hint} '' removes it.".lstrip()
    if kind is not None and kind.name == "flag":
        either = f"{flag}/--no-{flag[2:]}" if parameter.default is not False else flag
        return click.Option([either, parameter.name], is_flag=True, default=None, help=hint or None)
    shown = _default(parameter)
    return click.Option(
        [flag, parameter.name],
        type=click.Choice(list(parameter.choices)) if kind is None else click.STRING,
        metavar=None if kind is None else kind.metavar,
        required=parameter.required,
        multiple=kind is not None and (kind.keyed or (kind.repeated and kind.name != "period")),
        nargs=2 if kind is not None and kind.name == "period" else 1,
        help=f"{hint}  [default: {shown}]".strip() if shown else hint or None,
    )


def _default(parameter: Parameter) -> str:
    default = parameter.default
    return "" if parameter.required or default in (None, UNSET, "", False) else str(default)


def _flag(parameter: Parameter) -> str:
    if parameter.kind is not None and parameter.kind.name == "lines":
        return "--line"  # One each time: on a document by hand there is nothing else that it could name.
    return f"--{parameter.name.replace('_', '-')}"


def _metavar(parameter: Parameter) -> str:
    kind = parameter.kind
    if kind is None or kind.metavar in ("TEXT", "CODE"):
        return parameter.name.upper()
    return kind.metavar


def _removable(definition: Definition) -> frozenset[str]:
    """Parameters that may be set to nothing: an empty text does that."""
    hints = get_type_hints(definition.function, include_extras=True)
    return frozenset(
        parameter.name
        for parameter in definition.parameters
        if parameter.default is UNSET and NoneType in get_args(hints[parameter.name])
    )


def _value(parameter: Parameter, value: object, context: click.Context) -> object:
    kind = parameter.kind
    if kind is None or not isinstance(value, (str, tuple)):
        return value
    if kind.name == "catalog":
        return read_table_file(str(value))
    if kind.keyed and isinstance(value, tuple):
        return _pairs(parameter, value, context)
    return list(value) if isinstance(value, tuple) else value


def _pairs(parameter: Parameter, parts: Iterable[object], context: click.Context) -> dict[str, str]:
    """seats=3 as a mapping; each name once."""
    made: dict[str, str] = {}
    for part in parts:
        name, equals, value = str(part).partition("=")
        if not equals or not name:
            raise click.BadOptionUsage(
                _flag(parameter), f"{_flag(parameter)} {part!r} has no name. Write it as NAME=VALUE.", context
            )
        if name in made:
            raise click.BadOptionUsage(_flag(parameter), f"{_flag(parameter)} names {name!r} twice.", context)
        made[name] = value
    return made
