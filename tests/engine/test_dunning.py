"""Dunning, told as stories: what happens after a failed collection (behaviour 9.5)."""

import pytest

from tests.builders import attempts, books, day, documents, dump, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

NO = "decline:insufficient_funds"
HARD = "decline:stolen_card"


def failing(*outcomes, default=NO, until="02-01", settings=None, price="pro-m", customers=("acme",), **given):
    """Signed up in January; what happens from February on is scripted."""
    billing = books(customers=customers, **(settings or {}))
    for place, customer in enumerate(customers, 1):
        billing.subscriptions.create(f"s{place}", customer, price, **given)
    billing.gateway("test").script(list(outcomes), default=default)
    billing.run(day(until))
    return billing


def state(billing, reference="s1"):
    return billing.subscriptions.get(reference).state


def tries(billing):
    return [when for status, when, _ in attempts(billing)]


def cases(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT status, step, closed_by FROM billcore_dunning_cases ORDER BY id")


def test_a_declined_renewal_is_tried_again_after_1_3_5_and_7_days() -> None:
    billing = failing(until="02-27")
    assert tries(billing) == ["01-01", "02-01", "02-02", "02-04", "02-06", "02-08"]
    assert state(billing) == "past_due"


def test_the_period_advances_all_the_same() -> None:
    billing = failing()
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.period_start, sub.period_end) == ("past_due", day("02-01"), day("03-01"))
    assert [row[:3] for row in documents(billing)] == [("paid", "01-01", 3000), ("open", "02-01", 3000)]


def test_after_leave_nothing_more_is_retried_by_itself() -> None:
    """An invoice that falls due meanwhile is still tried once."""
    billing = failing(until="04-15")
    assert tries(billing)[6:] == ["03-01", "04-01"]
    assert (state(billing), cases(billing)) == ("past_due", [("open", 4, None)])


def test_a_retry_that_succeeds_closes_the_case() -> None:
    billing = failing(NO, NO, default="approve", until="02-20")
    assert tries(billing) == ["01-01", "02-01", "02-02", "02-04"]
    assert (state(billing), cases(billing)) == ("active", [("closed", 2, "paid")])
    assert [one.status for one in billing.invoices.list()] == ["paid", "paid"]


def test_the_steps_count_from_the_failure_at_its_local_time() -> None:
    billing = books(timezone="Europe/Berlin", start=day("2026-02-28T22:00"))
    billing.subscriptions.create("s1", "acme", "pro-m", billing_day=28)
    billing.gateway("test").script([], default=NO)
    billing.run(day("04-10"))
    failed = [one.created_at for one in billing.payments.list() if one.status == "failed"]
    # March 28, 00:00 in Berlin is 23:00 UTC; from March 29 on it is 22:00.
    assert failed == [day(text) for text in ("03-27T23:00", "03-28T23:00", "03-30T22:00", "04-01T22:00", "04-03T22:00")]


@pytest.mark.parametrize(("final", "after"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("leave", "past_due")])
def test_the_final_action_comes_with_the_last_failure(final, after) -> None:
    billing = failing(until="02-03", settings={"dunning": {"retry_after": ["1 day", "2 days"], "final": final}})
    assert tries(billing) == ["01-01", "02-01", "02-02", "02-03"]
    assert state(billing) == after
    assert [one.status for one in billing.invoices.list()] == ["paid", "open"]


def test_without_retries_the_final_action_follows_the_first_failure() -> None:
    billing = failing(settings={"dunning": {"retry_after": [], "final": "cancel"}})
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("canceled", day("02-01"))
    assert tries(billing) == ["01-01", "02-01"]


def test_a_canceled_subscriptions_invoice_stays_open_and_is_not_collected_any_more() -> None:
    billing = failing(settings={"dunning": {"retry_after": ["1 day"], "final": "cancel"}}, until="06-01")
    assert (state(billing), [one.status for one in billing.invoices.list()]) == ("canceled", ["paid", "open"])
    assert len(tries(billing)) == 3


def test_the_final_cancellation_bills_what_is_owed_in_arrears() -> None:
    billing = failing(
        until="02-01T12:00",
        settings={"dunning": {"retry_after": ["1 day"], "final": "cancel"}},
        components={"calls": "0"},
    )
    billing.usage.record("s1", "calls", "50")
    billing.run(day("02-02"))
    assert documents(billing)[2] == ("open", "02-02", 500, [("usage", 500)])
    assert tries(billing) == ["01-01", "02-01", "02-02", "02-02"]


