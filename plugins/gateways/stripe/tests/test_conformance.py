"""The Stripe gateway keeps the contract, through the real SDK and over HTTP."""

import hashlib
import hmac
import json
from contextlib import contextmanager
from datetime import datetime

import pytest
from attrs import evolve

from billcore.plugins.gateway import Approved, Money
from billcore.testing import BankAccount, Fault, GatewayConformance, HttpReply, NetworkFaults, WebhookSender
from billcore_gateway_stripe.testing import KEY, FakeStripe

# What only Stripe can answer in Stripe's words; the others are the network's.
OWN_WORDS = {Fault.UNAUTHORIZED: "unauthorized", Fault.RATE_LIMITED: "rate_limit"}
SECRET, PREVIOUS = "whsec_new_of_the_kit", "whsec_old_of_the_kit"


class Sender(WebhookSender):
    """Sends the events of the fake, each time under a new id."""

    previous_secret = PREVIOUS

    def __init__(self, fake: FakeStripe) -> None:
        self._fake = fake
        self._count = 0

    def sign(self, body: bytes, at: datetime, secret: str | None = None) -> dict[str, str]:
        signed_at = int(at.timestamp())
        signed = hmac.new((secret or SECRET).encode(), b"%d.%b" % (signed_at, body), hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={signed_at},v1={signed}"}

    def charge_body(self, charge, outcome) -> bytes:
        name = "payment_intent.succeeded" if isinstance(outcome, Approved) else "payment_intent.payment_failed"
        for sent in self._fake.events(SECRET):
            event = json.loads(sent["body"])
            about = event["data"]["object"].get("metadata", {}).get("attempt_id")
            if (event["type"], about) == (name, charge.attempt_id):
                self._count += 1
                return json.dumps({**event, "id": f"{event['id']}{self._count}"}).encode()
        raise AssertionError(f"the fake told nothing of {charge.attempt_id}")

    def other_body(self) -> bytes:
        fields = {"id": "evt_payout", "object": "event", "type": "payout.paid", "livemode": False}
        return json.dumps({**fields, "data": {"object": {"id": "po_1", "object": "payout"}}}).encode()


def unseen(reply: HttpReply) -> HttpReply:
    """The same reply with a status that the API of 2031 may have."""
    found = json.loads(reply.body)
    return evolve(reply, body=json.dumps({**found, "status": "settling_on_the_moon"}).encode())


@pytest.fixture(scope="module")
def stripe_itself():
    with FakeStripe() as fake:
        yield fake


@pytest.fixture(scope="module")
def network(stripe_itself):
    with NetworkFaults(stripe_itself.url, unseen=unseen) as network:
        yield network


class TestStripe(GatewayConformance):
    """With everything that Stripe has."""

    @pytest.fixture
    def gateway_name(self):
        return "stripe"

    @pytest.fixture
    def config(self, network, request):
        # Only where a time-out is the point is it worth waiting for; elsewhere a busy machine is no fault.
        return {
            "api_key": KEY,
            "webhook_secrets": [SECRET, PREVIOUS],
            "base_url": network.url,
            "return_url": "https://shop.example/back",
            "timeout_s": 2 if "timeout" in request.node.name else 15,
        }

    @pytest.fixture
    def other_config(self, config):
        return {**config, "account": "acct_1another"}

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
    def pending_method(self, stripe_itself):
        return stripe_itself.new_method(type="us_bank_account", brand="BANK", verified=True)

    @pytest.fixture
    def bank_account(self, stripe_itself):
        return BankAccount(
            stripe_itself.new_method(type="us_bank_account", brand="BANK"),
            right_amounts=(32, 45),
            right_code="SM11AA",
            wrong_code="SM44DD",
        )

    @pytest.fixture
    def broken_network(self, network, stripe_itself):
        @contextmanager
        def broken(fault):
            if fault not in OWN_WORDS:
                with network.broken(fault):
                    yield
                return
            for method in ("GET", "POST"):
                stripe_itself.fault(OWN_WORDS[fault], method=method, times=1000)
            try:
                yield
            finally:
                stripe_itself.call("calm")

        return broken

    @pytest.fixture
    def change_method(self, stripe_itself):
        return lambda token: stripe_itself.call("update_card", id=token, exp_year=2039)

    @pytest.fixture
    def webhook_sender(self, stripe_itself):
        return Sender(stripe_itself)

    @pytest.fixture
    def provider_charges(self, stripe_itself):
        def charges(attempt_id):
            rows = stripe_itself.charges(attempt_id)
            # None of the kit's currencies is counted otherwise by Stripe than by billcore.
            return [Money(row["amount"], row["currency"].upper()) for row in rows]

        return charges
