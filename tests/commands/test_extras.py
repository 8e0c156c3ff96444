"""Charges, coupons and balances of running subscriptions, by hand (behaviour 8.1, 8.7)."""

import json

import pytest
from hypothesis import strategies as st

from billcore.domain.money import format_minor
from tests.builders import CATALOG, anew, books, day, dump, for_all, refusal
from tests.engine.test_at_once import at_once

REASON = {"reason": "agreed by phone"}


def subscribed(*, coupons=(), country="DE", method="approve", price="pro-m", **changed):
    billing = books(method=method, **changed)
    billing.customers.update("acme", country=country)
    billing.subscriptions.create("s1", "acme", price, coupons=list(coupons), collection="automatic")
    return billing


def figures(invoice):
    return [(line.kind, line.amount, line.discount, line.tax) for line in invoice.lines]


def owed(billing):
    """The balance as behaviour 8.7 has it."""
    return sum(one.due - one.credit - one.prepayment for one in billing.customers.balances("acme"))


# -- charges -------------------------------------------------------------------------------------------------


def test_a_charge_now_has_an_invoice_of_its_own_and_is_never_prorated() -> None:
    billing = subscribed()
    billing.run(day("01-20"))
    made = billing.subscriptions.add_charge("s1", "10.00", "Setup")
    assert made.invoice.status == "paid"
    assert figures(made.invoice) == [("one_time", 1000, 0, 190)]
    assert billing.explain(made.invoice.id).agrees


def test_percent_coupons_take_part_of_a_charge_and_are_not_used_up_by_it() -> None:
    billing = subscribed(coupons=["TWO"])
    made = billing.subscriptions.add_charge("s1", "10.00", "Setup")
    assert made.invoice.discount == 500
    billing.run(day("03-01"))
    assert [one.discount for one in billing.invoices.list()] == [1500, 500, 1500, 0]


def test_a_coupon_of_an_amount_takes_nothing_of_a_charge() -> None:
    billing = subscribed(price="pro-trial", coupons=["ONCE"])
    assert billing.subscriptions.add_charge("s1", "10.00", "Setup").invoice.discount == 0


def test_a_charge_may_wait_for_the_renewal_with_its_own_discount_and_tax() -> None:
    billing = subscribed(coupons=["TEN"])
    made = billing.subscriptions.add_charge("s1", "10.00", "Setup", invoice_at="renewal")
    assert made.invoice is None
    billing.subscriptions.add_charge("s1", "0.07", "Stamp", invoice_at="renewal")
    billing.subscriptions.remove_coupon("s1", "TEN")
    expected = [("one_time", 1000, 100, 171), ("one_time", 7, 1, 1), ("product", 3000, 0, 570)]
    assert figures(billing.invoices.preview("s1").invoice) == expected
    billing.run(day("02-01"))
    renewal = billing.invoices.get("acme/2")
    assert figures(renewal) == expected
    assert billing.explain(renewal.id).agrees
    billing.run(day("03-01"))
    assert figures(billing.invoices.get("acme/3")) == [("product", 3000, 0, 570)]


def test_a_renewal_with_its_own_coupon_and_waiting_charges_is_explained() -> None:
    billing = subscribed(coupons=["TEN"])
    for amount in ("10.00", "3.33"):
        billing.subscriptions.add_charge("s1", amount, "Work", invoice_at="renewal")
    billing.run(day("02-01"))
    renewal = billing.invoices.get("acme/2")
    assert renewal.discount == 100 + 33 + 300
    assert billing.explain(renewal.id).agrees


def test_canceling_bills_a_charge_that_waits() -> None:
    billing = subscribed()
    billing.subscriptions.add_charge("s1", "10.00", "Setup", invoice_at="renewal")
    billing.subscriptions.cancel("s1")
    assert [(one.purpose, one.total) for one in billing.invoices.list()] == [("signup", 3570), ("final", 1190)]


