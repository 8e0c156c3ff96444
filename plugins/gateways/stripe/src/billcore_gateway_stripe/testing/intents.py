"""PaymentIntents as a state machine: made, confirmed, authenticated, settled, captured, canceled."""

import re

from billcore_gateway_stripe.testing.methods import USED_UP, declined_as, method
from billcore_gateway_stripe.testing.problem import card_error, invalid, wrong_state
from billcore_gateway_stripe.testing.state import Record, State
from billcore_gateway_stripe.testing.tokens import Behaviour

_CURRENCY = re.compile(r"[a-z]{3}")
_LEAST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
_STEPS = {**dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10), "isk": 100, "ugx": 100}
_WAITING = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")


def create(state: State, params: Record, base_url: str) -> Record:
    """POST /v1/payment_intents."""
    amount, currency = int(params["amount"]), params["currency"]
    _check_amount(amount, currency)
    if params.get("customer"):
        state.get("cus", params["customer"], "customer")
    found = method(state, params["payment_method"]) if params.get("payment_method") else None
    _check_method(state, found, params.get("customer"))
    _check_redirects(params)
    intent = state.add(
        "pi",
        "payment_intent",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        automatic_payment_methods=params.get("automatic_payment_methods") or {"enabled": True},
        cancellation_reason=None,
        canceled_at=None,
        capture_method=params.get("capture_method", "automatic_async"),
        currency=currency,
        customer=params.get("customer"),
        description=params.get("description"),
        last_payment_error=None,
        latest_charge=None,
        metadata=params.get("metadata") or {},
        next_action=None,
        payment_method=found["id"] if found else None,
        statement_descriptor_suffix=params.get("statement_descriptor_suffix"),
        status="requires_confirmation" if found else "requires_payment_method",
    )
    intent["client_secret"] = f"{intent['id']}_secret_Fake"
    state.emit("payment_intent.created", intent)
    try:
        if params.get("confirm") == "true":
            confirm(state, intent, params, base_url)
    finally:
        state.index(intent)
    return intent


def confirm(state: State, intent: Record, params: Record, base_url: str) -> Record:
    """Try to take the money; raises the decline, with the intent in it."""
    if intent["status"] not in ("requires_payment_method", "requires_confirmation"):
        raise _unexpected(intent, "confirm")
    given = params.get("payment_method") or intent["payment_method"]
    if not given:
        raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.")
    found = state.get("pm", intent["payment_method"]) if given.startswith("pm_card_") else state.get("pm", given)
    _check_method(state, found, intent["customer"])
    behaviour = state.behaviours[found["id"]]
    intent["payment_method"], intent["last_payment_error"] = found["id"], None
    if found["customer"] is None:
        state.spent.add(found["id"])
    if behaviour.type == "us_bank_account":
        _debit(state, intent)
        return intent
    if behaviour.at_charge:
        fail(state, intent, behaviour.at_charge, behaviour.advice)
        raise _declined(intent)
    if _needs_customer(state, found, behaviour):
        _ask_customer(state, intent, params, base_url)
        return intent
    if intent["capture_method"] == "manual":
        intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
        state.emit("payment_intent.amount_capturable_updated", intent)
        return intent
    succeed(state, intent)
    return intent


def succeed(state: State, intent: Record, amount: int | None = None) -> None:
    """The money is there."""
    charge = _charge(state, intent, "succeeded", amount)
    intent["status"], intent["next_action"] = "succeeded", None
    intent["amount_capturable"], intent["amount_received"] = 0, charge["amount"]
    state.emit("charge.succeeded", charge)
    state.emit("payment_intent.succeeded", intent)


def fail(state: State, intent: Record, code: str, advice: str = "") -> None:
    """A bank said no."""
    charge = _charge(state, intent, "failed")
    error = {"type": "card_error", "message": f"Your payment was declined ({code}).", "charge": charge["id"]}
    found = state.get("pm", intent["payment_method"])
    if found["type"] == "us_bank_account":
        error |= {"code": code}
    elif code == "payment_intent_authentication_failure":
        error |= {"type": "invalid_request_error", "code": code}
    else:
        error |= declined_as(code, advice)
    intent["last_payment_error"] = error
    intent["status"], intent["next_action"] = "requires_payment_method", None
    state.emit("payment_intent.payment_failed", intent)


def authenticate(state: State, intent_id: str, *, granted: bool) -> Record:
    """The customer comes back from his bank's page."""
    intent = state.get("pi", intent_id, "intent")
    if intent["status"] != "requires_action":
        raise _unexpected(intent, "authenticate")
    if granted:
        state.prepared.add(intent["payment_method"])
        succeed(state, intent)
    else:
        fail(state, intent, "payment_intent_authentication_failure")
    return intent


