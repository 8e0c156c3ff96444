"""`billcore db`: the tables of a store."""

import json

import click

from billcore.cli.app import Named
from billcore.cli.context import App, json_option, pass_app, store_options
from billcore.errors import StoreError


@click.group(cls=Named, short_help="Upgrade or check the tables.")
def db() -> None:
    """The tables of a store: whether they fit this program, and how they are brought up to it."""


@db.command()
@json_option
@store_options
@pass_app
def upgrade(app: App) -> None:
    """Create or upgrade the tables; make a backup first.

    Cut short at any point, it goes on when it is called again. Raises schema_newer where a newer billcore has
    upgraded them.
    """
    from billcore.store import schema
    from billcore.store.database import Database

    database = Database(app.url)
    try:
        done = schema.upgrade(database)
    finally:
        database.close()
    if app.json:
        click.echo(json.dumps({"revision": schema.HEAD, "upgraded": list(done)}))
    elif done:
        click.echo(f"Upgraded to revision {schema.HEAD}: {', '.join(done)}.")
    else:
        click.echo(f"Nothing to do: the tables stand at revision {schema.HEAD}.")


@db.command()
@json_option
@store_options
@pass_app
def check(app: App) -> None:
    """Compare the tables with what this program needs, and let the database check its file."""
    from billcore.store import health, schema
    from billcore.store.database import Database

    if not app.exists():
        raise StoreError("schema_missing", f"There is no store at {app.file}.", remedy="Make one: billcore init.")
    database = Database(app.url)
    try:
        schema.require(database)
        with database.transaction(reads=True) as tx:
            damage = health.damage(tx)
    finally:
        database.close()
    if damage:
        raise StoreError(
            "database_unreachable",
            f"The database file is damaged: {'; '.join(damage[:3])}.",
            remedy="Restore a backup, then run billcore verify.",
        )
    if app.json:
        click.echo(json.dumps({"revision": schema.HEAD, "status": "current"}))
    else:
        sound = ", and the file is sound" if app.file is not None else ""
        click.echo(f"The tables are current (revision {schema.HEAD}){sound}.")
