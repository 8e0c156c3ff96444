"""Attempts without an outcome: ask first, send again only while the key holds, park, never guess (behaviour 9.3)."""

from datetime import timedelta

import pytest

from billcore.plugins.gateway import ActionRequired, AttemptNotFound, Cancel, Lookup, Pending
from billcore_gateway_test.gateway import ScriptedGateway
from tests.builders import HandClock, books, day
from tests.engine.test_outcomes import PAID, asked_for, charges, stands

pytestmark = pytest.mark.usefixtures("books_are_proven")

HOURS = timedelta(hours=1)


@pytest.fixture
def calls(monkeypatch):
    """What the gateway is asked, in order: verb and request."""
    made = []
    for verb in ("charge", "lookup", "cancel"):
        monkeypatch.setattr(ScriptedGateway, verb, _noting(made, verb, getattr(ScriptedGateway, verb)))
    return made


def _noting(made, verb, ask):
    def noted(self, request):
        made.append((verb, request))
        return ask(self, request)

    return noted


def doubtful(answer="timeout_before", occasion="renewal"):
    """Books on a real kind of clock in which the gateway's answer to the last attempt is not known."""
    return asked_for(occasion, answer, books(clock=HandClock()))


def later(billing, **passed):
    billing.clock.time += timedelta(**passed)
    return billing.run()


def verbs(calls):
    return [verb for verb, _ in calls]


def listed(billing):
    """What doctor says of payments."""
    return [one for one in billing.doctor().troubles if "payment" in one.kind]


def test_it_is_asked_for_first_and_sent_again_under_its_key(calls) -> None:
    billing = doubtful()
    (sent,) = [request for verb, request in calls[1:] if verb == "charge"]
    del calls[:]
    later(billing, minutes=2)
    assert verbs(calls) == ["lookup", "charge"]
    assert calls[1][1] == sent
    assert (stands(billing, "renewal"), charges(billing, "renewal")) == (PAID, 1)
    assert billing.payments.list()[-1].sends == 2


def test_what_was_charged_is_found_and_not_sent_again(calls) -> None:
    billing = doubtful("timeout_after_charge")
    del calls[:]
    later(billing, minutes=2)
    assert verbs(calls) == ["lookup"]
    assert (stands(billing, "renewal"), charges(billing, "renewal")) == (PAID, 1)


def test_a_question_says_all_that_is_known(calls) -> None:
    billing = doubtful("pending")
    del calls[:]
    later(billing, minutes=2)
    payment = billing.payments.list()[-1]
    (asked,) = [request for _, request in calls]
    assert isinstance(asked, Lookup)
    assert (asked.attempt_id, asked.amount.minor, asked.sent_at) == (payment.id, 3000, payment.created_at)
    assert asked.gateway_id == payment.gateway_id != ""


def test_a_question_that_fails_says_nothing(calls) -> None:
    """Neither that it was not found, nor that it was not sent: it is asked again."""
    billing = doubtful()
    gateway = billing.gateway("test")
    for failure in ("unreachable", "misconfigured", "timeout_before", "error_500_before", "garbage_before"):
        del calls[:]
        gateway.fail("lookup", failure)
        later(billing, hours=1)
        payment = billing.payments.list()[-1]
        assert (verbs(calls), payment.status, payment.not_found) == (["lookup"], "unknown", 0)
    later(billing, hours=1)
    assert (stands(billing, "renewal"), charges(billing, "renewal")) == (PAID, 1)


def test_when_the_key_holds_no_more_nothing_is_sent_and_somebody_is_told(calls) -> None:
    """F4: nobody knows what the gateway would make of the key now. It is still asked for, every hour."""
    billing = doubtful()
    gateway = billing.gateway("test")
    gateway.fail("lookup", *["unreachable"] * 5)
    del calls[:]
    later(billing, hours=25)
    (trouble,) = listed(billing)
    payment = billing.payments.list()[-1]
    assert payment.status == "unknown" and payment.parked_reason is not None
    assert trouble.subject == payment.id and "too late to send it again" in trouble.reason
    assert payment.id in trouble.remedy and "test" in trouble.remedy
    for _ in range(4):
        later(billing, hours=1)
    assert verbs(calls) == ["lookup"] * 5
    gateway.settle(payment.id, "approve")
    later(billing, hours=1)
    assert (stands(billing, "renewal"), charges(billing, "renewal")) == (PAID, 1)
    assert billing.payments.list()[-1].parked_reason is None and listed(billing) == []


