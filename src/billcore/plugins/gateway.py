"""The gateway contract: requests, outcomes, errors and capabilities (behaviour 9.1 to 9.3, 9.6).

A gateway translates and decides nothing: it turns a request into its provider's call and the reply into an
outcome. `charge` and `lookup` are mandatory, every other verb is declared by a capability. A decline is a
value. What went wrong on the way is one of three errors: GatewayNotSent, GatewayUnknown,
GatewayMisconfigured. A status the gateway has never seen is Pending; an exception nobody foresaw is taken
as GatewayUnknown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, Protocol, runtime_checkable

from attrs import frozen

from billcore.domain.money import Money
from billcore.plugins.config import C, Secret, Spec
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
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    verify_age,
    verify_hmac_sha256,
)

__all__ = [
    "MAX_AGE_S",
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
    "key_window_s",
    "perform",
    "verify_age",
    "verify_hmac_sha256",
]


class Capability(StrEnum):
    """What a gateway can do beside charge and lookup. VERBS names the attributes that each one promises."""

    REFUND = "refund"
    CAPTURE = "capture"
    VOID = "void"
    CANCEL = "cancel"
    VAULT = "vault"
    VERIFY = "verify"
    WEBHOOKS = "webhooks"
    HOSTED_PAGE = "hosted_page"
    UPDATER = "updater"
    IDEMPOTENCY_KEYS = "idempotency_keys"
    SCRIPT = "script"


VERBS: Mapping[Capability, tuple[str, ...]] = MappingProxyType(
    {
        Capability.REFUND: ("refund",),
        Capability.CAPTURE: ("capture",),
        Capability.VOID: ("void",),
        Capability.CANCEL: ("cancel",),
        Capability.VAULT: ("vault", "describe", "detach"),
        Capability.VERIFY: ("verify",),
        Capability.WEBHOOKS: ("parse_webhook",),
        Capability.HOSTED_PAGE: ("hosted_page",),
        Capability.UPDATER: ("updates",),
        Capability.IDEMPOTENCY_KEYS: ("key_window_s",),
        Capability.SCRIPT: ("script", "settle"),
    }
)


class Gateway(Protocol):
    """What every gateway has. Its verbs are called from several threads at once."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The declared capabilities; they never change for one object."""

    def charge(self, request: Charge, /) -> Outcome:
        """Charge once per idempotency key; raises GatewayNotSent, GatewayUnknown or GatewayMisconfigured."""

    def lookup(self, request: Lookup, /) -> Answer:
        """What became of the attempt with our id; it changes nothing at the provider."""


@runtime_checkable
class Refunds(Protocol):
    """Capability REFUND."""

    def refund(self, request: Refund, /) -> Outcome:
        """Refund once per idempotency key; more than what is left of the charge is declined."""


@runtime_checkable
class Captures(Protocol):
    """Capability CAPTURE."""

    def capture(self, request: Capture, /) -> Outcome:
        """Capture once per idempotency key; the rest of the authorization is released."""


@runtime_checkable
class Voids(Protocol):
    """Capability VOID."""

    def void(self, request: Void, /) -> Outcome:
        """Void once per idempotency key; a charge that has settled is declined."""


@runtime_checkable
class Cancels(Protocol):
    """Capability CANCEL."""

    def cancel(self, request: Cancel, /) -> Answer:
        """End a pending attempt; a repeated call gives the same answer."""


@runtime_checkable
class Vaults(Protocol):
    """Capability VAULT: methods are kept at the provider, and only kept ones are charged."""

    def vault(self, request: Vault, /) -> Vaulted:
        """Keep a method for a customer; repeated, it is the same. A refused method raises MethodRefused."""

    def describe(self, request: Describe, /) -> Vaulted | MethodNotFound:
        """How a kept method stands now."""

    def detach(self, request: Detach, /) -> None:
        """Forget a method; one that is not there is forgotten already."""


@runtime_checkable
class Verifies(Protocol):
    """Capability VERIFY: bank accounts are verified by small deposits; `vault` starts it."""

    def verify(self, request: Verify, /) -> Vaulted:
        """Confirm what the owner read on the statement; still `unverified` when it was wrong."""


@runtime_checkable
class HostsPages(Protocol):
    """Capability HOSTED_PAGE."""

    def hosted_page(self, request: HostedPage, /) -> Page:
        """A page of the provider's where the customer enters a method; it arrives by webhook."""


