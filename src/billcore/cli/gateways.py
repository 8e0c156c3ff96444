"""`billcore gateways`: which gateways are configured, what they can do, and what is wrong with them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from attrs import NOTHING, evolve, fields, frozen

from billcore.cli import trouble
from billcore.cli.context import App, json_option, pass_app, print_json, store_options
from billcore.errors import BillcoreError, PluginError

if TYPE_CHECKING:
    from billcore.plugins.registry import Registry


OK = "ok"


@frozen
class GatewayRow:
    """One gateway: `keys` are those of its configuration, a star behind what it needs; `set` those that are set.

    `problem` says what is wrong with its configuration, `answer` what came of asking its provider (`ok`, or why not).
    """

    name: str
    configured: bool
    capabilities: tuple[str, ...]
    keys: tuple[str, ...]
    set: tuple[str, ...]
    problem: str = ""
    answer: str | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be asked: configured, or in no need of it."""
        return not self.problem and (self.configured or not any(key.endswith("*") for key in self.keys))


@click.command(short_help="Which are configured, and what they can do.")
@click.option("--verbose", "-v", is_flag=True, help="Also the keys of their configuration.")
@click.option("--check", is_flag=True, help="Ask each provider whether it takes the key; no money moves.")
@json_option
@store_options
@pass_app
def gateways(app: App, verbose: bool, check: bool) -> None:
    """List gateways with what they can do; exit code 2 or 4 while the configuration of one cannot be used.

    With --check each of them is asked for an attempt that cannot exist, which shows whether its key is good before
    it is used; exit code 1 where a provider refuses or cannot be reached.

    They are configured in billcore.toml beside the store, or the file that BILLCORE_CONFIG names, and by variables
    such as BILLCORE_GATEWAY_TEST_VAULT. No value is shown.
    """
    from billcore.plugins.registry import Registry

    registry = Registry()
    wrong: BillcoreError | None = None
    configured: Mapping[str, Mapping[str, object]] = {}
    try:
        configured = app.gateways(registry)
    except BillcoreError as error:
        wrong = error
    rows = [_row(registry, name, configured.get(name), check=check) for name in registry.gateways()]
    if app.json:
        file = app.configuration
        problem = None if wrong is None else str(wrong)
        print_json({"configuration": None if file is None else str(file), "problem": problem, "gateways": rows})
    elif wrong is None or verbose:
        _print(app, rows, verbose=verbose)
    if wrong is not None:
        if app.json:
            raise SystemExit(trouble.exit_code(wrong))
        raise wrong
    if any(row.problem and row.configured for row in rows):
        raise SystemExit(trouble.PLUGIN)
    if any(row.answer not in (None, OK) for row in rows):
        raise SystemExit(trouble.REFUSED)


def _row(registry: "Registry", name: str, config: Mapping[str, object] | None, *, check: bool) -> GatewayRow:
    from billcore.clock import SystemClock
    from billcore.plugins.asking import wrong_with

    own = [one for one in fields(registry.gateway_config(name)) if one.init]
    keys = tuple(f"{one.name}{'*' if one.default is NOTHING else ''}" for one in own)
    known = tuple(config or ())
    # To be asked what it can do it is built without its book: that would begin one.
    asked = {key: value for key, value in (config or {}).items() if (name, key) != ("test", "book")}
    try:
        gateway = registry.gateway(name, asked)
    except PluginError as error:
        return GatewayRow(name, config is not None, (), keys, known, error.message)
    able = tuple(sorted(str(one) for one in gateway.capabilities))
    row = GatewayRow(name, config is not None, able, keys, known)
    if check and row.usable:
        row = evolve(row, answer=wrong_with(gateway, SystemClock().wall()) or OK)
    closing = getattr(gateway, "close", None)
    if callable(closing):
        closing()
    return row


def _print(app: App, rows: list[GatewayRow], *, verbose: bool) -> None:
    from rich.text import Text

    from billcore.cli.output.screen import screen, table

    file = app.configuration
    click.echo(f"Configuration: {file}" if file is not None else "Configuration: no file; billcore init writes one.")
    if not rows:
        click.echo("No gateway is installed. One to try out with: pip install billcore-gateway-test")
        return
    titles = ["gateway", "configured", "~can, or what is wrong"] + (["~keys"] if verbose else [])
    shown = []
    for row in rows:
        able = Text(", ".join(row.capabilities)) if not row.problem else Text(row.problem, "yellow")
        cells = [Text(row.name), Text("yes" if row.configured else ""), able]
        shown.append([*cells, Text(", ".join(row.keys))] if verbose else cells)
    screen().show(table(titles, shown))
    if verbose:
        click.echo("A star marks what a gateway needs.")
    for row in rows:
        if row.answer is not None:
            click.echo(f"{row.name}: {'its provider answers and takes the key.' if row.answer == OK else row.answer}")
