"""Webhooks: signed with a secret that holds, of our time, mode and account; then a pointer to what it is about."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from billcore.plugins.gateway import (
    MAX_BODY,
    HostedPage,
    Secret,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    perform,
    perform_method,
    receive,
)
from billcore_gateway_stripe.webhooks import EVENTS

OLD, NEW = "whsec_old_of_the_tests", "whsec_new_of_the_tests"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())


def delivery(body, secret=NEW, at=AT, received_at=NOW, signature=None):
    header = signature or stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return WebhookRequest({"Stripe-Signature": header}, body.encode(), received_at)


def event(name="payment_intent.succeeded", subject=None, **more):
    subject = {"id": "pi_1", "metadata": {"attempt_id": "pay_1"}} if subject is None else subject
    fields = {"id": "evt_1", "object": "event", "type": name, "livemode": False, "data": {"object": subject}, **more}
    return json.dumps(fields)


def test_an_event_about_a_charge_points_to_our_attempt(gateway):
    subject = {"id": "pi_1", "customer": "cus_s", "metadata": {"attempt_id": "pay_1", "customer_id": "cus_1"}}
    [told] = receive(gateway, delivery(event(subject=subject)))
    assert told == WebhookEvent(
        "evt_1",
        WebhookKind.ATTEMPT,
        "payment_intent.succeeded",
        attempt_id="pay_1",
        gateway_id="pi_1",
        customer_id="cus_1",
        gateway_customer="cus_s",
    )


@pytest.mark.parametrize(
    ("name", "subject", "wanted"),
    [
        ("payment_intent.succeeded", {"id": "pi_1", "metadata": {}}, None),
        ("payment_intent.created", {"id": "pi_1", "metadata": {"attempt_id": "pay_1"}}, None),
        ("charge.succeeded", {"id": "ch_1", "metadata": {"attempt_id": "pay_1"}}, None),
        ("invoice.paid", {"id": "in_1"}, None),
        (
            "refund.failed",
            {"id": "re_1", "payment_intent": "pi_1", "metadata": {"attempt_id": "ref_1"}},
            {"kind": "attempt", "attempt_id": "ref_1", "gateway_id": "re_1", "of": "pi_1"},
        ),
        (
            "refund.created",
            {"id": "re_2", "payment_intent": None, "charge": "ch_1", "metadata": {}},
            {"kind": "attempt", "gateway_id": "re_2", "of": "ch_1"},
        ),
        (
            "setup_intent.succeeded",
            {"id": "seti_1", "payment_method": "pm_1", "customer": "cus_s", "metadata": {"customer_id": "cus_1"}},
            {"kind": "method", "token": "pm_1", "customer_id": "cus_1", "gateway_customer": "cus_s"},
        ),
        (
            "setup_intent.setup_failed",
            {"id": "seti_1", "payment_method": None, "last_setup_error": {"payment_method": {"id": "pm_1"}}},
            {"kind": "method", "token": "pm_1"},
        ),
        ("setup_intent.canceled", {"id": "seti_1", "payment_method": None}, None),
        (
            "payment_method.automatically_updated",
            {"id": "pm_1", "customer": "cus_s"},
            {"kind": "method", "token": "pm_1", "gateway_customer": "cus_s"},
        ),
        ("mandate.updated", {"id": "mandate_1", "payment_method": "pm_1"}, {"kind": "method", "token": "pm_1"}),
        ("mandate.updated", {"id": "mandate_1", "payment_method": None}, None),
        (
            "charge.dispute.funds_withdrawn",
            {"id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1"},
            {"kind": "dispute", "gateway_id": "dp_1", "of": "pi_1"},
        ),
    ],
)
def test_each_kind_of_event_points_to_its_subject(gateway, name, subject, wanted):
    told = receive(gateway, delivery(event(name, subject)))
    expected = () if wanted is None else (WebhookEvent("evt_1", WebhookKind(wanted.pop("kind")), name, **wanted),)
    assert told == expected


def test_a_detached_method_still_says_whose_it_was(gateway):
    body = event("payment_method.detached", {"id": "pm_1", "customer": None})
    fields = json.loads(body)
    fields["data"]["previous_attributes"] = {"customer": "cus_s"}
    [told] = receive(gateway, delivery(json.dumps(fields)))
    assert (told.token, told.gateway_customer) == ("pm_1", "cus_s")


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_to_subscribe_is_understood(gateway, name):
    subject = {"id": "x_1", "payment_method": "pm_1", "metadata": {"attempt_id": "pay_1"}}
    [told] = receive(gateway, delivery(event(name, subject)))
    assert told.text == name


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_both_secrets_hold_while_one_is_rotated(gateway, secret):
    assert receive(gateway, delivery(event(), secret))


def altered(request, **changes):
    body = changes.get("body", request.body)
    headers = changes.get("headers", request.headers)
    return WebhookRequest(headers, body, changes.get("received_at", request.received_at))


GOOD = delivery(event())
SIGNED = GOOD.headers["stripe-signature"]


@pytest.mark.parametrize(
    "request_",
    [
        delivery(event(), "whsec_of_somebody_else"),
        altered(GOOD, body=GOOD.body + b" "),
        altered(GOOD, body=json.dumps(json.loads(GOOD.body), indent=1).encode()),
        altered(GOOD, body=GOOD.body.replace(b"pay_1", b"pay_2")),
        altered(GOOD, body=b"\xff\xfe"),
        altered(GOOD, body=b""),
        altered(GOOD, headers={}),
        altered(GOOD, headers={"Stripe-Signature": ""}),
        altered(GOOD, headers={"Stripe-Signature": "t=,v1="}),
        altered(GOOD, headers={"Stripe-Signature": "nonsense"}),
        altered(GOOD, headers={"Stripe-Signature": "t=ünïcode,v1=ünïcode"}),
        altered(GOOD, headers={"Stripe-Signature": SIGNED.replace("v1=", "v0=")}),
        altered(GOOD, headers={"Stripe-Signature": SIGNED.replace(f"t={AT}", f"t={AT + 1}")}),
        altered(GOOD, received_at=NOW + timedelta(seconds=301)),
        altered(GOOD, received_at=NOW - timedelta(seconds=301)),
        altered(GOOD, body=b"x" * (MAX_BODY + 1)),
        delivery("[]"),
        delivery("not json"),
        delivery('{"object": "v2.core.event", "id": "evt_1", "type": "v2.x"}'),
        delivery(event(livemode=True)),
        delivery(event(livemode=None)),
        delivery(event(account="acct_1other")),
    ],
)
def test_a_delivery_that_is_not_to_be_believed_is_rejected(gateway, request_):
    with pytest.raises(WebhookRejected) as rejected:
        receive(gateway, request_)
    assert "whsec_" not in str(rejected.value)


def test_a_replayed_delivery_does_not_get_younger_by_a_second_time(gateway):
    """The first time in a signature is the signed one; one that is written behind it, or oddly, must not count."""
    body = event()
    old = stripe.WebhookSignature.generate_signature_header(body, NEW, AT - 9000)
    time, signature = old.split(",")
    for header in (f"{time},t={AT},{signature}", f"t= {AT - 9000},t={AT},{signature}", f"t={AT},{time},{signature}"):
        with pytest.raises(WebhookRejected):
            receive(gateway, delivery(body, signature=header))


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_the_clock_that_counts_is_that_of_the_arrival(gateway, seconds):
    """Not the machine's: a delivery is worked on again when it is replayed from the inbox."""
    assert receive(gateway, altered(GOOD, received_at=NOW + timedelta(seconds=seconds)))


