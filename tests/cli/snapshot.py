"""The public surface as text: every command with its options, every public name with its signature.

    python -m tests.cli.snapshot

writes tests/cli/snapshot.txt anew after a wanted change.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

import billcore
from billcore.billing import Billing
from billcore.cli.app import root
from billcore.cli.nouns import noun_class
from billcore.cli.table import NOUNS
from billcore.commands.verb import Definition, verbs_of
from billcore.errors import CODES

FILE = Path(__file__).with_name("snapshot.txt")


def snapshot() -> str:
    parts = [
        ("# Commands", commands(root, click.Context(root, info_name="billcore"))),
        ("# Verbs", [verb(definition) for noun in NOUNS for definition in verbs_of(noun_class(noun)).values()]),
        ("# Names of the package", public_names()),
        ("# Error codes", sorted(CODES)),
    ]
    return "\n\n".join("\n".join([title, *lines]) for title, lines in parts) + "\n"


def commands(command: click.Command, context: click.Context) -> Iterator[str]:
    params = [parameter(each) for each in command.params if not getattr(each, "hidden", False)]
    yield " ".join([context.command_path, *params])
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            child = command.get_command(context, name)
            assert child is not None, name
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def parameter(each: click.Parameter) -> str:
    if isinstance(each, click.Argument):
        return (
            str(each.make_metavar(click.Context(click.Command("x")))).strip("[]")
            if each.metavar is None
            else each.metavar
        )
    flags = "/".join([*each.opts, *each.secondary_opts])
    marks = ("!" if each.required else "") + ("..." if each.multiple else "")
    choices = "=" + "|".join(each.type.choices) if isinstance(each.type, click.Choice) else ""
    return f"{flags}{choices}{marks}"


def verb(definition: Definition) -> str:
    shown = [each.name if each.required else f"{each.name}={each.default!r}" for each in definition.parameters]
    kind = "reads" if definition.reads else "collects" if definition.collects else "writes"
    return f"{definition.full_name}({', '.join(shown)}) {kind}"


def public_names() -> Iterator[str]:
    yield from sorted(billcore.__all__)
    for name, member in sorted(vars(Billing).items()):
        if not name.startswith("_"):
            signature = inspect.signature(member) if callable(member) else ""
            names = list(signature.parameters) if signature else []
            yield f"Billing.{name}({', '.join(names[1:])})"


if __name__ == "__main__":
    FILE.write_text(snapshot(), encoding="utf-8")
