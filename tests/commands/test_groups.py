"""Groups of customers: who pays, what joining and leaving move, and what stays (behaviour 14, 7.3, 8.3)."""

import pytest
from attrs import evolve

from billcore.commands.facts import facts_for
from billcore.commands.unused import give_back
from billcore.commands.waiting import keep_waiting
from tests.builders import attempts, books, day, documents, draft_line, dump, refusal


def group(*members, method=None, **changed):
    """A payer `head` with a method, and members for whom he pays; they have `method`."""
    billing = books(customers=("head",), **changed)
    for member in members:
        billing.customers.create(member)
        if method is not None:
            billing.payment_methods.add(member, method)
    return billing


def states(billing, *references):
    return [billing.subscriptions.get(one).state for one in references]


# -- who pays ----------------------------------------------------------------------------------------------


def test_what_a_member_subscribes_to_is_charged_to_the_payer() -> None:
    billing = group()
    head = billing.customers.get("head")
    child = billing.customers.create("child", parent="head", pays="parent")
    sub = billing.subscriptions.create("s1", "child", "pro-m")
    assert (child.parent_id, child.pays) == (head.id, "parent")
    assert (sub.customer_id, sub.owner_id, sub.state) == (head.id, child.id, "active")
    assert attempts(billing, "head") == [("succeeded", "01-01", 3000)]
    assert billing.invoices.list(customer="child") == []


def test_the_payer_is_the_first_above_who_pays_himself() -> None:
    billing = group()
    billing.customers.create("branch", parent="head", pays="parent")
    billing.customers.create("shop", parent="branch", pays="parent")
    billing.customers.create("alone", parent="shop")
    billing.payment_methods.add("alone", "approve")
    assert billing.subscriptions.create("s1", "shop", "pro-m").customer_id == billing.customers.get("head").id
    assert billing.subscriptions.create("s2", "alone", "pro-m").customer_id == billing.customers.get("alone").id
    assert [one.reference for one in billing.customers.members("head")] == ["branch", "shop", "alone"]
    assert [one.reference for one in billing.customers.members("head", after="branch", limit=1)] == ["shop"]
    assert billing.customers.members("alone") == []


def test_what_falls_due_at_once_for_a_group_is_one_invoice() -> None:
    billing = group("one", "two")
    billing.subscriptions.create("s0", "head", "pro-m")
    for child, sub in (("one", "s1"), ("two", "s2")):
        billing.customers.join(child, "head")
        billing.subscriptions.create(sub, child, "pro-m")
    billing.run(day("02-01"))
    assert documents(billing, "head")[-1] == ("paid", "02-01", 9000, [("product", 3000)] * 3)
    assert attempts(billing)[-1] == ("succeeded", "02-01", 9000)


def test_another_zone_has_an_invoice_of_its_own() -> None:
    """Midnight is another instant there; where two happen to meet, they are still not one (behaviour 8.3)."""
    billing = group()
    billing.customers.create("child", parent="head", pays="parent", timezone="Europe/London")
    billing.subscriptions.create("s0", "head", "pro-m")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.run(day("02-01"))
    assert [total for _, _, total, _ in documents(billing, "head")] == [3000] * 4


def test_a_declined_invoice_of_the_group_puts_all_its_subscriptions_past_due() -> None:
    billing = group("one", "two", method="approve")
    billing.customers.join("one", "head")
    billing.subscriptions.create("s0", "head", "pro-m")
    billing.subscriptions.create("s1", "one", "pro-m")
    billing.subscriptions.create("s2", "two", "pro-m", collection="remittance", net_terms=60)
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("02-01"))
    assert states(billing, "s0", "s1", "s2") == ["past_due", "past_due", "active"]
    billing.run(day("02-09"))
    assert states(billing, "s0", "s1", "s2") == ["active", "active", "active"]


def test_tax_is_that_of_the_payers_place() -> None:
    billing = group()
    billing.customers.update("head", country="DE")
    billing.customers.create("child", parent="head", pays="parent", country="US")
    billing.subscriptions.create("s1", "child", "pro-m")
    assert billing.invoices.list()[0].tax == 570


