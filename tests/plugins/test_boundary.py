"""What comes in from a gateway about methods and webhooks is checked where it comes in (behaviour 9.3, 9.7)."""

import hashlib
import hmac
import threading
from datetime import UTC, datetime

import pytest
from attrs import evolve

from billcore.domain.card_number import has_card_number
from billcore.errors import PluginError
from billcore.plugins.checks import contract_problem
from billcore.plugins.gateway import (
    MAX_BODY,
    Capability,
    Describe,
    Detach,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    HostedPage,
    MethodNotFound,
    MethodRefused,
    Page,
    Secret,
    Unsupported,
    Vault,
    Vaulted,
    Verify,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    WebhookRequest,
    perform_method,
    receive,
    updates_since,
    verify_hmac_sha256,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = Secret("whsec_1")
KEPT = Vaulted("pm_1", "gcus_1", brand="visa", last4="4242", expires_on="2030-12", fingerprint="f1")
VAULT = Vault("cus_1", "tok_1")
EVENT = WebhookEvent("evt_1", WebhookKind.ATTEMPT, "charge.paid", gateway_id="ch_1")


class Able:
    """A gateway that answers, or raises, what it is given."""

    key_window_s = 3600

    def __init__(self, answer=None, capabilities=tuple(Capability)):
        self.answer = answer
        self.capabilities = frozenset(capabilities)
        self.calls = 0

    def _answer(self, request):
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(request) if callable(self.answer) else self.answer

    charge = lookup = refund = capture = void = cancel = vault = describe = detach = verify = _answer
    hosted_page = parse_webhook = updates = script = settle = _answer


def method_problem(answer, request=VAULT, deadline_s=5):
    with pytest.raises(PluginError) as refused:
        perform_method(Able(answer), request, deadline_s=deadline_s)
    return refused.value


def test_answers_about_methods_pass_unchanged():
    assert perform_method(Able(KEPT), VAULT) is KEPT
    assert perform_method(Able(KEPT), Verify("pm_1", amounts=(32, 45))) is KEPT
    assert perform_method(Able(KEPT), Describe("pm_1")) is KEPT
    assert perform_method(Able(MethodNotFound("pm_1")), Describe("pm_1")) == MethodNotFound("pm_1")
    assert perform_method(Able("whatever"), Detach("pm_1")) is None
    page = Page("https://pay.example/setup?s=1")
    assert perform_method(Able(page), HostedPage("cus_1", "https://shop.example/")) is page


@pytest.mark.parametrize(
    ("request_", "capability"),
    [
        (VAULT, Capability.VAULT),
        (Describe("pm_1"), Capability.VAULT),
        (Detach("pm_1"), Capability.VAULT),
        (Verify("pm_1"), Capability.VERIFY),
        (HostedPage("cus_1", "https://shop.example/"), Capability.HOSTED_PAGE),
    ],
)
def test_a_method_verb_is_called_only_when_it_is_declared(request_, capability):
    gateway = Able(KEPT, set(Capability) - {capability})
    with pytest.raises(Unsupported) as refused:
        perform_method(gateway, request_)
    assert refused.value.code == "unsupported_capability"
    assert gateway.calls == 0


class Sly(Vaulted):
    pass


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"token": "pm_1"},
        Sly("pm_1", "gcus_1"),
        evolve(KEPT, token=""),
        evolve(KEPT, token=None),
        evolve(KEPT, token="x" * 256),
        evolve(KEPT, token="pm_1\n"),
        evolve(KEPT, kind="cheque"),
        evolve(KEPT, kind=["card"]),
        evolve(KEPT, status="fine"),
        evolve(KEPT, expires_on="2030-13"),
        evolve(KEPT, expires_on="12/30"),
        evolve(KEPT, customer_id="cus_2"),
        MethodNotFound("pm_1"),
    ],
    ids=repr,
)
def test_nonsense_about_a_method_is_not_stored(answer):
    assert isinstance(method_problem(answer), GatewayUnknown)


@pytest.mark.parametrize("answer", [evolve(KEPT, token="pm_2"), MethodNotFound("pm_2")])
def test_a_description_is_of_the_method_that_was_asked_about(answer):
    assert isinstance(method_problem(answer, Describe("pm_1")), GatewayUnknown)


