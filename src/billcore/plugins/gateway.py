"""The gateway contract: requests, outcomes, errors and capabilities (behaviour 9.1 to 9.3, 9.6).

A gateway translates and decides nothing: it turns a request into its provider's call and the reply into an
outcome. `charge` and `lookup` are mandatory, every other verb is declared by a capability. A decline is a
value. What went wrong on the way is one of three errors: GatewayNotSent, GatewayUnknown,
GatewayMisconfigured. A status the gateway has never seen is Pending; an exception nobody foresaw is taken
as GatewayUnknown.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, cast, overload

from attrs import evolve, frozen

from billcore.domain.money import Money, format_minor
from billcore.errors import PluginError
from billcore.plugins.capability import (
    VERBS,
    Cancels,
    Capability,
    Captures,
    Gateway,
    HostsPages,
    ReceivesWebhooks,
    Refunds,
    RemembersKeys,
    Scripts,
    Updates,
    Vaults,
    Verifies,
    Voids,
    key_window_s,
)
from billcore.plugins.checks import (
    checked_answer,
    checked_described,
    checked_outcome,
    checked_page,
    checked_vaulted,
    events_problem,
)
from billcore.plugins.config import C, Secret, Spec
from billcore.plugins.deadline import DeadlinePassed, Raised, Returned, call_within
from billcore.plugins.decline import Advice, DeclineCode, Declined, DeclineKind, declined
from billcore.plugins.method import MethodKind, MethodNotFound, Page, Vaulted, VaultedStatus
from billcore.plugins.outcome import (
    ActionRequired,
    Answer,
    Approved,
    AttemptNotFound,
    Failure,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    MethodRefused,
    Outcome,
    Pending,
    Unsupported,
)
from billcore.plugins.request import (
    AttemptVerb,
    Cancel,
    Capture,
    Charge,
    Describe,
    Detach,
    HostedPage,
    Lookup,
    MethodRequest,
    Refund,
    Request,
    Vault,
    Verify,
    Void,
)
from billcore.plugins.webhook import (
    MAX_AGE_S,
    MAX_BODY,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    verify_age,
    verify_hmac_sha256,
)

__all__ = [
    "MAX_AGE_S",
    "MAX_BODY",
    "VERBS",
    "ActionRequired",
    "Advice",
    "Answer",
    "Approved",
    "AttemptNotFound",
    "AttemptVerb",
    "Cancel",
    "Cancels",
    "Capability",
    "Capture",
    "Captures",
    "Charge",
    "DeclineCode",
    "DeclineKind",
    "Declined",
    "Describe",
    "Detach",
    "Failure",
    "Gateway",
    "GatewayMisconfigured",
    "GatewayNotSent",
    "GatewaySpec",
    "GatewayUnknown",
    "HostedPage",
    "HostsPages",
    "Lookup",
    "MethodKind",
    "MethodNotFound",
    "MethodRefused",
    "MethodRequest",
    "Money",
    "Outcome",
    "Page",
    "Pending",
    "ReceivesWebhooks",
    "Refund",
    "Refunds",
    "RemembersKeys",
    "Request",
    "Scripts",
    "Secret",
    "Unsupported",
    "Updates",
    "Vault",
    "Vaulted",
    "VaultedStatus",
    "Vaults",
    "Verifies",
    "Verify",
    "Void",
    "Voids",
    "WebhookEvent",
    "WebhookKind",
    "WebhookRejected",
    "WebhookRequest",
    "checked_outcome",
    "declined",
    "format_minor",
    "key_window_s",
    "perform",
    "perform_method",
    "receive",
    "updates_since",
    "verify_age",
    "verify_hmac_sha256",
]


_FORESEEN = (GatewayNotSent, GatewayUnknown, GatewayMisconfigured, MethodRefused, Unsupported)


@frozen
class GatewaySpec(Spec[C, Gateway], Generic[C]):
    """What `register_gateways` returns: the gateway's name, its configuration class and its constructor."""


def perform(gateway: Gateway, request: Request) -> Answer:
    """Carry one request out and check its answer; raises the gateway's errors, and Unsupported."""
    if isinstance(request, Charge):
        return checked_outcome(request, gateway.charge(request))
    if isinstance(request, Lookup):
        return checked_answer(request, gateway.lookup(request))
    able = gateway.capabilities
    if isinstance(request, Refund):
        if Capability.REFUND in able and isinstance(gateway, Refunds):
            return checked_outcome(request, gateway.refund(request))
    elif isinstance(request, Capture):
        if Capability.CAPTURE in able and isinstance(gateway, Captures):
            return checked_outcome(request, gateway.capture(request))
    elif isinstance(request, Void):
        if Capability.VOID in able and isinstance(gateway, Voids):
            return checked_outcome(request, gateway.void(request))
    elif Capability.CANCEL in able and isinstance(gateway, Cancels):
        return checked_answer(request, gateway.cancel(request))
    raise _unsupported(gateway, type(request).__name__.lower(), request.attempt_id)


