"""What the test gateway tells by webhook: bodies of events, their signatures, and how they are read again."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from billcore.plugins.gateway import (
    Secret,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    verify_age,
    verify_hmac_sha256,
)
from billcore_gateway_test.book import Book, Entry
from billcore_gateway_test.method import Method

HEADER = "Test-Signature"


def sign(secret: Secret, body: bytes, at: datetime) -> Mapping[str, str]:
    """The headers of a delivery: `t=SECONDS,v1=HMAC-SHA256 of "SECONDS.BODY"`."""
    seconds = int(at.timestamp())
    signature = hmac.new(secret.reveal().encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return {HEADER: f"t={seconds},v1={signature.hexdigest()}", "Content-Type": "application/json"}


def parse(request: WebhookRequest, secrets: tuple[Secret, ...]) -> list[WebhookEvent]:
    """Verify a delivery and read its event; raises WebhookRejected."""
    parts = dict(part.partition("=")[::2] for part in request.headers.get(HEADER.lower(), "").split(","))
    seconds, signature = parts.get("t", ""), parts.get("v1", "")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 12):
        raise WebhookRejected
    verify_hmac_sha256(secrets, f"{seconds}.".encode() + request.body, signature)
    verify_age(int(seconds), request.received_at)
    told = json.loads(request.body)
    family = told["type"].partition(".")[0]
    if family not in ("charge", "refund", "void", "capture", "method"):
        return []
    kind = WebhookKind.METHOD if family == "method" else WebhookKind.ATTEMPT
    about = {name: told[name] for name in ("attempt_id", "gateway_id", "of", "token", "customer_id") if name in told}
    return [WebhookEvent(told["id"], kind, told["type"], gateway_customer=told.get("gateway_customer", ""), **about)]


def bodies(changes: Sequence[Entry | Method], start: int = 0) -> tuple[bytes, ...]:
    """The events of a book's changes, the first of which is its `start`th; requests that never arrived tell nothing."""
    numbered = enumerate(changes, start + 1)
    return tuple(
        _body(number, change)
        for number, change in numbered
        if not (isinstance(change, Entry) and change.state == "lost")
    )


class Teller:
    """Hands events to a listener as soon as they happen, which is before the verb that made them answers."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._lock = Lock()
        self._told = 0
        self._listener: Callable[[bytes], object] | None = None

    def listen(self, listener: Callable[[bytes], object] | None) -> None:
        """Tell what happens from now on."""
        with self._lock:
            self._told = len(self._book.changes())
            self._listener = listener

    def tell(self) -> None:
        """Tell what happened since the last time."""
        listener = self._listener
        if listener is None:
            return
        with self._lock:
            changes, start = self._book.changes(self._told), self._told
            self._told += len(changes)
        for body in bodies(changes, start):
            listener(body)


def _body(number: int, change: Entry | Method) -> bytes:
    told: dict[str, str] = {"id": f"evt_{number}"}
    if isinstance(change, Method):
        told |= {
            "type": f"method.{change.status}",
            "token": change.token,
            "customer_id": change.customer_id,
            "gateway_customer": change.gateway_customer,
        }
    else:
        told |= {"type": f"{change.verb}.{change.state}", "attempt_id": change.attempt_id}
        told |= {"gateway_id": change.gateway_id, "of": f"test_{change.of}" if change.of else ""}
    return json.dumps(told).encode()
