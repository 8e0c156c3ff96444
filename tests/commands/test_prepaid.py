"""Subscriptions paid in advance: covered or suspended, awake when money comes, topped up once (behaviour 9.8)."""

import pytest

from tests.builders import attempts, books, day, documents, dump, refusal


def prepaid(money="100.00", price="pro-m", **given):
    settings = given.pop("settings", {})
    billing = books(method=given.pop("method", "approve"), **settings)
    if money is not None:
        billing.prepayments.add("acme", amount=money)
    billing.subscriptions.create("s1", "acme", price, collection="prepaid", **given)
    return billing


def state(billing, reference="s1"):
    return billing.subscriptions.get(reference).state


def money(billing):
    (one,) = billing.customers.balances("acme")
    return one.prepayment


def causes(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT previous, state, cause FROM billcore_state_changes ORDER BY at, id")


def events(billing, kind):
    with billing.database.transaction(reads=True) as tx:
        return [row[0] for row in tx.rows("SELECT data FROM billcore_events WHERE kind = ? ORDER BY id", [kind])]


def topped(billing):
    return [one for one in billing.payments.list() if one.cause == "top_up"]


# -- signup --------------------------------------------------------------------------------------------------


def test_a_signup_is_paid_from_the_prepayment_and_nothing_is_charged() -> None:
    billing = prepaid("50.00")
    assert documents(billing) == [("paid", "01-01", 3000, [("product", 3000)])]
    assert money(billing) == 2000
    assert [one.gateway for one in billing.payments.list()] == ["external"]


def test_a_signup_that_the_prepayment_does_not_cover_is_refused_and_leaves_nothing() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="29.99")
    before = dump(billing)
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m", collection="prepaid")
    assert (refused.code, refused.facts["missing"]) == ("insufficient_credit", 1)
    assert "prepayments.add" in refused.remedy
    assert dump(billing) == before


def test_credits_pay_first_and_count_for_what_is_covered() -> None:
    billing = books()
    billing.credits.add("acme", amount="25.00")
    billing.prepayments.add("acme", amount="5.00")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="prepaid")
    assert documents(billing)[0][0] == "paid"
    assert billing.credits.list("acme") == []


def test_a_prepaid_one_draws_on_the_prepayment_whatever_the_setting_says() -> None:
    billing = prepaid("60.00", settings={"apply_prepayments": "manual"})
    billing.run(day("02-01"))
    assert [row[0] for row in documents(billing)] == ["paid", "paid"]


def test_what_is_paid_in_advance_has_no_net_terms() -> None:
    billing = books()
    refused = refusal(billing.subscriptions.create, "s1", "acme", "free", collection="prepaid", net_terms=10)
    assert (refused.code, refused.facts["parameter"]) == ("invalid_value", "net_terms")


# -- renewals ------------------------------------------------------------------------------------------------


def test_a_renewal_that_is_not_covered_suspends_and_makes_no_invoice() -> None:
    billing = prepaid("50.00")
    billing.run(day("02-15"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_end, sub.sequence, sub.next_action_at) == ("suspended", day("02-01"), 1, None)
    assert len(documents(billing)) == 1 and money(billing) == 2000
    assert causes(billing)[-1] == ("active", "suspended", "renewal_due")


def test_money_that_reaches_wakes_it_at_once_for_the_period_that_it_missed() -> None:
    billing = prepaid("50.00")
    billing.run(day("02-15"))
    billing.prepayments.add("acme", amount="9.99")
    assert state(billing) == "suspended" and money(billing) == 2999
    billing.prepayments.add("acme", amount="0.01")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("02-01"), day("03-01"))
    assert documents(billing)[1] == ("paid", "02-15", 3000, [("product", 3000)])
    assert causes(billing)[-1] == ("suspended", "active", "balance_topped_up")


@pytest.mark.parametrize(
    ("amount", "billed", "ends", "now"), [("70.00", 3, "04-01", "suspended"), ("150", 6, "07-01", "active")]
)
def test_several_missed_periods_are_billed_one_by_one(amount, billed, ends, now) -> None:
    """On June 10 the periods from February to June are missing."""
    billing = prepaid("30.00")
    billing.run(day("06-10"))
    billing.prepayments.add("acme", amount=amount)
    sub = billing.subscriptions.get("s1")
    assert (len(documents(billing)), sub.period_end, sub.state) == (billed, day(ends), now)
    starts = [f"{one.lines[0].start:%m-%d}" for one in billing.invoices.list()]
    assert starts == ["01-01", "02-01", "03-01", "04-01", "05-01", "06-01"][:billed]


