"""What all tests share: the long ones begin first, so that nobody waits for them at the end."""

import pytest

FIRST = ("tests/demo/test_telco.py", "tests/engine/test_crash.py", "tests/engine/test_at_once.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
