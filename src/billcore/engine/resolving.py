"""Resolves attempts without an outcome: asks the gateway first, sends again with the same key, or parks (9.3)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from attrs import evolve, frozen

from billcore.commands.phases import begins
from billcore.commands.receivables import receivables, with_lines_where_shared
from billcore.commands.scope import Scope
from billcore.domain.money import Money
from billcore.domain.payment import IN_DOUBT, TABLE, Outcome, Payment
from billcore.domain.periods import Duration, add
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked, claim
from billcore.engine.collection import FACTS, Settled, charge_of, record_outcomes, send
from billcore.engine.leases import LEASE_S, held, is_being_made, wait_for
from billcore.engine.outcomes import outcome_of, reason_of
from billcore.engine.work import Workplace
from billcore.plugins.calls import Delivered
from billcore.plugins.gateway import Cancel, Capability, Gateway, Lookup, Request, key_window_s
from billcore.store import customer as customers
from billcore.store import payment as payments

TABLE_NAME = "billcore_payments"

NOT_FOUND_TWICE = 2

WHILE_ASKED = Duration(2, "minute")
"""When an attempt is due again that somebody makes or asks about right now, should he never come back."""


@frozen
class Asked:
    """An attempt that is asked about under our lease, and the instant of this check."""

    payment: Payment
    at: datetime

    def settled(self, outcome: Outcome) -> Settled:
        """What was found out."""
        payment = self.payment
        return Settled(payment.id, payment.customer_id, outcome, self.at, payment.lease_owner)


def resolve(place: Workplace, due: Sequence[Due]) -> Worked:
    """Ask for the outcome of open attempts; those that were surely never sent are sent."""
    if place.clock.simulated:
        ids = {row.id for row in due}
        wait_for(place, lambda tx: [one for one in payments.by_ids(tx, ids).values() if one.status in IN_DOUBT])
    fresh, asked, worked = place.unit(lambda scope: _leased(place, scope, due))
    if fresh:
        send(place, fresh)
    by_gateway: dict[str, list[Asked]] = {}
    for one in asked:
        by_gateway.setdefault(one.payment.gateway, []).append(one)
    for name, group in by_gateway.items():
        _ask(place, name, group)
    return worked


def _leased(place: Workplace, scope: Scope, due: Sequence[Due]) -> tuple[list[Payment], list[Asked], Worked]:
    """Lease the attempts that nobody makes right now: those to send for the first time, and those to ask about."""
    claimed = claim(place, scope, due)
    wanted = {row.id: row.at for row in claimed.rows}
    fresh: list[Payment] = []
    asked: list[Asked] = []
    wall = place.clock.wall()
    assert scope.lease is not None
    owner, until = scope.lease
    for payment in payments.by_ids(scope.tx, wanted).values():
        at = place.moment(wanted[payment.id])
        if payment.status not in IN_DOUBT or payment.next_check_at != wanted[payment.id]:
            if payment.status not in IN_DOUBT:
                scope.writes.put(evolve(payment, next_check_at=None))
            continue
        later = add(at, WHILE_ASKED, "UTC")
        if is_being_made(payment, wall):
            scope.writes.put(evolve(payment, next_check_at=later))
            continue
        leased = evolve(payment, lease_owner=owner, lease_until=until, next_check_at=later)
        if payment.sends == 0:
            leased = evolve(leased, sends=1, created_at=at)
            fresh.append(leased)
        else:
            asked.append(Asked(leased, at))
        scope.writes.put(leased)
    return fresh, asked, claimed.worked(len(fresh) + len(asked))


def _ask(place: Workplace, name: str, group: Sequence[Asked]) -> None:
    try:
        gateway = place.gateway(name)
    except Exception as error:
        reason = reason_of(error)
        place.unit(lambda scope: _release(scope, group, reason))
        return
    asked = {one.payment.id: one for one in group}
    lookups = [lookup_of(one.payment) for one in group]
    for came in held(place, TABLE_NAME, [one.payment for one in group]).calls(gateway, lookups):
        answers = answers_of(came)
        mine = [asked[payment_id] for payment_id in sorted(answers)]
        again, requests = place.unit(partial(_again, gateway=gateway, group=mine, answers=answers))
        if again:
            for more in held(place, TABLE_NAME, [one.payment for one in again]).calls(gateway, requests):
                answers |= answers_of(more)
        taken = {one.payment.id: one for one in (*mine, *again)}
        _judge(place, gateway, [(taken[payment_id], outcome) for payment_id, outcome in answers.items()])


def lookup_of(payment: Payment) -> Lookup:
    """The question what became of an attempt, with all that is known of it."""
    return Lookup(
        payment.id,
        Money(payment.amount, payment.currency),
        gateway_id=payment.gateway_id or "",
        gateway_customer=charge_of(payment).gateway_customer,
        sent_at=payment.created_at,
    )


def answers_of(came: Sequence[Delivered]) -> dict[str, Outcome]:
    """The gateway's answers by attempt. A question that could not be sent says nothing about the attempt itself."""
    found = {}
    for result in came:
        outcome = outcome_of(result.result)
        if outcome.kind == "not_sent":
            outcome = Outcome("unknown", message=outcome.message)
        found[result.request.attempt_id] = outcome
    return found