@overload
def perform_method(gateway: Gateway, request: Vault | Verify, *, deadline_s: int = 30) -> Vaulted: ...
@overload
def perform_method(gateway: Gateway, request: Describe, *, deadline_s: int = 30) -> Vaulted | MethodNotFound: ...
@overload
def perform_method(gateway: Gateway, request: Detach, *, deadline_s: int = 30) -> None: ...
@overload
def perform_method(gateway: Gateway, request: HostedPage, *, deadline_s: int = 30) -> Page: ...
def perform_method(
    gateway: Gateway, request: MethodRequest, *, deadline_s: int = 30
) -> Vaulted | MethodNotFound | Page | None:
    """Ask about a payment method and check the answer; no money moves, and every one may be asked again.

    Raises MethodRefused, GatewayNotSent, GatewayMisconfigured, Unsupported; GatewayUnknown when there is no answer in
    time, it is nonsense, or the plugin raised what it should not.
    """
    answer = call_within(deadline_s, _method_call(gateway, request))
    if isinstance(answer, Returned):
        value = answer.value
        if isinstance(request, Vault | Verify):
            return checked_vaulted(request, value)
        if isinstance(request, Describe):
            return checked_described(request, value)
        return checked_page(value) if isinstance(request, HostedPage) else None
    error = answer.error
    if isinstance(error, _FORESEEN):
        raise error
    raise GatewayUnknown(
        f"{type(gateway).__name__} failed at {type(request).__name__} of a payment method: {_told(error)}.",
        remedy="It may be asked again; the plugin's error stands in the cause.",
    ) from error


def receive(gateway: Gateway, request: WebhookRequest, *, deadline_s: int = 10) -> tuple[WebhookEvent, ...]:
    """The events of a delivery whose signature holds, checked; none for kinds that mean nothing here.

    Raises WebhookRejected when it is not to be believed (its sender gets HTTP 400), and PluginError otherwise:
    plugin_failed for a signed delivery that the plugin cannot read, Unsupported, GatewayMisconfigured. The sender then
    gets HTTP 5xx, so that it comes again.

    A plugin may stumble over what a stranger sends before it checks the signature. Whether it had come that far is
    tried with one more byte at the end of the body: one that then rejects it had accepted the signature before.
    """
    if not (Capability.WEBHOOKS in gateway.capabilities and isinstance(gateway, ReceivesWebhooks)):
        raise _unsupported(gateway, "parse_webhook")
    if len(request.body) > MAX_BODY:
        raise WebhookRejected(f"The webhook's body is longer than {MAX_BODY} bytes.")
    answer = call_within(deadline_s, lambda: gateway.parse_webhook(request))
    if isinstance(answer, Returned):
        return _checked_events(gateway, answer.value, "parse_webhook")
    error = answer.error
    if isinstance(error, WebhookRejected | GatewayMisconfigured):
        raise error
    if not isinstance(error, DeadlinePassed):
        altered = evolve(request, body=request.body + b" ")
        again = call_within(deadline_s, lambda: gateway.parse_webhook(altered))
        if not (isinstance(again, Raised) and isinstance(again.error, WebhookRejected)):
            raise WebhookRejected("The webhook could not be read, and its signature was not reached.") from error
    raise _failed(gateway, "parse_webhook", _told(error)) from error


def updates_since(gateway: Gateway, since: datetime, *, deadline_s: int = 30) -> tuple[WebhookEvent, ...]:
    """What changed about kept methods since an instant, checked like a delivery's events.

    Raises Unsupported, the gateway's errors, and plugin_failed for anything else.
    """
    if not (Capability.UPDATER in gateway.capabilities and isinstance(gateway, Updates)):
        raise _unsupported(gateway, "updates")
    answer = call_within(deadline_s, lambda: gateway.updates(since))
    if isinstance(answer, Returned):
        return _checked_events(gateway, answer.value, "updates")
    if isinstance(answer.error, _FORESEEN):
        raise answer.error
    raise _failed(gateway, "updates", _told(answer.error)) from answer.error


def _method_call(gateway: Gateway, request: MethodRequest) -> Callable[[], object]:
    able = gateway.capabilities
    if isinstance(request, Verify):
        if Capability.VERIFY in able and isinstance(gateway, Verifies):
            return partial(gateway.verify, request)
    elif isinstance(request, HostedPage):
        if Capability.HOSTED_PAGE in able and isinstance(gateway, HostsPages):
            return partial(gateway.hosted_page, request)
    elif Capability.VAULT in able and isinstance(gateway, Vaults):
        if isinstance(request, Vault):
            return partial(gateway.vault, request)
        return partial(gateway.describe, request) if isinstance(request, Describe) else partial(gateway.detach, request)
    raise _unsupported(gateway, "hosted_page" if isinstance(request, HostedPage) else type(request).__name__.lower())


def _checked_events(gateway: Gateway, events: object, verb: str) -> tuple[WebhookEvent, ...]:
    problem = events_problem(events)
    if problem:
        raise _failed(gateway, verb, problem)
    return tuple(cast("Sequence[WebhookEvent]", events))


def _unsupported(gateway: Gateway, verb: str, attempt_id: str | None = None) -> Unsupported:
    sent = "" if attempt_id is None else f"; attempt {attempt_id} was not sent"
    return Unsupported(
        f"{type(gateway).__name__} does not declare the verb {verb}{sent}.",
        remedy=f"It declares: {', '.join(sorted(gateway.capabilities)) or 'nothing'}.",
        verb=verb,
        **({} if attempt_id is None else {"attempt_id": attempt_id}),
    )


def _failed(gateway: Gateway, verb: str, problem: str) -> PluginError:
    return PluginError(
        "plugin_failed",
        f"{type(gateway).__name__} failed in {verb}: {problem}.",
        remedy="Report this to the author of the gateway's plugin.",
        verb=verb,
    )


def _told(error: BaseException) -> str:
    """An error by its kind: its text may hold what a provider sent, secrets included."""
    return str(error) if isinstance(error, DeadlinePassed) else f"it raised {type(error).__name__}"
