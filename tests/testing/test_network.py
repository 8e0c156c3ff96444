"""NetworkFaults stands between a client and its provider and breaks what it is told to."""

from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from billcore.testing import Fault, HttpReply, NetworkFaults


@pytest.fixture
def carried_out():
    return []


@pytest.fixture
def provider(carried_out):
    def answer(request):
        carried_out.append((request.method, request.path, request.body))
        return HttpReply(201, b'{"status": "paid"}', {"X-Request-Id": request.headers.get("x-own", "none")})

    return answer


def send(url, path="/charges", body=b"{}", timeout=1):
    connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request("POST", path, body, {"X-Own": "yes"})
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.getheader("X-Request-Id")
    finally:
        connection.close()


def test_a_whole_network_hands_on_and_back(provider, carried_out):
    with NetworkFaults(provider) as network:
        assert send(network.url) == (201, b'{"status": "paid"}', "yes")
    assert carried_out == [("POST", "/charges", b"{}")]


@pytest.mark.parametrize(
    ("fault", "status", "arrives"),
    [
        (Fault.RATE_LIMITED, 429, 0),
        (Fault.UNAUTHORIZED, 401, 0),
        (Fault.ERROR_500_BEFORE, 500, 0),
        (Fault.ERROR_500_AFTER, 500, 1),
        (Fault.GARBAGE_BEFORE, 200, 0),
        (Fault.GARBAGE_AFTER, 200, 1),
        (Fault.SLOW, 201, 1),
    ],
)
def test_a_fault_that_answers(provider, carried_out, fault, status, arrives):
    with NetworkFaults(provider) as network:
        with network.broken(fault):
            answered, body, _ = send(network.url, timeout=5)
        assert answered == status
        assert b'"paid"' not in body or fault is Fault.SLOW
        assert len(carried_out) == arrives
        assert send(network.url)[0] == 201


@pytest.mark.parametrize(
    ("fault", "error", "arrives"),
    [
        (Fault.UNREACHABLE, ConnectionRefusedError, 0),
        (Fault.TIMEOUT_BEFORE, TimeoutError, 0),
        (Fault.TIMEOUT_AFTER, TimeoutError, 1),
        (Fault.RESET_BEFORE, ConnectionResetError, 0),
        (Fault.RESET_AFTER, ConnectionResetError, 1),
    ],
)
def test_a_fault_that_does_not_answer(provider, carried_out, fault, error, arrives):
    with NetworkFaults(provider) as network:
        with network.broken(fault), pytest.raises(error):
            send(network.url)
        assert len(carried_out) == arrives
        assert send(network.url)[0] == 201


def test_it_stands_before_a_real_server_too(provider, carried_out):
    with NetworkFaults(provider) as server, NetworkFaults(server.url + "/v1") as network:
        assert send(network.url, body=b'{"a": 1}') == (201, b'{"status": "paid"}', "yes")
        with network.broken(Fault.ERROR_500_AFTER):
            assert send(network.url)[0] == 500
    assert carried_out == [("POST", "/v1/charges", b'{"a": 1}'), ("POST", "/v1/charges", b"{}")]


def test_a_status_nobody_has_seen_is_made_by_the_author(provider):
    with (
        NetworkFaults(provider, unseen=lambda reply: evolve(reply, body=b'{"status": "new"}')) as network,
        network.broken(Fault.UNSEEN_STATUS),
    ):
        assert send(network.url)[1] == b'{"status": "new"}'
    with NetworkFaults(provider) as network, pytest.raises(AssertionError, match="unseen"):
        network.broken(Fault.UNSEEN_STATUS).__enter__()


def test_requests_are_kept_those_not_handed_on_too(provider):
    with NetworkFaults(provider) as network:
        with network.broken(Fault.ERROR_500_BEFORE):
            send(network.url, "/first")
        send(network.url, "/second")
        assert [request.path for request in network.requests()] == ["/first", "/second"]