def test_a_trial_that_ends_without_a_method_bills_a_charge_that_waits() -> None:
    billing = books(method=None)
    prices = [{"code": "taste", "amount": "30.00", "every": "1 month", "trial": "7 days", "trial_end": "end"}]
    billing.catalog.apply({"currency": "USD", "products": [{"code": "taste", "prices": prices}]})
    billing.subscriptions.create("s1", "acme", "taste")
    billing.subscriptions.add_charge("s1", "10.00", "Setup", invoice_at="renewal")
    billing.run(day("01-08"))
    assert billing.subscriptions.get("s1").state == "trial_ended"
    assert [(one.status, one.total) for one in billing.invoices.list()] == [("open", 1000)]


def test_a_declined_charge_leaves_the_subscription_past_due() -> None:
    billing = subscribed()
    billing.gateway("test").script(["decline:insufficient_funds"])
    made = billing.subscriptions.add_charge("s1", "10.00", "Setup")
    assert (made.invoice.status, billing.subscriptions.get("s1").state) == ("open", "past_due")


def test_or_nothing_is_billed_where_the_site_refuses_declined_changes() -> None:
    billing = subscribed(change_decline="refuse")
    billing.gateway("test").script(["decline:insufficient_funds"])
    refused = refusal(billing.subscriptions.add_charge, "s1", "10.00", "Setup")
    assert refused.code == "payment_declined"
    assert [one.total for one in billing.invoices.list()] == [3570]
    assert billing.subscriptions.get("s1").state == "active"
    assert billing.subscriptions.add_charge("s1", "10.00", "Setup").invoice.number == 2


@pytest.mark.parametrize("verb", ["add_charge", "apply_coupon", "remove_coupon"])
def test_nothing_is_charged_or_given_to_what_has_ended(verb) -> None:
    billing = subscribed(coupons=["TEN"])
    billing.subscriptions.cancel("s1")
    given = ("1.00", "x") if verb == "add_charge" else ("TEN",)
    refused = refusal(getattr(billing.subscriptions, verb), "s1", *given)
    assert (refused.code, refused.facts["state"]) == ("transition_not_allowed", "canceled")


@pytest.mark.parametrize(("amount", "description"), [("0.00", "x"), ("-1.00", "x"), ("1.001", "x"), ("1.00", " ")])
def test_a_charge_is_above_zero_and_says_what_for(amount, description) -> None:
    billing = subscribed()
    before = dump(billing)
    assert refusal(billing.subscriptions.add_charge, "s1", amount, description).code == "invalid_value"
    assert dump(billing) == before


# -- coupons -------------------------------------------------------------------------------------------------


def test_a_coupon_of_a_running_subscription_holds_from_its_next_invoice() -> None:
    billing = subscribed(country="US")
    billing.run(day("01-15"))
    billing.subscriptions.apply_coupon("s1", "TWO")
    billing.run(day("04-01"))
    assert [one.discount for one in billing.invoices.list()] == [0, 1500, 1500, 0]


def test_a_removed_coupon_gives_nothing_more_and_may_be_applied_again() -> None:
    billing = subscribed(country="US", coupons=["TEN"])
    billing.subscriptions.remove_coupon("s1", "TEN")
    billing.run(day("02-01"))
    billing.subscriptions.apply_coupon("s1", "TEN")
    billing.run(day("03-01"))
    assert [one.discount for one in billing.invoices.list()] == [300, 0, 300]


@pytest.mark.parametrize(
    ("held", "coupon", "code"),
    [
        ([], "NONE", "coupon_not_found"),
        ([], "GONE", "coupon_expired"),
        ([], "SOLO", "coupon_not_applicable"),
        (["TEN"], "TEN", "coupon_not_applicable"),
        (["TEN"], "ALONE", "coupon_not_applicable"),
        (["FEW"], "FEW", "coupon_used_up"),
    ],
)
def test_a_coupon_is_checked_as_at_signup(held, coupon, code) -> None:
    billing = subscribed(coupons=held)
    before = dump(billing)
    assert refusal(billing.subscriptions.apply_coupon, "s1", coupon).code == code
    assert dump(billing) == before


