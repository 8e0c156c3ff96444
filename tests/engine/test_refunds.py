"""Every answer of a gateway to a refund, right after and once it is resolved; what comes too late is given back
by itself (behaviour 9.6, 5.1, 9.3)."""

from datetime import timedelta

import pytest
from attrs import evolve

from billcore.plugins.gateway import Capability
from billcore.store import refund as refunds
from billcore_gateway_test.gateway import ScriptedGateway
from tests.builders import HandClock, books, day, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

NO = "decline:generic_decline"
OUT = "succeeded, payment partially_refunded 1000"
OWED = "failed owed, payment succeeded 0"
PARTLY = "failed owed, payment partially_refunded 400"
ON_ITS_WAY = "pending, payment succeeded 0"
DOUBT = "unknown, payment succeeded 0"

# The answer, what becomes of it later at the gateway; how refund and payment stand right after, and two hours later.
ANSWERS = [
    ("approve", None, OUT, OUT),
    (
        "approve:4.00",
        None,
        "failed owed, payment partially_refunded 400",
        "failed owed, payment partially_refunded 400",
    ),
    (NO, None, OWED, OWED),
    ("decline:canceled", None, OWED, OWED),
    ("unreachable", None, ON_ITS_WAY, OUT),
    ("pending", None, ON_ITS_WAY, ON_ITS_WAY),
    ("pending", "approve", ON_ITS_WAY, OUT),
    ("pending", NO, ON_ITS_WAY, OWED),
    ("timeout_before", None, DOUBT, OUT),
    ("timeout_before", NO, DOUBT, OWED),
    ("timeout_after_charge", None, DOUBT, OUT),
    ("error_500_after_charge", None, DOUBT, OUT),
    ("garbage", None, DOUBT, OUT),
]


