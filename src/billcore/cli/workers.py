"""Several processes that do the due work of one command, each with its slice of the customers (PostgreSQL).

Each is `python -m billcore.cli.workers`: it is told its task on standard input, in JSON, and tells what it does on
standard output, a line of JSON at a time. When its standard input closes, because who started it is gone, it stops
after the batch that runs. Ctrl-C is for the one who started it.
"""

import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import IO, Any

from attrs import define, frozen

from billcore.billing import Billing
from billcore.cli import trouble
from billcore.cli.context import App
from billcore.commands.plain import from_plain, to_plain
from billcore.engine.run import Progress, RunReport, Watcher
from billcore.errors import BillcoreError, Refused, StoreError

PASSING = frozenset({"database_locked", "database_full", "version_conflict"})
"""Conditions that pass by themselves: a worker says so and tries again."""

AWAY = frozenset({"database_unreachable", "commit_unknown"})
"""What a server says that is away for longer than a unit of work has patience; of a file they are said for good."""

Stop = Callable[[], bool]


@frozen
class Task:
    """What a worker process is told: which store, which slice, up to when, or how long to pause between rounds."""

    database: str
    actor: str | None
    slice: tuple[int, int]
    until: str | None = None
    every: int | None = None


@frozen
class Told:
    """One line of a worker, counted from 1: a report, progress, a warning, or that it failed."""

    worker: int
    kind: str
    content: Any


