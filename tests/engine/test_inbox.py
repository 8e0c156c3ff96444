"""What gateways tell by webhook: asked for again, recorded once, late, early, doubled or never (behaviour 9.3, 9.7)."""

import threading
from datetime import timedelta
from itertools import pairwise

import pytest
from attrs import evolve

from billcore.domain.inbox import AGAIN_MINUTES
from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    DeclineCode,
    GatewayUnknown,
    Pending,
    Vaulted,
    WebhookEvent,
    WebhookKind,
    declined,
)
from tests.builders import HandClock, day, refusal
from tests.fakes import attempt_event, delivery, fake_books, method_event

pytestmark = pytest.mark.usefixtures("books_are_proven")


def receive(billing, *events, **given):
    return billing.webhooks.receive("fake", *delivery(*events, at=billing.clock.wall(), **given))


def inbox(billing, **given):
    return [(one.key, one.status) for one in billing.webhooks.list(limit=10_000, **given)]


def lost(_request):
    raise GatewayUnknown("no answer")


def troubles(billing):
    return [one for one in billing.doctor().troubles if one.kind == "parked webhook"]


def with_method(**changed):
    billing, fake = fake_books(**changed)
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    fake.asked.clear()
    return billing, fake


def pending_signup(**changed):
    """A subscription whose first payment is under way at the bank."""
    billing, fake = with_method(**{"async_signup": "wait"} | changed)
    fake.outcome = Pending("ch_1")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    assert (payment.status, billing.subscriptions.get("s1").state) == ("pending", "pending")
    return billing, fake, payment


def approved(payment):
    return Approved("ch_1", payment.amount, payment.currency)


# -- payments ------------------------------------------------------------------------------------------------


def test_nothing_is_done_before_the_delivery_is_confirmed() -> None:
    """The answer to the gateway waits for the commit, not for what the event means."""
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = approved(payment)
    receipt = receive(billing, attempt_event(payment.id))
    assert (receipt.accepted, receipt.duplicates) == (1, 0)
    assert billing.payments.get(payment.id).status == "pending" and fake.count("lookup") == 0
    assert inbox(billing) == [("evt_1", "waiting")]


def test_what_an_event_says_is_asked_for_again_and_recorded_like_an_answer() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = approved(payment)
    receive(billing, attempt_event(payment.id, gateway_id="ch_1"))
    report = billing.run()
    assert report.webhooks == 1
    assert billing.payments.get(payment.id).status == "succeeded"
    assert billing.subscriptions.get("s1").state == "active"
    (event,) = billing.webhooks.list()
    assert (event.status, event.customer_id) == ("done", payment.customer_id)


def test_an_event_alone_moves_nothing() -> None:
    """It says `succeeded`; the gateway, asked, says that the payment is still under way."""
    billing, _, payment = pending_signup()
    receive(billing, attempt_event(payment.id, text="payment.succeeded"))
    billing.run()
    assert billing.payments.get(payment.id).status == "pending"
    assert inbox(billing) == [("evt_1", "done")]


def test_a_host_without_a_worker_processes_after_its_answer() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = declined(DeclineCode.INSUFFICIENT_FUNDS)
    receive(billing, attempt_event(payment.id))
    assert billing.webhooks.process() == 1
    assert billing.payments.get(payment.id).status == "failed"
    assert billing.webhooks.process() == 0


def test_a_doubled_event_is_one() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = approved(payment)
    first = receive(billing, attempt_event(payment.id))
    again = receive(billing, attempt_event(payment.id), attempt_event(payment.id, key="evt_2"))
    assert (first.accepted, again.accepted, again.duplicates) == (1, 1, 1)
    billing.run()
    assert receive(billing, attempt_event(payment.id)).duplicates == 1
    billing.run()
    assert inbox(billing) == [("evt_1", "done"), ("evt_2", "done")]
    assert fake.count("lookup") == 1


def test_an_event_of_a_settled_payment_asks_nobody() -> None:
    """Most deliveries tell of what the answer to the charge has said already."""
    billing, fake = with_method()
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    receive(billing, attempt_event(payment.id))
    billing.run()
    assert inbox(billing) == [("evt_1", "done")] and fake.count("lookup") == 0


def test_an_event_inside_the_charge_settles_it_once() -> None:
    """The webhook is faster than the answer; both end in one transition."""
    billing, fake = with_method()

    def told_before_answered(request) -> None:
        receive(billing, attempt_event(request.attempt_id))
        assert billing.webhooks.process() == 1
        assert billing.payments.get(request.attempt_id).status == "succeeded"

    fake.during = told_before_answered
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    assert (payment.status, payment.captured) == ("succeeded", 3000)
    assert billing.subscriptions.get("s1").state == "active"
    assert [one.paid for one in billing.invoices.list()] == [3000]


