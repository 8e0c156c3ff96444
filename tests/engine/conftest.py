"""Tests of the engine run on both databases."""

import pytest


@pytest.fixture(autouse=True)
def on_both_databases(stores):
    """Whatever else a test asks for."""
