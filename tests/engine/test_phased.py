"""Commands that are paid before they happen, while something else happens (behaviour 5.1, 6.1; F1, F17, F20).

The money of a payment is never kept for nothing: what was asked for happens once, or the money is given back.
"""

from contextlib import suppress
from datetime import timedelta

import pytest

from billcore.plugins.gateway import Approved, DeclineCode, GatewayMisconfigured, Pending, declined
from tests.builders import books, day, refusal
from tests.engine.test_inbox import approved, receive
from tests.fakes import attempt_event, fake_books

pytestmark = pytest.mark.usefixtures("books_are_proven")

SETTINGS = {"change_decline": "refuse", "async_signup": "wait"}


def subscribed(**changed):
    """Books in which `s1` runs since 2026-01-01, on 2026-01-16."""
    billing = books(**SETTINGS | changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-16"))
    return billing


def waiting(answer, **changed):
    """The change of `s1` to two units, 15.49 USD until the renewal, waits for its payment."""
    billing = subscribed(**changed)
    billing.gateway("test").script([answer])
    sub = billing.subscriptions.change("s1", quantity=2)
    assert (sub.quantity, sub.state) == (1, "active")
    return billing


def settled(billing, outcome="approve"):
    """What the bank says at last of the payment that waits, and two hours for all that follows."""
    waits = [one for one in billing.payments.list() if one.status in ("pending", "requires_action", "unknown")]
    for payment in waits:
        with suppress(GatewayMisconfigured):  # It is over there already.
            billing.gateway("test").settle(payment.id, outcome)
    billing.run(billing.clock.now() + timedelta(hours=2))
    billing.run(billing.clock.now() + timedelta(hours=2))


def kept(billing):
    """What the gateway kept: all of it has paid an invoice, or the customer holds it as credit."""
    taken = billing.gateway("test").taken("USD").minor
    assert taken == sum(one.paid for one in billing.invoices.list(limit=100)) - given_back_of_paid(billing)
    return taken


def given_back_of_paid(billing):
    return sum(one.amount for one in billing.refunds.list(limit=100) if one.cause != "late_success")


def changes(billing):
    """The invoices of changes that stand: (status, total)."""
    issued = [one for one in billing.invoices.list(limit=100) if one.purpose == "change"]
    return [(one.status, one.total) for one in issued if one.discarded_at is None]


def troubles(billing):
    """What doctor lists but the settings of the tests' own server."""
    return [one for one in billing.doctor().troubles if one.kind != "database"]


def nothing_is_stuck(billing):
    assert troubles(billing) == []


ANSWERS = ["action", "pending", "timeout_after_charge"]


@pytest.mark.parametrize("answer", [*ANSWERS, "timeout_before"])
def test_a_change_happens_once_when_its_payment_comes_at_last(answer) -> None:
    billing = waiting(answer)
    if answer != "timeout_before":
        settled(billing)
    settled(billing)
    assert changes(billing) == [("paid", 1549)]
    assert billing.subscriptions.get("s1").quantity == 2
    assert kept(billing) == 3000 + 1549
    nothing_is_stuck(billing)


def canceled(billing):
    billing.subscriptions.cancel("s1")


def held(billing):
    billing.subscriptions.hold("s1")


def paused(billing):
    billing.subscriptions.pause("s1")


def changed_otherwise(billing):
    billing.subscriptions.change("s1", price="solo-m")


def doubled_from_credit(billing):
    """The same change again, which credit pays: nothing has to be paid first."""
    billing.credits.add("acme", amount="15.49", reason="sorry")
    assert billing.subscriptions.change("s1", quantity=2).quantity == 2


def refunded(billing):
    billing.payments.refund("acme/pay/1", amount="20.00")


def with_a_coupon(billing):
    billing.subscriptions.apply_coupon("s1", "TEN")


@pytest.mark.sqlite_only("what is decided does not depend on the database")
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "meanwhile",
    [canceled, held, paused, changed_otherwise, doubled_from_credit, refunded, with_a_coupon],
)
def test_where_the_subscription_went_another_way_the_money_is_given_back(answer, meanwhile) -> None:
    billing = waiting(answer)
    meanwhile(billing)
    before = billing.subscriptions.get("s1")
    settled(billing)
    billing.run(billing.clock.now() + timedelta(days=2))
    nothing_is_stuck(billing)
    kept(billing)
    assert (1549 in {total for _, total in changes(billing)}) == (meanwhile is doubled_from_credit)
    if answer == "timeout_after_charge":
        assert [one.amount for one in billing.refunds.list() if one.cause == "late_success"] == [1549]
    sub = billing.subscriptions.get("s1")
    assert (sub.quantity, sub.price_id, sub.state) == (before.quantity, before.price_id, before.state)


