"""The root command: finds the others in the static table and loads them when they are called."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from billcore import __version__
from billcore.cli import begin_work, trouble
from billcore.cli.context import DEFAULT_DATABASE, App
from billcore.cli.table import COMMANDS, NOUNS


class Named(click.Group):
    """A group whose commands may be written with - or _, and that proposes the nearest ones of an unknown name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the order of their definition."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        return super().get_command(ctx, cmd_name.replace("-", "_")) or super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name."""
        given = args[0]
        if not given.startswith("-") and self.get_command(ctx, given) is None:
            near = get_close_matches(given.replace("-", "_"), self.list_commands(ctx), 3, cutoff=0.6)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no command {given!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


class Root(Named):
    """`billcore`: loads a command's module when it is called, and turns every error into one message."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, nouns first."""
        return [*NOUNS, *COMMANDS]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command of this name, imported now."""
        name = cmd_name.replace("-", "_")
        if name in NOUNS:
            from billcore.cli.nouns import noun_group

            found: click.Command = noun_group(name)
        elif name in COMMANDS:
            module, _, attribute = COMMANDS[name].where.partition(":")
            found = getattr(import_module(module), attribute)
        else:
            return None
        begin_work()
        return found

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Two lists from the static table: nothing is imported to print it."""
        for title, entries in (("Nouns", NOUNS), ("Commands", COMMANDS)):
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command; where nobody reads its output any more it ends quietly, before click sees it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            trouble.forget_output()
            raise SystemExit(trouble.BROKEN_PIPE) from None

    def main(  # type: ignore[override]  # click overloads it by standalone_mode, which is ours to choose
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **options: Any,  # noqa: ANN401 - click's own
    ) -> NoReturn:
        """Run, and leave with the exit code that `trouble` documents."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        code = 0
        _write_what_can_be()
        try:
            result = super().main(arguments, prog_name, **options)
            code = result if isinstance(result, int) else 0
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 - this is where every error of the command line ends
            before = arguments[: arguments.index("--")] if "--" in arguments else arguments
            code = trouble.report(error, debug="--debug" in before, as_json="--json" in before)
        sys.exit(code)


def _write_what_can_be() -> None:
    """A name that the terminal's encoding lacks is shown with question marks, never an error."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"billcore {__version__}")
        ctx.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"NOUN --help lists its verbs; every verb takes --json. {trouble.EXIT_CODES}",
)
@click.option(
    "--database",
    "-d",
    metavar="URL",
    envvar="BILLCORE_DATABASE",
    default=DEFAULT_DATABASE,
    show_default=True,
    help="The store: a file or a database URL.  [env: BILLCORE_DATABASE]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it.")
@click.pass_context
def root(context: click.Context, database: str, debug: bool) -> None:
    """billcore: subscriptions, invoices and payments in your own database.

    Begin with: billcore init, billcore catalog apply FILE, billcore customers create --help.
    """
    if not database:
        raise click.UsageError("--database is empty.", context)
    context.obj = App(database, debug=debug)
