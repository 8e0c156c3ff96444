"""activate, cancel, uncancel, hold, resume, retry: by the rows of behaviour 5.2."""

import json

import pytest

from tests.builders import CATALOG, attempts, books, day, documents, dump, refusal


def signed_up(price="pro-m", until=None, *, method="approve", settings=None, catalog=None, **given):
    billing = books(method=method, **(settings or {}), **({"catalog": catalog} if catalog else {}))
    billing.subscriptions.create("s1", "acme", price, **given)
    if until is not None:
        billing.run(day(until))
    return billing


def state(billing, reference="s1"):
    return billing.subscriptions.get(reference).state


def states(billing):
    """The stored changes of state: previous, state, cause."""
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT previous, state, cause FROM billcore_state_changes ORDER BY id")


# -- activate ------------------------------------------------------------------------------------------------


def test_activation_ends_the_trial_and_charges_a_period_from_now() -> None:
    billing = signed_up("pro-trial", "01-05")
    sub = billing.subscriptions.activate("s1")
    assert (sub.state, sub.period_start, sub.period_end, sub.next_action) == (
        "active",
        day("01-05"),
        day("02-05"),
        "renew",
    )
    assert sub.activated_at == day("01-05")
    assert documents(billing)[1:] == [("paid", "01-05", 4000, [("setup_fee", 1000), ("product", 3000)])]
    billing.run(day("02-05"))
    assert documents(billing)[2:] == [("paid", "02-05", 3000, [("product", 3000)])]


