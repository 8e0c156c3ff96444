"""`billcore verify`: proves the books, and shows what does not hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, print_json, store_options

if TYPE_CHECKING:
    from billcore.engine.proofs.law import Proof, ProofWatcher


@click.command(short_help="Prove that the books are right.")
@click.option("--verbose", "-v", is_flag=True, help="Show every law that was proved.")
@json_option
@store_options
@pass_app
def verify(app: App, verbose: bool) -> None:
    """Prove everything that must hold of the books: balances, documents, periods, payments, numbers.

    Changes nothing and may run beside a worker. Exit code 1 when something does not hold.
    """
    with app.billing(pays=False) as billing, _watched() as watch:
        proof = billing.verify(watch)
    if app.json:
        print_json({"ok": proof.ok, "verdicts": proof.verdicts, "findings": proof.findings})
    else:
        _print(proof, verbose=verbose)
    if not proof.ok:
        raise SystemExit(trouble.REFUSED)


def _print(proof: "Proof", *, verbose: bool) -> None:
    from rich.text import Text

    from billcore.cli.output.screen import screen, table

    output = screen()
    if verbose or not proof.ok:
        rows = [
            (
                Text("ok", "green") if not verdict.violated else Text(f"{verdict.violated} wrong", "red"),
                verdict.law.behaviour,
                f"{verdict.law.statement}",
                f"{verdict.checked:,} {verdict.law.subjects}",
            )
            for verdict in proof.verdicts
            if verbose or verdict.violated
        ]
        output.show(table(("", "rule", "~what must hold", ">looked at"), rows), Text())
    for finding in proof.findings:
        output.show(Text(str(finding)))
    output.show(Text(str(proof), "bold green" if proof.ok else "bold red"))


@contextmanager
def _watched() -> "Iterator[ProofWatcher]":
    """A line that counts, where a person watches standard error."""
    from billcore.cli.output.progress import counting

    with counting("proving") as count:
        yield lambda what, done: count(f"{done:,} {what}")