def settle(state: State, intent_id: str, code: str) -> Record:
    """A debit that was under way ends: `code` is empty when the money came, else the bank's reason."""
    intent = state.get("pi", intent_id, "intent")
    if intent["status"] != "processing":
        raise _unexpected(intent, "settle")
    if code:
        fail(state, intent, code)
    else:
        succeed(state, intent)
    return intent


def cancel(state: State, intent_id: str, params: Record) -> Record:
    """POST /v1/payment_intents/ID/cancel."""
    intent = state.get("pi", intent_id, "intent")
    if intent["status"] not in _WAITING:
        raise _unexpected(intent, "cancel")
    intent |= {"status": "canceled", "canceled_at": state.clock.now(), "next_action": None}
    intent["cancellation_reason"] = params.get("cancellation_reason")
    state.emit("payment_intent.canceled", intent)
    return intent


def capture(state: State, intent_id: str, params: Record) -> Record:
    """POST /v1/payment_intents/ID/capture."""
    intent = state.get("pi", intent_id, "intent")
    if intent["status"] != "requires_capture":
        raise _unexpected(intent, "capture")
    succeed(state, intent, int(params.get("amount_to_capture") or intent["amount"]))
    return intent


def _check_amount(amount: int, currency: str) -> None:
    if not _CURRENCY.fullmatch(currency):
        raise invalid(f"Invalid currency: {currency}.", param="currency")
    if amount < _LEAST.get(currency, 1):
        raise invalid(f"Amount must be at least {_LEAST.get(currency, 1)}", code="amount_too_small", param="amount")
    if amount > 99_999_999:
        raise invalid("Amount must be no more than 999,999.99", code="amount_too_large", param="amount")
    if amount % _STEPS.get(currency, 1):
        raise invalid(f"Invalid amount: {currency} is taken in steps of {_STEPS[currency]}.", param="amount")


def _check_method(state: State, found: Record | None, customer: str | None) -> None:
    if found is None:
        return
    if found["id"] in state.spent:
        raise invalid(USED_UP)
    if found["customer"] and found["customer"] != customer:
        raise invalid(
            f"The PaymentMethod {found['id']} belongs to a customer; pass that customer.", param="payment_method"
        )
    if found["type"] == "us_bank_account" and found["id"] not in state.prepared:
        raise invalid("This account is not verified.", code="payment_method_unexpected_state", param="payment_method")


def _check_redirects(params: Record) -> None:
    automatic = params.get("automatic_payment_methods") or {}
    if params.get("confirm") == "true" and not params.get("return_url") and automatic.get("allow_redirects") != "never":
        raise invalid(
            "This PaymentIntent accepts payment methods that might redirect your customer, so it needs a `return_url`; "
            "or set `automatic_payment_methods[allow_redirects]` to `never`.",
            param="return_url",
        )


def _needs_customer(state: State, found: Record, behaviour: Behaviour) -> bool:
    if behaviour.authenticate == "always":
        return True
    return behaviour.authenticate == "unprepared" and found["id"] not in state.prepared


def _ask_customer(state: State, intent: Record, params: Record, base_url: str) -> None:
    off_session = params.get("off_session") in ("true", "one_off", "recurring")
    if off_session or params.get("error_on_requires_action") == "true":
        fail(state, intent, "authentication_required")
        raise _declined(intent)
    intent["status"] = "requires_action"
    if params.get("return_url"):
        url = f"{base_url}/_fake/bank/{intent['id']}"
        redirect = {"url": url, "return_url": params["return_url"]}
        intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": redirect}
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    state.emit("payment_intent.requires_action", intent)


def _debit(state: State, intent: Record) -> None:
    if intent["currency"] != "usd":
        raise invalid("This account is debited in usd only.", code="payment_method_currency_mismatch", param="currency")
    intent["status"] = "processing"
    intent["latest_charge"] = None
    state.emit("payment_intent.processing", intent)


def _charge(state: State, intent: Record, status: str, amount: int | None = None) -> Record:
    charge = state.add(
        "ch",
        "charge",
        amount=intent["amount"] if amount is None else amount,
        amount_refunded=0,
        currency=intent["currency"],
        customer=intent["customer"],
        metadata=dict(intent["metadata"]),
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
        refunded=False,
        disputed=False,
        status=status,
    )
    intent["latest_charge"] = charge["id"]
    return charge


def _declined(intent: Record) -> Exception:
    error = dict(intent["last_payment_error"])
    error.pop("type")
    return card_error(error.pop("message"), code=error.pop("code"), payment_intent=dict(intent), **error)


def _unexpected(intent: Record, verb: str) -> Exception:
    message = f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}."
    return wrong_state(message, "payment_intent_unexpected_state")
