"""Whatever a test did to its books, they must still prove right (behaviour 10).

What is in them is the same on both databases, and so is proved on SQLite alone in a usual run.
"""

import pytest

from tests import builders
from tests.share import ALL


@pytest.fixture(autouse=True)
def books_are_proven(stores, database_kind):
    yield
    for billing in builders.OPENED if ALL or database_kind == "sqlite" else ():
        proof = billing.verify()
        assert proof.ok, proof.findings
