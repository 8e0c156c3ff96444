"""Works on the inbox: what a gateway told is asked for again and then recorded like any answer (behaviour 9.3)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from attrs import evolve, frozen

from billcore.commands.scope import Scope
from billcore.domain.inbox import EARLY_TRIES, InboxEvent, ended, put_off
from billcore.domain.payment import TABLE, Outcome, Payment
from billcore.domain.refund import OPEN, Refund
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked
from billcore.engine.collection import FACTS, Settled, record_outcomes
from billcore.engine.method_news import hear_of_methods
from billcore.engine.outcomes import outcome_of
from billcore.engine.resolving import lookup_of
from billcore.engine.told import Told, told
from billcore.engine.work import Workplace
from billcore.errors import StoreError
from billcore.plugins.calls import deliver
from billcore.plugins.gateway import Gateway, WebhookKind
from billcore.store import inbox as store
from billcore.store import payment as payments
from billcore.store import refund as refunds
from billcore.store.database import Transaction

AT_ONCE = 100
"""How many events are claimed together: all of them have been asked about well before the claim ends."""

CLAIMED = timedelta(minutes=5)
"""When an event is due again that somebody works on right now, should he never come back."""

OURS = re.compile(r"(pay|ref)_[0-9a-f]{32}")
"""What ids of our attempts look like: who names one that is not there means books like these."""


def hear(place: Workplace, due: Sequence[Due]) -> Worked:
    """Work on due events of the inbox."""
    done = 0
    for first in range(0, len(due), AT_ONCE):
        rows = due[first : first + AT_ONCE]
        moments = {row.id: place.moment(row.at) for row in rows}
        claimed = place.unit(partial(_claim, moments=moments))
        _work(place, [(event, moments[event.id]) for event in claimed])
        done += len(claimed)
    return Worked(done)


def _claim(scope: Scope, moments: Mapping[str, datetime]) -> list[InboxEvent]:
    by = max(moments.values())
    return store.claim(scope.tx, list(moments), by, by + CLAIMED)


def _work(place: Workplace, events: Sequence[tuple[InboxEvent, datetime]]) -> None:
    """Work on events together; when that fails in halves, so that one bad event is put off alone (promise F19)."""
    if not events:
        return
    try:
        verdicts = _verdicts(place, [told(event, at) for event, at in events])
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  one bad event never stops the others
        if len(events) > 1:
            middle = len(events) // 2
            _work(place, events[:middle])
            _work(place, events[middle:])
            return
        event, at = events[0]
        verdicts = [put_off(event, at, f"{type(error).__name__}: {error}")]
    place.unit(lambda scope: store.finish(scope.tx, verdicts))


def _verdicts(place: Workplace, heard: Sequence[Told]) -> list[InboxEvent]:
    """What becomes of each event, after what it means has been recorded."""
    with place.database.transaction(reads=True) as tx:
        known = _Known.of(tx, heard)
    verdicts: list[InboxEvent] = []
    methods: list[Told] = []
    news: list[tuple[Told, Payment]] = []
    back: list[tuple[Told, Refund]] = []
    for one in heard:
        payment, refund = known.payment(one), known.refund(one)
        match one.said.kind:
            case WebhookKind.METHOD:
                methods.append(one)
            case WebhookKind.ATTEMPT if refund is not None:
                back.append((one, refund))
            case WebhookKind.ATTEMPT if payment is not None and not one.said.of:
                news.append((one, payment))
            case WebhookKind.OTHER:
                verdicts.append(ended(one.event, "ignored", one.at, "Nothing here depends on it."))
            case _:
                verdicts.append(_without_attempt(one, known.charge(one) or payment, known))
    verdicts += _hear_of_payments(place, news)
    if back:
        verdicts += place.unit(partial(_hear_of_refunds, back=back))
    return verdicts + hear_of_methods(place, methods)


# -- whose it is ---------------------------------------------------------------------------------------------


@frozen
class _Known:
    """Attempts that events are about, by our id or by the gateway's own."""

    payments: Mapping[str, Payment]
    refunds: Mapping[str, Refund]
    charges: Mapping[tuple[str, str], Payment]
    returns: Mapping[tuple[str, str], Refund]
    unnamed: frozenset[str]

    @classmethod
    def of(cls, tx: Transaction, heard: Sequence[Told]) -> "_Known":
        """Everything that these events may be about."""
        ours = {one.said.attempt_id for one in heard}
        theirs = {name for one in heard for name in (one.said.gateway_id, one.said.of) if name}
        charges = {(one.gateway, one.gateway_id or ""): one for one in store.payments_called(tx, theirs)}
        returns = {(one.gateway, one.gateway_id or ""): one for one in store.refunds_called(tx, theirs)}
        made = refunds.of_payments(tx, {one.id for one in charges.values()})
        unnamed = {
            payment_id
            for payment_id, each in made.items()
            if any(one.gateway_id is None and one.status in OPEN for one in each)
        }
        return cls(payments.by_ids(tx, ours), refunds.by_ids(tx, ours), charges, returns, frozenset(unnamed))

    def payment(self, one: Told) -> Payment | None:
        """The payment that an event is about."""
        found = self.payments.get(one.said.attempt_id) or self.charges.get((one.event.gateway, one.said.gateway_id))
        return found if found is not None and found.gateway == one.event.gateway else None

    def refund(self, one: Told) -> Refund | None:
        """The refund that an event is about."""
        found = self.refunds.get(one.said.attempt_id) or self.returns.get((one.event.gateway, one.said.gateway_id))
        return found if found is not None and found.gateway == one.event.gateway else None

    def charge(self, one: Told) -> Payment | None:
        """The payment of which an event tells that something was done at the gateway itself."""
        return self.charges.get((one.event.gateway, one.said.of))