def test_an_event_settles_a_payment_whose_answer_was_lost() -> None:
    billing, fake = with_method()
    fake.during = lost
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    assert payment.status == "unknown"
    receive(billing, attempt_event(payment.id))
    billing.run()
    assert billing.payments.get(payment.id).status == "succeeded"
    assert fake.count("charge") == 1


def test_a_webhook_that_never_arrives_is_found_by_asking() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = approved(payment)
    billing.run(day("01-02"))
    assert billing.payments.get(payment.id).status == "succeeded" and inbox(billing) == []


def test_late_money_of_a_declined_payment_is_noticed() -> None:
    billing, fake, payment = pending_signup(signup_decline="past_due")
    fake.answers[payment.id] = declined(DeclineCode.INSUFFICIENT_FUNDS)
    receive(billing, attempt_event(payment.id))
    billing.run()
    assert billing.payments.get(payment.id).status == "failed"
    fake.answers[payment.id] = approved(payment)
    receive(billing, attempt_event(payment.id, key="evt_2"))
    billing.run()
    assert billing.payments.get(payment.id).captured == 3000


# -- events about nothing that is known ----------------------------------------------------------------------


def test_an_event_of_something_else_waits_a_while_and_is_ignored() -> None:
    """It may be ahead of our own commit; mostly it is another sale in the same account."""
    billing, fake = with_method()
    receive(billing, attempt_event(gateway_id="ch_other"))
    billing.run()
    (event,) = billing.webhooks.list()
    assert (event.status, event.tries, event.next_try_at) == ("waiting", 1, billing.clock.now() + timedelta(minutes=1))
    billing.run(day("01-02"))
    assert inbox(billing) == [("evt_1", "ignored")] and fake.asked == []


def test_an_early_event_is_done_when_its_payment_is_there() -> None:
    """It names the gateway's id only, which stands in the answer that we do not have yet."""
    billing, fake = with_method()
    receive(billing, attempt_event(gateway_id="ch_1"))
    billing.run()
    fake.outcome = Pending("ch_1")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    fake.answers[payment.id] = approved(payment)
    billing.run(billing.clock.now() + timedelta(minutes=1))
    assert inbox(billing) == [("evt_1", "done")]
    assert billing.payments.get(payment.id).status == "succeeded"


def test_an_attempt_like_ours_that_is_not_here_is_parked() -> None:
    """After a backup was restored the gateway knows charges that the books do not (promise F37)."""
    billing, _ = with_method()
    receive(billing, attempt_event("pay_" + "0" * 31 + "1"))
    billing.run(day("01-02"))
    (event,) = billing.webhooks.list(status="parked")
    assert "restored from a backup" in event.reason
    (trouble,) = troubles(billing)
    assert trouble.subject == event.id
    assert "webhooks discard" in trouble.remedy


def test_another_gateways_event_does_not_touch_a_payment() -> None:
    billing, fake, payment = pending_signup()
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_payments SET gateway = 'test', version = version + 1")
    receive(billing, attempt_event(payment.id))
    billing.run(day("01-02"))
    assert ("evt_1", "parked") in inbox(billing) and fake.count("lookup") == 0


def test_what_means_nothing_here_is_ignored_at_once() -> None:
    billing, fake = with_method()
    receive(billing, WebhookEvent("evt_1", WebhookKind.OTHER, "payout.paid"))
    billing.run()
    assert inbox(billing) == [("evt_1", "ignored")] and fake.asked == []


def test_a_dispute_waits_for_a_person_as_long_as_disputes_are_not_booked() -> None:
    billing, _ = with_method()
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    receive(billing, WebhookEvent("evt_1", WebhookKind.DISPUTE, "dispute.opened", of=payment.gateway_id))
    receive(billing, WebhookEvent("evt_2", WebhookKind.DISPUTE, "dispute.opened", of="ch_other"))
    billing.run(day("01-02"))
    assert inbox(billing) == [("evt_1", "parked"), ("evt_2", "ignored")]
    assert payment.id in billing.webhooks.get("evt_1").reason


# -- refunds -------------------------------------------------------------------------------------------------