def test_a_member_has_the_terms_of_his_payer() -> None:
    billing = group()
    billing.subscriptions.create("s0", "head", "pro-m", collection="remittance", net_terms=14)
    billing.customers.create("child", parent="head", pays="parent")
    assert billing.subscriptions.create("s1", "child", "pro-m", collection="remittance").net_terms == 14
    assert billing.subscriptions.create("s2", "child", "pro-m").net_terms is None


def test_an_add_on_of_a_member_takes_his_base() -> None:
    billing = group()
    billing.customers.create("child", parent="head", pays="parent")
    billing.subscriptions.create("s0", "head", "pro-m")
    base = billing.subscriptions.create("s1", "child", "pro-m")
    assert billing.subscriptions.create("s2", "child", "support-m", base="s1").base_id == base.id
    assert refusal(billing.subscriptions.create, "s3", "child", "support-m", base="s0").code == "invalid_value"


# -- joining -----------------------------------------------------------------------------------------------


def test_who_joins_is_paid_for_from_the_next_invoice_on() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m", components={"calls": "0"})
    billing.run(day("01-10"))
    billing.usage.record("s1", "calls", "5")
    joined = billing.customers.join("child", "head")
    billing.usage.record("s1", "calls", "7")
    assert (joined.pays, joined.parent_id) == ("parent", billing.customers.get("head").id)
    billing.run(day("03-01"))
    assert [one[2] for one in documents(billing, "child")] == [3000]
    assert [one[2] for one in documents(billing, "head")] == [3120, 3000]


def test_everything_moves_what_is_held_or_still_to_start_or_has_ended_too() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("gone", "child", "pro-m")
    billing.subscriptions.cancel("gone")
    billing.subscriptions.create("held", "child", "pro-m")
    billing.subscriptions.hold("held")
    billing.subscriptions.create("tried", "child", "try")
    billing.subscriptions.create("later", "child", "pro-m", starts_at=day("03-01"))
    billing.customers.join("child", "head")
    head = billing.customers.get("head").id
    owed = {one.reference: one.customer_id for one in billing.subscriptions.list(customer="child")}
    assert owed == {"gone": head, "held": head, "tried": head, "later": head}
    assert {one.reference for one in billing.subscriptions.list(customer="head")} == {"gone", "held", "tried", "later"}
    billing.run(day("03-15"))
    billing.subscriptions.resume("held")
    assert [one[2] for one in documents(billing, "head")] == [3000] * 5


def test_an_own_method_is_dropped_and_the_terms_are_the_payers() -> None:
    billing = group("child")
    billing.payment_methods.add("child", "approve", reference="mine")
    billing.subscriptions.create("s0", "head", "pro-m", collection="remittance", net_terms=20)
    billing.subscriptions.create("s1", "child", "pro-m", payment_method="mine")
    billing.subscriptions.create("s2", "child", "pro-m", collection="remittance", net_terms=60)
    billing.customers.join("child", "head")
    assert billing.subscriptions.get("s1").payment_method_id is None
    assert billing.subscriptions.get("s2").net_terms == 20
    billing.customers.leave("child")
    assert billing.subscriptions.get("s2").net_terms is None


def test_an_open_invoice_stays_with_who_owed_it_and_is_collected_of_him() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"], default="approve")
    billing.run(day("02-01"))
    assert states(billing, "s1") == ["past_due"]
    billing.customers.join("child", "head")
    assert states(billing, "s1") == ["active"]
    billing.run(day("02-20"))
    assert [one[:3] for one in documents(billing, "child")] == [("paid", "01-01", 3000), ("paid", "02-01", 3000)]
    assert attempts(billing, "head") == []


def test_a_debt_that_is_never_paid_ends_nothing_that_another_pays_for() -> None:
    billing = group("child", method="approve", dunning={"retry_after": ["1 day"], "final": "cancel"})
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.gateway("test").script(["decline:insufficient_funds"] * 2, default="approve")
    billing.run(day("02-01"))
    billing.customers.join("child", "head")
    billing.run(day("03-02"))
    assert states(billing, "s1") == ["active"]
    assert [one[0] for one in documents(billing, "child")] == ["paid", "open"]


