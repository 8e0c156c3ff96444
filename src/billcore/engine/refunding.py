"""Sends refunds, asks what became of them and records it: as for charges, but what was lost is not sent on a guess."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from attrs import frozen

from billcore.commands.receivables import receivables
from billcore.commands.scope import Scope
from billcore.domain.money import Money
from billcore.domain.payment import Outcome
from billcore.domain.periods import Duration, add
from billcore.domain.receivable import Receivable
from billcore.domain.refund import OPEN, Refund
from billcore.domain.refunding import Till
from billcore.domain.values import evolve
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked, claim
from billcore.engine.collection import FACTS
from billcore.engine.leases import held, is_being_made, wait_for
from billcore.engine.outcomes import outcome_of, reason_of
from billcore.engine.resolving import NOT_FOUND_TWICE, WHILE_ASKED, answers_of, key_holds
from billcore.engine.work import Workplace
from billcore.plugins import gateway as gateways
from billcore.plugins.gateway import Capability, Gateway, Lookup, Request
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import refund as refunds
from billcore.store.database import Transaction

NOTHING = Outcome("unknown")


@frozen
class Told:
    """What became of a refund, as it was when it was leased for that: an outcome, and when."""

    refund: Refund
    outcome: Outcome
    at: datetime

    def counts_for(self, stored: Refund) -> bool:
        """Facts count whoever brings them; that nothing is known, only the holder of the lease can say."""
        return self.outcome.kind in FACTS or stored.lease_owner == self.refund.lease_owner


def send_refunds(place: Workplace, sends: Sequence[Refund]) -> None:
    """Make stored refunds and record their outcomes; no transaction is open during the calls (behaviour 9.6)."""
    for name, group in _by_gateway(sends).items():
        asked = {one.id: Told(one, NOTHING, place.moment(one.sent_at or one.created_at)) for one in group}
        try:
            gateway = place.gateway(name)
        except Exception as error:
            nothing = Outcome("not_sent", message=reason_of(error))
            _record(place, [evolve(one, outcome=nothing) for one in asked.values()])
            continue
        if Capability.REFUND not in gateway.capabilities:
            cannot = Outcome("declined", message=f"{name} gives nothing back")
            _record(place, [evolve(one, outcome=cannot) for one in asked.values()])
            continue
        for came in held(place, refunds.TABLE, group).calls(gateway, [request_of(one) for one in group]):
            told = [evolve(asked[one.request.attempt_id], outcome=outcome_of(one.result)) for one in came]
            _record(place, sorted(told, key=lambda one: one.refund.id))


def check_refunds(place: Workplace, due: Sequence[Due]) -> Worked:
    """What a run does for refunds that are due: simulated time stands still while somebody makes one of them."""
    if place.clock.simulated:
        wait_for(place, lambda tx: _open(tx, due))
    return ask_about_refunds(place, due)


def ask_about_refunds(place: Workplace, due: Sequence[Due]) -> Worked:
    """Send refunds that were never sent, ask for those that are open, and for those of which there is news.

    One that somebody makes right now is left to him; he may be waiting for this to end.
    """
    fresh, asked, worked = place.unit(lambda scope: _leased(place, scope, due))
    if fresh:
        send_refunds(place, fresh)
    moments = {one.refund.id: one for one in asked}
    for name, group in _by_gateway([one.refund for one in asked]).items():
        _ask(place, name, [moments[one.id] for one in group])
    return worked


def request_of(refund: Refund) -> gateways.Refund:
    """The stored request of a refund; sent again it has the same bytes."""
    stored = json.loads(refund.request)
    return gateways.Refund(
        attempt_id=stored["attempt_id"],
        idempotency_key=stored["idempotency_key"],
        amount=Money(stored["amount"], stored["currency"]),
        gateway_id=stored["gateway_id"],
        reason=stored["reason"],
    )


def lookup_of(refund: Refund) -> Lookup:
    """The question what became of a refund, with all that is known of it."""
    return Lookup(
        refund.id,
        Money(refund.amount, refund.currency),
        "refund",
        gateway_id=refund.gateway_id or "",
        of=request_of(refund).gateway_id,
        sent_at=refund.sent_at,
    )


def record_refunds(scope: Scope, told: Sequence[Told]) -> list[Told]:
    """Settle refunds in the open unit of work; returns those that must wait for the next one."""
    scope.tx.lock_customers({one.refund.customer_id for one in told})
    mine: dict[str, Told] = {}
    later: list[Told] = []
    for one in told:
        if one.refund.customer_id in mine:
            later.append(one)
        else:
            mine[one.refund.customer_id] = one
    stored = refunds.by_ids(scope.tx, [one.refund.id for one in mine.values()])
    paid = payments.by_ids(scope.tx, {one.charge for one in stored.values()})
    every = refunds.of_payments(scope.tx, paid)
    billed = _receivables(scope, [(stored[one.refund.id], one.at) for one in mine.values()])
    for one in mine.values():
        refund = stored[one.refund.id]
        if not one.counts_for(refund):
            continue
        scope.now = one.at
        refund, outcome = _judged(scope, refund, one)
        own = tuple(refund if other.id == refund.id else other for other in every[refund.charge])
        till = Till(
            paid[refund.charge],
            own,
            billed.get(refund.invoice_id or "") if refund.opens else None,
            one.at,
            scope.writes,
            scope.new_id,
        )
        till.settle(refund, outcome)
    return later


def _record(place: Workplace, told: Sequence[Told]) -> None:
    waiting = list(told)
    while waiting:
        waiting = place.unit(partial(record_refunds, told=waiting))


def _judged(scope: Scope, refund: Refund, told: Told) -> tuple[Refund, Outcome]:
    """The outcome to settle by: what was not found twice, late enough, did not get there (behaviour 9.3)."""
    if told.outcome.kind != "not_found" or refund.status not in OPEN or refund.sent_at is None:
        return refund, told.outcome
    if told.at < add(refund.sent_at, Duration.parse(scope.settings.not_found_after), "UTC"):
        return refund, told.outcome
    counted = evolve(refund, not_found=refund.not_found + 1)
    if counted.not_found < NOT_FOUND_TWICE:
        return counted, told.outcome
    return counted, Outcome("declined", message="not found at the gateway, twice")


def _receivables(scope: Scope, wanted: Sequence[tuple[Refund, datetime]]) -> dict[str, Receivable]:
    """The invoices that refunds without a credit note have opened: one that fails pays them again."""
    opened = {refund.invoice_id: at for refund, at in wanted if refund.opens and refund.invoice_id is not None}
    if not opened:
        return {}
    found = invoices.by_ids(scope.tx, opened)
    zones = customers.zones(scope.tx, {invoice.customer_id for invoice in found.values()})
    return receivables(scope, [(invoice, opened[invoice.id]) for invoice in found.values()], zones)


def _leased(place: Workplace, scope: Scope, due: Sequence[Due]) -> tuple[list[Refund], list[Told], Worked]:
    """Lease the refunds that nobody makes right now: those to send for the first time, and those to ask about."""
    claimed = claim(place, scope, due)
    wanted = {row.id: row.at for row in claimed.rows}
    fresh: list[Refund] = []
    asked: list[Told] = []
    wall = place.clock.wall()
    assert scope.lease is not None
    owner, until = scope.lease
    for refund in refunds.by_ids(scope.tx, wanted).values():
        if refund.next_check_at != wanted[refund.id]:
            continue
        at = place.moment(wanted[refund.id])
        later = add(at, WHILE_ASKED, "UTC")
        if is_being_made(refund, wall):
            scope.writes.put(evolve(refund, next_check_at=later))
            continue
        leased = evolve(refund, lease_owner=owner, lease_until=until, next_check_at=later)
        if refund.sends == 0:
            leased = evolve(leased, sends=1, sent_at=at)
            fresh.append(leased)
        else:
            asked.append(Told(leased, NOTHING, at))
        scope.writes.put(leased)
    return fresh, asked, claimed.worked(len(fresh) + len(asked))


def _open(tx: Transaction, due: Sequence[Due]) -> list[Refund]:
    return [one for one in refunds.by_ids(tx, {row.id for row in due}).values() if one.status in OPEN]


def _ask(place: Workplace, name: str, group: Sequence[Told]) -> None:
    """Ask what became of refunds; one that its gateway does not know is sent again while its key holds."""
    try:
        gateway = place.gateway(name)
    except Exception as error:
        reason = reason_of(error)
        _record(place, [evolve(one, outcome=Outcome("unknown", message=reason)) for one in group])
        return
    asked = {one.refund.id: one for one in group}
    lookups = [lookup_of(one.refund) for one in group]
    for came in held(place, refunds.TABLE, [one.refund for one in group]).calls(gateway, lookups):
        told = {id_: evolve(asked[id_], outcome=outcome) for id_, outcome in sorted(answers_of(came).items())}
        again, requests = place.unit(partial(_again, gateway=gateway, told=told))
        if again:
            for more in held(place, refunds.TABLE, [one.refund for one in again.values()]).calls(gateway, requests):
                told |= {id_: evolve(again[id_], outcome=outcome) for id_, outcome in answers_of(more).items()}
        _record(place, list(told.values()))


def _again(scope: Scope, gateway: Gateway, told: Mapping[str, Told]) -> tuple[dict[str, Told], list[Request]]:
    """What is sent again, leased anew: refunds that their gateway does not know, while the same key is the same one."""
    lost = [one for one in told.values() if one.outcome.kind == "not_found"]
    if not lost:
        return {}, []
    scope.tx.lock_customers({one.refund.customer_id for one in lost})
    stored = refunds.by_ids(scope.tx, [one.refund.id for one in lost])
    assert scope.lease is not None
    again: dict[str, Told] = {}
    for one in lost:
        refund = stored[one.refund.id]
        if refund.status not in OPEN or not one.counts_for(refund) or refund.sent_at is None:
            continue
        if key_holds(gateway, refund.sent_at, one.at):
            leased = evolve(refund, sends=refund.sends + 1, lease_owner=scope.lease[0], lease_until=scope.lease[1])
            scope.writes.put(leased)
            again[refund.id] = evolve(one, refund=leased)
    return again, [request_of(one.refund) for one in again.values()]


def _by_gateway(group: Sequence[Refund]) -> dict[str, list[Refund]]:
    found: dict[str, list[Refund]] = {}
    for one in group:
        found.setdefault(one.gateway, []).append(one)
    return found
