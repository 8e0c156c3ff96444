"""Form bodies: read into nested values, and checked against the SDK's own types of parameters.

Those types are generated from Stripe's specification, so the fake knows what the installed SDK's API version takes:
which parameters there are, which must be given, how they nest and what is a number.
"""

import importlib
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any, Literal, Union
from urllib.parse import parse_qsl

import typing_extensions
from stripe._request_options import RequestOptions

from billcore_gateway_stripe.testing.problem import ApiProblem, invalid

# Gone from these calls with the API version that SDK 16 pins; the API says so by a code of its own.
_TYPES_GONE = "payment_method_types"


class _AnyMap:
    """Stands in for the SDK's UntypedStripeObject, which means "any map"."""

    def __class_getitem__(cls, _: object) -> type[dict[str, str]]:
        return dict


def decode(body: str) -> dict[str, Any]:
    """`a[b]=1&c[0]=x` as {"a": {"b": "1"}, "c": ["x"]}; all leaves are texts."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        head, _, rest = name.partition("[")
        path = [head, *(part.rstrip("]") for part in rest.split("["))] if rest else [head]
        at = root
        for step in path[:-1]:
            at = at.setdefault(step or str(len(at)), {})
        at[path[-1] or str(len(at))] = value
    return {name: _listed(value) for name, value in root.items()}


def checked(given: dict[str, Any], kind: type) -> dict[str, Any]:
    """`given` when it fits the SDK's TypedDict; raises the first problem as the API would."""
    for path, code in problems(given, kind, ""):
        name = path.removeprefix(".")
        if name == _TYPES_GONE:
            raise invalid(
                "payment_method_types is no longer supported; use allowed_payment_method_types.",
                code="payment_method_types_no_longer_supported",
                param=name,
            )
        raise _refusal(name, code)
    return given


def problems(value: object, kind: Any, path: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401  a type is anything
    """Where `value` does not fit `kind`, as path and code."""
    origin, arguments = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if origin in (typing_extensions.NotRequired, typing_extensions.Required):
        yield from problems(value, arguments[0], path)
    elif origin in (Union, UnionType):
        yield from min((list(problems(value, one, path)) for one in arguments), key=len)
    elif origin is Literal:
        if value not in arguments:
            yield path, "invalid_enum"
    elif origin is list:
        items = value if isinstance(value, list) else [value]
        for index, item in enumerate(items):
            yield from problems(item, arguments[0], f"{path}[{index}]")
    elif typing_extensions.is_typeddict(kind):
        yield from _object_problems(value, kind, path)
    elif kind is dict or origin is dict:
        if not isinstance(value, dict):
            yield path, "parameter_invalid_object"
    elif isinstance(value, dict | list):
        yield path, "parameter_invalid_string"
    elif kind is int and not str(value).lstrip("-").isdigit():
        yield path, "parameter_invalid_integer"
    elif kind is bool and value not in ("true", "false"):
        yield path, "parameter_invalid_boolean"


def _object_problems(value: object, kind: Any, path: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401  as above
    if not isinstance(value, dict):
        yield path, "parameter_invalid_object"
        return
    known = _hints(kind)
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}", "parameter_unknown"
    for name in kind.__required_keys__:
        if name in known and name not in value:
            yield f"{path}.{name}", "parameter_missing"


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401  as above
    """The parameters of one of the SDK's TypedDicts with their types, without the options of a request."""
    options = RequestOptions.__annotations__
    own = {name: hint for name, hint in kind.__annotations__.items() if name not in options}
    bare = type("Bare", (), {"__annotations__": own, "__module__": kind.__module__})
    module = vars(importlib.import_module(kind.__module__))
    return typing_extensions.get_type_hints(bare, globalns={**module, "UntypedStripeObject": _AnyMap})


def _listed(value: Any) -> Any:  # noqa: ANN401  whatever a form holds
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item) for name, item in value.items()}
    if inner and all(name.isdigit() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def _refusal(name: str, code: str) -> ApiProblem:
    if code == "parameter_unknown":
        return invalid(f"Received unknown parameter: {name}", code=code, param=name)
    if code == "parameter_missing":
        return invalid(f"Missing required param: {name}.", code=code, param=name)
    if code == "invalid_enum":
        return invalid(f"Invalid {name}: it is none of its values", param=name)
    return invalid(f"Invalid {name}: {code.removeprefix('parameter_invalid_')} expected", code=code, param=name)
