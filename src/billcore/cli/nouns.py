"""A noun's group of commands: one per verb, derived from the verb's own definition (design: written once)."""

from collections.abc import Mapping
from functools import cache, partial
from importlib import import_module
from inspect import cleandoc

import click

from billcore.cli.app import Named
from billcore.cli.context import App, app_of, json_option, print_json, store_options
from billcore.cli.options import arguments_of, documented, given_values, options_of
from billcore.cli.table import NOUNS
from billcore.commands.verb import Definition, Noun, verbs_of
from billcore.errors import FileInvalid


def noun_class(name: str) -> type[Noun]:
    """The class whose methods are the noun's verbs."""
    module, _, attribute = NOUNS[name].where.partition(":")
    found: type[Noun] = getattr(import_module(module), attribute)
    return found


@cache
def noun_group(name: str) -> click.Group:
    """The commands of one noun."""
    group = Named(name, help=NOUNS[name].help, no_args_is_help=True)
    for definition in verbs_of(noun_class(name)).values():
        group.add_command(verb_command(definition))
    return group


def verb_command(definition: Definition) -> click.Command:
    """The command of one verb: parameters as arguments and options, and what every verb takes."""
    command = click.Command(
        definition.name,
        callback=click.pass_context(partial(_call, definition)),
        params=[*arguments_of(definition), *options_of(definition)],
        help=documented(definition, cleandoc(definition.help)),
        short_help=documented(definition, definition.summary),
    )
    if not definition.reads:
        click.option("--dry-run", is_flag=True, help="Show what would come of it; keep nothing.")(command)
        click.option("--idempotency-key", metavar="KEY", help="Do it once, however often it is called.")(command)
        click.option("--actor", metavar="NAME", envvar="BILLCORE_ACTOR", help="Who does it, for the audit log.")(
            command
        )
    return store_options(json_option(command))


def _call(definition: Definition, context: click.Context, /, **options: object) -> None:
    app = app_of(context)
    own = {name: options.pop(name, None) for name in ("dry_run", "idempotency_key", "actor")}
    arguments = given_values(definition, options, context)
    if not definition.reads:
        arguments.update({name: value for name, value in own.items() if value})
    with app.billing(pays=not definition.reads) as billing:
        verb = getattr(getattr(billing, definition.noun), definition.name)
        try:
            result = verb(**arguments)
        except FileInvalid as error:
            file = _file(definition, options)
            if file is None:
                raise
            raise FileInvalid(error.code, f"{file}: {error.message}", remedy=error.remedy, **error.facts) from error
        _show(app, definition, billing, result, arguments)


def _file(definition: Definition, options: Mapping[str, object]) -> object:
    """The file that a verb was given, to be named before a key path in it."""
    kinds = {parameter.name: parameter.kind for parameter in definition.parameters}
    return next((options[name] for name, kind in kinds.items() if kind and kind.name == "catalog"), None)


def _show(app: App, definition: Definition, billing: object, result: object, arguments: Mapping[str, object]) -> None:
    if app.json:
        print_json(result)
        return
    from billcore.billing import Billing
    from billcore.cli.output import pages

    assert isinstance(billing, Billing)
    pages.show(billing, definition, result, arguments)
