"""Invoices without a subscription: billed at once, as drafts, with coupons, tax and rebates (behaviour 8.1, 8.7)."""

from fractions import Fraction

import pytest
from hypothesis import strategies as st

from billcore.domain.money import Money
from tests.builders import CATALOG, anew, books, day, dump, for_all, refusal

SETUP = {"description": "Setup", "amount": "10.00"}


def numbers(billing):
    return [one.number for one in billing.invoices.list(limit=1000) if one.number is not None]


def redeemed(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT count(*) FROM billcore_applied_coupons")[0][0]


def test_what_is_billed_by_hand_is_collected_at_once() -> None:
    billing = books()
    made = billing.invoices.create("acme", lines=[SETUP])
    assert (made.status, made.number, made.purpose, made.collection) == ("paid", 1, "ad_hoc", "automatic")
    (line,) = made.lines
    assert (line.kind, line.code, line.subscription_id, line.amount) == ("one_time", None, None, 1000)
    assert [one.status for one in billing.payments.list()] == ["succeeded"]


def test_without_a_default_method_it_is_paid_by_remittance() -> None:
    billing = books(method=None)
    made = billing.invoices.create("acme", lines=[SETUP])
    assert (made.status, made.collection, made.due_at) == ("open", "remittance", day("01-31"))
    billing.payments.record("acme", "10.00")
    assert billing.invoices.get("acme/1").status == "paid"


def test_a_declined_one_is_dunned_like_any_other() -> None:
    billing = books(method="decline:insufficient_funds", dunning={"retry_after": ["1 day"], "final": "unpaid"})
    made = billing.invoices.create("acme", lines=[SETUP])
    assert (made.status, made.overdue) == ("open", True)
    billing.gateway("test").script(["approve"])
    billing.run(day("01-02"))
    assert billing.invoices.get("acme/1").status == "paid"


def test_quantity_times_unit_amount_is_exact_and_rounded_once() -> None:
    billing = books(method=None)
    made = billing.invoices.create("acme", lines=[{"description": "Hours", "quantity": "3", "unit_amount": "33.335"}])
    assert (made.total, made.lines[0].quantity) == (10001, 3)


def test_the_amount_of_a_line_is_the_exact_product(stores) -> None:
    """Half away from zero of the exact product, whatever the number of digits; and explain finds the same."""

    def check(quantity, unit):
        anew()
        billing = books(method=None)
        exact = Fraction(quantity) * Fraction(unit) * 100
        rounded = (abs(exact) + Fraction(1, 2)).__floor__()
        line = {"description": "x", "quantity": str(quantity), "unit_amount": str(unit)}
        if rounded == 0:
            assert refusal(billing.invoices.create, "acme", lines=[line]).code == "invalid_value"
            return
        made = billing.invoices.create("acme", lines=[line])
        assert made.subtotal == rounded
        assert billing.explain(made.id).agrees

    for_all(
        check,
        sqlite=25,
        postgresql=3,
        quantity=st.decimals("0.000000000001", "100000", places=12),
        unit=st.decimals("0.000000000001", "1000", places=12),
    )


def test_prices_may_contain_the_tax_and_each_line_has_its_code() -> None:
    rates = [*CATALOG["taxes"], {**CATALOG["taxes"][0], "code": "books", "rate": "7"}]
    billing = books(method=None, catalog={**CATALOG, "taxes": rates})
    billing.customers.update("acme", country="DE")
    made = billing.invoices.create(
        "acme",
        lines=[
            {"description": "Training", "amount": "119.00", "tax": "inclusive"},
            {"description": "Handbook", "amount": "100.00", "tax_code": "books"},
        ],
    )
    assert [(line.tax, line.tax_included) for line in made.lines] == [(1900, 1900), (700, 0)]
    assert made.total == 11900 + 10700
    assert billing.explain(made.id).agrees


def test_a_rebate_is_a_negative_line_but_never_more_than_the_charges() -> None:
    billing = books(method=None)
    billing.customers.update("acme", country="DE")
    rebate = {"description": "Rebate", "amount": "-4.00"}
    made = billing.invoices.create("acme", lines=[SETUP, rebate])
    assert (made.subtotal, made.tax, made.total) == (600, 114, 714)
    before = dump(billing)
    assert refusal(billing.invoices.create, "acme", lines=[rebate]).code == "invalid_value"
    assert dump(billing) == before


@pytest.mark.parametrize("amounts", [["3.00", None], [None], ["1.00", "2.00", "3.00", None]])
def test_an_invoice_with_a_rebate_is_given_back_to_the_cent(amounts) -> None:
    """In parts or at once never more than its total, and each part is explained."""
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.invoices.create("acme", lines=[SETUP, {"description": "Rebate", "amount": "-4.00"}])
    for amount in amounts:
        billing.invoices.credit("acme/1", amount=amount)
    notes = billing.invoices.credit_notes()
    assert sum(note.total for note in notes) == 714
    assert all(billing.explain(note.id).agrees for note in notes)
    assert refusal(billing.invoices.credit, "acme/1").code == "amount_exceeds"


def test_a_rebate_alone_cannot_be_given_back() -> None:
    billing = books()
    billing.invoices.create("acme", lines=[SETUP, {"description": "Rebate", "amount": "-4.00"}])
    assert refusal(billing.invoices.credit, "acme/1", lines=["2"]).code == "amount_exceeds"
    billing.invoices.credit("acme/1", lines=["1"])
    assert [note.total for note in billing.invoices.credit_notes()] == [600]


def test_credits_pay_it_before_anything_is_charged() -> None:
    billing = books()
    billing.credits.add("acme", amount="4.00")
    made = billing.invoices.create("acme", lines=[SETUP])
    assert (made.credited, made.paid) == (400, 600)


def test_it_has_the_terms_that_are_asked_for() -> None:
    billing = books()
    made = billing.invoices.create("acme", lines=[SETUP], net_terms=10)
    assert (made.status, made.due_at, made.collect_at) == ("open", day("01-11"), day("01-11"))
    billing.run(day("01-11"))
    assert billing.invoices.get("acme/1").status == "paid"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        "Setup",
        [{"amount": "10.00"}],
        [{"description": " ", "amount": "10.00"}],
        [{"description": "x"}],
        [{"description": "x", "quantity": "2"}],
        [{"description": "x", "amount": "1.00", "quantity": "2", "unit_amount": "1"}],
        [{"description": "x", "amount": "0.00"}],
        [{"description": "x", "amount": "1.001"}],
        [{"description": "x", "amount": 10}],
        [{"description": "x", "amount": "1.00", "tax": "none"}],
        [{"description": "x", "amount": "1.00", "price": "pro"}],
        ["description=x;amount=1.00;amount=2.00"],
        ["x"],
    ],
)
def test_lines_that_say_too_little_or_too_much_are_refused(lines) -> None:
    billing = books()
    before = dump(billing)
    assert refusal(billing.invoices.create, "acme", lines=lines).code == "invalid_value"
    assert dump(billing) == before