@pytest.mark.parametrize("answer", ["action", "pending"])
def test_a_renewal_before_the_payment_comes_leaves_the_old_price_or_the_new_one_whole(answer) -> None:
    """The new period was billed at the old quantity: the change of the period before it comes to nothing."""
    billing = books(**SETTINGS)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-31T23:00"))
    billing.gateway("test").script([answer])
    billing.subscriptions.change("s1", quantity=2)
    billing.run(day("02-01T00:01"))
    settled(billing)
    assert (changes(billing), billing.subscriptions.get("s1").quantity) == ([], 1)
    assert kept(billing) == 6000
    nothing_is_stuck(billing)


def ends_with_the_period(billing):
    billing.subscriptions.cancel("s1", "period_end")


def held_and_resumed(billing):
    billing.subscriptions.hold("s1")
    billing.subscriptions.resume("s1")


def charged_beside(billing):
    billing.gateway("test").script([])
    billing.subscriptions.add_charge("s1", "5.00", "Extra")


def charged_at_the_renewal(billing):
    billing.subscriptions.add_charge("s1", "5.00", "Extra", invoice_at="renewal")


@pytest.mark.sqlite_only("what is decided does not depend on the database")
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("meanwhile", [ends_with_the_period, held_and_resumed, charged_beside, charged_at_the_renewal])
def test_what_leaves_its_way_open_does_not_stop_a_change(answer, meanwhile) -> None:
    billing = waiting(answer)
    meanwhile(billing)
    settled(billing)
    assert changes(billing) == [("paid", 1549)]
    assert billing.subscriptions.get("s1").quantity == 2
    kept(billing)
    nothing_is_stuck(billing)


@pytest.mark.parametrize("answer", ["action", "pending"])
def test_a_second_command_that_is_paid_first_waits_for_the_first(answer) -> None:
    """Both would be charged, and one of them for nothing."""
    billing = waiting(answer)
    charges = len(billing.payments.list())
    given = {"period": "reset", "proration": "full"}
    for second in (
        lambda: billing.subscriptions.change("s1", quantity=2),
        lambda: billing.subscriptions.change("s1", **given),
        lambda: billing.subscriptions.set_component("s1", "seats", "2"),
        lambda: billing.subscriptions.attach("s2", "acme", "pro-y"),
    ):
        refused = refusal(second)
        assert refused.code == "payment_in_doubt"
        assert "The change of subscription s1 waits for a payment" in refused.message
    assert len(billing.payments.list()) == charges
    settled(billing)
    assert billing.subscriptions.set_component("s1", "seats", "2").items[0].quantity == 2


def test_a_period_begun_anew_twice_at_once_is_charged_once() -> None:
    """Whose lines would be the same again: a full charge from the same instant."""
    billing = subscribed()
    billing.gateway("test").script(["action", "action"])
    again = {"period": "reset", "proration": "full"}
    billing.subscriptions.change("s1", **again)
    assert refusal(billing.subscriptions.change, "s1", **again).code == "payment_in_doubt"
    settled(billing)
    assert kept(billing) == 6000


def test_a_customer_joins_no_group_while_his_change_waits() -> None:
    billing = waiting("action", customers=("acme", "boss"))
    assert refusal(billing.customers.join, "acme", "boss").code == "payment_in_doubt"
    settled(billing)
    billing.customers.join("acme", "boss")
    assert billing.subscriptions.get("s1").quantity == 2
    nothing_is_stuck(billing)


def test_a_page_that_nobody_opens_ends_the_wait() -> None:
    billing = waiting("action")
    billing.run(day("01-17"))
    assert (changes(billing), kept(billing)) == ([], 3000)
    assert billing.subscriptions.change("s1", quantity=2).quantity == 2


