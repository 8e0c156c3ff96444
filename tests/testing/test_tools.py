"""The tools of the suite do what they say, also for who uses them alone."""

import logging
import socket
import subprocess
import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

import billcore.testing
from billcore.plugins.gateway import (
    GatewayMisconfigured,
    Secret,
    WebhookRejected,
    WebhookRequest,
    verify_age,
    verify_hmac_sha256,
)
from billcore.testing import WebhookSender, everything_logged, everything_told, leaks, no_network
from billcore_gateway_test.webhook import sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "sk_live_4711/+ü"


def test_every_public_name_is_there():
    assert [name for name in billcore.testing.__all__ if getattr(billcore.testing, name) is None] == []
    assert dir(billcore.testing) == sorted(billcore.testing.__all__)
    with pytest.raises(AttributeError):
        billcore.testing.no_such_name  # noqa: B018


def test_the_tools_need_no_pytest():
    """The test gateway's users send webhooks from scripts; only the suite needs pytest."""
    program = (
        "import sys\n"
        "from billcore.testing import Fault, NetworkFaults, WebhookSender, leaks, no_network\n"
        "assert 'pytest' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Sender(WebhookSender):
    def sign(self, body, at, secret=None):
        return sign(Secret(secret or "whsec_now"), body, at)

    def charge_body(self, charge, outcome):
        return b"{}"

    def other_body(self):
        return b"[]"


def believed(delivery: WebhookRequest) -> bool:
    parts = dict(part.partition("=")[::2] for part in delivery.headers.get("test-signature", "t=0").split(","))
    try:
        verify_hmac_sha256(Secret("whsec_now"), f"{parts['t']}.".encode() + delivery.body, parts.get("v1", ""))
        verify_age(int(parts["t"]), delivery.received_at)
    except WebhookRejected:
        return False
    return True


def test_a_sender_makes_every_kind_of_delivery():
    sender = Sender()
    assert believed(sender.deliver(b"{}", NOW))
    late = sender.late(b"{}", NOW, timedelta(days=2))
    assert believed(late)
    assert late.received_at == NOW + timedelta(days=2)
    for forgery in (sender.stale, sender.from_the_future, sender.altered, sender.unsigned, sender.forged):
        assert not believed(forgery(b"{}", NOW))
    assert [one.body for one in sender.doubled([b"1", b"2"], NOW)] == [b"1", b"1", b"2", b"2"]
    orders = [[one.body for one in order] for order in sender.every_order([b"1", b"2", b"3"], NOW)]
    assert len(orders) == len({tuple(order) for order in orders}) == 6
    with pytest.raises(TypeError):
        WebhookSender()


@pytest.mark.parametrize(
    "text",
    [
        f"key {SECRET}",
        "https://pay.example/?key=sk_live_4711%2F%2B%C3%BC",
        "Authorization: Basic " + b64encode(f"{SECRET}:".encode()).decode(),
    ],
)
def test_a_secret_is_found_in_every_form_and_not_told(text):
    assert leaks([SECRET, "another"], text) == ["sk_l…"]
    assert leaks([SECRET], "sk_live_0815") == []


def test_everything_that_an_error_tells_is_seen():
    """Its text, its facts, and those of its causes."""
    error = GatewayMisconfigured("no", url="https://x")
    error.__cause__ = KeyError(SECRET)
    assert leaks([SECRET], everything_told(error)) == ["sk_l…"]
    assert "https://x" in everything_told(error)


def test_everything_that_is_logged_is_seen_and_the_levels_come_back():
    level = logging.getLogger().level
    with everything_logged() as lines:
        logging.getLogger("deep.down").debug("key %s", SECRET)
    assert f"key {SECRET}" in lines
    assert logging.getLogger().level == level
    logging.getLogger("deep.down").warning("later")
    assert "later" not in lines


def test_without_a_network_every_call_is_refused_and_told():
    with no_network() as tried:
        with pytest.raises(OSError, match="no network"):
            socket.create_connection(("pay.example", 443), timeout=1)
        with pytest.raises(OSError, match="no network"), socket.socket() as one:
            one.connect(("127.0.0.1", 9))
    assert [one.partition("(")[0] for one in tried] == ["getaddrinfo", "connect"]
    assert "pay.example" in tried[0]
    assert socket.getaddrinfo("127.0.0.1", 9)