def test_a_line_is_written_in_one_text_for_the_shell() -> None:
    billing = books(method=None)
    made = billing.invoices.create("acme", lines=["description=Setup; on site;quantity=2;unit_amount=5"])
    assert [(line.description, line.quantity, line.amount) for line in made.lines] == [("Setup; on site", 2, 1000)]


def test_the_currency_is_named_or_that_of_its_amounts() -> None:
    billing = books(method=None)
    create = billing.invoices.create
    assert create("acme", lines=[SETUP], currency="EUR").currency == "EUR"
    assert create("acme", lines=[{"description": "x", "amount": Money(500, "CHF")}]).currency == "CHF"
    mixed = [{"description": "x", "amount": Money(500, "CHF")}, {"description": "y", "amount": Money(500, "EUR")}]
    assert refusal(create, "acme", lines=mixed).code == "currency_mismatch"
    assert refusal(create, "acme", lines=[SETUP], currency="EURO").code == "invalid_value"


# -- coupons -------------------------------------------------------------------------------------------------


def test_coupons_take_their_part_of_the_charges() -> None:
    """Of an amount as well: the invoice is a document of its own, not a charge in mid-period."""
    billing = books(method=None)
    made = billing.invoices.create("acme", lines=[SETUP, SETUP], coupons=["TEN", "ONCE"])
    assert (made.subtotal, made.discount, made.total) == (2000, 650, 1350)
    assert billing.explain(made.id).agrees


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        (["NONE"], "coupon_not_found"),
        (["GONE"], "coupon_expired"),
        (["SOLO"], "coupon_not_applicable"),
        (["ALONE", "TEN"], "coupon_not_applicable"),
        (["TEN", "TEN"], "coupon_not_applicable"),
    ],
)
def test_a_coupon_that_cannot_be_redeemed_is_refused(codes, code) -> None:
    billing = books()
    before = dump(billing)
    assert refusal(billing.invoices.create, "acme", lines=[SETUP], coupons=codes).code == code
    assert dump(billing) == before