def test_an_add_on_is_canceled_with_its_base() -> None:
    billing = books(dunning={"retry_after": ["1 day"], "final": "cancel"})
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-10"))
    billing.subscriptions.create("s2", "acme", "free", base="s1")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-02"))
    assert (state(billing), state(billing, "s2")) == ("canceled", "canceled")


def test_dunning_none_cancels_on_a_declined_renewal_only() -> None:
    billing = failing(settings={"dunning": "none"})
    assert (state(billing), tries(billing), cases(billing)) == ("canceled", ["01-01", "02-01"], [])


def test_without_dunning_a_debit_that_bounces_ends_it_then_and_bills_what_was_used_since_the_renewal() -> None:
    billing = books(dunning="none")
    billing.subscriptions.create("s1", "acme", "pro-late")
    gateway = billing.gateway("test")
    gateway.script(["pending"], default="approve")
    billing.run(day("02-01"))
    billing.run(day("02-04"))
    billing.usage.record("s1", "calls", "50")
    gateway.settle(billing.payments.get("acme/pay/1").id, NO)
    billing.run(day("02-05"))
    assert (state(billing), cases(billing)) == ("canceled", [])
    bounced, final = documents(billing)
    assert bounced[:3] == ("open", "02-01", 3000)
    assert final[:2] == ("paid", "02-04") and [kind for kind, _ in final[3]] == ["product", "usage"]


@pytest.mark.parametrize("addon", ["support-m", "free"])
@pytest.mark.parametrize("has_method", [True, False])
def test_without_dunning_add_ons_end_with_their_base_at_its_instant(addon, has_method) -> None:
    """Whether they stand on its invoice or on none; of two customers in one run each at his own."""
    billing = books(dunning="none", customers=("acme", "bolt"))
    for place, customer in enumerate(("acme", "bolt"), 1):
        billing.subscriptions.create(f"s{place}", customer, "pro-m")
        billing.subscriptions.create(f"a{place}", customer, addon, base=f"s{place}")
        if not has_method:
            billing.payment_methods.remove(customer, billing.payment_methods.list(customer)[0].id)
        billing.run(day("01-05"))
    billing.gateway("test").script([], default=HARD)
    billing.run(day("02-20"))
    ended = {one.reference: (one.state, one.ended_at) for one in billing.subscriptions.list()}
    first, second = ("canceled", day("02-01")), ("canceled", day("02-05"))
    assert ended == {"s1": first, "a1": first, "s2": second, "a2": second}
    # Each answer is written down as it comes: nothing had to be asked again.
    assert {one.checks for one in billing.payments.list()} == {0}


def test_dunning_none_leaves_a_declined_trial_end_past_due() -> None:
    billing = failing(price="try", until="03-01", settings={"dunning": "none"})
    assert state(billing) == "past_due"


def test_unpaid_goes_on_and_is_not_charged() -> None:
    billing = failing(until="04-01", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}})
    assert state(billing) == "unpaid"
    assert [row[:3] for row in documents(billing)] == [
        ("paid", "01-01", 3000),
        ("open", "02-01", 3000),
        ("open", "03-01", 3000),
        ("open", "04-01", 3000),
    ]
    assert tries(billing) == ["01-01", "02-01", "02-02"]


def test_unpaid_is_active_again_when_everything_is_paid() -> None:
    """Everything: the invoices issued while it was unpaid are overdue too."""
    billing = failing(until="03-10", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}})
    billing.gateway("test").script([], default="approve")
    assert billing.subscriptions.retry("s1").state == "active"
    assert [one.status for one in billing.invoices.list()] == ["paid", "paid", "paid"]


def test_a_declined_retry_of_an_unpaid_subscription_begins_no_new_dunning() -> None:
    billing = failing(until="02-10", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}})
    billing.subscriptions.retry("s1")
    billing.run(day("02-28"))
    assert (state(billing), len(tries(billing))) == ("unpaid", 4)
    assert [row[0] for row in cases(billing)] == ["closed"]


def test_a_new_method_pays_what_an_unpaid_subscription_owes() -> None:
    billing = failing(until="02-10", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}})
    billing.gateway("test").script([], default=None)
    billing.payment_methods.add("acme", "approve")
    assert state(billing) == "active"