def paid(**changed):
    """Books with a payment of 30.00."""
    billing = books(**changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    return billing


def answered(answer, billing=None, **given):
    """A refund of 10.00 that its gateway has just answered so."""
    billing = billing or paid()
    billing.gateway("test").script([answer], default="approve")
    billing.payments.refund("acme/pay/1", amount="10.00", **given)
    return billing


def stands(billing):
    one, payment = billing.refunds.list()[-1], billing.payments.get("acme/pay/1")
    return f"{one.status}{' owed' if one.is_owed else ''}, payment {payment.status} {payment.refunded}"


def given_back(billing):
    """What the gateway's own book has given back."""
    return sum(one.amount.minor for one in billing.gateway("test").book() if one.verb == "refund")


def troubles(billing):
    """What doctor lists; that the server of the tests is not durable is their own affair."""
    return [trouble for trouble in billing.doctor().troubles if trouble.kind != "database"]


def later(billing, **passed):
    if billing.clock.simulated:
        billing.run(billing.clock.now() + timedelta(**passed))
    else:
        billing.clock.time += timedelta(**passed)
        billing.run()


@pytest.mark.parametrize(("answer", "then", "at_once", "afterwards"), ANSWERS)
def test_an_answer_and_what_becomes_of_it(answer, then, at_once, afterwards) -> None:
    billing = answered(answer)
    assert stands(billing) == at_once
    if then is not None:
        billing.gateway("test").settle(billing.refunds.list()[-1].id, then)
    later(billing, hours=2)
    assert stands(billing) == afterwards
    assert given_back(billing) == billing.payments.get("acme/pay/1").refunded
    later(billing, days=20)
    assert given_back(billing) <= 1000
    assert [one.total for one in billing.invoices.credit_notes()] == [1000]


@pytest.mark.parametrize(("answer", "then", "at_once", "afterwards"), ANSWERS)
def test_without_a_credit_note_the_invoice_is_open_for_what_is_out_or_on_its_way(
    answer, then, at_once, afterwards
) -> None:
    """What did not arrive pays the invoice again: nobody is owed anything."""
    billing = answered(answer, credit=False)
    if then is not None:
        billing.gateway("test").settle(billing.refunds.list()[-1].id, then)
    later(billing, hours=2)
    owed, invoice = [one for one in billing.refunds.list() if one.is_owed], billing.invoices.get("acme/1")
    under_way = sum(one.amount for one in billing.refunds.list() if one.status == "pending")
    assert (owed, invoice.due) == ([], given_back(billing) + under_way)
    assert invoice.status == ("open" if invoice.due else "paid")
    later(billing, days=20)
    assert billing.gateway("test").charges() == 1  # It is not collected by itself.
    assert billing.subscriptions.get("s1").state == "active"


def test_a_call_that_hangs_is_given_up_and_found_later(monkeypatch) -> None:
    billing = paid(clock=HandClock())
    workplace = billing._workplace
    monkeypatch.setattr(billing, "_workplace", lambda: evolve(workplace(), deadline_s=1))
    answered("hang:5", billing)
    assert stands(billing) == DOUBT
    later(billing, hours=2)
    assert (stands(billing), given_back(billing)) == (OUT, 1000)


def test_a_gateway_that_is_not_there_is_tried_again_with_the_same_bytes(monkeypatch) -> None:
    billing = answered("unreachable")
    (before,) = billing.refunds.list()
    sent = []
    refund = ScriptedGateway.refund

    def seen(self, request):
        sent.append(request)
        return refund(self, request)

    monkeypatch.setattr(ScriptedGateway, "refund", seen)
    assert before.next_check_at == day("01-01T01:00")
    later(billing, hours=2)
    (request,) = sent
    assert (request.attempt_id, request.idempotency_key) == (before.id, before.idempotency_key)
    assert billing.refunds.get(before.id).request == before.request


def test_after_the_keys_window_nothing_is_sent_again(monkeypatch) -> None:
    """F4: what is not found is owed and waits for a person; nobody gives money away on a guess."""
    billing = answered("timeout_before", paid(clock=HandClock()))
    monkeypatch.setattr(ScriptedGateway, "refund", lambda *_: pytest.fail("sent again"))
    later(billing, hours=25)
    assert stands(billing) == DOUBT
    later(billing, hours=2)
    assert (stands(billing), given_back(billing)) == (OWED, 0)
    assert "not found at the gateway, twice" in billing.refunds.list()[0].parked_reason
    assert [trouble.kind for trouble in troubles(billing)] == ["owed refund"]


def test_a_refund_may_fail_days_after_it_had_succeeded() -> None:
    """The bank sends it back: the payment has the money again and the customer is owed it (9.6)."""
    billing = answered("approve")
    (made,) = billing.refunds.list()
    later(billing, days=5)
    billing.gateway("test").settle(made.id, NO)
    later(billing, days=1)
    assert stands(billing) == OUT  # Nobody has said so yet.
    billing.unit(lambda scope: refunds.check_now(scope.tx, made.id, scope.now))
    billing.run()
    assert stands(billing) == OWED
    assert given_back(billing) == 0
    again = billing.refunds.retry(made.id)
    assert (again.replaces, again.status, stands(billing)) == (made.id, "succeeded", OUT)
    assert refusal(billing.refunds.retry, made.id).code == "transition_not_allowed"


def test_news_of_a_refund_that_has_not_changed_changes_nothing() -> None:
    billing = answered("approve")
    (made,) = billing.refunds.list()
    billing.unit(lambda scope: refunds.check_now(scope.tx, made.id, scope.now))
    billing.run()
    after = billing.refunds.get(made.id)
    assert evolve(after, version=made.version) == made


@pytest.mark.parametrize(
    ("to", "credit", "refunded"), [("method", 0, 1000), ("external", 0, 1000), ("credit", 1000, 0)]
)
def test_what_is_owed_is_made_good_in_any_way(to, credit, refunded) -> None:
    billing = answered(NO)
    billing.refunds.retry("acme/refund/1", to=to)
    payment = billing.payments.get("acme/pay/1")
    assert payment.refunded == refunded
    billing.run(day("02-01"))
    assert billing.invoices.get("acme/2").credited == credit


# -- what comes too late -------------------------------------------------------------------------------------

WEBHOOKS = {"test": {"webhook_secret": "whsec_refunds"}}


def tell(billing):
    """The gateway tells everything that happened there, and it is worked on."""
    gateway = billing.gateway("test")
    for body in gateway.events():
        billing.webhooks.receive("test", gateway.sign(body, billing.clock.wall()), body)
    billing.run()


def given_up(**changed):
    """A signup whose call was lost and counted as not sent: it has failed to be created."""
    billing = books(clock=HandClock(), gateways=WEBHOOKS, **changed)
    billing.gateway("test").script(["timeout_before"], default="approve")
    billing.subscriptions.create("s1", "acme", "pro-m")
    later(billing, hours=25)
    later(billing, hours=2)
    assert billing.subscriptions.get("s1").state == "failed_to_create"
    return billing


def test_a_success_after_the_signup_had_failed_is_refunded_by_itself() -> None:
    billing = given_up()
    payment = billing.payments.get("acme/pay/1")
    billing.gateway("test").settle(payment.id, "approve")
    tell(billing)
    (back,) = billing.refunds.list()
    payment = billing.payments.get(payment.id)
    assert (back.cause, back.status, back.invoice_id) == ("late_success", "succeeded", None)
    assert (payment.status, payment.refunded) == ("refunded", 3000)
    assert billing.gateway("test").taken("USD").minor == 0
    assert (billing.invoices.list(), troubles(billing)) == ([], [])
    assert refusal(billing.payments.refund, payment.id).code == "amount_exceeds"


def test_where_that_fails_the_customer_is_owed_it_and_a_person_sees_to_it() -> None:
    billing = given_up()
    payment = billing.payments.get("acme/pay/1")
    billing.gateway("test").settle(payment.id, "approve")
    billing.gateway("test").script([NO], default="approve")
    tell(billing)
    (trouble,) = troubles(billing)
    assert trouble.kind == "owed refund"
    billing.refunds.retry(trouble.subject, to="credit")
    assert troubles(billing) == []
    # Money that paid nothing is the customer's own: it pays the next thing in advance.
    sub = billing.subscriptions.create("s2", "acme", "pro-m")
    assert (sub.state, billing.invoices.get("acme/1").credited) == ("active", 3000)


def test_late_money_that_became_prepayment_is_paid_out_by_the_gateway_that_took_it() -> None:
    billing = given_up()
    billing.gateway("test").settle(billing.payments.get("acme/pay/1").id, "approve")
    billing.gateway("test").script([NO], default="approve")
    tell(billing)
    (trouble,) = troubles(billing)
    billing.refunds.retry(trouble.subject, to="credit")
    (made,) = billing.prepayments.refund("acme", amount="30.00")
    assert (made.to, made.cause, made.status) == ("method", "payout", "succeeded")
    assert billing.gateway("test").taken("USD").minor == 0
    assert billing.customers.balances("acme")[0].lifetime_value == 0
    assert billing.verify().ok


def test_a_gateway_that_gives_nothing_back_leaves_late_money_to_a_person(monkeypatch) -> None:
    billing = given_up()
    able = billing.gateway("test").capabilities - {Capability.REFUND}
    monkeypatch.setattr(billing.gateway("test"), "capabilities", able)
    billing.gateway("test").settle(billing.payments.get("acme/pay/1").id, "approve")
    tell(billing)
    assert [trouble.kind for trouble in troubles(billing)] == ["owed refund"]
    assert given_back(billing) == 0
    assert refusal(billing.refunds.retry, "acme/refund/1").code == "unsupported_capability"
    billing.refunds.retry("acme/refund/1", to="external")
    assert billing.payments.get("acme/pay/1").status == "refunded"


def declined_renewal():
    """A renewal whose attempt was lost, and was declined as far as the gateway said."""
    billing = books(clock=HandClock(), gateways=WEBHOOKS)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["timeout_before"], default=NO)
    billing.clock.time = day("02-01")
    billing.run()
    later(billing, hours=25)
    later(billing, hours=2)
    (lost,) = [one for one in billing.payments.list() if one.status == "failed" and one.attempt == 1]
    assert billing.subscriptions.get("s1").state == "past_due"
    return billing, lost


