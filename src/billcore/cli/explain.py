"""`billcore explain`: how the amounts of a document came about."""

import click

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, print_json, store_options


@click.command(short_help="Show how the amounts of an invoice came about.")
@click.argument("invoice", metavar="INVOICE")
@click.argument("line", metavar="[LINE]", required=False)
@json_option
@store_options
@pass_app
def explain(app: App, invoice: str, line: str | None) -> None:
    """Derive every amount of an invoice or credit note again, step by step, and compare it with what was billed.

    INVOICE is an id, a number, or CUSTOMER/N for the customer's n-th one; LINE is its place from 1, its id or its
    code. Exit code 1 when an amount is not the one that was billed.
    """
    with app.billing(pays=False) as billing:
        explained = billing.explain(invoice, line)
    if app.json:
        print_json(explained)
    else:
        from rich.text import Text

        from billcore.cli.output.screen import screen

        for told in explained.text():
            screen().show(Text(told, "bold" if told and not told.startswith(" ") else ""))
    if not explained.agrees:
        raise SystemExit(trouble.REFUSED)
