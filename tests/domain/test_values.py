"""Copies of frozen values: the same whether the class has slots or a dictionary."""

import pytest
from attrs import field, frozen

from billcore.domain.values import STAYS, evolve, stays


@frozen
class Slotted:
    id: str = field(metadata=STAYS)
    amount: int
    note: str | None = None


@frozen(slots=False)
class Wide:
    id: str = field(metadata=STAYS)
    amount: int
    note: str | None = None


both = pytest.mark.parametrize("kind", [Slotted, Wide])


@both
def test_a_copy_has_what_was_changed_and_the_rest(kind):
    value = kind("a", 1, "kept")
    assert evolve(value, amount=2) == kind("a", 2, "kept")
    assert value == kind("a", 1, "kept")
    assert evolve(value) == value


@both
def test_a_copy_is_frozen_too(kind):
    with pytest.raises(AttributeError):
        evolve(kind("a", 1), amount=2).amount = 3


@both
def test_a_field_that_is_not_there_is_not_made(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no 'amuont'"):
        evolve(kind("a", 1), amuont=2)


@both
def test_what_is_written_once_is_not_changed(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}\.id stays as it is"):
        evolve(kind("a", 1), id="b")
    assert stays(kind) == {"id"}
