"""Copies of frozen values: the same whether the class has slots, a dictionary, or stands in a table."""

import attrs
import pytest
from attrs import frozen

from billcore.domain.values import Stored, evolve


@frozen
class Slotted:
    id: str
    amount: int
    note: str | None = None


@frozen(slots=False)
class Wide:
    id: str
    amount: int
    note: str | None = None


@frozen(slots=False)
class Row(Stored):
    id: str
    amount: int
    note: str | None = None


every_kind = pytest.mark.parametrize("kind", [Slotted, Wide, Row])


@every_kind
def test_a_copy_has_what_was_changed_and_the_rest(kind):
    value = kind("a", 1, "kept")
    assert evolve(value, amount=2) == kind("a", 2, "kept")
    assert value == kind("a", 1, "kept")
    assert evolve(value) == value


@every_kind
def test_a_copy_is_frozen_too(kind):
    with pytest.raises(AttributeError):
        evolve(kind("a", 1), amount=2).amount = 3


@every_kind
def test_a_field_that_is_not_there_is_not_made(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no 'amuont'"):
        evolve(kind("a", 1), amuont=2)


def read(*values):
    row = Row(*values)
    row.mark_read()
    return row


def test_a_copy_of_what_was_read_knows_all_fields_in_which_it_may_differ():
    row = read("a", 1)
    assert row.changed == frozenset()
    once = evolve(row, amount=2)
    assert once.changed == {"amount"}
    assert evolve(evolve(once, note="n"), amount=1).changed == {"amount", "note"}
    assert once.changed == {"amount"} and row.changed == frozenset()


def test_what_was_not_read_may_differ_in_every_field():
    """It may replace a row that has other values everywhere; so may a copy that another function has made."""
    assert Row("a", 1).changed is None
    assert evolve(Row("a", 1), amount=2).changed is None
    rebuilt = attrs.evolve(read("a", 1), amount=2)
    assert rebuilt.changed is None
    assert evolve(rebuilt, note="n").changed is None


def test_what_a_copy_knows_is_no_part_of_its_value():
    assert evolve(read("a", 1), amount=2) == Row("a", 2)
    assert repr(evolve(read("a", 1), amount=2)) == repr(Row("a", 2))
    assert attrs.asdict(read("a", 1)) == {"id": "a", "amount": 1, "note": None}