@pytest.mark.parametrize("way", ["payment", "gift", "void"])
def test_whatever_raises_the_money_tries_again(way) -> None:
    billing = prepaid("30.00")
    if way == "void":
        billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance", quantity="2")
        billing.invoices.record_payment("acme/2", "40.00")
        billing.subscriptions.cancel("s2")
    billing.run(day("02-10"))
    if way == "payment":
        billing.payments.record("acme", "30.00")
    elif way == "gift":
        billing.credits.add("acme", amount="30.00")
    else:
        assert state(billing) == "suspended"
        billing.invoices.void("acme/2")
    assert state(billing) == "active"


def test_a_debt_is_paid_before_a_suspended_one_wakes() -> None:
    billing = prepaid("30.00")
    billing.run(day("01-20"))
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance")
    billing.run(day("02-01"))
    billing.prepayments.add("acme", amount="30.00")
    assert state(billing) == "suspended" and billing.invoices.get("acme/2").status == "paid"


def test_two_of_one_customer_share_his_money_in_order_of_creation() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="90.00")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="prepaid")
    billing.subscriptions.create("s2", "acme", "pro-m", collection="prepaid")
    billing.run(day("02-01"))
    assert (state(billing, "s1"), state(billing, "s2")) == ("active", "suspended")
    assert [row[2] for row in documents(billing)] == [3000, 3000, 3000]


def test_a_renewal_is_covered_with_its_usage_and_tax_or_not_at_all() -> None:
    """Each month is 35.70 with its tax; ten calls and their tax are 1.19 more."""
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.settings.set("seller", '{"country": "DE", "registrations": ["DE"]}')
    billing.prepayments.add("acme", amount="72.58")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="prepaid", components={"calls": "0"})
    billing.usage.record("s1", "calls", "10")
    billing.run(day("02-01"))
    assert state(billing) == "suspended"
    billing.prepayments.add("acme", amount="0.01")
    assert (state(billing), [row[2] for row in documents(billing)]) == ("active", [3570, 3689])


def test_a_suspended_one_is_canceled_for_what_it_used() -> None:
    billing = prepaid("35.00", components={"calls": "0"})
    billing.run(day("01-10"))
    billing.usage.record("s1", "calls", "20")
    billing.run(day("02-20"))
    assert state(billing) == "suspended"
    billing.subscriptions.cancel("s1")
    assert documents(billing)[1:] == [("paid", "02-20", 200, [("usage", 200)])]
    assert state(billing) == "canceled"


def test_a_date_to_end_comes_while_suspended_too() -> None:
    billing = prepaid("30.00", ends_at="2026-02-10")
    billing.run(day("02-05"))
    assert state(billing) == "suspended"
    billing.run(day("02-10"))
    assert state(billing) == "expired"
    billing.prepayments.add("acme", amount="100.00")
    assert len(documents(billing)) == 1


def test_a_change_that_waits_for_the_renewal_waits_for_the_money_too() -> None:
    billing = prepaid("90.00")
    billing.subscriptions.change("s1", quantity="3", when="renewal")
    billing.run(day("02-10"))
    assert (state(billing), len(documents(billing))) == ("suspended", 1)
    billing.prepayments.add("acme", amount="30.00")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.quantity, documents(billing)[1][2]) == ("active", 3, 9000)


# -- trial, start, hold --------------------------------------------------------------------------------------


def test_a_trial_whose_price_is_not_covered_suspends_at_its_end() -> None:
    billing = prepaid(None, price="try")
    billing.run(day("01-20"))
    assert (state(billing), documents(billing)) == ("suspended", [])
    billing.prepayments.add("acme", amount="30.00")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start) == ("active", day("01-15"))


@pytest.mark.parametrize(("price", "state_"), [("try-end", "trial_ended"), ("try-cancel", "canceled")])
def test_a_trial_that_is_not_taken_up_ends_as_its_price_says(price, state_) -> None:
    billing = prepaid(None, price=price)
    billing.run(day("01-20"))
    assert state(billing) == state_


def test_a_start_that_is_not_covered_begins_when_the_money_comes() -> None:
    billing = prepaid(None, starts_at="2026-01-10")
    billing.run(day("01-12"))
    assert state(billing) == "suspended"
    billing.prepayments.add("acme", amount="30.00")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("01-12"), day("02-12"))


