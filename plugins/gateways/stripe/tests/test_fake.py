"""The fake itself: it holds a client to Stripe's rules, and its objects look like Stripe's."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
import stripe

from billcore.plugins.gateway import GatewayUnknown, HostedPage, Vault, perform, perform_method
from billcore_gateway_stripe import API_VERSION
from billcore_gateway_stripe.testing import KEY, FakeClient
from billcore_gateway_stripe.testing.problem import ApiProblem


@pytest.fixture
def client(fake):
    return stripe.StripeClient(
        KEY, stripe_version=API_VERSION, base_addresses={"api": fake.url}, max_network_retries=0
    ).v1


def post(fake, path, body, **headers):
    parts = urlsplit(fake.url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    known = {"Authorization": f"Bearer {KEY}", "Stripe-Version": API_VERSION}
    connection.request("POST", path, body, {**known, **headers})
    response = connection.getresponse()
    found = response.status, json.loads(response.read()), response.headers
    connection.close()
    return found


CONFIRMED = {"confirm": True, "payment_method": "pm_card_visa", "return_url": "https://x.example"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("amount=10&currency=usd&foo=1", "parameter_unknown", "foo"),
        ("currency=usd", "parameter_missing", "amount"),
        ("amount=many&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=500&currency=usd&confirm=maybe", "parameter_invalid_boolean", "confirm"),
        ("amount=500&currency=usd&metadata=x", "parameter_invalid_object", "metadata"),
        ("amount=500&currency[x]=usd", "parameter_invalid_string", "currency"),
        (
            "amount=500&currency=usd&automatic_payment_methods[enabled]=true&automatic_payment_methods[x]=1",
            "parameter_unknown",
            "automatic_payment_methods.x",
        ),
        (
            "amount=500&currency=usd&payment_method_types[]=card",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ("amount=10&currency=usd", "amount_too_small", "amount"),
        ("amount=500&currency=usd&payment_method=pm_gone", "resource_missing", "payment_method"),
        ("amount=500&currency=usd&confirm=true&payment_method=pm_card_visa", None, "return_url"),
        ("amount=5124&currency=kwd", None, "amount"),
        ("amount=500&currency=dollars", None, "currency"),
    ],
)
def test_a_wrong_parameter_is_refused_as_the_api_does(fake, body, code, param):
    """By the SDK's own types, so that what passes here fits the version of the API that the SDK speaks."""
    status, answer, _ = post(fake, "/v1/payment_intents", body)
    assert status in (400, 404)
    assert (answer["error"].get("code"), answer["error"]["param"]) == (code, param)
    assert fake.objects("payment_intents") == []


def test_a_path_that_there_is_not_and_another_version_are_refused(fake):
    assert post(fake, "/v1/prices", "")[0] == 404
    assert post(fake, "/v1/customers", "", **{"Stripe-Version": "2020-08-27"})[0] == 400
    assert post(fake, "/v1/customers", "", Authorization="Bearer sk_test_x")[0] == 401
    assert post(fake, "/v1/customers", "", Authorization=f"Bearer {KEY}_without_rights")[0] == 403


def test_a_key_brings_the_same_answer_again_for_a_day(fake, client):
    first = client.customers.create({"name": "A"}, {"idempotency_key": "k"})
    again = client.customers.create({"name": "A"}, {"idempotency_key": "k"})
    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        client.customers.create({"name": "B"}, {"idempotency_key": "k"})
    fake.call("advance", seconds=86_400)
    assert client.customers.create({"name": "A"}, {"idempotency_key": "k"}).id != first.id


def test_a_decline_is_kept_under_its_key_and_a_wrong_request_is_not(fake, client):
    customer = client.customers.create({}).id
    method = client.payment_methods.attach(fake.new_method(at_charge="lost_card"), {"customer": customer}).id
    wanted = {**CONFIRMED, "amount": 500, "currency": "usd", "customer": customer, "payment_method": method}
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            client.payment_intents.create(wanted, {"idempotency_key": "k1"})
        assert declined.value.error.decline_code == "lost_card"
    assert len(fake.objects("payment_intents")) == 1
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.create({**wanted, "amount": 1}, {"idempotency_key": "k2"})
    with pytest.raises(stripe.CardError):
        client.payment_intents.create(wanted, {"idempotency_key": "k2"})


