"""Stripe's webhooks: signature, age, mode and account are checked, then an event is a pointer to what it is about.

What the object in an event says is never taken for its state: deliveries are late, doubled and out of order.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import stripe

from billcore.plugins.gateway import (
    MAX_BODY,
    Secret,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    verify_age,
)
from billcore_gateway_stripe.config import Config
from billcore_gateway_stripe.plain import Plain, ours, part, reference, text

EVENTS = (
    "payment_intent.processing",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "setup_intent.succeeded",
    "setup_intent.setup_failed",
    "setup_intent.requires_action",
    "setup_intent.canceled",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    "mandate.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
"""What an endpoint at Stripe should be subscribed to."""

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


def parse(request: WebhookRequest, client: stripe.StripeClient, config: Config) -> tuple[WebhookEvent, ...]:
    """The events of a delivery, none for kinds that mean nothing here; raises WebhookRejected."""
    if len(request.body) > MAX_BODY:
        raise WebhookRejected(f"The webhook's body is longer than {MAX_BODY} bytes.")
    if not config.webhook_secrets:
        raise WebhookRejected(
            "No signing secret is configured, so no webhook of Stripe's can be believed.",
            remedy="Set webhook_secrets to the signing secret of the endpoint, whsec_…",
        )
    header = request.headers.get("stripe-signature", "")
    event = next((one for one in (_signed(client, request, header, s) for s in config.webhook_secrets) if one), None)
    if event is None:
        raise WebhookRejected
    verify_age(_signed_at(header), request.received_at)
    if text(event, "account") != config.account:
        raise WebhookRejected("The webhook comes from another account.")
    if event.get("livemode") is not config.live:
        raise WebhookRejected("The webhook comes from the other of Stripe's two modes, live and test.")
    about = read(event)
    return () if about is None else (about,)


def _signed(client: stripe.StripeClient, request: WebhookRequest, header: str, secret: Secret) -> Plain | None:
    """The event when the signature holds with this secret. How old it is is asked of the clock of its arrival."""
    try:
        return client.construct_event(request.body, header, secret.reveal(), tolerance=0).to_dict()
    except Exception:  # noqa: BLE001  a stranger's bytes may make it raise anything
        return None


def _signed_at(header: str) -> int:
    """The time in a signature: its first `t`, as the SDK takes it, so that a second one changes nothing."""
    times = [item.split("=", 1)[1] for item in header.split(",") if item.startswith("t=")]
    if not times or not _SECONDS.fullmatch(times[0]):
        raise WebhookRejected
    return int(times[0])


def read(event: Plain) -> WebhookEvent | None:
    """What an event of Stripe's is about, None for one that means nothing here."""
    name, key = text(event, "type"), text(event, "id")
    subject = part(part(event, "data"), "object")
    family = name.rpartition(".")[0]
    if not key or not subject or name not in EVENTS:
        return None
    return _READERS[family](key, name, subject, event)


def _intent(key: str, name: str, intent: Plain, _: Plain) -> WebhookEvent | None:
    attempt_id = ours(intent, "attempt_id")
    if not attempt_id:
        return None  # A payment of somebody else's in the same account.
    return WebhookEvent(
        key,
        WebhookKind.ATTEMPT,
        name,
        attempt_id=attempt_id,
        gateway_id=text(intent, "id"),
        customer_id=ours(intent, "customer_id"),
        gateway_customer=reference(intent, "customer"),
    )


def _refund(key: str, name: str, refund: Plain, _: Plain) -> WebhookEvent:
    """Also a refund that somebody made in Stripe's dashboard, which carries no id of ours."""
    return WebhookEvent(
        key,
        WebhookKind.ATTEMPT,
        name,
        attempt_id=ours(refund, "attempt_id"),
        gateway_id=text(refund, "id"),
        of=reference(refund, "payment_intent") or reference(refund, "charge"),
    )


def _dispute(key: str, name: str, dispute: Plain, _: Plain) -> WebhookEvent:
    return WebhookEvent(
        key,
        WebhookKind.DISPUTE,
        name,
        gateway_id=text(dispute, "id"),
        of=reference(dispute, "payment_intent") or reference(dispute, "charge"),
    )


def _setup(key: str, name: str, setup: Plain, _: Plain) -> WebhookEvent | None:
    token = reference(setup, "payment_method") or text(part(part(setup, "last_setup_error"), "payment_method"), "id")
    if not token:
        return None
    return WebhookEvent(
        key,
        WebhookKind.METHOD,
        name,
        token=token,
        customer_id=ours(setup, "customer_id"),
        gateway_customer=reference(setup, "customer"),
    )


def _method(key: str, name: str, method: Plain, event: Plain) -> WebhookEvent:
    before = part(part(event, "data"), "previous_attributes")
    customer = reference(method, "customer") or reference(before, "customer")
    return WebhookEvent(key, WebhookKind.METHOD, name, token=text(method, "id"), gateway_customer=customer)


def _mandate(key: str, name: str, mandate: Plain, _: Plain) -> WebhookEvent | None:
    token = reference(mandate, "payment_method")
    return WebhookEvent(key, WebhookKind.METHOD, name, token=token) if token else None


_READERS: Mapping[str, Callable[[str, str, Plain, Plain], WebhookEvent | None]] = MappingProxyType(
    {
        "payment_intent": _intent,
        "refund": _refund,
        "setup_intent": _setup,
        "payment_method": _method,
        "mandate": _mandate,
        "charge.dispute": _dispute,
    }
)
