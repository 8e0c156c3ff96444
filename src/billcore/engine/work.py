"""What the engine works with, and how one batch of work is opened."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import define

from billcore.clock import Clock
from billcore.commands.scope import Scope
from billcore.plugins.gateway import Gateway
from billcore.plugins.registry import Registry
from billcore.store.database import Database, Transaction

T = TypeVar("T")

BATCH = 1000

IN_DOUBT_AGAIN = timedelta(hours=1)
"""When work is looked at again that an attempt without an outcome holds up."""

OpenScope = Callable[[Transaction, datetime], Scope]
"""Makes the scope of one unit of work at an instant; attempts made in it are leased to this process."""


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Python's cycle collector waits while a batch is worked on, and goes on as before afterwards.

    A batch makes a hundred thousand values that live until its end and refer to each other without cycles: the
    collector would look through them again and again, a fifth of a batch's time, and find nothing to free.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@define
class Workplace:
    """The engine's surroundings: the store, the clock, the gateways, and how a unit of work begins.

    `waits` says what happens about a customer whom another worker keeps: he is waited for, by commands and in
    simulated time, which has one order; otherwise he is left to the other one. Plugins are asked through `registry`.
    """

    database: Database
    clock: Clock
    open_scope: OpenScope
    gateway: Callable[[str], Gateway]
    batch: int = BATCH
    deadline_s: int = 30
    threads: int = 4
    waits: bool = False
    registry: Registry | None = None

    def unit(self, work: Callable[[Scope], T]) -> T:
        """What `work` returns, done in one transaction; what its scope collected is saved at the end.

        All of it may be done again from the start (`Database.unit`): `work` keeps what it finds to itself until it
        returns, and calls no plugin.
        """

        def whole(tx: Transaction) -> T:
            scope = self.open_scope(tx, self.clock.now())
            result = work(scope)
            tx.save(scope.writes)
            return result

        return self.database.unit(whole)

    def moment(self, due: datetime) -> datetime:
        """When work that was due at an instant happens: now; a simulated clock has time for what is still to come.

        What is due before now was planned too late (a step of dunning after a slow answer): it happens now.
        """
        now = self.clock.now()
        return max(due, now) if self.clock.simulated else now
