"""Claims: whose due work this worker does now. A customer is one worker's until the end of a unit of work."""

from collections.abc import Sequence

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.engine.agenda import Due
from billcore.engine.work import Workplace


@frozen
class Worked:
    """What came of some due work: how many rows this worker has done, and customers that another worker keeps.

    `problems` are plugins that were asked in vain.
    """

    done: int = 0
    left: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()

    def __add__(self, other: "Worked") -> "Worked":
        return Worked(self.done + other.done, self.left | other.left, self.problems + other.problems)


@frozen
class Claim:
    """The rows of due work that are ours to the end of the unit, and the customers that another worker keeps."""

    rows: tuple[Due, ...]
    left: frozenset[str]

    def worked(self, done: int) -> Worked:
        """What a unit of work reports that has done so many; the others somebody else had done before the claim."""
        return Worked(done, self.left)


def claim(place: Workplace, scope: Scope, due: Sequence[Due]) -> Claim:
    """Keep the customers of due work. What is decided on is read after that: another worker may have done it.

    Where the place does not wait, customers that somebody else keeps are left to him.
    """
    wanted = {row.customer_id for row in due}
    kept = scope.keep_all(wanted, skip=not place.waits)
    if len(kept) == len(wanted):
        return Claim(tuple(due), frozenset())
    return Claim(tuple(row for row in due if row.customer_id in kept), frozenset(wanted - kept))