def test_what_another_had_paid_is_given_back_to_him() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.run(day("01-16T12"))
    billing.customers.join("child", "head")
    billing.subscriptions.cancel("s1", credit="unused")
    (note,) = billing.invoices.credit_notes()
    assert (note.customer_id, note.total) == (billing.customers.get("child").id, 1500)
    assert billing.customers.balances("head") == []


def test_a_cancellation_planned_before_gives_back_to_who_had_paid() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.subscriptions.cancel("s1", "2026-01-16T12:00:00Z", credit="unused")
    billing.customers.join("child", "head")
    before = dump(billing)
    preview = billing.invoices.preview("s1")
    assert (preview.invoice, preview.credit_note, dump(billing)) == (None, None, before)
    billing.run(day("02-01"))
    (note,) = billing.invoices.credit_notes()
    assert (note.total, note.number_text) == (1500, "CN-1")
    assert note.customer_id == billing.customers.get("child").id


def test_an_open_invoice_of_another_is_reduced_before_anything_is_given_back() -> None:
    billing = group("child")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance", net_terms=30)
    billing.invoices.record_payment("child/1", "20.00")
    billing.run(day("01-16T12"))
    billing.customers.join("child", "head")
    billing.subscriptions.cancel("s1", credit="unused")
    notes = [(one.to, one.total, one.customer_id) for one in billing.invoices.credit_notes()]
    child = billing.customers.get("child").id
    assert sorted(notes) == [("credit", 500, child), ("invoice", 1000, child)]


def test_what_waits_for_the_renewal_is_billed_to_who_owed_until_then() -> None:
    """A charge as an invoice, what is given back as a note: neither comes to the next payer."""
    billing = group("one", "two", method="approve")
    billing.subscriptions.create("s1", "one", "pro-m")
    billing.subscriptions.create("s2", "two", "pro-m")
    billing.run(day("01-16T12"))
    billing.unit(lambda scope: keep_waiting(scope, scope.subscription("s1"), [extra(scope.subscription("s1"))]))
    billing.unit(lambda scope: keep_waiting(scope, scope.subscription("s2"), unused_time(scope, "s2")))
    billing.customers.join("one", "head")
    billing.customers.join("two", "head")
    (charged,) = [one for one in billing.invoices.list(customer="one") if one.purpose == "final"]
    assert (charged.total, charged.status) == (700, "paid")
    (note,) = billing.invoices.credit_notes()
    assert (note.total, note.customer_id) == (1500, billing.customers.get("two").id)
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing, "head")] == [6000]


def extra(sub):
    made = draft_line(700, subscription_id=sub.id, item_id=None, kind="one_time", price_id=None, code=None)
    return evolve(made, period=None)


def unused_time(scope, reference):
    sub = scope.subscription(reference)
    return give_back(scope, sub, facts_for(scope, sub, scope.customer(sub.customer_id), scope.now), scope.now)


def test_an_invoice_of_before_is_voided_and_billed_again_to_who_owed_it() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance", net_terms=30)
    billing.customers.join("child", "head")
    billing.invoices.void("child/1", rebill=True)
    assert [one[0] for one in documents(billing, "child")] == ["void", "open"]
    assert documents(billing, "head") == []
    billing.run(day("02-01"))
    assert len(documents(billing, "head")) == 1


def test_who_pays_for_others_brings_them_along() -> None:
    billing = group("branch", "shop", method="approve")
    billing.customers.join("shop", "branch")
    billing.subscriptions.create("s1", "shop", "pro-m")
    billing.subscriptions.create("s2", "branch", "pro-m")
    billing.customers.join("branch", "head")
    assert {billing.subscriptions.get(one).customer_id for one in ("s1", "s2")} == {billing.customers.get("head").id}
    billing.customers.leave("branch")
    assert {billing.subscriptions.get(one).customer_id for one in ("s1", "s2")} == {billing.customers.get("branch").id}
    assert billing.subscriptions.get("s1").owner_id == billing.customers.get("shop").id
    assert billing.subscriptions.get("s2").owner_id is None


