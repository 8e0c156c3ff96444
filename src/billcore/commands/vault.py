"""Payment methods in a gateway's vault: what it is asked about them, and what its answers make of ours (9.7)."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from billcore.commands.desk import Desk
from billcore.commands.parameters import holding_card
from billcore.commands.scope import Scope
from billcore.domain.card_number import has_card_number
from billcore.domain.customer import Customer, PaymentMethod
from billcore.errors import InvalidValue, Refused
from billcore.plugins.gateway import (
    Capability,
    Describe,
    Detach,
    Gateway,
    GatewayNotSent,
    GatewayUnknown,
    HostedPage,
    MethodNotFound,
    MethodRefused,
    Page,
    Unsupported,
    Vault,
    Vaulted,
    Verify,
    perform_method,
)
from billcore.store import customer as store

DETACHED = "detached"
"""The answer to a removal that the gateway has made as well."""


@frozen
class HostedLink:
    """A page of the gateway's where the customer enters a payment method; it arrives by webhook."""

    url: str
    customer: str
    gateway: str


def keep(desk: Desk, given: Mapping[str, Any]) -> Vaulted | None:
    """The method as the gateway's vault keeps it from now on; None for a gateway without a vault."""
    with desk.reading() as scope:
        given = {**given, "gateway": meant(scope, given["gateway"])}
        owner = may_add(scope, given, again=True)
        there = given["gateway_customer"] or gateway_customer(scope, owner, given["gateway"])
    gateway = desk.gateway(given["gateway"])
    if Capability.VAULT not in gateway.capabilities:
        return None
    request = Vault(owner.id, given["token"], there, owner.name or owner.organization or "", owner.email or "")
    try:
        return perform_method(gateway, request)
    except MethodRefused as refused:
        raise _refused(refused) from refused
    except GatewayNotSent as unsent:
        raise GatewayNotSent(
            unsent.message, remedy="Nothing is stored here. Repeat the command when the gateway can be reached."
        ) from unsent
    except GatewayUnknown as unknown:
        raise GatewayUnknown(
            unknown.message,
            remedy="Nothing is stored here. Repeat the command: the gateway keeps a method once, however often.",
        ) from unknown


def describe(desk: Desk, given: Mapping[str, Any]) -> Vaulted | MethodNotFound:
    """How the gateway's vault keeps a method now."""
    method = _method(desk, given)
    request = Describe(method.token, method.gateway_customer or "")
    return perform_method(_able(desk, method.gateway, Capability.VAULT), request)


def detach(desk: Desk, given: Mapping[str, Any]) -> str | None:
    """Let the gateway forget a method, where that is asked for; a repeated wish is no error there."""
    if not given["at_gateway"]:
        return None
    method = _method(desk, given)
    request = Detach(method.token, method.gateway_customer or "")
    perform_method(_able(desk, method.gateway, Capability.VAULT), request)
    return DETACHED


def confirm(desk: Desk, given: Mapping[str, Any]) -> Vaulted:
    """The method after the gateway has compared what its owner read on the statement."""
    amounts = _minor_units(given["amounts"] or ())
    if bool(amounts) == bool(given["code"]):
        raise Refused(
            "invalid_parameter",
            "A bank account is verified by what its statement shows: two amounts, or a code.",
            remedy="Give either `amounts` or `code`.",
            parameter="amounts",
        )
    method = _method(desk, given)
    if method.status != "unverified":
        raise Refused(
            "transition_not_allowed",
            f"Payment method {method.reference or method.id} is {method.status}; nothing is left to verify.",
            remedy="Only an unverified bank account is verified.",
            state=method.status,
        )
    request = Verify(method.token, method.gateway_customer or "", amounts, given["code"] or "")
    try:
        return perform_method(_able(desk, method.gateway, Capability.VERIFY), request)
    except MethodRefused as refused:
        raise _refused(refused) from refused


