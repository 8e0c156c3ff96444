"""The operator's stop: what falls due waits and is done in order on return (behaviour 5.2)."""

from tests.builders import attempts, books, day, documents, refusal


def signed_up(until="01-10", *, script=(), price="pro-m", settings=None, **given):
    billing = books(**(settings or {}))
    billing.subscriptions.create("s1", "acme", price, **given)
    billing.gateway("test").script(list(script), default="approve")
    billing.run(day(until))
    return billing


def state(billing, reference="s1"):
    return billing.subscriptions.get(reference).state


def test_a_paused_subscription_waits_and_is_billed_period_by_period_when_it_goes_on() -> None:
    billing = signed_up()
    assert billing.subscriptions.pause("s1").state == "paused"
    billing.run(day("04-10"))
    assert len(documents(billing)) == 1
    sub = billing.subscriptions.unpause("s1")
    assert (sub.state, sub.period_end) == ("active", day("02-01"))
    billing.run(day("04-10"))
    assert documents(billing)[1:] == [("paid", "04-10", 3000, [("product", 3000)])] * 3
    assert billing.subscriptions.get("s1").period_end == day("05-01")


def test_a_trial_that_was_paused_ends_when_it_goes_on() -> None:
    billing = signed_up(price="try")
    billing.subscriptions.pause("s1")
    billing.run(day("01-25"))
    assert billing.subscriptions.unpause("s1").state == "trialing"
    billing.run(day("01-25"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start) == ("active", day("01-15"))


def test_only_what_runs_is_paused_and_only_what_is_paused_goes_on() -> None:
    billing = signed_up(starts_at="2026-06-01")
    assert refusal(billing.subscriptions.pause, "s1").code == "transition_not_allowed"
    billing = signed_up()
    assert refusal(billing.subscriptions.unpause, "s1").code == "transition_not_allowed"
    billing.subscriptions.pause("s1")
    again = refusal(billing.subscriptions.pause, "s1")
    assert again.code == "transition_not_allowed" and "unpause" in again.remedy


def test_a_paused_subscription_can_be_canceled() -> None:
    billing = signed_up()
    billing.subscriptions.pause("s1")
    billing.subscriptions.cancel("s1")
    assert state(billing) == "canceled"


def test_a_paused_customer_is_neither_renewed_nor_collected_nor_dunned() -> None:
    billing = signed_up("02-01", script=["decline:insufficient_funds"])
    assert state(billing) == "past_due"
    tried = attempts(billing)
    billing.subscriptions.create("s2", "acme", "pro-m", net_terms=10)
    billing.customers.pause("acme")
    assert (state(billing), state(billing, "s2")) == ("paused", "paused")
    billing.run(day("02-20"))
    assert attempts(billing) == tried
    billing.customers.unpause("acme")
    assert (state(billing), state(billing, "s2")) == ("past_due", "active")
    billing.run(day("02-20"))
    assert (state(billing), state(billing, "s2")) == ("active", "active")
    assert {row[0] for row in documents(billing)} == {"paid"}


def test_a_start_and_the_end_of_a_hold_wait_with_their_customer() -> None:
    billing = signed_up(starts_at="2026-01-20")
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.subscriptions.hold("s2", resume_at="2026-01-20")
    billing.customers.pause("acme")
    billing.run(day("01-25"))
    assert (state(billing), state(billing, "s2")) == ("awaiting_signup", "on_hold")
    billing.customers.unpause("acme")
    billing.run(day("01-25"))
    assert (state(billing), state(billing, "s2")) == ("active", "active")


def test_a_debt_that_was_paid_meanwhile_is_no_debt_on_return() -> None:
    billing = signed_up("02-01", script=["decline:insufficient_funds"])
    billing.customers.pause("acme")
    billing.payments.record("acme", "30.00")
    assert state(billing) == "paused"
    billing.customers.unpause("acme")
    assert state(billing) == "active"


def test_an_attempt_that_is_refused_meanwhile_is_a_debt_on_return() -> None:
    billing = signed_up("02-01", script=["pending"])
    assert state(billing) == "active"
    billing.customers.pause("acme")
    billing.gateway("test").settle(billing.payments.list()[-1].id, "decline:insufficient_funds")
    billing.run(day("02-02"))
    assert state(billing) == "paused"
    billing.customers.unpause("acme")
    assert state(billing) == "past_due"


def test_nothing_new_begins_for_a_paused_customer() -> None:
    billing = signed_up()
    billing.customers.pause("acme")
    assert refusal(billing.subscriptions.create, "s2", "acme", "pro-m").code == "transition_not_allowed"
    assert refusal(billing.customers.pause, "acme").code == "transition_not_allowed"
    assert refusal(billing.subscriptions.unpause, "s1").remedy == "Unpause the customer: customers.unpause."
    billing.customers.unpause("acme")
    assert refusal(billing.customers.unpause, "acme").code == "transition_not_allowed"


def test_a_paused_store_does_nothing_that_falls_due_and_all_of_it_afterwards() -> None:
    billing = signed_up()
    billing.settings.set("paused", "true")
    assert billing.run(day("03-10")).total == 0
    assert (state(billing), len(documents(billing))) == ("active", 1)
    billing.settings.set("paused", "false")
    billing.run(day("03-10"))
    assert documents(billing)[1:] == [("paid", "03-10", 3000, [("product", 3000)])] * 2


def test_a_paused_store_still_hears_what_gateways_say() -> None:
    billing = signed_up("02-01", script=["timeout_after_charge"])
    billing.settings.set("paused", "true")
    billing.run(day("02-03"))
    assert [row[0] for row in documents(billing)] == ["paid", "paid"]


def test_other_customers_go_on() -> None:
    billing = signed_up()
    billing.customers.create("beta")
    billing.payment_methods.add("beta", "approve")
    billing.subscriptions.create("s2", "beta", "pro-m")
    billing.customers.pause("acme")
    billing.run(day("03-01"))
    assert len(documents(billing, "acme")) == 1 and len(documents(billing, "beta")) == 2
