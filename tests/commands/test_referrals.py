"""Repeated trials and referrals: who gets what, once (behaviour 11)."""

import pytest

from tests.builders import books, day, documents, dump, refusal

GIFT = {"referral_coupon": "TEN", "referral_credit": {"USD": 500}}


def shop(*, method="approve", **settings):
    """acme has signed up, beta has not."""
    billing = books(method=method, customers=("acme", "beta"), **settings)
    billing.subscriptions.create("s1", "acme", "pro-m")
    return billing


def code(billing, reference="s1"):
    return billing.subscriptions.get(reference).referral_code


def gifts(billing, customer="acme"):
    return [one.amount for one in billing.credits.list(customer) if one.account == "service_credits"]


# -- referrals -----------------------------------------------------------------------------------------------


def test_every_subscription_has_a_code_of_its_own_and_the_same_books_the_same() -> None:
    billing = shop()
    billing.subscriptions.create("s2", "beta", "pro-m")
    taken = billing.subscriptions.create("s3", "beta", "pro-m", next_billing_at="2026-02-01")
    codes = {code(billing, "s1"), code(billing, "s2"), taken.referral_code}
    assert len(codes) == 3 and all(len(one) == 11 and one[5] == "-" for one in codes)


def test_the_referred_has_a_coupon_and_the_referrer_a_credit_with_the_first_payment() -> None:
    billing = shop(**GIFT)
    sub = billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing))
    assert sub.referred_by == billing.subscriptions.get("s1").id
    assert documents(billing, "beta")[0][2] == 2700
    assert gifts(billing) == [500]
    billing.run(day("03-15"))
    assert billing.subscriptions.get("s2").referral_paid_at == day("01-01")
    with billing.database.transaction(reads=True) as tx:
        given = tx.rows("SELECT amount FROM billcore_credits WHERE account = 'service_credits'")
    assert given == [(500,)], "once, whatever is paid later"


def test_a_code_is_read_as_people_write_it() -> None:
    billing = shop(**GIFT)
    typed = code(billing).lower().replace("-", "").replace("0", "o").replace("1", "l")
    billing.subscriptions.create("s2", "beta", "pro-m", referral=typed)
    assert gifts(billing) == [500]


def test_an_own_code_and_an_unknown_one_are_refused_and_leave_nothing() -> None:
    billing = shop(**GIFT)
    before = dump(billing)
    own = refusal(billing.subscriptions.create, "s2", "acme", "pro-m", referral=code(billing))
    assert (own.code, own.facts["parameter"]) == ("invalid_value", "referral")
    assert refusal(billing.subscriptions.create, "s2", "beta", "pro-m", referral="NOBODY").code == "not_found"
    assert dump(billing) == before


def test_a_trial_is_no_payment() -> None:
    billing = shop(**GIFT)
    billing.subscriptions.create("s2", "beta", "try", referral=code(billing))
    billing.run(day("01-14"))
    assert gifts(billing) == []
    billing.run(day("01-15"))
    assert gifts(billing) == [500]


def test_a_gift_that_pays_the_first_invoice_is_no_payment() -> None:
    billing = shop(**GIFT)
    billing.credits.add("beta", amount="27.00")
    billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing))
    assert gifts(billing) == []
    billing.run(day("02-01"))
    assert billing.subscriptions.get("s2").referral_paid_at == day("02-01")


@pytest.mark.parametrize("way", ["remittance", "prepaid"])
def test_money_that_comes_outside_of_gateways_counts(way) -> None:
    billing = shop(**GIFT)
    if way == "prepaid":
        billing.prepayments.add("beta", amount="100.00")
    billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing), collection=way)
    if way == "remittance":
        assert gifts(billing) == []
        billing.payments.record("beta", "27.00")
    assert gifts(billing) == [500]


def test_a_first_payment_that_nobody_knows_of_thanks_once_it_is_known() -> None:
    billing = shop(**GIFT)
    billing.gateway("test").script(["timeout_after_charge"], default="approve")
    billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing))
    assert gifts(billing) == []
    billing.run(day("01-02"))
    assert gifts(billing) == [500]
    billing.run(day("01-20"))
    assert gifts(billing) == [500]


def test_a_refused_signup_thanks_nobody_and_a_refund_takes_nothing_back() -> None:
    billing = shop(**GIFT)
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    refused = refusal(billing.subscriptions.create, "s2", "beta", "pro-m", referral=code(billing))
    assert refused.code == "payment_declined" and gifts(billing) == []
    billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing))
    payment = next(one for one in billing.payments.list(customer="beta") if one.status == "succeeded")
    billing.payments.refund(payment.id)
    assert gifts(billing) == [500]


