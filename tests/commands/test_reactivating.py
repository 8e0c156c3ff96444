"""What a subscription owes when it comes back is paid first (behaviour 5.2)."""

import pytest

from tests.builders import attempts, books, day, documents, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

NO = "decline:insufficient_funds"


def canceled(*answers, **given):
    """s1 owes 30.00 of February and 12.00 that was charged in it; canceled on February 20."""
    billing = books(dunning={"retry_after": [], "final": "leave"})
    billing.subscriptions.create("s1", "acme", "pro-m", **given)
    billing.gateway("test").script([NO, NO], default="approve")
    billing.run(day("02-10"))
    billing.subscriptions.add_charge("s1", "12.00", "Setup")
    billing.run(day("02-20"))
    billing.subscriptions.cancel("s1")
    billing.gateway("test").script(list(answers), default="approve")
    return billing


def state(billing):
    return billing.subscriptions.get("s1").state


def new(billing):
    """The attempts since the cancellation."""
    return [(status, amount) for status, _, amount in attempts(billing)[3:]]


def statuses(billing):
    return [row[0] for row in documents(billing)]


def test_what_it_owes_is_paid_oldest_first_and_then_the_new_charge() -> None:
    billing = canceled()
    assert billing.subscriptions.reactivate("s1").state == "active"
    assert new(billing) == [("succeeded", 3000), ("succeeded", 1200), ("succeeded", 3000)]
    assert statuses(billing) == ["paid"] * 4


def test_inside_the_old_period_where_nothing_is_charged_the_debt_alone_decides() -> None:
    billing = canceled(NO)
    assert refusal(billing.subscriptions.reactivate, "s1", period="keep").code == "payment_declined"
    assert (state(billing), new(billing)) == ("canceled", [("failed", 3000)])
    assert billing.subscriptions.reactivate("s1", period="keep").state == "active"
    assert new(billing)[1:] == [("succeeded", 3000), ("succeeded", 1200)]


def test_the_first_decline_is_the_last_attempt_and_it_stays_as_it_was() -> None:
    billing = canceled("approve", NO)
    refused = refusal(billing.subscriptions.reactivate, "s1")
    assert (refused.code, refused.facts["subscription"]) == ("payment_declined", "s1")
    assert (state(billing), new(billing)) == ("canceled", [("succeeded", 3000), ("failed", 1200)])
    billing.run(day("04-01"))
    assert (state(billing), len(new(billing)), statuses(billing)) == ("canceled", 2, ["paid", "paid", "open"])


def test_a_decline_is_kept_under_its_key() -> None:
    billing = canceled(NO)
    for _ in range(2):
        refused = refusal(billing.subscriptions.reactivate, "s1", idempotency_key="k")
        assert refused.code == "payment_declined"
    assert new(billing) == [("failed", 3000)]
    assert billing.subscriptions.reactivate("s1", idempotency_key="k2").state == "active"


def test_while_a_debt_is_in_doubt_it_does_not_come_back() -> None:
    billing = canceled("pending")
    assert refusal(billing.subscriptions.reactivate, "s1").code == "payment_in_doubt"
    assert (state(billing), new(billing)) == ("canceled", [("pending", 3000)])
    billing.gateway("test").settle(billing.payments.list()[-1].id, "approve")
    billing.run(day("02-21"))
    assert (state(billing), billing.subscriptions.reactivate("s1").state) == ("canceled", "active")
    assert new(billing) == [("succeeded", 3000), ("succeeded", 1200), ("succeeded", 3000)]


def test_what_is_refused_collects_nothing() -> None:
    billing = canceled(ends_at="2026-03-10")
    billing.run(day("03-11"))
    assert refusal(billing.subscriptions.reactivate, "s1").code == "invalid_value"
    assert (state(billing), new(billing)) == ("canceled", [])


def test_without_a_method_it_is_declined() -> None:
    billing = canceled()
    billing.payment_methods.remove("acme", billing.payment_methods.list("acme")[0].id)
    assert refusal(billing.subscriptions.reactivate, "s1", period="keep").code == "payment_declined"
    assert (state(billing), new(billing)) == ("canceled", [])


def test_credit_pays_the_debt_first() -> None:
    billing = canceled()
    billing.credits.add("acme", "35.00")
    assert billing.subscriptions.reactivate("s1").state == "active"
    assert new(billing) == [("succeeded", 700), ("succeeded", 3000)]


def test_a_declined_debt_of_an_expired_one_opens_no_dunning() -> None:
    billing = books(dunning={"retry_after": ["2 days"], "final": "unpaid"})
    billing.subscriptions.create("s1", "acme", "pro-late", custom={"expires_after": "2 months"})
    billing.gateway("test").script([NO, NO, NO], default="approve")
    billing.run(day("03-05"))
    assert state(billing) == "expired"
    assert refusal(billing.subscriptions.reactivate, "s1").code == "payment_declined"
    billing.run(day("04-05"))
    assert (state(billing), len(attempts(billing))) == ("expired", 3)


def test_a_trial_run_pays_everything_and_keeps_nothing() -> None:
    billing = canceled()
    assert billing.subscriptions.reactivate("s1", dry_run=True).value.state == "active"
    assert (state(billing), new(billing)) == ("canceled", [])
