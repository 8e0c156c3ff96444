"""Every answer of a gateway, on every occasion, right after and once it is resolved (behaviour 5.1, 5.2, 9.2, 9.3)."""

from contextlib import suppress
from datetime import timedelta

import pytest
from attrs import evolve

from billcore.errors import Refused
from billcore.plugins.outcome import GatewayNotSent, GatewayUnknown
from billcore_gateway_test.gateway import ScriptedGateway
from tests.builders import HandClock, books, day

pytestmark = pytest.mark.usefixtures("books_are_proven")

REFUSED = "failed_to_create, no invoice, failed"
PAID = "active, paid 3000, succeeded"
OWED = "past_due, open 0, failed"
PARTLY = "past_due, open 1000, succeeded"
ASKED = "past_due, open 0, requires_action"
DOUBT = "past_due, open 0, unknown"

# The answer, what becomes of it later at the gateway; how subscription, invoice and payment stand right after,
# two hours later; and how often the gateway's own book has money then.
SIGNUP = [
    ("approve", None, PAID, PAID, 1),
    ("approve:10.00", None, PARTLY, PARTLY, 1),
    ("decline:insufficient_funds", None, REFUSED, REFUSED, 0),
    ("decline:lost_card", None, REFUSED, REFUSED, 0),
    ("unreachable", None, REFUSED, REFUSED, 0),
    ("action", None, "pending, draft 0, requires_action", "pending, draft 0, requires_action", 0),
    ("action", "approve", "pending, draft 0, requires_action", PAID, 1),
    ("action", "decline:expired_card", "pending, draft 0, requires_action", REFUSED, 0),
    ("pending", None, "active, open 0, pending", "active, open 0, pending", 0),
    ("pending", "approve", "active, open 0, pending", PAID, 1),
    ("pending", "approve:10.00", "active, open 0, pending", PARTLY, 1),
    ("pending", "decline:insufficient_funds", "active, open 0, pending", OWED, 0),
    ("timeout_before", None, "pending, draft 0, unknown", PAID, 1),
    ("timeout_before", "decline:lost_card", "pending, draft 0, unknown", REFUSED, 0),
    ("timeout_after_charge", None, "pending, draft 0, unknown", PAID, 1),
    ("error_500_after_charge", None, "pending, draft 0, unknown", PAID, 1),
    ("garbage", None, "pending, draft 0, unknown", PAID, 1),
]
RENEWAL = [
    ("approve", None, PAID, PAID, 1),
    ("approve:10.00", None, PARTLY, PARTLY, 1),
    ("decline:insufficient_funds", None, OWED, OWED, 0),
    ("decline:lost_card", None, OWED, OWED, 0),
    ("unreachable", None, "soft_failure, open 0, failed", PAID, 1),
    ("action", None, "active, open 0, requires_action", "active, open 0, requires_action", 0),
    ("action", "approve", "active, open 0, requires_action", PAID, 1),
    ("action", "decline:expired_card", "active, open 0, requires_action", OWED, 0),
    ("pending", None, "active, open 0, pending", "active, open 0, pending", 0),
    ("pending", "approve", "active, open 0, pending", PAID, 1),
    ("pending", "decline:insufficient_funds", "active, open 0, pending", OWED, 0),
    ("timeout_before", None, "soft_failure, open 0, unknown", PAID, 1),
    ("timeout_before", "decline:lost_card", "soft_failure, open 0, unknown", OWED, 0),
    ("timeout_after_charge", None, "soft_failure, open 0, unknown", PAID, 1),
    ("error_500_after_charge", None, "soft_failure, open 0, unknown", PAID, 1),
    ("garbage", None, "soft_failure, open 0, unknown", PAID, 1),
]
DUNNING = [
    ("approve", None, PAID, PAID, 1),
    ("approve:10.00", None, PARTLY, PARTLY, 1),
    ("decline:insufficient_funds", None, OWED, OWED, 0),
    ("decline:lost_card", None, OWED, OWED, 0),
    ("unreachable", None, OWED, PAID, 1),
    ("action", None, ASKED, ASKED, 0),
    ("action", "approve", ASKED, PAID, 1),
    ("action", "decline:expired_card", ASKED, OWED, 0),
    ("pending", "approve", "past_due, open 0, pending", PAID, 1),
    ("pending", "decline:insufficient_funds", "past_due, open 0, pending", OWED, 0),
    ("timeout_before", None, DOUBT, PAID, 1),
    ("timeout_before", "decline:lost_card", DOUBT, OWED, 0),
    ("timeout_after_charge", None, DOUBT, PAID, 1),
    ("error_500_after_charge", None, DOUBT, PAID, 1),
    ("garbage", None, DOUBT, PAID, 1),
]