def test_a_hold_that_ends_uncovered_goes_on_when_the_money_comes() -> None:
    billing = prepaid("30.00")
    billing.subscriptions.hold("s1", resume_at="2026-02-10")
    billing.run(day("02-15"))
    assert state(billing) == "suspended"
    billing.prepayments.add("acme", amount="30.00")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start) == ("active", day("02-15"))


def test_resume_and_activate_by_hand_ask_for_the_money_first() -> None:
    billing = prepaid("30.00")
    billing.subscriptions.create("s2", "acme", "try", collection="prepaid")
    billing.subscriptions.hold("s1")
    billing.run(day("02-10"))
    assert refusal(billing.subscriptions.resume, "s1").code == "insufficient_credit"
    billing = prepaid(None, price="try")
    assert refusal(billing.subscriptions.activate, "s1").code == "insufficient_credit"
    billing.prepayments.add("acme", amount="30.00")
    assert billing.subscriptions.activate("s1").state == "active"


# -- usage ---------------------------------------------------------------------------------------------------


def test_usage_is_compared_at_once() -> None:
    billing = prepaid("35.00", components={"calls": "0"})
    billing.usage.record("s1", "calls", "50")
    assert state(billing) == "active"
    billing.usage.record("s1", "calls", "0.1")
    assert state(billing) == "suspended"
    assert causes(billing)[-1] == ("active", "suspended", "balance_short")
    billing.prepayments.add("acme", amount="0.01")
    assert state(billing) == "active"
    assert causes(billing)[-1] == ("suspended", "active", "balance_topped_up")
    billing.run(day("02-01"))
    assert (state(billing), money(billing)) == ("suspended", 501)


def test_usage_that_is_corrected_is_compared_at_once() -> None:
    billing = prepaid("35.00", components={"calls": "0"})
    billing.usage.record("s1", "calls", "50", event_id="e1")
    seen = []
    for quantity in ("51", "50", "500", "0"):
        billing.usage.correct("s1", "calls", "e1", quantity)
        seen.append(state(billing))
    billing.usage.record("s1", "calls", "51")
    billing.usage.record("s1", "calls", "-1")
    assert seen == ["suspended", "active", "suspended", "active"] and state(billing) == "active"


def test_less_usage_lets_the_others_of_the_same_money_go_on() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="65.00")
    for reference in ("s1", "s2"):
        billing.subscriptions.create(reference, "acme", "pro-m", collection="prepaid", components={"calls": "0"})
    billing.usage.record("s1", "calls", "30", event_id="e1")
    billing.usage.record("s2", "calls", "30")
    assert state(billing, "s2") == "suspended"
    billing.usage.correct("s1", "calls", "e1", "20")
    assert (state(billing, "s1"), state(billing, "s2")) == ("active", "active")


@pytest.mark.parametrize("given", [{}, {"price": "pro-fee"}, {"proration": "full"}, {"price": "pro-late"}])
def test_a_new_period_of_a_suspended_one_bills_the_time_that_it_missed(given) -> None:
    """Nine of February's 28 days, as they are when the money comes first (9.8)."""
    billing = prepaid("35.00")
    billing.run(day("02-10"))
    billing.subscriptions.change("s1", period="reset", **given)
    missed = documents(billing)[-1][3][0]
    assert missed == ("product", 964)
    billing.prepayments.add("acme", amount="100.00")
    assert state(billing) == "active"


def test_usage_of_all_his_subscriptions_counts_against_one_prepayment() -> None:
    billing = books()
    billing.prepayments.add("acme", amount="65.00")
    for reference in ("s1", "s2"):
        billing.subscriptions.create(reference, "acme", "pro-m", collection="prepaid", components={"calls": "0"})
    billing.usage.record("s1", "calls", "30")
    billing.usage.record("s2", "calls", "30")
    assert (state(billing, "s1"), state(billing, "s2")) == ("active", "suspended")


def test_usage_while_suspended_is_kept_and_billed() -> None:
    billing = prepaid("31.00", components={"calls": "0"})
    billing.usage.record("s1", "calls", "20")
    billing.usage.record("s1", "calls", "5")
    billing.prepayments.add("acme", amount="100.00")
    billing.run(day("02-01"))
    assert documents(billing)[1] == ("paid", "02-01", 3250, [("usage", 250), ("product", 3000)])


# -- top-up --------------------------------------------------------------------------------------------------


