"""subscriptions.create in all its forms (behaviour 5.1, 5.2, 7.1)."""

import pytest

from billcore.clock import SimulatedClock
from tests.builders import CATALOG, START, attempts, books, day, documents, dump, refusal


def lines(billing, place=1):
    return [
        (row.kind, row.code, row.start and f"{row.start:%m-%d}", row.end and f"{row.end:%m-%d}", row.amount)
        for row in billing.invoices.get(f"acme/{place}").lines
    ]


def test_a_signup_is_charged_and_active_at_once() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    assert (sub.state, sub.period_start, sub.period_end, sub.next_action_at) == (
        "active",
        START,
        day("02-01"),
        day("02-01"),
    )
    assert sub.activated_at == START and sub.version
    assert lines(billing) == [("product", "pro-m", "01-01", "02-01", 3000)]
    assert attempts(billing) == [("succeeded", "01-01", 3000)]
    assert billing.subscriptions.get("s1") == sub


def test_the_first_invoice_has_setup_fee_product_and_advance_components() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-fee", components={"seats": "3", "calls": "0"}, quantity="2")
    assert sorted(lines(billing)) == [
        ("component", "seats-p", "01-01", "02-01", 1500),
        ("product", "pro-fee", "01-01", "02-01", 6000),
        ("setup_fee", "pro-fee", None, None, 1000),
    ]


def test_a_trial_charges_its_amount_now_and_the_setup_fee_when_the_price_says() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-trial")
    assert (sub.state, sub.trial_until, sub.period_end, sub.activated_at) == (
        "trialing",
        day("01-15"),
        day("01-15"),
        None,
    )
    billing.run(day("01-15"))
    assert documents(billing) == [
        ("paid", "01-01", 100, [("trial", 100)]),
        ("paid", "01-15", 4000, [("setup_fee", 1000), ("product", 3000)]),
    ]
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("01-15"), day("02-15"))


def test_a_trial_until_a_date_beats_the_price() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "try", trial_until="2026-02-10")
    assert sub.trial_until == day("02-10")
    assert billing.invoices.list() == []
    sub = billing.subscriptions.create("s2", "acme", "pro-m", trial_until="2026-02-10")
    assert sub.state == "trialing"


@pytest.mark.parametrize(
    ("price", "state"), [("try", "past_due"), ("try-end", "trial_ended"), ("try-cancel", "canceled")]
)
def test_a_trial_that_ends_without_a_method_makes_no_attempt(price, state) -> None:
    billing = books(method=None)
    billing.subscriptions.create("s1", "acme", price)
    billing.run(day("01-15"))
    assert billing.subscriptions.get("s1").state == state
    assert billing.payments.list() == []
    assert len(billing.invoices.list()) == (1 if price == "try" else 0)


def test_a_free_subscription_needs_no_method() -> None:
    billing = books(method=None)
    assert billing.subscriptions.create("s1", "acme", "free").state == "active"
    billing.run(day("04-01"))
    assert billing.subscriptions.get("s1").period_end == day("05-01")
    assert (billing.invoices.list(), billing.payments.list()) == ([], [])


@pytest.mark.parametrize(
    ("first_charge", "expected"),
    [
        # 17 of the 31 days before February 1
        ("prorated", [("paid", "01-15", 1645), ("paid", "02-01", 3000)]),
        ("full", [("paid", "01-15", 3000), ("paid", "02-01", 3000)]),
        ("none", [("paid", "02-01", 3000)]),
    ],
)
def test_a_short_first_period_up_to_the_billing_day(first_charge, expected) -> None:
    billing = books(start=day("01-15"))
    sub = billing.subscriptions.create("s1", "acme", "pro-m", billing_day=1, first_charge=first_charge)
    assert (sub.state, sub.period_end) == ("active", day("02-01"))
    billing.run(day("02-01"))
    assert [row[:3] for row in documents(billing)] == expected


def test_the_end_of_the_month_is_a_billing_day() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m", billing_day="end")
    assert (sub.billing_day, sub.period_end) == (31, day("01-31"))
    billing.run(day("03-31"))
    assert [f"{one.issued_at:%m-%d}" for one in billing.invoices.list()] == ["01-01", "01-31", "02-28", "03-31"]


