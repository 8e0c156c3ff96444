"""The questions that a run asks again and again are answered by their indexes, however many rows there are."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from billcore.domain.credit import Allocation
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.dunning import DunningCase
from billcore.domain.event import Event
from billcore.domain.inbox import InboxEvent
from billcore.domain.refund import Refund
from billcore.domain.usage import UsageEvent
from billcore.domain.writes import Writes
from billcore.store import crediting, customer, inbox, invoice, journal, payment, refund, subscription, tables, usage
from billcore.store.due import Among
from tests import databases
from tests.builders import START, books, credit, item
from tests.builders import invoice as an_invoice
from tests.builders import payment as a_payment
from tests.builders import subscription as a_subscription

ROWS = 4_000
SOON = START + timedelta(minutes=30)
SOME = ["cus_17", "cus_170", "cus_1700"]


def one_of_each(n, price):
    """What a customer may have, each with something planned `n` minutes after the start."""
    at = START + timedelta(minutes=n)
    who, sub, paid = f"cus_{n}", f"sub_{n}", f"pay_{n}"
    owner = {"customer_id": who}
    yield Customer(who, f"c{n}", START)
    yield PaymentMethod(f"pm_{n}", who, "test", "card", "approve", START)
    yield a_subscription(id=sub, reference=f"s{n}", price_id=price, next_action_at=at, **owner)
    yield item(id=f"itm_{n}", subscription_id=sub, price_id=price)
    overdue = n % 50 == 17
    yield an_invoice(id=f"inv_{n}", number=n + 1, number_text=f"{n}", collect_at=at, overdue=overdue, **owner)
    yield a_payment(id=paid, invoice_id=f"inv_{n}", idempotency_key=paid, next_check_at=at, **owner)
    given = {"cause": "refund", "to": "method", "amount": 1, "currency": "USD", "gateway": "test", "request": "{}"}
    yield Refund(
        f"ref_{n}", who, paid, 1, f"r{n}", **given, status="pending", created_at=START, sends=1, next_check_at=at
    )
    yield Allocation(f"all_{n}", who, f"inv_{n}", "USD", "credits", f"crd_{n}", START, 5)
    yield credit(id=f"crd_{n}", remaining=5 if overdue else 0, **owner)
    yield DunningCase(f"dun_{n}", who, "USD", START, next_step_at=at)
    used = {"component": "calls", "quantity": Decimal(1), "at": START, "recorded_at": START}
    yield UsageEvent(f"use_{n}", who, sub, f"itm_{n}", event_id=f"{n}", line_id=None if overdue else "lin_1", **used)
    yield Event(f"evt_{n}", who, START, "invoice.issued", "inv_1", "{}", None if overdue else START)
    yield InboxEvent(f"whk_{n}", "test", f"{n}", START, "payment", "", "{}", "", next_try_at=at, customer_id=who)


@pytest.fixture(scope="module")
def crowded(database_kind, tmp_path_factory):
    """A store in which thousands of rows have something planned; a few of it is due by `SOON`. All only read it.

    It is a new one: indexes that other tests have filled and emptied are longer than their rows, and less used.
    """
    with databases.stores(database_kind) as made:
        billing = books(made.own(tmp_path_factory.mktemp("crowded") / "books.db"), customers=())
        _crowd(billing)
        yield billing


def _crowd(billing):
    with billing.database.transaction() as tx:
        price = tx.one("SELECT id FROM billcore_catalog WHERE code = 'pro-m'")[0]
        writes = Writes()
        for n in range(ROWS):
            for record in one_of_each(n, price):
                writes.add(record)
        tx.save(writes)
        tx.execute("ANALYZE")


DUE = {
    "billcore_inbox_due": inbox.due,
    "billcore_subscriptions_due": subscription.due,
    "billcore_invoices_collect": invoice.due,
    "billcore_payments_open": payment.due_checks,
    "billcore_refunds_open": refund.due_checks,
    "billcore_dunning_cases_due": payment.due_steps,
}
OFTEN = {
    "billcore_invoices_overdue": lambda tx: invoice.overdue(tx, SOME),
    "billcore_credits_open": lambda tx: payment.open_credits(tx, SOME),
    "billcore_dunning_cases_open": lambda tx: payment.open_cases(tx, SOME),
    "billcore_allocations_invoice": lambda tx: crediting.allocations(tx, ["inv_17"]),
    "billcore_invoices_customer": lambda tx: crediting.still_due(tx, "cus_17", "USD"),
    "billcore_events_waiting": lambda tx: journal.waiting_events(tx, 100),
    "billcore_subscriptions_customer": lambda tx: subscription.of_customers(tx, SOME, {}),
    "billcore_payment_methods_customer": lambda tx: customer.methods(tx, SOME),
    "billcore_usage_events_unbilled": lambda tx: list(usage.unbilled(tx, [("itm_17", START, START, SOON)])),
}


def reads_whole(index, plan):
    """Whether the table of an index is read from its beginning to its end."""
    table = max((name for name in tables.metadata.tables if index.startswith(name)), key=len)
    return re.search(rf"SCAN {table}\b(?! USING)|Seq Scan on {table}\b", plan)


def test_what_is_asked_for_again_and_again_is_found_by_its_index(crowded) -> None:
    """Partial indexes: those of what is planned hold nothing of what is over, so they stay small for ever."""
    reading = {name: lambda tx, read=read: read(tx, SOON, 1000) for name, read in DUE.items()} | OFTEN
    with crowded.database.transaction(reads=True) as tx:
        for index, read in reading.items():
            plan = databases.plan(tx, read)
            assert index in plan and not reads_whole(index, plan), f"{index}: {plan}"


def test_what_was_returned_and_what_pays_an_invoice_is_found_without_reading_whole_tables(crowded) -> None:
    page = {"customer_id": None, "status": None, "after": None, "limit": 50}
    questions = {
        "billcore_allocations": lambda tx: crediting.returned_for(tx, ["cus_17"], ["crn_17", "lin_17"]),
        "billcore_payments": lambda tx: payment.page(tx, invoice_id="inv_17", **page),
    }
    with crowded.database.transaction(reads=True) as tx:
        for table, read in questions.items():
            plan = databases.plan(tx, read)
            assert not reads_whole(table, plan), f"{table}: {plan}"


def test_a_part_of_the_due_work_is_found_by_the_same_index(crowded) -> None:
    """A worker leaves out the customers whom others keep; one call collects for its own customers only.

    Those of a few customers are found by their customers where that is quicker.
    """
    with crowded.database.transaction(reads=True) as tx:
        for among, count in ((Among(without=SOME), 30), (Among(customers=[f"cus_{n}" for n in range(20)]), 20)):
            for index, read in DUE.items():
                assert len(read(tx, SOON, 1000, among)) == count
                plan = databases.plan(tx, lambda tx, read=read, among=among: read(tx, SOON, 1000, among))
                assert not reads_whole(index, plan), f"{index}: {plan}"
                assert index in plan or among.customers, f"{index}: {plan}"
