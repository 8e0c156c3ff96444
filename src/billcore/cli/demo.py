"""`billcore demo`: bills a book of business for years and shows what came of it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billcore.cli.context import DEFAULT_DATABASE, App, pass_app, store_options
from billcore.errors import Refused

if TYPE_CHECKING:
    from billcore.billing import Billing
    from billcore.cli.output.demo import Canvas
    from billcore.demo.book import Book
    from billcore.importing.run import ImportReport

DATABASE = "billcore-demo.db"


@click.command(short_help="Bill a book of business for years and look at it.")
@click.option("--data", type=click.Path(path_type=Path), metavar="CSV", help="Another file with the same columns.")
@click.option("--rows", type=click.IntRange(1), metavar="N", help="So many customers only.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep the store there.")
@click.option("--plain", is_flag=True, help="Letters and digits only: no colours, no block characters.")
@store_options
@pass_app
def demo(app: App, data: Path | None, rows: int | None, keep: Path | None, plain: bool) -> None:
    """Bill a book of business for years and look at it.

    Imports the customers of a telephone company, bills each of them for the months that he stayed, lets the test
    gateway decline some payments, and shows the books. Where the company's file is not at hand, a made-up one with
    the same columns is billed. The store stays for you to look at.
    """
    from billcore.cli.output.demo import Canvas
    from billcore.demo.book import find_book, import_book, open_demo

    canvas = Canvas(plain=plain)
    path = _place(app, keep)
    with find_book(data, rows) as book, open_demo(f"sqlite:///{path}") as billing:
        canvas.line(_welcome(book))
        with _watching(book) as watch:
            report = import_book(billing, book.path, watch)
        _tell_import(canvas, report)
        _bill(canvas, billing)
        _show(canvas, billing)
        example = _explain(canvas, billing)
        proved = _prove(canvas, billing)
    _farewell(canvas, path, example)
    if not proved:
        raise SystemExit(1)


def _place(app: App, keep: Path | None) -> Path:
    """Where the store goes. An earlier demo's is replaced, nobody else's."""
    from billcore.demo.book import remove_store

    # The store of the environment is somebody's books: the demo goes beside it unless it is named by hand.
    if app.database not in (DEFAULT_DATABASE, os.environ.get("BILLCORE_DATABASE")):
        if app.file is None:
            raise Refused("not_supported", "The demo needs a file.", remedy="Name one: billcore demo -d demo.db")
        if app.exists() and Path(app.file).name != DATABASE:
            raise Refused(
                "not_supported",
                f"{app.file} exists already; the demo makes a store of its own.",
                remedy=f"Name a new file, or none: ./{DATABASE}.",
            )
        remove_store(app.url)
        return Path(app.file)
    folder = keep or Path()
    folder.mkdir(parents=True, exist_ok=True)
    remove_store(f"sqlite:///{folder / DATABASE}")
    return folder / DATABASE


def _welcome(book: "Book") -> str:
    if book.real:
        return f"The customers of a telephone company, from {book.path.name}: importing them."
    return "A made-up telephone company: importing its customers."


@contextmanager
def _watching(book: "Book") -> "Iterator[Callable[[ImportReport], None]]":
    from billcore.cli.output.progress import counting

    with counting(f"importing {book.path.name}") as count:
        yield lambda report: count(f"{report.lines:,} lines")


def _tell_import(canvas: "Canvas", report: "ImportReport") -> None:
    idle = report.customers - report.subscriptions
    canvas.line(
        f"{report.customers:,} customers, {report.subscriptions:,} with a subscription at their own amount, "
        f"{idle:,} without one."
    )
    if report.rejected:
        canvas.line(f"{report.rejected:,} lines were rejected: billcore import customers tells why.")


def _bill(canvas: "Canvas", billing: "Billing") -> None:
    """Run year by year, one line for each."""
    from billcore.cli.output.progress import watched
    from billcore.clock import monotonic_ms
    from billcore.demo.book import year_ends

    canvas.heading("Billing month by month, with a test gateway that declines some")
    first = monotonic_ms()
    renewed = 0
    for end in year_ends():
        begun = monotonic_ms()
        with watched(billing.clock.now(), end, "UTC") as watch:
            report = billing.run(end, watch=watch)
        took = max(monotonic_ms() - begun, 1)
        renewed += report.actions
        canvas.line(
            f"  {end:%Y}  {report.actions:>7,} renewals and ends  {report.collections:>7,} collections  "
            f"{report.steps:>6,} retries  {took // 1000:>3} s"
        )
        sys.stdout.flush()
    took = max(monotonic_ms() - first, 1)
    canvas.line(
        f"  {renewed:,} in {took // 1000} s: {renewed * 1000 // took:,} a second, each one billed and collected"
    )


def _show(canvas: "Canvas", billing: "Billing") -> None:
    from billcore.cli.output.demo import customer_table, money_table, state_table, totals
    from billcore.store import reports

    with billing.database.transaction(reads=True) as tx:
        months = reports.months(tx)
        states = reports.states(tx)
        best = reports.top_customers(tx, 8)
    currency = months[0].currency if months else "USD"
    canvas.heading(f"Invoiced by month, {currency} (still open in red)")
    canvas.chart(months)
    canvas.heading(f"Invoiced, collected, declined, in whole {currency}")
    canvas.screen.show(money_table(canvas, months))
    for line in totals(months):
        canvas.line(line)
    canvas.heading("Subscriptions by state")
    canvas.screen.show(state_table(canvas, states))
    canvas.heading("Customers by lifetime value")
    canvas.screen.show(customer_table(canvas, best))


def _explain(canvas: "Canvas", billing: "Billing") -> str:
    """Let some customers change, and explain what came of it; one that was hard to collect where nobody can.

    Returns the number of a document.
    """
    from billcore.demo.book import explain_one
    from billcore.demo.changes import change_some

    changes = change_some(billing)
    if not changes:
        canvas.heading("One invoice explained")
        number, explained = explain_one(billing)
        canvas.indented(explained)
        return number
    canvas.heading("Changes in the middle of a month, explained line by line")
    for place, change in enumerate(changes):
        if place:
            canvas.line()
        canvas.line(f"  {change.told}")
        canvas.indented(billing.explain(change.document).text())
    return changes[0].document


def _prove(canvas: "Canvas", billing: "Billing") -> bool:
    """Prove the books: whether they are right."""
    canvas.heading("Proof of the books")
    proof = billing.verify()
    canvas.line(f"  {proof}")
    for finding in proof.findings[:10]:
        canvas.line(f"  {finding}")
    return proof.ok


def _farewell(canvas: "Canvas", path: Path, example: str) -> None:
    """What to type next, as this program was called."""
    program = sys.argv[0] if "/" in sys.argv[0] and not sys.argv[0].startswith("/") else "billcore"
    canvas.heading("Look around")
    for command in (
        f"export BILLCORE_DATABASE={path}",
        f"{program} subscriptions list --state past_due",
        f"{program} run --until 2026-01-31        # one more month",
        f"{program} explain {example}",
        f"{program} verify",
    ):
        canvas.line(f"  {command}")