class Workers:
    """The processes of one command, from their start to their end."""

    def __init__(self, app: App, count: int, *, until: datetime | None = None, every: int | None = None) -> None:
        self.count = count
        self._told: SimpleQueue[Told] = SimpleQueue()
        self._children: dict[int, subprocess.Popen[str]] = {}
        self._asked = False
        end = until.isoformat() if until is not None else None
        for number in range(1, count + 1):
            self._start(number, Task(app.url, app.actor, (number - 1, count), end, every))

    def told(self, stop: Stop) -> Iterator[Told]:
        """What they tell until all have ended; with `stop` they are asked to end after the batch that runs.

        Whoever ends without having said why has failed: a signal, or no memory.
        """
        running = set(self._children)
        while running:
            if stop():
                self.ask_to_stop()
            try:
                told = self._told.get(timeout=1)
            except Empty:
                continue
            if told.kind == "ended":
                running.discard(told.worker)
                code = self._children[told.worker].wait()
                # Who was asked to stop before he could listen to it had not begun yet.
                stopped = self._asked and code == -signal.SIGTERM
                if told.content == "silent" and not stopped:
                    yield Told(told.worker, "failed", {"code": "internal", "message": _end(code), "remedy": ""})
                continue
            yield told

    def ask_to_stop(self) -> None:
        """Ask all to end after the batch that runs; once is enough."""
        if not self._asked:
            self._asked = True
            for child in self._children.values():
                child.terminate()

    def close(self) -> None:
        """End those that are there still, at once."""
        for child in self._children.values():
            child.kill()
            child.wait()
            with suppress(BrokenPipeError):  # What it was not there to read any more.
                _input(child).close()

    def _start(self, number: int, task: Task) -> None:
        child = subprocess.Popen(
            [sys.executable, "-m", "billcore.cli.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._children[number] = child
        told = _input(child)
        with suppress(BrokenPipeError):  # Who ended before it was told its task is heard of by who listens.
            told.write(json.dumps(to_plain(task)) + "\n")
            told.flush()
        Thread(target=self._listen, args=(number, child), name=f"billcore-worker-{number}", daemon=True).start()

    def _listen(self, number: int, child: "subprocess.Popen[str]") -> None:
        end = "silent"
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                kind, content = json.loads(line)
                if kind in ("failed", "done"):
                    end = kind
                if kind != "done":
                    self._told.put(Told(number, kind, content))
        self._told.put(Told(number, "ended", end))


@contextmanager
def crew_of(app: App, count: int, *, until: datetime | None = None, every: int | None = None) -> Iterator[Workers]:
    """So many processes at work, up to `until` or for ever with pauses of `every` seconds; all have ended after it.

    Raises not_supported on SQLite, which has one writer.
    """
    if app.url.startswith("sqlite"):
        raise Refused(
            "not_supported",
            "SQLite has one writer: a second worker would only wait for the first.",
            remedy="Leave --workers out, or move to PostgreSQL.",
        )
    crew = Workers(app, count, until=until, every=every)
    try:
        yield crew
    finally:
        crew.close()


def run_together(crew: Workers, start: RunReport, watch: Watcher, stop: Stop) -> RunReport:
    """What all of them did in one run each; raises the error of the first that failed, when the others are done."""
    report, failed = start, None
    stands: dict[int, Progress] = {}
    for told in crew.told(stop):
        match told.kind:
            case "progress":
                stands[told.worker] = from_plain(told.content, Progress)
                parts = stands.values()
                watch(Progress(min(one.at for one in parts), sum(one.done for one in parts)))
            case "report":
                report = report.plus(from_plain(told.content, RunReport))
            case "failed":
                failed = failed or failure(told, crew.count)
    if failed is not None:
        raise failed
    return report


def failure(told: Told, count: int) -> BillcoreError:
    """The error of a worker that failed."""
    error = told.content
    kind = {trouble.REFUSED: Refused, trouble.STORE: StoreError}.get(error.get("exit"), BillcoreError)
    return kind(error["code"], f"Worker {told.worker} of {count}: {error['message']}", remedy=error["remedy"])


def _input(child: "subprocess.Popen[str]") -> IO[str]:
    assert child.stdin is not None
    return child.stdin


def _end(code: int) -> str:
    if code < 0:
        return f"It was ended by {signal.Signals(-code).name}."
    return f"It ended with exit code {code}; its own message stands above."


# -- the process of one worker -----------------------------------------------------------------------------------


@define
class _Asked:
    """Whether this process was asked to stop."""

    stop: bool = False

    def __call__(self) -> bool:
        """Asked between batches."""
        return self.stop

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Let it stop after the batch that runs; the handler of a signal."""
        self.stop = True


def main() -> int:
    """Do one task, and tell of it; returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = _Asked()
    signal.signal(signal.SIGTERM, asked.ask)
    task: Task = from_plain(json.loads(sys.stdin.readline()), Task)
    Thread(target=_watch_parent, args=(asked,), daemon=True).start()
    app = App(task.database)
    app.actor = task.actor
    try:
        with app.billing() as billing:
            if task.every is None:
                _run(billing, task, asked)
            else:
                _work(billing, task, task.every, asked)
    except BillcoreError as error:
        code = trouble.exit_code(error)
        _tell("failed", {"code": error.code, "message": error.message, "remedy": error.remedy, "exit": code})
        return code
    _tell("done", None)
    return 0


def _run(billing: Billing, task: Task, stop: Stop) -> None:
    """Everything that is due in the slice, once."""
    until = datetime.fromisoformat(task.until) if task.until is not None else None

    def watch(progress: Progress) -> None:
        _tell("progress", to_plain(progress))

    _tell("report", to_plain(billing.run(until, watch=watch, stop=stop, slice=task.slice)))


def _work(billing: Billing, task: Task, every: int, stop: Stop) -> None:
    """Everything that is due in the slice, again and again; the first worker sees to the events as well."""
    while not stop():
        try:
            report = billing.run(stop=stop, slice=task.slice)
            if task.slice[0] == 0 and not report.stopped:
                report = report.plus(billing.run(stop=stop))
        except StoreError as error:
            if not passes(error, billing):
                raise
            _tell("warning", f"error [{error.code}]: {error.message} Trying again.")
        else:
            _tell("report", to_plain(report))
        rest(every, stop)


def passes(error: StoreError, billing: Billing) -> bool:
    """Whether the same can be tried again in a while."""
    return error.code in PASSING or (error.code in AWAY and billing.database.dialect != "sqlite")


def rest(seconds: int, stop: Stop) -> None:
    """Wait, in steps short enough to stop at once when asked."""
    for _ in range(seconds * 5):
        if stop():
            return
        time.sleep(0.2)


def _watch_parent(asked: _Asked) -> None:
    sys.stdin.read()
    asked.ask()


def _tell(kind: str, content: Mapping[str, object] | str | None) -> None:
    sys.stdout.write(json.dumps([kind, content]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        gc.freeze()  # As every command ends.
