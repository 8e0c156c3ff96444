"""Ends that a price or a term sets, through everything that moves boundaries (behaviour 5.2, 7.4)."""

import pytest

from tests.builders import books, day, documents

CATALOG = {
    "products": [
        {"code": "p", "prices": [{"code": "p-m", "amount": "30.00", "every": "1 month"}]},
        {"code": "x", "prices": [{"code": "x-m", "amount": "30.00", "every": "1 month", "expires_after": "2 months"}]},
        {"code": "n", "prices": [{"code": "n-m", "amount": "30.00", "every": "1 month", "expires_after": "2 periods"}]},
        {
            "code": "t",
            "prices": [
                {
                    "code": "t-m",
                    "amount": "30.00",
                    "every": "1 month",
                    "trial": "14 days",
                    "expires_after": "2 months",
                }
            ],
        },
        {"code": "w", "prices": [{"code": "w-w", "amount": "7.00", "every": "1 week"}]},
        {"code": "extra", "kind": "addon", "prices": [{"code": "extra-m", "amount": "5.00", "every": "1 month"}]},
    ],
    "components": [
        {
            "code": "calls",
            "kind": "metered",
            "name": "Calls",
            "prices": [{"code": "calls-p", "scheme": "per_unit", "unit_amount": "1.00"}],
        }
    ],
}


def running(price="x-m", until="01-11", **given):
    """Books with s1, signed up at 01-01 for this price, on the date `until`."""
    options = {key: given.pop(key) for key in ("expiry_follows", "period_policy") if key in given}
    billing = books(catalog=CATALOG, **options)
    billing.subscriptions.create("s1", "acme", price, **given)
    billing.run(day(until))
    return billing


def ended(billing, until="12-01"):
    billing.run(day(until))
    sub = billing.subscriptions.get("s1")
    return sub.state, sub.ended_at


def totals(billing):
    return [row[1:3] for row in documents(billing)]


@pytest.mark.parametrize("price", ["x-m", "n-m"])
def test_a_price_that_expires_lasts_to_the_end_of_the_period_that_a_resume_begins(price) -> None:
    billing = running(price)
    billing.subscriptions.hold("s1")
    billing.run(day("02-20"))
    billing.subscriptions.resume("s1")
    assert ended(billing) == ("expired", day("03-20"))
    assert totals(billing) == [("01-01", 3000), ("02-20", 3000)]


def test_a_new_period_moves_the_boundary_at_which_a_price_expires_however_often_it_is_moved() -> None:
    billing = running()
    billing.subscriptions.change("s1", quantity="2", period="reset")
    assert billing.subscriptions.get("s1").expires_at == day("03-11")
    billing.run(day("02-25"))
    billing.subscriptions.change("s1", quantity="1", period="reset")
    # Two months are over at 03-01: counted from there, not from the boundary that was meant before.
    assert ended(billing) == ("expired", day("03-25"))


@pytest.mark.parametrize(
    ("moved", "expires"),
    [
        ({"billing_day": 15}, "03-15"),
        ({"next_billing_at": "2026-01-21"}, "03-01"),
        ({"next_billing_at": "2026-01-21", "billing_day": 21}, "03-21"),
    ],
)
def test_a_price_expires_at_the_first_boundary_of_a_billing_date_that_moved(moved, expires) -> None:
    billing = running()
    billing.subscriptions.change_billing_date("s1", **moved)
    assert ended(billing) == ("expired", day(expires))


def test_with_expiry_follows_the_term_moves_and_ends_at_a_boundary_all_the_same() -> None:
    billing = running(expiry_follows=True)
    billing.subscriptions.change_billing_date("s1", next_billing_at="2026-02-11")
    assert ended(billing) == ("expired", day("04-01"))
    assert totals(billing)[-1] == ("03-01", 3000)


def test_a_billing_day_set_by_joining_a_group_moves_the_boundary_at_which_a_price_expires() -> None:
    billing = running()
    billing.customers.create("head", "Head", "head@example.com", billing_day=15)
    billing.payment_methods.add("head", "approve")
    billing.customers.join("acme", "head", align="payer_day")
    assert ended(billing) == ("expired", day("03-15"))