def test_activation_does_not_wait_for_the_start_date() -> None:
    billing = signed_up("pro-fee", "01-05", starts_at="2026-03-01")
    sub = billing.subscriptions.activate("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("01-05"), day("02-05"))
    assert documents(billing) == [("paid", "01-05", 4000, [("setup_fee", 1000), ("product", 3000)])]


def test_a_declined_activation_leaves_the_trial_as_it_was() -> None:
    billing = signed_up("try", "01-05")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    before = billing.subscriptions.get("s1")
    refused = refusal(billing.subscriptions.activate, "s1")
    assert refused.code == "payment_declined"
    assert billing.subscriptions.get("s1") == before
    assert billing.invoices.list() == []
    billing.run(day("01-15"))
    assert documents(billing) == [("paid", "01-15", 3000, [("product", 3000)])]


def test_a_declined_activation_may_be_left_past_due() -> None:
    billing = signed_up("try", "01-05", settings={"activation_decline": "past_due"})
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    sub = billing.subscriptions.activate("s1")
    assert (sub.state, sub.period_end) == ("past_due", day("02-05"))
    billing.run(day("01-06"))
    assert state(billing) == "active"


def test_an_activation_without_an_answer_is_resolved() -> None:
    billing = signed_up("try", "01-05")
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    assert billing.subscriptions.activate("s1").state == "trialing"
    billing.run(day("01-06"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start) == ("active", day("01-05"))
    assert [one.status for one in billing.payments.list()] == ["succeeded"]


def test_a_free_trial_of_a_free_price_is_activated_without_a_charge() -> None:
    billing = signed_up("free", "01-05", trial_until="2026-01-20")
    assert billing.subscriptions.activate("s1").state == "active"
    assert billing.payments.list() == []


def test_only_what_has_not_begun_is_activated() -> None:
    billing = signed_up()
    refused = refusal(billing.subscriptions.activate, "s1")
    assert refused.code == "transition_not_allowed"
    assert refused.facts["state"] == "active" and "cancel" in refused.facts["allowed"]


# -- cancel --------------------------------------------------------------------------------------------------


def test_canceled_now_nothing_is_charged_or_given_back() -> None:
    billing = signed_up("pro-m", "01-16")
    sub = billing.subscriptions.cancel("s1", reason="too dear")
    assert (sub.state, sub.ended_at, sub.next_action_at, sub.cancel_reason) == (
        "canceled",
        day("01-16"),
        None,
        "too dear",
    )
    billing.run(day("04-01"))
    assert len(billing.invoices.list()) == 1 and billing.invoices.credit_notes() == []


def test_canceled_now_with_credit_gives_unused_time_back() -> None:
    billing = signed_up("pro-m", "01-16", components={"seats": "2"})
    billing.subscriptions.cancel("s1", credit="unused")
    (note,) = billing.invoices.credit_notes()
    # 16 of 31 days of 30.00 and of 10.00
    assert (note.to, note.total, sorted(line.amount for line in note.lines)) == ("credit", 2064, [-1548, -516])
    assert all(line.kind == "credit" and line.end == day("02-01") for line in note.lines)


def test_credit_for_an_unpaid_invoice_only_reduces_it() -> None:
    """Never give back what was not paid (3.5)."""
    billing = signed_up("pro-m", "01-16", method=None, collection="remittance")
    billing.subscriptions.cancel("s1", credit="unused")
    (note,) = billing.invoices.credit_notes()
    (invoice,) = billing.invoices.list()
    assert (note.to, note.total, note.invoice_id) == ("invoice", 1548, invoice.id)
    assert (invoice.status, invoice.credited, invoice.due) == ("open", 1548, 1452)


def test_canceling_bills_usage_and_arrears_once_without_dunning() -> None:
    billing = signed_up("pro-late", "01-16", components={"calls": "0"})
    billing.usage.record("s1", "calls", "25", timestamp="2026-01-10")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    sub = billing.subscriptions.cancel("s1")
    assert sub.state == "canceled"
    # 15 of 31 days in arrears, and 25 calls
    assert documents(billing) == [("open", "01-16", 1702, [("product", 1452), ("usage", 250)])]
    billing.run(day("03-01"))
    assert attempts(billing) == [("failed", "01-16", 1702)]
    assert dump(billing)["billcore_dunning_cases"] == []


def test_final_usage_and_credit_stand_on_one_document() -> None:
    billing = signed_up("pro-m", "01-16", components={"calls": "0"})
    billing.usage.record("s1", "calls", "10")
    billing.subscriptions.cancel("s1", credit="unused")
    (note,) = billing.invoices.credit_notes()
    assert sorted((line.kind, line.amount) for line in note.lines) == [("credit", -1548), ("usage", 100)]
    assert note.total == 1448


def test_usage_up_to_the_cancellation_is_not_billed_twice() -> None:
    billing = signed_up("pro-m", "01-16", components={"calls": "0"})
    billing.usage.record("s1", "calls", "10")
    billing.subscriptions.cancel("s1")
    assert [row[3] for row in documents(billing)] == [[("product", 3000)], [("usage", 100)]]
    unbilled = [row for row in dump(billing)["billcore_usage_events"] if None in row[-1:]]
    assert unbilled == []


def test_a_cancellation_at_the_period_end_ends_there_and_nowhere_else() -> None:
    billing = signed_up("pro-m", "01-16")
    sub = billing.subscriptions.cancel("s1", "period_end")
    assert (sub.state, sub.cancel_at, sub.next_action, sub.access_until) == (
        "active",
        day("02-01"),
        "cancel",
        day("02-01"),
    )
    billing.run(day("02-01"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("canceled", day("02-01"))
    assert len(billing.invoices.list()) == 1


def test_a_cancellation_at_the_period_end_bills_arrears_there() -> None:
    billing = signed_up("pro-late", "01-16", components={"calls": "0"})
    billing.subscriptions.cancel("s1", "period_end")
    billing.usage.record("s1", "calls", "10")
    billing.run(day("02-01"))
    assert documents(billing) == [("paid", "02-01", 3100, [("product", 3000), ("usage", 100)])]


def test_a_date_beyond_the_period_cuts_the_last_one_short() -> None:
    billing = signed_up("pro-m", "01-16")
    billing.subscriptions.cancel("s1", "2026-03-15")
    billing.run(day("04-01"))
    assert [row[1:3] for row in documents(billing)] == [("01-01", 3000), ("02-01", 3000), ("03-01", 1355)]
    assert billing.subscriptions.get("s1").ended_at == day("03-15")


def test_a_date_inside_the_billed_period_gives_back_as_asked() -> None:
    billing = signed_up("pro-m", "01-05")
    billing.subscriptions.cancel("s1", "2026-01-16", credit="unused")
    assert billing.invoices.credit_notes() == []
    billing.run(day("02-01"))
    (note,) = billing.invoices.credit_notes()
    assert (note.total, note.issued_at, state(billing)) == (1548, day("01-16"), "canceled")


def test_a_trial_is_canceled_without_a_charge() -> None:
    billing = signed_up("try", "01-05")
    assert billing.subscriptions.cancel("s1", "period_end").cancel_at == day("01-15")
    billing.run(day("01-20"))
    assert (state(billing), billing.invoices.list()) == ("canceled", [])


def test_a_future_start_is_canceled_at_once() -> None:
    billing = signed_up(starts_at="2026-03-01")
    assert billing.subscriptions.cancel("s1", "period_end").state == "canceled"
    billing.run(day("04-01"))
    assert billing.invoices.list() == []


@pytest.mark.parametrize("when", ["2026-01-16", "2026-01-01", "yesterday"])
def test_a_cancellation_date_lies_ahead(when) -> None:
    billing = signed_up("pro-m", "01-16")
    before = dump(billing)
    assert refusal(billing.subscriptions.cancel, "s1", when).code == "invalid_value"
    assert dump(billing) == before


def test_what_has_ended_is_not_canceled_again() -> None:
    billing = signed_up()
    billing.subscriptions.cancel("s1")
    for when in ("now", "period_end", "2026-06-01"):
        refused = refusal(billing.subscriptions.cancel, "s1", when)
        assert refused.code == "transition_not_allowed"
        assert "s1 is canceled" in refused.message


def test_past_due_can_be_canceled_and_its_invoice_stays_open() -> None:
    billing = signed_up("pro-m")
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-01"))
    assert state(billing) == "past_due"
    billing.subscriptions.cancel("s1")
    billing.run(day("03-15"))
    assert [one.status for one in billing.invoices.list()] == ["paid", "open"]


# -- uncancel ------------------------------------------------------------------------------------------------


def test_an_undone_cancellation_leaves_nothing_behind() -> None:
    billing = signed_up("pro-m", "01-16")
    before = billing.subscriptions.get("s1")
    billing.subscriptions.cancel("s1", "period_end", credit="unused", reason="x")
    sub = billing.subscriptions.uncancel("s1")
    assert (sub.cancel_at, sub.cancel_reason, sub.cancel_credit, sub.next_action) == (None, None, None, "renew")
    assert billing.subscriptions.get("s1") == sub
    assert sub.period_end == before.period_end
    billing.run(day("02-01"))
    assert len(billing.invoices.list()) == 2


def test_after_an_undone_cancellation_the_rest_of_the_cut_period_is_charged() -> None:
    billing = signed_up("pro-m", "01-16")
    billing.subscriptions.cancel("s1", "2026-03-15")
    billing.run(day("03-05"))
    billing.subscriptions.uncancel("s1")
    billing.run(day("04-01"))
    assert [row[1:3] for row in documents(billing)] == [
        ("01-01", 3000),
        ("02-01", 3000),
        ("03-01", 1355),
        ("03-15", 1645),
        ("04-01", 3000),
    ]


def test_there_must_be_a_cancellation_to_undo() -> None:
    billing = signed_up()
    assert refusal(billing.subscriptions.uncancel, "s1").code == "transition_not_allowed"
    billing.subscriptions.cancel("s1")
    assert refusal(billing.subscriptions.uncancel, "s1").code == "transition_not_allowed"


def test_an_add_ons_cancellation_is_undone_with_its_bases() -> None:
    billing = signed_up()
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.subscriptions.cancel("s1", "period_end")
    assert billing.subscriptions.get("s2").cancel_at == day("02-01")
    billing.subscriptions.uncancel("s1")
    assert billing.subscriptions.get("s2").cancel_at is None


# -- hold and resume -----------------------------------------------------------------------------------------


def test_on_hold_nothing_renews_or_expires() -> None:
    billing = signed_up("pro-m", "01-16", ends_at="2026-03-10")
    sub = billing.subscriptions.hold("s1")
    assert (sub.state, sub.held_at, sub.next_action_at) == ("on_hold", day("01-16"), None)
    billing.run(day("06-01"))
    assert (state(billing), len(billing.invoices.list())) == ("on_hold", 1)


def test_on_hold_it_can_be_canceled() -> None:
    billing = signed_up("pro-m", "01-16")
    billing.subscriptions.hold("s1")
    assert billing.subscriptions.cancel("s1").state == "canceled"
    assert len(billing.invoices.list()) == 1


def test_a_planned_cancellation_holds_on_hold() -> None:
    billing = signed_up("pro-m", "01-16")
    billing.subscriptions.cancel("s1", "2026-03-10")
    billing.subscriptions.hold("s1")
    billing.run(day("04-01"))
    assert (state(billing), len(billing.invoices.list())) == ("canceled", 1)


def test_a_hold_bills_arrears_up_to_it() -> None:
    billing = signed_up("pro-late", "01-16", components={"calls": "0"})
    billing.usage.record("s1", "calls", "10")
    billing.subscriptions.hold("s1")
    assert documents(billing) == [("paid", "01-16", 1552, [("product", 1452), ("usage", 100)])]
    billing.run(day("01-20"))
    billing.subscriptions.resume("s1")
    billing.run(day("02-01"))
    # the 12 days from January 20
    assert documents(billing)[1:] == [("paid", "02-01", 1161, [("product", 1161)])]


def test_resumed_before_the_period_end_the_dates_are_unchanged_and_nothing_is_charged() -> None:
    billing = signed_up("pro-m", "01-10")
    billing.subscriptions.hold("s1")
    billing.run(day("01-20"))
    sub = billing.subscriptions.resume("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("01-01"), day("02-01"))
    billing.run(day("02-01"))
    assert [row[1:3] for row in documents(billing)] == [("01-01", 3000), ("02-01", 3000)]


@pytest.mark.parametrize(
    ("period", "charged", "end"),
    [("reset", 3000, day("03-20")), ("keep", 964, day("03-01"))],
)
def test_resumed_after_the_period_end(period, charged, end) -> None:
    """reset: a new period from now; keep: the old anchor's period, 9 of 28 days of it."""
    billing = signed_up("pro-m", "01-10")
    billing.subscriptions.hold("s1")
    billing.run(day("02-20"))
    sub = billing.subscriptions.resume("s1", period=period)
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("02-20"), end)
    assert documents(billing)[1:] == [("paid", "02-20", charged, [("product", charged)])]


@pytest.mark.parametrize("period", ["reset", "keep"])
def test_components_are_charged_again_with_their_product(period) -> None:
    billing = signed_up("pro-m", "01-10", components={"seats": "2"})
    billing.subscriptions.hold("s1")
    billing.run(day("02-20"))
    billing.subscriptions.resume("s1", period=period)
    amounts = {"reset": [("product", 3000), ("component", 1000)], "keep": [("product", 964), ("component", 321)]}
    assert documents(billing)[1][3] == amounts[period]


def test_with_a_billing_day_a_reset_is_prorated_up_to_it() -> None:
    billing = signed_up("pro-m", "01-10", billing_day=1)
    billing.subscriptions.hold("s1")
    billing.run(day("02-20"))
    sub = billing.subscriptions.resume("s1")
    assert (sub.period_start, sub.period_end) == (day("02-20"), day("03-01"))
    assert documents(billing)[1][2] == 964


def test_a_credited_hold_is_charged_again_from_the_day_it_ends() -> None:
    billing = signed_up("pro-m", "01-10", components={"seats": "2"})
    billing.subscriptions.hold("s1", unused="credit")
    (note,) = billing.invoices.credit_notes()
    assert note.total == 2129 + 710  # 22 of 31 days
    billing.run(day("01-20"))
    sub = billing.subscriptions.resume("s1")
    assert sub.period_end == day("02-01")
    assert documents(billing)[1:] == [("paid", "01-20", 1161 + 387, [("product", 1161), ("component", 387)])]


def test_an_extended_hold_appends_the_rest_and_moves_the_anchor() -> None:
    billing = signed_up("pro-m", "01-16")
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("03-01"))
    sub = billing.subscriptions.resume("s1")
    assert (sub.state, sub.period_end) == ("active", day("03-17"))
    billing.run(day("04-17"))
    assert [row[1:3] for row in documents(billing)] == [("01-01", 3000), ("03-17", 3000), ("04-17", 3000)]


def test_a_hold_may_say_when_it_ends() -> None:
    billing = signed_up("pro-m", "01-16")
    sub = billing.subscriptions.hold("s1", resume_at="2026-02-20")
    assert (sub.next_action, sub.next_action_at) == ("resume", day("02-20"))
    billing.run(day("02-20"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_end) == ("active", day("03-20"))
    assert documents(billing)[1:] == [("paid", "02-20", 3000, [("product", 3000)])]


def test_a_held_trial_goes_on_and_when_it_has_run_out_meanwhile_is_charged_from_now() -> None:
    billing = signed_up("try", "01-05")
    billing.subscriptions.hold("s1")
    billing.run(day("01-10"))
    sub = billing.subscriptions.resume("s1")
    assert (sub.state, sub.trial_until) == ("trialing", day("01-15"))
    billing.subscriptions.hold("s1")
    billing.run(day("02-10"))
    sub = billing.subscriptions.resume("s1")
    billing.run(day("02-10"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("02-10"), day("03-10"))
    assert documents(billing) == [("paid", "02-10", 3000, [("product", 3000)])]


def test_an_extended_hold_of_a_trial_appends_the_rest() -> None:
    billing = signed_up("try", "01-05")
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("02-10"))
    assert billing.subscriptions.resume("s1").trial_until == day("02-20")


def test_a_component_with_its_own_interval_is_not_billed_for_the_hold() -> None:
    billing = signed_up("pro-y", "01-16", components={"hosting": "1"})
    billing.subscriptions.hold("s1")
    billing.run(day("04-16"))
    billing.subscriptions.resume("s1")
    billing.run(day("05-01"))
    # the 15 days of April from the 16th, then May
    assert [row[1:] for row in documents(billing)[1:]] == [
        ("04-16", 100, [("component", 100)]),
        ("05-01", 200, [("component", 200)]),
    ]


def test_an_add_on_holds_and_resumes_with_its_base() -> None:
    billing = signed_up()
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.subscriptions.hold("s1")
    assert state(billing, "s2") == "on_hold"
    billing.subscriptions.resume("s1")
    assert state(billing, "s2") == "active"


def test_an_add_on_resumes_with_its_base_on_the_date_too() -> None:
    billing = signed_up()
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.subscriptions.hold("s1", resume_at="2026-02-20")
    billing.run(day("02-20"))
    assert (state(billing), state(billing, "s2")) == ("active", "active")


@pytest.mark.parametrize("given", [{"resume_at": "2026-01-01"}, {"resume_at": "2025-01-01"}, {"unused": "burn"}])
def test_a_hold_ends_later_and_in_one_of_three_ways(given) -> None:
    billing = signed_up()
    before = dump(billing)
    assert refusal(billing.subscriptions.hold, "s1", **given).code == "invalid_value"
    assert dump(billing) == before


def test_only_live_subscriptions_are_held_and_only_held_ones_resumed() -> None:
    billing = signed_up()
    assert refusal(billing.subscriptions.resume, "s1").code == "transition_not_allowed"
    billing.subscriptions.hold("s1")
    assert refusal(billing.subscriptions.hold, "s1").code == "transition_not_allowed"
    assert refusal(billing.subscriptions.retry, "s1").code == "transition_not_allowed"
    assert refusal(billing.subscriptions.activate, "s1").code == "transition_not_allowed"


# -- retry ---------------------------------------------------------------------------------------------------


def test_a_retry_pays_what_is_overdue_at_once() -> None:
    billing = signed_up("pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("02-01", 5))
    assert state(billing) == "past_due"
    sub = billing.subscriptions.retry("s1")
    assert sub.state == "active"
    assert attempts(billing)[1:] == [("failed", "02-01", 3000), ("succeeded", "02-01", 3000)]


def test_a_declined_retry_is_no_error_and_changes_nothing_else() -> None:
    billing = signed_up("pro-m")
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-01", 5))
    assert billing.subscriptions.retry("s1").state == "past_due"
    billing.run(day("02-02"))
    assert [row[:2] for row in attempts(billing)] == [
        ("succeeded", "01-01"),
        ("failed", "02-01"),
        ("failed", "02-01"),
        ("failed", "02-02"),
    ]


def test_there_is_nothing_to_retry_on_what_is_paid() -> None:
    assert refusal(signed_up().subscriptions.retry, "s1").code == "transition_not_allowed"


def test_a_payment_in_doubt_is_waited_for() -> None:
    billing = signed_up("pro-m")
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    billing.run(day("02-01"))
    assert state(billing) == "soft_failure"
    before = dump(billing)
    assert refusal(billing.subscriptions.retry, "s1").code == "payment_in_doubt"
    assert refusal(billing.subscriptions.cancel, "s1", credit="unused").code == "payment_in_doubt"
    assert dump(billing) == before


# -- every change is stored ----------------------------------------------------------------------------------


def test_every_change_of_state_is_stored_with_its_cause() -> None:
    billing = signed_up("try", "01-16")
    billing.subscriptions.hold("s1")
    billing.subscriptions.resume("s1")
    billing.subscriptions.cancel("s1")
    assert states(billing) == [
        ("pending", "trialing", "signup"),
        ("trialing", "active", "trial_ran_out"),
        ("active", "on_hold", "hold"),
        ("on_hold", "active", "resume"),
        ("active", "canceled", "cancel"),
    ]


def test_a_signup_with_a_payment_goes_through_pending() -> None:
    assert states(signed_up()) == [(None, "pending", "signup"), ("pending", "active", "signup_settled")]


def test_a_coupon_of_two_periods_counts_the_activation() -> None:
    billing = signed_up("try", "01-05", coupons=["TWO"])
    billing.subscriptions.activate("s1")
    billing.run(day("03-05"))
    assert [row[2] for row in documents(billing)] == [1500, 1500, 3000]


def test_an_activation_paid_after_the_trial_ended_by_itself_is_given_back() -> None:
    billing = signed_up("try", "01-05")
    billing.gateway("test").script(["action"], default="approve")
    billing.subscriptions.activate("s1")
    (payment,) = billing.payments.list()
    billing.subscriptions.cancel("s1")
    billing.gateway("test").settle(payment.id, "approve")
    billing.run(day("01-06"))
    payment = billing.payments.get(payment.id)
    (back,) = billing.refunds.list(payment=payment.id)
    assert (payment.status, back.cause, back.status) == ("refunded", "late_success", "succeeded")
    assert state(billing) == "canceled"


def test_a_second_activation_waits_for_the_first() -> None:
    billing = signed_up("try", "01-05")
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    billing.subscriptions.activate("s1")
    assert refusal(billing.subscriptions.activate, "s1").code == "payment_in_doubt"


def test_a_decline_inside_a_trial_does_not_stop_the_paid_period() -> None:
    billing = signed_up("pro-trial", method="decline:insufficient_funds", net_terms=5)
    billing.run(day("01-10"))
    assert state(billing) == "past_due"
    billing.run(day("01-15"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("past_due", day("01-15"), day("02-15"))
    assert [row[1:3] for row in documents(billing)] == [("01-01", 100), ("01-15", 4000)]
    billing.payment_methods.set_default("acme", billing.payment_methods.add("acme", "approve").id)
    billing.run(day("01-20"))
    assert state(billing) == "active"


def test_a_planned_credit_waits_for_the_payment_in_doubt() -> None:
    """Whether the time was paid is not known yet, so the cancellation waits; it still ends on its date."""
    billing = signed_up("pro-m", "01-20")
    billing.gateway("test").script(["pending"], default="approve")
    billing.run(day("02-05"))
    billing.subscriptions.cancel("s1", "2026-02-11", credit="unused")
    billing.run(day("02-12"))
    assert state(billing) == "active"
    billing.gateway("test").settle(billing.payments.list()[1].id, "approve")
    billing.run(day("02-13"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at, sub.parked_at) == ("canceled", day("02-11"), None)


def test_what_waits_for_a_payment_in_doubt_keeps_nothing_and_is_done_as_of_its_date() -> None:
    """The usage of January is corrected while its invoice is being paid: 320 of 365 days and 60 calls come back."""
    calls = {"code": "calls-m", "scheme": "per_unit", "unit_amount": "0.10", "every": "1 month"}
    yearly = {"code": "p-y", "amount": "360.00", "every": "1 year"}
    catalog = {
        "products": [{"code": "p", "name": "P", "prices": [yearly], "components": ["calls"]}],
        "components": [{"code": "calls", "name": "Calls", "kind": "metered", "prices": [calls]}],
    }
    billing = books(catalog=catalog)
    billing.subscriptions.create("s1", "acme", "p-y", components={"calls": "0"})
    billing.run(day("01-10"))
    billing.usage.record("s1", "calls", "100", event_id="e1")
    billing.gateway("test").script(["pending"], default="approve")
    billing.run(day("02-05"))
    billing.usage.correct("s1", "calls", "e1", "40")
    billing.subscriptions.cancel("s1", "2026-02-15", credit="unused")
    billing.run(day("02-15", 3))
    assert (state(billing), billing.invoices.credit_notes(), billing.verify().ok) == ("active", [], True)
    billing.gateway("test").settle(billing.payments.list()[-1].id, "approve")
    billing.run(day("02-20"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at, sub.parked_at) == ("canceled", day("02-15"), None)
    (note,) = billing.invoices.credit_notes()
    assert (note.total, [line.amount for line in note.lines]) == (32162, [-31562, -600])


def test_a_base_and_its_add_on_share_one_credit_and_one_unpaid_invoice() -> None:
    billing = signed_up("pro-m")
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-15"))
    billing.subscriptions.cancel("s1", credit="unused")
    invoice = billing.invoices.get("acme/3")
    notes = billing.invoices.credit_notes()
    # half of February is left, of 30.00 and of 5.00
    assert sorted(note.total for note in notes) == [250, 1500]
    assert (invoice.credited, invoice.due) == (1750, 1750)


def test_a_base_and_its_add_on_do_not_spend_the_same_credit_twice() -> None:
    billing = signed_up("pro-m")
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.subscriptions.create("gone", "acme", "pro-w")
    billing.subscriptions.cancel("gone", credit="unused")
    billing.subscriptions.hold("s1")
    billing.run(day("03-01"))
    billing.subscriptions.resume("s1")
    later = billing.invoices.list()[3:]
    assert sum(one.credited for one in later) == 700
    with billing.database.transaction(reads=True) as tx:
        (row,) = tx.rows("SELECT CAST(sum(amount) AS BIGINT) FROM billcore_ledger_entries WHERE debit = 'credits'")
    assert row[0] == 700


# -- timeline ------------------------------------------------------------------------------------------------


def test_the_story_says_what_each_change_made_of_what() -> None:
    billing = signed_up("pro-m", "01-11", components={"seats": "2"})
    billing.subscriptions.change("s1", price="pro-y", components={"seats": "5"})
    billing.subscriptions.change("s1", price="pro-m", when="renewal", reason="too dear")
    told = [one.text for one in billing.subscriptions.timeline("s1") if one.kind == "change"]
    assert told == [
        "change came into effect: price pro-m → pro-y, seats 2 → 5",
        "change planned for the renewal: price pro-m, because too dear",
    ]


# -- periods that cost nothing ---------------------------------------------------------------------------------


def sure(billing):
    assert billing.verify().ok, billing.verify()
    for one in (*billing.invoices.list(), *billing.invoices.credit_notes()):
        assert billing.explain(one.id).agrees


@pytest.mark.parametrize("proration", ["prorated", "none"])
@pytest.mark.parametrize("zero", [True, False])
def test_a_period_that_costs_nothing_has_an_invoice_where_the_setting_says_so(zero, proration) -> None:
    billing = books(issue_zero_invoices=zero)
    billing.subscriptions.create("s1", "acme", "free")
    billing.run(day("02-10"))
    found = [
        (one.number, one.status, one.total, [line.amount for line in one.lines]) for one in billing.invoices.list()
    ]
    assert found == ([(1, "paid", 0, [0]), (2, "paid", 0, [0])] if zero else [])
    assert billing.payments.list() == []
    sure(billing)
    billing.subscriptions.change("s1", price="pro-m", proration=proration)
    billing.run(day("03-10"))
    billing.subscriptions.change("s1", price="free")
    billing.run(day("04-10"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.run(day("05-10"))
    billing.subscriptions.resume("s1")
    billing.subscriptions.cancel("s1", credit="unused")
    sure(billing)
    billing.subscriptions.reactivate("s1", period="keep")
    billing.run(day("08-10"))
    sure(billing)


def test_a_line_of_nothing_is_written_only_where_there_is_no_other() -> None:
    billing = books(issue_zero_invoices=True)
    billing.subscriptions.create("s1", "acme", "free", components={"seats": "1"})
    billing.subscriptions.create("s2", "acme", "free")
    billing.run(day("02-01"))
    assert [[line.amount for line in one.lines] for one in billing.invoices.list()] == [[500], [0], [500]]
    sure(billing)


def test_a_free_period_in_arrears_has_its_invoice_at_its_end() -> None:
    catalog = json.loads(json.dumps(CATALOG))
    catalog["products"][0]["prices"].append({"code": "late", "amount": "0.00", "every": "1 month", "bill": "arrears"})
    billing = books(catalog=catalog, issue_zero_invoices=True)
    billing.subscriptions.create("s1", "acme", "late")
    billing.run(day("02-01"))
    billing.subscriptions.cancel("s1")
    assert [(one.issued_at, one.total) for one in billing.invoices.list()] == [(day("02-01"), 0)]
    sure(billing)


def test_a_line_of_nothing_has_nothing_to_give_back() -> None:
    billing = books(issue_zero_invoices=True)
    billing.subscriptions.create("s1", "acme", "free")
    (line,) = billing.invoices.get("1").lines
    for how in ({"amount": "1.00"}, {"lines": [{"line": line.id}]}, {}):
        refusal(billing.invoices.credit, "1", **how)
    assert refusal(billing.invoices.void, "1").code == "transition_not_allowed"
    sure(billing)


# -- terms that follow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("follows", "ends"), [(True, ("04-11", "05-01")), (False, ("04-01", "04-01"))])
def test_terms_follow_a_moved_billing_date_where_the_setting_says_so(follows, ends) -> None:
    """A term to the instant; what the price sets ends at the boundary after that."""
    billing = signed_up("pro-term", "01-10", settings={"expiry_follows": follows}, ends_at=day("04-01"))
    sub = billing.subscriptions.change_billing_date("s1", next_billing_at=day("02-11"))
    assert (sub.ends_at, sub.expires_at) == tuple(day(end) for end in ends)
    billing.run(day("04-30"))
    assert state(billing) == "expired"
    sure(billing)


def test_a_term_follows_the_end_of_a_trial_too() -> None:
    billing = signed_up("try", "01-10", settings={"expiry_follows": True}, ends_at=day("04-01"))
    assert billing.subscriptions.change_billing_date("s1", next_billing_at=day("01-25")).ends_at == day("04-11")


def test_a_term_follows_by_the_wall_clock() -> None:
    settings = {"expiry_follows": True, "timezone": "America/New_York"}
    billing = signed_up(settings=settings, ends_at="2026-07-01")
    moved = billing.subscriptions.change_billing_date("s1", next_billing_at="2026-03-31T19:00")
    assert f"{moved.ends_at:%m-%d %H:%M}" == "08-29 04:00"


def test_a_date_behind_the_end_is_refused_where_the_term_does_not_follow() -> None:
    for follows in (True, False):
        billing = signed_up(settings={"expiry_follows": follows}, ends_at=day("03-01"))
        if follows:
            assert billing.subscriptions.change_billing_date("s1", next_billing_at=day("03-10")).ends_at == day("04-07")
            billing.subscriptions.cancel("s1", when=day("03-20"))
        refused = refusal(billing.subscriptions.change_billing_date, "s1", next_billing_at=day("04-01"))
        assert refused.code == "invalid_value"
