"""Every amount is derived again from what its line keeps (behaviour 3.7)."""

import json

import pytest

from tests.builders import CATALOG, books, day, refusal

SCHEMES = {
    "graduated": {
        "scheme": "graduated",
        "tiers": [{"up_to": 2, "unit_amount": "5", "flat_amount": "1"}, {"unit_amount": "4.333"}],
    },
    "volume": {
        "scheme": "volume",
        "tiers": [{"up_to": 5, "unit_amount": "5"}, {"unit_amount": "4", "flat_amount": "2"}],
    },
    "stairstep": {"scheme": "stairstep", "tiers": [{"up_to": 5, "flat_amount": "20"}, {"flat_amount": "30"}]},
    "package": {"scheme": "package", "package_size": 4, "package_amount": "3.00"},
    "percentage": {"scheme": "percentage", "rate": "2.9", "fixed_per_event": "0.30"},
    "included": {"scheme": "per_unit", "unit_amount": "0.015", "included": 2},
    "capped": {"scheme": "per_unit", "unit_amount": "9.00", "maximum": "50.00"},
}


def with_scheme(scheme):
    own = {"code": "thing", "name": "Thing", "kind": "quantity", "prices": [{"code": "thing-p", **SCHEMES[scheme]}]}
    return CATALOG | {"components": [*CATALOG["components"], own]}


def texts(explained):
    return [str(step) for step in explained.steps]


def set_line(billing, kind, **values):
    with billing.database.transaction() as tx:
        for column, value in values.items():
            tx.execute(f'UPDATE billcore_lines SET "{column}" = ? WHERE kind = ?', [value, kind])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("quantity", ["1", "5", "7.5"])
def test_every_scheme_is_derived_again(scheme, quantity) -> None:
    billing = books(catalog=with_scheme(scheme), proration_basis="day")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"thing": quantity}, billing_day=20)
    billing.run(day("02-25"))
    for invoice in billing.invoices.list():
        assert billing.explain(invoice.id).agrees


def test_a_line_shows_price_tiers_portion_coupon_and_tax() -> None:
    billing = books(catalog=with_scheme("graduated"), proration_basis="day")
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"thing": "3"}, coupons=["TEN"], billing_day=20)
    (line,) = billing.explain("1", "thing-p").lines
    assert texts(line) == [
        "price thing-p, version 1 (graduated)",
        "tier from 0 to 2: 2 × 5 + 1 = 11.00",
        "tier above 2: 1 × 4.333 = 4.333",
        "2026-01-01 to 2026-01-20, 19/31 days of 2025-12-20 to 2026-01-20",
        "15.333 × 19/31 = 9.39764516…",
        "rounded once, half away from zero = 9.40",
        "coupon TEN, 10 % off: 2.78, shared by largest remainder = 0.94",
        "VAT, 19 % on 8.46 = 1.6074",
        "rounded once with the lines of this rate = 1.61",
    ]
    assert line.conclusion == "= 10.07, as billed"
    assert line.text()[0] == "line 2: Thing (component, 3 × thing-p)"


def test_an_invoice_ends_with_what_is_due() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-fee", coupons=["ONCE"])
    explained = billing.explain("acme/1")
    assert explained.text()[-5:] == [
        "sum of the lines = 40.00",
        "less discount = -5.00",
        "total = 35.00 as billed",
        "paid = -35.00",
        "due = 0.00",
    ]


@pytest.mark.parametrize("rounding", ["group", "line", "document"])
def test_the_rounding_of_tax_is_the_one_of_then(rounding) -> None:
    """The setting may change; the line keeps what held (behaviour 8.2)."""
    billing = books(tax_rounding=rounding)
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-fee", components={"seats": "3"}, coupons=["TEN"], billing_day=3)
    billing.settings.set("tax_rounding", "line" if rounding == "group" else "group")
    assert billing.explain("1").agrees


def test_rates_and_coupons_are_those_of_then() -> None:
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    billing.catalog.apply(CATALOG | {"taxes": [CATALOG["taxes"][0] | {"rate": "21"}]})
    assert billing.explain("1").agrees


def test_a_custom_price_an_introductory_price_and_a_minimum() -> None:
    catalog = json.loads(json.dumps(CATALOG))
    catalog["products"][0]["prices"] += [
        {"code": "intro", "amount": "30.00", "every": "1 month", "phases": [{"for": "2 months", "amount": "9.00"}]},
        {"code": "least", "amount": "30.00", "every": "1 month", "minimum": "50.00"},
    ]
    billing = books(catalog=catalog)
    billing.subscriptions.create("custom", "acme", "pro-m", custom={"amount": "12.34"})
    billing.subscriptions.create("intro", "acme", "intro")
    billing.subscriptions.create("least", "acme", "least", components={"calls": "0"})
    billing.usage.record("least", "calls", "30", event_id="e1")
    billing.run(day("02-02"))
    told = [billing.explain(invoice.id) for invoice in billing.invoices.list()]
    assert all(one.agrees for one in told)
    steps = {step.text for one in told for line in one.lines for step in line.steps}
    assert "price made for this subscription (per_unit, every 1 month)" in steps
    assert "price intro, version 1, introductory (per_unit, every 1 month)" in steps
    assert {"minimum for a whole period", "less what the other lines bill"} <= steps


def test_a_credit_is_derived_from_the_line_it_gives_back() -> None:
    billing = books(proration_basis="day")
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    billing.run(day("01-11"))
    billing.subscriptions.cancel("s1", credit="unused")
    explained = billing.explain("CN-1")
    (line,) = explained.lines
    assert explained.agrees
    assert texts(line) == [
        "Pro of invoice 1, as billed = 30.00",
        "not used from 2026-01-11T00:00:00Z on: 21/31 days",
        "21/31 of it = 20.32",
        "discount and tax likewise, by the same share of what was billed",
    ]


