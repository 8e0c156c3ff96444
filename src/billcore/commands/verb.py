"""What a verb is: a typed method whose signature defines the command everywhere (Python, CLI, scenario, docs)."""

import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from attrs import field, frozen

from billcore.commands.desk import Desk
from billcore.commands.parameters import Kind, Unset, holding_card
from billcore.commands.scope import Scope
from billcore.domain.card_number import names_card
from billcore.domain.invoice import Invoice
from billcore.errors import InvalidValue, Refused

TEN_YEARS = timedelta(days=3653)

P = ParamSpec("P")
T = TypeVar("T")
N = TypeVar("N", bound="Noun")


_KEYS = frozenset(
    {
        "reference",
        "customer",
        "subscription",
        "invoice",
        "credit_note",
        "payment",
        "refund",
        "payment_method",
        "payment_methods",
        "webhook",
    }
)
"""Kinds that name something by a key of the host's own, which may have any digits in it."""


@frozen
class Parameter:
    """One parameter of a verb: its type in the vocabulary, or the `choices` it has.

    None is one of its values where it is `nullable`.
    """

    name: str
    kind: Kind | None
    choices: tuple[str, ...]
    required: bool
    nullable: bool
    default: object
    positional: bool

    def convert(self, value: object, zone: str) -> object:
        """The value that the verb works with; raises InvalidValue naming the parameter."""
        if isinstance(value, Unset):
            return value
        if value is None:
            if not self.nullable:
                raise InvalidValue(f"{self.name} cannot be nothing.", remedy="Give a value.", parameter=self.name)
            return None
        if names_card(value, alone=self.kind is not None and self.kind.name in _KEYS):
            raise holding_card(self.name)
        if self.kind is None:
            if value not in self.choices:
                raise InvalidValue(f"{self.name} cannot be {value!r}.", remedy=f"Possible: {', '.join(self.choices)}.")
            return value
        try:
            return self.kind.convert(value, zone)
        except InvalidValue as error:
            raise InvalidValue(
                f"{self.name}: {error.message}", remedy=error.remedy, parameter=self.name, **error.facts
            ) from None


@frozen
class Definition:
    """A verb as data: what the CLI, scenarios and the reference page are derived from."""

    noun: str
    name: str
    summary: str
    help: str
    parameters: tuple[Parameter, ...]
    reads: bool
    collects: bool
    asks: bool
    debts: bool
    site: bool
    function: Callable[..., Any] = field(repr=False)

    @property
    def full_name(self) -> str:
        """noun.verb."""
        return f"{self.noun}.{self.name}"

    def bind(self, args: tuple[object, ...], given: Mapping[str, object]) -> dict[str, object]:
        """The arguments by parameter name, with defaults; raises invalid_parameter for wrong names."""
        arguments: dict[str, object] = {}
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names):
            raise Refused("invalid_parameter", f"{self.full_name} takes {len(names)} parameters.", remedy="Name them.")
        arguments.update(zip(names, args, strict=False))
        for name, value in given.items():
            if name not in names:
                near = get_close_matches(name, names, 1)
                raise Refused(
                    "invalid_parameter",
                    f"{self.full_name} has no parameter {name!r}.",
                    remedy=f"Did you mean {near[0]!r}?" if near else f"Possible: {', '.join(names)}.",
                    parameter=name,
                )
            if name in arguments:
                raise Refused("invalid_parameter", f"{self.full_name} got {name!r} twice.", parameter=name)
            arguments[name] = value
        for parameter in self.parameters:
            if parameter.name not in arguments:
                if parameter.required:
                    raise Refused(
                        "invalid_parameter",
                        f"{self.full_name} needs {parameter.name!r}.",
                        remedy=f"Give {parameter.name}.",
                        parameter=parameter.name,
                    )
                arguments[parameter.name] = parameter.default
        return arguments

    def require_near(self, arguments: Mapping[str, object], now: datetime) -> None:
        """Refuse a date that lies more than ten years ahead: nobody's prices hold so long, it is a slip of the pen."""
        furthest = now + TEN_YEARS
        for name, value in arguments.items():
            if isinstance(value, datetime) and value > furthest:
                raise InvalidValue(
                    f"{name}: {value:%Y-%m-%d} lies more than ten years ahead.",
                    remedy=f"Name a date up to {furthest:%Y-%m-%d}.",
                    parameter=name,
                )

    def convert(self, arguments: Mapping[str, object], zone: str) -> dict[str, object]:
        """Bound arguments as the values that the verb works with."""
        return {parameter.name: parameter.convert(arguments[parameter.name], zone) for parameter in self.parameters}


class Runner(Protocol):
    """Runs verbs: transaction, idempotency, audit, effects. The composition root is one."""

    def run_verb(self, noun: "Noun", definition: Definition, args: tuple[object, ...], given: dict[str, Any]) -> Any:
        """Run one verb and return its result."""


