"""run: order, catch-up, stopping, parking, and the simulated clock (behaviour 2.4, 2.5)."""

from datetime import timedelta

import pytest
from hypothesis import strategies as st

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.commands import changing
from tests import databases
from tests.builders import CATALOG, OPENED, HandClock, anew, attempts, books, day, documents, dump, for_all, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

HOUR = timedelta(hours=1)


def state(billing, reference="s1"):
    return billing.subscriptions.get(reference).state


# -- time ----------------------------------------------------------------------------------------------------


def test_work_due_exactly_at_the_end_of_the_run_is_done() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-01") - timedelta(seconds=1))
    assert len(billing.invoices.list()) == 1
    billing.run(day("02-01"))
    assert len(billing.invoices.list()) == 2


def test_a_second_run_finds_nothing_to_do() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("06-15"))
    before = dump(billing)
    assert billing.run(day("06-15")).total == 0
    assert dump(billing) == before


def test_simulated_time_goes_to_each_piece_of_work_and_on_to_the_end() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("04-20"))
    assert billing.clock.now() == day("04-20")
    assert [one.issued_at for one in billing.invoices.list()] == [
        day(text) for text in ("01-01", "02-01", "03-01", "04-01")
    ]
    assert [one.created_at for one in billing.payments.list()] == [one.issued_at for one in billing.invoices.list()]


def test_time_does_not_go_back() -> None:
    billing = books()
    billing.run(day("02-01"))
    assert billing.run(day("01-15")).total == 0
    assert billing.clock.now() == day("02-01")
    assert refusal(billing.clock.advance, day("01-15")).code == "invalid_value"


def test_a_simulated_clock_is_kept_with_the_books(tmp_path) -> None:
    url = databases.at(tmp_path / "books.db")
    with books(url) as billing:
        billing.subscriptions.create("s1", "acme", "pro-m")
        billing.run(day("03-10"))
    with Billing(url) as again:
        assert again.clock.simulated and again.clock.now() == day("03-10")
        again.run(day("04-01"))
        assert len(again.invoices.list()) == 4


def test_a_real_clock_is_not_moved_into_the_future(tmp_path) -> None:
    with Billing(databases.at(tmp_path / "real.db")) as billing:
        assert not billing.clock.simulated
        assert refusal(billing.run, billing.clock.now() + HOUR).code == "invalid_value"


# -- order at one instant (2.5) ------------------------------------------------------------------------------


def test_at_one_instant_cancellations_come_before_renewals() -> None:
    billing = books()
    for n in (1, 2):
        billing.subscriptions.create(f"s{n}", "acme", "pro-m")
    billing.subscriptions.cancel("s1", "period_end")
    billing.run(day("02-01"))
    assert (state(billing, "s1"), state(billing, "s2")) == ("canceled", "active")
    assert documents(billing)[2:] == [("paid", "02-01", 3000, [("product", 3000)])]


def test_at_one_instant_a_hold_ends_before_it_is_canceled() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.cancel("s1", "2026-02-20")
    billing.subscriptions.hold("s1", resume_at="2026-02-20")
    billing.run(day("02-20"))
    with billing.database.transaction(reads=True) as tx:
        causes = [row[0] for row in tx.rows("SELECT cause FROM billcore_state_changes ORDER BY id")]
    assert causes[-2:] == ["resume_date_reached", "cancel_date_reached"]


def test_a_term_that_ends_with_the_period_is_not_renewed() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", ends_at="2026-02-01")
    billing.run(day("02-01"))
    assert (state(billing), len(billing.invoices.list())) == ("expired", 1)


def test_what_falls_due_together_is_one_invoice_unless_the_site_says_no() -> None:
    for together in (True, False):
        billing = books(consolidate=together)
        for n in (1, 2, 3):
            billing.subscriptions.create(f"s{n}", "acme", "pro-m")
        billing.run(day("02-01"))
        assert len(billing.invoices.list()) == 3 + (1 if together else 3)
        assert {one.status for one in billing.invoices.list()} == {"paid"}


