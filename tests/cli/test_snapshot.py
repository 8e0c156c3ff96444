"""The public surface changes only when somebody wants it to."""

from tests.cli.snapshot import FILE, snapshot


def test_commands_verbs_and_names_are_as_committed():
    """After a wanted change: python -m tests.cli.snapshot"""
    assert snapshot() == FILE.read_text(encoding="utf-8")