@pytest.mark.parametrize("named", ["pro", "pro-m", "calls", "calls-p"])
def test_a_coupon_may_be_for_what_the_product_offers_and_is_not_attached_yet(named) -> None:
    made = json.loads(json.dumps(CATALOG))
    made["coupons"].append({"code": "FOR", "percent_off": "50", "duration": "forever", "applies_to": [named]})
    billing = books(catalog=made)
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert billing.subscriptions.apply_coupon("s1", "FOR").coupons[0].coupon.code == "FOR"
    billing.usage.record("s1", "calls", "10")
    billing.run(day("02-01"))
    its = {line.kind: line.discount > 0 for line in billing.invoices.list()[-1].lines}
    assert its == {"product": named.startswith("pro"), "usage": named.startswith("calls")}


def test_a_coupon_for_a_component_that_the_product_does_not_offer_is_refused() -> None:
    made = json.loads(json.dumps(CATALOG))
    made["coupons"].append({"code": "FOR", "percent_off": "50", "applies_to": ["calls"]})
    billing = books(catalog=made)
    refused = refusal(billing.subscriptions.create, "s1", "acme", "solo-m", coupons=["FOR"])
    assert (refused.code, refused.remedy) == (
        "coupon_not_applicable",
        "Subscription s1 has solo, solo-m; nothing it applies to can be added.",
    )


def test_what_is_not_held_cannot_be_removed() -> None:
    billing = subscribed(coupons=["TEN"])
    assert refusal(billing.subscriptions.remove_coupon, "s1", "TWO").code == "coupon_not_found"
    billing.subscriptions.remove_coupon("s1", "TEN")
    assert refusal(billing.subscriptions.remove_coupon, "s1", "TEN").code == "coupon_not_found"


def test_the_last_redemption_is_given_once_whoever_asks_for_it_at_once(tmp_path) -> None:
    """A signup, an invoice and running subscriptions of different customers: each on a thread of its own."""
    names = [f"c{n}" for n in range(6)]
    billing = books(customers=names)
    for name in names[:3]:
        billing.subscriptions.create(f"s-{name}", name, "pro-m")

    def redeem(n):
        if n < 3:
            return billing.subscriptions.apply_coupon(f"s-c{n}", "FEW")
        if n == 3:
            return billing.subscriptions.create("new", "c3", "pro-m", coupons=["FEW"])
        return billing.invoices.create(names[n], lines=[{"description": "x", "amount": "1.00"}], coupons=["FEW"])

    answers = at_once(redeem, 6)
    assert sorted(getattr(one, "code", "done") for one in answers) == [*["coupon_used_up"] * 5, "done"]


# -- the balance ---------------------------------------------------------------------------------------------


def test_a_balance_is_raised_by_a_charge_that_waits_for_the_renewal() -> None:
    billing = subscribed()
    made = billing.subscriptions.adjust_balance("s1", target="50.00", **REASON)
    assert (made.before, made.after, owed(billing)) == (0, 5000, 5000)
    assert (made.invoice.status, made.invoice.collect_at, made.invoice.overdue) == ("open", day("02-01"), False)
    assert figures(made.invoice) == [("one_time", 5000, 0, 0)]
    assert made.invoice.lines[0].description == "agreed by phone"
    billing.run(day("01-31"))
    assert owed(billing) == 5000
    billing.run(day("02-01"))
    assert owed(billing) == 0


def test_a_balance_is_lowered_by_what_is_due_first_and_the_rest_is_credit() -> None:
    billing = subscribed()
    billing.subscriptions.update("s1", collection="remittance")
    billing.run(day("03-01"))
    made = billing.subscriptions.adjust_balance("s1", amount="-80.00", **REASON)
    assert [(note.to, note.total) for note in made.credit_notes] == [
        ("invoice", 3570),
        ("invoice", 3570),
        ("credit", 860),
    ]
    assert {note.reason for note in made.credit_notes} == {"agreed by phone"}
    assert owed(billing) == -860
    assert all(billing.explain(note.id).agrees for note in made.credit_notes)