@pytest.mark.parametrize("declined", [HARD, NO])
def test_a_method_that_is_added_while_something_is_overdue_is_tried_at_once_and_stays_the_default(declined) -> None:
    billing = failing(default=declined, until="02-01T12:00")
    assert tries(billing) == ["01-01", "02-01"]
    billing.gateway("test").script([], default=None)
    billing.payment_methods.add("acme", "approve", reference="new")
    assert (state(billing), tries(billing)) == ("active", ["01-01", "02-01", "02-01"])
    assert billing.payments.list()[-1].payment_method_id == billing.customers.get("acme").default_method_id
    billing.run(day("03-01"))
    assert billing.payments.list()[-1].payment_method_id == billing.payment_methods.list("acme")[-1].id


def test_a_hard_decline_waits_for_another_method() -> None:
    billing = failing(default=HARD, until="02-05")
    assert tries(billing) == ["01-01", "02-01"]
    billing.gateway("test").script([], default=None)
    billing.payment_methods.add("acme", "approve")
    assert (state(billing), tries(billing)) == ("active", ["01-01", "02-01", "02-05"])


def test_a_method_that_is_added_while_an_attempt_on_what_is_overdue_is_open_is_for_the_retries() -> None:
    billing = failing(NO, "pending", default="approve", until="02-02")
    billing.payment_methods.add("acme", "approve", reference="new")
    assert tries(billing) == ["01-01", "02-01", "02-02"]
    billing.gateway("test").settle(billing.payments.list()[-1].id, NO)
    billing.run(day("02-04"))
    assert (state(billing), tries(billing)) == ("active", ["01-01", "02-01", "02-02", "02-04"])
    assert billing.payments.list()[-1].payment_method_id == billing.payment_methods.list("acme")[-1].id


def test_a_method_that_is_added_while_nothing_is_overdue_is_not_the_default() -> None:
    billing = failing("approve", default="approve", until="02-05")
    billing.payment_methods.add("acme", "approve")
    assert (len(tries(billing)), billing.customers.get("acme").default_method_id) == (
        2,
        billing.payment_methods.list("acme")[0].id,
    )


def test_a_hard_decline_still_comes_to_its_final_action() -> None:
    billing = failing(
        default=HARD, until="02-10", settings={"dunning": {"retry_after": ["1 day", "3 days"], "final": "cancel"}}
    )
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at, tries(billing)) == ("canceled", day("02-04"), ["01-01", "02-01"])


def test_a_new_method_is_tried_at_once_and_the_schedule_stays() -> None:
    billing = failing(until="02-01T12:00")
    billing.gateway("test").script([], default=None)
    billing.payment_methods.add("acme", NO)
    billing.run(day("02-02"))
    assert tries(billing) == ["01-01", "02-01", "02-01", "02-02"]


def test_a_subscriptions_own_method_is_retried_too() -> None:
    billing = books(method=None)
    billing.payment_methods.add("acme", "approve", reference="default")
    billing.payment_methods.add("acme", "approve", reference="own")
    billing.subscriptions.create("s1", "acme", "pro-m", payment_method="own")
    billing.payment_methods.remove("acme", "default")
    billing.payment_methods.list("acme")
    billing.gateway("test").script([NO], default="approve")
    billing.run(day("02-02"))
    assert (state(billing), tries(billing)) == ("active", ["01-01", "02-01", "02-02"])


def test_an_invoice_due_without_a_method_opens_the_case_and_its_steps_make_no_attempt() -> None:
    billing = books(dunning={"retry_after": ["1 day", "3 days"], "final": "cancel"})
    billing.subscriptions.create("s1", "acme", "pro-m")
    (method,) = billing.payment_methods.list("acme")
    billing.payment_methods.remove("acme", method.id)
    billing.run(day("02-03"))
    assert (state(billing), tries(billing)) == ("past_due", ["01-01"])
    billing.run(day("02-04"))
    assert (state(billing), tries(billing)) == ("canceled", ["01-01"])


def test_a_method_added_later_pays_at_once() -> None:
    billing = books(method=None)
    billing.subscriptions.create("s1", "acme", "try")
    billing.run(day("01-20"))
    assert state(billing) == "past_due"
    billing.payment_methods.add("acme", "approve")
    assert (state(billing), attempts(billing)) == ("active", [("succeeded", "01-20", 3000)])


