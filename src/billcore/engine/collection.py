"""Collects invoices: stores the attempts, calls the gateways outside any transaction, records what came of them."""

import json
from collections.abc import Sequence
from datetime import datetime

from billcore.commands.attempts import attempt, usable_method
from billcore.commands.bill import number_issued
from billcore.commands.cancellation import cancel_now
from billcore.commands.receivables import receivables, with_lines_where_shared
from billcore.commands.scope import Scope
from billcore.domain.invoice import Invoice
from billcore.domain.money import Money
from billcore.domain.payment import IN_DOUBT, Outcome, Payment
from billcore.domain.settlement import settle
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve
from billcore.engine.agenda import Due
from billcore.engine.outcomes import outcome_of
from billcore.engine.work import Workplace
from billcore.plugins.calls import deliver
from billcore.plugins.gateway import Charge
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

Settled = tuple[str, Outcome, datetime]
"""A payment id, what became of it, and when."""


def collect(place: Workplace, due: Sequence[Due]) -> int:
    """Collect the due invoices, one attempt each; returns how many were looked at."""
    with place.unit() as scope:
        sends = plan_attempts(place, scope, due)
    send(place, sends)
    return len(due)


def send(place: Workplace, sends: Sequence[Payment]) -> None:
    """Make stored attempts and record their outcomes; no transaction is open during the calls (behaviour 9.1)."""
    by_gateway: dict[str, list[Payment]] = {}
    for payment in sends:
        by_gateway.setdefault(payment.gateway, []).append(payment)
    for name, group in by_gateway.items():
        at = {payment.id: place.moment(payment.created_at) for payment in group}
        settled: list[Settled] = []
        try:
            gateway = place.gateway(name)
        except Exception as error:
            settled = [(payment.id, Outcome("not_sent", message=str(error)[:500]), at[payment.id]) for payment in group]
        else:
            requests = [charge_of(payment) for payment in group]
            for result in deliver(gateway, requests, threads=place.threads, deadline_s=place.deadline_s):
                request = result.request
                settled.append((request.attempt_id, outcome_of(result.result), at[request.attempt_id]))
        settled.sort(key=lambda row: row[0])
        record_outcomes(place, settled)


def charge_of(payment: Payment) -> Charge:
    """The stored request of an attempt; resends use the same bytes (behaviour 9.1)."""
    stored = json.loads(payment.request)
    return Charge(
        attempt_id=stored["attempt_id"],
        idempotency_key=stored["idempotency_key"],
        amount=Money(stored["amount"], stored["currency"]),
        gateway_method=stored["gateway_method"],
        customer_id=stored["customer_id"],
        invoice_id=stored["invoice_id"],
        description=stored["description"],
        gateway_customer=stored["gateway_customer"],
    )


def plan_attempts(place: Workplace, scope: Scope, due: Sequence[Due]) -> list[Payment]:
    """Store an attempt for every due invoice that still wants one; those that cannot be charged go past due."""
    wanted = {row.id: row.at for row in due}
    found = with_lines_where_shared(scope, wanted)
    owners = customers.by_ids(scope.tx, {invoice.customer_id for invoice in found.values()})
    methods = customers.methods(scope.tx, owners)
    own = subscriptions.own_methods(
        scope.tx, [invoice.subscription_id for invoice in found.values() if invoice.subscription_id]
    )
    sends = []
    without: list[Invoice] = []
    busy: set[str] = set()
    for invoice in sorted(found.values(), key=lambda one: one.id):
        if invoice.collect_at != wanted[invoice.id] or invoice.customer_id in busy:
            continue
        # One charge at a time for a customer, oldest first: a decline may stop the others (behaviour 9.5).
        busy.add(invoice.customer_id)
        scope.now = place.moment(wanted[invoice.id])
        # Read again under the lock: paid, void or in doubt means no call (behaviour 9.4).
        if invoice.status != "open" or invoice.due <= 0 or invoice.reserved_by is not None:
            scope.writes.put(evolve(invoice, collect_at=None))
            continue
        customer = owners[invoice.customer_id]
        preferred = own.get(invoice.subscription_id or "")
        method = usable_method(methods.get(customer.id, []), customer, preferred)
        if invoice.collect_for == "collection" and _is_unpaid(scope, invoice):
            scope.writes.put(evolve(invoice, overdue=True, collect_at=None))
            continue
        if invoice.collection != "automatic" or method is None:
            without.append(invoice)
            continue
        payment, reserved = attempt(scope, invoice, method, invoice.collect_for, invoice.due)
        scope.writes.add(payment)
        scope.writes.put(reserved)
        sends.append(payment)
    zones = {owner.id: owner.timezone for owner in owners.values() if owner.timezone}
    for invoice in without:
        at = place.moment(wanted[invoice.id])
        receivables(scope, [(invoice, at)], zones)[invoice.id].fail(at, invoice.collect_for, None)
    return sends