# -- after an outage -----------------------------------------------------------------------------------------


def away(until, *, outcomes=(), default="approve", **changed):
    """Books on a real kind of clock that nobody ran from January on."""
    clock = HandClock()
    billing = books(clock=clock, **changed)
    billing.subscriptions.create("s1", "acme", "pro-m", components={"calls": "0"})
    billing.gateway("test").script(list(outcomes), default=default)
    clock.time = day(until)
    return billing


def test_missed_periods_are_billed_one_invoice_each_in_order() -> None:
    billing = away("04-20")
    billing.run()
    later = billing.invoices.list()[1:]
    assert [(one.lines[0].start, one.lines[0].end) for one in later] == [
        (day("02-01"), day("03-01")),
        (day("03-01"), day("04-01")),
        (day("04-01"), day("05-01")),
    ]
    assert {one.issued_at for one in later} == {day("04-20")}
    assert [one.number for one in billing.invoices.list()] == [1, 2, 3, 4]
    assert billing.subscriptions.get("s1").period_end == day("05-01")


def test_they_are_collected_once_at_the_end_oldest_first() -> None:
    billing = away("04-20")
    billing.run()
    paid = billing.payments.list()[1:]
    assert [one.invoice_id for one in paid] == [one.id for one in billing.invoices.list()[1:]]
    assert min(one.id[4:] for one in paid) > max(one.id[4:] for one in billing.invoices.list())


def test_usage_goes_to_the_missed_period_it_belongs_to() -> None:
    billing = away("01-20")
    billing.usage.record("s1", "calls", "10", timestamp="2026-01-15")
    billing.clock.time = day("03-15")
    billing.usage.record("s1", "calls", "20", timestamp="2026-02-10")
    billing.usage.record("s1", "calls", "30", timestamp="2026-03-10")
    billing.run()
    used = [[row.amount for row in one.lines if row.kind == "usage"] for one in billing.invoices.list()]
    assert used == [[], [100], [200]]


def test_a_cancellation_that_passed_during_the_outage_ends_on_its_date() -> None:
    billing = away("01-20")
    billing.subscriptions.cancel("s1", "2026-02-15")
    billing.clock.time = day("05-01")
    billing.run()
    sub = billing.subscriptions.get("s1")
    assert (sub.state, sub.ended_at) == ("canceled", day("02-15"))
    assert [one.total for one in billing.invoices.list()] == [3000, 1500]


def test_dunning_begins_at_the_attempt_not_at_the_missed_date() -> None:
    billing = away("04-20", default="decline:insufficient_funds")
    billing.run()
    assert state(billing) == "past_due"
    billing.clock.time = day("04-21")
    billing.run()
    assert attempts(billing)[-1][:2] == ("failed", "04-21")


def test_a_run_again_at_the_same_moment_changes_nothing() -> None:
    billing = away("04-20")
    billing.run()
    before = dump(billing)
    billing.run()
    assert dump(billing) == before


def test_a_decline_is_told_even_when_the_gateway_takes_its_time() -> None:
    """On a real clock seconds pass during the call."""
    clock = HandClock()
    billing = books(clock=clock)
    gateway = billing.gateway("test")
    charge = type(gateway).charge

    class Slow(type(gateway)):
        def charge(self, request):
            clock.time += timedelta(seconds=20)
            return charge(self, request)

    gateway.__class__ = Slow
    gateway.script([], default="decline:insufficient_funds")
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "payment_declined"


# -- trouble -------------------------------------------------------------------------------------------------


def crowd(count=7, **changed):
    names = tuple(f"c{n}" for n in range(count))
    billing = books(customers=names, **changed)
    for n, name in enumerate(names):
        billing.subscriptions.create(f"s{n}", name, "pro-m")
    return billing