def test_several_invoices_are_tried_oldest_first_up_to_the_first_decline() -> None:
    billing = failing(until="04-02")
    billing.gateway("test").script(["approve", NO], default="approve")
    before = len(tries(billing))
    assert billing.subscriptions.retry("s1").state == "past_due"
    assert [one.status for one in billing.invoices.list()] == ["paid", "paid", "open", "open"]
    assert len(tries(billing)) == before + 2
    assert billing.subscriptions.retry("s1").state == "active"
    assert [one.status for one in billing.invoices.list()] == ["paid"] * 4


def test_an_invoice_that_falls_due_meanwhile_is_tried_once_and_joins() -> None:
    billing = books(dunning={"retry_after": ["10 days", "40 days"], "final": "cancel"})
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("03-12"))
    # February 1, retry on the 11th; March 1 its own; on March 13 the oldest is declined and that ends it.
    assert tries(billing) == ["01-01", "02-01", "02-11", "03-01"]
    assert len(cases(billing)) == 1
    billing.run(day("03-13"))
    assert tries(billing)[4:] == ["03-13"]
    assert state(billing) == "canceled"
    assert [one.status for one in billing.invoices.list()] == ["paid", "open", "open"]


def test_the_final_action_takes_every_subscription_on_the_open_invoices() -> None:
    billing = books(dunning={"retry_after": ["1 day"], "final": "cancel"})
    for reference in ("s1", "s2"):
        billing.subscriptions.create(reference, "acme", "pro-m")
    billing.subscriptions.create("s3", "acme", "pro-y")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-02"))
    assert [state(billing, f"s{n}") for n in (1, 2, 3)] == ["canceled", "canceled", "active"]


@pytest.mark.parametrize("final", ["cancel", "unpaid", "leave"])
def test_who_has_paid_his_own_is_active_at_once_and_left_out_of_the_final_action(final) -> None:
    """What failed made only the subscriptions on it past due, so what others owe keeps none of them so (5.2)."""
    billing = books(dunning={"retry_after": ["2 days", "5 days"], "final": final}, consolidate=False)
    for reference in ("s1", "s2"):
        billing.subscriptions.create(reference, "acme", "pro-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-04"))
    billing.invoices.record_payment("acme/3")
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["active", "past_due"]
    billing.run(day("02-20"))
    after = {"cancel": "canceled", "leave": "past_due"}.get(final, final)
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["active", after]


def held(*outcomes, settings=None, **given):
    """s1 with ten days to pay is on hold from January 5 on; its invoice is due on the 11th."""
    billing = books(**(settings or {"dunning": {"retry_after": ["5 days", "8 days"], "final": "cancel"}}))
    billing.subscriptions.create("s1", "acme", "pro-m", **({"net_terms": 10} | given))
    billing.gateway("test").script(list(outcomes), default="approve")
    billing.run(day("01-05"))
    billing.subscriptions.hold("s1")
    return billing


def test_what_fell_due_in_a_hold_is_tried_once_and_not_retried_before_its_end() -> None:
    billing = held(NO)
    billing.run(day("02-20"))
    assert (state(billing), tries(billing)) == ("on_hold", ["01-11"])
    assert billing.invoices.get("acme/1").overdue


def test_who_comes_back_while_the_case_is_open_is_past_due_and_its_schedule_goes_on() -> None:
    billing = held(NO)
    billing.run(day("01-12"))
    assert billing.subscriptions.resume("s1").state == "past_due"
    billing.run(day("01-16"))
    assert (state(billing), tries(billing)) == ("active", ["01-11", "01-16"])
    assert [row[0] for row in cases(billing)] == ["closed"]


@pytest.mark.parametrize("by", ["hand", "date"])
def test_what_was_not_retried_in_the_hold_falls_due_again_with_its_end(by) -> None:
    billing = held(NO, NO)
    if by == "date":
        billing.subscriptions.resume("s1")
        billing.subscriptions.hold("s1", resume_at="2026-01-20")
    billing.run(day("01-20"))
    if by == "hand":
        billing.subscriptions.resume("s1")
    assert (state(billing), tries(billing)) == ("past_due", ["01-11", "01-20"])
    billing.run(day("01-25"))
    assert (state(billing), tries(billing)) == ("active", ["01-11", "01-20", "01-25"])


def test_without_retries_a_debt_of_the_hold_is_tried_at_its_end_before_the_final_action() -> None:
    billing = held(NO, settings={"dunning": {"retry_after": [], "final": "cancel"}})
    billing.run(day("01-20"))
    assert (state(billing), billing.subscriptions.resume("s1").state) == ("on_hold", "active")


