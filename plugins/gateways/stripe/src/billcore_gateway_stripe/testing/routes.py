"""The paths of the API that the fake has: what each takes, by the SDK's types, and who answers."""

import re
from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen
from stripe import params as sdk
from stripe.params import checkout

from billcore_gateway_stripe.testing import intents, methods, refunds
from billcore_gateway_stripe.testing.forms import checked, decode
from billcore_gateway_stripe.testing.problem import invalid
from billcore_gateway_stripe.testing.state import Record, State


@frozen
class Asked:
    """A request that was understood: the account's state, the id in its path, its checked parameters."""

    state: State
    id: str
    params: Record
    base_url: str


Handler: TypeAlias = Callable[[Asked], Record]


@frozen
class Route:
    """One path: its pattern, the SDK's type of its parameters, its handler."""

    method: str
    pattern: re.Pattern[str]
    takes: type
    handler: Handler


def find(method: str, path: str) -> tuple[Route, str]:
    """The route of a request and the id in its path; raises the API's answer to an unknown one."""
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match and route.method == method:
            return route, match.groupdict().get("id", "")
    raise invalid(f"Unrecognized request URL ({method}: {path}).", status=404)


def answer(route: Route, state: State, object_id: str, body: str, base_url: str) -> Record:
    """Check the parameters and carry the request out."""
    params = checked(decode(body), route.takes)
    expand = params.pop("expand", [])
    record = route.handler(Asked(state, object_id, params, base_url))
    return state.expanded(record, expand)


def _listing(family: str, url: str, *filters: str) -> Handler:
    def handler(asked: Asked) -> Record:
        found = asked.state.all(family)
        for name in filters:
            if name in asked.params:
                found = [one for one in found if one.get(name) == asked.params[name]]
        return asked.state.page(found, asked.params, url)

    return handler


def _intents(asked: Asked) -> Record:
    if asked.params.get("customer"):
        asked.state.get("cus", asked.params["customer"], "customer")
    return _listing("payment_intents", "/v1/payment_intents", "customer")(asked)


def _searching(prefix: str, url: str) -> Handler:
    def handler(asked: Asked) -> Record:
        found = asked.state.search(prefix, asked.params["query"])
        page = asked.state.page(found, {"limit": asked.params.get("limit", 10)}, url)
        return {**page, "object": "search_result", "next_page": None}

    return handler


def _events(asked: Asked) -> Record:
    one = asked.params.get("type")
    wanted = [one] if one else asked.params.get("types")
    found = [event for event in reversed(asked.state.events) if wanted is None or event["type"] in wanted]
    return asked.state.page(found, asked.params, "/v1/events")


def _reading(prefix: str, param: str) -> Handler:
    return lambda asked: asked.state.get(prefix, asked.id, param)


def _route(method: str, path: str, takes: type, handler: Handler) -> Route:
    return Route(method, re.compile(path.replace("ID", "(?P<id>[^/]+)")), takes, handler)


ROUTES = (
    _route("POST", "/v1/customers", sdk.CustomerCreateParams, lambda a: methods.create_customer(a.state, a.params)),
    _route("GET", "/v1/customers/search", sdk.CustomerSearchParams, _searching("cus", "/v1/customers/search")),
    _route("GET", "/v1/customers/ID", sdk.CustomerRetrieveParams, _reading("cus", "customer")),
    _route(
        "POST", "/v1/customers/ID", sdk.CustomerUpdateParams, lambda a: methods.update_customer(a.state, a.id, a.params)
    ),
    _route(
        "POST", "/v1/payment_methods", sdk.PaymentMethodCreateParams, lambda a: methods.create_method(a.state, a.params)
    ),
    _route(
        "GET",
        "/v1/payment_methods",
        sdk.PaymentMethodListParams,
        _listing("payment_methods", "/v1/payment_methods", "customer", "type"),
    ),
    _route(
        "GET", "/v1/payment_methods/ID", sdk.PaymentMethodRetrieveParams, lambda a: methods.shown_method(a.state, a.id)
    ),
    _route(
        "POST",
        "/v1/payment_methods/ID/attach",
        sdk.PaymentMethodAttachParams,
        lambda a: methods.attach(a.state, a.id, a.params),
    ),
    _route(
        "POST", "/v1/payment_methods/ID/detach", sdk.PaymentMethodDetachParams, lambda a: methods.detach(a.state, a.id)
    ),
    _route("POST", "/v1/setup_intents", sdk.SetupIntentCreateParams, lambda a: methods.create_setup(a.state, a.params)),
    _route(
        "GET",
        "/v1/setup_intents",
        sdk.SetupIntentListParams,
        _listing("setup_intents", "/v1/setup_intents", "customer", "payment_method"),
    ),
    _route("GET", "/v1/setup_intents/ID", sdk.SetupIntentRetrieveParams, _reading("seti", "intent")),
    _route(
        "POST",
        "/v1/setup_intents/ID/cancel",
        sdk.SetupIntentCancelParams,
        lambda a: methods.cancel_setup(a.state, a.id, a.params),
    ),
    _route(
        "POST",
        "/v1/setup_intents/ID/verify_microdeposits",
        sdk.SetupIntentVerifyMicrodepositsParams,
        lambda a: methods.verify(a.state, a.id, a.params),
    ),
    _route(
        "POST",
        "/v1/checkout/sessions",
        checkout.SessionCreateParams,
        lambda a: methods.create_session(a.state, a.params, a.base_url),
    ),
    _route("GET", "/v1/checkout/sessions/ID", checkout.SessionRetrieveParams, _reading("cs", "session")),
    _route(
        "POST",
        "/v1/payment_intents",
        sdk.PaymentIntentCreateParams,
        lambda a: intents.create(a.state, a.params, a.base_url),
    ),
    _route("GET", "/v1/payment_intents", sdk.PaymentIntentListParams, _intents),
    _route(
        "GET",
        "/v1/payment_intents/search",
        sdk.PaymentIntentSearchParams,
        _searching("pi", "/v1/payment_intents/search"),
    ),
    _route("GET", "/v1/payment_intents/ID", sdk.PaymentIntentRetrieveParams, _reading("pi", "intent")),
    _route(
        "POST",
        "/v1/payment_intents/ID/confirm",
        sdk.PaymentIntentConfirmParams,
        lambda a: intents.confirm(a.state, a.state.get("pi", a.id, "intent"), a.params, a.base_url),
    ),
    _route(
        "POST",
        "/v1/payment_intents/ID/cancel",
        sdk.PaymentIntentCancelParams,
        lambda a: intents.cancel(a.state, a.id, a.params),
    ),
    _route(
        "POST",
        "/v1/payment_intents/ID/capture",
        sdk.PaymentIntentCaptureParams,
        lambda a: intents.capture(a.state, a.id, a.params),
    ),
    _route("POST", "/v1/refunds", sdk.RefundCreateParams, lambda a: refunds.create(a.state, a.params)),
    _route("GET", "/v1/refunds", sdk.RefundListParams, _listing("refunds", "/v1/refunds", "payment_intent", "charge")),
    _route("GET", "/v1/refunds/ID", sdk.RefundRetrieveParams, _reading("re", "id")),
    _route("GET", "/v1/events", sdk.EventListParams, _events),
)
