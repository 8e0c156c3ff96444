"""`billcore import customers`: brings customers, payment methods and running subscriptions in from a CSV file."""

import csv
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import asdict, define, field

from billcore.cli import trouble
from billcore.cli.app import Named
from billcore.cli.context import App, json_option, pass_app, print_json, store_options
from billcore.files import read_table_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from billcore.importing.run import ImportReport, Reject

SHOWN = 10


@click.group(cls=Named, short_help="Bring customers and subscriptions in from CSV.")
def importing() -> None:
    """Bring data in from other systems."""


@importing.command(short_help="Customers, payment methods and subscriptions from a CSV file.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mapping", metavar="TOML", required=True, help="Which column is what.")
@click.option("--dry-run", is_flag=True, help="Check every line; keep nothing.")
@click.option("--rejects", type=click.Path(path_type=Path), metavar="CSV", help="Write rejected lines there.")
@click.option("--actor", metavar="NAME", envvar="BILLCORE_ACTOR", help="Who does it, for the audit log.")
@json_option
@store_options
@pass_app
def customers(app: App, file: Path, mapping: str, dry_run: bool, rejects: Path | None, actor: str | None) -> None:
    """Bring customers, payment methods and running subscriptions in from a CSV file.

    The mapping says which column is what. A line with an error is rejected with its reason and does not stop the
    others; the exit code is 1 then. Killed or run again, the same file goes on where it was: no line comes in twice.
    """
    from billcore.importing.run import import_customers

    tables = read_table_file(mapping, "import_invalid")
    app.actor = actor or app.actor
    with app.billing() as billing, _Rejects(rejects, file) as rejected:
        with _progress(file, app) as watch:
            report = import_customers(
                billing, file, tables, name=mapping, dry_run=dry_run, on_reject=rejected, watch=watch
            )
        rejected.header = report.header
    _tell(app, report, rejected)
    if report.rejected:
        raise SystemExit(trouble.REFUSED)


@define
class _Rejects(AbstractContextManager["_Rejects"]):
    """Takes rejected lines: writes them to a file where one is named, and keeps the first few to show."""

    path: Path | None
    source: Path
    first: "list[Reject]" = field(factory=list)
    header: tuple[str, ...] = ()
    _kept: "list[Reject]" = field(factory=list)

    def __attrs_post_init__(self) -> None:
        if self.path is None or not self.path.exists() or not self.source.exists():
            return
        if self.path.samefile(self.source):
            raise click.BadOptionUsage("--rejects", "--rejects names the file that is imported. Name another one.")

    def __call__(self, reject: "Reject") -> None:
        if len(self.first) < SHOWN:
            self.first.append(reject)
        if self.path is not None:
            self._kept.append(reject)

    def __exit__(self, *_: object) -> None:
        if self.path is None or not self._kept:
            return
        try:
            with self.path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["line", "code", "reason", *self.header])
                writer.writerows([each.line, each.code, each.reason, *each.fields] for each in self._kept)
        except OSError as error:
            raise click.BadOptionUsage(
                "--rejects", f"{self.path} cannot be written ({error.strerror}); the good lines are imported."
            ) from error


@contextmanager
def _progress(file: Path, app: App) -> "Iterator[Callable[[ImportReport], None]]":
    """A line that counts, where a person watches."""
    if app.json or not sys.stderr.isatty():
        yield lambda _report: None
        return
    from billcore.cli.output.progress import counting

    with counting(f"importing {file.name}") as count:

        def watch(report: "ImportReport") -> None:
            count(f"{report.lines:,} lines, {report.rejected:,} rejected")

        yield watch


def _tell(app: App, report: "ImportReport", rejected: _Rejects) -> None:
    """What the import did, in a few lines."""
    if app.json:
        told = {name: value for name, value in asdict(report).items() if name != "header"}
        told["rejects"] = [
            {"line": one.line, "reference": one.reference, "code": one.code, "reason": one.reason}
            for one in rejected.first
        ]
        print_json(told)
        return
    from billcore.domain.words import counted

    made = [
        counted(report.customers, "customer"),
        counted(report.methods, "payment method"),
        counted(report.subscriptions, "subscription"),
    ]
    click.echo(f"{'Would import' if report.dry_run else 'Imported'} {', '.join(made)}.")
    if report.ended:
        click.echo(f"{counted(report.ended, 'subscription')} ended before now: only the customers are in.")
    if report.skipped:
        click.echo(f"{counted(report.skipped, 'line')} skipped, as the mapping says.")
    if report.done_before:
        click.echo(f"{counted(report.done_before, 'line')} of this file came in before.")
    if not report.rejected:
        return
    click.echo(f"{counted(report.rejected, 'line')} rejected:")
    for one in rejected.first:
        name = f" ({one.reference})" if one.reference else ""
        click.echo(f"  line {one.line}{name}: {one.reason}")
    if report.rejected > len(rejected.first):
        click.echo(f"  and {report.rejected - len(rejected.first)} more")
    if rejected.path is None:
        click.echo("Write them all to a file: --rejects rejects.csv")
    else:
        click.echo(f"All of them are in {rejected.path}: correct them there and import that file.")
