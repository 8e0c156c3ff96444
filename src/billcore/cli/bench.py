"""`billcore bench`: how fast this machine renews, against what its database could do at best."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from billcore.cli.context import App, json_option, pass_app

if TYPE_CHECKING:
    from billcore.bench.renewals import Measured, Say
    from billcore.engine.run import Watcher


@click.group("bench", short_help="Measure renewals against the raw database.")
def bench() -> None:
    """Measure on this machine; every benchmark makes a store of its own."""


@bench.command()
@click.option(
    "--subscriptions",
    "-n",
    type=click.IntRange(1, 10_000_000),
    default=20_000,
    show_default=True,
    help="How many are made and renewed.",
)
@click.option(
    "--database",
    "database",
    metavar="URL",
    help="Keep the store in this new file, or use databases beside this PostgreSQL one.  [default: a temporary file]",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Also so many at once.")
@json_option
@pass_app
def renewals(app: App, subscriptions: int, database: str | None, workers: int) -> None:
    """Renew and settle subscriptions, and write the same rows with nothing but the database.

    Each has a product, a component, a discount and a tax, and is charged at the test gateway in this process.
    The floor is what the bare driver needs for the same rows in the same transactions, tables, indexes,
    constraints and settings: executemany on SQLite, COPY on PostgreSQL. Exit code 1 when the books do not add up.
    """
    from billcore.bench.renewals import measure_renewals

    with _watched() as (say, watch):
        measured = measure_renewals(subscriptions, database=database, workers=workers, say=say, watch=watch)
    if app.json:
        click.echo(json.dumps(as_data(measured), indent=2))
    else:
        _print(measured)
    if measured.problems:
        click.get_current_context().exit(1)


def as_data(measured: "Measured") -> dict[str, object]:
    """What was measured, for programs."""
    from billcore.engine.work import BATCH

    return {
        "subscriptions": measured.subscriptions,
        "milliseconds": measured.engine_ns // 1_000_000,
        "renewals_per_second": measured.per_second,
        "floor_per_second": measured.floor_per_second,
        "ratio": measured.ratio_permille / 1000,
        "rows_per_renewal": measured.rows_per_renewal,
        "rows": {f"{table} {verb}": count for (table, verb), count in sorted(measured.rows.items())},
        "batch": BATCH,
        "transactions": measured.transactions,
        "memory_mib": {"at_10_percent": _mib(measured.memory_10), "at_100_percent": _mib(measured.memory_100)},
        "settings": dict(measured.settings),
        "crowd": _crowd(measured),
        "versions": dict(measured.versions),
        "books": measured.books,
        "problems": list(measured.problems),
    }


@contextmanager
def _watched() -> Iterator[tuple["Say", "Watcher"]]:
    """What a person sees meanwhile: the stages, and the progress bar of the run."""
    from billcore.bench.book import START, UNTIL
    from billcore.cli.output.progress import watched
    from billcore.cli.output.screen import screen

    console = screen(errors=True)

    def say(text: str) -> None:
        if console.is_terminal:
            console.print(text, style="dim")

    with watched(START, UNTIL, "UTC") as watch:
        yield say, watch


def _print(measured: "Measured") -> None:
    from billcore.cli.output.screen import fields, screen, table
    from billcore.engine.work import BATCH

    rows = (
        (name.removeprefix("billcore_"), verb, f"{count / measured.subscriptions:.2f}")
        for (name, verb), count in sorted(measured.rows.items())
        if count >= measured.subscriptions
    )
    screen().show(
        table(("table", "", ">rows per renewal"), rows),
        "",
        fields(
            (
                ("rows per renewal", str(measured.rows_per_renewal)),
                ("renewals per second", f"{measured.per_second:,}  ({measured.subscriptions:,} renewed and settled)"),
                ("raw floor per second", f"{measured.floor_per_second:,}  (the same rows, by the driver alone)"),
                ("ratio", f"{measured.ratio_permille / 1000:.2f}"),
                ("together", _together(measured)),
                ("batch", f"{BATCH:,} renewals, {measured.transactions:,} transactions"),
                ("memory at 10 %", _shown(measured.memory_10)),
                ("memory at 100 %", _shown(measured.memory_100)),
                ("settings", ", ".join(f"{name} {value}" for name, value in measured.settings.items())),
                ("on", ", ".join(f"{name} {version}" for name, version in measured.versions.items())),
                ("books", "\n".join((measured.books, *measured.problems))),
            )
        ),
    )


def _crowd(measured: "Measured") -> dict[str, object] | None:
    """What several workers came to, for programs."""
    crowd, speedup = measured.crowd, measured.speedup_permille
    if crowd is None or speedup is None:
        return None
    return {
        "workers": crowd.workers,
        "renewals_per_second": measured.subscriptions * 1_000_000_000 // crowd.engine_ns,
        "floor_per_second": measured.subscriptions * 1_000_000_000 // crowd.floor_ns,
        "speedup": speedup[0] / 1000,
        "floor_speedup": speedup[1] / 1000,
    }


def _together(measured: "Measured") -> str | None:
    """What several workers came to, for people."""
    crowd = _crowd(measured)
    if crowd is None:
        return None
    return (
        f"{crowd['workers']} workers: {crowd['renewals_per_second']:,} per second ({crowd['speedup']} times as many); "
        f"the floor {crowd['floor_per_second']:,} ({crowd['floor_speedup']} times)"
    )


def _mib(size: int | None) -> int | None:
    return None if size is None else size >> 20


def _shown(size: int | None) -> str | None:
    return None if size is None else f"{size >> 20} MiB"
