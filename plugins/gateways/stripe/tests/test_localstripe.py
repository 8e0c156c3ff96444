"""The Stripe gateway on localstripe: somebody else's idea of the API, in a process of its own.

localstripe (GPL, so it is run and never imported) knows fewer parameters than the API and leaves fields out. What it
lacks is made up for by the profile below, on the way to it and back; the gateway itself is the one that is shipped.

What it cannot show, and the project's own fake does: idempotency keys (it ignores them), the form of parameters (it
takes payment_method_types), the pages of a bank (its 3-D Secure wants Stripe.js), US bank accounts, mandates, hosted
pages, disputes, searches, refunds that are pending, fail or are too large, connected accounts, versions of the API.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Cancel,
    Charge,
    DeclineCode,
    Declined,
    Describe,
    Detach,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    MethodNotFound,
    MethodRefused,
    Money,
    Pending,
    Refund,
    Secret,
    Vault,
    WebhookRequest,
    perform,
    perform_method,
    receive,
)
from billcore.testing import Fault, HttpReply, NetworkFaults
from billcore_gateway_stripe import Config, StripeGateway

USD = Money(4900, "USD")
SECRET = "whsec_for_localstripe"
PATIENCE_S = 60

# Parameters of the API that localstripe answers with "Unexpected".
UNKNOWN_TO_IT = (
    "automatic_payment_methods",
    "error_on_requires_action",
    "return_url",
    "description",
    "statement_descriptor_suffix",
)


def asked_for(body: str) -> str:
    """A form without what localstripe does not know."""
    given = parse_qsl(body, keep_blank_values=True)
    return urlencode([(name, value) for name, value in given if name.partition("[")[0] not in UNKNOWN_TO_IT])


def listed_for(query: str) -> str:
    """A query without the customer, by whom localstripe cannot list payments."""
    return urlencode([(name, value) for name, value in parse_qsl(query) if name != "customer"])


def completed(found: object) -> object:
    """An intent with the amount that came in, which localstripe leaves out."""
    if isinstance(found, dict):
        if found.get("object") == "payment_intent" and found.get("status") == "succeeded":
            found = {"amount_received": found["amount"], **found}
        return {name: completed(value) for name, value in found.items()}
    return [completed(one) for one in found] if isinstance(found, list) else found


class Profile:
    """What stands between the gateway and localstripe."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, request) -> HttpReply:
        parts = urlsplit(request.path)
        query = listed_for(parts.query) if parts.path == "/v1/payment_intents" else parts.query
        connection = HTTPConnection("localhost", self._port, timeout=PATIENCE_S)
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        body = asked_for(request.body.decode())
        try:
            connection.request(request.method, f"{parts.path}?{query}" if query else parts.path, body or None, headers)
            response = connection.getresponse()
            found = completed(json.loads(response.read()))
        finally:
            connection.close()
        return HttpReply(response.status, json.dumps(found).encode(), {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def localstripe():
    """A running localstripe; its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"localstripe did not come up on port {port}; it ended with {process.poll()}")


@pytest.fixture(scope="module")
def network(localstripe):
    with NetworkFaults(Profile(localstripe)) as network:
        yield network


@pytest.fixture
def gateway(network):
    config = Config(
        Secret("sk_test_12345"),
        webhook_secrets=(Secret(SECRET),),
        return_url="https://shop.example/back",
        base_url=network.url,
        timeout_s=2,
    )
    gateway = StripeGateway(config)
    yield gateway
    gateway.close()


@pytest.fixture
def payer(gateway):
    """Vaults a test card: `payer("visa")`."""
    return lambda card: perform_method(gateway, Vault(f"cus_{card}", f"pm_card_{card}", email="ann@example.com"))


def charge(method, number: int = 1) -> Charge:
    """The attempt `pay_…` of a method; every test has methods of its own."""
    attempt = f"pay_{method.token}_{number}"
    return Charge(
        attempt, f"k:{attempt}", USD, method.token, "cus_1", "inv_1", gateway_customer=method.gateway_customer
    )


def lookup(request: Charge) -> Lookup:
    return Lookup(request.attempt_id, USD, gateway_customer=request.gateway_customer)


def test_a_card_is_attached_and_described(gateway, payer):
    kept = payer("visa")
    assert (kept.kind, kept.brand, kept.last4, kept.expires_on) == ("card", "visa", "4242", "2030-12")
    assert perform_method(gateway, Describe(kept.token)) == kept
    perform_method(gateway, Detach(kept.token))
    assert perform_method(gateway, Describe(kept.token)) == MethodNotFound(kept.token)


def test_a_card_that_is_declined_when_it_is_attached_is_not_kept(payer):
    with pytest.raises(MethodRefused, match="declined"):
        payer("visa_chargeDeclined")


def test_a_charge_is_confirmed_and_found_and_refunded(gateway, payer):
    request = charge(payer("visa"))
    paid = perform(gateway, request)
    assert isinstance(paid, Approved)
    assert (paid.amount_minor, paid.currency) == (4900, "USD")
    assert perform(gateway, lookup(request)) == paid
    assert perform(gateway, Lookup("pay_nobody", USD)) == AttemptNotFound("pay_nobody")
    ten = Money(1000, "USD")
    refunded = perform(gateway, Refund("ref_1", "k:ref_1", ten, paid.gateway_id))
    assert isinstance(refunded, Approved)
    assert refunded.amount_minor == 1000
    assert perform(gateway, Lookup("ref_1", ten, "refund", of=paid.gateway_id)) == refunded


def test_a_declined_charge_is_a_value(gateway, payer):
    request = charge(payer("chargeCustomerFail"))
    declined = perform(gateway, request)
    assert isinstance(declined, Declined)
    assert declined.code is DeclineCode.GENERIC_DECLINE
    assert isinstance(perform(gateway, lookup(request)), Declined)


def test_a_bank_that_wants_the_customer_leaves_the_charge_open(gateway, network):
    """localstripe has no page for him, only Stripe.js: so it is pending, and can be ended."""
    token = made(network, "4000002500003155")
    kept = perform_method(gateway, Vault("cus_3ds", token))
    request = charge(kept)
    assert isinstance(perform(gateway, request), Pending)
    ended = perform(gateway, Cancel(request.attempt_id, USD, gateway_customer=request.gateway_customer))
    assert isinstance(ended, Declined)
    assert ended.code is DeclineCode.CANCELED


def made(network, number: str) -> str:
    """A card by its number, as a browser would make it."""
    parts = urlsplit(network.url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    fields = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    form = {"type": "card", **{f"card[{name}]": value for name, value in fields.items()}}
    headers = {"Authorization": "Bearer sk_test_12345", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/v1/payment_methods", urlencode(form), headers)
    found = json.loads(connection.getresponse().read())
    connection.close()
    return found["id"]


@pytest.mark.parametrize(("fault", "error"), [(Fault.UNREACHABLE, GatewayNotSent), (Fault.RESET_AFTER, GatewayUnknown)])
def test_a_broken_network_is_told_apart_here_as_well(gateway, network, payer, fault, error):
    request = charge(payer("visa"))
    with network.broken(fault), pytest.raises(error):
        perform(gateway, request)
    found = perform(gateway, lookup(request))
    assert isinstance(found, Approved if fault is Fault.RESET_AFTER else AttemptNotFound)


class Endpoint:
    """Takes what localstripe posts."""

    def __init__(self) -> None:
        taken = self.taken = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.append(WebhookRequest(dict(self.headers.items()), body, datetime.now(UTC)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_its_signed_webhooks_are_believed(gateway, localstripe, payer):
    request = charge(payer("visa"))
    with Endpoint() as endpoint:
        connection = HTTPConnection("localhost", localstripe, timeout=PATIENCE_S)
        connection.request(
            "POST",
            "/_config/webhooks/shop",
            json.dumps({"url": endpoint.url, "secret": SECRET}),
            {"Content-Type": "application/json"},
        )
        assert connection.getresponse().status == 200
        connection.close()
        paid = perform(gateway, request)
        until = time.monotonic() + PATIENCE_S
        told = []
        while not told and time.monotonic() < until:
            time.sleep(0.05)
            heard = [event for one in list(endpoint.taken) for event in receive(gateway, one)]
            told = [event for event in heard if event.attempt_id == request.attempt_id]
    [event] = told
    assert (event.text, event.gateway_id) == ("payment_intent.succeeded", paid.gateway_id)
