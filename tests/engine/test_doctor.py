"""doctor lists what is stuck with the way out, and lets it be tried again."""

import json
from datetime import timedelta

import pytest

from billcore.plugins.hookspecs import hookimpl
from billcore.store import health
from billcore.store import refund as refunds
from tests import databases
from tests.builders import HandClock, books, day, refusal

NO = "decline:insufficient_funds"


@pytest.fixture(autouse=True)
def the_server_for_tests_may_forget(monkeypatch):
    """It forces nothing to the disk, which doctor would name every time; that it does is tested with the store."""
    monkeypatch.setattr(health, "_POSTGRESQL", ())


def kinds(billing):
    return [trouble.kind for trouble in billing.doctor().troubles]


def park(billing, reason="ZeroDivisionError: division by zero"):
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_subscriptions SET parked_at = '2026-01-02T00:00:00Z', parked_reason = ?", [reason])


def test_nothing_is_stuck_in_healthy_books() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert billing.doctor().ok


def test_a_parked_subscription_waits_until_it_is_tried_again() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    park(billing)
    billing.run(day("02-05"))
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject, trouble.since) == ("parked subscription", "s1", day("01-02"))
    assert trouble.reason == "ZeroDivisionError: division by zero"
    assert trouble.remedy.endswith("billcore doctor --retry s1")
    assert billing.unpark("s1").parked_at is None
    billing.run(day("02-05"))
    assert billing.doctor().ok
    assert len(billing.invoices.list()) == 2


def test_trying_again_is_written_down() -> None:
    billing = books()
    sub = billing.subscriptions.create("s1", "acme", "pro-m")
    park(billing)
    billing.unpark("s1")
    with billing.database.transaction(reads=True) as tx:
        actor, command, parameters = tx.rows("SELECT actor, command, parameters FROM billcore_audit_log")[-1]
    assert (actor, command, json.loads(parameters)) == ("api", "doctor.unpark", {"id": sub.id})


def test_what_is_not_stuck_is_not_tried_again() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    assert refusal(billing.unpark, "s1").code == "transition_not_allowed"
    assert refusal(billing.unpark, "acme/pay/1").code == "transition_not_allowed"
    assert refusal(billing.unpark, "s2").code == "not_found"


def test_a_payment_in_doubt_says_when_it_is_asked_for_and_can_be_asked_for_now() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default="pending")
    billing.run(day("02-01"))
    (trouble,) = billing.doctor().troubles
    assert trouble.kind == "payment in doubt"
    assert trouble.reason.startswith("pending, 30.00 USD at test, looked up once")
    assert trouble.remedy.startswith("Asked for again at 2026-02-01 00:01; ")
    assert billing.unpark(trouble.subject).next_check_at == day("02-01")


def refund_that_failed(billing):
    """A refund that its gateway refused: the customer is owed what the credit note says."""
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["decline:generic_decline"], default="approve")
    return billing.payments.refund("acme/pay/1", amount="10.00")


def test_a_refund_that_failed_is_owed_until_somebody_says_how_it_is_made_good() -> None:
    billing = books()
    failed = refund_that_failed(billing)
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject, trouble.since) == ("owed refund", failed.id, day("01-01"))
    assert "10.00 USD are owed to the customer" in trouble.reason
    assert trouble.remedy.startswith(f"billcore refunds retry {failed.id}")
    refused = refusal(billing.unpark, failed.id)
    assert refused.code == "parked" and "refunds retry" in refused.remedy
    billing.refunds.retry(failed.id, to="credit")
    assert billing.doctor().ok


def test_a_refund_in_doubt_says_when_it_is_asked_for_and_can_be_asked_for_now() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["pending"], default="approve")
    pending = billing.payments.refund("acme/pay/1")
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject) == ("refund in doubt", pending.id)
    assert trouble.reason.startswith("pending, 30.00 USD at test, asked about once")
    assert billing.unpark("acme/refund/1").next_check_at == day("01-01")


def test_what_was_given_back_twice_is_told_until_the_loss_is_accepted() -> None:
    billing = books(clock=HandClock())
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script(["timeout_before"], default="approve")
    lost = billing.payments.refund("acme/pay/1", amount="10.00")
    for hours in (25, 2, 2):
        billing.clock.time += timedelta(hours=hours)
        billing.run()
    failed = billing.refunds.get(lost.id)
    assert failed.is_owed
    billing.refunds.retry(failed.id, to="external")
    billing.gateway("test").settle(failed.id, "approve")
    billing.unit(lambda scope: refunds.check_now(scope.tx, failed.id, scope.now))
    billing.run()
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject) == ("refunded twice", failed.id)
    assert billing.verify().ok
    billing.unpark(failed.id)
    assert billing.doctor().ok
    assert billing.payments.get("acme/pay/1").refunded == 2000


