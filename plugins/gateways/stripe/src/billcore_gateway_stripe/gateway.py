"""The gateway `stripe`: every verb of the contract that Stripe has, through its SDK."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING

from billcore.plugins.gateway import (
    Answer,
    Cancel,
    Capability,
    Charge,
    Describe,
    Detach,
    HostedPage,
    Lookup,
    MethodNotFound,
    Outcome,
    Page,
    Refund,
    Vault,
    Vaulted,
    Verify,
    WebhookEvent,
    WebhookRequest,
)
from billcore_gateway_stripe.config import Config, check

if TYPE_CHECKING:
    from billcore_gateway_stripe.connection import Connection

KEY_WINDOW_S = 23 * 3600
"""Stripe keeps keys for a day at least; an hour of it is left for clocks that differ and calls under way."""


class StripeGateway:
    """Charges, refunds and keeps payment methods at Stripe.

    An object has a client and connections of its own and shares nothing with another; verbs may be called from any
    thread. Building it makes no call and does not import the SDK.
    """

    capabilities = frozenset(
        {
            Capability.REFUND,
            Capability.CANCEL,
            Capability.VAULT,
            Capability.VERIFY,
            Capability.WEBHOOKS,
            Capability.HOSTED_PAGE,
            Capability.UPDATER,
            Capability.IDEMPOTENCY_KEYS,
        }
    )
    key_window_s = KEY_WINDOW_S

    def __init__(self, config: Config) -> None:
        check(config)
        self._config = config
        self._lock = Lock()
        self._connection: Connection | None = None

    def charge(self, request: Charge, /) -> Outcome:
        """Charge a vaulted method once per idempotency key."""
        with self._asking() as stripe:
            return stripe.charges.charge(request)

    def lookup(self, request: Lookup, /) -> Answer:
        """What became of a charge or a refund; not found only when it surely is not there."""
        with self._asking() as stripe:
            return stripe.charges.lookup(request)

    def refund(self, request: Refund, /) -> Outcome:
        """Refund a charge once per idempotency key; it may fail days later."""
        with self._asking() as stripe:
            return stripe.charges.refund(request)

    def cancel(self, request: Cancel, /) -> Answer:
        """End a charge that waits for the customer, a bank or Stripe."""
        with self._asking() as stripe:
            return stripe.charges.cancel(request)

    def vault(self, request: Vault, /) -> Vaulted:
        """Attach a payment method to the customer at Stripe, who is made when there is none."""
        with self._asking() as stripe:
            return stripe.methods.vault(request)

    def describe(self, request: Describe, /) -> Vaulted | MethodNotFound:
        """How a payment method stands now."""
        with self._asking() as stripe:
            return stripe.methods.describe(request)

    def detach(self, request: Detach, /) -> None:
        """Forget a payment method."""
        with self._asking() as stripe:
            stripe.methods.detach(request)

    def verify(self, request: Verify, /) -> Vaulted:
        """Confirm a US bank account with its small deposits."""
        with self._asking() as stripe:
            return stripe.methods.verify(request)

    def hosted_page(self, request: HostedPage, /) -> Page:
        """Stripe's own page for entering a payment method."""
        with self._asking() as stripe:
            return stripe.methods.hosted_page(request)

    def updates(self, since: datetime, /) -> Sequence[WebhookEvent]:
        """The methods that changed since, by Stripe's own list of events, which goes back 30 days."""
        from billcore_gateway_stripe.updates import updates

        with self._asking() as stripe:
            return updates(stripe.wire, since)

    def parse_webhook(self, request: WebhookRequest, /) -> Sequence[WebhookEvent]:
        """The events of a delivery whose signature, age, mode and account hold; it makes no call."""
        from billcore_gateway_stripe.webhooks import parse

        return parse(request, self._connected().wire.client, self._config)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            if self._connection is not None:
                self._connection.wire.close()
                self._connection = None

    @contextmanager
    def _asking(self) -> "Iterator[Connection]":
        connection = self._connected()
        with connection.wire.verb():
            yield connection

    def _connected(self) -> "Connection":
        """The client, made at the first call: importing the SDK takes a while."""
        connection = self._connection
        if connection is None:
            from billcore_gateway_stripe.connection import Connection

            with self._lock:
                connection = self._connection = self._connection or Connection(self._config)
        return connection
