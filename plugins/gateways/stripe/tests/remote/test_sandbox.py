"""The contract with a sandbox of Stripe's own, over the internet.

    BILLCORE_STRIPE_KEY=sk_test_… python -m pytest -m remote plugins/gateways/stripe

The key is that of a sandbox in which cards and US bank accounts are switched on; a live key is refused. Customers and
payments stay there afterwards. BILLCORE_STRIPE_URL names another server that speaks the API, such as the fake.
"""

import hashlib
import hmac
import json
import os
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

import pytest
import stripe

from billcore.plugins.gateway import Approved, Money
from billcore.testing import BankAccount, Fault, GatewayConformance, HttpReply, NetworkFaults, WebhookSender
from billcore_gateway_stripe import API_VERSION

KEY = os.environ.get("BILLCORE_STRIPE_KEY", "")
URL = os.environ.get("BILLCORE_STRIPE_URL", "https://api.stripe.com")
SECRET, PREVIOUS = "whsec_new_of_the_kit", "whsec_old_of_the_kit"
PATIENCE_S = 30

pytestmark = [
    pytest.mark.remote,
    pytest.mark.skipif(
        not KEY.startswith(("sk_test_", "rk_test_")),
        reason="BILLCORE_STRIPE_KEY is not set to a sandbox's key, sk_test_…",
    ),
]


class Stripe:
    """Hands requests on to Stripe, or answers in its words that it takes none."""

    def __init__(self) -> None:
        self.refusal: HttpReply | None = None

    def __call__(self, request) -> HttpReply:
        if self.refusal is not None:
            return self.refusal
        parts = urlsplit(URL)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.netloc, timeout=PATIENCE_S)
        dropped = {"host", "connection", "content-length", "accept-encoding"}
        try:
            headers = {name: value for name, value in request.headers.items() if name not in dropped}
            connection.request(request.method, request.path, request.body or None, headers)
            response = connection.getresponse()
            kept = {n: v for n, v in response.getheaders() if n.lower() in ("content-type", "idempotent-replayed")}
            return HttpReply(response.status, response.read(), kept)
        finally:
            connection.close()


REFUSALS = {
    Fault.UNAUTHORIZED: HttpReply(401, b'{"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}'),
    Fault.RATE_LIMITED: HttpReply(429, b'{"error": {"type": "invalid_request_error", "code": "rate_limit"}}'),
}


def unseen(reply: HttpReply) -> HttpReply:
    found = json.loads(reply.body)
    return HttpReply(reply.status, json.dumps({**found, "status": "settling_on_the_moon"}).encode(), reply.headers)


@pytest.fixture(scope="module")
def provider():
    return Stripe()


@pytest.fixture(scope="module")
def network(provider):
    with NetworkFaults(provider, unseen=unseen) as network:
        yield network


@pytest.fixture(scope="module")
def client():
    return stripe.StripeClient(KEY, stripe_version=API_VERSION, base_addresses={"api": URL}).v1


class Sender(WebhookSender):
    """Signs as Stripe does; what it says is taken from the payment itself."""

    previous_secret = PREVIOUS

    def __init__(self, client) -> None:
        self._client = client
        self._count = 0

    def sign(self, body: bytes, at: datetime, secret: str | None = None) -> dict[str, str]:
        signed_at = int(at.timestamp())
        signed = hmac.new((secret or SECRET).encode(), b"%d.%b" % (signed_at, body), hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={signed_at},v1={signed}"}

    def charge_body(self, charge, outcome) -> bytes:
        name = "payment_intent.succeeded" if isinstance(outcome, Approved) else "payment_intent.payment_failed"
        return self._body(name, self._client.payment_intents.retrieve(outcome.gateway_id).to_dict(for_json=True))

    def other_body(self) -> bytes:
        return self._body("payout.paid", {"id": "po_1", "object": "payout"})

    def _body(self, name: str, subject: dict[str, object]) -> bytes:
        self._count += 1
        fields = {"id": f"evt_kit{self._count}", "object": "event", "type": name, "livemode": False}
        return json.dumps({**fields, "data": {"object": subject}}).encode()


class TestSandbox(GatewayConformance):
    """The same suite that the fake's tests run."""

    @pytest.fixture
    def gateway_name(self):
        return "stripe"

    @pytest.fixture
    def config(self, network):
        return {
            "api_key": KEY,
            "webhook_secrets": [SECRET, PREVIOUS],
            "base_url": network.url,
            "return_url": "https://shop.example/back",
            "timeout_s": 8,
        }

    @pytest.fixture
    def approved_method(self):
        return "pm_card_visa"

    @pytest.fixture
    def declined_method(self):
        return "pm_card_chargeCustomerFail"

    @pytest.fixture
    def action_method(self):
        return "pm_card_authenticationRequired"

    @pytest.fixture
    def bank_account(self, client):
        account = {"routing_number": "110000000", "account_number": "000123456789", "account_holder_type": "individual"}
        made = client.payment_methods.create(
            {"type": "us_bank_account", "us_bank_account": account, "billing_details": {"name": "Ann Smith"}}
        )
        return BankAccount(made.id, right_code="SM11AA", wrong_code="SM00ZZ")

    @pytest.fixture
    def broken_network(self, network, provider):
        @contextmanager
        def broken(fault):
            if fault not in REFUSALS:
                with network.broken(fault):
                    yield
                return
            provider.refusal = REFUSALS[fault]
            try:
                yield
            finally:
                provider.refusal = None

        return broken

    @pytest.fixture
    def webhook_sender(self, client):
        return Sender(client)

    @pytest.fixture
    def provider_charges(self, client):
        def charges(attempt_id):
            newest = client.payment_intents.list({"limit": 100}).to_dict()["data"]
            own = [one for one in newest if one["metadata"].get("attempt_id") == attempt_id]
            paid = [one for one in own if one["status"] == "succeeded"]
            return [Money(one["amount_received"], one["currency"].upper()) for one in paid]

        return charges
