"""The JSON client tells what never left from what may have arrived (behaviour 9.2)."""

import json

import pytest

from billcore.plugins.client import MOST_BYTES, JsonClient
from billcore.plugins.gateway import GatewayMisconfigured, GatewayNotSent, GatewayUnknown, Secret
from billcore.testing import Fault, HttpReply, NetworkFaults, everything_logged, everything_told, leaks

SECRET = "sk_recognizable_4711"


@pytest.fixture
def replies():
    return [HttpReply(200, b'{"id": "ch_1", "amount": 4900}')]


@pytest.fixture
def network(replies):
    with NetworkFaults(lambda _: replies[0]) as faults:
        yield faults


@pytest.fixture
def client(network):
    return JsonClient(network.url + "/v1/", Secret(SECRET), timeout_s=1)


def test_a_post_carries_the_key_and_the_secret(network, client):
    reply = client.post("/charges", {"amount": 4900}, key="key_1")
    assert reply.ok
    assert (reply.text("id"), reply.number("amount"), reply.text("amount"), reply.number("id")) == ("ch_1", 4900, "", 0)
    [request] = network.requests()
    assert (request.method, request.path, json.loads(request.body)) == ("POST", "/v1/charges", {"amount": 4900})
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["idempotency-key"] == "key_1"


def test_a_get_quotes_what_it_asks_for(network, client):
    client.get("/charges", attempt_id="pay 1&x=2")
    client.delete("/methods/pm_1")
    assert [(one.method, one.path) for one in network.requests()] == [
        ("GET", "/v1/charges?attempt_id=pay+1%26x%3D2"),
        ("DELETE", "/v1/methods/pm_1"),
    ]


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422])
def test_a_refusal_is_an_answer(client, replies, status):
    replies[0] = HttpReply(status, b'{"reason": "no_funds"}')
    reply = client.post("/charges", {})
    assert (reply.ok, reply.status, reply.text("reason")) == (False, status, "no_funds")


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, GatewayNotSent), (401, GatewayMisconfigured), (403, GatewayMisconfigured)]
    + [(status, GatewayUnknown) for status in (500, 502, 503, 301, 302)],
)
def test_other_statuses_are_errors(client, replies, status, error):
    replies[0] = HttpReply(status, b"{}")
    with pytest.raises(error):
        client.post("/charges", {})


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b"\xff", b"<html>", b"[" * 100_000, b" " * (MOST_BYTES + 1)])
def test_what_cannot_be_read_is_unknown(client, replies, body):
    replies[0] = HttpReply(200, body)
    with pytest.raises(GatewayUnknown):
        client.get("/charges")


def test_no_body_is_an_empty_object(client, replies):
    replies[0] = HttpReply(204, b"")
    assert client.get("/charges").body == {}


EXPECTED = {
    Fault.UNREACHABLE: GatewayNotSent,
    Fault.RATE_LIMITED: GatewayNotSent,
    Fault.UNAUTHORIZED: GatewayMisconfigured,
    Fault.TIMEOUT_BEFORE: GatewayUnknown,
    Fault.TIMEOUT_AFTER: GatewayUnknown,
    Fault.RESET_BEFORE: GatewayUnknown,
    Fault.RESET_AFTER: GatewayUnknown,
    Fault.ERROR_500_BEFORE: GatewayUnknown,
    Fault.ERROR_500_AFTER: GatewayUnknown,
    Fault.GARBAGE_BEFORE: GatewayUnknown,
    Fault.GARBAGE_AFTER: GatewayUnknown,
}


@pytest.mark.parametrize("fault", EXPECTED)
def test_every_fault_is_its_error_and_tells_no_secret(network, client, fault):
    with everything_logged() as logged, network.broken(fault), pytest.raises(EXPECTED[fault]) as raised:
        client.post("/charges", {"amount": 4900}, key="key_1")
    assert leaks([SECRET], everything_told(raised.value) + "".join(logged) + repr(vars(client))) == []
    assert client.get("/charges").ok


@pytest.mark.parametrize("url", ["", "api.acme.example", "ftp://acme.example", "https://"])
def test_an_address_that_is_none_is_refused_when_it_is_built(url):
    with pytest.raises(GatewayMisconfigured):
        JsonClient(url, Secret("x"))


def test_a_name_that_does_not_resolve_was_not_sent():
    with pytest.raises(GatewayNotSent):
        JsonClient("http://no-such-host.invalid", Secret("x"), timeout_s=1).get("/charges")
