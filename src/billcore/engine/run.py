"""The engine's loop: finds what is due, does it in batches in order of time, until nothing is due (behaviour 2.5)."""

from collections.abc import Callable, Collection
from datetime import datetime

from attrs import field, frozen

from billcore.domain.payment import Payment
from billcore.engine.actions import do_actions
from billcore.engine.agenda import Agenda, Due, read_agenda
from billcore.engine.collection import collect, send
from billcore.engine.dunning import do_steps
from billcore.engine.resolving import resolve
from billcore.engine.work import Workplace, without_garbage_collection
from billcore.store import invoice as invoices
from billcore.store.types import text_to_instant


@frozen
class RunReport:
    """What a run did: how many subscription actions, collections, checks and dunning steps, and up to when.

    `stopped` is True when it was asked to stop before everything was done; the next run goes on. `problems` are
    plugins that did not take the events they listen for; those are offered again by the next run.
    """

    until: datetime
    actions: int = 0
    collections: int = 0
    checks: int = 0
    steps: int = 0
    stopped: bool = False
    problems: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All pieces of work."""
        return self.actions + self.collections + self.checks + self.steps


@frozen
class Progress:
    """Where a run stands, told after every batch."""

    at: datetime
    done: int
    batch: int = field(default=0)


Watcher = Callable[[Progress], None]


def unwatched(_progress: Progress) -> None:
    """Nobody looks."""


def run(
    place: Workplace,
    until: datetime,
    *,
    watch: Watcher = unwatched,
    stop: Callable[[], bool] = lambda: False,
    customers: Collection[str] | None = None,
) -> RunReport:
    """Do everything that is due up to and including `until`; of these customers only, where given.

    `stop` is asked between batches: True ends the run cleanly.
    """
    done = [0, 0, 0, 0]
    while True:
        if stop():
            return _report(until, done, stopped=True)
        with place.database.transaction(reads=True) as tx:
            agenda = read_agenda(tx, until, place.batch, customers)
        if not agenda:
            break
        if place.clock.simulated and agenda.first > place.clock.now():
            place.clock.advance(agenda.first)
        with without_garbage_collection():
            _do(place, agenda, done)
        watch(Progress(agenda.first, sum(done), len(agenda)))
    return _report(until, done)


def deliver_sends(place: Workplace, sends: Collection[Payment], customers: Collection[str]) -> None:
    """What a verb left to do after its commit: its attempts, and the collection of what is due by now."""
    if sends:
        send(place, list(sends))
    if customers:
        while True:
            now = place.clock.now()
            with place.database.transaction(reads=True) as tx:
                rows = invoices.due(tx, now, place.batch, customers)
            if not rows:
                return
            collect(place, [Due(text_to_instant(at), row_id) for at, _, row_id in rows])


def _report(until: datetime, done: list[int], *, stopped: bool = False) -> RunReport:
    actions, collections, checks, steps = done
    return RunReport(until, actions, collections, checks, steps, stopped)


def _do(place: Workplace, agenda: Agenda, done: list[int]) -> None:
    if agenda.actions:
        do_actions(place, agenda.actions)
        done[0] += len(agenda.actions)
    if agenda.collections:
        done[1] += collect(place, agenda.collections)
    if agenda.checks:
        done[2] += resolve(place, agenda.checks)
    if agenda.steps:
        done[3] += do_steps(place, agenda.steps)
