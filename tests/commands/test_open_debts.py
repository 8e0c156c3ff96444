"""What becomes of what is owed when a subscription is canceled by hand (behaviour 5.2, 9.5)."""

import pytest

from tests.builders import attempts, books, day, documents, dump, refusal

NO = "decline:insufficient_funds"


def owing(*more, until="02-01", method="approve", **changed):
    """s1 is past due since February; `more` are prices that the same customer takes from January 5 on."""
    billing = books(method=method, **changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    for place, price in enumerate(more, 2):
        billing.run(day("01-05"))
        billing.subscriptions.create(f"s{place}", "acme", price)
    billing.gateway("test").script([], default=NO)
    billing.run(day(until))
    return billing


def statuses(billing):
    return [one.status for one in billing.invoices.list()]


def states(billing):
    return {one.reference: one.state for one in billing.subscriptions.list()}


def cases(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT status, closed_by, closed_at FROM billcore_dunning_cases ORDER BY id")


def last(billing):
    return billing.invoices.list()[-1]


def test_what_a_canceled_subscription_owes_stays_open_and_is_not_tried_again() -> None:
    billing = owing()
    billing.subscriptions.cancel("s1")
    owed = last(billing)
    assert (owed.status, owed.due, owed.overdue, owed.collect_at) == ("open", 3000, False, None)
    billing.run(day("05-01"))
    assert [when for _, when, _ in attempts(billing)] == ["01-01", "02-01"]
    assert cases(billing) == [("closed", "canceled", "2026-02-01T00:00:00Z")]


def test_a_new_method_is_not_tried_on_what_a_canceled_subscription_owes() -> None:
    billing = owing()
    billing.subscriptions.cancel("s1")
    billing.gateway("test").script([], default="approve")
    billing.payment_methods.add("acme", "approve")
    assert statuses(billing) == ["paid", "open"]


@pytest.mark.parametrize("by", ["invoices", "payments"])
def test_it_is_payable_by_hand(by) -> None:
    billing = owing()
    billing.subscriptions.cancel("s1")
    if by == "invoices":
        billing.invoices.record_payment("acme/2")
    else:
        billing.payments.record("acme", "30.00")
    assert (statuses(billing), states(billing)) == (["paid", "paid"], {"s1": "canceled"})


@pytest.mark.parametrize("when", ["2026-02-03", "2026-03-01"])
def test_at_the_date_of_its_cancellation_it_is_the_same(when) -> None:
    billing = owing(dunning={"retry_after": ["1 day", "60 days"], "final": "unpaid"})
    billing.subscriptions.cancel("s1", when)
    billing.run(day("02-02"))
    assert cases(billing) == [("open", None, None)]
    billing.run(day("06-01"))
    assert states(billing) == {"s1": "canceled"}
    assert len(attempts(billing)) == 3
    assert cases(billing) == [("closed", "canceled", f"{when}T00:00:00Z")]


def test_add_ons_end_with_their_base_and_so_does_the_collection_of_their_common_invoice() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-01"))
    assert len(last(billing).lines) == 2
    billing.subscriptions.cancel("s1")
    assert (last(billing).overdue, cases(billing)[0][:2]) == (False, ("closed", "canceled"))


def together():
    """Two that renew on one invoice, which is declined."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "support-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-01"))
    assert len(last(billing).lines) == 2
    return billing


def test_an_invoice_of_one_that_still_runs_goes_on_as_before_until_that_ends_too() -> None:
    billing = together()
    billing.subscriptions.cancel("s1")
    assert (last(billing).overdue, cases(billing)[0][0]) == (True, "open")
    billing.run(day("02-02"))
    assert len(attempts(billing)) == 4
    billing.subscriptions.cancel("s2")
    assert (last(billing).overdue, cases(billing)[0][:2]) == (False, ("closed", "canceled"))
    billing.run(day("04-01"))
    assert len(attempts(billing)) == 4


def test_an_invoice_of_another_subscription_keeps_its_dunning() -> None:
    billing = owing("pro-m", until="02-05")
    billing.subscriptions.cancel("s1")
    assert [one.overdue for one in billing.invoices.list()] == [False, False, False, True]
    assert (cases(billing)[0][0], states(billing)["s2"]) == ("open", "past_due")
    billing.run(day("02-06"))
    assert [row[0] for row in attempts(billing)][-1] == "failed"
    assert [one.attempts for one in billing.invoices.list()][2:] == [3, 2]


def test_the_case_goes_on_for_what_another_one_owes_and_closes_with_its_cancellation() -> None:
    billing = owing("pro-m", until="02-05")
    billing.invoices.record_payment("acme/4")
    assert (states(billing), cases(billing)[0][0]) == ({"s1": "past_due", "s2": "active"}, "open")
    billing.subscriptions.cancel("s1")
    assert states(billing) == {"s1": "canceled", "s2": "active"}
    assert cases(billing)[0][:2] == ("closed", "canceled")


@pytest.mark.parametrize(("outcome", "status"), [("approve", "paid"), (NO, "open"), ("decline:stolen_card", "open")])
def test_an_attempt_in_doubt_settles_it_as_always_and_nothing_follows(outcome, status) -> None:
    billing = owing()
    billing.gateway("test").script(["pending"], default="approve")
    billing.subscriptions.retry("s1")
    billing.subscriptions.cancel("s1")
    assert (last(billing).overdue, last(billing).reserved_by is not None) == (False, True)
    billing.gateway("test").settle(billing.payments.list()[-1].id, outcome)
    billing.run(day("04-01"))
    assert (last(billing).status, last(billing).overdue, last(billing).collect_at) == (status, False, None)
    assert len(attempts(billing)) == 3
    assert [case[0] for case in cases(billing)] == ["closed"]


def test_no_other_method_follows_on_a_declined_attempt_in_doubt() -> None:
    billing = owing(method_fallback="order")
    billing.payment_methods.add("acme", "approve")
    tried = len(attempts(billing))
    billing.gateway("test").script(["pending"], default="approve")
    billing.subscriptions.retry("s1")
    billing.subscriptions.cancel("s1")
    billing.gateway("test").settle(billing.payments.list()[-1].id, NO)
    billing.run(day("04-01"))
    assert (last(billing).status, len(attempts(billing))) == ("open", tried + 1)


def test_an_invoice_that_falls_due_later_is_tried_once() -> None:
    billing = books(net_terms={"automatic": 14})
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1")
    billing.gateway("test").script([], default=NO)
    billing.run(day("04-01"))
    assert (len(attempts(billing)), last(billing).status, last(billing).overdue) == (1, "open", False)
    assert cases(billing) == []


# -- void_open -----------------------------------------------------------------------------------------------


def test_with_void_open_its_open_invoices_are_void_and_what_was_used_is_still_billed() -> None:
    billing = owing()
    billing.subscriptions.cancel("s1", void_open=True, reason="moved away")
    assert statuses(billing) == ["paid", "void"]
    assert (states(billing), cases(billing)[0][:2]) == ({"s1": "canceled"}, ("closed", "paid"))
    with billing.database.transaction(reads=True) as tx:
        changes = tx.rows("SELECT previous, state FROM billcore_state_changes ORDER BY id")
    assert changes[-1] == ("past_due", "canceled")


def test_what_a_part_was_paid_of_becomes_a_prepayment() -> None:
    billing = owing()
    billing.invoices.record_payment("acme/2", "10.00")
    billing.subscriptions.cancel("s1", void_open=True)
    (balance,) = billing.customers.balances("acme")
    assert (balance.prepayment, balance.due) == (1000, 0)


def test_several_are_void_and_none_is_paid_by_what_had_paid_another() -> None:
    billing = owing(until="03-01")
    billing.invoices.record_payment("acme/3", "20.00")
    billing.subscriptions.cancel("s1", void_open=True)
    assert statuses(billing) == ["paid", "void", "void"]
    assert billing.customers.balances("acme")[0].prepayment == 2000


def test_an_invoice_that_another_subscription_stands_on_is_left_alone() -> None:
    billing = together()
    billing.subscriptions.cancel("s1", void_open=True)
    assert last(billing).status == "open"
    billing.subscriptions.cancel("s2", void_open=True)
    assert last(billing).status == "void"


def test_an_attempt_in_doubt_refuses_the_whole() -> None:
    billing = owing(until="03-01")
    billing.gateway("test").script(["pending"], default=NO)
    billing.subscriptions.retry("s1")
    before = dump(billing, "billcore_events")
    assert refusal(billing.subscriptions.cancel, "s1", void_open=True).code == "payment_in_doubt"
    assert dump(billing, "billcore_events") == before


def test_what_was_partly_given_back_is_left_open() -> None:
    """An invoice of which something went back to its payer cannot be made void (behaviour 8.5)."""
    billing = owing()
    billing.invoices.record_payment("acme/2", "10.00")
    billing.payments.refund(billing.payments.list()[-1].id, "4.00", external=True)
    assert refusal(billing.invoices.void, "acme/2").code == "transition_not_allowed"
    billing.subscriptions.cancel("s1", void_open=True)
    owed = last(billing)
    assert (owed.status, owed.overdue, states(billing)) == ("open", False, {"s1": "canceled"})


def test_at_a_date_it_waits_for_the_outcome_of_an_attempt() -> None:
    billing = owing()
    billing.subscriptions.cancel("s1", "2026-02-10", void_open=True)
    billing.run(day("02-09"))
    billing.gateway("test").script(["pending"], default=NO)
    billing.subscriptions.retry("s1")
    billing.run(day("02-10"))
    assert states(billing) == {"s1": "past_due"}
    billing.gateway("test").settle(billing.payments.list()[-1].id, NO)
    billing.run(day("02-12"))
    assert (states(billing), statuses(billing)) == ({"s1": "canceled"}, ["paid", "void"])
    assert [case[0] for case in cases(billing)] == ["closed"]


def test_at_its_date_another_one_that_owes_nothing_by_then_renews_as_one_that_is_well() -> None:
    """Both act in one batch, and what the one leaves void was never the other's."""
    billing = books(consolidate=False)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "support-m", base="s1")
    billing.subscriptions.create("s3", "acme", "pro-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-20"))
    sub = billing.subscriptions.get("s3")
    (own,) = [one for one in billing.invoices.list(status="open") if one.subscription_id == sub.id]
    billing.invoices.record_payment(own.id)
    billing.subscriptions.cancel("s1", "period_end", void_open=True)
    billing.gateway("test").script([], default="approve")
    assert states(billing) == {"s1": "past_due", "s2": "past_due", "s3": "active"}
    billing.run(day("03-01"))
    assert states(billing) == {"s1": "canceled", "s2": "canceled", "s3": "active"}
    assert [one.status for one in billing.invoices.list()][3:] == ["void", "void", "paid", "paid"]


def test_an_undone_cancellation_forgets_it() -> None:
    billing = owing()
    billing.subscriptions.cancel("s1", "period_end", void_open=True)
    assert billing.subscriptions.uncancel("s1").cancel_void_open is False
    billing.subscriptions.cancel("s1")
    assert statuses(billing) == ["paid", "open"]


def test_the_invoices_of_a_subscription_that_ended_before_go_with_the_last_on_them() -> None:
    billing = together()
    billing.subscriptions.cancel("s2")
    assert documents(billing)[-1][0] == "open"
    billing.subscriptions.cancel("s1", void_open=True)
    assert last(billing).status == "void"
