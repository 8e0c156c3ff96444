"""Charges, refunds and cancellations: what is sent, and what is made of Stripe's refusals (behaviour 9.2, 9.6)."""

from typing import TYPE_CHECKING

from billcore.plugins.gateway import (
    Answer,
    AttemptNotFound,
    Cancel,
    Charge,
    DeclineCode,
    Lookup,
    Outcome,
    Refund,
    declined,
)
from billcore_gateway_stripe.config import Config
from billcore_gateway_stripe.declines import decline_code, decline_of, is_decline
from billcore_gateway_stripe.finder import Finder
from billcore_gateway_stripe.outcomes import intent_outcome, refund_outcome
from billcore_gateway_stripe.plain import Plain, number, part, text
from billcore_gateway_stripe.refused import Question, Refused, failure_of, unknown_of
from billcore_gateway_stripe.units import to_units
from billcore_gateway_stripe.wire import Wire

if TYPE_CHECKING:
    from stripe.params import PaymentIntentConfirmParams, PaymentIntentCreateParams, RefundCreateParams

LONGEST_DESCRIPTION = 1000
METADATA = (50, 40, 500)
"""Of an object's metadata: how many, the longest name, the longest value."""

_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
_NO_LONGER_USABLE = "may not be used again"
_CANNOT_BE_REFUNDED = frozenset(
    {
        "amount_too_large",
        "charge_already_refunded",
        "charge_disputed",
        "charge_not_refundable",
        "payment_intent_unexpected_state",
        "refund_disputed_payment",
    }
)
_ENDED = frozenset({"succeeded", "canceled"})