def _without_attempt(one: Told, charge: Payment | None, known: _Known) -> InboxEvent:
    """An event about nothing that we have asked for: it may be early, or of something done by hand there."""
    event, said = one.event, one.said
    if charge is not None:
        event = evolve(event, customer_id=charge.customer_id)
        if said.kind is WebhookKind.DISPUTE:
            reason = (
                f"The bank disputes payment {charge.id}, and disputes are not booked here yet. "
                f"Answer it at {event.gateway}; then: billcore webhooks discard {event.id}"
            )
            return ended(event, "parked", one.at, reason)
        if charge.id not in known.unnamed:
            reason = (
                f"{said.gateway_id} of payment {charge.id} was made at {event.gateway} itself. If money was given "
                f"back, record it: billcore payments refund {charge.id} --external --amount AMOUNT; "
                f"then: billcore webhooks discard {event.id}"
            )
            return ended(event, "parked", one.at, reason)
    if event.tries < EARLY_TRIES:
        return put_off(event, one.at, "Nothing that it is about is known here; it may be early.")
    if OURS.fullmatch(said.attempt_id):
        reason = (
            f"It names {said.attempt_id}, an attempt like ours that is not in these books: they were restored from a "
            f"backup, or other books use this account. Compare the payments with {event.gateway}; "
            f"then: billcore webhooks discard {event.id}"
        )
        return ended(event, "parked", one.at, reason)
    return ended(event, "ignored", one.at, "Nothing that it is about is known here.")


# -- payments and refunds ------------------------------------------------------------------------------------


def _hear_of_payments(place: Workplace, news: Sequence[tuple[Told, Payment]]) -> list[InboxEvent]:
    """Ask what became of the payments, each once, and record it in the one place where outcomes are recorded."""
    asked: dict[str, tuple[Told, Payment]] = {}
    for one, payment in news:
        if _can_change(payment):
            asked.setdefault(payment.id, (one, payment))
    outcomes = _outcomes(place, list(asked.values()))
    settled = [
        Settled(payment.id, payment.customer_id, outcomes[payment.id], one.at, payment.lease_owner)
        for one, payment in asked.values()
        if _tells_more(payment, outcomes[payment.id])
    ]
    record_outcomes(place, sorted(settled, key=lambda row: row.payment_id))
    return [_judged(one, payment, outcomes.get(payment.id)) for one, payment in news]


def _can_change(payment: Payment) -> bool:
    """Whether any answer of the gateway would change its status; most events tell of what is known already."""
    return any(status != payment.status for status in TABLE[payment.status].values())


def _tells_more(payment: Payment, outcome: Outcome) -> bool:
    """Whether an outcome is to be recorded: a fact, or a new state of an attempt that nobody makes right now."""
    changed = TABLE[payment.status][outcome.kind] != payment.status
    if outcome.kind in FACTS:
        return changed
    return changed and outcome.kind in ("pending", "action_required") and payment.lease_owner is None


def _judged(one: Told, payment: Payment, outcome: Outcome | None) -> InboxEvent:
    event = evolve(one.event, customer_id=payment.customer_id)
    if outcome is not None and outcome.kind in ("unknown", "not_found", "not_sent"):
        reason = outcome.message or f"{one.event.gateway} does not find attempt {payment.id}."
        return put_off(event, one.at, reason)
    return ended(event, "done", one.at)


def _outcomes(place: Workplace, asked: Sequence[tuple[Told, Payment]]) -> dict[str, Outcome]:
    """What the gateways say of payments, by payment id."""
    found: dict[str, Outcome] = {}
    for name in sorted({payment.gateway for _, payment in asked}):
        group = [(one, payment) for one, payment in asked if payment.gateway == name]
        gateway = _opened(place, name)
        if isinstance(gateway, str):
            found |= {payment.id: Outcome("unknown", message=gateway) for _, payment in group}
            continue
        lookups = [
            evolve(lookup_of(payment), gateway_id=payment.gateway_id or one.said.gateway_id) for one, payment in group
        ]
        for result in deliver(gateway, lookups, threads=place.threads, deadline_s=place.deadline_s):
            found[result.request.attempt_id] = outcome_of(result.result)
    return found


def _opened(place: Workplace, name: str) -> Gateway | str:
    """The gateway, or why it cannot be opened."""
    try:
        return place.gateway(name)
    except Exception as error:  # noqa: BLE001  a gateway that is not there is no reason to stop
        return str(error)


def _hear_of_refunds(scope: Scope, back: Iterable[tuple[Told, Refund]]) -> list[InboxEvent]:
    """Let the refunds be asked about at once, ended ones too: they may still come back (behaviour 9.6)."""
    back = list(back)
    scope.keep_all({refund.customer_id for _, refund in back})
    for one, refund in back:
        refunds.check_now(scope.tx, refund.id, one.at)
    return [ended(evolve(one.event, customer_id=refund.customer_id), "done", one.at) for one, refund in back]