def test_a_coupon_of_money_has_to_be_of_the_currency() -> None:
    billing = books()
    create = billing.invoices.create
    assert refusal(create, "acme", lines=[SETUP], coupons=["ONCE"], currency="EUR").code == "currency_mismatch"


def test_an_invoice_redeems_a_coupon_like_a_subscription_does() -> None:
    billing = books(customers=("acme", "bolt"))
    billing.invoices.create("acme", lines=[SETUP], coupons=["FEW"])
    assert refusal(billing.invoices.create, "bolt", lines=[SETUP], coupons=["FEW"]).code == "coupon_used_up"
    assert refusal(billing.subscriptions.create, "s1", "bolt", "pro-m", coupons=["FEW"]).code == "coupon_used_up"


def test_a_discarded_draft_has_redeemed_nothing() -> None:
    billing = books(customers=("acme", "bolt"))
    billing.invoices.create("acme", lines=[SETUP], coupons=["FEW"], issue=False, reference="d1")
    assert refusal(billing.invoices.create, "bolt", lines=[SETUP], coupons=["FEW"]).code == "coupon_used_up"
    billing.invoices.discard("d1")
    assert billing.invoices.create("bolt", lines=[SETUP], coupons=["FEW"]).discount == 100


def test_below_its_minimum_a_coupon_gives_nothing_and_is_not_used_up() -> None:
    coupon = {"code": "BIG", "percent_off": "10", "minimum": "20.00", "currency": "USD", "max_redemptions": 1}
    billing = books(catalog={**CATALOG, "coupons": [*CATALOG["coupons"], coupon]})
    assert billing.invoices.create("acme", lines=[SETUP], coupons=["BIG"]).discount == 0
    assert redeemed(billing) == 0
    assert billing.invoices.create("acme", lines=[SETUP, SETUP], coupons=["BIG"]).discount == 200


# -- drafts --------------------------------------------------------------------------------------------------


def test_a_draft_owes_nothing_until_it_is_issued() -> None:
    billing = books()
    made = billing.invoices.create("acme", lines=[SETUP], issue=False, reference="setup", net_terms=7)
    assert (made.status, made.number, made.due_at) == ("draft", None, None)
    assert billing.customers.balances("acme") == []
    assert [one.reference for one in billing.invoices.list(status="draft")] == ["setup"]
    billing.run(day("01-10"))
    issued = billing.invoices.issue("setup")
    assert (issued.status, issued.number, issued.issued_at, issued.due_at) == ("open", 1, day("01-10"), day("01-17"))


def test_a_draft_keeps_its_discount_and_is_taxed_and_collected_as_of_its_issue() -> None:
    billing = books(method=None)
    billing.invoices.create("acme", lines=[SETUP], issue=False, reference="setup", coupons=["TEN"])
    billing.customers.update("acme", country="DE")
    billing.payment_methods.add("acme", "approve")
    issued = billing.invoices.issue("setup")
    assert (issued.discount, issued.tax, issued.status, issued.collection) == (100, 171, "paid", "automatic")
    assert billing.explain(issued.id).agrees


