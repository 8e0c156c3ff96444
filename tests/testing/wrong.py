"""Gateways with one mistake each, and the suite that has to find it."""

import json
import logging
import socket
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count

import pytest
from attrs import evolve

from billcore import hookimpl
from billcore.plugins.gateway import (
    ActionRequired,
    Approved,
    AttemptNotFound,
    DeclineCode,
    Declined,
    DeclineKind,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewaySpec,
    GatewayUnknown,
    Lookup,
    MethodNotFound,
    Money,
    Page,
    Pending,
    WebhookEvent,
    WebhookKind,
    declined,
)
from billcore.plugins.registry import Registry
from billcore.testing import BankAccount, Fault, GatewayConformance
from billcore_gateway_test import Config, Entry, ScriptedGateway
from billcore_gateway_test.sender import Sender

SECRET = "whsec_recognizable_4711"
PREVIOUS = "whsec_before_4711"
FAULTS = {Fault.UNAUTHORIZED: "misconfigured", Fault.SLOW: "slow:0", Fault.UNSEEN_STATUS: "unseen"}
_NUMBERS = count(1)


# -- keys and amounts -------------------------------------------------------------------------------------------


class FreshKeyPerCall(ScriptedGateway):
    def charge(self, request):
        return super().charge(evolve(request, idempotency_key=f"fresh_{next(_NUMBERS)}"))