def test_without_dunning_a_renewal_declined_in_a_hold_is_tried_again_at_its_end() -> None:
    billing = books(dunning="none")
    billing.subscriptions.create("s1", "acme", "pro-m", net_terms=10)
    billing.run(day("02-05"))
    billing.subscriptions.hold("s1")
    billing.gateway("test").script([NO], default="approve")
    billing.run(day("02-20"))
    assert (state(billing), tries(billing)) == ("on_hold", ["01-11", "02-11"])
    billing.subscriptions.resume("s1")
    assert (state(billing), tries(billing)) == ("active", ["01-11", "02-11", "02-20"])


def test_remittance_that_fell_due_in_a_hold_is_past_due_with_its_end() -> None:
    billing = held(collection="remittance")
    billing.run(day("01-12"))
    assert (state(billing), billing.subscriptions.resume("s1").state) == ("on_hold", "past_due")
    assert cases(billing) == []
    billing.invoices.record_payment("acme/1")
    assert state(billing) == "active"


def test_another_ones_dunning_leaves_a_debt_on_hold_alone() -> None:
    billing = held(NO, NO, NO, NO)
    billing.subscriptions.create("s2", "acme", "pro-m", net_terms=8)
    billing.run(day("01-24"))
    # The first decline is that of January 11; the case and its final action are about s2 alone.
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["on_hold", "canceled"]
    assert [one.overdue for one in billing.invoices.list()] == [True, False]
    assert [row[0] for row in cases(billing)] == ["closed"]
    assert billing.subscriptions.resume("s1").state == "active"
    assert [one.status for one in billing.invoices.list()] == ["paid", "open"]


def test_what_an_unpaid_one_owes_is_not_charged_with_another_ones_retry_nor_keeps_its_case_open() -> None:
    billing = failing(
        NO, NO, default="approve", until="02-10", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}}
    )
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.gateway("test").script([NO], default="approve")
    billing.run(day("03-12"))
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["unpaid", "active"]
    assert tries(billing) == ["01-01", "02-01", "02-02", "02-10", "03-10", "03-11"]
    assert [row[0] for row in cases(billing)] == ["closed", "closed"]
    assert billing.subscriptions.retry("s1").state == "active"


@pytest.mark.parametrize("days", [0, 10])
def test_an_unpaid_one_that_expires_is_billed_its_arrears_and_nothing_is_charged(days) -> None:
    billing = books(dunning={"retry_after": ["2 days"], "final": "unpaid"})
    billing.subscriptions.create("s1", "acme", "pro-late", custom={"expires_after": "2 months"}, net_terms=days)
    billing.gateway("test").script([NO, NO], default="approve")
    billing.run(day("04-01"))
    assert (state(billing), len(tries(billing))) == ("expired", 2)
    assert [(one.status, one.overdue, one.collect_at) for one in billing.invoices.list()] == [("open", False, None)] * 2
    billing.payment_methods.add("acme", "approve")
    assert len(tries(billing)) == 2


def test_remittance_is_no_part_of_the_dunning_of_others() -> None:
    billing = failing(NO, NO, default="approve", settings={"dunning": {"retry_after": ["20 days"], "final": "cancel"}})
    billing.subscriptions.create("s2", "acme", "pro-m", collection="remittance", net_terms=5)
    billing.run(day("02-25"))
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["canceled", "past_due"]
    assert billing.invoices.get("acme/3").overdue


def test_a_debt_without_a_subscription_keeps_none_past_due() -> None:
    billing = failing(until="02-01T12:00")
    billing.invoices.create("acme", [{"description": "Setup", "amount": "5.00"}])
    assert billing.invoices.get("acme/3").overdue
    billing.invoices.record_payment("acme/2")
    assert (state(billing), [row[0] for row in cases(billing)]) == ("active", ["open"])


def test_a_consolidated_invoice_makes_all_its_subscriptions_past_due_and_active_again() -> None:
    billing = books()
    for reference in ("s1", "s2"):
        billing.subscriptions.create(reference, "acme", "pro-m")
    billing.gateway("test").script([NO], default="approve")
    billing.run(day("02-01"))
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["past_due", "past_due"]
    billing.run(day("02-02"))
    assert [state(billing, f"s{n}") for n in (1, 2)] == ["active", "active"]


