"""Payment methods at Stripe: vaulted for a customer, described, verified, forgotten (behaviour 9.7)."""

from typing import TYPE_CHECKING

from billcore.plugins.gateway import (
    Describe,
    Detach,
    GatewayMisconfigured,
    HostedPage,
    MethodNotFound,
    MethodRefused,
    Page,
    Vault,
    Vaulted,
    VaultedStatus,
    Verify,
)
from billcore_gateway_stripe.config import Config
from billcore_gateway_stripe.kinds import DEBITS, VERIFIED, vaulted
from billcore_gateway_stripe.plain import NOTHING, Plain, ours, part, parts, reference, text
from billcore_gateway_stripe.refused import Question, Refused, failure_of
from billcore_gateway_stripe.wire import Wire

if TYPE_CHECKING:
    from stripe.params import (
        CustomerModifyParams,
        SetupIntentCreateParams,
        SetupIntentVerifyMicrodepositsParams,
    )

_UNDER_WAY = frozenset({"requires_action", "processing", "requires_confirmation"})
_WRONG_DEPOSIT = "payment_method_microdeposit_verification_"


class Methods:
    """The verbs about payment methods."""

    def __init__(self, wire: Wire, config: Config) -> None:
        self._wire = wire
        self._config = config

    def vault(self, request: Vault) -> Vaulted:
        """Attach a method to the customer, who is found or made; a bank account begins to be verified."""
        question = Question(f"the method of {request.customer_id}")
        method = self._read(question, request.token)
        if method is None:
            raise MethodRefused(
                f"Stripe does not know the payment method {request.token!r}.",
                remedy="Give the id that Stripe.js or the hosted page gave, pm_…, made with this account's key.",
            )
        owner = part(method, "customer")
        if owner:
            if ours(owner, "customer_id") not in ("", request.customer_id):
                raise MethodRefused(
                    f"The payment method {request.token!r} is attached to another customer at Stripe.",
                    remedy="Enter it anew for this customer.",
                )
            return self._shown(question, method)
        customer = request.gateway_customer or self._customer(request)
        if text(method, "type") in VERIFIED:
            self._set_up(question, method, customer, request.customer_id)
        else:
            # A test method such as pm_card_visa is copied, so the answer's id counts.
            method = self._attached(question, request.token, customer)
        found = self._read(question, text(method, "id"))
        return self._shown(question, found or method)

    def describe(self, request: Describe) -> Vaulted | MethodNotFound:
        """How a method stands: attached, still to be verified, or gone."""
        question = Question(f"the method {request.token}")
        method = self._read(question, request.token)
        if method is None:
            return MethodNotFound(request.token)
        setup = self._setup(question, method)
        if not reference(method, "customer") and _status(method, setup) == "active":
            return MethodNotFound(request.token)
        return self._told(method, setup)

    def detach(self, request: Detach) -> None:
        """Detach a method; the verification of a bank account is called off."""
        question = Question(f"the method {request.token}")
        method = self._read(question, request.token)
        if method is None:
            return
        if not reference(method, "customer"):
            setup = self._setup(question, method)
            if text(setup, "status") in _UNDER_WAY:
                self._wire.ask(question, lambda c: c.v1.setup_intents.cancel(text(setup, "id")))
            return
        reply = self._wire.ask(question, lambda c: c.v1.payment_methods.detach(request.token))
        if isinstance(reply, Refused) and reply.kind != "invalid":
            raise failure_of(reply, question)
        if isinstance(reply, Refused):
            # Somebody else was quicker, or it cannot be detached: it tells itself.
            left = self._read(question, request.token)
            if left is not None and reference(left, "customer"):
                raise failure_of(reply, question)

    def verify(self, request: Verify) -> Vaulted:
        """Hand in what the owner of a bank account read on his statement."""
        question = Question(f"the verification of {request.token}")
        method = self._read(question, request.token)
        if method is None:
            raise MethodRefused(f"Stripe does not know the payment method {request.token!r}.")
        setup = self._setup(question, method)
        if text(setup, "status") not in _UNDER_WAY:
            return self._told(method, setup)
        params: SetupIntentVerifyMicrodepositsParams = (
            {"descriptor_code": request.code} if request.code else {"amounts": list(request.amounts)}
        )
        reply = self._wire.ask(question, lambda c: c.v1.setup_intents.verify_microdeposits(text(setup, "id"), params))
        if isinstance(reply, Refused) and not reply.code.startswith(_WRONG_DEPOSIT):
            raise failure_of(reply, question)
        return self._shown(question, self._read(question, request.token) or method)

    def hosted_page(self, request: HostedPage) -> Page:
        """A Checkout page that sets a method up; the method comes with the event setup_intent.succeeded."""
        question = Question(f"a page for {request.customer_id}")
        customer = request.gateway_customer or self._customer(request)
        known = {"customer_id": request.customer_id}
        session = self._wire.get(
            question,
            lambda c: c.v1.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": customer,
                    "currency": self._config.hosted_currency.lower(),
                    "success_url": request.return_url,
                    "cancel_url": request.return_url,
                    "metadata": known,
                    "setup_intent_data": {"metadata": known},
                }
            ),
        )
        return Page(text(session, "url"), customer)

    def _attached(self, question: Question, token: str, customer: str) -> Plain:
        """Attach a method under a key of its own: a test method would be copied anew at each repetition.

        What Stripe stored under that key may be overtaken, a decline as well as a success; then it is tried anew.
        """
        key = f"billcore:attach:{customer}:{token}"
        reply = self._wire.ask(
            question,
            lambda c: c.v1.payment_methods.attach(token, {"customer": customer}, {"idempotency_key": key}),
        )
        if isinstance(reply, Refused):
            overtaken = reply.replayed
        else:
            now = self._read(question, text(reply, "id")) if self._wire.replayed else reply
            overtaken = now is None or reference(now, "customer") != customer
        if overtaken:
            reply = self._wire.ask(question, lambda c: c.v1.payment_methods.attach(token, {"customer": customer}))
        if isinstance(reply, Refused):
            raise _not_kept(reply, question)
        return reply

    def _customer(self, request: Vault | HostedPage) -> str:
        """The customer at Stripe that carries our id: an older one is searched for, a new one made once.

        The search lags, so two calls in one minute both find none; the key makes them one customer all the same. That
        key must always come with the same parameters, so name and e-mail follow in a call of their own.
        """
        question = Question(f"the customer {request.customer_id}")
        quoted = request.customer_id.replace("\\", "\\\\").replace("'", "\\'")
        query = f"metadata['customer_id']:'{quoted}'"
        reply = self._wire.ask(question, lambda c: c.v1.customers.search({"query": query, "limit": 10}))
        # Where there is no search (in India, for one) the customer is made; only a broken answer is one.
        if isinstance(reply, Refused) and reply.kind != "invalid":
            raise failure_of(reply, question)
        found = [] if isinstance(reply, Refused) else list(parts(reply, "data"))
        known = [one for one in found if ours(one, "customer_id") == request.customer_id]
        if known:
            return text(known[-1], "id")
        made = self._wire.get(
            question,
            lambda c: c.v1.customers.create(
                {"metadata": {"customer_id": request.customer_id}},
                {"idempotency_key": f"billcore:customer:{request.customer_id}"},
            ),
        )
        customer = text(made, "id")
        if not customer:
            raise GatewayMisconfigured(f"Stripe made no customer for {request.customer_id}.")
        details: CustomerModifyParams = {}
        if request.name:
            details["name"] = request.name
        if request.email:
            details["email"] = request.email
        if details:
            self._wire.get(question, lambda c: c.v1.customers.update(customer, details))
        return customer

    def _set_up(self, question: Question, method: Plain, customer: str, customer_id: str) -> None:
        """Begin to verify a bank account with a SetupIntent, unless one is under way."""
        if text(self._setup(question, method), "status") in (*_UNDER_WAY, "succeeded"):
            return
        kind = text(method, "type")
        params: SetupIntentCreateParams = {
            "customer": customer,
            "payment_method": text(method, "id"),
            "confirm": True,
            "usage": "off_session",
            "allowed_payment_method_types": [kind],
            # The owner agreed to being debited before he gave the account; his browser is not here.
            "mandate_data": {"customer_acceptance": {"type": "offline"}},
            "metadata": {"customer_id": customer_id},
        }
        reply = self._wire.ask(question, lambda c: c.v1.setup_intents.create(params))
        if isinstance(reply, Refused):
            raise _not_kept(reply, question)

    def _read(self, question: Question, token: str) -> Plain | None:
        reply = self._wire.ask(question, lambda c: c.v1.payment_methods.retrieve(token, {"expand": ["customer"]}))
        if isinstance(reply, Refused):
            if reply.gone:
                return None
            raise failure_of(reply, question)
        return reply

    def _setup(self, question: Question, method: Plain) -> Plain:
        """The newest SetupIntent of a bank account, which knows what the method does not: verification and mandate."""
        if text(method, "type") not in DEBITS:
            return NOTHING
        page = self._wire.get(
            question,
            lambda c: c.v1.setup_intents.list(
                {"payment_method": text(method, "id"), "limit": 10, "expand": ["data.mandate"]}
            ),
        )
        return next(iter(parts(page, "data")), NOTHING)

    def _shown(self, question: Question, method: Plain) -> Vaulted:
        return self._told(method, self._setup(question, method))

    def _told(self, method: Plain, setup: Plain) -> Vaulted:
        return vaulted(
            method,
            status=_status(method, setup),
            gateway_customer=reference(method, "customer") or reference(setup, "customer"),
            customer_id=ours(part(method, "customer"), "customer_id") or ours(setup, "customer_id"),
        )


def _status(method: Plain, setup: Plain) -> VaultedStatus:
    attached = bool(reference(method, "customer"))
    if part(part(method, text(method, "type")), "status_details").get("blocked"):
        return "disabled"
    progress = text(setup, "status")
    if progress in _UNDER_WAY:
        return "unverified"
    if text(part(setup, "mandate"), "status") == "inactive":
        return "disabled"
    return "disabled" if setup and not attached and progress != "succeeded" else "active"


def _not_kept(refused: Refused, question: Question) -> Exception:
    """What a refusal to keep a method is: the method's fault, unless it is plainly the request's."""
    if refused.kind == "declined" or refused.is_missing("payment_method") or "may not be used again" in refused.message:
        return MethodRefused(f"Stripe does not keep {question.what}: {refused.message or refused.code}")
    return failure_of(refused, question)