def page(desk: Desk, given: Mapping[str, Any]) -> Page:
    """A page of the gateway's for the customer, which ends at `return_url`."""
    if not given["return_url"].startswith(("https://", "http://")):
        raise InvalidValue(
            f"{given['return_url']!r:.200} is no link.", remedy="Write https://…", parameter="return_url"
        )
    with desk.reading() as scope:
        require_gateway(scope, given["gateway"])
        owner = scope.customer(given["customer"])
        there = gateway_customer(scope, owner, given["gateway"])
    gateway = _able(desk, given["gateway"], Capability.HOSTED_PAGE)
    name = owner.name or owner.organization or ""
    return perform_method(gateway, HostedPage(owner.id, given["return_url"], there, name, owner.email or ""))


def may_add(scope: Scope, given: Mapping[str, Any], *, again: bool) -> Customer:
    """The customer who gets a method; what could not be stored is refused before a gateway hears of it.

    `again` lets the same token keep its reference: a vault keeps it once.
    """
    for name in ("token", "brand", "last4", "expires_on", "gateway_customer"):
        if given[name] is not None and has_card_number(given[name]):
            raise holding_card(name)
    require_gateway(scope, given["gateway"])
    owner = scope.customer(given["customer"])
    taken = given["reference"] and store.method(scope.tx, given["reference"])
    same = again and taken and (taken.gateway, taken.customer_id) == (given["gateway"], owner.id)
    if taken and not (same and taken.token == given["token"]):
        raise Refused("reference_taken", f"A payment method {given['reference']!r} exists already.")
    return owner


def meant(scope: Scope, gateway: str | None) -> str:
    """The gateway that is named, or the one that is meant where none is; refused where there are several."""
    if gateway is not None:
        return gateway
    usual = scope.usual_gateways()
    if len(usual) != 1:
        raise InvalidValue(
            f"Several gateways are configured: {', '.join(usual)}.",
            remedy="Name the one that gave the token.",
            parameter="gateway",
        )
    return usual[0]


def require_gateway(scope: Scope, name: str) -> None:
    """Refuse a gateway that is not installed."""
    installed = scope.gateways()
    if name not in installed:
        raise InvalidValue(
            f"No gateway is named {name!r}.",
            remedy=f"Installed: {', '.join(installed) or 'none'}. See billcore plugins.",
            parameter="gateway",
        )


def gateway_customer(scope: Scope, owner: Customer, gateway: str) -> str:
    """The gateway's own customer of whom methods are kept already, "" where none is known; removed ones count."""
    return store.gateway_customer(scope.tx, owner.id, gateway) or ""


def described(method: PaymentMethod, answer: Vaulted | MethodNotFound) -> PaymentMethod:
    """Our method as the gateway describes it; one that it does not keep any more is disabled."""
    if isinstance(answer, MethodNotFound):
        return evolve(method, status="disabled")
    now = evolve(
        method,
        kind=answer.kind,
        token=answer.token,
        gateway_customer=answer.gateway_customer or method.gateway_customer,
        brand=answer.brand or method.brand,
        last4=answer.last4 or method.last4,
        expires_on=answer.expires_on or method.expires_on,
        fingerprint=answer.fingerprint or method.fingerprint,
        status=answer.status,
    )
    # Another card under the same token: what was refused was the one before.
    return now if now == method else evolve(now, refused_at=None)


def _method(desk: Desk, given: Mapping[str, Any]) -> PaymentMethod:
    with desk.reading() as scope:
        return scope.payment_method(scope.customer(given["customer"]), given["payment_method"])


def _able(desk: Desk, name: str, capability: Capability) -> Gateway:
    gateway = desk.gateway(name)
    if capability not in gateway.capabilities:
        raise Unsupported(
            f"Gateway {name} does not declare {capability}.",
            remedy=f"It declares: {', '.join(sorted(gateway.capabilities)) or 'nothing'}.",
            gateway=name,
            capability=str(capability),
        )
    return gateway


def _refused(error: MethodRefused) -> Refused:
    remedy = error.remedy or "Ask the customer for another payment method."
    return Refused("payment_method_refused", error.message, remedy=remedy, **error.facts)


def _minor_units(amounts: Sequence[Any]) -> tuple[int, ...]:
    whole = tuple(int(amount) for amount in amounts if amount == int(amount) and amount > 0)
    if len(whole) != len(amounts):
        raise InvalidValue(
            "The amounts of a verification are whole minor units.", remedy="Write 32 for 0.32.", parameter="amounts"
        )
    return whole