def record_outcomes(place: Workplace, settled: Sequence[Settled]) -> None:
    """Record outcomes in one transaction; two of one customer go into following ones."""
    waiting = list(settled)
    while waiting:
        with place.unit() as scope:
            waiting = record(scope, waiting)


def record(scope: Scope, settled: Sequence[Settled]) -> list[Settled]:
    """Settle payments in the open unit of work; returns those that must wait for the next one."""
    found = payments.by_ids(scope.tx, [row[0] for row in settled])
    billed = with_lines_where_shared(scope, {payment.billed for payment in found.values()})
    zones = customers.zones(scope.tx, {payment.customer_id for payment in found.values()})
    busy: set[str] = set()
    mine: list[Settled] = []
    later: list[Settled] = []
    for row in settled:
        payment = found[row[0]]
        (later if payment.customer_id in busy else mine).append(row)
        busy.add(payment.customer_id)
    quiet = {
        wanted.id
        for payment_id, outcome, _ in mine
        if (wanted := billed[found[payment_id].billed]).status == "open"
        and outcome.kind == "approved"
        and outcome.amount >= wanted.due  # A part of it leaves the rest overdue.
    }
    affected = receivables(scope, [(billed[found[payment_id].billed], at) for payment_id, _, at in mine], zones, quiet)
    for payment_id, outcome, at in mine:
        scope.now = at
        payment = found[payment_id]
        settled_payment = settle(payment, outcome, affected[payment.billed])
        if (
            settled_payment.status in ("failed", "canceled")
            and payment.status in IN_DOUBT
            and payment.cause in ("dunning", "retry", "new_method")
        ):
            invoices.stop_retries(scope.tx, payment.customer_id, payment.currency, payment.billed)
    for invoice in scope.writes.changed(Invoice):
        assert isinstance(invoice, Invoice)
        if invoice.number is None and invoice.status != "draft":
            scope.writes.put(number_issued(scope, invoice))
    for sub in scope.writes.changed(Subscription):
        assert isinstance(sub, Subscription)
        if sub.state == "canceled":
            end_addons(scope, [sub])
    return later


def end_addons(scope: Scope, bases: Sequence[Subscription]) -> None:
    """Add-ons end with their base (behaviour 6.6), also where dunning ended it."""
    for addon in subscriptions.addons(scope.tx, [base.id for base in bases], scope.catalog.coupons):
        if addon.ended_at is None and addon.id not in {base.id for base in bases}:
            cancel_now(scope, addon, "none", None)


def _is_unpaid(scope: Scope, invoice: Invoice) -> bool:
    """Whether the invoice came while its subscriptions were unpaid: they are billed, but nothing is charged."""
    if invoice.issued_at == invoice.due_at:
        return False  # Those are overdue from the start and never planned.
    named = {line.subscription_id for line in invoice.lines} | {invoice.subscription_id}
    ids = [sub_id for sub_id in named if sub_id is not None]
    return bool(ids) and len(subscriptions.unpaid(scope.tx, ids)) == len(ids)