def test_an_overdue_invoice_that_nothing_will_touch_again() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-03"))
    assert billing.doctor().ok
    billing.run(day("02-20"))
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject) == ("overdue", "acme")
    assert trouble.reason == "30.00 USD on 1 invoice, and nothing more is planned"
    assert trouble.remedy.endswith("billcore subscriptions retry s1")


def test_a_customer_who_owes_for_long_is_listed_once() -> None:
    """A year of unpaid invoices is one trouble, with the sum and the oldest date."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default=NO)
    billing.run(day("06-01"))
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject, trouble.since) == ("overdue", "acme", day("02-01"))
    assert trouble.reason == "150.00 USD on 5 invoices, and nothing more is planned"


def test_a_gateway_that_calls_do_not_reach_is_told_with_its_answer() -> None:
    """They are tried again every hour for ever, so nothing else would say that no money comes in."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.gateway("test").script([], default="unreachable")
    billing.run(day("02-01"))
    assert billing.doctor().ok
    billing.run(day("02-03"))
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject, trouble.since) == ("unreachable gateway", "test", day("02-01"))
    assert trouble.reason.startswith("1 invoice cannot be collected: [gateway_not_sent] The connection was refused")


def test_an_invoice_that_waits_for_an_attempt_which_is_over() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m")
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_invoices SET reserved_by = (SELECT id FROM billcore_payments)")
    assert kinds(billing) == ["reserved invoice"]


def test_work_that_waits_on_a_real_clock_has_no_worker() -> None:
    clock = HandClock()
    billing = books(clock=clock)
    billing.subscriptions.create("s1", "acme", "pro-m")
    clock.time = day("02-01", hour=2)
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.since) == ("waiting work", day("02-01"))


class Deaf:
    """Listens for events and takes none."""

    @hookimpl
    def on_events(self, events):
        raise RuntimeError("no")


def test_events_that_a_listener_did_not_take() -> None:
    """Without a listener they stay in the outbox, and nothing is wrong."""
    billing = books(plugins={})
    billing.registry._given["deaf"] = Deaf()
    billing.registry._loaded = None
    billing.subscriptions.create("s1", "acme", "pro-m")
    report = billing.run(day("01-02"))
    assert report.problems == ("Plugin 'deaf' failed in on_events: RuntimeError: no",)
    assert kinds(billing) == ["undelivered events"]


def test_plugins_that_failed_or_are_disabled(monkeypatch) -> None:
    monkeypatch.setenv("BILLCORE_DISABLED_PLUGINS", "quiet")
    billing = books(plugins={})
    billing.registry._given.update(quiet=Deaf(), broken=type("Broken", (), {"on_event": hookimpl(lambda: None)})())
    billing.registry._loaded = None
    found = {trouble.subject: trouble.reason for trouble in billing.doctor().troubles}
    assert found["quiet"] == "It is disabled."
    assert "there is no hook on_event" in found["broken"]


@pytest.mark.sqlite_only("pragmas are SQLite's")
def test_a_database_that_may_lose_commits(tmp_path) -> None:
    """Promise P4: the pragmas are looked at again, whatever they were when the store was opened."""
    billing = books(databases.at(tmp_path / "b.db"))
    assert billing.doctor().ok
    with billing.database.raw() as connection:
        connection.connection.driver_connection.execute("PRAGMA synchronous = OFF")
    (trouble,) = billing.doctor().troubles
    assert (trouble.kind, trouble.subject, trouble.reason) == ("database", "PRAGMA synchronous", "It is 0, not 2.")
    billing.close()


def test_a_customer_at_the_bank_is_listed_only_after_half_an_hour() -> None:
    """So long he may take; everything else in doubt is listed at once."""
    billing = books(customers=("acme", "bolt"))
    billing.gateway("test").script(["action", "pending"], default="approve")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.subscriptions.create("s2", "bolt", "pro-m")
    assert [one.subject for one in billing.doctor().troubles] == [billing.payments.get("bolt/pay/1").id]
    billing.run(day("2026-01-01T00:29:59"))
    assert len(billing.doctor().troubles) == 1
    billing.run(day("2026-01-01T00:30"))
    assert [one.reason.split(",")[0] for one in billing.doctor().troubles] == ["requires_action", "pending"]