def test_what_falls_below_the_limit_is_topped_up_once() -> None:
    billing = prepaid("100.00", top_up_below="50.00", top_up_amount="80.00")
    billing.run(day("02-01"))
    assert [(one.status, one.amount, one.invoice_id is None) for one in topped(billing)] == [("succeeded", 8000, False)]
    assert money(billing) == 4000 + 8000
    assert [row[0] for row in documents(billing)] == ["paid", "paid"], "the document of a top-up is no invoice"
    billing.run(day("05-15"))
    assert (len(topped(billing)), money(billing)) == (2, 10_000 + 2 * 8000 - 5 * 3000)
    assert [row[0] for row in documents(billing)] == ["paid"] * 5


def test_usage_that_is_not_billed_yet_counts_for_the_limit() -> None:
    billing = prepaid("60.00", components={"calls": "0"}, top_up_below="20.00", top_up_amount="50.00")
    billing.usage.record("s1", "calls", "101")
    billing.usage.record("s1", "calls", "10")
    assert [one.status for one in topped(billing)] == ["pending"]
    billing.run(day("01-02"))
    assert [one.status for one in topped(billing)] == ["succeeded"]
    assert money(billing) == 8000


def test_a_declined_top_up_is_told_once_and_the_subscription_runs_until_it_is_short() -> None:
    billing = prepaid("70.00", top_up_below="50.00", top_up_amount="80.00")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("01-15"))
    assert [one.status for one in topped(billing)] == ["failed"]
    assert len(events(billing, "subscription.top_up_failed")) == 1
    billing.run(day("02-10"))
    assert (state(billing), len(topped(billing))) == ("active", 1)
    billing.run(day("03-10"))
    assert (state(billing), len(topped(billing)), money(billing)) == ("suspended", 1, 1000)


def test_a_top_up_wakes_what_was_suspended() -> None:
    billing = prepaid("35.00", components={"calls": "0"}, top_up_below="1.00", top_up_amount="50.00")
    billing.usage.record("s1", "calls", "60")
    assert state(billing) == "suspended"
    billing.run(day("01-02"))
    assert (state(billing), money(billing)) == ("active", 5500)


def test_without_a_method_it_is_told_and_not_tried_again_for_each_event() -> None:
    billing = prepaid("35.00", components={"calls": "0"}, top_up_below="4.00", top_up_amount="50.00", method=None)
    for _ in range(3):
        billing.usage.record("s1", "calls", "11")
    assert topped(billing) == [] and len(events(billing, "subscription.top_up_failed")) == 1


def test_a_top_up_that_did_not_reach_the_gateway_is_made_again() -> None:
    billing = prepaid("70.00", top_up_below="50.00", top_up_amount="80.00")
    billing.gateway("test").script(["unreachable"], default="approve")
    billing.run(day("01-15"))
    assert [one.status for one in topped(billing)] == ["failed", "succeeded"]
    assert len({one.idempotency_key for one in topped(billing)}) == 2 and money(billing) == 12_000


def test_a_top_up_without_an_answer_is_asked_for_and_counts_once() -> None:
    billing = prepaid("70.00", top_up_below="50.00", top_up_amount="80.00")
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    billing.run(day("01-15"))
    assert [one.status for one in topped(billing)] == ["succeeded"] and money(billing) == 12_000


def test_an_asynchronous_top_up_counts_when_it_settles() -> None:
    billing = prepaid("70.00", top_up_below="50.00", top_up_amount="80.00")
    billing.gateway("test").script(["pending"], default="approve")
    billing.run(day("01-02"))
    assert money(billing) == 4000 and attempts(billing)[-1][0] == "pending"
    billing.gateway("test").settle(topped(billing)[0].id, "approve")
    billing.run(day("01-05"))
    assert money(billing) == 12_000


def test_the_limits_may_be_changed_and_taken_away() -> None:
    billing = prepaid("100.00")
    assert refusal(billing.subscriptions.set_top_up, "s1", below="10.00").code == "invalid_value"
    billing.subscriptions.set_top_up("s1", below="80.00", amount="20.00")
    billing.run(day("01-02"))
    assert len(topped(billing)) == 1 and money(billing) == 9000
    sub = billing.subscriptions.set_top_up("s1")
    assert (sub.top_up_below, sub.top_up_amount) == (None, None)
    billing.subscriptions.create("s2", "acme", "pro-m")
    refused = refusal(billing.subscriptions.set_top_up, "s2", below="1.00", amount="1.00")
    assert refused.facts["parameter"] == "top_up_below"


def test_an_activation_is_not_held_up_by_a_top_up() -> None:
    billing = prepaid("40.00", price="try", top_up_below="50.00", top_up_amount="80.00")
    billing.subscriptions.set_top_up("s1", below="50.00", amount="80.00")
    assert billing.subscriptions.activate("s1").state == "active"