def test_a_customers_billing_day_is_used_unless_the_subscription_has_its_own() -> None:
    billing = books(customers=())
    billing.customers.create("acme", billing_day=10)
    billing.payment_methods.add("acme", "approve")
    assert billing.subscriptions.create("s1", "acme", "pro-m").period_end == day("01-10")
    assert billing.subscriptions.create("s2", "acme", "pro-m", billing_day=20).period_end == day("01-20")
    assert billing.subscriptions.create("s3", "acme", "pro-w").period_end == day("01-08")


def test_a_start_in_the_future_charges_nothing_before() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-fee", starts_at="2026-02-10")
    assert (sub.state, sub.period_start, sub.next_action_at) == ("awaiting_signup", None, day("02-10"))
    billing.run(day("02-09"))
    assert billing.invoices.list() == []
    billing.run(day("02-10"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_end) == ("active", day("03-10"))
    assert documents(billing) == [("paid", "02-10", 4000, [("setup_fee", 1000), ("product", 3000)])]


def test_a_future_start_with_a_trial_begins_with_the_trial() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "try", starts_at="2026-02-10")
    billing.run(day("02-10"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.trial_until) == ("trialing", day("02-24"))


@pytest.mark.parametrize(("setting", "state"), [("past_due", "past_due"), ("failed_to_create", "failed_to_create")])
def test_a_declined_start_follows_its_setting(setting, state) -> None:
    billing = books(method="decline:insufficient_funds", start_decline=setting)
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-02-10")
    billing.run(day("02-10"))
    assert billing.subscriptions.get("s1").state == state
    assert attempts(billing) == [("failed", "02-10", 3000)]
    assert len(billing.invoices.list()) == (1 if state == "past_due" else 0)


@pytest.mark.parametrize(("setting", "state"), [("past_due", "past_due"), ("failed_to_create", "failed_to_create")])
@pytest.mark.parametrize("signup", ["refuse", "past_due"])
def test_a_start_with_nothing_to_charge_follows_the_setting_of_a_declined_one(setting, state, signup) -> None:
    billing = books(method=None, start_decline=setting, signup_decline=signup)
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-02-10")
    billing.run(day("02-12"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == (state, None if state == "past_due" else day("02-10"))
    assert (len(billing.invoices.list()), billing.payments.list()) == (1 if state == "past_due" else 0, [])


def test_a_start_without_a_method_that_credit_pays_is_active() -> None:
    billing = books(method=None, start_decline="failed_to_create")
    billing.credits.add("acme", "30.00")
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-02-10")
    billing.run(day("02-12"))
    assert billing.subscriptions.get("s1").state == "active"


def test_a_start_that_may_fail_and_is_paid_is_active() -> None:
    billing = books(start_decline="failed_to_create")
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-02-10")
    billing.run(day("02-10"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.next_action_at) == ("active", day("03-10"))
    assert documents(billing) == [("paid", "02-10", 3000, [("product", 3000)])]


def test_a_term_ends_exactly_and_its_last_period_is_prorated() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", ends_at="2026-02-15")
    billing.run(day("03-01"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("expired", day("02-15"))
    assert [row[:3] for row in documents(billing)] == [("paid", "01-01", 3000), ("paid", "02-01", 1500)]


def test_a_price_with_a_length_expires_at_its_boundary_and_never_prorates() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-term")
    billing.run(day("06-01"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("expired", day("04-01"))
    assert [row[1:3] for row in documents(billing)] == [("01-01", 3000), ("02-01", 3000), ("03-01", 3000)]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ends_at": "2026-01-01"}, "period_empty"),
        ({"ends_at": "2025-12-01"}, "period_empty"),
        ({"trial_until": "2025-12-01"}, "period_empty"),
        ({"starts_at": "2025-12-01"}, "invalid_value"),
        ({"next_billing_at": "2025-12-01", "starts_at": "2025-11-01"}, "invalid_value"),
        ({"starts_at": "2026-03-01", "ends_at": "2026-02-01"}, "period_empty"),
        ({"quantity": "0"}, "invalid_value"),
        ({"quantity": "-1"}, "invalid_value"),
        ({"quantity": 1.5}, "invalid_value"),
        ({"components": {"seats": "-1"}}, "invalid_value"),
        ({"components": {"sets": "1"}}, "not_found"),
        ({"coupons": ["NONE"]}, "coupon_not_found"),
        ({"coupons": ["GONE"]}, "coupon_expired"),
        ({"coupons": ["SOLO"]}, "coupon_not_applicable"),
        ({"coupons": ["TEN", "ALONE"]}, "coupon_not_applicable"),
        ({"coupons": ["ALONE", "TEN"]}, "coupon_not_applicable"),
        ({"coupons": ["TEN", "TEN"]}, "coupon_not_applicable"),
        ({"net_terms": 181}, "invalid_value"),
        ({"first_charge": "half"}, "invalid_value"),
        ({"collection": "prepaid"}, "insufficient_credit"),
        ({"base": "nobody"}, "not_found"),
        ({"payment_method": "nothing"}, "not_found"),
        ({"custom": {"amout": "1.00"}}, "invalid_value"),
        ({"custom": {"amount": "1.001"}}, "invalid_value"),
        ({"custom": {"amount": "-1.00"}}, "invalid_value"),
        ({"billing_day": "first"}, "invalid_value"),
        ({"surprise": "1"}, "invalid_parameter"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_and_nothing_is_stored(given, code) -> None:
    billing = books()
    before = dump(billing)
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m", **given).code == code
    assert dump(billing) == before


@pytest.mark.parametrize(
    ("reference", "customer", "price", "given", "code"),
    [
        ("s2", "acne", "pro-m", {}, "not_found"),
        ("s2", "acme", "pro-mm", {}, "not_found"),
        ("s 2", "acme", "pro-m", {}, "invalid_value"),
        ("s1", "acme", "pro-m", {}, "reference_taken"),
        ("s2", "acme", "seats-p", {}, "invalid_value"),
        ("s2", "acme", "pro-w", {"billing_day": 5}, "invalid_value"),
        ("s2", "acme", "solo-m", {"components": {"hosting": "1"}}, "component_not_offered"),
        ("s2", "euro", "pro-m", {}, "currency_mismatch"),
        ("s2", "euro", "pro-eur", {"components": {"seats": "1"}}, "currency_mismatch"),
        ("s2", "bolt", "support-m", {"base": "s1"}, "invalid_value"),
    ],
)
def test_who_and_what_must_fit(reference, customer, price, given, code) -> None:
    billing = books(customers=("acme", "bolt"))
    billing.customers.create("euro", currency="EUR")
    billing.payment_methods.add("euro", "approve")
    billing.subscriptions.create("s1", "acme", "pro-m")
    before = dump(billing)
    assert refusal(billing.subscriptions.create, reference, customer, price, **given).code == code
    assert dump(billing) == before


def test_a_price_in_another_currency_is_billed_in_it() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-eur")
    assert sub.currency == "EUR"
    assert [(one.currency, one.amount) for one in billing.payments.list()] == [("EUR", 2800)]


def test_a_coupon_runs_for_as_long_as_it_says() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["ONCE", "TWO"])
    billing.run(day("03-01"))
    # 5.00 off first, then half of what is left; half again in February; nothing in March.
    assert [one.total for one in billing.invoices.list()] == [1250, 1500, 3000]
    assert [one.discount for one in billing.invoices.list()] == [1750, 1500, 0]


def test_a_coupon_is_used_up_by_subscriptions_not_by_failed_signups() -> None:
    billing = books(customers=("acme", "bolt", "crab"))
    billing.payment_methods.add("acme", "decline:do_not_honor", reference="bad")
    refusal(billing.subscriptions.create, "s1", "acme", "pro-m", coupons=["FEW"], payment_method="bad")
    billing.subscriptions.create("s2", "bolt", "pro-m", coupons=["FEW"])
    refused = refusal(billing.subscriptions.create, "s3", "crab", "pro-m", coupons=["FEW"])
    assert refused.code == "coupon_used_up"


def test_a_custom_price_replaces_only_what_it_gives() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-fee", custom={"amount": "12.50"})
    assert sorted(lines(billing)) == [
        ("product", "pro-fee", "01-01", "02-01", 1250),
        ("setup_fee", "pro-fee", None, None, 1000),
    ]
    other = billing.subscriptions.create("s2", "acme", "pro-fee", custom={"amount": "12.50"})
    assert other.price_id == sub.price_id
    billing.run(day("02-01"))
    assert billing.invoices.get("acme/3").total == 2500
    plain = billing.subscriptions.create("s3", "acme", "pro-fee")
    assert plain.price_id != sub.price_id


def test_a_custom_interval_and_trial() -> None:
    billing = books()
    sub = billing.subscriptions.create(
        "s1", "acme", "pro-m", custom={"amount": "80.00", "every": "3 months", "trial": "7 days"}
    )
    assert (sub.state, sub.trial_until) == ("trialing", day("01-08"))
    billing.run(day("01-08"))
    assert billing.subscriptions.get("s1").period_end == day("04-08")


def test_an_add_on_takes_its_bases_dates_and_ends_with_it() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-16"))
    addon = billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    assert addon.period_end == day("02-01")
    assert lines(billing, 2) == [("product", "support-m", "01-16", "02-01", 258)]
    billing.run(day("02-01"))
    assert documents(billing)[2] == ("paid", "02-01", 3500, [("product", 3000), ("product", 500)])
    billing.subscriptions.cancel("s1")
    assert billing.subscriptions.get("s2").state == "canceled"


def test_a_running_subscription_is_taken_over_with_its_period_paid() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2024-03-17", next_billing_at="2026-01-17")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("2025-12-17"), day("01-17"))
    assert billing.invoices.list() == []
    billing.run(day("02-17"))
    assert [row[1:3] for row in documents(billing)] == [("01-17", 3000), ("02-17", 3000)]


def test_a_takeover_starts_its_components_own_periods() -> None:
    billing = books()
    billing.subscriptions.create(
        "s1", "acme", "pro-y", components={"hosting": "2"}, starts_at="2025-06-20", next_billing_at="2026-06-20"
    )
    billing.run(day("02-20"))
    assert [row[1:3] for row in documents(billing)] == [("01-20", 400), ("02-20", 400)]


def test_a_yearly_plan_bills_a_monthly_component_every_month() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-y", components={"hosting": "2"})
    billing.run(day("03-01"))
    assert documents(billing) == [
        ("paid", "01-01", 36400, [("product", 36000), ("component", 400)]),
        ("paid", "02-01", 400, [("component", 400)]),
        ("paid", "03-01", 400, [("component", 400)]),
    ]


def test_remittance_is_never_charged_and_falls_due_after_its_terms() -> None:
    billing = books(method=None)
    sub = billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    assert sub.state == "active"
    (invoice,) = billing.invoices.list()
    assert (invoice.status, invoice.due_at) == ("open", day("01-31"))
    assert billing.payments.list() == []


def test_net_terms_charge_at_the_due_date() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m", net_terms=10)
    assert sub.state == "active" and billing.payments.list() == []
    billing.run(day("01-11"))
    assert attempts(billing) == [("succeeded", "01-11", 3000)]


# -- the first payment ---------------------------------------------------------------------------------------


def test_a_signup_without_a_method_is_refused_and_stores_nothing() -> None:
    billing = books(method=None)
    before = dump(billing)
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "payment_declined"
    assert dump(billing) == before


def test_a_declined_signup_fails_and_leaves_its_attempt() -> None:
    billing = books(method="decline:insufficient_funds")
    refused = refusal(billing.subscriptions.create, "s1", "acme", "pro-m")
    assert refused.code == "payment_declined"
    assert refused.facts["subscription"] == "s1"
    assert billing.payments.get(refused.facts["payment"]).status == "failed"
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.next_action_at) == ("failed_to_create", None)
    assert billing.invoices.list() == []
    rows = dump(billing)
    assert (rows["billcore_ledger_entries"], rows["billcore_coverage"], rows["billcore_renewals"]) == ([], [], [])


def test_the_first_invoice_after_a_failed_signup_has_the_first_number() -> None:
    """Numbers are gapless: a discarded draft never had one (8.5)."""
    billing = books()
    billing.gateway("test").script(["decline:do_not_honor"], default="approve")
    refusal(billing.subscriptions.create, "s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "pro-m")
    assert [one.number for one in billing.invoices.list()] == [1]


def test_a_declined_signup_may_be_left_past_due() -> None:
    billing = books(method="decline:insufficient_funds", signup_decline="past_due")
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    assert (sub.state, sub.next_action_at) == ("past_due", day("02-01"))
    assert [row[:3] for row in documents(billing)] == [("open", "01-01", 3000)]
    billing.run(day("01-02"))
    assert attempts(billing) == [("failed", "01-01", 3000), ("failed", "01-02", 3000)]


def test_a_signup_without_a_method_may_be_left_past_due() -> None:
    billing = books(method=None, signup_decline="past_due")
    assert billing.subscriptions.create("s1", "acme", "pro-m").state == "past_due"
    assert billing.payments.list() == []
    billing.payment_methods.add("acme", "approve")
    assert billing.subscriptions.get("s1").state == "active"


def test_a_signup_that_waits_for_the_customer_is_pending_with_the_link() -> None:
    billing = books(method="action")
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    assert (sub.state, payment.status) == ("pending", "requires_action")
    assert payment.action_url
    (draft,) = billing.invoices.list()
    assert (draft.status, draft.number) == ("draft", None)
    billing.gateway("test").settle(payment.id, "approve")
    billing.run(day("01-01", 1))
    assert billing.subscriptions.get("s1").state == "active"
    assert documents(billing) == [("paid", "01-01", 3000, [("product", 3000)])]


def test_a_signup_that_is_canceled_while_it_waits_is_canceled_at_the_gateway_too() -> None:
    billing = books(method="action")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "2"})
    sub = billing.subscriptions.cancel("s1", reason="not now")
    assert (sub.state, sub.ended_at, sub.cancel_reason, sub.period_start) == ("canceled", START, "not now", None)
    assert [item.ended_at for item in sub.items] == [START]
    billing.run(day("01-01", 1))
    assert [one.status for one in billing.payments.list()] == ["canceled"]
    assert (documents(billing), billing.gateway("test").book()) == ([], ())
    billing.run(day("03-01"))
    assert (billing.subscriptions.get("s1").state, documents(billing)) == ("canceled", [])


@pytest.mark.parametrize("answer", ["action", "pending", "timeout_after_charge"])
def test_a_success_after_the_signup_was_canceled_is_given_back(answer) -> None:
    billing = books(method=answer, async_signup="wait")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (payment,) = billing.payments.list()
    assert billing.subscriptions.cancel("s1").state == "canceled"
    if answer != "timeout_after_charge":
        billing.gateway("test").settle(payment.id, "approve")
    billing.run(day("01-02"))
    (back,) = billing.refunds.list(payment=payment.id)
    assert (back.cause, back.amount, back.status) == ("late_success", 3000, "succeeded")
    assert (billing.subscriptions.get("s1").state, billing.payments.get(payment.id).status) == ("canceled", "refunded")
    assert billing.doctor().troubles == () or {one.kind for one in billing.doctor().troubles} == {"database"}


def test_a_start_that_is_canceled_while_its_payment_waits_is_canceled_at_the_gateway_too() -> None:
    billing = books(start_decline="failed_to_create")
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-01-10")
    billing.gateway("test").script(["action"])
    billing.run(day("01-10"))
    assert billing.subscriptions.get("s1").state == "pending"
    assert billing.subscriptions.cancel("s1").state == "canceled"
    billing.run(day("01-12"))
    assert [one.status for one in billing.payments.list()] == ["canceled"]
    assert billing.gateway("test").book() == ()


def test_a_signup_that_waits_is_not_canceled_at_a_date_and_goes_with_its_base() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["action"])
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    assert refusal(billing.subscriptions.cancel, "s2", "period_end").code == "transition_not_allowed"
    billing.subscriptions.cancel("s1")
    assert [one.state for one in billing.subscriptions.list()] == ["canceled", "canceled"]


def test_a_trial_that_was_canceled_before_it_was_paid_was_none() -> None:
    billing = books(method="action", trial_once="customer")
    billing.subscriptions.create("s1", "acme", "pro-trial")
    billing.subscriptions.cancel("s1")
    billing.payment_methods.set_default("acme", billing.payment_methods.add("acme", "approve").id)
    assert billing.subscriptions.create("s2", "acme", "pro-trial").state == "trialing"


def test_what_was_canceled_before_it_was_paid_may_come_back() -> None:
    billing = books(method="action")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1")
    billing.payment_methods.set_default("acme", billing.payment_methods.add("acme", "approve").id)
    billing.run(day("01-10"))
    sub = billing.subscriptions.reactivate("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("active", day("01-10"), day("02-10"))


def test_a_signup_that_waits_too_long_is_canceled_at_the_gateway() -> None:
    billing = books(method="action", signup_expires_after="2 hours")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-01", 1))
    assert billing.subscriptions.get("s1").state == "pending"
    billing.run(day("01-01", 4))
    assert billing.subscriptions.get("s1").state == "failed_to_create"
    (payment,) = billing.payments.list()
    assert payment.status == "canceled"
    assert billing.gateway("test").book() == ()


def test_an_asynchronous_signup_is_trusted_until_it_fails() -> None:
    billing = books(method="pending")
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    (invoice,) = billing.invoices.list()
    assert (sub.state, invoice.status, billing.payments.list()[0].status) == ("active", "open", "pending")
    billing.gateway("test").settle(billing.payments.list()[0].id, "decline:insufficient_funds")
    billing.run(day("01-02"))
    assert billing.subscriptions.get("s1").state == "past_due"


def test_a_trusted_signup_whose_debit_bounces_is_dunned_from_then_on() -> None:
    """Its invoice is issued, so it is owed: signup_decline is about signups that have not begun."""
    billing = books(method="pending")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-08"))
    billing.gateway("test").settle(billing.payments.list()[0].id, "decline:insufficient_funds")
    billing.gateway("test").script([], default="approve")
    billing.run(day("01-08", 1))
    assert (billing.subscriptions.get("s1").state, attempts(billing)) == ("past_due", [("failed", "01-01", 3000)])
    billing.run(day("01-10"))
    assert attempts(billing)[1:] == [("succeeded", "01-09", 3000)]
    assert billing.subscriptions.get("s1").state == "active"


def test_a_debit_that_settles_after_the_subscription_ended_still_pays_its_invoice() -> None:
    billing = books(method="pending")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1")
    billing.gateway("test").settle(billing.payments.list()[0].id, "approve")
    billing.run(day("01-03"))
    assert (billing.invoices.get("acme/1").status, billing.refunds.list()) == ("paid", [])


@pytest.mark.parametrize(("outcome", "state"), [("decline:account_closed", "failed_to_create"), ("approve", "active")])
def test_what_was_waited_for_ends_as_its_bank_says(outcome, state) -> None:
    billing = books(method="pending", async_signup="wait")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-06"))
    billing.gateway("test").settle(billing.payments.list()[0].id, outcome)
    billing.run(day("01-07"))
    assert billing.subscriptions.get("s1").state == state


def test_an_asynchronous_signup_may_be_waited_for() -> None:
    billing = books(method="pending", async_signup="wait")
    assert billing.subscriptions.create("s1", "acme", "pro-m").state == "pending"
    billing.run(day("01-02"))
    assert billing.subscriptions.get("s1").state == "pending"
    billing.gateway("test").settle(billing.payments.list()[0].id, "approve")
    billing.run(day("01-03"))
    assert billing.subscriptions.get("s1").state == "active"


@pytest.mark.parametrize("outcome", ["timeout_after_charge", "error_500_after_charge", "garbage", "timeout_before"])
def test_an_unknown_outcome_is_no_error_and_is_resolved_by_itself(outcome) -> None:
    """Whatever the answer, the customer is charged exactly once (9.3)."""
    billing = books()
    billing.gateway("test").script([outcome], default="approve")
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    assert (sub.state, billing.payments.list()[0].status) == ("pending", "unknown")
    billing.run(day("01-02"))
    assert billing.subscriptions.get("s1").state == "active"
    assert [one.status for one in billing.payments.list()] == ["succeeded"]
    assert billing.gateway("test").taken("USD").minor == 3000


def test_a_signup_whose_gateway_is_not_reached_is_refused() -> None:
    billing = books(method="unreachable")
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "payment_declined"
    assert billing.subscriptions.get("s1").state == "failed_to_create"


def test_a_partial_approval_leaves_the_rest_past_due() -> None:
    billing = books(method="approve:10.00")
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    (invoice,) = billing.invoices.list()
    assert (sub.state, invoice.status, invoice.paid, invoice.due) == ("past_due", "open", 1000, 2000)


def test_credit_pays_the_first_invoice_before_the_method() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1", credit="unused")
    billing.subscriptions.create("s2", "acme", "pro-fee")
    assert [one.amount for one in billing.payments.list()] == [3000, 1000]
    (_, invoice) = billing.invoices.list()
    assert (invoice.credited, invoice.paid, invoice.due) == (3000, 1000, 0)


def test_a_signup_on_the_billing_day_is_a_full_period_whatever_the_hour() -> None:
    for hour in (0, 3, 9):
        billing = books(clock=SimulatedClock(day("01-10", hour)), billing_time="06:00", catalog=CATALOG)
        sub = billing.subscriptions.create("s1", "acme", "pro-m", billing_day=10)
        assert sub.period_end == day("02-10", 6)
        assert billing.invoices.get("acme/1").total == 3000


def test_the_reference_of_a_signup_that_failed_may_be_used_again() -> None:
    billing = books(method="decline:insufficient_funds")
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "payment_declined"
    failed = billing.subscriptions.get("s1")
    better = billing.payment_methods.add("acme", "approve")
    billing.payment_methods.set_default("acme", better.id)
    assert billing.subscriptions.create("s1", "acme", "pro-m").state == "active"
    assert billing.subscriptions.get(failed.id).state == "failed_to_create"
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "reference_taken"
