"""Entries: one row holds both sides (behaviour 10)."""

from billcore.domain import ledger


def test_the_sides_follow_the_sign_and_zero_is_no_entry() -> None:
    assert ledger.sides("a", "b", 5) == ("a", "b", 5)
    assert ledger.sides("a", "b", -5) == ("b", "a", 5)
    assert ledger.sides("a", "b", 0) is None


def test_each_gateway_has_its_cash() -> None:
    assert ledger.cash("test") == "cash:test"
