"""Which deliveries are taken in, and that each is taken in once (behaviour 9.3; promises F14, F18)."""

import json
import threading
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.card_number import has_card_number, without_card_numbers
from billcore.errors import PluginError
from billcore.plugins.gateway import MAX_BODY, GatewayMisconfigured, Secret, WebhookEvent, WebhookKind, WebhookRejected
from billcore.store.sqlite import sqlite_engine
from tests.builders import HandClock, dump, refusal
from tests.fakes import SECRET, Config, Fake, attempt_event, delivery, fake_books

EVENT = attempt_event("pay_1")


def rejected(billing, headers, body):
    """The one refusal that all of these get; it leaves nothing behind and tells nothing."""
    before = dump(billing)
    error = refusal(billing.webhooks.receive, "fake", headers, body)
    assert isinstance(error, WebhookRejected) and error.code == "webhook_rejected"
    assert error.message == "The webhook's signature does not hold." and error.remedy == ""
    assert dump(billing) == before
    return error


@pytest.fixture
def billing():
    return fake_books()[0]


def test_a_forged_delivery_is_not_believed(billing) -> None:
    headers, body = delivery(EVENT, at=billing.clock.wall(), secret="whsec_other")
    rejected(billing, headers, body)
    rejected(billing, {}, body)
    rejected(billing, {"Fake-Signature": ""}, body)
    rejected(billing, {"Fake-Signature": "t=1,v1=" + "0" * 64}, body)
    rejected(billing, {"Fake-Signature": "t=½,v1=ä"}, body)


@pytest.mark.parametrize("minutes", [-6, -60 * 24, 6, 60 * 24])
def test_a_delivery_that_is_too_old_or_from_the_future_is_not_believed(billing, minutes) -> None:
    """Who has recorded one may send it again only as long as its event is known here anyway."""
    headers, body = delivery(EVENT, at=billing.clock.wall() + timedelta(minutes=minutes))
    error = rejected(billing, headers, body)
    assert "too old" in str(error.__cause__)  # Our own log may know.


def test_an_altered_body_is_not_believed(billing) -> None:
    headers, body = delivery(EVENT, at=billing.clock.wall())
    for changed in (body + b" ", body + b"\x00", body[:-1], body.replace(b"pay_1", b"pay_2"), b"", b"\xff\xfe"):
        rejected(billing, headers, changed)


def test_json_that_was_read_and_written_anew_is_not_believed(billing) -> None:
    """Hosts hand on the raw body: another one that says the same has another signature."""
    headers, body = delivery(EVENT, at=billing.clock.wall())
    rejected(billing, headers, json.dumps(json.loads(body)).encode())
    assert billing.webhooks.receive("fake", headers, body).accepted == 1


def test_a_signature_belongs_to_its_time(billing) -> None:
    headers, body = delivery(EVENT, at=billing.clock.wall())
    signature = headers["Fake-Signature"]
    later = signature.replace(signature[2:12], str(int(signature[2:12]) + 1))
    rejected(billing, {"Fake-Signature": later}, body)


def test_both_secrets_hold_while_one_is_rotated() -> None:
    fake = Fake(Config((Secret("whsec_new"), Secret("whsec_old"))))
    billing, _ = fake_books(gateway=fake)
    now = billing.clock.wall()
    for key, secret in (("evt_1", "whsec_new"), ("evt_2", "whsec_old")):
        assert billing.webhooks.receive("fake", *delivery(evolve(EVENT, key=key), at=now, secret=secret)).accepted == 1
    rejected(billing, *delivery(EVENT, at=now, secret=SECRET))
    rejected(billing, *delivery(EVENT, at=now, secret=""))


def test_a_body_of_a_megabyte_is_taken_and_a_longer_one_is_not(billing) -> None:
    headers, body = delivery(EVENT, at=billing.clock.wall(), extra=b" " * (MAX_BODY - 300))
    assert billing.webhooks.receive("fake", headers, body).accepted == 1
    rejected(billing, *delivery(EVENT, at=billing.clock.wall(), extra=b" " * MAX_BODY))


def test_a_body_is_bytes(billing) -> None:
    headers, body = delivery(EVENT, at=billing.clock.wall())
    assert refusal(billing.webhooks.receive, "fake", headers, body.decode()).code == "invalid_value"
    assert billing.webhooks.receive("fake", headers, bytearray(body)).accepted == 1


def test_headers_come_as_any_framework_has_them(billing) -> None:
    for number, form in enumerate(
        (
            lambda headers: {name.upper(): value for name, value in headers.items()},
            lambda headers: [(name.encode(), value.encode()) for name, value in headers.items()],
            lambda headers: iter([("Accept", "a"), ("Accept", "b"), *headers.items()]),
        )
    ):
        headers, body = delivery(evolve(EVENT, key=f"evt_{number}"), at=billing.clock.wall())
        assert billing.webhooks.receive("fake", form(headers), body).accepted == 1


# -- what is wrong on our side -------------------------------------------------------------------------------


def test_a_broken_plugin_lets_the_gateway_come_again() -> None:
    """An error is not a 2xx: nothing was stored, so the delivery must not count as taken."""
    billing, fake = fake_books()
    headers, body = delivery(EVENT, at=billing.clock.wall())

    def broken(request) -> None:
        raise RuntimeError("a bug, and sk_live_canary")

    fake.parsing = broken
    error = refusal(billing.webhooks.receive, "fake", headers, body)
    assert isinstance(error, PluginError) and error.code == "plugin_failed" and "canary" not in str(error)
    assert billing.webhooks.list() == []
    fake.parsing = lambda request: None
    assert billing.webhooks.receive("fake", headers, body).accepted == 1