def test_gifts_are_not_a_part_of_the_balance_and_pay_nothing_of_a_correction() -> None:
    billing = subscribed()
    billing.credits.add("acme", amount="5.00")
    billing.subscriptions.adjust_balance("s1", target="20.00", **REASON)
    assert owed(billing) == 2000


def test_a_balance_that_is_right_already_needs_no_document() -> None:
    billing = subscribed()
    made = billing.subscriptions.adjust_balance("s1", target="0.00", **REASON)
    assert (made.invoice, made.credit_notes) == (None, ())


def test_a_dry_run_shows_the_correction_and_keeps_nothing() -> None:
    billing = subscribed()
    before = dump(billing)
    shown = billing.subscriptions.adjust_balance("s1", target="50.00", dry_run=True, **REASON)
    assert (shown.value.after, [one.total for one in shown.invoices]) == (5000, [5000])
    shown = billing.subscriptions.adjust_balance("s1", target="-9.00", dry_run=True, **REASON)
    assert [one.total for one in shown.credit_notes] == [900]
    assert dump(billing) == before


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"reason": "x"}, "invalid_parameter"),
        ({"reason": "x", "target": "1.00", "amount": "1.00"}, "invalid_parameter"),
        ({"target": "1.00"}, "invalid_parameter"),
        ({"reason": " ", "target": "1.00"}, "invalid_value"),
        ({"reason": "x", "target": "1.001"}, "invalid_value"),
    ],
)
def test_a_correction_says_to_what_and_why(given, code) -> None:
    billing = subscribed()
    assert refusal(billing.subscriptions.adjust_balance, "s1", **given).code == code


def test_after_the_command_the_balance_is_the_target(stores) -> None:
    """Whatever is owed, paid ahead, given or in doubt."""

    def check(targets, before):
        anew()
        billing = subscribed(country="US")
        for act in before:
            match act:
                case "owe":
                    billing.invoices.create("acme", lines=[{"description": "x", "amount": "12.34"}], net_terms=30)
                case "pay":
                    billing.prepayments.add("acme", amount="7.77")
                case "gift":
                    billing.credits.add("acme", amount="3.00")
                case "credit":
                    billing.invoices.credit("acme/1", amount="0.55")
                case "doubt":
                    billing.gateway("test").script(["timeout_before"], default="approve")
                    billing.invoices.create("acme", lines=[{"description": "x", "amount": "1.00"}])
        for target in targets:
            billing.subscriptions.adjust_balance("s1", target=format_minor(target, "USD"), **REASON)
            assert owed(billing) == target
        proof = billing.verify()
        assert proof.ok, proof.findings

    for_all(
        check,
        sqlite=20,
        postgresql=3,
        targets=st.lists(st.integers(-5000, 5000), min_size=1, max_size=3),
        before=st.lists(st.sampled_from(["owe", "pay", "gift", "credit", "doubt"]), max_size=4),
    )


# -- its own fields ------------------------------------------------------------------------------------------


def test_a_subscriptions_own_fields_change_and_what_is_not_given_stays() -> None:
    billing = subscribed()
    billing.payment_methods.add("acme", "approve", reference="other")
    update = billing.subscriptions.update
    update("s1", reference="contract-7", net_terms=14, collection="remittance", payment_method="other")
    sub = update("contract-7", send_invoice_emails=False)
    assert (sub.net_terms, sub.collection, sub.send_invoice_emails) == (14, "remittance", False)
    assert update("contract-7", net_terms=None, payment_method=None).payment_method_id is None
    billing.run(day("02-01"))
    assert [(one.collection, one.due_at) for one in billing.invoices.list()] == [
        ("automatic", day("01-01")),
        ("remittance", day("03-03")),
    ]


def test_an_open_invoice_keeps_its_collection() -> None:
    billing = subscribed()
    billing.subscriptions.update("s1", net_terms=5)
    billing.run(day("02-01"))
    billing.subscriptions.update("s1", collection="remittance")
    billing.run(day("02-06"))
    assert billing.invoices.get("acme/2").status == "paid"