def test_a_call_that_arrives_while_the_first_is_under_way_is_told_so(fake, client):
    fake.fault("slow", path="/v1/customers", seconds=1)

    def called(_):
        try:
            return client.customers.create({}, {"idempotency_key": "k"}).id
        except stripe.APIError as error:
            return error.error.code

    with ThreadPoolExecutor(2) as threads:
        answers = set(threads.map(called, range(2)))
    assert answers == {"idempotency_key_in_use", fake.objects("customers")[0]["id"]}
    assert len(fake.objects("customers")) == 1


FAMILIES = {
    "customers": stripe.Customer,
    "payment_methods": stripe.PaymentMethod,
    "payment_intents": stripe.PaymentIntent,
    "setup_intents": stripe.SetupIntent,
    "charges": stripe.Charge,
    "refunds": stripe.Refund,
    "disputes": stripe.Dispute,
    "mandates": stripe.Mandate,
    "sessions": stripe.checkout.Session,
}


def test_objects_have_the_fields_of_stripes_and_no_others(fake, gateway, charge, vault, refund):
    of = perform(gateway, charge(1)).gateway_id
    perform(gateway, refund(of))
    fake.call("dispute", id=of, status="needs_response")
    perform(gateway, charge(2, vault(at_charge="lost_card")))
    perform_method(gateway, Vault("cus_1", fake.new_method(type="us_bank_account", verified=True)))
    perform_method(gateway, HostedPage("cus_1", "https://shop.example"))
    for family, kind in FAMILIES.items():
        fields = {name for record in fake.objects(family) for name in record}
        assert fields
        assert fields - set(kind.__annotations__) == set(), family
    names = {one["name"] for one in fake.events("whsec_x")}
    assert {"payment_intent.succeeded", "charge.dispute.created", "setup_intent.succeeded"} <= names
    body = json.loads(fake.events("whsec_x")[0]["body"])
    assert set(body) <= set(stripe.Event.__annotations__)
    assert body["api_version"] == API_VERSION


def test_a_capture_and_other_calls_that_the_gateway_does_not_make(client):
    held = client.payment_intents.create({**CONFIRMED, "amount": 500, "currency": "usd", "capture_method": "manual"})
    assert held.status == "requires_capture"
    assert client.payment_intents.capture(held.id, {"amount_to_capture": 300}).amount_received == 300
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.capture(held.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.confirm(held.id, {"return_url": "https://x.example"})
    card = client.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    account = {"routing_number": "110000000", "account_number": "000123456789", "account_holder_type": "individual"}
    bank = client.payment_methods.create({"type": "us_bank_account", "us_bank_account": account})
    assert {one.id for one in client.payment_methods.list({"type": "card"}).data} == {card.id, held.payment_method}
    for wrong in ({"type": "card", "card": {"token": "x"}}, {"type": "us_bank_account"}, {"type": "oxxo"}):
        with pytest.raises(stripe.InvalidRequestError):
            client.payment_methods.create(wrong)
    customer = client.customers.create({"metadata": {"a": "b"}})
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_methods.attach(bank.id, {"customer": customer.id})
    assert client.customers.retrieve(customer.id).metadata["a"] == "b"
    assert client.events.list({"limit": 1}).data[0].type.startswith("customer.")
    assert client.events.list({"type": "customer.created"}).data[0].data.object.id == customer.id
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.list({"limit": 1000})
    with pytest.raises(stripe.InvalidRequestError):
        client.payment_intents.search({"query": "amount>3"})


def test_a_hosted_page_may_be_left_and_a_bank_may_be_refused_by_hand(fake, gateway, charge, vault):
    asked = perform(gateway, charge(method=vault(authenticate="always")))
    status, found, _ = fake_page(fake, asked.url)
    assert (status, asked.gateway_id in found) == (200, True)
    status, _, headers = fake_page(fake, f"{asked.url}?choice=yes")
    assert (status, headers["Location"]) == (302, f"https://shop.example/back?payment_intent={asked.gateway_id}")
    assert len(fake.charges()) == 1
    assert fake_page(fake, f"{fake.url}/_fake/bank/pi_gone?choice=yes")[0] == 404


def fake_page(fake, url):
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}")
    response = connection.getresponse()
    found = response.status, response.read().decode(), response.headers
    connection.close()
    return found