def test_just_before_its_window_ends_a_key_is_not_used_any_more(calls) -> None:
    """What is sent in the last minute may arrive after it."""
    billing = doubtful()
    del calls[:]
    billing.gateway("test").fail("lookup", "unreachable")
    later(billing, hours=1)
    billing.clock.time = billing.payments.list()[-1].created_at + timedelta(hours=24, seconds=-59)
    billing.run()
    assert "charge" not in verbs(calls)
    assert listed(billing)[0].subject == billing.payments.list()[-1].id


def test_not_found_counts_only_late_and_twice(monkeypatch, calls) -> None:
    """A provider's search lags: what is not found at once may have been charged."""
    billing = doubtful("timeout_after_charge")
    billing.gateway("test").key_window_s = 0
    monkeypatch.setattr(ScriptedGateway, "lookup", lambda _self, request: AttemptNotFound(request.attempt_id))
    del calls[:]
    for minutes, counted in ((5, 0), (30, 0), (60, 1)):
        later(billing, minutes=minutes)
        payment = billing.payments.list()[-1]
        assert (payment.status, payment.not_found) == ("unknown", counted)
    assert "charge" not in verbs(calls)
    later(billing, hours=1)
    assert [one.status for one in billing.payments.list()[-2:]] == ["failed", "succeeded"]


def test_an_attempt_that_is_found_under_way_is_as_if_its_answer_had_come(monkeypatch) -> None:
    """A debit that takes days is trusted at signup, whether its answer came or was asked for."""
    billing = doubtful("timeout_after_charge", "signup")
    assert stands(billing, "signup") == "pending, draft 0, unknown"
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(ScriptedGateway, "lookup", lambda _self, _request: Pending("debit-1"))
        later(billing, minutes=5)
        assert stands(billing, "signup") == "active, open 0, pending"
        assert billing.payments.list()[-1].gateway_id == "debit-1"
        later(billing, minutes=5)
    later(billing, hours=2)
    assert stands(billing, "signup") == PAID


def test_a_link_that_got_lost_is_found(monkeypatch) -> None:
    billing = doubtful("timeout_after_charge")
    asked = ActionRequired("charge-1", "https://pay.example/1")
    monkeypatch.setattr(ScriptedGateway, "lookup", lambda _self, _request: asked)
    later(billing, minutes=5)
    payment = billing.payments.list()[-1]
    assert (payment.status, payment.action_url) == ("requires_action", "https://pay.example/1")


def test_nothing_is_sent_for_an_invoice_that_wants_it_no_more(calls) -> None:
    """The subscription that an activation was to start went another way meanwhile."""
    billing = books(clock=HandClock())
    billing.subscriptions.create("s1", "acme", "try")
    billing.gateway("test").script(["action"], default="approve")
    billing.subscriptions.activate("s1")
    billing.subscriptions.cancel("s1")
    del calls[:]
    later(billing, minutes=5)
    assert verbs(calls) == ["lookup", "cancel"]
    assert billing.payments.list()[-1].status == "canceled"


def test_a_customer_who_does_not_come_back_is_canceled_at_the_gateway(calls) -> None:
    billing = doubtful("action", "signup")
    later(billing, hours=22)
    del calls[:]
    later(billing, hours=1)
    assert [type(request) for _, request in calls] == [Lookup, Cancel]
    assert calls[1][1].gateway_id != ""
    assert billing.subscriptions.get("s1").state == "failed_to_create"


def test_what_nobody_ever_sent_is_sent_by_the_next_run(calls) -> None:
    """A signup inside the host's transaction leaves its attempt to a worker: there is nothing to ask for."""
    billing = books(clock=HandClock(), start_decline="failed_to_create")
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-01-05")
    del calls[:]
    billing.clock.time = day("01-05")
    billing.run()
    assert verbs(calls) == ["charge"]
    assert billing.subscriptions.get("s1").state == "active"
