"""`billcore init`: makes a store."""

import click

from billcore.cli.context import CONFIGURATION, App, json_option, pass_app, print_json, store_options
from billcore.errors import InvalidValue


@click.command(short_help="Make a store.")
@click.option(
    "--clock",
    metavar="DATE",
    help="Give the store a simulated clock that starts then: time moves only with run --until.",
)
@click.option("--timezone", metavar="ZONE", help='The site\'s zone, as "Europe/Berlin".  [default: UTC]')
@click.option("--currency", metavar="CODE", help='The site\'s currency, as "EUR".  [default: USD]')
@json_option
@store_options
@pass_app
def init(app: App, clock: str | None, timezone: str | None, currency: str | None) -> None:
    """Make a store: a database with all tables, its time zone, currency and clock.

    A file may be new; on PostgreSQL the database has to be there. Tables of your own stay untouched, and books that
    are there already are refused.
    """
    from billcore.clock import SimulatedClock
    from billcore.commands.parameters import instant
    from billcore.domain.instants import local_text
    from billcore.store.database import shown as without_password

    if app.exists():
        _refuse_books(app)
    given = {"timezone": timezone, "currency": currency}
    settings = {name: value for name, value in given.items() if value is not None}
    simulated = SimulatedClock(instant(clock, timezone or "UTC")) if clock is not None else None
    billing = app.open(create=True, clock=simulated, settings=_checked(settings), pays=False)
    try:
        shown = billing.settings.list()
        now = billing.clock.now()
    finally:
        billing.close()
    where = app.file or without_password(app.url)
    sample = _write_sample(app)
    if app.json:
        print_json(
            {"database": where, "timezone": shown["timezone"], "currency": shown["currency"], "now": now.isoformat()}
        )
        return
    click.echo(f"Made {where}: amounts in {shown['currency']}, dates in {shown['timezone']}.")
    if simulated is not None:
        at = local_text(now, str(shown["timezone"]))
        click.echo(f"Its clock is simulated and stands at {at}; billcore run --until DATE moves it.")
    if sample is not None:
        click.echo(f"Gateways are configured in {sample}.")
    click.echo("Next: billcore catalog apply FILE")


_SAMPLE = """\
# Gateways of this store, one table for each; `billcore gateways -v` lists their keys.
# Secrets do not stand here but where this points to: "env:NAME" is a variable, "file:PATH" the text in a file.

# [gateways.stripe]
# api_key = "env:STRIPE_API_KEY"
# webhook_secrets = ["env:STRIPE_WEBHOOK_SECRET"]

# [gateways.test]
# vault = true
"""


def _write_sample(app: App) -> str | None:
    """A file of comments beside the store, unless there is one; who cannot write there does without."""
    path = app.folder / CONFIGURATION
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_SAMPLE)
    except OSError:
        return None
    return str(path)


def _refuse_books(app: App) -> None:
    """Books are not made twice in one database; tables of the host's own may be there."""
    from billcore.store import schema
    from billcore.store.database import Database, shown

    database = Database(app.url)
    try:
        state = schema.check(database)
    finally:
        database.close()
    if state.status != "missing":
        raise InvalidValue(
            f"{app.file or shown(app.url)} holds books already.",
            remedy="Name another database, or go on with: billcore db upgrade, billcore settings set.",
        )


def _checked(settings: dict[str, str]) -> dict[str, object]:
    """Refused before a file is made: a wrong zone or currency leaves no half store behind."""
    from billcore.domain.money import exponent
    from billcore.settings import Settings

    if "currency" in settings:
        exponent(settings["currency"])
    Settings.from_mapping(dict(settings))
    return dict(settings)