class Shop:
    """An endpoint of a shop that notes what is posted to it, and fails as often as it is told."""

    def __init__(self, failures=0):
        shop, self.bodies, self.failures = self, [], failures

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                shop.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                shop.failures -= 1
                self.send_response(500 if shop.failures >= 0 else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def names(self):
        return [body["type"] for body in self.bodies]


PAID = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_an_early_webhook_comes_before_the_answer(fake, gateway, charge):
    request = charge()
    with Shop() as shop:
        fake.webhooks(shop.url, "whsec_x", mode="early")
        fake.fault("reset", "after", path="/v1/payment_intents")
        with pytest.raises(Exception, match="did not answer"):
            perform(gateway, request)
        assert shop.names() == PAID


def test_held_webhooks_come_doubled_and_out_of_order_when_they_are_let_go(fake, gateway, charge):
    request = charge()
    with Shop() as shop:
        fake.webhooks(shop.url, "whsec_x", mode="held", times=2, shuffle=3)
        perform(gateway, request)
        assert shop.bodies == []
        assert fake.call("flush") == 6
        assert sorted(shop.names()) == sorted(PAID * 2)
        assert shop.names() != PAID * 2
        assert {answer["status"] for answer in fake.call("answers")} == {200}


def test_a_webhook_is_sent_again_until_it_is_taken(fake, gateway, charge):
    request = charge()
    with Shop(failures=2) as shop:
        fake.webhooks(shop.url, "whsec_x", mode="early", tries=3, events=["payment_intent.succeeded"])
        perform(gateway, request)
        assert shop.names() == ["payment_intent.succeeded"] * 3


def test_prompt_webhooks_come_after_the_answer(fake, gateway, charge):
    request = charge()
    with Shop() as shop:
        fake.webhooks(shop.url, "whsec_x")
        perform(gateway, request)
        while len(shop.bodies) < 3:
            time.sleep(0.01)
        assert shop.names() == PAID


def test_an_endpoint_that_is_not_there_is_noted(fake, gateway, charge):
    request = charge()
    fake.webhooks("http://127.0.0.1:9/", "whsec_x", mode="early", events=["payment_intent.succeeded"])
    perform(gateway, request)
    assert [answer["status"] for answer in fake.call("answers")] == [0]


def test_chaos_loses_a_share_of_the_calls_that_move_money(fake, gateway, charge):
    """The same seed loses the same calls."""
    charge()
    fake.call("chaos", seed=7, before=30, after=30)
    lost = 0
    for number in range(1, 31):
        while True:
            try:
                perform(gateway, charge(number))
                break
            except GatewayUnknown:
                lost += 1
    assert lost > 10
    assert len(fake.charges()) == 30
    fake.call("calm")
    fake.call("chaos")


def test_a_handle_that_there_is_not_is_told(fake):
    for verb, given in (("nonsense", {}), ("settle", {"id": "pi_gone"}), ("method", {"brnd": "visa"}), ("settle", {})):
        with pytest.raises(ApiProblem):
            fake.call(verb, **given)
    with pytest.raises(ApiProblem):
        fake.fault("rate_limit", "after")


def test_the_fake_runs_as_a_process_of_its_own():
    """As the tests that kill workers use it: it outlives them, and its book with it."""
    command = [
        sys.executable,
        "-m",
        "billcore_gateway_stripe.testing",
        "--port",
        "0",
        "--webhook-url",
        "http://x.invalid/",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            url = said.split()[3].rstrip(",")
            assert KEY in said
            assert FakeClient(url).book() == []
            assert FakeClient(url, "acct_1").new_method().startswith("pm_")
        finally:
            process.send_signal(2)
    assert process.returncode == 0
