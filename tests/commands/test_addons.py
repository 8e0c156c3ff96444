"""Add-ons end with their base, known as soon as its end is, and take the dates of what it begins anew (6.6)."""

import pytest

from tests.builders import books, day, refusal


def based(price="pro-m", addon="support-m", at="01-01", **terms):
    """A base from January on the first, and its add-on from `at` on."""
    billing = books()
    billing.subscriptions.create("s1", "acme", price, **terms)
    billing.run(day(at))
    billing.subscriptions.create("a1", "acme", addon, base="s1")
    return billing


def lines(billing, reference="a1"):
    """What was billed of a subscription: (from, to, amount)."""
    mine = billing.subscriptions.get(reference).id
    documents = [*billing.invoices.list(limit=100), *billing.invoices.credit_notes()]
    documents.sort(key=lambda one: one.issued_at)
    return [
        (f"{line.start:%m-%d}", f"{line.end:%m-%d}", line.amount)
        for one in documents
        for line in one.lines
        if line.subscription_id == mine
    ]


def period(billing, reference):
    sub = billing.subscriptions.get(reference)
    return f"{sub.period_start:%m-%d}", f"{sub.period_end:%m-%d}"


def ended(billing):
    return [(one.state, one.ended_at) for one in billing.subscriptions.list()]


# -- ends ----------------------------------------------------------------------------------------------------


def test_an_add_on_is_charged_up_to_its_bases_term() -> None:
    """Half of January is left when it begins, five days of it after the term."""
    billing = based(at="01-17", ends_at="2026-01-27")
    assert lines(billing) == [("01-17", "01-27", 161)]
    billing.run(day("03-01"))
    assert ended(billing) == [("expired", day("01-27"))] * 2
    assert (lines(billing), billing.verify().ok) == ([("01-17", "01-27", 161)], True)


def test_its_last_renewal_is_as_short_as_its_bases() -> None:
    billing = based(ends_at="2026-02-15")
    billing.run(day("03-01"))
    assert lines(billing)[1:] == [("02-01", "02-15", 250)]
    assert ended(billing) == [("expired", day("02-15"))] * 2
    assert [len(one.lines) for one in billing.invoices.list()][-1] == 2


def test_an_add_on_of_a_base_that_is_canceled_at_a_date_is_charged_up_to_it() -> None:
    billing = based()
    billing.subscriptions.cancel("s1", "2026-02-15")
    billing.subscriptions.create("a2", "acme", "support-m", base="s1")
    billing.run(day("03-01"))
    assert lines(billing, "a2") == [("01-01", "02-01", 500), ("02-01", "02-15", 250)] == lines(billing)
    assert ended(billing) == [("canceled", day("02-15"))] * 3


def test_where_a_term_is_set_after_both_were_billed_both_are_given_back_on_one_note() -> None:
    billing = based()
    billing.run(day("02-05"))
    billing.subscriptions.set_term("s1", "2026-02-15")
    billing.run(day("02-20"))
    (note,) = billing.invoices.credit_notes()
    assert (note.to, note.total, [line.amount for line in note.lines]) == ("credit", 1750, [-1500, -250])
    assert billing.verify().ok


@pytest.mark.parametrize("undone", ["cancellation", "term"])
def test_an_end_that_is_undone_ends_no_add_on(undone) -> None:
    """February was charged up to the 15th of both: its rest follows, and March is whole."""
    billing = based()
    if undone == "term":
        billing.subscriptions.set_term("s1", "2026-02-15")
    else:
        billing.subscriptions.cancel("s1", "2026-02-15")
    billing.subscriptions.create("a2", "acme", "support-m", base="s1")
    billing.run(day("02-10"))
    if undone == "term":
        billing.subscriptions.set_term("s1", "evergreen")
    else:
        billing.subscriptions.uncancel("s1")
    billing.run(day("03-10"))
    rest = [("02-01", "02-15", 250), ("02-15", "03-01", 250), ("03-01", "04-01", 500)]
    assert lines(billing)[1:] == lines(billing, "a2")[1:] == rest
    assert ended(billing) == [("active", None)] * 3
    assert billing.verify().ok