def test_a_connected_account_hears_its_own_events_only(build):
    gateway = build(account="acct_1mine")
    assert receive(gateway, delivery(event(account="acct_1mine")))
    for body in (event(), event(account="acct_1other")):
        with pytest.raises(WebhookRejected, match="another account"):
            receive(gateway, delivery(body))


def test_a_live_key_hears_live_events_only(build):
    gateway = build(api_key=Secret("sk_live_x"))
    assert receive(gateway, delivery(event(livemode=True)))
    with pytest.raises(WebhookRejected, match="two modes"):
        receive(gateway, delivery(event()))


def test_without_a_secret_nothing_is_believed(build):
    with pytest.raises(WebhookRejected, match="No signing secret"):
        receive(build(webhook_secrets=()), GOOD)


def test_a_delivery_is_parsed_without_a_call(fake, build):
    gateway = build(base_url="http://127.0.0.1:9")
    assert receive(gateway, GOOD)
    assert fake.requests() == []


def test_what_the_fake_sends_is_understood(fake, gateway, charge, vault, refund):
    """The real scheme of signatures, over the whole life of payments and methods."""
    of = perform(gateway, charge(1)).gateway_id
    perform(gateway, charge(2, vault(at_charge="lost_card")))
    asked = perform(gateway, charge(3, vault(authenticate="always")))
    fake.call("authenticate", id=asked.gateway_id, granted=True)
    refunded = perform(gateway, refund(of))
    fake.call("refund", id=refunded.gateway_id, status="failed")
    fake.call("dispute", id=asked.gateway_id, status="needs_response")
    fake.call("dispute", id=asked.gateway_id, status="lost")
    page = perform_method(gateway, HostedPage("cus_9", "https://shop.example/done"))
    fake.call("complete", id=page.url.rpartition("/")[2], method="visa")
    told = {}
    for sent in fake.events(NEW):
        received = WebhookRequest({"Stripe-Signature": sent["signature"]}, sent["body"].encode(), datetime.now(UTC))
        for one in receive(gateway, received):
            told.setdefault(one.text, one)
    assert told["payment_intent.succeeded"].attempt_id == "pay_1"
    assert told["payment_intent.payment_failed"].attempt_id == "pay_2"
    assert told["payment_intent.requires_action"].attempt_id == "pay_3"
    assert (told["refund.failed"].attempt_id, told["refund.failed"].of) == ("ref_1", of)
    assert told["charge.dispute.closed"].of == asked.gateway_id
    assert told["setup_intent.succeeded"].customer_id == "cus_9"
    assert told["setup_intent.succeeded"].gateway_customer == page.gateway_customer
    assert len({one.key for one in told.values()}) == len(told)


@pytest.mark.parametrize("knobs", [{"forged": True}, {"age_s": 400}, {"age_s": -400}])
def test_what_a_forger_sends_is_not(fake, gateway, charge, knobs):
    perform(gateway, charge())
    for sent in fake.events(NEW, **knobs):
        received = WebhookRequest({"Stripe-Signature": sent["signature"]}, sent["body"].encode(), datetime.now(UTC))
        with pytest.raises(WebhookRejected):
            receive(gateway, received)
