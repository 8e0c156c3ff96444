"""`billcore x PLUGIN`: the commands that plugins bring along."""

import click

from billcore.cli.app import Named
from billcore.plugins.registry import Registry


class Extra(Named):
    """Finds plugins with commands, and lets each add its own to a group of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The plugins that have commands."""
        return list(_registry(ctx).listening("register_commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group of one plugin, filled by the plugin itself."""
        if cmd_name not in self.list_commands(ctx):
            return None
        group = Named(cmd_name, help=f"Commands of the plugin {cmd_name}.", no_args_is_help=True)
        _registry(ctx).commands(cmd_name, group)
        return group


def _registry(ctx: click.Context) -> Registry:
    """The installed plugins, looked for once in a run of the command line."""
    found = ctx.meta.setdefault(__name__, None) or Registry()
    ctx.meta[__name__] = found
    return found


@click.group("x", cls=Extra, short_help="Commands of plugins.", no_args_is_help=True)
def extra() -> None:
    """Commands that plugins bring along: billcore x PLUGIN COMMAND."""