def test_a_reference_is_given_once() -> None:
    billing = subscribed()
    billing.subscriptions.create("s2", "acme", "pro-m")
    assert refusal(billing.subscriptions.update, "s1", reference="s2").code == "reference_taken"
    assert billing.subscriptions.update("s1", reference="s1").reference == "s1"


def test_a_subscription_that_is_exempt_has_no_tax_and_says_why() -> None:
    billing = subscribed()
    billing.subscriptions.create("s2", "acme", "pro-m")
    billing.subscriptions.update("s1", tax_exempt=True)
    billing.run(day("02-01"))
    renewal = billing.invoices.get("acme/3")
    assert [line.tax for line in renewal.lines] == [0, 570]
    assert '"untaxed":"exempt"' in renewal.lines[0].basis.replace(" ", "")
    assert billing.explain(renewal.id).agrees


def test_only_what_has_ended_is_deleted() -> None:
    billing = subscribed()
    refused = refusal(billing.subscriptions.delete, "s1", force=True)
    assert (refused.code, refused.facts["state"]) == ("not_deletable", "active")


def test_what_has_no_document_is_removed_for_good() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", starts_at="2026-06-01", components={"seats": "2"})
    billing.subscriptions.cancel("s1")
    billing.subscriptions.delete("s1")
    assert refusal(billing.subscriptions.get, "s1").code == "not_found"
    billing.customers.delete("acme")


def test_a_failed_signup_is_removed_with_its_coupon() -> None:
    billing = books(method="decline:insufficient_funds")
    refusal(billing.subscriptions.create, "s1", "acme", "pro-m", coupons=["TEN"])
    billing.subscriptions.delete("s1")
    assert billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance").state == "active"


def test_what_has_documents_is_archived_and_they_stay() -> None:
    billing = subscribed()
    billing.subscriptions.cancel("s1")
    assert refusal(billing.subscriptions.delete, "s1").code == "not_deletable"
    assert billing.subscriptions.delete("s1", force=True).archived_at == day("01-01")
    assert billing.subscriptions.list() == []
    assert [one.reference for one in billing.subscriptions.list(archived=True)] == ["s1"]
    assert billing.subscriptions.get("s1").state == "canceled"
    assert [one.total for one in billing.invoices.list()] == [3570]


# -- custom amounts ------------------------------------------------------------------------------------------


def introduced(**changed):
    made = json.loads(json.dumps(CATALOG))
    phases = [{"for": "1 month", "amounts": {"USD": "10.00", "EUR": "9.00"}}]
    amounts = {"USD": "30.00", "EUR": "28.00"}
    made["products"][0]["prices"].append(
        {"code": "intro", "amounts": amounts, "every": "1 month", "phases": phases, **changed}
    )
    return books(catalog=made)


def totals(billing):
    return [one.total for one in billing.invoices.list()]


def test_a_custom_amount_follows_the_phases_of_the_price() -> None:
    billing = introduced()
    billing.subscriptions.create("s1", "acme", "intro", custom={"amount": "20.00"})
    billing.run(day("02-01"))
    assert totals(billing) == [1000, 2000]
    assert all(billing.explain(one.id).agrees for one in billing.invoices.list())


def test_a_custom_amount_for_a_running_subscription_does_not_begin_the_phases_anew() -> None:
    billing = introduced()
    billing.subscriptions.create("s1", "acme", "intro")
    billing.run(day("03-10"))
    billing.subscriptions.change("s1", custom={"amount": "20.00"}, proration="none")
    billing.run(day("04-01"))
    assert totals(billing) == [1000, 3000, 3000, 2000]


def test_a_custom_amount_given_in_a_trial_follows_the_phases_still_to_come() -> None:
    billing = introduced(trial="14 days")
    billing.subscriptions.create("s1", "acme", "intro")
    billing.subscriptions.change("s1", custom={"amount": "20.00"})
    billing.run(day("02-15"))
    assert totals(billing) == [1000, 2000]
