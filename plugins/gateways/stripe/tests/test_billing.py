"""Billcore and the Stripe gateway together, over HTTP: signup to refund, and the two books agree at the end."""

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from billcore import Billing, SimulatedClock
from billcore_gateway_stripe.testing import KEY

START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "whsec_of_the_shop"
CATALOG = {"products": [{"code": "gym", "prices": [{"code": "gym-m", "amount": "49.00", "every": "1 month"}]}]}


@pytest.fixture
def billing(fake):
    config = {
        "api_key": KEY,
        "base_url": fake.url,
        "return_url": "https://gym.example/back",
        "webhook_secrets": [SECRET],
        "timeout_s": 15,
    }
    with Billing("sqlite://", clock=SimulatedClock(START), gateways={"stripe": config}) as billing:
        billing.catalog.apply(CATALOG)
        billing.customers.create("ann", "Ann", "ann@example.com")
        yield billing


@pytest.fixture
def hear(fake, billing):
    """Delivers every event that the fake has had, in order or otherwise, and works on them."""

    def hear(order=lambda events: events, **knobs):
        accepted = 0
        for sent in order(fake.events(SECRET, **knobs)):
            accepted += billing.webhooks.receive(
                "stripe", {"Stripe-Signature": sent["signature"]}, sent["body"].encode()
            ).accepted
        billing.webhooks.process()
        return accepted

    return hear


def sign_up(billing, fake, **behaviour):
    token = fake.new_method(**behaviour)
    method = billing.payment_methods.add("ann", token, gateway="stripe")
    billing.subscriptions.create("s1", "ann", "gym-m")
    return method


def payments(billing, newest=True):
    return billing.payments.list(customer="ann", newest=newest)


def the_books_agree(billing, fake):
    """What our books say was taken is what Stripe's book says."""
    ours = sorted((one.id, one.captured) for one in payments(billing) if one.captured)
    assert ours == sorted((row["attempt_id"], row["amount"]) for row in fake.charges())
    assert billing.verify().ok


def after(billing, **delta):
    billing.run(billing.clock.now() + timedelta(**delta))


def test_a_customer_signs_up_renews_and_is_refunded(billing, fake, hear):
    method = sign_up(billing, fake)
    assert (method.brand, method.last4, method.expires_on) == ("visa", "4242", "2034-12")
    assert method.gateway_customer == fake.objects("customers")[0]["id"]
    assert fake.objects("customers")[0]["email"] == "ann@example.com"
    [first] = payments(billing)
    assert (first.status, first.captured) == ("succeeded", 4900)
    after(billing, days=31)
    second, _ = payments(billing)
    assert (second.status, second.attempt) == ("succeeded", 1)
    refund = billing.payments.refund(second.id, amount="10.00", reason="the lift was broken")
    assert refund.status == "succeeded"
    assert [row["amount"] for row in fake.book() if row["verb"] == "refund"] == [1000]
    hear()
    assert billing.webhooks.list(status="parked") == []
    the_books_agree(billing, fake)


def test_a_declined_renewal_is_tried_again_and_a_new_card_pays_at_once(billing, fake):
    method = sign_up(billing, fake)
    fake.call("behaviour", id=method.token, at_charge="insufficient_funds")
    after(billing, days=31)
    declined, _ = payments(billing)
    assert (declined.status, declined.decline_code) == ("failed", "insufficient_funds")
    assert billing.subscriptions.get("s1").state == "past_due"
    billing.payment_methods.add("ann", fake.new_method(), gateway="stripe")
    newest = billing.payment_methods.list("ann")[-1]
    billing.payment_methods.set_default("ann", newest.id)
    after(billing, days=1)
    assert billing.subscriptions.get("s1").state == "active"
    assert payments(billing)[0].status == "succeeded"
    the_books_agree(billing, fake)


def test_a_bank_that_wants_to_see_the_customer_is_waited_for(billing, fake, hear):
    method = sign_up(billing, fake)
    fake.call("behaviour", id=method.token, authenticate="always")
    after(billing, days=31)
    waiting, _ = payments(billing)
    assert waiting.status == "requires_action"
    assert waiting.action_url == f"{fake.url}/_fake/bank/{waiting.gateway_id}"
    fake.call("authenticate", id=waiting.gateway_id, granted=True)
    assert hear() > 0
    assert payments(billing)[0].status == "succeeded"
    assert hear() == 0
    the_books_agree(billing, fake)


@pytest.mark.parametrize("kind", ["reset", "error_500", "garbage"])
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("by", ["asking", "webhook"])
def test_a_lost_answer_ends_as_one_charge(billing, fake, hear, kind, where, by):
    sign_up(billing, fake)
    fake.fault(kind, where, path="/v1/payment_intents")
    billing.run(START + timedelta(days=31))
    unknown, _ = payments(billing)
    assert unknown.status in {"unknown", "succeeded"}
    if by == "webhook":
        hear()
    after(billing, hours=2)
    assert [one.status for one in payments(billing)] == ["succeeded", "succeeded"]
    assert len(fake.charges(unknown.id)) == 1
    hear()
    the_books_agree(billing, fake)