class Charges:
    """The verbs about attempts."""

    def __init__(self, wire: Wire, config: Config) -> None:
        self._wire = wire
        self._config = config
        self._finder = Finder(wire)

    def charge(self, request: Charge) -> Outcome:
        """Make and confirm a PaymentIntent in one call, under the stored key."""
        params = self._params(request, to_units(request.amount))
        question = Question(f"the charge {request.attempt_id}", request.attempt_id)
        reply = self._wire.ask(
            question, lambda c: c.v1.payment_intents.create(params, {"idempotency_key": request.idempotency_key})
        )
        if not isinstance(reply, Refused):
            return intent_outcome(self._present(question, reply))
        if reply.kind == "declined" or (reply.kind == "invalid" and is_decline(reply.error)):
            return self._declined(request, reply, question)
        if reply.kind == "key_reused" or (reply.kind == "broken" and reply.replayed):
            return self._made_before(request, reply, question)
        if reply.is_missing("payment_method", "customer") or _is_dead(reply):
            return declined(DeclineCode.METHOD_UNKNOWN, reply.message)
        raise failure_of(reply, question)

    def refund(self, request: Refund) -> Outcome:
        """Give back a part of a charge, or all of it, under the stored key."""
        params: RefundCreateParams = {
            "amount": to_units(request.amount),
            "metadata": {"attempt_id": request.attempt_id},
        }
        if request.gateway_id.startswith("pi_"):
            params["payment_intent"] = request.gateway_id
        else:
            params["charge"] = request.gateway_id
        if request.reason in _REASONS:
            params["reason"] = request.reason
        elif request.reason:
            params["metadata"] = {"attempt_id": request.attempt_id, "reason": request.reason[: METADATA[2]]}
        question = Question(f"the refund {request.attempt_id}", request.attempt_id)
        reply = self._wire.ask(
            question, lambda c: c.v1.refunds.create(params, {"idempotency_key": request.idempotency_key})
        )
        if not isinstance(reply, Refused):
            return refund_outcome(self._present(question, reply))
        if reply.kind == "key_reused" or (reply.kind == "broken" and reply.replayed):
            return self._refunded_before(request, reply, question)
        if reply.kind == "declined":
            return decline_of(reply.error, "")
        if reply.code in {"balance_insufficient", "insufficient_funds"}:
            return declined(DeclineCode.INSUFFICIENT_FUNDS, reply.message)
        if reply.kind == "invalid" and (
            reply.code in _CANNOT_BE_REFUNDED
            or reply.param == "amount"
            or reply.is_missing("payment_intent", "charge", "id")
        ):
            return declined(DeclineCode.TRANSACTION_NOT_ALLOWED, reply.message)
        raise failure_of(reply, question)

    def lookup(self, request: Lookup) -> Answer:
        """What became of a charge or a refund."""
        if request.verb == "refund":
            refund = self._finder.refund(request)
            return AttemptNotFound(request.attempt_id) if refund is None else refund_outcome(refund)
        intent = self._finder.intent(request) if request.verb == "charge" else None
        return AttemptNotFound(request.attempt_id) if intent is None else intent_outcome(intent)

    def cancel(self, request: Cancel) -> Answer:
        """Cancel the PaymentIntent, unless it has ended already."""
        intent = self._finder.intent(request)
        if intent is None:
            return AttemptNotFound(request.attempt_id)
        if text(intent, "status") in _ENDED:
            return intent_outcome(intent)
        gateway_id = text(intent, "id")
        question = Question(f"the cancellation of {request.attempt_id}", request.attempt_id)
        reply = self._wire.ask(question, lambda c: c.v1.payment_intents.cancel(gateway_id))
        if not isinstance(reply, Refused):
            return intent_outcome(reply)
        if reply.code == "payment_intent_unexpected_state":
            return intent_outcome(self._wire.get(question, lambda c: c.v1.payment_intents.retrieve(gateway_id)))
        raise failure_of(reply, question)

    def _present(self, question: Question, reply: Plain) -> Plain:
        """An object as it is now: the stored answer to an earlier call with the same key tells how it was then."""
        if not self._wire.replayed:
            return reply
        gateway_id = text(reply, "id")
        if text(reply, "object") == "refund":
            return self._wire.get(question, lambda c: c.v1.refunds.retrieve(gateway_id))
        return self._wire.get(question, lambda c: c.v1.payment_intents.retrieve(gateway_id))

    def _params(self, request: Charge, units: int) -> "PaymentIntentCreateParams":
        params: PaymentIntentCreateParams = {
            "amount": units,
            "currency": request.amount.currency.lower(),
            "payment_method": request.gateway_method,
            "confirm": True,
            "metadata": metadata(request),
        }
        if request.gateway_customer:
            params["customer"] = request.gateway_customer
        if request.description:
            params["description"] = request.description[:LONGEST_DESCRIPTION]
        if self._config.statement_suffix:
            params["statement_descriptor_suffix"] = self._config.statement_suffix
        if not request.on_session:
            params["off_session"] = True
        if self._config.return_url:
            params["automatic_payment_methods"] = {"enabled": True}
            params["return_url"] = self._config.return_url
        else:
            # Nobody could come back from a bank's page, so a payment must not wait for one.
            params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
            params["error_on_requires_action"] = True
        return params

    def _declined(self, request: Charge, refused: Refused, question: Question) -> Outcome:
        gateway_id = text(part(refused.error, "payment_intent"), "id")
        code = decline_code(refused.code, text(refused.error, "decline_code"))
        wanted = code is DeclineCode.AUTHENTICATION_REQUIRED and not request.on_session
        if wanted and gateway_id and self._config.return_url:
            return self._on_session(request, gateway_id, question)
        return decline_of(refused.error, gateway_id)

    def _on_session(self, request: Charge, gateway_id: str, question: Question) -> Outcome:
        """Confirm the same PaymentIntent as if the customer were there, which gives the page of his bank."""
        params: PaymentIntentConfirmParams = {
            "payment_method": request.gateway_method,
            "return_url": self._config.return_url,
        }
        key = f"{request.idempotency_key}:on_session"
        reply = self._wire.ask(
            question, lambda c: c.v1.payment_intents.confirm(gateway_id, params, {"idempotency_key": key})
        )
        if not isinstance(reply, Refused):
            return intent_outcome(self._present(question, reply))
        if reply.kind == "declined":
            return decline_of(reply.error, gateway_id)
        if reply.code == "payment_intent_unexpected_state":
            return intent_outcome(self._wire.get(question, lambda c: c.v1.payment_intents.retrieve(gateway_id)))
        # The intent is there: whatever is wrong with this call, the attempt is not unmade by it.
        raise unknown_of(reply, question)

    def _made_before(self, request: Charge, refused: Refused, question: Question) -> Outcome:
        """The key was used before, and its stored answer says nothing: the attempt itself does."""
        intent = self._finder.intent(
            Lookup(request.attempt_id, request.amount, gateway_customer=request.gateway_customer)
        )
        if intent is None or not _is_over(intent, to_units(request.amount), request.amount.currency):
            raise failure_of(refused, question)
        return intent_outcome(intent)

    def _refunded_before(self, request: Refund, refused: Refused, question: Question) -> Outcome:
        refund = self._finder.refund(Lookup(request.attempt_id, request.amount, "refund", of=request.gateway_id))
        if refund is None or not _is_over(refund, to_units(request.amount), request.amount.currency):
            raise failure_of(refused, question)
        return refund_outcome(refund)


def metadata(request: Charge) -> dict[str, str]:
    """What is stored with a charge: our ids, by which it is found, then the caller's own as far as it fits."""
    most, name_length, length = METADATA
    own = {"attempt_id": request.attempt_id, "invoice_id": request.invoice_id, "customer_id": request.customer_id}
    others = {
        name: value[:length]
        for name, value in request.metadata.items()
        if name not in own and 0 < len(name) <= name_length and not set("[]") & set(name)
    }
    return {name: value for name, value in [*own.items(), *others.items()][:most] if value}


def _is_dead(refused: Refused) -> bool:
    """Whether a method cannot be charged any more; Stripe tells it of some without a code."""
    gone = refused.code == "payment_method_unexpected_state" or _NO_LONGER_USABLE in refused.message
    detached = refused.param == "payment_method" and not refused.code
    return refused.kind == "invalid" and (gone or detached)


def _is_over(found: Plain, units: int, currency: str) -> bool:
    return number(found, "amount") == units and text(found, "currency") == currency.lower()