def _again(
    scope: Scope, gateway: Gateway, group: Sequence[Asked], answers: Mapping[str, Outcome]
) -> tuple[list[Asked], list[Request]]:
    """What is done about answers that leave it open: cancel what nobody waits for, send again what never arrived.

    Payment and invoice are read again, and the attempt is leased anew, before anything is called (behaviour 9.4).
    """
    open_still = [one for one in group if answers[one.payment.id].kind not in FACTS]
    if not open_still:
        return [], []
    scope.keep_all({one.payment.customer_id for one in open_still})
    stored = payments.by_ids(scope.tx, [one.payment.id for one in open_still])
    waited_for = _waited_for(scope, stored.values())
    assert scope.lease is not None
    again: list[Asked] = []
    requests: list[Request] = []
    for one in open_still:
        payment, outcome = stored[one.payment.id], answers[one.payment.id]
        if payment.status not in IN_DOUBT or payment.lease_owner != one.payment.lease_owner:
            continue
        leased = evolve(payment, lease_owner=scope.lease[0], lease_until=scope.lease[1])
        wanted = payment.id in waited_for
        if outcome.kind == "not_found" and wanted and key_holds(gateway, payment.created_at, one.at):
            leased = evolve(leased, sends=payment.sends + 1)
            requests.append(charge_of(payment))
        elif _is_to_be_canceled(scope, gateway, payment, outcome, wanted, one.at):
            requests.append(_cancel_of(payment, outcome))
        else:
            continue
        scope.writes.put(leased)
        again.append(Asked(leased, one.at))
    return again, requests


def key_holds(gateway: Gateway, sent_at: datetime, at: datetime) -> bool:
    """Whether a request sent first then is still the same to its gateway, also when it arrives a bit later than `at`.

    Without keys, or after their window, a second call might be a second charge.
    """
    return at - sent_at < timedelta(seconds=key_window_s(gateway) - LEASE_S)


def _waited_for(scope: Scope, group: Collection[Payment]) -> set[str]:
    """The ids of attempts that their invoices still wait for; a draft's subscription may have gone another way."""
    billed = with_lines_where_shared(scope, {payment.billed for payment in group})
    drafts = [(invoice, scope.now) for invoice in billed.values() if invoice.status == "draft"]
    zones = customers.zones(scope.tx, {invoice.customer_id for invoice, _ in drafts}) if drafts else {}
    begun = receivables(scope, drafts, zones, begins=begins) if drafts else {}
    wanted = {
        invoice.id: begun[invoice.id].is_wanted() if invoice.id in begun else invoice.status == "open"
        for invoice in billed.values()
    }
    return {
        payment.id
        for payment in group
        if wanted[payment.billed]
        and billed[payment.billed].reserved_by == payment.id
        and billed[payment.billed].due >= payment.amount
    }


def _is_to_be_canceled(
    scope: Scope, gateway: Gateway, payment: Payment, outcome: Outcome, wanted: bool, at: datetime
) -> bool:
    """Whether an attempt that can still succeed is ended: nobody acts on it, or nothing wants its money any more."""
    if Capability.CANCEL not in gateway.capabilities or outcome.kind not in ("pending", "action_required"):
        return False
    return not wanted or (outcome.kind == "action_required" and at >= _given_up_at(scope, payment))