def test_the_payers_day_holds_from_the_next_period_on_which_is_short() -> None:
    billing = group("child", method="approve")
    billing.customers.update("head", billing_day=15)
    billing.run(day("01-05"))
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.subscriptions.create("weekly", "child", "pro-w")
    billing.customers.join("child", "head", align="payer_day")
    assert billing.subscriptions.get("s1").period_end == day("02-05")
    billing.run(day("03-15"))
    of_s1 = [
        (f"{line.start:%m-%d}", f"{line.end:%m-%d}", line.amount)
        for one in billing.invoices.list(customer="head", limit=100)
        for line in one.lines
        if line.code == "pro-m"
    ]
    # 10 of the 31 days from 01-15 to 02-15.
    assert of_s1 == [("02-05", "02-15", 968), ("02-15", "03-15", 3000), ("03-15", "04-15", 3000)]
    assert billing.subscriptions.get("weekly").billing_day is None


def test_the_payers_day_is_that_of_his_own_subscription_where_he_has_none() -> None:
    billing = group("child", method="approve")
    assert refusal(billing.customers.join, "child", "head", align="payer_day").facts["parameter"] == "align"
    billing.subscriptions.create("s0", "head", "pro-m")
    billing.subscriptions.create("s1", "child", "try")
    billing.customers.join("child", "head", align="payer_day")
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing, "head")] == [3000, 1645, 6000]


def test_what_has_ended_comes_back_to_who_pays_by_then() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.subscriptions.cancel("s1")
    billing.customers.join("child", "head")
    billing.subscriptions.reactivate("s1")
    assert attempts(billing, "head") == [("succeeded", "01-01", 3000)]


def test_attaching_to_the_payer_leaves_what_his_members_have() -> None:
    billing = group("child", method="approve")
    billing.customers.join("child", "head")
    billing.subscriptions.create("s1", "child", "solo-m")
    assert billing.subscriptions.attach("s2", "head", "pro-m").action == "new"
    assert billing.subscriptions.attach("s3", "child", "pro-m").subscription.owner == billing.customers.get("child").id


def test_a_change_after_joining_gives_back_to_who_had_paid_and_charges_who_pays() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    billing.run(day("01-16T12"))
    billing.customers.join("child", "head")
    billing.subscriptions.change("s1", "solo-m")
    (note,) = billing.invoices.credit_notes()
    assert (note.total, note.customer_id) == (1500, billing.customers.get("child").id)
    assert [one[2] for one in documents(billing, "head")] == [450]


# -- leaving -----------------------------------------------------------------------------------------------


def test_who_leaves_owes_himself_and_what_is_open_stays_with_the_payer() -> None:
    billing = group("child", method="approve")
    billing.customers.join("child", "head")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance", net_terms=30)
    left = billing.customers.leave("child")
    assert (left.parent_id, left.pays) == (None, "self")
    sub = billing.subscriptions.get("s1")
    assert (sub.customer_id, sub.owner_id, sub.net_terms) == (left.id, None, None)
    billing.run(day("02-01"))
    assert [one[0] for one in documents(billing, "head")] == ["open"]
    assert [one[1] for one in documents(billing, "child")] == ["02-01"]


def test_who_leaves_needs_a_method_where_something_is_charged_by_itself() -> None:
    billing = group("child")
    billing.customers.join("child", "head")
    billing.subscriptions.create("s1", "child", "pro-m")
    before = dump(billing)
    refused = refusal(billing.customers.leave, "child")
    assert (refused.code, refused.facts["subscriptions"]) == ("transition_not_allowed", ["s1"])
    assert "payment_methods.add" in refused.remedy
    assert dump(billing) == before
    billing.payment_methods.add("child", "approve")
    assert billing.customers.leave("child").pays == "self"


def test_who_never_had_a_method_may_leave_with_what_he_remits() -> None:
    billing = group("child")
    billing.customers.join("child", "head")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance")
    billing.subscriptions.create("s2", "child", "pro-m")
    billing.subscriptions.cancel("s2")
    assert billing.customers.leave("child").pays == "self"