def test_a_credit_split_between_debt_and_balance_is_explained_on_both_documents() -> None:
    """What is still due is reduced first (behaviour 3.5): the parts make the share together."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_invoices SET paid = 2000, status = 'open'")
    billing.run(day("01-06"))
    billing.subscriptions.cancel("s1", credit="unused")
    notes = billing.invoices.credit_notes()
    assert sorted(note.to for note in notes) == ["credit", "invoice"]
    told = [billing.explain(note.id) for note in notes]
    assert all(one.agrees for one in told)
    assert any("of it on credit note" in step.text for one in told for line in one.lines for step in line.steps)


def test_a_credit_by_amount_is_derived_from_what_was_left_of_its_line() -> None:
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "2"})
    billing.invoices.credit("1", amount="10.00")
    billing.invoices.credit("1", amount="5.00", lines=["seats-p"])
    billing.invoices.credit("1")
    told = [billing.explain(f"CN-{place}") for place in (1, 2, 3)]
    assert all(one.agrees for one in told)
    assert texts(told[0].lines[1]) == [
        "Seats of invoice 1, as billed = 10.00",
        "its part of 10.00, by what was left of the lines = 2.50",
        "discount and tax in proportion, the amount is the rest = 2.10",
    ]
    assert texts(told[1].lines[0])[:3] == [
        "Seats of invoice 1, as billed = 10.00",
        "left of it, tax included = 9.40",
        "given back of it, tax included = 5.00",
    ]
    assert "all that was left of the lines, 32.60" in texts(told[2].lines[0])


def test_a_credit_by_share_says_where_another_left_less() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="20.00")
    billing.run(day("01-02"))
    billing.subscriptions.cancel("s1", credit="unused")
    explained = billing.explain("CN-2")
    assert explained.agrees
    assert "but no more than is left of it = 10.00" in texts(explained.lines[0])


@pytest.mark.parametrize(
    ("kind", "values", "wrong"),
    [
        ("credit", {"amount": -839}, "amount -8.40, billed -8.39"),
        ("credit", {"tax": -159}, "tax -1.60, billed -1.59"),
    ],
)
def test_a_credit_by_amount_that_was_changed_is_a_finding(kind, values, wrong) -> None:
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.invoices.credit("1", amount="10.00")
    set_line(billing, kind, **values)
    explained = billing.explain("CN-1")
    assert not explained.agrees and wrong in explained.lines[0].conclusion


def test_an_invoice_names_what_settled_it() -> None:
    billing = books()
    billing.credits.add("acme", amount="1.00")
    billing.prepayments.add("acme", amount="2.00")
    billing.subscriptions.create("s1", "acme", "pro-m", collection="remittance")
    billing.invoices.credit("1", amount="3.00")
    billing.invoices.record_payment("1", "4.00")
    told = billing.explain("1")
    assert told.agrees
    assert told.text()[-6:] == [
        "total = 30.00 as billed",
        "credit note CN-1 = -3.00",
        "paid by service credit = -1.00",
        "paid by prepayment = -2.00",
        "paid = -4.00",
        "due = 20.00",
    ]
    billing.invoices.void("1")
    assert billing.explain("1").text()[-2:] == ["credit note CN-1 = -3.00", "void: nothing is due"]


def test_what_an_invoice_counts_as_paid_and_was_not_is_a_finding() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_invoices SET paid = 2900")
    told = billing.explain("1")
    assert not told.agrees
    assert "≠ 0.00 and 29.00, which it counts as credited and paid" in told.text()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"amount": 3001}, "amount 30.00, billed 30.01"),
        ({"discount": 299}, "discount 3.00, billed 2.99"),
        ({"tax": 514}, "tax 5.13, billed 5.14"),
        ({"end": "2026-01-20T00:00:00Z"}, ""),
    ],
)
def test_an_amount_that_its_basis_does_not_give_is_a_finding(values, wrong) -> None:
    billing = books()
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-m", coupons=["TEN"])
    set_line(billing, "product", **values)
    explained = billing.explain("1")
    assert explained.agrees is (not wrong)
    if wrong:
        assert not explained.lines[0].agrees
        assert explained.lines[0].conclusion.startswith("≠ ") and wrong in explained.lines[0].conclusion


def test_a_document_that_its_lines_do_not_make_is_a_finding() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_invoices SET total = total + 1")
    explained = billing.explain("1")
    assert all(line.agrees for line in explained.lines) and not explained.agrees
    assert "total ≠ 30.01 as billed" in explained.text()


def test_a_line_is_named_by_place_id_or_code_and_others_are_told() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-fee")
    invoice = billing.invoices.get("1")
    for name in ("2", invoice.lines[1].id):
        assert [one.place for one in billing.explain("1", name).lines] == [2]
    assert [one.place for one in billing.explain("1", "pro-fee").lines] == [1, 2]
    error = refusal(billing.explain, "1", "9")
    assert error.code == "not_found"
    assert error.remedy == "It has 1 (pro-fee), 2 (pro-fee)."
    assert refusal(billing.explain, "77").code == "not_found"


def test_times_are_told_as_the_site_reads_them() -> None:
    """An invoice and its explanation show the same period: a zone's midnights are dates."""
    billing = books(timezone="Europe/Berlin", start=day("01-15", hour=9))
    billing.subscriptions.create("s1", "acme", "pro-m", billing_day=1)
    told = "\n".join(billing.explain("1").text())
    assert "2026-01-15 10:00 to 2026-02-01" in told
    assert "T09:00" not in told
