"""The page about the suite says what the suite does."""

from billcore.testing.gateway import GatewayConformance
from tests.testing import reference


def test_the_page_is_as_the_suite_is():
    """Write it anew with `python -m tests.testing.reference`."""
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


def test_every_check_stands_on_it():
    text = reference.page()
    assert [name for name in dir(GatewayConformance) if name.startswith("test_") and f"| `{name}` |" not in text] == []
