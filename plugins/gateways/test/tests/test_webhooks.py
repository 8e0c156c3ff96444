"""With a webhook_secret the test gateway tells what happens, signed, and reads it again (behaviour 9.3)."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from billcore.plugins.gateway import (
    Charge,
    GatewayMisconfigured,
    GatewayUnknown,
    Money,
    Refund,
    Secret,
    Vault,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    perform,
    perform_method,
    receive,
)
from billcore_gateway_test import Config, ScriptedGateway

USD = Money(4900, "USD")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = Secret("whsec_old"), Secret("whsec_new")


def charge(number=1, token="approve"):
    return Charge(f"pay_{number}", f"key_{number}", USD, token, "cus_1", f"inv_{number}")


@pytest.fixture
def gateway():
    return ScriptedGateway(Config(webhook_secret=NEW, previous_webhook_secret=OLD))


def told(gateway, at=NOW):
    return [event for body in gateway.events() for event in receive(gateway, gateway.delivery(body, at))]


def test_what_happened_is_told_in_order_and_names_the_attempt(gateway):
    perform(gateway, charge())
    perform(gateway, Refund("ref_1", "rkey_1", USD, "test_key_1"))
    assert told(gateway) == [
        WebhookEvent("evt_1", WebhookKind.ATTEMPT, "charge.approved", "pay_1", "test_key_1"),
        WebhookEvent("evt_2", WebhookKind.ATTEMPT, "refund.approved", "ref_1", "test_rkey_1", "test_key_1"),
    ]


def test_a_charge_whose_answer_was_lost_is_told_all_the_same_and_one_that_never_came_is_not(gateway):
    for number, token in enumerate(["timeout_after", "timeout_before", "unreachable"]):
        with pytest.raises(Exception, match="pay_"):
            perform(gateway, charge(number, token))
    assert [event.attempt_id for event in told(gateway)] == ["pay_0"]


def test_an_event_that_ends_an_attempt_follows_the_one_that_began_it(gateway):
    perform(gateway, charge(token="pending"))
    gateway.settle("pay_1", "approve")
    assert [event.text for event in told(gateway)] == ["charge.pending", "charge.approved"]


def test_a_delivery_may_come_before_the_reply(gateway):
    """F15: the webhook of a charge overtakes its answer."""
    order = []
    gateway.listen(lambda body: order.append(json.loads(body)["type"]))
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge(token="timeout_after"))
    assert order == ["charge.approved"]
    gateway.listen(None)
    perform(gateway, charge(2))
    assert len(order) == 1


def test_threads_tell_every_event_once(gateway):
    heard = []
    gateway.listen(heard.append)
    threads = [threading.Thread(target=perform, args=(gateway, charge(number))) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == sorted(gateway.events())


def test_signatures_of_both_secrets_hold_and_no_others(gateway):
    perform(gateway, charge())
    [body] = gateway.events()
    for secret in (OLD, NEW):
        sender = ScriptedGateway(Config(webhook_secret=secret))
        assert receive(gateway, sender.delivery(body, NOW))
    stranger = ScriptedGateway(Config(webhook_secret=Secret("another")))
    with pytest.raises(WebhookRejected):
        receive(gateway, stranger.delivery(body, NOW))
    with pytest.raises(GatewayMisconfigured):
        ScriptedGateway().sign(body, NOW)


@pytest.mark.parametrize("late_s", [-301, 301, 10**7])
def test_an_old_delivery_or_one_from_the_future_is_rejected(gateway, late_s):
    perform(gateway, charge())
    [body] = gateway.events()
    for seconds, believed in ((late_s, False), (300, True), (-300, True)):
        arrived = WebhookRequest(gateway.sign(body, NOW), body, NOW + timedelta(seconds=seconds))
        if believed:
            assert receive(gateway, arrived)
        else:
            with pytest.raises(WebhookRejected):
                receive(gateway, arrived)


@pytest.mark.parametrize(
    "headers", [{}, {"test-signature": ""}, {"test-signature": "t=x,v1=y"}, {"test-signature": "t=\u0661,v1=\u00e4"}]
)
def test_what_is_not_signed_is_rejected(gateway, headers):
    with pytest.raises(WebhookRejected):
        receive(gateway, WebhookRequest(headers, b"{}", NOW))


def test_an_event_of_a_kind_that_means_nothing_here_is_no_event(gateway):
    body = json.dumps({"id": "evt_9", "type": "payout.paid"}).encode()
    assert receive(gateway, gateway.delivery(body, NOW)) == ()


def test_kept_methods_are_told_too():
    gateway = ScriptedGateway(Config(vault=True, webhook_secret=NEW))
    method = perform_method(gateway, Vault("cus_1", "bank"))
    gateway.change(method.token, NOW, status="disabled")
    assert [(event.kind, event.text, event.token, event.customer_id) for event in told(gateway)] == [
        (WebhookKind.METHOD, "method.unverified", method.token, "cus_1"),
        (WebhookKind.METHOD, "method.disabled", method.token, "cus_1"),
    ]


def test_processes_that_share_a_book_number_events_alike(tmp_path):
    config = Config(book=str(tmp_path / "book.jsonl"), webhook_secret=NEW)
    first, second = ScriptedGateway(config), ScriptedGateway(config)
    perform(first, charge(1))
    perform(second, charge(2))
    perform(first, charge(3))
    assert first.events() == second.events()
    assert len(first.events()) == 3
    first.close()
    second.close()


def test_a_bounded_memory_cannot_keep_all_events():
    with pytest.raises(GatewayMisconfigured):
        ScriptedGateway(Config(remember=5, webhook_secret=NEW))
