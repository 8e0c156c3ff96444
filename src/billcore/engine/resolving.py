"""Resolves attempts without an outcome: asks the gateway first, resends with the same key, or parks (behaviour 9.3)."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.invoice import Invoice
from billcore.domain.money import Money
from billcore.domain.payment import IN_DOUBT, Outcome, Payment
from billcore.domain.periods import Duration, add
from billcore.engine.agenda import Due
from billcore.engine.collection import Settled, charge_of, record_outcomes, send
from billcore.engine.leases import has_ended
from billcore.engine.outcomes import outcome_of
from billcore.engine.work import Workplace
from billcore.plugins.calls import deliver
from billcore.plugins.gateway import Cancel, Capability, Gateway, Lookup, Request, key_window_s
from billcore.store import invoice as invoices
from billcore.store import payment as payments

NOT_FOUND_TWICE = 2


def resolve(place: Workplace, due: Sequence[Due]) -> int:
    """Ask for the outcome of open attempts; those that were surely never sent are sent. Returns how many were due."""
    if place.clock.simulated:
        _wait_for_callers(place, due)
    fresh, asked = _claim(place, due)
    if fresh:
        send(place, fresh)
    by_gateway: dict[str, list[Payment]] = {}
    for payment in asked:
        by_gateway.setdefault(payment.gateway, []).append(payment)
    for name, group in by_gateway.items():
        _ask(place, name, group)
    return len(due)


def _wait_for_callers(place: Workplace, due: Sequence[Due]) -> None:
    """Simulated time must not overtake a real call: while somebody makes one of these attempts it stands still."""
    while True:
        with place.database.transaction(reads=True) as tx:
            found = payments.by_ids(tx, {row.id for row in due}).values()
        wall = place.clock.wall()
        if not any(payment.status in IN_DOUBT and _is_being_made(payment, wall) for payment in found):
            return
        time.sleep(0.05)


def _is_being_made(payment: Payment, wall: datetime) -> bool:
    return payment.lease_until is not None and payment.lease_until > wall and not has_ended(payment.lease_owner)


def _claim(place: Workplace, due: Sequence[Due]) -> tuple[list[Payment], list[Payment]]:
    """Lease the attempts: those to send for the first time, and those to ask about."""
    wanted = {row.id: row.at for row in due}
    fresh, asked = [], []
    with place.unit() as scope:
        wall = place.clock.wall()
        assert scope.lease is not None
        owner, until = scope.lease
        for payment in payments.by_ids(scope.tx, wanted).values():
            at = place.moment(wanted[payment.id])
            if payment.status not in IN_DOUBT or payment.next_check_at != wanted[payment.id]:
                if payment.status not in IN_DOUBT:
                    scope.writes.put(evolve(payment, next_check_at=None))
                continue
            later = add(at, Duration(2, "minute"), "UTC")
            if _is_being_made(payment, wall):
                scope.writes.put(evolve(payment, next_check_at=later))
                continue
            leased = evolve(payment, lease_owner=owner, lease_until=until, next_check_at=later)
            if payment.sends == 0:
                leased = evolve(leased, sends=1, created_at=at)
                fresh.append(evolve(leased, version=leased.version + 1))
            else:
                asked.append(evolve(leased, version=leased.version + 1))
            scope.writes.put(leased)
    return fresh, asked


def _ask(place: Workplace, name: str, group: Sequence[Payment]) -> None:
    try:
        gateway = place.gateway(name)
    except Exception as error:
        _release(place, group, str(error))
        return
    moments = {payment.id: _moment(place, payment) for payment in group}
    answers = _answers(place, gateway, [Lookup(p.id, Money(p.amount, p.currency)) for p in group])
    again = _follow_ups(place, gateway, group, answers, moments)
    answers |= _answers(place, gateway, again)
    final: list[Settled] = []
    open_still: list[Settled] = []
    for payment_id, outcome in answers.items():
        known = outcome.kind in ("approved", "declined", "canceled")
        (final if known else open_still).append((payment_id, outcome, moments[payment_id]))
    record_outcomes(place, final)
    _wait(place, open_still)


def _follow_ups(
    place: Workplace,
    gateway: Gateway,
    group: Sequence[Payment],
    answers: Mapping[str, Outcome],
    moments: Mapping[str, datetime],
) -> list[Request]:
    """What is done about answers that leave it open: cancel what nobody acts on, send again what never arrived."""
    with place.database.transaction(reads=True) as tx:
        scope = place.open_scope(tx, place.clock.now())
        billed = invoices.by_ids(tx, {payment.billed for payment in group}, lines=False)
    requests: list[Request] = []
    for payment in group:
        outcome, at = answers[payment.id], moments[payment.id]
        waits = outcome.kind == "action_required" and Capability.CANCEL in gateway.capabilities
        if waits and at >= _given_up_at(scope, payment):
            requests.append(Cancel(payment.id, Money(payment.amount, payment.currency)))
        elif outcome.kind == "not_found" and _may_resend(gateway, payment, billed[payment.billed], at):
            requests.append(charge_of(payment))
    return requests


def _answers(place: Workplace, gateway: Gateway, requests: Sequence[Request]) -> dict[str, Outcome]:
    """The gateway's answers by attempt. A question that could not be sent says nothing about the attempt itself."""
    found = {}
    for result in deliver(gateway, requests, threads=place.threads, deadline_s=place.deadline_s):
        outcome = outcome_of(result.result)
        if outcome.kind == "not_sent":
            outcome = Outcome("unknown", message=outcome.message)
        found[result.request.attempt_id] = outcome
    return found