def test_a_repeated_signup_has_one_effect() -> None:
    billing = shop(**GIFT)
    for _ in range(2):
        billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing), idempotency_key="k")
    assert gifts(billing) == [500]


def test_without_settings_a_code_is_remembered_and_gives_nothing() -> None:
    billing = shop(referral_credit={"EUR": 500})
    billing.subscriptions.create("s2", "beta", "pro-m", referral=code(billing))
    assert documents(billing, "beta")[0][2] == 3000 and gifts(billing) == []
    assert billing.subscriptions.get("s2").referral_paid_at == day("01-01")


# -- trial_once ----------------------------------------------------------------------------------------------


def second(billing, customer="acme", **given):
    return billing.subscriptions.create("s9", customer, "try", **given)


def test_a_second_trial_of_a_customer_starts_paid_at_once() -> None:
    billing = books(trial_once="customer")
    assert billing.subscriptions.create("s1", "acme", "try").state == "trialing"
    billing.subscriptions.cancel("s1")
    assert second(billing).state == "active"
    assert documents(billing) == [("paid", "01-01", 3000, [("product", 3000)])]


def test_without_the_setting_there_are_as_many_trials_as_signups() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "try")
    assert second(billing).state == "trialing"


def test_a_failed_signup_and_a_start_to_come_were_no_trials() -> None:
    billing = books(trial_once="customer")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-trial").code == "payment_declined"
    billing.subscriptions.create("s2", "acme", "try", starts_at="2026-02-01")
    assert second(billing).state == "trialing"


def test_a_start_date_asks_too() -> None:
    billing = books(trial_once="customer")
    billing.subscriptions.create("s1", "acme", "try", starts_at="2026-02-01")
    second(billing)
    billing.run(day("02-01"))
    assert billing.subscriptions.get("s1").state == "active"


def test_a_trial_that_is_given_by_date_is_given() -> None:
    """What a call asks for beats the setting (behaviour 16)."""
    billing = books(trial_once="customer")
    billing.subscriptions.create("s1", "acme", "try")
    assert second(billing, trial_until="2026-01-10").state == "trialing"


@pytest.mark.parametrize(("rule", "state"), [("fingerprint", "active"), ("customer", "trialing")])
def test_a_card_that_had_a_trial_has_no_other_whoever_holds_it(rule, state) -> None:
    billing = books(customers=("acme", "beta"), trial_once=rule)
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_payment_methods SET fingerprint = 'same'", [])
    billing.subscriptions.create("s1", "acme", "try")
    assert second(billing, "beta").state == state


def test_methods_without_a_fingerprint_are_not_the_same() -> None:
    billing = books(customers=("acme", "beta"), trial_once="fingerprint")
    billing.subscriptions.create("s1", "acme", "try")
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_payment_methods SET fingerprint = NULL", [])
    assert second(billing, "beta").state == "trialing"


@pytest.mark.parametrize(("rule", "state"), [("none", "trialing"), ("customer", "active")])
def test_a_return_with_a_trial_is_paid_at_once_where_there_was_a_trial(rule, state) -> None:
    billing = books(trial_once=rule)
    billing.subscriptions.create("s1", "acme", "try")
    billing.subscriptions.cancel("s1")
    assert billing.subscriptions.reactivate("s1", include_trial=True).state == state
    assert documents(billing) == ([] if rule == "none" else [("paid", "01-01", 3000, [("product", 3000)])])


@pytest.mark.parametrize(("rule", "state"), [("none", "trialing"), ("customer", "active")])
def test_a_change_with_a_trial_is_paid_at_once_where_there_was_a_trial(rule, state) -> None:
    billing = books(trial_once=rule)
    billing.subscriptions.create("s1", "acme", "try")
    billing.run(day("01-20"))
    changed = billing.subscriptions.change("s1", price="pro-trial", include_trial=True)
    assert (changed.state, changed.period_start) == (state, day("01-20"))


def test_a_first_trial_may_come_with_a_change_or_a_return() -> None:
    billing = books(trial_once="customer")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-10"))
    assert billing.subscriptions.change("s1", price="try", include_trial=True).state == "trialing"


def test_a_trial_that_runs_is_not_begun_anew() -> None:
    billing = books(trial_once="customer")
    billing.subscriptions.create("s1", "acme", "try")
    billing.run(day("01-10"))
    changed = billing.subscriptions.change("s1", price="pro-trial", include_trial=True)
    assert (changed.state, changed.trial_until) == ("trialing", day("01-15"))