def test_one_customers_trouble_is_not_anothers() -> None:
    billing = books(customers=("acme", "bolt"))
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "bolt", "pro-m")
    bolt = billing.customers.get("bolt").id
    billing.gateway("test").script([], customer_id=bolt, default=NO)
    billing.run(day("02-20"))
    assert (state(billing, "s1"), state(billing, "s2")) == ("active", "past_due")


def test_currencies_have_cases_of_their_own() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "pro-eur")
    billing.gateway("test").script([NO, NO, "approve", NO], default=NO)
    billing.run(day("02-02"))
    assert sorted(state(billing, f"s{n}") for n in (1, 2)) == ["active", "past_due"]
    assert len(cases(billing)) == 2


def test_dunning_starts_again_after_it_was_paid() -> None:
    billing = failing(NO, "approve", NO, "approve", default="approve", until="03-05")
    assert tries(billing) == ["01-01", "02-01", "02-02", "03-01", "03-02"]
    assert [row[0] for row in cases(billing)] == ["closed", "closed"]


def test_durations_rise_strictly() -> None:
    billing = books()
    for wrong in ("3 days,1 day", "1 day,1 day"):
        value = '{"retry_after": ["' + wrong.replace(",", '","') + '"], "final": "leave"}'
        before = dump(billing)
        assert refusal(billing.settings.set, "dunning", value).code == "invalid_value"
        assert dump(billing) == before


# -- no answer, no connection --------------------------------------------------------------------------------


def test_an_unknown_outcome_is_soft_failure_and_opens_no_case() -> None:
    billing = failing("timeout_after_charge", default="approve")
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.previous_state, cases(billing)) == ("soft_failure", "active", [])
    billing.run(day("02-02"))
    assert (state(billing), len(tries(billing))) == ("active", 2)
    assert billing.gateway("test").taken("USD").minor == 6000


def test_an_unknown_outcome_that_was_a_decline_counts_from_its_attempt() -> None:
    billing = failing("timeout_before", default=NO)
    assert state(billing) == "soft_failure"
    billing.run(day("02-02"))
    assert state(billing) == "past_due"
    assert tries(billing) == ["01-01", "02-01", "02-02"]


def test_an_unreachable_gateway_is_tried_again_after_an_hour_then_more_rarely() -> None:
    billing = failing("unreachable", "unreachable", default="approve", until="02-01T01:00")
    assert (state(billing), cases(billing)) == ("soft_failure", [])
    billing.run(day("02-01T02:59"))
    assert state(billing) == "soft_failure"
    billing.run(day("02-01T03:00"))
    assert state(billing) == "active"
    made = [f"{one.created_at:%d %H} {one.status}" for one in billing.payments.list()[1:]]
    assert made == ["01 00 failed", "01 01 failed", "01 03 succeeded"]


def test_a_payment_that_is_on_its_way_changes_no_state() -> None:
    billing = failing("pending", default="approve", until="02-10")
    assert (state(billing), billing.payments.list()[1].status) == ("active", "pending")
    billing.gateway("test").settle(billing.payments.list()[1].id, "approve")
    billing.run(day("02-11"))
    assert [one.status for one in billing.invoices.list()] == ["paid", "paid"]


def test_a_bank_debit_that_bounces_late_is_past_due_and_retried_from_then_on() -> None:
    """Counted from the attempt, all retries of ten days would be due at once (9.5)."""
    billing = failing("pending", default=NO, until="02-10")
    billing.gateway("test").settle(billing.payments.list()[1].id, NO)
    billing.run(day("02-10T02:00"))
    assert (state(billing), attempts(billing)[1:]) == ("past_due", [("failed", "02-01", 3000)])
    assert cases(billing) == [("open", 0, None)]
    billing.run(day("02-12"))
    assert [row[1] for row in attempts(billing)[1:]] == ["02-01", "02-11"]
    billing.gateway("test").script([], default="approve")
    billing.run(day("02-14"))
    assert (state(billing), [one.status for one in billing.invoices.list()]) == ("active", ["paid", "paid"])


def test_a_bounce_in_the_middle_of_dunning_leaves_its_schedule() -> None:
    billing = failing(NO, "pending", default="approve", until="02-03")
    billing.gateway("test").settle(billing.payments.list()[2].id, NO)
    billing.run(day("02-20"))
    assert [row[:2] for row in attempts(billing)[1:]] == [
        ("failed", "02-01"),
        ("failed", "02-02"),
        ("succeeded", "02-04"),
    ]


