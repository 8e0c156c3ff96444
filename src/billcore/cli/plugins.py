"""`billcore plugins`: what is installed, what it provides, and what is wrong with it."""

import click

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, print_json, store_options


@click.command(short_help="What is installed, and what is wrong with it.")
@click.option("--verbose", "-v", is_flag=True, help="Also hooks and the distributions they come from.")
@json_option
@store_options
@pass_app
def plugins(app: App, verbose: bool) -> None:
    """List plugins with what they provide; exit code 4 when one of them cannot be used.

    BILLCORE_DISABLED_PLUGINS names plugins to leave alone, with commas.
    """
    from billcore.plugins.registry import Registry

    rows = Registry().report()
    if app.json:
        print_json(list(rows))
    elif not rows:
        click.echo("No plugin is installed. A gateway to try out with: pip install billcore-gateway-test")
    else:
        from rich.text import Text

        from billcore.cli.output.screen import screen, state, table

        titles = ["plugin", "version", "status", "~provides"]
        titles += ["~hooks", "~distribution"] if verbose else []
        shown = []
        for row in rows:
            cells = [Text(row.name), Text(row.version), state(row.status), Text(", ".join(row.provides))]
            cells += [Text(", ".join(row.hooks)), Text(row.distribution)] if verbose else []
            shown.append(cells)
        screen().show(table(titles, shown))
        for row in rows:
            for problem in row.problems:
                click.echo(f"{row.name}: {problem}")
    if any(row.status == "failed" for row in rows):
        raise SystemExit(trouble.PLUGIN)
