"""`billcore doctor`: what is stuck, why, what to do about it; and letting it be tried again."""

from typing import TYPE_CHECKING

import click
from attrs import evolve

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, print_json, store_options
from billcore.errors import BillcoreError

if TYPE_CHECKING:
    from billcore.billing import Billing
    from billcore.engine.doctor import Checkup


@click.command(short_help="List what is stuck, and try it again.")
@click.option("--retry", metavar="REF", help="Let the next run try this subscription, payment or refund again.")
@click.option("--actor", metavar="NAME", envvar="BILLCORE_ACTOR", help="Who does it, for the audit log.")
@json_option
@store_options
@pass_app
def doctor(app: App, retry: str | None, actor: str | None) -> None:
    """List what does not go on by itself: parked subscriptions, payments in doubt, refunds owed, overdue invoices.

    Exit code 1 while something is listed. --retry takes the reference of a parked subscription, or the id of a
    payment or refund without an outcome, and the next run tries it; the loss of a refund that arrived twice it accepts.
    """
    app.actor = actor or app.actor
    with app.billing(pays=False) as billing:
        if retry is not None:
            freed = billing.unpark(retry)
            if app.json:
                print_json(freed)
            else:
                click.echo(f"{getattr(freed, 'reference', freed.id)} is tried again by the next billcore run.")
            return
        found = _with_configuration(app, billing)
        zone = str(billing.settings.list()["timezone"])
    if app.json:
        print_json({"ok": found.ok, "troubles": found.troubles})
    else:
        _print(found, zone)
    if not found.ok:
        raise SystemExit(trouble.REFUSED)


def _with_configuration(app: App, billing: "Billing") -> "Checkup":
    """The checkup, and what is wrong with the configuration of gateways: nothing can be charged until then."""
    from billcore.engine.doctor import Trouble

    found = billing.doctor()
    try:
        app.gateways(billing.registry)
    except BillcoreError as error:
        trouble_ = Trouble("gateway", str(app.configuration or "variables"), None, error.message, error.remedy)
        return evolve(found, troubles=(*found.troubles, trouble_))
    return found


def _print(found: "Checkup", zone: str) -> None:
    from rich.text import Text

    from billcore.cli.output.screen import day, fields, screen
    from billcore.domain.words import counted

    output = screen()
    for one in found.troubles:
        since = f" since {day(one.since, zone)}" if one.since is not None else ""
        output.show(Text(f"{one.kind}: {one.subject}{since}", "bold yellow"))
        output.show(fields([("  why", one.reason), ("  do", one.remedy)]), Text())
    if found.ok:
        output.show(Text("Nothing is stuck.", "green"))
    else:
        output.show(Text(f"{counted(len(found.troubles), 'trouble')}.", "bold"))