def test_a_discarded_draft_takes_no_number_and_frees_its_reference() -> None:
    billing = books()
    billing.invoices.create("acme", lines=[SETUP], issue=False, reference="setup")
    assert refusal(billing.invoices.create, "acme", lines=[SETUP], reference="setup").code == "reference_taken"
    dropped = billing.invoices.discard("setup")
    assert billing.invoices.list() == []
    for verb in (billing.invoices.issue, billing.invoices.discard, billing.invoices.void):
        assert refusal(verb, dropped.id).code == "transition_not_allowed"
    assert billing.invoices.create("acme", lines=[SETUP], reference="setup").number == 1
    assert refusal(billing.customers.delete, "acme").code == "not_deletable"


def test_only_drafts_made_by_hand_are_issued_or_discarded_by_hand() -> None:
    """A signup's draft waits for its payment: whoever issued it would owe twice."""
    billing = books(method="timeout_before")
    billing.subscriptions.create("s1", "acme", "pro-m")
    (draft,) = billing.invoices.list(status="draft")
    for verb in (billing.invoices.issue, billing.invoices.discard):
        assert refusal(verb, draft.id).code == "transition_not_allowed"


def test_a_name_that_means_two_invoices_means_none() -> None:
    billing = books()
    billing.invoices.create("acme", lines=[SETUP], issue=False, reference="1")
    billing.invoices.create("acme", lines=[SETUP])
    refused = refusal(billing.invoices.void, "1")
    assert refused.code == "invalid_value"
    assert "inv_" in refused.remedy


def test_numbers_have_no_gap_whatever_becomes_of_drafts(stores) -> None:
    """Issued, discarded, declined, refused: each number from 1 on stands once, in the order of issuing."""

    def check(acts, text):
        anew()
        billing = books(invoice_number=text)
        open_drafts, count = [], 0
        for place, act in enumerate(acts):
            match act:
                case "bill":
                    billing.invoices.create("acme", lines=[SETUP])
                    count += 1
                case "draft":
                    billing.invoices.create("acme", lines=[SETUP], issue=False, reference=f"d{place}")
                    open_drafts.append(f"d{place}")
                case "issue" if open_drafts:
                    billing.invoices.issue(open_drafts.pop())
                    count += 1
                case "discard" if open_drafts:
                    billing.invoices.discard(open_drafts.pop(0))
                case "refused":
                    refusal(billing.invoices.create, "acme", lines=[SETUP], coupons=["GONE"])
                case "dry":
                    billing.invoices.create("acme", lines=[SETUP], dry_run=True)
        assert sorted(numbers(billing)) == list(range(1, count + 1))
        printed = {one.number_text for one in billing.invoices.list(limit=1000) if one.number}
        assert printed == {text.format(series="", year=2026, number=n) for n in range(1, count + 1)}
        assert billing.verify().ok

    for_all(
        check,
        sqlite=12,
        postgresql=3,
        acts=st.lists(st.sampled_from(["bill", "draft", "draft", "issue", "discard", "refused", "dry"]), max_size=9),
        text=st.sampled_from(["{number}", "{year}-{number:04}"]),
    )


def test_one_key_is_one_invoice() -> None:
    billing = books()
    first = billing.invoices.create("acme", lines=[SETUP], idempotency_key="k")
    assert billing.invoices.create("acme", lines=[SETUP], idempotency_key="k").id == first.id
    other = refusal(billing.invoices.create, "acme", lines=[SETUP, SETUP], idempotency_key="k")
    assert other.code == "idempotency_conflict"
    assert numbers(billing) == [1]


def test_void_and_billed_again_it_has_its_lines_and_discount() -> None:
    billing = books(method=None)
    billing.invoices.create("acme", lines=[SETUP], coupons=["TEN"], reference="job")
    billing.customers.update("acme", country="DE")
    billing.invoices.void("job", rebill=True)
    again = billing.invoices.get("acme/2")
    assert (again.discount, again.tax, again.reference) == (100, 171, None)
    assert billing.explain(again.id).agrees