@pytest.mark.parametrize(
    "answer",
    [
        evolve(KEPT, last4="42424"),
        evolve(KEPT, last4="4242424242424242"),
        evolve(KEPT, token="tok_4242424242424242"),
        evolve(KEPT, fingerprint="4000 0566 5566 5556"),
        evolve(KEPT, brand="visa 4242-4242-4242-4242"),
    ],
)
def test_more_of_a_card_than_its_last_four_digits_is_refused(answer):
    """Promise P10: no card number can be stored anywhere, not even when a plugin hands one over."""
    refused = method_problem(answer)
    assert isinstance(refused, MethodRefused)
    assert "4242 4242" not in str(refused)
    assert "424242" not in str(refused)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("4242424242424242", True),
        ("3782 822463 10005", True),
        ("paid with 4000-0566-5566-5556.", True),
        ("4242424242424241", False),
        ("9f4242424242424242", False),
        ("2026-01-31T00:00:00Z", False),
        ("pm_1N8q2eLkdIwHu7ix", False),
    ],
)
def test_a_card_number_is_known_by_its_length_and_check_digit(text, is_one):
    assert has_card_number(text) is is_one


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://", "//pay.example", "https://pay example/", "", None])
def test_a_page_is_an_http_link(url):
    refused = method_problem(Page(url), HostedPage("cus_1", "https://shop.example/"))
    assert isinstance(refused, GatewayUnknown)


@pytest.mark.parametrize("error", [MethodRefused("no"), GatewayNotSent("no"), GatewayMisconfigured("no")])
def test_the_errors_of_the_contract_pass_as_they_are(error):
    assert method_problem(error) is error


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_what_a_plugin_should_not_raise_is_unknown_and_its_text_is_not_repeated(error):
    unknown = method_problem(error)
    assert isinstance(unknown, GatewayUnknown)
    assert unknown.__cause__ is error
    assert "secret" not in str(unknown)


def test_a_method_verb_has_a_deadline():
    gate = threading.Event()
    unknown = method_problem(lambda _: gate.wait(), deadline_s=1)
    gate.set()
    assert isinstance(unknown, GatewayUnknown)
    assert "within 1 seconds" in str(unknown)


# -- webhooks ---------------------------------------------------------------------------------------------------


def delivery(body=b"{}", secret=SECRET):
    signature = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    return WebhookRequest({"X-Signature": signature}, body, NOW)


def signed(after):
    """A parse_webhook that checks the signature, and then does as told."""

    def parse(request):
        verify_hmac_sha256(SECRET, request.body, request.headers["x-signature"])
        return after(request)

    return parse


def raising(error):
    def fail(_request):
        raise error

    return fail


def webhook_problem(answer, request=None, deadline_s=5):
    with pytest.raises(PluginError) as refused:
        receive(Able(answer), request or delivery(), deadline_s=deadline_s)
    return refused.value


def test_events_of_a_signed_delivery_come_back_as_a_tuple():
    assert receive(Able(signed(lambda _: [EVENT])), delivery()) == (EVENT,)
    assert receive(Able(signed(lambda _: ())), delivery()) == ()


def test_a_wrong_signature_is_rejected_without_a_reason():
    rejected = webhook_problem(signed(lambda _: [EVENT]), delivery(secret=Secret("another")))
    assert isinstance(rejected, WebhookRejected)
    strange = WebhookRequest({"x-signature": "\u00e4\udc80"}, b"{}", NOW)
    assert isinstance(webhook_problem(signed(lambda _: [EVENT]), strange), WebhookRejected)


def test_a_huge_body_is_refused_before_the_plugin_sees_it():
    gateway = Able([EVENT])
    with pytest.raises(WebhookRejected):
        receive(gateway, WebhookRequest({}, b"x" * (MAX_BODY + 1), NOW))
    assert gateway.calls == 0
    assert receive(gateway, WebhookRequest({}, b"x" * MAX_BODY, NOW)) == (EVENT,)