def test_webhooks_in_any_order_and_doubled_change_nothing_more(billing, fake, hear):
    sign_up(billing, fake)
    after(billing, days=62)
    refund = billing.payments.refund(payments(billing)[0].id)
    assert refund.status == "succeeded"
    before = [(one.id, one.status, one.captured) for one in payments(billing)]
    hear(lambda events: list(reversed(events)) + events)
    hear(lambda events: events[1::2] + events[::2])
    assert [(one.id, one.status, one.captured) for one in payments(billing)] == before
    the_books_agree(billing, fake)


def test_a_refund_that_fails_later_is_heard_of(billing, fake, hear):
    sign_up(billing, fake, refund="failing")
    refund = billing.payments.refund(payments(billing)[0].id)
    assert refund.status == "succeeded"
    hear()
    fake.call("refund", id=refund.gateway_id, status="failed", reason="expired_or_canceled_card")
    hear()
    assert billing.refunds.get(refund.id).status == "failed"
    assert billing.verify().ok


def test_a_method_that_was_entered_on_stripes_page_comes_by_webhook(billing, fake, hear):
    link = billing.payment_methods.link("ann", "stripe", "https://gym.example/done")
    fake.call("complete", id=link.url.rpartition("/")[2], method="visa")
    hear()
    [method] = billing.payment_methods.list("ann")
    assert (method.gateway, method.last4, method.status) == ("stripe", "4242", "active")
    billing.subscriptions.create("s1", "ann", "gym-m")
    assert payments(billing)[0].status == "succeeded"
    fake.call("update_card", id=method.token, exp_year=2039)
    hear()
    assert billing.payment_methods.list("ann")[0].expires_on == "2039-12"
    the_books_agree(billing, fake)


def test_a_bank_account_is_verified_and_its_debit_settles_days_later(billing, fake, hear):
    method = sign_up_by_bank(billing, fake)
    assert (method.kind, method.status) == ("bank_account", "unverified")
    verified = billing.payment_methods.verify("ann", method.id, amounts=["32", "45"])
    assert verified.status == "active"
    billing.subscriptions.create("s1", "ann", "gym-m")
    [under_way] = payments(billing)
    assert under_way.status == "pending"
    fake.call("settle", id=under_way.gateway_id)
    hear()
    assert payments(billing)[0].status == "succeeded"
    the_books_agree(billing, fake)


def sign_up_by_bank(billing, fake):
    token = fake.new_method(type="us_bank_account", brand="STRIPE TEST BANK", last4="6789")
    return billing.payment_methods.add("ann", token, gateway="stripe", kind="bank_account")


def test_a_card_that_is_gone_at_stripe_is_not_charged_for_ever(billing, fake, hear):
    method = sign_up(billing, fake)
    billing.payment_methods.add("ann", fake.new_method(), gateway="stripe")
    fake_client = billing.gateway("stripe")._connected().wire.client
    fake_client.v1.payment_methods.detach(method.token)
    hear()
    assert billing.payment_methods.list("ann")[0].status == "disabled"
    after(billing, days=31)
    assert payments(billing)[0].status == "succeeded"
    the_books_agree(billing, fake)


def test_what_a_forger_delivers_is_kept_out(billing, fake, hear):
    sign_up(billing, fake)
    with pytest.raises(Exception, match="webhook_rejected"):
        hear(forged=True)
    assert billing.webhooks.list() == []


def test_a_network_that_loses_a_third_of_all_answers_costs_no_second_charge(billing, fake, hear):
    """Thirty customers over three months; the seed says which calls are lost, before or after they are carried out."""
    for number in range(30):
        billing.customers.create(f"c{number}", f"Customer {number}", f"c{number}@example.com")
        billing.payment_methods.add(f"c{number}", fake.new_method(), gateway="stripe")
    fake.call("chaos", seed=11, before=10, after=20)
    for number in range(30):
        billing.subscriptions.create(f"s{number}", f"c{number}", "gym-m")
    after(billing, days=62)
    fake.call("calm")
    after(billing, days=1)
    hear()
    taken = fake.charges()
    assert len(taken) == 30 * 3
    assert len({row["invoice_id"] for row in taken}) == len(taken)
    ours = {
        one.id: one.captured for number in range(30) for one in billing.payments.list(customer=f"c{number}", limit=500)
    }
    assert {one: amount for one, amount in ours.items() if amount} == {row["attempt_id"]: 4900 for row in taken}
    assert billing.verify().ok


class Door:
    """The host's route for webhooks, on a real port."""

    def __init__(self, billing):
        self.answers = answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers.append(billing.webhooks.receive("stripe", self.headers.items(), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.mark.parametrize("lost", [False, True])
def test_a_webhook_that_comes_before_the_answer_changes_nothing(billing, fake, lost):
    """It is taken in while the charge is still under way; whether the answer comes as well makes no difference."""
    with Door(billing) as door:
        fake.webhooks(door.url, SECRET, mode="early", times=2)
        if lost:
            fake.fault("reset", "after", path="/v1/payment_intents")
        sign_up(billing, fake)
        assert any(answer.accepted for answer in door.answers)
        billing.webhooks.process()
        assert [one.status for one in payments(billing)] == ["succeeded"]
    the_books_agree(billing, fake)
