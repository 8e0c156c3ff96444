"""Asks plugins which methods collections are tried with, before their attempts are stored (design: questions)."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from attrs import field, frozen

from billcore.commands.methods import in_order
from billcore.domain.money import Money
from billcore.engine.agenda import Due
from billcore.engine.work import Workplace
from billcore.plugins.question import Collection, Method
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions
from billcore.store.database import Transaction

HOOK = "payment_routing"

Routes: TypeAlias = Mapping[str, Sequence[str]]
"""By invoice id the ids of the payment methods to use, the first choice first."""


@frozen
class Routed:
    """What the plugins chose, checked; `problems` says what was wrong with those that answered nonsense or nothing."""

    routes: Routes = field(factory=dict)
    problems: tuple[str, ...] = ()


def ask_for_routes(place: Workplace, due: Sequence[Due]) -> Routed:
    """Ask every plugin that routes payments, once for the batch; where two name an invoice, the first one counts.

    No transaction is open meanwhile: what they chose from is read again before it is used.
    """
    if place.registry is None or not place.registry.listening(HOOK):
        return Routed()
    with place.database.transaction(reads=True) as tx:
        offered = _collections(tx, [row.id for row in due])
    if not offered:
        return Routed()
    asked = place.registry.ask(HOOK, payments=tuple(offered.values()))
    routes: dict[str, Sequence[str]] = {}
    problems = [failure.message for failure in asked.failures]
    for plugin, answer in asked.answers.items():
        if not isinstance(answer, Mapping):
            problems.append(f"{HOOK} of {plugin} answered a {type(answer).__name__}, not a mapping")
            continue
        for invoice_id, chosen in answer.items():
            problem = _problem(offered, invoice_id, chosen)
            if problem:
                problems.append(f"{HOOK} of {plugin} {problem}")
            else:
                routes.setdefault(invoice_id, tuple(chosen))
    return Routed(routes, tuple(problems))


def _collections(tx: Transaction, ids: Sequence[str]) -> dict[str, Collection]:
    found = invoices.by_ids(tx, ids, lines=False)
    owners = customers.by_ids(tx, {invoice.customer_id for invoice in found.values()})
    methods = customers.methods(tx, owners)
    own = subscriptions.own_methods(tx, [one.subscription_id for one in found.values() if one.subscription_id])
    offered = {}
    for invoice in found.values():
        owner = owners[invoice.customer_id]
        usable = in_order(methods.get(owner.id, []), owner, own.get(invoice.subscription_id or ""))
        if invoice.collection == "automatic" and invoice.status == "open" and invoice.due > 0 and usable:
            offered[invoice.id] = Collection(
                invoice.id,
                owner.id,
                Money(invoice.due, invoice.currency),
                tuple(Method(one.id, one.gateway, one.kind) for one in usable),
            )
    return offered


def _problem(offered: Mapping[str, Collection], invoice_id: object, chosen: object) -> str:
    """What is wrong with one answer, or nothing."""
    if not isinstance(invoice_id, str) or invoice_id not in offered:
        return f"named {invoice_id!r:.80}, which is not collected"
    if isinstance(chosen, str) or not isinstance(chosen, Sequence) or not chosen:
        return f"chose {type(chosen).__name__} for {invoice_id}, not a list of methods"
    known = {method.payment_method_id for method in offered[invoice_id].methods}
    strange = [one for one in chosen if one not in known]
    return f"chose {strange[0]!r:.80} for {invoice_id}, which is none of its methods" if strange else ""
