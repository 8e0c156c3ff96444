"""`billcore run` and `billcore worker`: everything that is due, once or for ever; both stop cleanly."""

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, store_options
from billcore.commands.parameters import instant
from billcore.domain.instants import local_text
from billcore.errors import Refused, StoreError

if TYPE_CHECKING:
    from datetime import datetime

    from billcore.billing import Billing
    from billcore.engine.run import RunReport

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Stop:
    """Whether somebody asked the process to stop, and by which signal."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Asked between batches."""
        return self.number is not None

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Ctrl-C and SIGTERM ask to stop after the batch that runs; the second Ctrl-C stops at once."""
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        click.echo("stopping after this batch; Ctrl-C again stops at once", err=True)


workers_option = click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="So many processes (PostgreSQL)."
)


@click.command(short_help="Do everything that is due: renew, collect, retry.")
@click.option("--until", metavar="DATE", help="Up to and including then.  [default: now]")
@workers_option
@json_option
@store_options
@pass_app
def run(app: App, until: str | None, workers: int) -> None:
    """Do everything that is due: start, renew, collect, retry, end.

    On a store with a simulated clock --until moves time forward, each piece of work at its own instant.
    Ctrl-C stops cleanly after the batch that runs; the next run goes on from there. Several --workers share the
    customers; when one fails the others go on, and its error ends the command.
    """
    with app.billing() as billing, Stop().listening() as stop:
        zone = str(billing.settings.list()["timezone"])
        end = instant(until, zone) if until is not None else None
        before = billing.clock.now()
        report = _run(app, billing, end, workers, stop)
        if end is not None and end < before and not report.total and not app.json:
            click.echo(f"Nothing was due: the time is {local_text(before, zone)} already.")
        else:
            _tell(app, report, zone)
        if report.stopped and stop.number is not None:
            raise SystemExit(trouble.stopped_by(stop.number))


@click.command(short_help="Do what is due, for ever.")
@click.option("--every", metavar="TIME", default="10s", show_default=True, help="Pause: 10s, 5m or 1h.")
@workers_option
@json_option
@store_options
@pass_app
def worker(app: App, every: str, workers: int) -> None:
    """Do what is due, wait, and do it again, until Ctrl-C or SIGTERM stops it cleanly.

    A database that is locked or full is tried again, and a server that is away; anything worse ends the worker with
    its message. Of several --workers that share the customers the first that fails ends all of them.
    """
    from billcore.cli.workers import rest

    pause = _seconds(every)
    with app.billing() as billing, Stop().listening() as stop:
        if billing.clock.simulated:
            raise Refused(
                "not_supported",
                "A worker follows the system's clock; this store has a simulated one.",
                remedy="Move its time with: billcore run --until DATE.",
            )
        zone = str(billing.settings.list()["timezone"])
        if not app.json:
            click.echo(f"working every {every}; Ctrl-C stops", err=True)
        if workers > 1:
            _work_together(app, zone, workers, pause, stop)
        while not stop():
            _round(app, billing, zone, stop)
            rest(pause, stop)
        click.echo("stopped cleanly", err=True)


def _run(app: App, billing: "Billing", end: "datetime | None", workers: int, stop: Stop) -> "RunReport":
    """One run, by this process or by several; what they left, and what only one of them does, this one does."""
    from billcore.cli.output.progress import watched
    from billcore.cli.workers import crew_of, run_together
    from billcore.engine.run import RunReport

    zone, now = str(billing.settings.list()["timezone"]), billing.clock.now()
    with watched(now, end or now, zone) as watch:
        if workers == 1:
            return billing.run(end, watch=watch, stop=stop)
        with crew_of(app, workers, until=end or (now if billing.clock.simulated else None)) as crew:
            report = run_together(crew, RunReport(now), watch, stop)
        return report if report.stopped else report.plus(billing.run(end, stop=stop))


def _work_together(app: App, zone: str, workers: int, pause: int, stop: Stop) -> None:
    """Let several processes work until they are asked to stop, or one of them fails."""
    from billcore.cli.workers import crew_of, failure
    from billcore.commands.plain import from_plain
    from billcore.engine.run import RunReport

    failed = None
    with crew_of(app, workers, every=pause) as crew:
        for told in crew.told(stop):
            match told.kind:
                case "report":
                    report = from_plain(told.content, RunReport)
                    if report.total or report.problems or app.json:
                        _tell(app, report, zone)
                case "warning":
                    click.echo(f"worker {told.worker}: {told.content}", err=True)
                case "failed":
                    failed = failed or failure(told, workers)
                    crew.ask_to_stop()
    if failed is not None:
        raise failed


def _round(app: App, billing: "Billing", zone: str, stop: Stop) -> None:
    """One run; what passes by itself is told and left to the next one."""
    from billcore.cli.workers import passes

    try:
        report = billing.run(stop=stop)
    except StoreError as error:
        if not passes(error, billing):
            raise
        click.echo(f"error [{error.code}]: {error.message} Trying again.", err=True)
        return
    if report.total or report.problems or app.json:
        _tell(app, report, zone)


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6}) ?([smh]?)", text.strip())
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a pause. Write 10s, 5m or 1h.", param_hint="--every")
    return int(found[1]) * _UNITS[found[2]]


def _tell(app: App, report: "RunReport", zone: str) -> None:
    """What a run did, in one line; what plugins did wrong on standard error."""
    from billcore.cli.output.screen import day
    from billcore.commands.plain import to_plain
    from billcore.domain.words import counted

    if app.json:
        click.echo(json.dumps({**to_plain(report), "total": report.total}))
        return
    for problem in report.problems:
        click.echo(f"warning: {problem}", err=True)
    parts = [
        counted(report.actions, "subscription date"),
        counted(report.collections, "collection"),
        counted(report.webhooks, "webhook"),
        counted(report.checks, "check") + " of open payments",
        counted(report.refunds, "refund"),
        counted(report.steps, "dunning step"),
    ]
    done = [part for part in parts if not part.startswith("0 ")]
    if report.left:
        click.echo(f"{counted(report.left, 'customer')} in the hands of other workers: left to them.", err=True)
    did = ", ".join(done) if done else "nothing was due"
    if report.stopped:
        click.echo(f"Stopped cleanly: {did}. The next run goes on from there.")
    else:
        click.echo(f"Done up to {day(report.until, zone)}: {did}.")