def paid(**changed):
    billing, fake = with_method(**changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    return billing, fake, payment


def test_an_event_settles_a_refund_whose_answer_was_lost() -> None:
    billing, fake, payment = paid()
    fake.during = lost
    refund = billing.payments.refund(payment.id, amount="10.00")
    assert refund.status == "unknown"
    receive(billing, attempt_event(refund.id, of=payment.gateway_id))
    billing.run()
    assert billing.refunds.get(refund.id).status == "succeeded"
    assert (fake.count("refund"), billing.payments.get(payment.id).refunded) == (1, 1000)
    assert inbox(billing) == [("evt_1", "done")]


def test_an_event_inside_the_refund_is_no_refund_by_hand() -> None:
    """It names the gateway's id only, which is not known before the answer."""
    billing, fake, payment = paid()

    def told_before_answered(request) -> None:
        receive(billing, attempt_event(gateway_id="re_" + request.attempt_id, of=request.gateway_id))
        assert billing.webhooks.process() == 1

    fake.during = told_before_answered
    refund = billing.payments.refund(payment.id)
    assert refund.status == "succeeded"
    billing.run(day("01-02"))
    assert inbox(billing) == [("evt_1", "done")]


def test_an_event_inside_the_refund_that_names_it_waits_for_nobody() -> None:
    """A gateway may answer a refund only when its webhook was answered; whoever makes it has the outcome anyway."""
    billing, fake, payment = paid()

    def told_before_answered(request) -> None:
        receive(billing, attempt_event(request.attempt_id, of=request.gateway_id))
        assert billing.webhooks.process() == 1

    fake.during = told_before_answered
    assert billing.payments.refund(payment.id).status == "succeeded"
    assert (fake.count("refund"), inbox(billing)) == (1, [("evt_1", "done")])


def test_a_refund_that_comes_back_later_is_owed_again() -> None:
    billing, fake, payment = paid()
    refund = billing.payments.refund(payment.id)
    fake.answers[refund.id] = declined(DeclineCode.TRANSACTION_NOT_ALLOWED)
    receive(billing, attempt_event(refund.id, of=payment.gateway_id))
    billing.webhooks.process()
    assert billing.refunds.get(refund.id).status == "failed"


def test_a_refund_made_at_the_gateway_by_hand_waits_for_a_person() -> None:
    billing, _, payment = paid()
    receive(billing, attempt_event(gateway_id="re_hand", of=payment.gateway_id))
    # Some gateways copy what was kept with the charge.
    receive(billing, attempt_event(payment.id, key="evt_2", gateway_id="re_hand", of=payment.gateway_id))
    billing.run()
    assert inbox(billing) == [("evt_1", "parked"), ("evt_2", "parked")]
    billing.webhooks.discard("evt_2")
    (event,) = billing.webhooks.list(status="parked", customer="acme")
    assert f"billcore payments refund {payment.id}" in event.reason
    billing.webhooks.discard(event.id, reason="recorded")
    assert inbox(billing, status="parked") == [] and troubles(billing) == []


# -- trouble -------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_tried_later_and_later_and_then_parked() -> None:
    billing, fake, payment = pending_signup()
    fake.fails["lookup"] = GatewayUnknown("down")
    receive(billing, attempt_event(payment.id))
    tried = []
    for _ in range(len(AGAIN_MINUTES)):
        billing.run(billing.clock.now() if not tried else tried[-1])
        (event,) = billing.webhooks.list()
        tried.append(event.next_try_at)
    waited = [after - before for before, after in pairwise([day("01-01"), *tried])]
    assert waited == [timedelta(minutes=minutes) for minutes in AGAIN_MINUTES]
    billing.run(tried[-1])
    (event,) = billing.webhooks.list(status="parked")
    assert "down" in event.reason
    fake.fails.clear()
    fake.answers[payment.id] = approved(payment)
    billing.webhooks.retry(event.id)
    billing.run()
    assert inbox(billing) == [("evt_1", "done")]


def test_a_gateway_that_does_not_find_its_own_attempt_is_asked_again() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = AttemptNotFound(payment.id)
    receive(billing, attempt_event(payment.id))
    billing.run()
    (event,) = billing.webhooks.list()
    assert event.status == "waiting" and "does not find" in event.reason


def test_a_poison_event_among_a_thousand_stops_none_of_them(monkeypatch) -> None:
    """Whatever goes wrong with one, the others are done, and it is parked in the end (promise F19)."""
    from billcore.engine import inbox as engine

    billing, _ = with_method()
    real = engine.told

    def told(event, at):
        if event.key == "evt_500":
            raise RuntimeError("poison")
        return real(event, at)

    monkeypatch.setattr(engine, "told", told)
    events = [WebhookEvent(f"evt_{number}", WebhookKind.OTHER) for number in range(1000)]
    assert receive(billing, *events).accepted == 1000
    billing.run()
    assert len(billing.webhooks.list(status="ignored", limit=2000)) == 999
    (event,) = billing.webhooks.list(status="waiting")
    assert (event.key, event.reason) == ("evt_500", "RuntimeError: poison")
    billing.run(day("02-01"))
    assert inbox(billing, status="parked") == [("evt_500", "parked")]


@pytest.mark.parametrize("error", [SystemExit("no"), KeyboardInterrupt(), MemoryError(), ValueError("x")])
def test_a_plugin_that_raises_anything_is_asked_again(error) -> None:
    billing, fake, payment = pending_signup()
    fake.fails["lookup"] = error
    fake.fails["describe"] = error
    receive(billing, attempt_event(payment.id), method_event("pm_a"))
    billing.run()
    assert inbox(billing) == [("evt_1", "waiting"), ("evt_m", "waiting")]


# -- methods -------------------------------------------------------------------------------------------------


def test_a_method_entered_on_a_hosted_page_becomes_the_customers_and_pays() -> None:
    billing, fake = fake_books(signup_decline="past_due")
    acme = billing.customers.get("acme")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.payment_methods.link("acme", "fake", "https://shop.example/done")
    fake.methods["pm_h"] = Vaulted("pm_h", "gc_1", "card", "visa", "4242", "2031-01", customer_id=acme.id)
    receive(billing, method_event("pm_h"))
    billing.webhooks.process()
    (method,) = billing.payment_methods.list("acme")
    assert (method.token, method.gateway_customer, method.last4) == ("pm_h", "gc_1", "4242")
    assert billing.customers.get("acme").default_method_id == method.id
    assert billing.subscriptions.get("s1").state == "active"
    assert inbox(billing, customer="acme") == [("evt_m", "done")]


def test_the_bank_renews_a_card() -> None:
    billing, fake = with_method()
    fake.methods["pm_a"] = evolve(fake.methods["pm_a"], last4="1111", expires_on="2035-05")
    receive(billing, method_event("pm_a"))
    billing.run()
    (method,) = billing.payment_methods.list("acme")
    assert (method.last4, method.expires_on, method.status) == ("1111", "2035-05", "active")


def test_a_revoked_method_is_disabled_and_not_charged() -> None:
    billing, fake = with_method()
    billing.subscriptions.create("s1", "acme", "pro-m")
    fake.methods.clear()
    receive(billing, method_event("pm_a"))
    billing.run()
    assert [one.status for one in billing.payment_methods.list("acme")] == ["disabled"]
    billing.run(day("02-01"))
    assert fake.count("charge") == 1 and billing.subscriptions.get("s1").state == "past_due"


def test_a_method_that_was_removed_here_stays_removed() -> None:
    """Its gateway keeps it, and goes on telling of it."""
    billing, _ = with_method()
    (method,) = billing.payment_methods.list("acme")
    billing.payment_methods.remove("acme", method.id)
    receive(billing, method_event("pm_a"))
    billing.run()
    assert billing.payment_methods.list("acme") == [] and inbox(billing) == [("evt_m", "ignored")]


def test_after_an_outage_a_gateway_is_asked_what_changed_about_methods() -> None:
    billing, fake = with_method()
    fake.methods["pm_a"] = evolve(fake.methods["pm_a"], last4="1111")
    fake.changed = [(day("01-02"), method_event("pm_a", key="upd_1")), (day("01-01"), method_event("pm_b", key="old"))]
    since = day("01-02")
    assert billing.webhooks.catch_up("fake", since, dry_run=True).value.accepted == 0 and fake.asked == []
    assert billing.webhooks.catch_up("fake", since, idempotency_key="k").accepted == 1
    assert billing.webhooks.catch_up("fake", since, idempotency_key="k").accepted == 1
    assert fake.asked == [since]
    assert billing.webhooks.catch_up("fake", since).duplicates == 1
    billing.run()
    assert [one.last4 for one in billing.payment_methods.list("acme")] == ["1111"]
    assert inbox(billing) == [("upd_1", "done")]


def test_a_method_of_nobody_here_is_left_alone() -> None:
    billing, fake = with_method()
    fake.methods["pm_x"] = Vaulted("pm_x", "gc_x")
    fake.methods["pm_y"] = Vaulted("pm_y", "gc_y", customer_id="somebody")
    fake.methods["pm_z"] = Vaulted("pm_z", "gc_z", customer_id="cus_" + "0" * 32)
    receive(billing, *(method_event(token, key=token) for token in ("pm_x", "pm_y", "pm_z", "pm_gone")))
    billing.run(day("01-02"))
    assert inbox(billing) == [("pm_gone", "ignored"), ("pm_x", "ignored"), ("pm_y", "ignored"), ("pm_z", "parked")]


def test_the_webhook_of_a_method_that_was_added_meanwhile_is_the_same_method() -> None:
    """An answer to `vault` that was lost may come by webhook first."""
    billing, fake = fake_books()
    acme = billing.customers.get("acme")
    fake.methods["pm_a"] = Vaulted("pm_a", "gc_1", customer_id=acme.id)
    receive(billing, method_event("pm_a"), method_event("pm_a", key="evt_n"))
    billing.run()
    added = billing.payment_methods.add("acme", "tok_a", gateway="fake", reference="visa")
    assert billing.payment_methods.list("acme") == [added]


# -- the verbs -----------------------------------------------------------------------------------------------


def test_one_event_is_read_by_id_or_by_its_gateways_key() -> None:
    billing, _ = with_method()
    receive(billing, WebhookEvent("evt_1", WebhookKind.OTHER, "payout.paid"))
    (listed,) = billing.webhooks.list()
    event = billing.webhooks.get("evt_1")
    assert event == billing.webhooks.get(listed.id)
    assert '"payout.paid"' in event.body and listed.body == ""
    assert refusal(billing.webhooks.get, "evt_2").code == "not_found"


def test_events_are_replayed_one_or_many_without_doing_anything_twice() -> None:
    billing, fake, payment = pending_signup()
    fake.answers[payment.id] = approved(payment)
    receive(billing, attempt_event(payment.id), WebhookEvent("evt_2", WebhookKind.OTHER))
    billing.run()
    before = billing.payments.get(payment.id)
    assert billing.webhooks.replay(webhook="evt_1").count == 1
    assert inbox(billing, status="waiting") == [("evt_1", "waiting")]
    billing.run()
    assert billing.webhooks.replay(gateway="fake", since=day("01-01")).count == 2
    assert billing.webhooks.replay(status="waiting", until=day("01-01")).count == 0
    billing.run()
    assert inbox(billing) == [("evt_1", "done"), ("evt_2", "ignored")]
    assert billing.payments.get(payment.id) == before


def test_a_replay_says_what_it_takes() -> None:
    billing, _ = with_method()
    replay = billing.webhooks.replay
    assert refusal(replay).code == "invalid_parameter"
    receive(billing, WebhookEvent("evt_1", WebhookKind.OTHER))
    assert refusal(replay, webhook="evt_1", gateway="fake").code == "invalid_parameter"
    assert refusal(replay, since=day("02-01"), until=day("01-01")).code == "invalid_value"


def test_only_what_is_open_is_retried_or_discarded() -> None:
    billing, _ = with_method()
    receive(billing, WebhookEvent("evt_1", WebhookKind.OTHER))
    billing.run()
    for verb in (billing.webhooks.retry, billing.webhooks.discard):
        assert refusal(verb, "evt_1").code == "transition_not_allowed"


def test_what_was_given_up_is_not_worked_on() -> None:
    billing, fake, payment = pending_signup()
    receive(billing, attempt_event(payment.id))
    billing.webhooks.discard("evt_1")
    billing.run()
    assert inbox(billing) == [("evt_1", "discarded")] and fake.count("lookup") == 0


# -- several workers -----------------------------------------------------------------------------------------


def test_several_workers_share_the_inbox_and_do_everything_once(stores, tmp_path) -> None:
    """Each event is claimed by one of them; each payment is asked for and recorded once."""
    names = [f"c{number}" for number in range(8)]
    billing, fake = fake_books(
        stores.at(tmp_path / "shared.db"), clock=HandClock(), customers=names, async_signup="wait"
    )
    fake.outcome = Pending("ch_1")
    for name in names:
        billing.payment_methods.add(name, f"tok_{name}", gateway="fake")
        billing.subscriptions.create(f"s-{name}", name, "pro-m")
    payments = billing.payments.list()
    events = [attempt_event(one.id, key=f"{one.id}-{number}") for one in payments for number in range(10)]
    for payment in payments:
        fake.answers[payment.id] = approved(payment)
    receive(billing, *events)
    together = threading.Barrier(4)
    done: list[int] = []

    def work() -> None:
        together.wait()
        done.append(billing.run().webhooks)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(done) == 4 and {status for _, status in inbox(billing)} == {"done"}
    assert [one.status for one in billing.payments.list()] == ["succeeded"] * len(names)
    assert [one.tries for one in billing.webhooks.list(limit=100)] == [1] * len(events)