class Noun:
    """A group of verbs: `billing.subscriptions`."""

    noun = ""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def ask(self, definition: Definition, arguments: Mapping[str, Any], desk: Desk) -> object:
        """What an asking verb's gateway answers, before its transaction; the verb finds it as `scope.answer`.

        May ask one gateway. What it raises is the verb's own refusal.
        """
        raise AssertionError(f"{definition.full_name} asks nobody")

    def next_debt(self, arguments: Mapping[str, Any], scope: Scope, tried: Collection[str]) -> Invoice | None:
        """The invoice that a verb has to have paid before it begins, planned to be collected now; None for none (left).

        `tried` are the ids of those that were collected for it. What it raises is the verb's own refusal.
        """
        raise AssertionError("no debts are paid first")

    def settled(self, scope: Scope, result: Any, attempts: Collection[str]) -> Any:
        """The result of a collecting verb after its attempts (payment ids), as it is stored by then."""
        return result


class Verb(Generic[P, T]):
    """A verb on its class; bound on access."""

    def __init__(self, function: Callable[..., T], **kinds: bool) -> None:
        self.function = function
        self._kinds = kinds
        self.definition: Definition | None = None
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type[Noun], name: str) -> None:
        self._owner = owner
        self._name = name

    def define(self) -> Definition:
        """The verb as data; read from the signature at first need."""
        if self.definition is None:
            self.definition = _define(self._owner.noun, self._name, self.function, **self._kinds)
        return self.definition

    @overload
    def __get__(self, noun: None, owner: type[Noun]) -> "Verb[P, T]": ...
    @overload
    def __get__(self, noun: Noun, owner: type[Noun]) -> "BoundVerb[P, T]": ...
    def __get__(self, noun: Noun | None, owner: type[Noun]) -> "Verb[P, T] | BoundVerb[P, T]":
        return self if noun is None else BoundVerb(self, noun)


class BoundVerb(Generic[P, T]):
    """A verb that can be called."""

    def __init__(self, verb: Verb[P, T], noun: Noun) -> None:
        self.definition = verb.define()
        self.__doc__ = verb.__doc__
        self._noun = noun

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the verb; `idempotency_key`, `dry_run` and `actor` beside its own parameters."""
        result: T = self._noun.runner.run_verb(self._noun, self.definition, args, kwargs)
        return result

    def within(self, scope: Scope, given: Mapping[str, object]) -> T:
        """Run the verb's own function in an open unit of work, its parameters checked as anywhere.

        For many calls in one transaction: there is no audit, no idempotency key and no attempt made at once.
        """
        arguments = self.definition.convert(self.definition.bind((), given), scope.settings.timezone)
        self.definition.require_near(arguments, scope.now)
        result: T = self.definition.function(self._noun, scope, **arguments)
        return result


def verb(
    *, reads: bool = False, collects: bool = False, asks: bool = False, debts: bool = False, site: bool = False
) -> Callable[[Callable[Concatenate[N, Scope, P], T]], Verb[P, T]]:
    """Make a method a verb. `reads` verbs change nothing; `collects` verbs make payment attempts after their commit.

    `asks` verbs let a gateway be asked before their transaction (`Noun.ask`); not for dry runs, inside a host's
    transaction, or when the idempotency key is known already. `debts` verbs have debts collected before their own
    transaction (`Noun.next_debt`), one after the other; the same exceptions hold. `site` verbs change what all
    processes share, one at a time.
    """

    def wrap(function: Callable[Concatenate[N, Scope, P], T]) -> Verb[P, T]:
        return Verb(function, reads=reads, collects=collects, asks=asks, debts=debts, site=site)

    return wrap


def verbs_of(noun: type[Noun]) -> dict[str, Definition]:
    """The verbs of a noun by name, in the order of their definition."""
    own = [vars(part) for part in noun.__mro__ if part is not Noun]
    return {name: made.define() for names in own for name, made in names.items() if isinstance(made, Verb)}


def _define(noun: str, name: str, function: Callable[..., Any], **kinds: bool) -> Definition:
    hints = get_type_hints(function, include_extras=True)
    parameters = []
    for parameter in list(inspect.signature(function).parameters.values())[2:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        hint = hints[parameter.name]
        kind, choices = _vocabulary(hint, f"{noun}.{name}({parameter.name})")
        required = parameter.default is inspect.Parameter.empty
        parameters.append(
            Parameter(
                parameter.name,
                kind,
                choices,
                required,
                NoneType in get_args(hint),
                None if required else parameter.default,
                parameter.kind is not inspect.Parameter.KEYWORD_ONLY,
            )
        )
    doc = inspect.getdoc(function) or ""
    return Definition(noun, name, doc.split("\n", 1)[0], doc, tuple(parameters), function=function, **kinds)


def _vocabulary(hint: object, where: str) -> tuple[Kind | None, tuple[str, ...]]:
    if get_origin(hint) in (Union, UnionType):
        parts = [part for part in get_args(hint) if part not in (NoneType, Unset)]
        if len(parts) == 1:
            return _vocabulary(parts[0], where)
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, Kind):
                return extra, ()
    if get_origin(hint) is Literal:
        return None, tuple(get_args(hint))
    raise AssertionError(f"{where}: {hint!r} is not in the vocabulary of parameter types")