def _cancel_of(payment: Payment, outcome: Outcome) -> Cancel:
    asked = lookup_of(payment)
    return Cancel(
        payment.id,
        asked.amount,
        gateway_id=outcome.gateway_id or asked.gateway_id,
        gateway_customer=asked.gateway_customer,
        sent_at=asked.sent_at,
    )


def _given_up_at(scope: Scope, payment: Payment) -> datetime:
    """Until when the customer may still act on an attempt (setting signup_expires_after)."""
    return add(payment.created_at, Duration.parse(scope.settings.signup_expires_after), "UTC")


def _judge(place: Workplace, gateway: Gateway, answered: Sequence[tuple[Asked, Outcome]]) -> None:
    """Record what is known now; note what is still open."""
    known: list[Settled] = []
    open_still: list[tuple[Asked, Outcome]] = []
    for one, outcome in answered:
        if outcome.kind in FACTS or _is_news(one.payment, outcome):
            known.append(one.settled(outcome))
        else:
            open_still.append((one, outcome))
    record_outcomes(place, known)
    if open_still:
        record_outcomes(place, place.unit(lambda scope: _wait(scope, gateway, open_still)))


def _is_news(payment: Payment, outcome: Outcome) -> bool:
    """Whether an attempt that is still open is open otherwise than it was: it arrived, or somebody has to act."""
    news = outcome.kind in ("pending", "action_required")
    return news and TABLE[payment.status][outcome.kind] != payment.status


def _wait(scope: Scope, gateway: Gateway, open_still: Sequence[tuple[Asked, Outcome]]) -> list[Settled]:
    """Note when what is still open is asked for next; returns what was not found often and long enough."""
    scope.keep_all({one.payment.customer_id for one, _ in open_still})
    stored = payments.by_ids(scope.tx, [one.payment.id for one, _ in open_still])
    failed: list[Settled] = []
    for one, outcome in open_still:
        payment = stored[one.payment.id]
        if payment.status not in IN_DOUBT or payment.lease_owner != one.payment.lease_owner:
            continue
        if outcome.kind == "not_found":
            payment = _counted(scope, payment, one.at)
            if payment.not_found >= NOT_FOUND_TWICE:
                failed.append(one.settled(Outcome("not_sent", message="not found at the gateway, twice")))
                continue
        scope.writes.put(_later(scope, gateway, payment, outcome, one.at))
    return failed


def _counted(scope: Scope, payment: Payment, at: datetime) -> Payment:
    """The payment with one more time that its gateway did not know it; only from not_found_after on it counts."""
    counts = at >= add(payment.created_at, Duration.parse(scope.settings.not_found_after), "UTC")
    return evolve(payment, not_found=payment.not_found + 1) if counts else payment


def _later(scope: Scope, gateway: Gateway, payment: Payment, outcome: Outcome, at: datetime) -> Payment:
    """The payment with its next check; parked when it cannot be sent again and nobody knows what became of it."""
    next_check_at = at + timedelta(minutes=min(60, 5 * 2 ** min(payment.checks, 4)))
    if payment.status == "requires_action" and at < _given_up_at(scope, payment):
        next_check_at = min(next_check_at, _given_up_at(scope, payment))
    lost = outcome.kind in ("unknown", "not_found") and not key_holds(gateway, payment.created_at, at)
    return evolve(
        payment,
        checks=payment.checks + 1,
        next_check_at=next_check_at,
        lease_owner=None,
        lease_until=None,
        message=outcome.message or payment.message,
        action_url=outcome.action_url or payment.action_url,
        parked_reason=CANNOT_BE_SENT_AGAIN if lost else payment.parked_reason,
    )


CANNOT_BE_SENT_AGAIN = "no outcome, and too late to send it again under its key"


def _release(scope: Scope, group: Sequence[Asked], reason: str) -> None:
    """The gateway cannot be asked: say so on the payments and try later."""
    scope.keep_all({one.payment.customer_id for one in group})
    stored = payments.by_ids(scope.tx, [one.payment.id for one in group])
    for one in group:
        payment = stored[one.payment.id]
        if payment.status in IN_DOUBT and payment.lease_owner == one.payment.lease_owner:
            again = one.at + timedelta(hours=1)
            freed = evolve(payment, lease_owner=None, lease_until=None, message=reason, next_check_at=again)
            scope.writes.put(freed)