class AmountHalved(ScriptedGateway):
    def charge(self, request):
        return super().charge(evolve(request, amount=Money(request.amount.minor // 2, request.amount.currency)))


class AmountHalvedInSecret(ScriptedGateway):
    """Takes half and reports the whole."""

    def charge(self, request):
        half = evolve(request, amount=Money(request.amount.minor // 2, request.amount.currency))
        return self._whole(request, super().charge(half))

    def lookup(self, request):
        return self._whole(request, super().lookup(request))

    @staticmethod
    def _whole(request, outcome):
        if isinstance(outcome, Approved) and getattr(request, "verb", "charge") == "charge":
            return evolve(outcome, amount_minor=request.amount.minor)
        return outcome


class EveryCurrencyHasCents(ScriptedGateway):
    def charge(self, request):
        if request.amount.currency == "JPY":
            request = evolve(request, amount=Money(request.amount.minor // 100, "JPY"))
        return super().charge(request)


class MergesEqualCharges(ScriptedGateway):
    def charge(self, request):
        same = f"{request.customer_id}:{request.gateway_method}:{request.amount}"
        return super().charge(evolve(request, idempotency_key=same))


# -- answers ----------------------------------------------------------------------------------------------------


class CardError(Exception):
    pass


class DeclineRaised(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Declined):
            raise CardError(outcome.message)
        return outcome


class DeclineOfWrongKind(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Declined) and outcome.code is DeclineCode.INSUFFICIENT_FUNDS:
            return evolve(outcome, kind=DeclineKind.HARD)
        return outcome


class UnknownMethodMisconfigured(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Declined) and outcome.code is DeclineCode.METHOD_UNKNOWN:
            raise GatewayMisconfigured("no such method")
        return outcome


class PendingApproved(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Pending) and "unseen" not in str(self._knobs._standing):
            return Approved(outcome.gateway_id, request.amount.minor, request.amount.currency)
        return outcome


class DeclinesAndTakes(ScriptedGateway):
    """Reports a decline of an attempt that the provider goes on with."""

    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Declined) and outcome.code is DeclineCode.INSUFFICIENT_FUNDS:
            money = request.amount
            entry = Entry(
                "later", request.attempt_id, "charge", money.minor, money.currency, "", "approved", money.minor
            )
            self._book.write(entry)
        return outcome


class ActionPending(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        return Pending(outcome.gateway_id) if isinstance(outcome, ActionRequired) else outcome


class UnseenStatusApproved(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if "unseen" in str(self._knobs._standing):
            return Approved(outcome.gateway_id, request.amount.minor, request.amount.currency)
        return outcome


class PlainDictionary(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        return {"status": "next", "url": outcome.url} if isinstance(outcome, ActionRequired) else outcome


# -- lookups ----------------------------------------------------------------------------------------------------


class LookupIgnoresTheId(ScriptedGateway):
    def lookup(self, request):
        found = super().lookup(request)
        charges = [one for one in self.requests() if one.state == "approved"]
        return charges[-1].outcome() if charges else found


class LookupRemembers(ScriptedGateway):
    """Answers lookups out of the memory of its own process."""

    def __init__(self, config):
        super().__init__(config)
        self._own = set()

    def charge(self, request):
        self._own.add(request.attempt_id)
        return super().charge(request)

    def lookup(self, request):
        if request.verb == "charge" and request.attempt_id not in self._own:
            return AttemptNotFound(request.attempt_id)
        return super().lookup(request)


class LookupSwallowsErrors(ScriptedGateway):
    def lookup(self, request):
        try:
            return super().lookup(request)
        except (GatewayUnknown, GatewayNotSent, GatewayMisconfigured):
            return AttemptNotFound(request.attempt_id)


class LookupCharges(ScriptedGateway):
    """Sends again what it does not find."""

    def lookup(self, request):
        found = super().lookup(request)
        if isinstance(found, AttemptNotFound) and request.verb == "charge":
            key = f"again_{request.attempt_id}"
            self._book.write(
                Entry(key, request.attempt_id, "charge", request.amount.minor, request.amount.currency, "", "approved")
            )
            return super().lookup(request)
        return found


class LookupInOtherWords(ScriptedGateway):
    def lookup(self, request):
        found = super().lookup(request)
        own = request.gateway_id and isinstance(found, Approved)
        return evolve(found, gateway_id=f"pi_{found.gateway_id}") if own else found


class LookupNeedsTheirId(ScriptedGateway):
    def lookup(self, request):
        if not request.gateway_id and request.verb == "charge":
            return AttemptNotFound(request.attempt_id)
        return super().lookup(request)


# -- errors -----------------------------------------------------------------------------------------------------


class ServerErrorDeclines(ScriptedGateway):
    def charge(self, request):
        try:
            return super().charge(request)
        except GatewayUnknown as error:
            if "500" in error.message:
                return declined(DeclineCode.PROCESSING_ERROR, "the provider is out of order")
            raise


class TimeoutNotSent(ScriptedGateway):
    def charge(self, request):
        try:
            return super().charge(request)
        except GatewayUnknown as error:
            if "No answer" in error.message:
                raise GatewayNotSent("time-out") from None
            raise


class RateLimitUnknown(ScriptedGateway):
    def charge(self, request):
        try:
            return super().charge(request)
        except GatewayNotSent as error:
            if "too many" in error.message:
                raise GatewayUnknown("429") from None
            raise


class WrongKeyDeclines(ScriptedGateway):
    def charge(self, request):
        try:
            return super().charge(request)
        except GatewayMisconfigured as error:
            if "key of the test gateway" in error.message:
                return declined(DeclineCode.GENERIC_DECLINE, "401")
            raise


# -- what follows a charge --------------------------------------------------------------------------------------


class RefundsMoreThanCaptured(ScriptedGateway):
    def refund(self, request):
        outcome = super().refund(request)
        if isinstance(outcome, Declined):
            return Approved("re_more", request.amount.minor, request.amount.currency)
        return outcome


class FreshKeyPerRefund(ScriptedGateway):
    def refund(self, request):
        return super().refund(evolve(request, idempotency_key=f"fresh_{next(_NUMBERS)}"))


class RefundedChargeDeclined(ScriptedGateway):
    """Reports a refunded charge as one that took nothing."""

    def lookup(self, request):
        found = super().lookup(request)
        charge = self._book.charged(getattr(found, "gateway_id", ""))
        if charge is not None and not self._book.left(charge):
            return declined(DeclineCode.GENERIC_DECLINE, "refunded")
        return found


class VoidsOnce(ScriptedGateway):
    """Takes the same void a second time for another one."""

    def void(self, request):
        return super().void(evolve(request, idempotency_key=f"fresh_{next(_NUMBERS)}"))


class CancelLies(ScriptedGateway):
    def cancel(self, request):
        found = super().cancel(request)
        return declined(DeclineCode.CANCELED) if isinstance(found, Approved) else found


class CancelDoesNothing(ScriptedGateway):
    def cancel(self, request):
        return self.lookup(Lookup(request.attempt_id, request.amount))


class CapturesMoreThanAuthorized(ScriptedGateway):
    def capture(self, request):
        outcome = super().capture(request)
        if isinstance(outcome, Declined):
            return Approved("cap_more", request.amount.minor, request.amount.currency)
        return outcome


# -- methods ----------------------------------------------------------------------------------------------------


class VaultsAnew(ScriptedGateway):
    """Keeps a new method, and makes a new customer, at every call."""

    def vault(self, request):
        number = next(_NUMBERS)
        return super().vault(evolve(request, token=f"{request.token}#{number}", gateway_customer=f"gcus_{number}"))


class OneCustomerForAll(ScriptedGateway):
    def vault(self, request):
        return super().vault(evolve(request, gateway_customer="gcus_house"))


class ForgetsNothing(ScriptedGateway):
    def detach(self, request):
        return None


class KeepsEverything(ScriptedGateway):
    """Keeps tokens that the provider refuses."""

    def vault(self, request):
        token = "approve" if request.token.startswith("no_such") else request.token
        return super().vault(evolve(request, token=token))


class DescribesNothing(ScriptedGateway):
    def describe(self, request):
        return MethodNotFound(request.token)


class ChargesUnverified(ScriptedGateway):
    def charge(self, request):
        outcome = super().charge(request)
        if isinstance(outcome, Declined) and outcome.code is DeclineCode.DEBIT_NOT_AUTHORIZED:
            return Approved(outcome.gateway_id, request.amount.minor, request.amount.currency)
        return outcome


class HostsNowhere(ScriptedGateway):
    def hosted_page(self, request):
        return Page("about:blank", request.gateway_customer)


class UpdatesNothing(ScriptedGateway):
    def updates(self, since):
        return []


class VerifiesAnyAnswer(ScriptedGateway):
    def verify(self, request):
        return super().verify(evolve(request, amounts=(32, 45)))


class TellsTheCardNumber(ScriptedGateway):
    def describe(self, request):
        kept = super().describe(request)
        return kept if isinstance(kept, MethodNotFound) else evolve(kept, last4="4242424242424242")


# -- webhooks ---------------------------------------------------------------------------------------------------


class WebhookUnsigned(ScriptedGateway):
    def parse_webhook(self, request):
        try:
            told = json.loads(request.body)
            return [_event(told)]
        except (ValueError, TypeError, KeyError, RecursionError):
            return []


class WebhookNamesNothing(ScriptedGateway):
    def parse_webhook(self, request):
        return [evolve(event, kind=WebhookKind.OTHER) for event in super().parse_webhook(request)]


class WebhookGenerator(ScriptedGateway):
    def parse_webhook(self, request):
        yield from super().parse_webhook(request)


class WebhookOfAnyAge(ScriptedGateway):
    def parse_webhook(self, request):
        seconds = request.headers.get("test-signature", "").partition("t=")[2].partition(",")[0]
        if seconds.isdigit():
            request = evolve(request, received_at=datetime.fromtimestamp(int(seconds), UTC))
        return super().parse_webhook(request)


class WebhookOfKnownKindsOnly(ScriptedGateway):
    def parse_webhook(self, request):
        events = super().parse_webhook(request)
        if not events:
            raise KeyError(json.loads(request.body)["type"])
        return events


class WebhookKeyOfTheMoment(ScriptedGateway):
    def parse_webhook(self, request):
        return [evolve(event, key=f"now_{next(_NUMBERS)}") for event in super().parse_webhook(request)]


class WebhookAsks(ScriptedGateway):
    """Fetches the charge while the provider waits."""

    def parse_webhook(self, request):
        events = super().parse_webhook(request)
        _call_home()
        return events


class WebhookForgetsTheOldSecret(ScriptedGateway):
    def __init__(self, config):
        super().__init__(config)
        self._secrets = self._secrets[:1]


# -- secrets, threads, state ------------------------------------------------------------------------------------


class SecretInRepr(ScriptedGateway):
    def __init__(self, config):
        super().__init__(config)
        self.key = config.webhook_secret.reveal()


class SecretInErrors(ScriptedGateway):
    def charge(self, request):
        try:
            return super().charge(request)
        except GatewayNotSent as error:
            raise GatewayNotSent(f"{error.message} (Authorization: {self._secrets[0].reveal()})") from None


class SecretInLogs(ScriptedGateway):
    def charge(self, request):
        logging.getLogger("wrong").debug("POST /charges, key %s", self._secrets[0].reveal())
        return super().charge(request)


class CallsWhenBuilt(ScriptedGateway):
    def __init__(self, config):
        super().__init__(config)
        _call_home()


class RequestOnTheObject(ScriptedGateway):
    """Keeps the request between its steps where another thread replaces it."""

    def charge(self, request):
        self._request = request
        time.sleep(0.02)
        return super().charge(self._request)


_BOOKS = {}


class SharedState(ScriptedGateway):
    """One book for all accounts: the first one's."""

    def __init__(self, config):
        super().__init__(config)
        self._book = _BOOKS.setdefault("one", self._book)
        self._till._book = self._book
        if self._vault is not None:
            self._vault._book = self._book

    def close(self):
        _BOOKS.clear()
        super().close()


def _call_home():
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 9), timeout=1).close()


def _event(told):
    kind = WebhookKind.METHOD if told["type"].startswith("method") else WebhookKind.ATTEMPT
    if told["type"].startswith("payout"):
        kind = WebhookKind.OTHER
    return WebhookEvent(told["id"], kind, told["type"], told.get("attempt_id", ""), token=told.get("token", ""))


# -- the suite --------------------------------------------------------------------------------------------------


def plugin(kind):
    class Plugin:
        @hookimpl
        def register_gateways(self):
            return [GatewaySpec("wrong", Config, kind)]

    return Plugin()


def suite(kind):
    """The conformance suite of a gateway class that is built on the scripted one."""

    class TestWrong(GatewayConformance):
        @pytest.fixture
        def registry(self):
            return Registry({"wrong": plugin(kind)}, installed=False)

        @pytest.fixture
        def gateway_name(self):
            return "wrong"

        @pytest.fixture
        def config(self, tmp_path):
            return {
                "book": str(tmp_path / "book.jsonl"),
                "vault": True,
                "webhook_secret": SECRET,
                "previous_webhook_secret": PREVIOUS,
            }

        @pytest.fixture
        def other_config(self, config, tmp_path):
            return {**config, "book": str(tmp_path / "other.jsonl")}

        @pytest.fixture
        def approved_method(self):
            return "approve"

        @pytest.fixture
        def declined_method(self):
            return "decline:insufficient_funds"

        @pytest.fixture
        def pending_method(self):
            return "pending"

        @pytest.fixture
        def action_method(self):
            return "action"

        @pytest.fixture
        def authorized_method(self):
            return "authorize"

        @pytest.fixture
        def bank_account(self):
            return BankAccount("bank", right_amounts=(32, 45), right_code="SM11AA")

        @pytest.fixture
        def broken_network(self, gateway):
            @contextmanager
            def broken(fault):
                with gateway.broken(FAULTS.get(fault, str(fault))):
                    yield

            return broken

        @pytest.fixture
        def provider_charges(self, gateway):
            def charges(attempt_id):
                return [one.amount for one in gateway.book() if (one.verb, one.attempt_id) == ("charge", attempt_id)]

            return charges

        @pytest.fixture
        def webhook_sender(self, gateway):
            return Sender(gateway, PREVIOUS)

        @pytest.fixture
        def change_method(self, gateway):
            return lambda token: gateway.change(token, datetime.now(UTC), status="disabled")

    return TestWrong