def test_a_signed_event_that_the_plugin_cannot_read_is_its_bug_and_stays_visible():
    """The provider has to send it again after the plugin was mended: plugin_failed becomes HTTP 5xx."""
    error = KeyError("object")
    failed = webhook_problem(signed(raising(error)))
    assert failed.code == "plugin_failed"
    assert failed.__cause__ is error
    assert "KeyError" in str(failed)


@pytest.mark.parametrize("request_", [WebhookRequest({}, b"{}", NOW), WebhookRequest({}, b"\xff", NOW)])
def test_garbage_over_which_the_plugin_stumbles_before_the_signature_is_rejected(request_):
    """A stranger cannot fill the list of broken plugins."""

    def parse(request):
        request.body.decode()
        return signed(lambda _: [EVENT])(request)

    assert isinstance(webhook_problem(parse, request_), WebhookRejected)
    assert isinstance(webhook_problem(raising(KeyError("x-signature"))), WebhookRejected)


def test_a_webhook_has_a_deadline():
    gate = threading.Event()
    failed = webhook_problem(lambda _: gate.wait(), deadline_s=1)
    gate.set()
    assert failed.code == "plugin_failed"


def test_a_missing_webhook_secret_is_said():
    assert isinstance(webhook_problem(GatewayMisconfigured("no webhook secret")), GatewayMisconfigured)


def generated(_request):
    yield EVENT


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (generated, "generator"),
        (None, "NoneType"),
        ([None], "NoneType"),
        ([EVENT, EVENT], "same key"),
        ([evolve(EVENT, key="")], "no key"),
        ([evolve(EVENT, key=7)], "no key"),
        ([evolve(EVENT, kind="attempt")], "WebhookKind"),
        ([evolve(EVENT, gateway_id="")], "gateway_id"),
        ([WebhookEvent("evt_2", WebhookKind.METHOD)], "token"),
        ([evolve(EVENT, text="paid with 4242424242424242")], "card number"),
        ([evolve(EVENT, text=None)], "text"),
        ([evolve(EVENT, key=f"evt_{number}") for number in range(1001)], "1001"),
    ],
)
def test_events_are_checked(events, told):
    failed = webhook_problem(events if callable(events) else lambda _: events)
    assert failed.code == "plugin_failed"
    assert told in str(failed)


def test_webhooks_and_updates_are_received_only_where_they_are_declared():
    gateway = Able([EVENT], ())
    with pytest.raises(Unsupported):
        receive(gateway, delivery())
    with pytest.raises(Unsupported):
        updates_since(gateway, NOW)


def test_updates_are_checked_like_a_delivery():
    assert updates_since(Able([EVENT]), NOW) == (EVENT,)
    with pytest.raises(GatewayNotSent):
        updates_since(Able(GatewayNotSent("refused")), NOW)
    for answer in (generated, raising(ValueError())):
        with pytest.raises(PluginError) as failed:
            updates_since(Able(answer), NOW)
        assert failed.value.code == "plugin_failed"


# -- declared capabilities --------------------------------------------------------------------------------------


def lacking(**attributes):
    return contract_problem(type("Lacking", (Able,), attributes)())


def test_what_a_gateway_declares_it_has():
    assert contract_problem(Able()) == ""
    assert "'refund'" in lacking(refund=None)
    assert "cannot be called" in lacking(vault="yes")
    assert "one request" in lacking(charge=lambda self: None)
    assert "one request" in lacking(lookup=lambda self, request, *, patience: None)
    assert "above zero" in lacking(key_window_s=0)
    assert "above zero" in lacking(key_window_s="1 day")


@pytest.mark.parametrize("capability", [Capability.VERIFY, Capability.HOSTED_PAGE, Capability.UPDATER])
def test_capabilities_that_need_others_come_with_them(capability):
    assert "vault" in contract_problem(Able(capabilities=[capability]))


def test_capabilities_stay_the_same():
    class Moody(Able):
        asked = 0

        @property
        def capabilities(self):
            self.asked += 1
            return frozenset([Capability.REFUND] if self.asked % 2 else [])

        @capabilities.setter
        def capabilities(self, value):
            pass

    assert "other capabilities" in contract_problem(Moody())
