"""Every hook billcore calls. A plugin marks those it implements with `hookimpl` and may leave arguments out.

    from billcore.plugins.hookspecs import hookimpl

    @hookimpl
    def register_gateways():
        return [GatewaySpec("acme", Config, Acme)]

Implementations are called one by one in the order of the plugins' names. One that raises, hangs or answers
nonsense is left out and named; the others count.

This version calls `register_gateways`, `register_tax_engines`, `register_commands` and `on_events`, and asks
`payment_routing`. The other registrations are kept and listed, and nothing is done with them yet; the other questions
(`invoice_lines`, `allow`, `dunning_policy`) are settled as contracts, but not asked.
"""

# ruff: noqa: ARG001  a hookspec is its signature and its docstring

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy
from attrs import AttrsInstance

from billcore.domain.event import Event
from billcore.plugins.config import Spec
from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.question import Case, Collection, Command, Draft, ExtraLine
from billcore.plugins.tax import TaxEngineSpec
from billcore.settings import DunningPolicy

if TYPE_CHECKING:
    import click

PROJECT = "billcore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_gateways() -> Iterable[GatewaySpec[AttrsInstance]]:
    """Offer payment gateways.

    When: once, the first time any plugin is needed.
    Return: a GatewaySpec for each; its name is what users write as `gateway`, unique among all plugins.
    """
    return ()


@hookspec
def register_tax_engines() -> Iterable[TaxEngineSpec[AttrsInstance]]:
    """Offer tax engines.

    When: once, the first time any plugin is needed.
    Return: a TaxEngineSpec for each; its name is what the setting `tax_engine` takes, unique among all plugins.
    """
    return ()


@hookspec
def register_notifiers() -> Iterable[Spec[AttrsInstance, object]]:
    """Offer ways to send messages.

    When: once, the first time any plugin is needed.
    Return: a Spec for each, by name.
    """
    return ()


@hookspec
def register_carriers() -> Iterable[Spec[AttrsInstance, object]]:
    """Offer parcel carriers.

    When: once, the first time any plugin is needed.
    Return: a Spec for each, by name.
    """
    return ()


@hookspec
def register_documents() -> Iterable[Spec[AttrsInstance, object]]:
    """Offer renderers of documents.

    When: once, the first time any plugin is needed.
    Return: a Spec for each, by name.
    """
    return ()


@hookspec
def register_commands(cli: "click.Group") -> None:
    """Add commands, which stand under `billcore x PLUGIN`.

    When: each time a command of this plugin, or the list of them, is asked for.
    cli: the plugin's own click group.
    """


@hookspec
def invoice_lines(drafts: Sequence[Draft]) -> Iterable[ExtraLine]:
    """Add lines to documents about to be issued.

    When: before the transaction, once for a batch; also for previews, so it must have no effect.
    drafts: the documents with the lines they have so far.
    Return: further lines, each naming its document, in that document's currency.
    """
    return ()


@hookspec
def payment_routing(payments: Sequence[Collection]) -> Mapping[str, Sequence[str]]:
    """Choose and order the methods that collections are tried with.

    When: before the attempts are stored, once for a batch; again for each method that follows on a decline.
    payments: what is to be collected, and the methods it may be taken from, the preferred one first.
    Return: by invoice id the payment method ids to use, first choice first; the others only where the setting
    method_fallback is "order". What is left out stays as it was.
    """
    return {}


@hookspec
def allow(command: Command) -> str | None:
    """Veto a command.

    When: before the command is decided, also for dry runs.
    command: its name, parameters and actor.
    Return: the reason it is refused, or None.
    """


@hookspec
def dunning_policy(cases: Sequence[Case]) -> Mapping[str, DunningPolicy]:
    """Choose the policy of dunning cases.

    When: before a case is opened, once for a batch.
    cases: who owes what since when.
    Return: by case id the policy; what is left out has the site's.
    """
    return {}


@hookspec
def on_events(events: Sequence[Event]) -> None:
    """Hear what happened.

    When: after the commit, from the outbox, at least once each; an event's id tells a repetition.
    events: the facts, oldest first; `data` is JSON.
    """
