"""Refunds, which may be pending and may fail after they succeeded, and disputes."""

from billcore_gateway_stripe.testing.problem import ApiProblem, invalid
from billcore_gateway_stripe.testing.state import Record, State


def create(state: State, params: Record) -> Record:
    """POST /v1/refunds."""
    charge = _charge(state, params)
    left = charge["amount"] - charge["amount_refunded"]
    if charge["disputed"]:
        raise _refused(f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge_disputed")
    if left <= 0:
        raise _refused(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
    amount = int(params.get("amount", left))
    if amount > left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")
    if amount <= 0:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    behaviour = state.behaviours[charge["payment_method"]]
    status = "succeeded" if behaviour.refund in ("succeeded", "failing") else "pending"
    refund = state.add(
        "re",
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        failure_reason=None,
        metadata=params.get("metadata") or {},
        payment_intent=charge["payment_intent"],
        reason=params.get("reason"),
        status=status,
    )
    _returned(charge, amount)
    state.emit("refund.created", refund)
    state.emit("charge.refunded", charge)
    return refund


def settle(state: State, refund_id: str, status: str, reason: str = "") -> Record:
    """A refund ends otherwise than it seemed: `failed` gives the money back to the merchant."""
    refund = state.get("re", refund_id, "id")
    before = {"status": refund["status"]}
    if refund["status"] in ("failed", "canceled"):
        raise invalid(f"The refund is {refund['status']}.")
    refund["status"] = status
    if status in ("failed", "canceled"):
        refund["failure_reason"] = reason or "unknown"
        _returned(state.get("ch", refund["charge"]), -refund["amount"])
    state.emit("refund.failed" if status == "failed" else "refund.updated", refund, before)
    return refund


def dispute(state: State, intent_id: str, status: str) -> Record:
    """The customer's bank takes a payment back: needs_response first, then won or lost."""
    charge = state.get("ch", state.get("pi", intent_id, "intent")["latest_charge"])
    known = next((one for one in state.all("disputes") if one["charge"] == charge["id"]), None)
    if known is None:
        known = state.add(
            "dp",
            "dispute",
            amount=charge["amount"],
            charge=charge["id"],
            currency=charge["currency"],
            payment_intent=intent_id,
            reason="fraudulent",
            status=status,
        )
        charge["disputed"] = True
        state.emit("charge.dispute.created", known)
        state.emit("charge.dispute.funds_withdrawn", known)
        return known
    before, known["status"] = {"status": known["status"]}, status
    if status == "won":
        charge["disputed"] = False
        state.emit("charge.dispute.funds_reinstated", known, before)
    state.emit("charge.dispute.closed" if status in ("won", "lost") else "charge.dispute.updated", known, before)
    return known


def _charge(state: State, params: Record) -> Record:
    if params.get("payment_intent"):
        intent = state.get("pi", params["payment_intent"], "payment_intent")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise _refused(message, "payment_intent_unexpected_state")
        return state.get("ch", intent["latest_charge"])
    return state.get("ch", params.get("charge", ""), "charge")


def _returned(charge: Record, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]


def _refused(message: str, code: str) -> ApiProblem:
    return invalid(message, code=code)