@pytest.mark.parametrize("verb", ["change", "reactivate"])
def test_money_that_comes_after_the_refusal_is_given_back(verb) -> None:
    """And told twice it is given back once."""
    billing, fake = fake_books(**SETTINGS)
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    if verb == "reactivate":
        billing.subscriptions.cancel("s1")
    fake.outcome = declined(DeclineCode.INSUFFICIENT_FUNDS)
    given = {"quantity": 2} if verb == "change" else {}
    assert refusal(getattr(billing.subscriptions, verb), "s1", **given).code == "payment_declined"
    before = billing.subscriptions.get("s1")
    payment = billing.payments.list()[-1]
    fake.answers[payment.id] = approved(payment)
    for key in ("evt_1", "evt_2", "evt_1"):
        receive(billing, attempt_event(payment.id, key=key))
    billing.run(day("01-02"))
    assert billing.subscriptions.get("s1") == before
    assert [(one.cause, one.status, one.amount) for one in billing.refunds.list()] == [
        ("late_success", "succeeded", 3000)
    ]
    nothing_is_stuck(billing)


@pytest.mark.parametrize("verb", ["change", "reactivate"])
def test_a_webhook_that_comes_twice_makes_it_happen_once(verb) -> None:
    billing, fake = fake_books(**SETTINGS)
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    if verb == "reactivate":
        billing.subscriptions.cancel("s1")
    fake.outcome = Pending("ch_2")
    given = {"quantity": 2} if verb == "change" else {}
    getattr(billing.subscriptions, verb)("s1", **given)
    payment = billing.payments.list()[-1]
    assert payment.status == "pending"
    fake.answers[payment.id] = Approved("ch_2", payment.amount, payment.currency)
    for key in ("evt_1", "evt_2"):
        receive(billing, attempt_event(payment.id, key=key))
        billing.run()
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.quantity, sub.sequence) == ("active", *((2, 1) if verb == "change" else (1, 2)))
    assert [one.status for one in billing.invoices.list()] == ["paid", "paid"]
    assert billing.refunds.list() == []


@pytest.mark.parametrize("answer", [*ANSWERS, "approve"])
@pytest.mark.parametrize("balance", ["keep", "forgive"])
def test_a_return_from_unpaid_deals_with_its_debt_when_it_is_paid(answer, balance) -> None:
    own = {"dunning": {"retry_after": ["1 day"], "final": "unpaid"}}
    billing = books(**SETTINGS | own)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"] * 2, default="approve")
    billing.run(day("02-05"))
    assert billing.subscriptions.get("s1").state == "unpaid"
    billing.gateway("test").script([answer], default="approve")
    sub = billing.subscriptions.reactivate("s1", balance=balance)
    assert sub.state == ("active" if answer == "approve" else "unpaid")
    settled(billing)
    assert billing.subscriptions.get("s1").state == "active"
    assert {one.status for one in billing.invoices.list()} == {"paid", *(["uncollectible"] * (balance == "forgive"))}
    kept(billing)
    nothing_is_stuck(billing)


def test_a_declined_return_leaves_the_debt_alone() -> None:
    own = {"dunning": {"retry_after": ["1 day"], "final": "unpaid"}}
    billing = books(**SETTINGS | own)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"] * 3, default="approve")
    billing.run(day("02-05"))
    assert refusal(billing.subscriptions.reactivate, "s1", balance="forgive").code == "payment_declined"
    billing.run(day("02-06"))
    assert billing.subscriptions.get("s1").state == "unpaid"
    assert [one.status for one in billing.invoices.list() if one.discarded_at is None] == ["paid", "open"]


# -- what is paid first is what would have been billed -------------------------------------------------------


def test_a_whole_difference_that_is_paid_first_is_covered_above_the_item() -> None:
    """Its line lies on a layer of its own: at the instant of the renewal both begin at once."""
    billing = books(**SETTINGS)
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    assert billing.subscriptions.set_component("s1", "seats", "3", upgrade="full").items[0].quantity == 3
    billing.run(day("01-10"))
    billing.subscriptions.set_component("s1", "seats", "5", upgrade="full")
    assert [one.total for one in billing.invoices.list()] == [3500, 1000, 1000]
    nothing_is_stuck(billing)


def test_usage_of_the_instant_of_the_change_is_billed_by_it() -> None:
    billing = books(**SETTINGS)
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.run(day("01-10"))
    billing.usage.record("s1", "calls", "10", event_id="e1")
    assert billing.subscriptions.change("s1", price="pro-y").period_end == day("2027-01-10")
    assert all(one.line_id is not None for one in billing.usage.list("s1"))
    assert "usage" in {line.kind for line in billing.invoices.list()[-1].lines}