def test_an_end_that_is_moved_moves_for_the_add_on() -> None:
    billing = based(ends_at="2026-02-15")
    billing.run(day("02-05"))
    billing.subscriptions.set_term("s1", "2026-02-08")
    billing.run(day("03-01"))
    assert lines(billing)[1:] == [("02-01", "02-15", 250), ("02-08", "02-15", -125)]
    assert ended(billing) == [("expired", day("02-08"))] * 2


def test_an_own_end_that_comes_first_stays() -> None:
    billing = based(ends_at="2026-02-15")
    billing.subscriptions.set_term("a1", "2026-02-08")
    billing.run(day("02-05"))
    billing.subscriptions.set_term("s1", "evergreen")
    billing.run(day("03-01"))
    assert lines(billing)[1:] == [("02-01", "02-08", 125)]
    assert ended(billing) == [("active", None), ("expired", day("02-08"))]


@pytest.mark.parametrize("how", [{"credit": "unused"}, {"refund": "unused"}, {"refund": "all"}])
def test_a_planned_cancellation_gives_back_once(how) -> None:
    """An add-on that came after it was charged up to it: nothing of it is unused."""
    billing = based()
    billing.run(day("02-05"))
    billing.subscriptions.cancel("s1", "2026-02-15", **how)
    billing.subscriptions.create("a2", "acme", "support-m", base="s1")
    billing.run(day("03-01"))
    (note,) = billing.invoices.credit_notes()
    late = lines(billing, "a2")[0][2]
    assert late == round(500 * 10 / 28)
    assert note.total == (3500 + late if how == {"refund": "all"} else 1750)
    assert (note.to, billing.verify().ok) == ("credit" if "credit" in how else "refund", True)


def test_a_yearly_add_on_is_charged_up_to_the_end_that_the_price_of_its_base_sets() -> None:
    """pro-term ends after three months: 90 of 365 days."""
    billing = based("pro-term", "pro-y")
    billing.run(day("05-01"))
    assert lines(billing) == [("01-01", "04-01", 8877)]
    assert ended(billing) == [("expired", day("04-01"))] * 2


def test_what_an_add_on_has_on_an_interval_of_its_own_ends_with_the_base_too() -> None:
    billing = based("pro-y", "pro-y", ends_at="2026-02-15")
    billing.subscriptions.set_component("a1", "hosting", 1)
    billing.run(day("03-01"))
    assert lines(billing) == [("01-01", "02-15", 4438), ("01-01", "02-01", 200), ("02-01", "02-15", 100)]


def test_a_forecast_of_an_add_on_ends_with_its_base() -> None:
    billing = based(ends_at="2026-02-15")
    ahead = billing.subscriptions.forecast("a1")
    assert [(one.at, one.action, one.due) for one in ahead] == [
        (day("02-01"), "renew", 250),
        (day("02-15"), "expire", 0),
    ]
    billing.run(day("02-05"))
    assert billing.subscriptions.next_billing("a1") is None


# -- dates ---------------------------------------------------------------------------------------------------


def test_a_planned_new_period_is_one_document_with_the_add_ons() -> None:
    """Half of January is left of both, and both begin anew."""
    billing = based()
    billing.subscriptions.change("s1", quantity=2, period="reset", effective_at="2026-01-16T12:00")
    billing.run(day("01-20"))
    invoice = billing.invoices.list()[-1]
    assert sorted(line.amount for line in invoice.lines) == [-1500, -250, 500, 6000]
    assert [one.amount for one in billing.payments.list()][-1] == invoice.total == 6000 + 500 - 1500 - 250
    assert period(billing, "s1") == period(billing, "a1") == ("01-16", "02-16")
    billing.run(day("02-20"))
    assert len(billing.invoices.list()[-1].lines) == 2
    assert billing.verify().ok


def test_a_renewal_with_another_interval_is_one_document_with_the_add_ons() -> None:
    """Weeks become months on January 8: 24 of 31 days of the add-on are left."""
    billing = based("pro-w")
    billing.subscriptions.change("s1", "pro-m", when="renewal")
    billing.run(day("01-10"))
    assert sorted(line.amount for line in billing.invoices.list()[-1].lines) == [-387, 500, 3000]
    assert period(billing, "s1") == period(billing, "a1") == ("01-08", "02-08")
    billing.run(day("02-10"))
    assert [line.amount for line in billing.invoices.list()[-1].lines] == [3000, 500]
    assert billing.verify().ok