@runtime_checkable
class ReceivesWebhooks(Protocol):
    """Capability WEBHOOKS."""

    def parse_webhook(self, request: WebhookRequest, /) -> Sequence[WebhookEvent]:
        """Verify a delivery and return its events, none for kinds that mean nothing here. Raises WebhookRejected.

        It makes no call, and believes the signature only: what an event says is asked for again.
        """


@runtime_checkable
class Updates(Protocol):
    """Capability UPDATER: methods change at the provider without anybody asking, and it can list which."""

    def updates(self, since: datetime, /) -> Sequence[WebhookEvent]:
        """METHOD events since an instant, as webhooks would have told them."""


@runtime_checkable
class RemembersKeys(Protocol):
    """Capability IDEMPOTENCY_KEYS: the same key within `key_window_s` seconds is the same charge."""

    @property
    def key_window_s(self) -> int:
        """Seconds from the first use of a key during which it may be sent again."""


@runtime_checkable
class Scripts(Protocol):
    """Capability SCRIPT: a test gateway that is told what to answer."""

    def script(self, outcomes: Sequence[str], customer_id: str | None = None, default: str | None = "approve") -> None:
        """Set the outcomes of the next calls, of one customer when given; afterwards `default` decides."""

    def settle(self, attempt_id: str, outcome: str) -> Outcome:
        """End a pending, waiting or unknown attempt; `lookup` then answers it."""


@frozen
class GatewaySpec(Spec[C, Gateway], Generic[C]):
    """What `register_gateways` returns: the gateway's name, its configuration class and its constructor."""


def key_window_s(gateway: Gateway) -> int:
    """Seconds during which the same key may be sent again; 0 when the gateway keeps no keys."""
    if Capability.IDEMPOTENCY_KEYS in gateway.capabilities and isinstance(gateway, RemembersKeys):
        return gateway.key_window_s
    return 0


def perform(gateway: Gateway, request: Request) -> Answer:
    """Carry one request out and check its answer; raises the gateway's errors, and Unsupported."""
    if isinstance(request, Charge):
        return checked_outcome(request, gateway.charge(request))
    if isinstance(request, Lookup):
        return _checked_answer(request, gateway.lookup(request))
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
        return _checked_answer(request, gateway.cancel(request))
    verb = type(request).__name__.lower()
    raise Unsupported(
        f"{type(gateway).__name__} does not {verb}; attempt {request.attempt_id} was not sent.",
        remedy=f"It declares: {', '.join(sorted(able)) or 'nothing'}.",
        attempt_id=request.attempt_id,
    )


def checked_outcome(request: Request, outcome: object) -> Outcome:
    """`outcome` when it can be the answer to `request`, else GatewayUnknown saying what is wrong with it.

    An outcome has exactly the contract's types, an approved amount is above zero, at most what was asked for
    and of the same currency, a link is http or https.
    """
    if type(outcome) is Approved:
        money = request.amount
        if (
            type(outcome.amount_minor) is int
            and 0 < outcome.amount_minor <= money.minor
            and outcome.currency == money.currency
            and _is_id(outcome.gateway_id)
        ):
            return outcome
    elif type(outcome) is Pending:
        if _is_id(outcome.gateway_id):
            return outcome
    elif type(outcome) is ActionRequired:
        if _is_id(outcome.gateway_id) and _is_link(outcome.url):
            return outcome
    elif type(outcome) is Declined and _is_decline(outcome):
        return outcome
    raise GatewayUnknown(
        f"Attempt {request.attempt_id} over {request.amount} was answered with nonsense: {_shown(outcome)}.",
        remedy="What became of it is asked for again.",
        attempt_id=request.attempt_id,
    )


def _checked_answer(request: Lookup | Cancel, answer: object) -> Answer:
    if type(answer) is AttemptNotFound and answer.attempt_id == request.attempt_id:
        return answer
    return checked_outcome(request, answer)


def _is_id(value: object) -> bool:
    return type(value) is str and value != ""


def _is_link(value: object) -> bool:
    return type(value) is str and value.startswith(("https://", "http://"))


def _is_decline(outcome: Declined) -> bool:
    return (
        type(outcome.kind) is DeclineKind
        and type(outcome.code) is DeclineCode
        and type(outcome.advice) is Advice
        and type(outcome.message) is str
        and type(outcome.gateway_id) is str
    )


def _shown(outcome: object) -> str:
    """A short text of a stranger's object, whose repr may be long, raise or hold a provider's secrets."""
    if type(outcome) is Approved:
        return f"Approved {outcome.amount_minor!r:.40} {outcome.currency!r:.10}"
    return f"{type(outcome).__name__}"