def test_another_invoices_payment_does_not_end_the_doubt() -> None:
    """s1's outcome is unknown; that s2 is paid says nothing about it."""
    billing = books(consolidate=False)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.gateway("test").script(["timeout_after_charge", "approve"], default="approve")
    billing.run(day("02-01"))
    assert sorted(state(billing, f"s{n}") for n in (1, 2)) == ["active", "soft_failure"]
    billing.run(day("02-02"))
    assert sorted(state(billing, f"s{n}") for n in (1, 2)) == ["active", "active"]
    assert billing.gateway("test").taken("USD").minor == 12000


# -- remittance ----------------------------------------------------------------------------------------------


def test_remittance_that_is_overdue_is_past_due_without_case_or_attempt() -> None:
    billing = books(method=None, dunning={"retry_after": ["1 day"], "final": "cancel"})
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    billing.run(day("01-30"))
    assert state(billing) == "active"
    billing.run(day("03-01"))
    assert (state(billing), tries(billing), cases(billing)) == ("past_due", [], [])
    assert [row[:2] for row in documents(billing)] == [("open", "01-01"), ("open", "02-01"), ("open", "03-01")]


def test_a_retry_by_hand_does_not_wait_for_the_hour() -> None:
    billing = failing("unreachable", default="approve")
    assert state(billing) == "soft_failure"
    assert billing.subscriptions.retry("s1").state == "active"


def test_remittance_is_not_retried() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    billing.run(day("02-15"))
    refused = refusal(billing.subscriptions.retry, "s1")
    assert (refused.code, state(billing)) == ("transition_not_allowed", "past_due")
    assert billing.payments.list() == []


def test_a_refused_method_of_a_subscription_is_not_tried_again() -> None:
    """The customer's default would do, but this subscription is charged to its own, which was refused for good."""
    billing = books()
    billing.payment_methods.add("acme", "approve", reference="own")
    billing.subscriptions.create("s1", "acme", "pro-m", payment_method="own")
    billing.gateway("test").script([HARD], default="approve")
    billing.run(day("02-20"))
    assert (state(billing), tries(billing)) == ("past_due", ["01-01", "02-01"])


def test_what_a_subscription_with_a_method_of_its_own_owes_waits_for_another_one_of_its_own() -> None:
    """Whoever fixed a method on it did not mean the customer's."""
    billing = books()
    billing.payment_methods.add("acme", "approve", reference="own")
    billing.subscriptions.create("s1", "acme", "pro-m", payment_method="own")
    billing.gateway("test").script([HARD], default="approve")
    billing.run(day("02-10"))
    billing.payment_methods.add("acme", "approve", reference="other")
    assert (state(billing), tries(billing)) == ("past_due", ["01-01", "02-01"])
    assert billing.subscriptions.update("s1", payment_method="other").state == "active"
    assert (state(billing), tries(billing)) == ("active", ["01-01", "02-01", "02-10"])


def test_unpaid_with_terms_is_owed_from_its_due_date_and_not_charged() -> None:
    billing = failing(until="03-20", settings={"dunning": {"retry_after": ["1 day"], "final": "unpaid"}}, net_terms=10)
    assert (state(billing), tries(billing)) == ("unpaid", ["01-11", "01-12"])
    billing.gateway("test").script([], default="approve")
    assert billing.subscriptions.retry("s1").state == "active"
    assert [one.status for one in billing.invoices.list()] == ["paid"] * 3


def test_a_case_whose_end_cannot_be_billed_is_put_aside_alone() -> None:
    """One customer's nonsense must not keep everybody else's cases from going on."""
    billing = books(customers=("a", "b", "c"), dunning={"retry_after": ["1 day"], "final": "cancel"})
    for name in ("a", "b", "c"):
        billing.subscriptions.create(f"s-{name}", name, "pro-m", components={"calls": "0"})
    billing.gateway("test").script([], default="decline:insufficient_funds")
    billing.run(day("02-01"))
    billing.usage.record("s-b", "calls", "999999999999999")
    billing.run(day("02-04"))
    states = {one.reference: one.state for one in billing.subscriptions.list()}
    assert states == {"s-a": "canceled", "s-b": "past_due", "s-c": "canceled"}
    assert "too large for a document" in billing.subscriptions.get("s-b").parked_reason
    billing.usage.record("s-b", "calls", "-999999999999999")
    billing.unpark("s-b")
    billing.run(day("02-06"))
    assert billing.subscriptions.get("s-b").state == "canceled"