def asked_for(occasion, answer, billing=None):
    """Books in which the gateway has just given this answer."""
    billing = billing or books()
    script = billing.gateway("test").script
    if occasion == "signup":
        script([answer])
        with suppress(Refused):
            billing.subscriptions.create("s1", "acme", "pro-m")
        return billing
    billing.subscriptions.create("s1", "acme", "pro-m")
    declined = ["decline:insufficient_funds"] if occasion == "dunning" else []
    script([*declined, answer])
    until = day("02-02") if occasion == "dunning" else day("02-01")
    if not billing.clock.simulated:
        billing.clock.time = until
    billing.run(until)
    return billing


def stands(billing, occasion):
    sub = billing.subscriptions.get("s1")
    invoices = billing.invoices.list()[0 if occasion == "signup" else 1 :]
    paid = f"{invoices[0].status} {invoices[0].paid}" if invoices else "no invoice"
    return f"{sub.state}, {paid}, {billing.payments.list()[-1].status}"


def charges(billing, occasion):
    return billing.gateway("test").charges() - (0 if occasion == "signup" else 1)


@pytest.mark.parametrize(
    ("occasion", "answer", "then", "at_once", "later", "charged"),
    [
        (occasion, *row)
        for occasion, rows in (("signup", SIGNUP), ("renewal", RENEWAL), ("dunning", DUNNING))
        for row in rows
    ],
)
def test_an_answer_and_what_becomes_of_it(occasion, answer, then, at_once, later, charged) -> None:
    billing = asked_for(occasion, answer)
    assert stands(billing, occasion) == at_once
    if then is not None:
        billing.gateway("test").settle(billing.payments.list()[-1].id, then)
    billing.run(billing.clock.now() + timedelta(hours=2))
    assert stands(billing, occasion) == later
    assert charges(billing, occasion) == charged
    # Whatever comes after, nobody is charged beyond the invoice.
    billing.run(billing.clock.now() + timedelta(days=20))
    assert charges(billing, occasion) <= (2 if "approve:10.00" in (answer, then) else 1)
    assert billing.gateway("test").taken("USD").minor == sum(one.paid for one in billing.invoices.list())


@pytest.mark.parametrize("occasion", ["signup", "renewal"])
def test_a_call_that_hangs_is_given_up_and_found_later(occasion, monkeypatch) -> None:
    """Nobody waits for a gateway for ever; the money it took meanwhile is found by asking."""
    billing = books(clock=HandClock())
    workplace = billing._workplace
    monkeypatch.setattr(billing, "_workplace", lambda: evolve(workplace(), deadline_s=1))
    asked_for(occasion, "hang:5", billing)
    assert billing.payments.list()[-1].status == "unknown"
    billing.clock.time += timedelta(hours=2)
    billing.run()
    assert stands(billing, occasion) == PAID
    assert charges(billing, occasion) == 1


def test_after_the_keys_window_nothing_is_sent_again(monkeypatch) -> None:
    """F4: nobody knows then whether a gateway would take the same key for a second charge."""
    billing = asked_for("renewal", "timeout_before", books(clock=HandClock()))
    sent = []
    charge = ScriptedGateway.charge

    def counted(self, request):
        sent.append(request.idempotency_key.rpartition(":")[2])
        return charge(self, request)

    monkeypatch.setattr(ScriptedGateway, "charge", counted)
    billing.clock.time += timedelta(hours=25)
    billing.run()
    assert (stands(billing, "renewal"), sent) == ("soft_failure, open 0, unknown", [])
    billing.clock.time += timedelta(hours=2)
    billing.run()
    # Not found twice: it surely was not sent, so the invoice is due again, under a key of its own.
    assert (stands(billing, "renewal"), sent) == (PAID, ["2"])


def test_an_action_that_nobody_takes_is_given_up_and_dunning_goes_on() -> None:
    """A customer who does not come back must not hold his invoice for ever, at signup or later."""
    billing = asked_for("renewal", "action", books(clock=HandClock()))
    billing.clock.time += timedelta(hours=22)
    billing.run()
    assert stands(billing, "renewal") == "active, open 0, requires_action"
    billing.clock.time += timedelta(hours=1)
    billing.run()
    assert stands(billing, "renewal") == "past_due, open 0, canceled"
    billing.clock.time += timedelta(days=1)
    billing.run()
    assert (stands(billing, "renewal"), charges(billing, "renewal")) == (PAID, 1)


@pytest.mark.parametrize("words", ["a\0b", "\ud800 and more", "two\nlines\x1b[31m"])
@pytest.mark.parametrize("failure", [GatewayUnknown, GatewayNotSent])
def test_a_gateways_words_are_kept_whatever_is_in_them(monkeypatch, failure, words) -> None:
    """A character that a database cannot keep would take the outcomes of the whole batch with it."""

    def charge(_gateway, _request):
        raise failure(words)

    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-01-15")
    monkeypatch.setattr(ScriptedGateway, "charge", charge)
    billing.run(day("01-15"))
    (payment,) = billing.payments.list()
    assert payment.message is not None
    assert payment.message.isprintable()
    assert payment.status in {"unknown", "failed"}
