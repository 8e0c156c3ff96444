"""Customers, payment methods, setups and the hosted page, as the fake keeps them."""

from typing import Any

from billcore_gateway_stripe.testing.problem import card_error, invalid, missing, wrong_state
from billcore_gateway_stripe.testing.state import Record, State
from billcore_gateway_stripe.testing.tokens import ACCOUNTS, Behaviour, card

USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use "
    "a PaymentMethod multiple times, you must attach it to a Customer first."
)
DEPOSITS, CODE = ["32", "45"], "SM11AA"
TRIES = 3
_VERIFICATION = "payment_method_microdeposit_verification"


def create_customer(state: State, params: Record) -> Record:
    """POST /v1/customers."""
    fields = {name: params.get(name) for name in ("name", "email", "description")}
    made = state.add("cus", "customer", metadata=params.get("metadata") or {}, **fields)
    state.index(made)
    state.emit("customer.created", made)
    return made


def update_customer(state: State, customer_id: str, params: Record) -> Record:
    """POST /v1/customers/ID."""
    customer = state.get("cus", customer_id)
    customer["metadata"] |= params.pop("metadata", None) or {}
    customer.update({name: value for name, value in params.items() if name in customer})
    state.emit("customer.updated", customer)
    return customer


def create_method(state: State, params: Record) -> Record:
    """POST /v1/payment_methods: a card by its test token, a bank account by its number."""
    kind, details = params.get("type", ""), params.get(params.get("type", ""), {})
    if kind == "card":
        behaviour = card(details.get("token", ""))
        if behaviour is None:
            raise invalid("This fake takes cards by their test tokens only, as card[token]=tok_visa.", param="card")
    elif kind == "us_bank_account":
        behaviour = ACCOUNTS.get(details.get("account_number", ""))
        if behaviour is None:
            raise invalid("You must use a test bank account number in test mode.", param="us_bank_account")
    else:
        raise invalid(f"This fake keeps no payment methods of the type {kind!r}.", param="type")
    return new_method(state, behaviour)


def new_method(state: State, behaviour: Behaviour) -> Record:
    """A payment method that behaves so."""
    details: dict[str, Any] = {"last4": behaviour.last4, "fingerprint": f"Fp{behaviour.brand[:4]}X{behaviour.last4}"}
    if behaviour.type == "card":
        details |= {"brand": behaviour.brand, "exp_month": 12, "exp_year": 2034, "funding": "credit", "wallet": None}
    else:
        details |= {"bank_name": behaviour.brand, "account_type": "checking", "status_details": {}}
    made = state.add("pm", "payment_method", type=behaviour.type, customer=None, metadata={}, billing_details={})
    made[behaviour.type] = details
    state.behaviours[made["id"]] = behaviour
    return made


def method(state: State, given: str, param: str = "payment_method") -> Record:
    """The payment method with this id; a test token stands for a fresh one of its kind."""
    behaviour = card(given) if given.startswith("pm_card_") else None
    return new_method(state, behaviour) if behaviour else state.get("pm", given, param)


def shown_method(state: State, given: str) -> Record:
    """GET /v1/payment_methods/ID, which makes none of a test token."""
    if given.startswith("pm_card_") and card(given):
        made = method(state, given)
        state.objects["payment_methods"].pop(made["id"])
        return {**made, "id": given}
    return state.get("pm", given, "payment_method")


def attach(state: State, given: str, params: Record) -> Record:
    """POST /v1/payment_methods/ID/attach: the card is tried with its bank first."""
    found = method(state, given)
    customer = state.get("cus", params["customer"], "customer")
    if found["id"] in state.spent:
        raise invalid(USED_UP)
    if found["customer"] not in (None, customer["id"]):
        raise invalid("The payment method you provided has already been attached to a customer.")
    behaviour = state.behaviours[found["id"]]
    if behaviour.type != "card":
        raise invalid(
            "Bank accounts must be verified with a SetupIntent before they can be attached.",
            code="payment_method_unexpected_state",
        )
    if behaviour.at_attach:
        raise card_error("Your card was declined.", **declined_as(behaviour.at_attach, behaviour.advice))
    _attached(state, found, customer["id"])
    return found