def test_an_add_on_that_renews_with_it_counts_from_there_and_keeps_its_own_change() -> None:
    """From January 31 on, months become years on February 28: months are counted from the 28th."""
    billing = books()
    billing.run(day("01-31"))
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1")
    billing.subscriptions.change("s1", "pro-y", when="renewal")
    billing.subscriptions.change("a1", quantity=2, when="renewal")
    billing.run(day("04-01"))
    assert lines(billing) == [("01-31", "02-28", 500), ("02-28", "03-28", 1000), ("03-28", "04-28", 1000)]
    assert billing.verify().ok


def test_an_add_on_whose_renewal_meets_a_planned_new_period_gives_nothing_back() -> None:
    """The base is yearly; its new period begins when a month of the add-on is over."""
    billing = based("pro-y")
    billing.subscriptions.change("s1", "pro-m", effective_at="2026-03-01")
    billing.run(day("04-10"))
    assert lines(billing)[1:] == [("02-01", "03-01", 500), ("03-01", "04-01", 500), ("04-01", "05-01", 500)]


def test_what_the_add_on_changes_at_the_same_instant_comes_first() -> None:
    billing = based("pro-w")
    billing.subscriptions.change("s1", "pro-m", when="renewal")
    billing.subscriptions.change("a1", quantity=2, effective_at="2026-01-08")
    billing.run(day("01-10"))
    assert period(billing, "s1") == period(billing, "a1") == ("01-08", "02-08")
    assert sum(amount for _, _, amount in lines(billing)) == 500 - 387 + 1000
    assert (billing.subscriptions.get("a1").quantity, billing.verify().ok) == (2, True)


def test_an_end_that_goes_with_the_old_price_of_its_base_ends_no_add_on() -> None:
    billing = based("pro-term")
    billing.subscriptions.change("s1", "pro-m", effective_at="2026-02-10", period="reset")
    billing.run(day("05-01"))
    assert ended(billing) == [("active", None)] * 2
    assert lines(billing)[-1] == ("04-10", "05-10", 500)


def test_add_ons_of_a_base_that_is_paid_in_advance_take_its_dates_when_it_goes_on() -> None:
    billing = books(customers=("acme",))
    billing.prepayments.add("acme", amount="12.00")
    billing.subscriptions.create("s1", "acme", "pro-w", collection="prepaid")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1", collection="prepaid")
    billing.subscriptions.change("s1", "pro-m", when="renewal")
    billing.run(day("01-10"))
    assert (billing.subscriptions.get("s1").state, period(billing, "a1")) == ("suspended", ("01-01", "02-01"))
    billing.prepayments.add("acme", amount="50.00")
    assert period(billing, "s1") == period(billing, "a1") == ("01-08", "02-08")
    assert billing.verify().ok


@pytest.mark.parametrize("addon", ["support-m", "try"])
def test_an_add_on_has_the_dates_of_its_base_when_a_trial_is_over(addon) -> None:
    """Of both together, with the billing day of the base; and of the add-on alone, inside a period of its base."""
    billing = based("try" if addon == "support-m" else "pro-m", addon, "01-05", billing_day=10)
    billing.run(day("03-01"))
    assert period(billing, "s1") == period(billing, "a1") == ("02-10", "03-10")
    assert {end for _, end, _ in lines(billing)} == {"02-10", "03-10"}


def test_an_add_on_that_starts_later_has_the_dates_of_its_base() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1", starts_at="2026-01-16T12:00")
    billing.run(day("02-05"))
    assert lines(billing) == [("01-16", "02-01", 250), ("02-01", "03-01", 500)]


def test_a_new_period_reaches_back_no_further_than_the_running_ones_of_add_ons() -> None:
    """They would take its dates, and have begun a period since."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-y")
    billing.subscriptions.create("a1", "acme", "support-m", base="s1")
    billing.run(day("02-06"))
    refused = refusal(billing.subscriptions.change, "s1", "pro-m", effective_at=day("01-20"))
    assert refused.code == "invalid_value" and "a1" in refused.message
    billing.subscriptions.change("s1", "pro-m", effective_at=day("02-03"))
    assert {one.period_start for one in billing.subscriptions.list()} == {day("02-03")}
    assert billing.verify().ok
