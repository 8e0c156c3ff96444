"""The engine's loop: finds what is due, does it in batches in order of time, until nothing is due (behaviour 2.5)."""

import time
from collections.abc import Callable, Collection
from datetime import datetime

from attrs import define, evolve, field, frozen

from billcore.commands.scope import Scope
from billcore.domain.payment import Outcome, Payment
from billcore.domain.refund import Refund
from billcore.domain.writes import Writes
from billcore.engine.actions import do_actions
from billcore.engine.agenda import Agenda, Due, read_agenda
from billcore.engine.claims import Worked
from billcore.engine.collection import Settled, collect, plan_attempts, record, send
from billcore.engine.dunning import do_steps
from billcore.engine.inbox import hear
from billcore.engine.refunding import Told, check_refunds, record_refunds, send_refunds
from billcore.engine.resolving import resolve
from billcore.engine.work import Workplace, without_garbage_collection
from billcore.store import invoice as invoices
from billcore.store.database import Transaction
from billcore.store.due import EVERYBODY, Among
from billcore.store.types import text_to_instant

PATIENCE = 12
"""How often customers that others keep are looked at again before they are left to them: about four seconds."""


KINDS = ("webhooks", "actions", "collections", "checks", "refunds", "steps")
"""The kinds of due work, in the order in which one instant has them."""


@frozen
class RunReport:
    """What a run did, kind by kind, and up to when; `actions` are of subscriptions, `steps` of dunning cases.

    `stopped` is True when it was asked to stop before everything was done; the next run goes on. `left` counts
    customers whose due work was left to others, who kept them all the time. `problems` are plugins that did not take
    the events they listen for; those are offered again by the next run.
    """

    until: datetime
    webhooks: int = 0
    actions: int = 0
    collections: int = 0
    checks: int = 0
    refunds: int = 0
    steps: int = 0
    stopped: bool = False
    left: int = 0
    problems: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All pieces of work."""
        return sum(getattr(self, kind) for kind in KINDS)

    def plus(self, other: "RunReport") -> "RunReport":
        """This and what another run did, of another slice or later: what was left counts as the later one says."""
        return evolve(
            other,
            until=max(self.until, other.until),
            stopped=self.stopped or other.stopped,
            problems=(*self.problems, *other.problems),
            **{kind: getattr(self, kind) + getattr(other, kind) for kind in KINDS},
        )


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
    end: datetime | None,
    *,
    watch: Watcher = unwatched,
    stop: Callable[[], bool] = lambda: False,
    slice: tuple[int, int] | None = None,
) -> RunReport:
    """Do everything that is due up to and including `end`, or by now, and that nobody else does at the moment.

    By now goes on with the time that it takes. `stop` is asked between batches: True ends the run cleanly. Of several
    workers each has a `slice`; whoever is done with his helps with the others'. In simulated time he does not: each
    customer's work has its own instants there, and his worker has not come to them yet.
    """
    report = _run(place, RunReport(end or place.clock.now()), end, watch, stop, Among(slice=slice))
    if slice is not None and not place.clock.simulated and not report.stopped:
        report = _run(place, report, end, watch, stop, EVERYBODY)
    return report


def _run(
    place: Workplace,
    report: RunReport,
    end: datetime | None,
    watch: Watcher,
    stop: Callable[[], bool],
    among: Among,
) -> RunReport:
    """Do what is due among some customers; returns the report with it."""
    others = _Others()
    while not stop():
        until = end or place.clock.now()
        report = evolve(report, until=until)
        with place.database.transaction(reads=True) as tx:
            paused = place.open_scope(tx, until).settings.paused
            agenda = read_agenda(tx, until, place.batch, evolve(among, without=others.keep), paused=paused)
        if not agenda:
            if others.may_be_done():
                return evolve(report, left=len(others.keep))
            continue
        if place.clock.simulated and agenda.first > place.clock.now():
            place.clock.advance(agenda.first)
        with without_garbage_collection():
            report = _do(place, agenda, report, others)
        watch(Progress(agenda.first, report.total, len(agenda)))
    return evolve(report, stopped=True, left=len(others.keep))


def deliver_sends(place: Workplace, sends: Collection[Payment | Refund], customers: Collection[str]) -> None:
    """What a verb left to do after its commit: its attempts and refunds, and the collection of what is due by now.

    Its caller waits for the answer, so customers that somebody else keeps are waited for.
    """
    place = evolve(place, waits=True)
    send(place, [one for one in sends if isinstance(one, Payment)])
    send_refunds(place, [one for one in sends if isinstance(one, Refund)])
    if customers:
        while True:
            now = place.clock.now()
            with place.database.transaction(reads=True) as tx:
                rows = invoices.due(tx, now, place.batch, Among(customers))
            if not rows:
                return
            collect(place, [Due(text_to_instant(at), customer, row_id) for at, customer, row_id in rows])


def approve_all(place: Workplace, tx: Transaction, scope: Scope) -> list[Writes]:
    """Save what a dry run has made, and send and collect as if every gateway had approved (behaviour 3.8).

    Returns all that was written.
    """
    now = place.clock.now()
    made = scope.save()
    approving = place.open_scope(tx, now)
    _approve(approving, scope.sends)
    made += approving.save()
    while rows := invoices.due(tx, now, place.batch, Among(scope.collects)) if scope.collects else ():
        planning, approving = place.open_scope(tx, now), place.open_scope(tx, now)
        planning.keep_all({customer for _, customer, _ in rows})
        due = [Due(text_to_instant(at), customer, row_id) for at, customer, row_id in rows]
        sends, _ = plan_attempts(place, planning, due, {})
        made += planning.save()
        _approve(approving, sends)
        made += approving.save()
    return made


def _approve(scope: Scope, sends: Collection[Payment | Refund]) -> None:
    now = scope.now
    charges = [one for one in sends if isinstance(one, Payment)]
    record(scope, [Settled(one.id, one.customer_id, Outcome("approved", one.amount), now) for one in charges])
    told = [Told(one, Outcome("approved", one.amount), now) for one in sends if isinstance(one, Refund)]
    while told:
        told = record_refunds(scope, told)
        scope.flush()


@define
class _Others:
    """Customers that other workers keep: left out while there is anything else to do, and then looked at again."""

    keep: frozenset[str] = frozenset()
    rounds: int = 0

    def may_be_done(self) -> bool:
        """Whether nothing is left for this run; otherwise it has waited a moment, and all are looked at again."""
        if not self.keep or self.rounds == PATIENCE:
            return True
        self.rounds += 1
        self.keep = frozenset()
        time.sleep(self.rounds / 20)
        return False

    def note(self, worked: Worked) -> None:
        """What one kind of work came to: while anything is done, there is patience."""
        self.keep |= worked.left
        if worked.done:
            self.rounds = 0


def _do(place: Workplace, agenda: Agenda, report: RunReport, others: _Others) -> RunReport:
    kinds = (
        ("webhooks", hear, agenda.webhooks),
        ("actions", do_actions, agenda.actions),
        ("collections", collect, agenda.collections),
        ("checks", resolve, agenda.checks),
        ("refunds", check_refunds, agenda.refunds),
        ("steps", do_steps, agenda.steps),
    )
    for kind, work, due in kinds:
        if due:
            worked = work(place, due)
            others.note(worked)
            problems = tuple(dict.fromkeys((*report.problems, *worked.problems)))
            report = evolve(report, problems=problems, **{kind: getattr(report, kind) + worked.done})
    return report
