"""Every way in which a call goes wrong, through the real SDK: what was surely not sent, and what is unknown."""

import logging
import socket
import ssl
import threading
import traceback

import pytest
import requests
import stripe
import urllib3

from billcore.plugins.gateway import (
    Approved,
    DeclineCode,
    Declined,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Money,
    Secret,
    perform,
)
from billcore_gateway_stripe.problems import judged
from billcore_gateway_stripe.refused import Question, Refused
from billcore_gateway_stripe.testing import KEY

CHARGES = "/v1/payment_intents"
QUESTION = Question("the charge pay_1", "pay_1")


@pytest.mark.parametrize("kind", ["timeout", "reset", "error_500", "garbage", "truncated"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_lost_answer_is_unknown_wherever_it_was_lost(fake, build, charge, kind, where):
    request = charge()
    fake.fault(kind, where, path=CHARGES)
    with pytest.raises(GatewayUnknown) as lost:
        perform(build(timeout_s=1), request)
    assert lost.value.facts["attempt_id"] == "pay_1"
    assert len(fake.charges("pay_1")) == (where == "after")


def test_a_call_that_is_still_under_way_is_unknown(fake, gateway, charge):
    """Another worker holds the key: the charge may be through in a moment."""
    request = charge()
    fake.fault("in_use", path=CHARGES)
    with pytest.raises(GatewayUnknown, match="still busy"):
        perform(gateway, request)


def test_a_rate_limit_is_not_sent(fake, gateway, charge):
    request = charge()
    fake.fault("rate_limit", path=CHARGES)
    with pytest.raises(GatewayNotSent):
        perform(gateway, request)
    assert isinstance(perform(gateway, request), Approved)


@pytest.mark.parametrize("kind", ["unauthorized", "forbidden"])
def test_a_key_without_rights_is_a_misconfiguration(fake, gateway, charge, kind):
    request = charge()
    fake.fault(kind, path=CHARGES)
    with pytest.raises(GatewayMisconfigured):
        perform(gateway, request)


def test_a_refused_connection_is_not_sent(build, charge):
    request = charge()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(GatewayNotSent, match="could not be reached"):
        perform(build(base_url=f"http://127.0.0.1:{port}"), request)


def test_a_host_that_there_is_not_is_not_sent(build, charge):
    request = charge()
    with pytest.raises(GatewayNotSent):
        perform(build(base_url="http://stripe.invalid"), request)


def test_a_server_that_hangs_up_without_a_word_is_unknown(build, charge):
    """The request had been written: whether it was read nobody knows."""
    request = charge()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            connection, _ = server.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(GatewayUnknown):
            perform(build(base_url=f"http://127.0.0.1:{server.getsockname()[1]}"), request)
        thread.join()


def connection_error(cause):
    """The SDK's one exception for a call without an answer, raised from what its transport raised."""
    error = stripe.APIConnectionError("Unexpected error communicating with Stripe: Bearer sk_test_canary")
    error.__cause__ = cause
    return error


def wrapped(reason):
    pool = urllib3.HTTPConnectionPool("api.stripe.com")
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/v1/charges", reason))


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (wrapped(urllib3.exceptions.NewConnectionError(None, "refused")), GatewayNotSent),
        (wrapped(urllib3.exceptions.NameResolutionError("x", None, socket.gaierror())), GatewayNotSent),
        (requests.exceptions.ConnectTimeout(urllib3.exceptions.ConnectTimeoutError()), GatewayNotSent),
        (wrapped(urllib3.exceptions.ProxyError("no proxy", OSError("refused"))), GatewayNotSent),
        (wrapped(urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))), GatewayMisconfigured),
        (requests.exceptions.InvalidHeader("Bearer sk_test_canary\n"), GatewayMisconfigured),
        (requests.exceptions.InvalidSchema("ftp"), GatewayMisconfigured),
        (wrapped(urllib3.exceptions.SSLError(ssl.SSLError("bad record"))), GatewayUnknown),
        (requests.exceptions.ReadTimeout(urllib3.exceptions.ReadTimeoutError(None, "", "slow")), GatewayUnknown),
        (
            requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionResetError())),
            GatewayUnknown,
        ),
        (requests.exceptions.ChunkedEncodingError(), GatewayUnknown),
        (requests.exceptions.ConnectionError("what is this"), GatewayUnknown),
        (RuntimeError("what is this"), GatewayUnknown),
        (None, GatewayUnknown),
    ],
)
def test_the_transports_error_tells_how_far_a_call_got(cause, kind):
    outcome = judged(connection_error(cause), QUESTION, ("sk_test_canary",))
    assert type(outcome) is kind
    assert "canary" not in str(outcome)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (stripe.APIError("?", http_status=409, json_body={"error": {"code": "lock"}}), "broken"),
        (stripe.APIError("?", http_status=503, json_body={"error": {"message": "down"}}), "broken"),
        (stripe.StripeError("?", http_status=418, json_body={"error": {"message": "?"}}), "broken"),
        (stripe.APIError("?", http_status=200), GatewayUnknown),
        (stripe.APIError("?", http_status=403, json_body="<html>a proxy's</html>"), GatewayUnknown),
    ],
)
def test_an_answer_of_no_known_kind_is_unknown(error, kind):
    """Also a 403 that some proxy answered, in HTML: only Stripe's own words say that nothing was done."""
    outcome = judged(error, QUESTION, ())
    assert isinstance(outcome, Refused if kind == "broken" else GatewayUnknown)
    assert not isinstance(outcome, Refused) or outcome.kind == kind


