"""Several threads and several gateways at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import stripe

from billcore.plugins.gateway import Approved, Describe, GatewayUnknown, Lookup, Money, Vault, perform, perform_method
from billcore_gateway_stripe.testing import FakeStripe

USD = Money(4900, "USD")


def outcome_of(gateway, request):
    try:
        return perform(gateway, request)
    except GatewayUnknown as unknown:
        return unknown


def test_the_same_charge_from_many_threads_is_one_charge(fake, gateway, charge):
    """Those who come while the first is under way learn nothing, and find it a moment later."""
    request = charge()
    fake.fault("slow", path="/v1/payment_intents", seconds=1)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: outcome_of(gateway, request), range(8)))
    assert {type(outcome) for outcome in outcomes} <= {Approved, GatewayUnknown}
    assert len(fake.charges("pay_1")) == 1
    assert isinstance(perform(gateway, Lookup("pay_1", USD, gateway_customer=request.gateway_customer)), Approved)


def test_many_charges_from_many_threads_go_through_once_each(fake, gateway, charge):
    charge()
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda number: perform(gateway, charge(number)), range(100, 180)))
    assert {type(outcome) for outcome in outcomes} == {Approved}
    assert sorted(row["attempt_id"] for row in fake.charges()) == [f"pay_{number}" for number in range(100, 180)]


def test_a_customer_who_comes_twice_at_once_is_made_once(fake, gateway):
    tokens = [fake.new_method() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda token: perform_method(gateway, Vault("cus_1", token)), tokens))
    assert len({one.gateway_customer for one in kept}) == 1


def test_two_gateways_share_nothing(fake, build, charge):
    """Neither accounts, nor keys, nor connections; the SDK's own globals are as they were."""
    before = (stripe.api_key, stripe.api_base, stripe.api_version, stripe.default_http_client, stripe.app_info)
    with FakeStripe() as other:
        here, there = build(), build(base_url=other.url)
        request = charge()
        assert isinstance(perform(here, request), Approved)
        perform_method(there, Vault("cus_1", other.new_method()))
        assert perform(there, Lookup("pay_1", USD)).attempt_id == "pay_1"
        assert other.charges() == []
    after = (stripe.api_key, stripe.api_base, stripe.api_version, stripe.default_http_client, stripe.app_info)
    assert before == after
    assert before[0] is None


def test_a_closed_gateway_leaves_no_connection_and_no_thread_behind(fake, build, charge):
    request = charge()
    gateway = build()
    perform(gateway, request)
    threads = threading.active_count()
    gateway.close()
    gateway.close()
    assert threading.active_count() <= threads
    assert isinstance(perform(gateway, request), Approved)


def test_nothing_is_remembered_from_one_call_to_the_next(build):
    """A cookie of one thread's answer would be sent with another thread's call."""
    cookies = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            cookies.append(self.headers.get("Cookie"))
            self.send_response(500)
            self.send_header("Set-Cookie", "who=somebody; Path=/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    gateway = build(base_url=f"http://127.0.0.1:{server.server_address[1]}")
    for _ in range(2):
        with pytest.raises(GatewayUnknown):
            perform_method(gateway, Describe("pm_1"))
    server.shutdown()
    server.server_close()
    serving.join()
    assert cookies == [None, None]


def test_credentials_that_lie_about_on_the_machine_are_not_sent(gateway, charge, monkeypatch, tmp_path):
    """requests would take them from a .netrc, in place of the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert isinstance(perform(gateway, charge()), Approved)
