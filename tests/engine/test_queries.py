"""Speed is designed in: what a batch asks the database for does not grow with the batch."""

import pytest

from billcore.bench.book import SETTINGS, START, UNTIL, make_book
from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.store.transaction import Transaction
from tests import databases
from tests.builders import books, day


@pytest.fixture
def asked(monkeypatch):
    """Every query, on whichever database."""
    queries = []
    for kind in Transaction.__subclasses__():
        for name in ("rows", "one"):
            inner = getattr(kind, name)

            def noting(self, sql, values=(), *, inner=inner):
                queries.append(sql)
                return inner(self, sql, values)

            monkeypatch.setattr(kind, name, noting)
    return queries


def queries_of(asked, subscriptions):
    with Billing(databases.fresh(), clock=SimulatedClock(START), settings=SETTINGS, seed=1) as billing:
        make_book(billing, subscriptions, lambda _made: None)
        asked.clear()
        report = billing.run(UNTIL)
        assert report.actions == report.collections == subscriptions
    return len(asked)


def test_a_batch_of_sixty_renewals_asks_no_more_than_one_of_twenty(stores, asked) -> None:
    """Renewed, invoiced, charged and settled: one query for a thing, not one for each subscription."""
    assert queries_of(asked, 60) == queries_of(asked, 20)


def queries_of_addons(asked, customers):
    names = [f"c{place}" for place in range(customers)]
    billing = books(customers=names)
    for name in names:
        billing.subscriptions.create(f"s-{name}", name, "pro-y", ends_at="2026-02-15")
        billing.subscriptions.create(f"a-{name}", name, "support-m", base=f"s-{name}")
    asked.clear()
    assert billing.run(day("02-05")).actions == customers
    return len(asked)


def test_what_add_ons_that_renew_belong_to_is_asked_for_once(asked) -> None:
    assert queries_of_addons(asked, 6) == queries_of_addons(asked, 3)
