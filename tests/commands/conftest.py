"""Whatever a command did, the books must still prove right.

What is in them is the same on both databases, and so is proved on SQLite alone in a usual run.
"""

import pytest

from tests.share import ALL


@pytest.fixture(autouse=True)
def commands_are_proven(request, stores, database_kind):
    if ALL or database_kind == "sqlite":
        request.getfixturevalue("books_are_proven")