def test_what_comes_back_before_its_price_expires_keeps_its_term_and_ends_at_a_boundary() -> None:
    billing = running()
    billing.subscriptions.cancel("s1")
    billing.run(day("01-20"))
    billing.subscriptions.reactivate("s1")
    assert ended(billing) == ("expired", day("03-20"))


def test_what_comes_back_after_its_price_expired_has_the_whole_term_again() -> None:
    billing = running(until="03-10")
    billing.subscriptions.reactivate("s1")
    assert ended(billing) == ("expired", day("05-10"))


def test_a_term_that_comes_back_with_a_trial_counts_from_there() -> None:
    billing = running("t-m", until="04-10")
    assert billing.subscriptions.get("s1").ended_at == day("03-15")
    billing.subscriptions.reactivate("s1", include_trial=True)
    # Two months from 04-10 are over at 06-10; the trial ends 04-24.
    assert ended(billing) == ("expired", day("06-24"))


@pytest.mark.parametrize(("resumed", "expires"), [("01-21", "03-11"), ("03-20", "04-10")])
def test_an_extended_period_is_not_cut_by_the_end_that_the_price_set(resumed, expires) -> None:
    billing = running()
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day(resumed))
    billing.subscriptions.resume("s1")
    billing.run(day("12-01"))
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("expired", day(expires))


def test_a_price_that_expires_counts_from_the_change_to_it() -> None:
    billing = running("p-m", until="06-10")
    billing.subscriptions.change("s1", price="x-m")
    assert ended(billing) == ("expired", day("09-01"))


def test_a_price_that_expires_counts_from_the_renewal_that_enters_it() -> None:
    billing = running("p-m")
    billing.subscriptions.change("s1", price="x-m", when="renewal")
    assert ended(billing) == ("expired", day("04-01"))


def test_what_was_made_evergreen_stays_so_when_it_begins_anew() -> None:
    billing = running()
    billing.subscriptions.set_term("s1", "evergreen")
    billing.subscriptions.hold("s1")
    billing.run(day("02-20"))
    billing.subscriptions.resume("s1")
    billing.run(day("02-25"))
    billing.subscriptions.cancel("s1")
    billing.subscriptions.reactivate("s1")
    assert ended(billing) == ("active", None)


def test_periods_that_drift_are_not_cut_by_the_end_of_the_price() -> None:
    billing = books(catalog=CATALOG, period_policy="chained")
    billing.run(day("01-31"))
    billing.subscriptions.create("s1", "acme", "x-m")
    # 02-28, 03-28, and then 04-28: two months are over at 03-31.
    assert ended(billing) == ("expired", day("04-28"))


@pytest.mark.parametrize("by", ["hand", "date"])
@pytest.mark.parametrize("given", [{"price": "x-m"}, {"price": "p-m", "ends_at": "2026-02-16"}])
def test_an_end_that_passed_on_hold_comes_with_the_resume_and_nothing_is_charged(given, by) -> None:
    billing = running(**given)
    billing.subscriptions.hold("s1", **({"resume_at": "2026-03-20"} if by == "date" else {}))
    billing.run(day("03-20"))
    if by == "hand":
        assert billing.subscriptions.get("s1").state == "on_hold"
        assert billing.subscriptions.resume("s1").state == "expired"
    assert ended(billing) == ("expired", day("03-20"))
    assert totals(billing) == [("01-01", 3000)]
    with billing.database.transaction(reads=True) as tx:
        states = tx.rows("SELECT previous, state FROM billcore_state_changes ORDER BY id")
    assert [tuple(row) for row in states[-2:]] == [("on_hold", "active"), ("active", "expired")]


def test_a_term_that_ends_after_the_resume_prorates_the_period_that_begins_there() -> None:
    billing = running("p-m", ends_at="2026-02-16")
    billing.subscriptions.hold("s1")
    billing.run(day("02-02"))
    billing.subscriptions.resume("s1")
    assert ended(billing) == ("expired", day("02-16"))
    assert totals(billing) == [("01-01", 3000), ("02-02", 1500)]