def test_a_success_that_its_invoice_still_wants_pays_it() -> None:
    """It counted as failed, and the invoice is still open: the money is not sent back only to be asked for again."""
    billing, lost = declined_renewal()
    billing.gateway("test").settle(lost.id, "approve")
    tell(billing)
    assert billing.invoices.get("acme/2").status == "paid"
    assert (billing.subscriptions.get("s1").state, billing.refunds.list()) == ("active", [])


def test_a_success_for_an_invoice_that_was_paid_meanwhile_is_refunded() -> None:
    billing, lost = declined_renewal()
    billing.gateway("test").script([], default="approve")
    billing.subscriptions.retry("s1")
    assert billing.invoices.get("acme/2").status == "paid"
    billing.gateway("test").settle(lost.id, "approve")
    tell(billing)
    (back,) = billing.refunds.list()
    assert (back.payment_id, back.cause, back.status) == (lost.id, "late_success", "succeeded")
    assert billing.gateway("test").taken("USD").minor == 6000


@pytest.mark.parametrize(
    ("answer", "due", "status"), [("approve", 0, "paid"), ("approve:10.00", 2000, "uncollectible")]
)
def test_a_success_for_what_was_written_off_meanwhile_pays_it(answer, due, status) -> None:
    """The loss was booked too early; sent back, the money would be lost once more (8.5)."""
    billing, lost = declined_renewal()
    billing.invoices.write_off("acme/2")
    billing.gateway("test").settle(lost.id, answer)
    tell(billing)
    invoice = billing.invoices.get("acme/2")
    assert (invoice.status, invoice.due, invoice.collect_at) == (status, due, None)
    assert (billing.subscriptions.get("s1").state, billing.refunds.list()) == ("active", [])


def test_a_part_that_was_approved_late_counts_too() -> None:
    billing, lost = declined_renewal()
    billing.gateway("test").settle(lost.id, "approve:10.00")
    tell(billing)
    assert (billing.invoices.get("acme/2").due, billing.subscriptions.get("s1").state) == (2000, "past_due")
