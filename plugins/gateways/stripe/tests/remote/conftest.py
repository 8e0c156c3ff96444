"""Tests with a sandbox of Stripe's: left out unless they are asked for with `-m remote`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "remote" in (config.getoption("markexpr") or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("remote")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
