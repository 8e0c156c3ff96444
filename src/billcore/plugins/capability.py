"""What a gateway can do: the two verbs that every one has, and those that a capability declares (behaviour 9.2)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from billcore.plugins.method import MethodNotFound, Page, Vaulted
from billcore.plugins.outcome import Answer, Outcome
from billcore.plugins.request import (
    Cancel,
    Capture,
    Charge,
    Describe,
    Detach,
    HostedPage,
    Lookup,
    Refund,
    Vault,
    Verify,
    Void,
)
from billcore.plugins.webhook import WebhookEvent, WebhookRequest


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


def key_window_s(gateway: Gateway) -> int:
    """Seconds during which the same key may be sent again; 0 when the gateway keeps no keys."""
    if Capability.IDEMPOTENCY_KEYS in gateway.capabilities and isinstance(gateway, RemembersKeys):
        return gateway.key_window_s
    return 0
