"""Webhooks as a provider sends them: signed, and late, doubled, out of order, altered, forged or stale."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import permutations

from attrs import evolve

from billcore.plugins.gateway import MAX_AGE_S, Charge, Outcome, WebhookRequest


class WebhookSender(ABC):
    """How a provider sends webhooks: subclass it with the provider's signature and bodies.

    `signs_time` says whether the signature holds the time it was made; `previous_secret` is the secret before this
    one, where the gateway under test accepts both.
    """

    signs_time = True
    previous_secret: str | None = None

    @abstractmethod
    def sign(self, body: bytes, at: datetime, secret: str | None = None) -> Mapping[str, str]:
        """The headers of a delivery of `body` signed at `at`, with the provider's secret or the one given."""

    @abstractmethod
    def charge_body(self, charge: Charge, outcome: Outcome) -> bytes:
        """The body of the provider's event that `charge` came out as `outcome`; another event at each call."""

    @abstractmethod
    def other_body(self) -> bytes:
        """The body of an event that means nothing to billing, such as one about a payout."""

    def deliver(self, body: bytes, at: datetime) -> WebhookRequest:
        """A delivery that arrives as soon as it is signed."""
        return WebhookRequest(self.sign(body, at), body, at)

    def late(self, body: bytes, at: datetime, after: timedelta) -> WebhookRequest:
        """A delivery that is tried again `after`, and signed anew, as providers do."""
        return self.deliver(body, at + after)

    def stale(self, body: bytes, at: datetime, by_s: int = MAX_AGE_S + 60) -> WebhookRequest:
        """A delivery that was signed long ago and is played again."""
        return WebhookRequest(self.sign(body, at - timedelta(seconds=by_s)), body, at)

    def from_the_future(self, body: bytes, at: datetime, by_s: int = MAX_AGE_S + 60) -> WebhookRequest:
        """A delivery whose signature is of later than now."""
        return self.stale(body, at, -by_s)

    def altered(self, body: bytes, at: datetime) -> WebhookRequest:
        """A delivery whose body was changed after it was signed."""
        return evolve(self.deliver(body, at), body=body + b" ")

    def unsigned(self, body: bytes, at: datetime) -> WebhookRequest:
        """A delivery without any header."""
        return WebhookRequest({}, body, at)

    def forged(self, body: bytes, at: datetime) -> WebhookRequest:
        """A delivery signed by somebody who does not know the secret."""
        return WebhookRequest(self.sign(body, at, "a_secret_of_somebody_else"), body, at)

    def doubled(self, bodies: Sequence[bytes], at: datetime) -> list[WebhookRequest]:
        """Every body twice, each signed for itself."""
        return [self.deliver(body, at) for body in bodies for _ in range(2)]

    def every_order(self, bodies: Sequence[bytes], at: datetime) -> list[list[WebhookRequest]]:
        """The bodies in every order there is."""
        return [[self.deliver(body, at) for body in order] for order in permutations(bodies)]