def test_who_pays_himself_may_stand_below_a_parent_and_leave_him() -> None:
    billing = group()
    billing.customers.create("child", parent="head")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance")
    assert billing.customers.leave("child").parent_id is None
    refused = refusal(billing.customers.leave, "child")
    assert refused.code == "transition_not_allowed"


def test_joining_and_leaving_within_a_period_bills_it_once() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    for _ in range(3):
        billing.customers.join("child", "head")
        billing.customers.leave("child")
    billing.customers.join("child", "head")
    billing.run(day("02-01"))
    assert [one[2] for one in documents(billing)] == [3000, 3000]
    assert attempts(billing, "head") == [("succeeded", "02-01", 3000)]


# -- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "parent", "code"),
    [
        ("head", "head", "invalid_value"),
        ("head", "shop", "invalid_value"),
        ("shop", "nobody", "not_found"),
        ("nobody", "head", "not_found"),
        ("euro", "head", "currency_mismatch"),
        ("sold", "head", "currency_mismatch"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused_and_nothing_changes(customer, parent, code) -> None:
    billing = books(customers=())
    billing.customers.create("head", currency="USD")
    billing.customers.create("branch", parent="head", pays="parent")
    billing.customers.create("shop", parent="branch", pays="self")
    billing.customers.create("euro", currency="EUR")
    billing.customers.create("sold")
    billing.subscriptions.create("s1", "sold", "pro-eur", collection="remittance")
    before = dump(billing)
    assert refusal(billing.customers.join, customer, parent).code == code
    assert dump(billing) == before


def test_a_new_customer_needs_a_parent_who_exists_and_can_pay() -> None:
    billing = books(customers=())
    billing.customers.create("head", currency="USD")
    before = dump(billing)
    assert refusal(billing.customers.create, "a", parent="nobody").code == "not_found"
    assert refusal(billing.customers.create, "a", pays="parent").facts["parameter"] == "pays"
    assert refusal(billing.customers.create, "a", parent="head", pays="parent", currency="EUR").code == (
        "currency_mismatch"
    )
    assert dump(billing) == before


def test_the_payers_day_is_refused_where_the_zones_differ() -> None:
    billing = group()
    billing.customers.update("head", billing_day=15)
    billing.customers.create("child", timezone="Asia/Kolkata")
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance")
    before = dump(billing)
    refused = refusal(billing.customers.join, "child", "head", align="payer_day")
    assert (refused.code, refused.facts["parameter"]) == ("invalid_value", "align")
    assert dump(billing) == before
    assert billing.customers.join("child", "head").pays == "parent"


def test_nobody_joins_or_leaves_while_a_payment_for_him_is_in_doubt() -> None:
    billing = group("child", method="approve")
    billing.gateway("test").script(["pending"], default="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    before = dump(billing)
    assert refusal(billing.customers.join, "child", "head").code == "payment_in_doubt"
    assert dump(billing) == before
    billing.gateway("test").settle(billing.payments.list()[0].id, "approve")
    billing.run(day("01-02"))
    billing.customers.join("child", "head")
    billing.gateway("test").script(["pending"], default="approve")
    billing.run(day("02-01"))
    assert refusal(billing.customers.leave, "child").code == "payment_in_doubt"


def test_a_parent_with_members_is_not_deleted_nor_is_who_has_something_paid_for() -> None:
    billing = group("child")
    billing.customers.join("child", "head")
    refused = refusal(billing.customers.delete, "head")
    assert (refused.code, refused.facts["members"]) == ("not_deletable", ["child"])
    billing.subscriptions.create("s1", "child", "pro-m", collection="remittance")
    assert refusal(billing.customers.delete, "child").facts["subscriptions"] == ["s1"]


def test_a_dry_run_moves_nothing() -> None:
    billing = group("child", method="approve")
    billing.subscriptions.create("s1", "child", "pro-m")
    before = dump(billing)
    assert billing.customers.join("child", "head", dry_run=True).value.pays == "parent"
    assert dump(billing) == before
