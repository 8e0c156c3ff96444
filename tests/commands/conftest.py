"""Whatever a test did to its books, they must still prove right (behaviour 10)."""

import pytest

from tests import builders


@pytest.fixture(autouse=True)
def books_are_proven(stores):
    yield
    for billing in builders.OPENED:
        proof = billing.verify()
        assert proof.ok, proof.findings
