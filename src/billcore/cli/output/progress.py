"""The progress bar of a run: shown while a person watches standard error, silent otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from billcore.cli.output.screen import day, screen
from billcore.engine.run import Progress, Watcher


@contextmanager
def watched(start: datetime, end: datetime, zone: str) -> Iterator[Watcher]:
    """A watcher for `Billing.run` that draws how far time has come between the first due instant and `end`."""
    console = screen(errors=True)
    if not console.is_terminal:
        yield _unseen
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task(day(start, zone), total=None, count="looking for work", rate="")
        yield _Drawn(bar, bar.tasks[0], end, zone)
        bar.remove_task(task)


@contextmanager
def counting(what: str) -> Iterator[Callable[[str], None]]:
    """A line with a spinner for work without a known end: it is told how far that is."""
    console = screen(errors=True)
    if not console.is_terminal:
        yield lambda _told: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda told: bar.update(task, description=f"{what}: {told}")


class _Drawn:
    """Moves the bar."""

    def __init__(self, bar: Bar, task: Task, end: datetime, zone: str) -> None:
        self._bar = bar
        self._task = task
        self._end = end
        self._zone = zone
        self._first: datetime | None = None

    def __call__(self, progress: Progress) -> None:
        """One batch is done."""
        if self._first is None:
            self._first = progress.at
        whole = int((self._end - self._first).total_seconds())
        elapsed = int(self._task.elapsed or 0)
        self._bar.update(
            self._task.id,
            description=day(progress.at, self._zone),
            total=max(whole, 1),
            completed=int((progress.at - self._first).total_seconds()),
            count=f"{progress.done:,} done",
            rate=f"{progress.done // elapsed:,}/s" if elapsed else "",
        )


def _unseen(_progress: Progress) -> None:
    """Nobody watches."""
