"""What a provider tells by webhook: verified, then taken as pointers to what is asked for again (behaviour 9.3)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import field, frozen
from attrs.validators import instance_of

from billcore.errors import PluginError
from billcore.plugins.config import Secret

MAX_AGE_S = 300
"""How far a signature's time may be from ours, in both directions."""

MAX_BODY = 1 << 20
"""Bytes of a body that are looked at; a longer one is refused before its signature is computed."""


def _lower(headers: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name.lower(): value for name, value in headers.items()})


@frozen
class WebhookRequest:
    """One delivery as it arrived: header names in lower case, the body's raw bytes, and when it came."""

    headers: Mapping[str, str] = field(converter=_lower)
    body: bytes = field(validator=instance_of(bytes))
    received_at: datetime


class WebhookKind(StrEnum):
    """What an event is about. What it says is never believed: its subject is asked for again."""

    ATTEMPT = "attempt"
    METHOD = "method"
    DISPUTE = "dispute"
    OTHER = "other"


@frozen
class WebhookEvent:
    """One thing that happened at the provider.

    `key` is the provider's id of the event, or what makes it unique. ATTEMPT: `attempt_id` is ours where the provider
    kept it, `gateway_id` its own id of the charge or refund, `of` the charge that a refund belongs to. METHOD:
    `token` and, where known, our `customer_id`. `text` is the provider's name of the event, for people.
    """

    key: str
    kind: WebhookKind
    text: str = ""
    attempt_id: str = ""
    gateway_id: str = ""
    of: str = ""
    token: str = ""
    customer_id: str = ""
    gateway_customer: str = ""


class WebhookRejected(PluginError):
    """A delivery that is not to be believed: unsigned, altered, too old, from another account. It says no more."""

    def __init__(self, message: str = "The webhook's signature does not hold.", *, remedy: str = "") -> None:
        super().__init__("webhook_rejected", message, remedy=remedy)


def verify_hmac_sha256(secrets: Secret | tuple[Secret, ...], signed: bytes, signature: str) -> None:
    """Check a hexadecimal HMAC-SHA256 against several active secrets, in constant time. Raises WebhookRejected."""
    known = secrets if isinstance(secrets, tuple) else (secrets,)
    given = signature.encode(errors="replace")
    matches = [
        hmac.compare_digest(hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest().encode(), given)
        for secret in known
        if secret
    ]
    if not any(matches):
        raise WebhookRejected


def verify_age(signed_at: int, received_at: datetime, max_age_s: int = MAX_AGE_S) -> None:
    """Check the time of a signature, in seconds since 1970, against when it arrived. Raises WebhookRejected."""
    if abs(int(received_at.timestamp()) - signed_at) > max_age_s:
        raise WebhookRejected("The webhook's signature is too old, or from the future.")