# What no code writes: one cannot even be loaded, the other fails when its next period is asked for.
UNREADABLE = "price_id = (SELECT min(id) FROM billcore_catalog WHERE kind = 'coupon')"
UNDECIDABLE = "anchor = NULL, trial_until = NULL"


def broken(count, damage, *references, **changed):
    billing = crowd(count, **changed)
    OPENED.remove(billing)
    with billing.database.transaction() as tx:
        for reference in references:
            tx.execute(f"UPDATE billcore_subscriptions SET {damage} WHERE reference = ?", [reference])
    return billing


def parked(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT reference, parked_reason FROM billcore_subscriptions WHERE parked_at IS NOT NULL")


@pytest.mark.parametrize("damage", [UNREADABLE, UNDECIDABLE])
@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_subscription_that_fails_is_parked_alone_with_its_reason(batch, damage) -> None:
    billing = broken(7, damage, "s3")
    billing._batch = batch
    billing.run(day("03-01"))
    ((reference, reason),) = parked(billing)
    assert reference == "s3" and reason
    with billing.database.transaction(reads=True) as tx:
        rows = tx.rows("SELECT reference, period_end FROM billcore_subscriptions ORDER BY id")
    assert [name for name, end in rows if end == "2026-04-01T00:00:00Z"] == ["s0", "s1", "s2", "s4", "s5", "s6"]
    assert sorted(one.number for one in billing.invoices.list()) == list(range(1, 7 + 12 + 1))
    assert {one.status for one in billing.invoices.list()} == {"paid"}


@pytest.mark.parametrize("damage", [UNREADABLE, UNDECIDABLE])
def test_the_first_and_the_last_of_a_batch_may_fail_together(damage) -> None:
    billing = broken(6, damage, "s0", "s5")
    billing.run(day("03-01"))
    assert [row[0] for row in parked(billing)] == ["s0", "s5"]
    assert sorted(one.number for one in billing.invoices.list()) == list(range(1, 6 + 8 + 1))


def test_who_is_parked_in_the_middle_of_his_cancellation_keeps_nothing_of_it(monkeypatch) -> None:
    """What he was to get back is paid for still when the last step of it fails."""
    billing = crowd(3)
    for place in range(3):
        billing.subscriptions.cancel(f"s{place}", "2026-01-16", credit="unused")
    act = changing.act

    def failing(sub, *given):
        assert sub.reference != "s1", "no"
        return act(sub, *given)

    monkeypatch.setattr(changing, "act", failing)
    billing.run(day("01-20"))
    assert [row[0] for row in parked(billing)] == ["s1"]
    assert len(billing.invoices.credit_notes()) == 2
    assert billing.verify().ok


def test_a_parked_subscription_waits_and_then_catches_up() -> None:
    billing = crowd(2)
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_subscriptions SET parked_at = '2026-01-02T00:00:00Z' WHERE reference = 's0'")
    billing.run(day("02-15"))
    assert billing.subscriptions.get("s0").period_end == day("02-01")
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_subscriptions SET parked_at = NULL")
    billing.run(day("02-15"))
    assert billing.subscriptions.get("s0").period_end == day("03-01")


def test_a_run_that_is_asked_to_stop_stops_and_the_next_goes_on() -> None:
    billing = crowd()
    asked = iter([False, False, True])
    report = billing.run(day("05-01"), stop=lambda: next(asked))
    assert report.stopped
    assert billing.clock.now() < day("05-01")
    done = len(billing.invoices.list())
    assert 7 < done < 35
    assert not billing.run(day("05-01")).stopped
    whole = crowd()
    whole.run(day("05-01"))
    assert sorted(documents(billing)) == sorted(documents(whole))


def test_whoever_watches_is_told_of_every_batch() -> None:
    billing = crowd()
    told = []
    report = billing.run(day("03-01"), watch=told.append)
    assert told[-1].done == report.total
    assert [one.at for one in told] == sorted(one.at for one in told)


# -- the same story, told in ticks ---------------------------------------------------------------------------

STORY = ("pro-m", "pro-w", "pro-y", "try", "pro-late", "pro-trial")


def story(zone, seed=1):
    """Every kind of subscription, some with usage and trouble, on one site."""
    billing = Billing(
        databases.fresh(),
        clock=SimulatedClock(day("01-30T11:00")),
        settings={"require_customer_name": False, "require_customer_email": False, "timezone": zone},
        seed=seed,
    )
    OPENED.append(databases.opened(billing))
    billing.catalog.apply(CATALOG)
    for n, price in enumerate(STORY):
        billing.customers.create(f"c{n}", country="DE")
        billing.payment_methods.add(f"c{n}", "approve")
        months = price != "pro-w"
        billing.subscriptions.create(
            f"s{n}",
            f"c{n}",
            price,
            components={"seats": "2", "calls": "0"},
            coupons=["TWO"],
            **({"billing_day": 31} if months and n % 2 else {}),
        )
        billing.usage.record(f"s{n}", "calls", "12.5", event_id="e1")
        if n == 2:
            script = ["decline:insufficient_funds"] * 2 + ["timeout_after_charge", "unreachable"]
            billing.gateway("test").script(script, customer_id=billing.customers.get("c2").id, default="approve")
    return billing


def told(billing, *leave_out):
    """All documents of all customers, without ids."""
    made = {}
    for customer in billing.customers.list():
        made[customer.reference] = (
            [
                (
                    one.issued_at,
                    one.status,
                    one.subtotal,
                    one.discount,
                    one.tax,
                    one.total,
                    one.paid,
                    sorted(
                        (row.kind, row.code, str(row.start), str(row.end), row.amount, row.discount, row.tax)
                        for row in one.lines
                    ),
                )
                for one in billing.invoices.list(customer=customer.reference, limit=10_000)
            ],
            [
                (one.created_at, one.status, one.amount)
                for one in billing.payments.list(customer=customer.reference, limit=10_000)
            ],
            [
                (sub.state, sub.period_start, sub.period_end)
                for sub in billing.subscriptions.list(customer=customer.reference)
            ],
        )
    return made


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_hourly_ticks_and_one_run_make_the_same_documents(zone, database_kind) -> None:
    """Two months in ticks, over the change of clocks, against one run; on PostgreSQL in longer ones."""
    tick = HOUR if database_kind == "sqlite" else 7 * HOUR
    ticking, whole = story(zone), story(zone)
    end = day("04-07T12:00")
    now = ticking.clock.now()
    while now < end:
        now = min(end, now + tick)
        ticking.run(now)
    whole.run(end)
    assert sum(len(documents) for documents, _, _ in told(whole).values()) > 20
    assert told(ticking) == told(whole)


def test_the_same_inputs_make_the_same_documents_byte_for_byte() -> None:
    """Promise P9: inputs, clock and seed decide everything, ids and numbers too."""
    one, two = story("Europe/Berlin"), story("Europe/Berlin")
    for billing in (one, two):
        billing.run(day("05-01"))
    tables = (
        "invoices",
        "credit_notes",
        "lines",
        "coverage",
        "renewals",
        "subscriptions",
        "customers",
        "ledger_entries",
    )
    first, second = dump(one), dump(two)
    for name in tables:
        assert first[f"billcore_{name}"] == second[f"billcore_{name}"], name
    other = story("Europe/Berlin", seed=2)
    other.run(day("05-01"))
    assert told(other) == told(one)


def test_wherever_a_run_pauses_the_documents_are_the_same() -> None:
    def same(stops) -> None:
        anew()
        whole, paused = story("Asia/Kolkata"), story("Asia/Kolkata")
        end = day("05-31")
        whole.run(end)
        start = paused.clock.now()
        for days in sorted(stops):
            paused.run(min(end, start + timedelta(days=days)))
        paused.run(end)
        assert told(paused) == told(whole)

    for_all(same, sqlite=8, postgresql=2, stops=st.lists(st.integers(1, 120), max_size=6))
