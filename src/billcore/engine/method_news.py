"""What gateways tell of payment methods: entered on a hosted page, renewed by the bank, revoked (behaviour 9.7)."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from attrs import evolve

from billcore.commands.payment_methods import keep, restate
from billcore.commands.scope import Scope
from billcore.commands.vault import described
from billcore.domain.customer import PaymentMethod
from billcore.domain.inbox import EARLY_TRIES, InboxEvent, ended, put_off
from billcore.engine.told import Told
from billcore.engine.work import Workplace
from billcore.errors import BillcoreError
from billcore.plugins.gateway import Capability, Describe, MethodNotFound, Vaulted, perform_method
from billcore.store import customer as customers

Answer = Vaulted | MethodNotFound | str | None
"""How a gateway describes a method; why it could not be asked; None where it has no vault to ask."""


def hear_of_methods(place: Workplace, heard: Sequence[Told]) -> list[InboxEvent]:
    """Ask how each method stands now, once, and store it; a method of a customer of ours becomes his."""
    if not heard:
        return []
    asked = {(one.event.gateway, one.said.token): one for one in heard}
    with ThreadPoolExecutor(place.threads, "billcore-inbox") as threads:
        answers: Mapping[tuple[str, str], Answer] = dict(
            zip(asked, threads.map(partial(_describe, place), asked.values()), strict=True)
        )
    return [place.unit(partial(_heard, one=one, answer=answers[one.event.gateway, one.said.token])) for one in heard]


def _describe(place: Workplace, one: Told) -> Answer:
    try:
        gateway = place.gateway(one.event.gateway)
        if Capability.VAULT not in gateway.capabilities:
            return None
        request = Describe(one.said.token, one.said.gateway_customer)
        return perform_method(gateway, request, deadline_s=place.deadline_s)
    except BillcoreError as error:
        return str(error)


def _heard(scope: Scope, one: Told, answer: Answer) -> InboxEvent:
    if isinstance(answer, str):
        return put_off(one.event, one.at, answer)
    if answer is None:
        return ended(one.event, "ignored", one.at, "The gateway has no vault that could be asked.")
    scope.now = one.at
    known = customers.by_token(scope.tx, one.event.gateway, one.said.token)
    if known:
        scope.keep_all({method.customer_id for method in known})
        owner = scope.customer(known[0].customer_id)
        known = customers.by_token(scope.tx, one.event.gateway, one.said.token)
        return _changed(scope, evolve(one, event=evolve(one.event, customer_id=owner.id)), known, answer)
    return _new(scope, one, answer)


def _changed(scope: Scope, one: Told, known: Sequence[PaymentMethod], answer: Vaulted | MethodNotFound) -> InboxEvent:
    kept = [method for method in known if method.status != "removed"]
    if not kept:
        return ended(one.event, "ignored", one.at, "The method was removed here.")
    for method in kept:
        restate(scope, scope.customer(method.customer_id), method, answer)
    return ended(one.event, "done", one.at)


def _new(scope: Scope, one: Told, answer: Vaulted | MethodNotFound) -> InboxEvent:
    """A method that is not known here: it belongs to the customer whom the gateway keeps with it."""
    if isinstance(answer, MethodNotFound) or answer.status == "disabled":
        return ended(one.event, "ignored", one.at, "The method is neither here nor at the gateway.")
    owner_id = answer.customer_id or one.said.customer_id
    if not owner_id:
        return ended(one.event, "ignored", one.at, "The method belongs to nobody here.")
    if owner_id not in customers.by_ids(scope.tx, [owner_id]):
        if one.event.tries < EARLY_TRIES:
            return put_off(one.event, one.at, "Its customer is not known here; it may be early.")
        if not owner_id.startswith("cus_"):
            return ended(one.event, "ignored", one.at, "Its customer is not known here.")
        reason = (
            f"It names {owner_id}, a customer like ours who is not in these books: they were restored from a backup, "
            f"or other books use this account. Then: billcore webhooks discard {one.event.id}"
        )
        return ended(one.event, "parked", one.at, reason)
    scope.keep_all([owner_id])
    owner = scope.customer(owner_id)
    blank = PaymentMethod(scope.new_id("pm"), owner.id, one.event.gateway, answer.kind, answer.token, one.at)
    keep(scope, owner, described(blank, answer))
    return ended(evolve(one.event, customer_id=owner.id), "done", one.at)
