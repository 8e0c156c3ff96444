"""The gateway contract: requests, outcomes, errors and capabilities (behaviour 9.1 to 9.3, 9.6).

A gateway translates and decides nothing: it turns a request into its provider's call and the reply into an
outcome. `charge` and `lookup` are mandatory, every other verb is declared by a capability. A decline is a
value. What went wrong on the way is one of three errors: GatewayNotSent, GatewayUnknown,
GatewayMisconfigured. A status the gateway has never seen is Pending; an exception nobody foresaw is taken
as GatewayUnknown.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from billcore.domain.money import Money
from billcore.plugins.config import C, Secret, Spec
from billcore.plugins.decline import Advice, DeclineCode, Declined, DeclineKind, declined
from billcore.plugins.outcome import (
    ActionRequired,
    Answer,
    Approved,
    AttemptNotFound,
    Failure,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Outcome,
    Pending,
    Unsupported,
)

__all__ = [
    "VERBS",
    "ActionRequired",
    "Advice",
    "Answer",
    "Approved",
    "AttemptNotFound",
    "Cancel",
    "Cancels",
    "Capability",
    "Capture",
    "Captures",
    "Charge",
    "DeclineCode",
    "DeclineKind",
    "Declined",
    "Failure",
    "Gateway",
    "GatewayMisconfigured",
    "GatewayNotSent",
    "GatewaySpec",
    "GatewayUnknown",
    "Lookup",
    "Money",
    "Outcome",
    "Pending",
    "Refund",
    "Refunds",
    "RemembersKeys",
    "Request",
    "Scripts",
    "Secret",
    "Unsupported",
    "Void",
    "Voids",
    "checked_outcome",
    "declined",
    "key_window_s",
    "perform",
]


def _read_only(metadata: Mapping[str, str]) -> Mapping[str, str]:
    return metadata if isinstance(metadata, MappingProxyType) else MappingProxyType(dict(metadata))


_NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})


@frozen
class Charge:
    """Take `amount` from the method that `gateway_method` (the provider's token) names.

    `attempt_id` is our id of this attempt, to be stored at the provider so that `lookup` finds it;
    `idempotency_key` makes a repeated call the same charge.
    """

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_method: str
    customer_id: str
    invoice_id: str
    description: str = ""
    metadata: Mapping[str, str] = field(default=_NOTHING_ELSE, converter=_read_only)


@frozen
class Refund:
    """Give `amount` of the charge `gateway_id` back; `attempt_id` is our id of this refund."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str
    reason: str = ""


@frozen
class Capture:
    """Take `amount`, all or a part, of the authorized charge `gateway_id`."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str


@frozen
class Void:
    """Undo the charge `gateway_id` of `amount` before it settles; Approved says that nothing stays taken."""

    attempt_id: str
    idempotency_key: str
    amount: Money
    gateway_id: str


@frozen
class Cancel:
    """End the pending attempt `attempt_id` of `amount`, so that it can no longer succeed.

    The answer is what the attempt then is: Declined with the code CANCELED, or Approved when it was too late.
    """

    attempt_id: str
    amount: Money


@frozen
class Lookup:
    """Ask what became of `attempt_id`, a charge or a refund of `amount`; the gateway gets the id alone."""

    attempt_id: str
    amount: Money


Request: TypeAlias = Charge | Refund | Capture | Void | Cancel | Lookup


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
        Capability.VAULT: ("vault",),
        Capability.VERIFY: ("start_verification", "confirm_verification"),
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

    def lookup(self, attempt_id: str, /) -> Answer:
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
        return _checked_answer(request, gateway.lookup(request.attempt_id))
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