def detach(state: State, given: str) -> Record:
    """POST /v1/payment_methods/ID/detach; it cannot be used again."""
    found = state.get("pm", given, "payment_method")
    if found["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    before, found["customer"] = found["customer"], None
    state.spent.add(found["id"])
    state.emit("payment_method.detached", found, {"customer": before})
    return found


def update_card(state: State, given: str, **fields: object) -> Record:
    """The card's network sends a new number or expiry: nobody asked."""
    found = state.get("pm", given, "payment_method")
    before = {name: found["card"][name] for name in fields}
    found["card"] |= fields
    state.emit("payment_method.automatically_updated", found, {"card": before})
    return found


def create_setup(state: State, params: Record) -> Record:
    """POST /v1/setup_intents."""
    allowed = params.get("allowed_payment_method_types")
    setup = state.add(
        "seti",
        "setup_intent",
        customer=params.get("customer"),
        payment_method=params.get("payment_method"),
        payment_method_types=allowed or ["card", "us_bank_account"],
        usage=params.get("usage", "off_session"),
        metadata=params.get("metadata") or {},
        status="requires_payment_method",
        next_action=None,
        mandate=None,
        last_setup_error=None,
        cancellation_reason=None,
    )
    setup["client_secret"] = f"{setup['id']}_secret_Fake"
    if setup["payment_method"]:
        setup["payment_method"] = method(state, setup["payment_method"])["id"]
        setup["status"] = "requires_confirmation"
    if params.get("confirm") == "true":
        confirm_setup(state, setup, params)
    return setup


def confirm_setup(state: State, setup: Record, params: Record) -> None:
    """Set the method up: a card at once, a bank account by deposits unless it is verified."""
    found = state.get("pm", setup["payment_method"] or "", "payment_method")
    behaviour = state.behaviours[found["id"]]
    if found["id"] in state.spent:
        raise invalid(USED_UP)
    if behaviour.type not in setup["payment_method_types"]:
        raise invalid(f"The type {behaviour.type} is not allowed here.", param="payment_method")
    if behaviour.type == "us_bank_account":
        if not params.get("mandate_data"):
            raise invalid("A mandate is needed to debit an account: pass mandate_data.", param="mandate_data")
        if not behaviour.verified:
            setup["status"] = "requires_action"
            setup["next_action"] = {
                "type": "verify_with_microdeposits",
                "verify_with_microdeposits": {
                    "arrival_date": state.clock.now() + 2 * 86_400,
                    "hosted_verification_url": f"https://payments.stripe.example/microdeposit/{setup['id']}",
                    "microdeposit_type": "amounts",
                },
            }
            state.emit("setup_intent.requires_action", setup)
            return
    elif behaviour.at_attach:
        setup["status"] = "requires_payment_method"
        error = {"type": "card_error", "message": "Your card was declined."}
        setup["last_setup_error"] = error | declined_as(behaviour.at_attach, behaviour.advice)
        state.emit("setup_intent.setup_failed", setup)
        raise card_error("Your card was declined.", **declined_as(behaviour.at_attach, behaviour.advice))
    succeed_setup(state, setup)


def succeed_setup(state: State, setup: Record) -> None:
    """The method is set up and attached; it needs no customer any more."""
    found = state.get("pm", setup["payment_method"])
    setup["status"], setup["next_action"] = "succeeded", None
    mandate = state.add("mandate", "mandate", payment_method=found["id"], status="active", type="multi_use")
    setup["mandate"] = mandate["id"]
    state.prepared.add(found["id"])
    if setup["customer"] and found["customer"] is None:
        _attached(state, found, setup["customer"])
    state.emit("setup_intent.succeeded", setup)


def cancel_setup(state: State, setup_id: str, params: Record) -> Record:
    """POST /v1/setup_intents/ID/cancel."""
    setup = state.get("seti", setup_id, "intent")
    if setup["status"] in ("succeeded", "canceled", "processing"):
        message = f"You cannot cancel this SetupIntent because it has a status of {setup['status']}."
        raise wrong_state(message, "setup_intent_unexpected_state")
    setup["status"], setup["cancellation_reason"] = "canceled", params.get("cancellation_reason")
    state.emit("setup_intent.canceled", setup)
    return setup


def verify(state: State, setup_id: str, params: Record) -> Record:
    """POST /v1/setup_intents/ID/verify_microdeposits: 32 and 45 cents, or SM11AA."""
    setup = state.get("seti", setup_id, "intent")
    if setup["status"] != "requires_action":
        raise wrong_state("This SetupIntent is not waiting for deposits.", "setup_intent_unexpected_state")
    if sorted(params.get("amounts", [])) == DEPOSITS or params.get("descriptor_code") == CODE:
        succeed_setup(state, setup)
        return setup
    tried = state.behaviours[setup["payment_method"]]
    wrong = state.objects.setdefault("wrong_deposits", {}).setdefault(setup_id, {"count": 0})
    wrong["count"] += 1
    if wrong["count"] >= TRIES:
        setup["status"], setup["next_action"] = "requires_payment_method", None
        setup["last_setup_error"] = {"type": "invalid_request_error", "code": f"{_VERIFICATION}_attempts_exceeded"}
        state.emit("setup_intent.setup_failed", setup)
        raise wrong_state("You have exceeded the number of attempts.", f"{_VERIFICATION}_attempts_exceeded")
    kind = "descriptor_code" if params.get("descriptor_code") else "amounts"
    raise wrong_state(f"The {kind} do not match those sent to ••{tried.last4}.", f"{_VERIFICATION}_{kind}_mismatch")


def revoke(state: State, payment_method: str) -> None:
    """The account's owner takes his mandate back."""
    for mandate in state.all("mandates"):
        if mandate["payment_method"] == payment_method:
            mandate["status"] = "inactive"
            state.emit("mandate.updated", mandate, {"status": "active"})


def create_session(state: State, params: Record, base_url: str) -> Record:
    """POST /v1/checkout/sessions, in the mode setup."""
    if params.get("mode") != "setup":
        raise invalid("This fake has pages in the mode setup only.", param="mode")
    if not params.get("currency") and not params.get("allowed_payment_method_types"):
        raise invalid(
            "currency is required in setup mode when allowed_payment_method_types is not set.", param="currency"
        )
    customer = state.get("cus", params.get("customer", ""), "customer")
    data = params.get("setup_intent_data") or {}
    setup = create_setup(state, {"customer": customer["id"], "metadata": data.get("metadata")})
    session = state.add(
        "cs",
        "checkout.session",
        mode="setup",
        customer=customer["id"],
        currency=params.get("currency"),
        setup_intent=setup["id"],
        payment_intent=None,
        metadata=params.get("metadata") or {},
        status="open",
        success_url=params.get("success_url"),
        cancel_url=params.get("cancel_url"),
    )
    session["url"] = f"{base_url}/_fake/checkout/{session['id']}"
    return session


def complete_session(state: State, session_id: str, token: str) -> Record:
    """The customer enters a method on the page: a test token, a bank account's number, or an own method's id."""
    session = state.get("cs", session_id)
    if session["status"] != "open":
        raise missing("checkout.session", session_id, "session")
    setup = state.get("seti", session["setup_intent"])
    behaviour = card(token) or ACCOUNTS.get(token)
    found = new_method(state, behaviour) if behaviour else state.get("pm", token, "payment_method")
    setup["payment_method"] = found["id"]
    confirm_setup(state, setup, {"mandate_data": {"customer_acceptance": {"type": "online"}}})
    session["status"] = "complete"
    state.emit("checkout.session.completed", session)
    return session


def declined_as(code: str, advice: str) -> Record:
    """The fields of an error for an issuer's code: some are error codes of their own, the rest are card_declined."""
    own = {"expired_card", "incorrect_cvc", "incorrect_number", "processing_error", "authentication_required"}
    fields: Record = {"code": code if code in own else "card_declined", "decline_code": code}
    return fields | ({"advice_code": advice} if advice else {})


def _attached(state: State, found: Record, customer: str) -> None:
    if found["customer"] != customer:
        found["customer"] = customer
        state.emit("payment_method.attached", found)
