"""Checks of webhooks: only what is signed is read, what is signed is read in full, and nothing else happens."""

from collections.abc import Sequence

import pytest

from billcore.errors import PluginError
from billcore.plugins.checks import events_problem
from billcore.plugins.gateway import (
    Capability,
    ReceivesWebhooks,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    receive,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer
from billcore.testing.deliveries import WebhookSender
from billcore.testing.fixtures import GatewayFixtures, requires
from billcore.testing.offline import no_network
from billcore.testing.rules import Rule, broken, check

FORGERIES = ("altered", "unsigned", "forged")


class Webhooks(GatewayFixtures):
    """Deliveries of the provider."""

    @pytest.fixture
    def body(self, kit: Kit, payer: Payer, webhook_sender: WebhookSender) -> bytes:
        """The body of an event about a charge."""
        return webhook_sender.charge_body(*kit.paid(payer))

    @requires(Capability.WEBHOOKS)
    def test_a_signed_delivery_names_its_attempt(self, kit: Kit, payer: Payer, webhook_sender: WebhookSender) -> None:
        """By our id, or by the provider's; what it says beside that is asked for again."""
        charge, approved = kit.paid(payer)
        body = webhook_sender.charge_body(charge, approved)
        events = believed(kit, webhook_sender.deliver(body, kit.now()), rules.WEBHOOK_READ)
        named = any(
            event.kind is WebhookKind.ATTEMPT
            and (event.attempt_id == charge.attempt_id or event.gateway_id == approved.gateway_id)
            for event in events
        )
        check(named, rules.WEBHOOK_READ, f"{charge.attempt_id} was charged as {approved.gateway_id}: {list(events)}")

    @requires(Capability.WEBHOOKS)
    def test_events_are_a_list(self, kit: Kit, webhook_sender: WebhookSender, body: bytes) -> None:
        """Not a generator: its first line runs when somebody reads the events."""
        gateway = kit.gateway
        assert isinstance(gateway, ReceivesWebhooks)
        problem = events_problem(gateway.parse_webhook(webhook_sender.deliver(body, kit.now())))
        check(not problem, rules.WEBHOOK_LIST, problem)

    @requires(Capability.WEBHOOKS)
    @pytest.mark.parametrize("forgery", FORGERIES)
    def test_what_is_not_signed_is_rejected(
        self, kit: Kit, webhook_sender: WebhookSender, body: bytes, forgery: str
    ) -> None:
        """Anybody can send to an address on the Internet."""
        make = {"altered": webhook_sender.altered, "unsigned": webhook_sender.unsigned}
        rejected(kit, make.get(forgery, webhook_sender.forged)(body, kit.now()), rules.WEBHOOK_SIGNATURE, forgery)

    @requires(Capability.WEBHOOKS)
    @pytest.mark.parametrize("garbage", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"<xml/>", b"[" * 5000])
    def test_garbage_is_rejected(self, kit: Kit, webhook_sender: WebhookSender, garbage: bytes) -> None:
        """Whatever a stranger sends, unsigned or signed by him: no other exception, and no event."""
        now = kit.now()
        for delivery in (webhook_sender.unsigned(garbage, now), webhook_sender.forged(garbage, now)):
            rejected(kit, delivery, rules.WEBHOOK_SIGNATURE, f"{garbage[:20]!r}")

    @requires(Capability.WEBHOOKS)
    @pytest.mark.parametrize("time", ["stale", "from_the_future"])
    def test_an_old_signature_is_rejected(
        self, kit: Kit, webhook_sender: WebhookSender, body: bytes, time: str
    ) -> None:
        """A delivery that somebody recorded is not played again later."""
        if not webhook_sender.signs_time:
            pytest.skip("the provider's signatures have no time")
        make = webhook_sender.stale if time == "stale" else webhook_sender.from_the_future
        rejected(kit, make(body, kit.now()), rules.WEBHOOK_AGE, time.replace("_", " "))

    @requires(Capability.WEBHOOKS)
    def test_an_event_of_another_kind_is_no_error(self, kit: Kit, webhook_sender: WebhookSender) -> None:
        """Else the provider repeats it for days, and then stops delivering."""
        events = believed(kit, webhook_sender.deliver(webhook_sender.other_body(), kit.now()), rules.WEBHOOK_OTHER)
        about = [event for event in events if event.kind in (WebhookKind.ATTEMPT, WebhookKind.METHOD)]
        check(not about, rules.WEBHOOK_OTHER, f"{about}")

    @requires(Capability.WEBHOOKS)
    def test_an_event_keeps_its_key(self, kit: Kit, payer: Payer, webhook_sender: WebhookSender, body: bytes) -> None:
        """Doubled deliveries are told by it, and two events are not taken for one."""
        other = webhook_sender.charge_body(*kit.paid(payer))
        keys = [
            [event.key for event in believed(kit, delivery, rules.WEBHOOK_KEY)]
            for delivery in webhook_sender.doubled([body, other], kit.now())
        ]
        check(keys[0] == keys[1], rules.WEBHOOK_KEY, f"delivered twice, it is {keys[0]} and {keys[1]}")
        check(not set(keys[0]) & set(keys[2]), rules.WEBHOOK_KEY, f"two events are both {keys[0]}")

    @requires(Capability.WEBHOOKS)
    def test_reading_a_delivery_makes_no_call(self, kit: Kit, webhook_sender: WebhookSender, body: bytes) -> None:
        """The provider waits for an answer, and an attacker would have a lever."""
        delivery = webhook_sender.deliver(body, kit.now())
        with no_network() as tried:
            believed(kit, delivery, rules.WEBHOOK_QUIET)
        check(not tried, rules.WEBHOOK_QUIET, ", ".join(tried))

    @requires(Capability.WEBHOOKS)
    def test_the_secret_before_is_accepted_while_it_is_rotated(
        self, kit: Kit, webhook_sender: WebhookSender, body: bytes
    ) -> None:
        """Deliveries that were signed before the change still arrive after it."""
        if webhook_sender.previous_secret is None:
            pytest.skip("the webhook_sender has no previous_secret")
        now = kit.now()
        headers = webhook_sender.sign(body, now, webhook_sender.previous_secret)
        believed(kit, WebhookRequest(headers, body, now), rules.WEBHOOK_ROTATION)


def believed(kit: Kit, delivery: WebhookRequest, rule: Rule) -> Sequence[WebhookEvent]:
    """The events of a delivery that must be believed."""
    __tracebackhide__ = True
    try:
        return receive(kit.gateway, delivery)
    except PluginError as error:
        return broken(_blamed(error, rule), f"{error.message}{_cause(error)}")


def rejected(kit: Kit, delivery: WebhookRequest, rule: Rule, what: str) -> None:
    """Check that a delivery is not believed, whatever else the gateway thinks of it."""
    __tracebackhide__ = True
    try:
        events = receive(kit.gateway, delivery)
    except WebhookRejected:
        return
    except PluginError as error:
        broken(_blamed(error, rule), f"{what}: {error.message}{_cause(error)}")
    broken(rule, f"{what}: it was believed, {list(events)}")


def _blamed(error: PluginError, rule: Rule) -> Rule:
    """Events that are none break their own rule, whatever was to be shown with them."""
    return rules.WEBHOOK_LIST if error.code == "plugin_failed" and error.__cause__ is None else rule


def _cause(error: PluginError) -> str:
    return f" ({error.__cause__!r:.200})" if error.__cause__ else ""