def test_what_waits_for_the_renewal_waits_on_when_a_new_period_is_paid_first() -> None:
    """Refused, it must not have gone with the draft; paid, it is billed with the next renewal, once."""
    billing = books(**SETTINGS)
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    billing.run(day("01-10"))
    billing.subscriptions.add_charge("s1", "7.00", "Extra", invoice_at="renewal")
    billing.subscriptions.set_component("s1", "seats", "2", invoice_at="renewal")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    assert refusal(billing.subscriptions.change, "s1", period="reset").code == "payment_declined"
    sub = billing.subscriptions.change("s1", period="reset")
    assert sub.period_end == day("02-10")
    billing.run(day("02-10"))
    extra = [line.amount for one in billing.invoices.list() for line in one.lines if line.description == "Extra"]
    assert extra == [700]
    nothing_is_stuck(billing)


@pytest.mark.parametrize("answer", ["approve", "action"])
def test_add_ons_take_the_dates_of_a_period_that_was_paid_first(answer) -> None:
    billing = books(**SETTINGS)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1")
    billing.run(day("01-10"))
    billing.gateway("test").script([answer], default="approve")
    billing.subscriptions.change("s1", period="reset")
    if answer == "action":
        assert billing.subscriptions.get("a1").period_end == day("02-01")
        settled(billing)
    for name in ("s1", "a1"):
        sub = billing.subscriptions.get(name)
        assert (sub.period_start, sub.period_end) == (day("01-10"), day("02-10"))
    assert {one.status for one in billing.invoices.list()} == {"paid"}
    billing.run(day("02-10"))
    assert {one.sequence for one in billing.subscriptions.list()} == {3}


def events(billing, kind):
    with billing.database.transaction(reads=True) as tx:
        return tx.one("SELECT count(*) FROM billcore_events WHERE kind = ?", [kind])[0]


@pytest.mark.parametrize("how", ["keep", "refuse"])
def test_a_change_is_told_once_however_it_is_paid(how) -> None:
    billing = subscribed(change_decline=how)
    billing.subscriptions.change("s1", quantity=2)
    assert events(billing, "subscription.changed") == 1


# -- what a person is told -----------------------------------------------------------------------------------


def activation(billing):
    billing.subscriptions.create("s2", "acme", "try")
    billing.gateway("test").script(["pending"])
    billing.subscriptions.activate("s2")


def signup(billing):
    billing.gateway("test").script(["pending"])
    billing.subscriptions.create("s2", "acme", "pro-m")


def change(billing):
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.gateway("test").script(["pending"])
    billing.subscriptions.change("s2", quantity=3)


def comeback(billing):
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.subscriptions.cancel("s2")
    billing.gateway("test").script(["pending"])
    billing.subscriptions.reactivate("s2")


def charge(billing):
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.gateway("test").script(["pending"])
    billing.subscriptions.add_charge("s2", "5.00", "Extra")


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (signup, "the signup"),
        (activation, "the activation"),
        (change, "a change"),
        (comeback, "the return"),
        (charge, "a charge"),
    ],
)
def test_doctor_says_what_waits_for_a_payment(command, what) -> None:
    billing = books(**SETTINGS)
    command(billing)
    (trouble,) = troubles(billing)
    assert trouble.kind == "payment in doubt"
    assert trouble.reason.endswith(f"; {what} of subscription s2 waits for it")


def test_the_story_of_a_subscription_says_that_a_change_waits_for_its_payment() -> None:
    billing = waiting("action")
    (told,) = [one.text for one in billing.subscriptions.timeline("s1") if one.kind == "change"]
    assert told.startswith("change waits for its payment: ")


def test_whoever_pays_for_what_went_another_way_is_not_told_that_he_was_declined() -> None:
    """While the gateway thinks, the subscription is canceled; the approved money goes back."""
    billing, fake = fake_books(**SETTINGS)
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m")
    fake.during = lambda _request: billing.subscriptions.cancel("s1")
    refused = refusal(billing.subscriptions.change, "s1", quantity=2, idempotency_key="k")
    assert refused.code == "transition_not_allowed" and "given back" in refused.message
    fake.during = lambda _request: None
    billing.run()
    assert [(one.cause, one.status) for one in billing.refunds.list()] == [("late_success", "succeeded")]
    assert refusal(billing.subscriptions.change, "s1", quantity=2, idempotency_key="k").message == refused.message
