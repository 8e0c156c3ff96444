"""Speed is designed in: what a batch asks the database for does not grow with the batch."""

import pytest

from billcore.bench.book import SETTINGS, START, UNTIL, make_book
from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.store.transaction import Transaction
from tests import databases


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
