"""Whatever a test did to its books, they must still prove right, unless it damaged them on purpose (behaviour 10)."""

import pytest

from tests import builders


@pytest.fixture(autouse=True)
def on_both_databases(stores):
    """All of them run on SQLite and on PostgreSQL."""


@pytest.fixture
def books_are_proven(stores):
    yield
    for billing in builders.OPENED:
        proof = billing.verify()
        assert proof.ok, proof.findings