def _moment(place: Workplace, payment: Payment) -> datetime:
    """The instant of this check: it was planned two minutes before the next one."""
    if not place.clock.simulated or payment.next_check_at is None:
        return place.clock.now()
    return payment.next_check_at - timedelta(minutes=2)


def _may_resend(gateway: Gateway, payment: Payment, invoice: Invoice, at: datetime) -> bool:
    """Whether the same request may be sent again: inside the key's window, for an invoice that still wants it."""
    if at - payment.created_at >= timedelta(seconds=key_window_s(gateway)):
        return False
    wanted = invoice.status in ("draft", "open") and invoice.discarded_at is None
    return wanted and invoice.reserved_by == payment.id and invoice.due >= payment.amount


def _given_up_at(scope: Scope, payment: Payment) -> datetime:
    """Until when the customer may still act on an attempt (setting signup_expires_after)."""
    return add(payment.created_at, Duration.parse(scope.settings.signup_expires_after), "UTC")


def _wait(place: Workplace, settled: Sequence[Settled]) -> None:
    """Note what is still open: when it is asked for next, how often it was not found, and when it is parked."""
    if not settled:
        return
    failed: list[Settled] = []
    with place.unit() as scope:
        found = payments.by_ids(scope.tx, [row[0] for row in settled])
        for payment_id, outcome, at in settled:
            payment = found[payment_id]
            if payment.status not in IN_DOUBT:
                continue
            waiting = _later(scope, payment, outcome, at)
            if waiting is None:
                failed.append((payment_id, Outcome("not_sent", message="not found at the gateway, twice"), at))
            else:
                scope.writes.put(waiting)
    record_outcomes(place, failed)


def _later(scope: Scope, payment: Payment, outcome: Outcome, at: datetime) -> Payment | None:
    """The payment with its next check; None when it was not found often and long enough to count as not sent."""
    next_check_at = at + timedelta(minutes=min(60, 5 * 2 ** min(payment.checks, 4)))
    if payment.status == "requires_action" and at < _given_up_at(scope, payment):
        next_check_at = min(next_check_at, _given_up_at(scope, payment))
    waiting = evolve(
        payment,
        checks=payment.checks + 1,
        next_check_at=next_check_at,
        lease_owner=None,
        lease_until=None,
        action_url=outcome.action_url or payment.action_url,
    )
    if outcome.kind != "not_found":
        return waiting
    old_enough = at >= add(payment.created_at, Duration.parse(scope.settings.not_found_after), "UTC")
    if old_enough and payment.not_found + 1 >= NOT_FOUND_TWICE:
        return None
    return evolve(waiting, not_found=payment.not_found + (1 if old_enough else 0))


def _release(place: Workplace, group: Sequence[Payment], reason: str) -> None:
    """The gateway cannot be asked: say so on the payments and try later."""
    with place.unit() as scope:
        for payment in payments.by_ids(scope.tx, [one.id for one in group]).values():
            scope.writes.put(
                evolve(
                    payment,
                    lease_owner=None,
                    lease_until=None,
                    message=reason[:500],
                    next_check_at=(payment.next_check_at or scope.now) + timedelta(hours=1),
                )
            )