@pytest.mark.parametrize("by", ["hand", "date"])
def test_paid_time_that_a_hold_was_to_append_comes_back_where_the_term_ended_meanwhile(by) -> None:
    billing = running("p-m", ends_at="2026-02-16")
    billing.subscriptions.hold("s1", unused="extend", **({"resume_at": "2026-03-20"} if by == "date" else {}))
    billing.run(day("03-20"))
    if by == "hand":
        billing.subscriptions.resume("s1")
    assert ended(billing) == ("expired", day("03-20"))
    assert [(note.total, note.to) for note in billing.invoices.credit_notes()] == [(2032, "credit")]


@pytest.mark.parametrize("by", ["hand", "date"])
def test_usage_of_a_hold_is_billed_when_the_subscription_ends_with_it(by) -> None:
    billing = running("p-m", ends_at="2026-02-16", components={"calls": "0"})
    billing.subscriptions.hold("s1", **({"resume_at": "2026-03-20"} if by == "date" else {}))
    billing.usage.record("s1", "calls", "7")
    billing.run(day("03-20"))
    if by == "hand":
        billing.subscriptions.resume("s1")
    assert ended(billing) == ("expired", day("03-20"))
    assert documents(billing)[1:] == [("paid", "03-20", 700, [("usage", 700)])]


@pytest.mark.parametrize("by", ["hand", "date"])
def test_addons_end_with_a_base_that_ends_with_its_hold(by) -> None:
    billing = running("p-m", ends_at="2026-02-16")
    billing.subscriptions.create("s2", "acme", "extra-m", base="s1")
    billing.subscriptions.hold("s1", **({"resume_at": "2026-03-20"} if by == "date" else {}))
    billing.run(day("03-20"))
    if by == "hand":
        billing.subscriptions.resume("s1")
    assert ended(billing) == ("expired", day("03-20"))
    addon = billing.subscriptions.get("s2")
    assert (addon.ended_at, addon.next_action) == (day("03-20"), None)
    assert len(documents(billing)) == 2


@pytest.mark.parametrize("ends", ["02-01", "02-16"])
def test_addons_begin_no_period_at_the_instant_at_which_their_base_ends(ends) -> None:
    billing = running("p-m", ends_at=f"2026-{ends}")
    billing.subscriptions.create("s2", "acme", "extra-m", base="s1")
    assert ended(billing) == ("expired", day(ends))
    addon = billing.subscriptions.get("s2")
    assert (addon.state, addon.ended_at) == ("expired", day(ends))


@pytest.mark.parametrize("resumed", ["01-21", "03-20"])
@pytest.mark.parametrize("first", ["cancel", "hold"])
def test_a_cancellation_at_the_period_s_end_moves_with_an_extended_period(resumed, first) -> None:
    billing = running("p-m")
    billing.subscriptions.create("s2", "acme", "extra-m", base="s1")
    if first == "cancel":
        billing.subscriptions.cancel("s1", "period_end")
    billing.subscriptions.hold("s1", unused="extend")
    if first == "hold":
        billing.subscriptions.cancel("s1", "period_end")
    billing.run(day(resumed))
    billing.subscriptions.resume("s1")
    end = {"01-21": day("02-11"), "03-20": day("04-10")}[resumed]
    assert [billing.subscriptions.get(one).period_end for one in ("s1", "s2")] == [end, end]
    assert ended(billing) == ("canceled", end)
    assert billing.subscriptions.get("s2").ended_at == end
    assert len(documents(billing)) == 2


def test_a_cancellation_at_the_end_of_a_trial_moves_with_the_trial() -> None:
    billing = running("t-m")
    billing.subscriptions.cancel("s1", "period_end")
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("01-21"))
    billing.subscriptions.resume("s1")
    assert ended(billing) == ("canceled", day("01-25"))
    assert documents(billing) == []


def test_a_cancellation_at_a_date_stays_where_it_is() -> None:
    billing = running("p-m")
    billing.subscriptions.cancel("s1", day("02-16"))
    billing.run(day("02-06"))
    billing.subscriptions.hold("s1", unused="extend")
    billing.run(day("02-11"))
    billing.subscriptions.resume("s1")
    assert ended(billing) == ("canceled", day("02-16"))


def test_a_cancellation_at_a_date_comes_on_hold() -> None:
    billing = running("p-m")
    billing.subscriptions.hold("s1", unused="extend")
    billing.subscriptions.cancel("s1", day("01-20"))
    assert ended(billing) == ("canceled", day("01-20"))
