"""PaymentIntents and refunds of Stripe's as outcomes. A status that is new to us is pending (behaviour 9.2)."""

from billcore.plugins.gateway import (
    ActionRequired,
    Approved,
    DeclineCode,
    GatewayUnknown,
    Outcome,
    Pending,
    declined,
)
from billcore_gateway_stripe.declines import decline_of, refund_decline
from billcore_gateway_stripe.plain import Plain, number, part, text
from billcore_gateway_stripe.units import to_minor


def intent_outcome(intent: Plain) -> Outcome:
    """What a PaymentIntent says of its charge; raises GatewayUnknown when it is none."""
    gateway_id, status = _identity(intent, "payment_intent")
    if status == "succeeded":
        return _approved(intent, gateway_id, "amount_received")
    if status == "canceled":
        reason = text(intent, "cancellation_reason") or "no reason given"
        return declined(DeclineCode.CANCELED, f"The payment was canceled: {reason}.", gateway_id=gateway_id)
    if status == "requires_action":
        url = action_url(intent)
        return ActionRequired(gateway_id, url) if url else Pending(gateway_id)
    error = part(intent, "last_payment_error")
    if status == "requires_payment_method" and error:
        return decline_of(error, gateway_id)
    # Without an error it has not been tried to the end: Stripe may be talking to the bank at this moment.
    return Pending(gateway_id)


def refund_outcome(refund: Plain) -> Outcome:
    """What a refund says of itself; raises GatewayUnknown when it is none."""
    gateway_id, status = _identity(refund, "refund")
    if status == "succeeded":
        return _approved(refund, gateway_id, "amount")
    if status == "failed":
        return refund_decline(text(refund, "failure_reason"), gateway_id)
    if status == "canceled":
        return declined(DeclineCode.CANCELED, "The refund was canceled.", gateway_id=gateway_id)
    return Pending(gateway_id)


def action_url(intent: Plain) -> str:
    """The page where the customer goes on: a bank's, a voucher's, the verification of an account; "" for none."""
    action = part(intent, "next_action")
    details = part(action, text(action, "type"))
    links = [text(details, "url")]
    links += [text(details, name) for name in sorted(details) if name.startswith("hosted_") and name.endswith("_url")]
    return next((link for link in links if link.startswith(("https://", "http://"))), "")


def _identity(of: Plain, kind: str) -> tuple[str, str]:
    gateway_id, status = text(of, "id"), text(of, "status")
    if text(of, "object") != kind or not gateway_id or not status:
        raise GatewayUnknown(
            f"Stripe answered with something that is no {kind.replace('_', ' ')}.",
            remedy="What became of it is asked for again.",
        )
    return gateway_id, status


def _approved(of: Plain, gateway_id: str, field: str) -> Approved:
    units, currency = number(of, field), text(of, "currency").upper()
    if units is None or not currency:
        raise GatewayUnknown(
            f"Stripe's {gateway_id} succeeded without an amount.", remedy="What became of it is asked for again."
        )
    return Approved(gateway_id, to_minor(units, currency), currency)