def test_an_answer_against_the_contract_is_not_stored(billing) -> None:
    for event in (
        WebhookEvent("", WebhookKind.OTHER),
        WebhookEvent("evt_1", WebhookKind.ATTEMPT),
        WebhookEvent("evt_1", WebhookKind.METHOD, token="4242424242424242"),
        WebhookEvent("evt_1", WebhookKind.OTHER, "x" * 1000),
    ):
        headers, body = delivery(event, at=billing.clock.wall())
        assert refusal(billing.webhooks.receive, "fake", headers, body).code == "plugin_failed"
    assert billing.webhooks.list() == []


def test_gateways_that_cannot_or_are_not_there() -> None:
    gateway = Fake()
    gateway.capabilities = frozenset()
    billing, _ = fake_books(gateway=gateway)
    headers, body = delivery(EVENT, at=billing.clock.wall())
    assert refusal(billing.webhooks.receive, "fake", headers, body).code == "unsupported_capability"
    assert refusal(billing.webhooks.receive, "faek", headers, body).code == "plugin_unknown"


def test_a_misconfigured_gateway_lets_the_gateway_come_again(billing) -> None:
    def misconfigured(request) -> None:
        raise GatewayMisconfigured("no secret is configured")

    billing.gateway("fake").parsing = misconfigured
    headers, body = delivery(EVENT, at=billing.clock.wall())
    assert refusal(billing.webhooks.receive, "fake", headers, body).code == "gateway_misconfigured"


@pytest.mark.sqlite_only
def test_a_host_does_not_take_deliveries_in_inside_its_transaction(tmp_path) -> None:
    billing, _ = fake_books(f"sqlite:///{tmp_path}/shop.db")
    engine = sqlite_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection, billing.joined(connection) as joined:
        headers, body = delivery(EVENT, at=billing.clock.wall())
        assert refusal(joined.webhooks.receive, "fake", headers, body).code == "join_refused"
        assert refusal(joined.webhooks.process).code == "join_refused"
    engine.dispose()


# -- once ----------------------------------------------------------------------------------------------------


def test_fifty_deliveries_of_one_event_at_once_are_one(stores, tmp_path) -> None:
    """The provider repeats itself, load balancers do, and each answer says 2xx."""
    billing, _ = fake_books(stores.at(tmp_path / "fifty.db"))
    headers, body = delivery(EVENT, evolve(EVENT, key="evt_2"), at=billing.clock.wall())
    receipts, failed = [], []
    together = threading.Barrier(50)

    def deliver() -> None:
        together.wait()
        try:
            receipts.append(billing.webhooks.receive("fake", headers, body))
        except Exception as error:  # noqa: BLE001  told below
            failed.append(error)

    threads = [threading.Thread(target=deliver) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert (sum(one.accepted for one in receipts), sum(one.duplicates for one in receipts)) == (2, 98)
    assert [one.key for one in billing.webhooks.list()] == ["evt_1", "evt_2"]


def test_a_receipt_is_given_only_after_the_commit(monkeypatch) -> None:
    billing, _ = fake_books()
    headers, body = delivery(EVENT, at=billing.clock.wall())

    def full(work):
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(billing.database, "unit", full)
        with pytest.raises(OSError, match="disk full"):
            billing.webhooks.receive("fake", headers, body)
    assert billing.webhooks.receive("fake", headers, body).accepted == 1


def test_uniqueness_outlives_the_window_of_the_signature() -> None:
    clock = HandClock()
    billing, _ = fake_books(clock=clock)
    assert billing.webhooks.receive("fake", *delivery(EVENT, at=clock.time)).accepted == 1
    clock.time += timedelta(days=100)
    assert billing.webhooks.receive("fake", *delivery(EVENT, at=clock.time)).duplicates == 1


# -- what is kept --------------------------------------------------------------------------------------------


def test_the_body_is_kept_as_it_came_but_for_card_numbers(billing) -> None:
    noise = b'{"note": "4242 4242 4242 4242 12/30", "number": "378282246310005", "at": 1767225600, "s": "\xc3\xa4\x00"}'
    headers, body = delivery(EVENT, at=billing.clock.wall(), extra=b"")
    billing.gateway("fake").parse_webhook = lambda request: [EVENT]
    billing.webhooks.receive("fake", headers, noise + body)
    kept = billing.webhooks.get("evt_1").body
    assert kept.endswith(body.decode())
    assert '"**** **** **** 4242 12/30"' in kept and '"***********0005"' in kept
    assert '"at": 1767225600' in kept and "ä\\x00" in kept


def test_several_events_of_one_delivery_share_one_body(billing) -> None:
    headers, body = delivery(*(evolve(EVENT, key=f"evt_{number}") for number in range(3)), at=billing.clock.wall())
    billing.webhooks.receive("fake", headers, body)
    assert [bool(billing.webhooks.get(f"evt_{number}").body) for number in range(3)] == [True, False, False]


@given(st.text(alphabet="0123456789 -/ax\n", max_size=60))
def test_what_is_masked_holds_no_card_number_any_more(text) -> None:
    masked = without_card_numbers(text)
    assert not has_card_number(masked) and len(masked) == len(text)
    if not has_card_number(text):
        assert masked == text
