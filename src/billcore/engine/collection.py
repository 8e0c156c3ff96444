"""Collects invoices: stores the attempts, calls the gateways outside any transaction, records what came of them."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from attrs import frozen

from billcore.commands.attempts import attempt
from billcore.commands.bill import number_issued, number_notes
from billcore.commands.cancellation import end_unpaid
from billcore.commands.methods import BY_HAND, chain, ends_retries, next_method, with_chain
from billcore.commands.phases import begins, follow_base, refuse_change
from billcore.commands.prepaid import top_up_settled
from billcore.commands.receivables import pay_from, receivables, with_lines_where_shared
from billcore.commands.referrals import thank_referrers
from billcore.commands.scope import Scope
from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.money import Money
from billcore.domain.payment import IN_DOUBT, Outcome, Payment
from billcore.domain.receivable import Receivable
from billcore.domain.settlement import settle
from billcore.domain.values import evolve
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked, claim
from billcore.engine.leases import held
from billcore.engine.outcomes import outcome_of, reason_of
from billcore.engine.routing import Routes, ask_for_routes
from billcore.engine.work import Workplace
from billcore.plugins.gateway import Charge
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions

FACTS = ("approved", "declined", "canceled")
"""What a gateway says of an attempt that is over: true whoever heard it."""


@frozen
class Settled:
    """What became of a payment, when, and by whose word: `owner` names the lease under which it was found out."""

    payment_id: str
    customer_id: str
    outcome: Outcome
    at: datetime
    owner: str | None = None

    def counts_for(self, payment: Payment) -> bool:
        """Whether it says something about the payment as it is stored.

        That nothing was sent, or nobody knows, is said by the holder of the lease only: who lost it does not know
        what the next one did (promise P1). Facts count whoever brings them.
        """
        return self.outcome.kind in FACTS or payment.lease_owner == self.owner


def collect(place: Workplace, due: Sequence[Due]) -> Worked:
    """Collect the due invoices, one attempt each."""
    routed = ask_for_routes(place, due)
    sends, worked = place.unit(lambda scope: _planned(place, scope, due, routed.routes))
    send(place, sends)
    return evolve(worked, problems=routed.problems)


def _planned(place: Workplace, scope: Scope, due: Sequence[Due], routes: Routes) -> tuple[list[Payment], Worked]:
    claimed = claim(place, scope, due)
    sends, done = plan_attempts(place, scope, claimed.rows, routes)
    # What another worker has done meanwhile, or has its turn afterwards, is none of this one's.
    return sends, claimed.worked(done)


def send(place: Workplace, sends: Sequence[Payment]) -> None:
    """Make stored attempts and record their outcomes; no transaction is open during the calls (behaviour 9.1)."""
    by_gateway: dict[str, list[Payment]] = {}
    for payment in sends:
        by_gateway.setdefault(payment.gateway, []).append(payment)
    for name, group in by_gateway.items():
        try:
            gateway = place.gateway(name)
        except Exception as error:
            nothing = Outcome("not_sent", message=reason_of(error))
            record_outcomes(place, [_settled(place, payment, nothing) for payment in group])
            continue
        owned = {payment.id: payment for payment in group}
        for came in held(place, "billcore_payments", group).calls(gateway, [charge_of(payment) for payment in group]):
            settled = [_settled(place, owned[one.request.attempt_id], outcome_of(one.result)) for one in came]
            record_outcomes(place, sorted(settled, key=lambda one: one.payment_id))


def _settled(place: Workplace, payment: Payment, outcome: Outcome) -> Settled:
    """What became of an attempt under its lease."""
    at = place.moment(payment.created_at)
    return Settled(payment.id, payment.customer_id, outcome, at, payment.lease_owner)


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
        on_session=stored["on_session"],
    )


def plan_attempts(place: Workplace, scope: Scope, due: Sequence[Due], routes: Routes) -> tuple[list[Payment], int]:
    """Store an attempt for every due invoice that still wants one; those that cannot be charged go past due.

    `routes` are the methods that plugins chose, by invoice id. The attempts, and how many invoices were seen to.
    """
    wanted = {row.id: row.at for row in due}
    found = with_lines_where_shared(scope, wanted)
    owners = customers.by_ids(scope.tx, {invoice.customer_id for invoice in found.values()})
    methods = customers.methods(scope.tx, owners)
    own = subscriptions.own_methods(
        scope.tx, [invoice.subscription_id for invoice in found.values() if invoice.subscription_id]
    )
    credits = payments.open_credits(scope.tx, owners)
    sends = []
    without: list[Invoice] = []
    busy: set[str] = set()
    done = 0
    for stored in sorted(found.values(), key=lambda one: one.id):
        if stored.collect_at != wanted[stored.id] or stored.customer_id in busy:
            continue
        # One charge at a time for a customer, oldest first: a decline may stop the others (behaviour 9.5).
        busy.add(stored.customer_id)
        done += 1
        scope.now = place.moment(wanted[stored.id])
        # Read again under the lock: paid, void or in doubt means no call (behaviour 9.4).
        if stored.status != "open" or stored.due <= 0 or stored.reserved_by is not None:
            scope.writes.put(evolve(stored, collect_at=None))
            continue
        customer = owners[stored.customer_id]
        # Prepayments wait for the due date, and credit may have come while an attempt was under way (8.7).
        invoice = pay_from(scope, stored, credits.get(customer.id, ()), due=True)
        if invoice.due == 0:
            continue
        preferred = own.get(invoice.subscription_id or "")
        method = next_method(
            scope, invoice, customer, methods.get(customer.id, []), preferred, routes.get(invoice.id, ())
        )
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
    for invoice in without:
        _not_collected(scope, invoice, place.moment(wanted[invoice.id]), owners[invoice.customer_id])
    return sends, done


def _not_collected(scope: Scope, invoice: Invoice, at: datetime, owner: Customer) -> None:
    """An invoice that falls due and that nothing can be charged for goes past due."""
    zones = {owner.id: owner.timezone} if owner.timezone else {}
    cause = chain(scope, invoice).cause if invoice.collect_for == "fallback" else invoice.collect_for
    affair = receivables(scope, [(invoice, at)], zones)[invoice.id]
    affair.fail(at, cause, None)
    end_unpaid(scope, affair.unpaid, "payment_declined", at)


def record_outcomes(place: Workplace, settled: Sequence[Settled]) -> None:
    """Record outcomes in one transaction; two of one customer go into following ones.

    What was heard has to be written down, so customers whom somebody else keeps are waited for, when all others are
    recorded: whoever keeps one for long holds up nobody else's.
    """
    waiting: Sequence[Settled] = place.unit(partial(record, settled=settled, skip=True)) if settled else ()
    while waiting:
        waiting = place.unit(partial(record, settled=waiting))


def record(scope: Scope, settled: Sequence[Settled], *, skip: bool = False) -> list[Settled]:
    """Settle payments in the open unit of work; returns those that must wait for the next one.

    With `skip` those of customers whom somebody else keeps wait too.
    """
    kept = scope.keep_all({row.customer_id for row in settled}, skip=skip)
    kept_by_others = [row for row in settled if row.customer_id not in kept]
    return kept_by_others + _record(scope, [row for row in settled if row.customer_id in kept])


def _record(scope: Scope, settled: Sequence[Settled]) -> list[Settled]:
    found = payments.by_ids(scope.tx, [row.payment_id for row in settled])
    mine: list[tuple[Payment, Settled]] = []
    later: list[Settled] = []
    busy: set[str] = set()
    for row in settled:
        payment = found[row.payment_id]
        if not row.counts_for(payment):
            continue
        if row.customer_id in busy:
            later.append(row)
        else:
            mine.append((payment, row))
        busy.add(row.customer_id)
    billed = with_lines_where_shared(scope, {payment.billed for payment, _ in mine})
    zones = customers.zones(scope.tx, busy)
    quiet = {
        paid.id
        for payment, row in mine
        if (paid := billed[payment.billed]).status == "open"
        and row.outcome.kind == "approved"
        and row.outcome.amount >= paid.due  # A part of it leaves the rest overdue.
    }
    wanted = [(billed[payment.billed], row.at) for payment, row in mine]
    affected = receivables(scope, wanted, zones, quiet, begins=begins)
    settled_ones: dict[str, Payment] = {}
    for payment, row in mine:
        scope.now = row.at
        affair = affected[payment.billed]
        affair.account = with_chain(scope, payment, affair, row.outcome)
        settled_payment = settled_ones[payment.id] = settle(payment, row.outcome, affair)
        end_unpaid(scope, affair.unpaid, "payment_declined", row.at)
        if affair.invoice.discarded_at is not None:
            refuse_change(scope, affair.invoice)
        if payment.status in IN_DOUBT:
            _note_on_method(scope, settled_payment, row)
            if settled_payment.status in ("failed", "canceled") and ends_retries(payment, affair.account):
                invoices.stop_retries(scope.tx, payment.customer_id, payment.currency, payment.billed)
    _number(scope)
    number_notes(scope)
    thank_referrers(scope)
    for payment, row in mine:
        draft = affected[payment.billed].invoice
        if draft.purpose == "top_up" and payment.status in IN_DOUBT:
            scope.now = row.at
            top_up_settled(scope, settled_ones[payment.id], draft)
    _follow_bases(scope, [(affected[payment.billed], row.at) for payment, row in mine])
    return later


def _follow_bases(scope: Scope, affairs: Sequence[tuple[Receivable, datetime]]) -> None:
    """Bill the add-ons of subscriptions that a payment has let begin a new period, now that all of it is numbered."""
    for affair, at in affairs:
        if affair.begun is not None:
            scope.flush()
            scope.now = at
            follow_base(scope, affair.begun, affair.invoice.created_at)


def _number(scope: Scope) -> None:
    for invoice in scope.writes.changed(Invoice):
        assert isinstance(invoice, Invoice)
        if invoice.number is None and invoice.status != "draft":
            scope.writes.put(number_issued(scope, invoice))


def _note_on_method(scope: Scope, payment: Payment, row: Settled) -> None:
    """A method that was refused for good is left out until it is replaced, or charged by hand after all."""
    if payment.status == "failed" and row.outcome.decline_kind == "hard":
        customers.refuse_method(scope.tx, payment.payment_method_id, row.at)
    elif payment.status == "succeeded" and payment.cause in BY_HAND:
        customers.refuse_method(scope.tx, payment.payment_method_id, None)


def _is_unpaid(scope: Scope, invoice: Invoice) -> bool:
    """Whether the invoice came while its subscriptions were unpaid: they are billed, but nothing is charged."""
    if invoice.issued_at == invoice.due_at:
        return False  # Those are overdue from the start and never planned.
    named = {line.subscription_id for line in invoice.lines} | {invoice.subscription_id}
    ids = [sub_id for sub_id in named if sub_id is not None]
    return bool(ids) and len(subscriptions.unpaid(scope.tx, ids)) == len(ids)