def test_a_key_that_was_used_for_another_amount_charges_nothing(fake, gateway, charge):
    perform(gateway, charge())
    with pytest.raises(GatewayMisconfigured, match="key"):
        perform(gateway, charge(amount=Money(9900, "USD")))
    assert [row["amount"] for row in fake.charges()] == [4900]


def test_a_key_that_was_used_in_other_words_is_the_same_charge(fake, build, gateway, charge):
    """An upgrade or a changed configuration between a charge and its repetition must not make it look undone."""
    first = perform(gateway, charge())
    changed = build(statement_suffix="RENAMED")
    assert perform(changed, charge()) == first
    assert len(fake.charges()) == 1


def test_a_failure_that_stripe_stored_under_the_key_does_not_hide_the_charge(fake, gateway, charge):
    """Stripe answers a repeated call with the stored failure for a day; the charge itself is asked instead."""
    request = charge()
    fake.fault("error_500", "after", path=CHARGES)
    with pytest.raises(GatewayUnknown):
        perform(gateway, request)
    assert isinstance(perform(gateway, request), Approved)
    assert len(fake.charges()) == 1


def test_a_repeated_call_answers_what_the_charge_is_now(fake, gateway, charge, vault):
    waiting = vault(authenticate="always")
    asked = perform(gateway, charge(method=waiting))
    fake.call("authenticate", id=asked.gateway_id, granted=True)
    assert perform(gateway, charge(method=waiting)) == Approved(asked.gateway_id, 4900, "USD")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"amount": Money(10, "USD")}, "at least 50"),
        ({"amount": Money(100_000_000, "USD")}, "no more than"),
        ({"amount": Money(5124, "KWD")}, "in steps of"),
        ({"amount": Money(100, "UGX")}, "not certain"),
    ],
)
def test_an_amount_that_stripe_does_not_take_is_no_decline(gateway, charge, more, said):
    """Another card would not help, so the customer is not asked for one."""
    with pytest.raises(GatewayMisconfigured, match=said):
        perform(gateway, charge(**more))


@pytest.mark.parametrize("what", ["gateway_method", "gateway_customer"])
def test_a_method_or_customer_that_is_not_there_is_a_dead_method(gateway, charge, what):
    outcome = perform(gateway, charge(**{what: f"{'pm' if what == 'gateway_method' else 'cus'}_gone"}))
    assert isinstance(outcome, Declined)
    assert outcome.code is DeclineCode.METHOD_UNKNOWN


def test_a_method_of_the_other_mode_is_a_mistaken_key():
    error = {
        "code": "resource_missing",
        "param": "payment_method",
        "message": "No such PaymentMethod: 'pm_1'; a similar object exists in live mode, but a test mode key was used.",
    }
    assert not Refused("invalid", 400, error).is_missing("payment_method")


def everything_told(error):
    """All that a log could show of an exception: its text, its repr, its causes and contexts, its traceback."""
    texts = ["".join(traceback.format_exception(error)), repr(error), str(error.facts)]
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("kind", ["reset", "error_500", "garbage", "rate_limit", "in_use", "unauthorized"])
def test_no_secret_and_no_header_leaves_with_an_error(fake, gateway, charge, caplog, kind):
    request = charge()
    caplog.set_level(logging.DEBUG)
    fake.fault(kind, path=CHARGES)
    with pytest.raises((GatewayUnknown, GatewayNotSent, GatewayMisconfigured)) as raised:
        perform(gateway, request)
    told = everything_told(raised.value) + caplog.text
    for secret in (KEY, "whsec_", "Bearer", "Idempotency-Key", "Authorization", "Request-Id"):
        assert secret not in told
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_provider_that_repeats_our_key_is_not_repeated(build, charge):
    """This fake answers a wrong key with the key itself, as no log may."""
    request, key = charge(), "sk_test_" + "yranac"[::-1]
    with pytest.raises(GatewayMisconfigured) as refused:
        perform(build(api_key=Secret(key)), request)
    assert "canary" not in everything_told(refused.value)
    assert "***" in str(refused.value)


def test_a_verb_ends_before_billcores_deadline(fake, build, charge):
    """Every call of a verb shares its time: a lookup over slow pages does not take a minute."""
    request = charge()
    gateway = build(timeout_s=1)
    wire = gateway._connected().wire
    with wire.verb():
        wire._local.ends_ns = 0
        with pytest.raises(GatewayUnknown, match="no time left"):
            gateway.charge(request)
    assert fake.charges() == []
