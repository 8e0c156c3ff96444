"""Hands on every transaction that the engine has written, and counts its rows."""

from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter_ns

from billcore.bench.floor import Statement
from billcore.store.database import COMMIT
from billcore.store.mapping import Row

_VERBS = {"INSERT": "inserted", "COPY": "inserted", "UPDATE": "updated"}

HandOn = Callable[[Sequence[Statement]], int]
"""Takes one transaction and says how many nanoseconds the floor took for it."""


class Recorder:
    """An observer of the store.

    `rows` counts by (table, inserted or updated). `floor_ns` is what the floor took for them, `spent_ns` the time
    that all this took, which is not the engine's.
    """

    def __init__(self, hand_on: HandOn) -> None:
        self.rows: Counter[tuple[str, str]] = Counter()
        self.transactions = 0
        self.floor_ns = 0
        self.spent_ns = 0
        self._hand_on = hand_on
        self._statements: list[Statement] = []

    def __call__(self, sql: str, rows: Sequence[Row]) -> None:
        """One statement, or the end of a transaction."""
        begun = perf_counter_ns()
        if sql != COMMIT:
            self._statements.append((sql, rows))
            self.rows[_target(sql)] += len(rows)
        elif self._statements:
            self.floor_ns += self._hand_on(self._statements)
            self.transactions += 1
            self._statements.clear()
        self.spent_ns += perf_counter_ns() - begun


def _target(sql: str) -> tuple[str, str]:
    """The table that a statement writes to, and what it does there."""
    words = sql.split(None, 3)
    verb = words[0]
    return (words[2] if verb == "INSERT" else words[1]), _VERBS[verb]
