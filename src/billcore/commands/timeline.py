"""The story of one subscription: what happened to it, and what is planned (behaviour 5.3)."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.commands.target import Asked
from billcore.domain.change import Change
from billcore.domain.event import StateChange
from billcore.domain.subscription import Subscription
from billcore.store import change as changes
from billcore.store import timeline as store
from billcore.store.types import text_to_instant


@frozen
class Happening:
    """Something that happened, or will: `amount` is in minor units of `currency` where there is one.

    `kind` is state, change, invoice, credit_note, payment or planned; `subject_id` is the row that tells more.
    """

    at: datetime
    kind: str
    text: str
    amount: int | None = None
    currency: str | None = None
    actor: str | None = None
    subject_id: str | None = None


def timeline(scope: Scope, sub: Subscription) -> list[Happening]:
    """Everything that is told of a subscription, oldest first; what is planned comes last."""
    payers = {sub.customer_id, sub.owner_id or sub.customer_id}
    states = store.state_changes(scope.tx, sub.id)
    payers |= {change.customer_id for change in states}
    told = [
        *_states(states),
        *_changes(scope, sub),
        *_documents(scope, sub, payers),
    ]
    told.sort(key=lambda one: one.at)
    return [*told, *_planned(sub, scope.now)]


def _states(states: Iterable[StateChange]) -> Iterator[Happening]:
    for change in states:
        before = f"{change.previous} → " if change.previous is not None else ""
        cause = change.cause.replace("_", " ")
        yield Happening(
            change.at, "state", f"{before}{change.state} ({cause})", actor=change.actor, subject_id=change.id
        )


def _changes(scope: Scope, sub: Subscription) -> Iterator[Happening]:
    for change in changes.of_subscriptions(scope.tx, [sub.id]):
        what = "return" if change.kind == "reactivate" else "change"
        asked = ", ".join(_asked(scope, sub, change)) if change.kind == "change" else ""
        at, text = change.decided_at or change.created_at, f"{what} {change.status}"
        if change.status == "waiting" and change.invoice_id is not None:
            at, text = change.created_at, f"{what} waits for its payment"
        elif change.status == "waiting":
            when = f"for {change.at:%Y-%m-%d}" if change.at is not None else "for the renewal"
            at, text = change.created_at, f"{what} planned {when}"
        elif change.status == "applied":
            at, text = change.at or change.created_at, f"{what} came into effect"
        text += f": {asked}" if asked else ""
        yield Happening(at, "change", text, actor=change.actor, subject_id=change.id)


def _asked(scope: Scope, sub: Subscription, change: Change) -> Iterator[str]:
    """What a change asks for, each with what there was until then where that is known."""
    asked = Asked.read(change.parameters)
    before = json.loads(change.before) if change.before is not None else {}
    if asked.price_id is not None:
        named = [id_ for id_ in (before.get("price"), asked.price_id) if id_ is not None]
        prices = scope.prices(set(named))
        yield " → ".join(["price " + prices[named[0]].code, *(prices[id_].code for id_ in named[1:])])
    if asked.quantity is not None:
        yield "quantity " + _from_to(before.get("quantity"), asked.quantity)
    units = {item.component: before.get("items", {}).get(item.id, [None, None])[1] for item in sub.items}
    for code, quantity in asked.components.items():
        yield f"{code} " + _from_to(units.get(code), quantity)
    if asked.period == "reset":
        yield "a new period begins"
    if asked.reason is not None:
        yield f"because {asked.reason}"


def _from_to(before: str | None, after: str) -> str:
    return after if before is None else f"{before} → {after}"


def _documents(scope: Scope, sub: Subscription, payers: set[str]) -> Iterator[Happening]:
    found = store.invoices(scope.tx, payers, sub.id)
    for id_, number, at, currency, amount, status, purpose in found:
        why = purpose.replace("_", " ")
        yield Happening(
            text_to_instant(at), "invoice", f"invoice {number} ({why}), {status} now", amount, currency, subject_id=id_
        )
    for id_, number, at, currency, amount, to in store.notes(scope.tx, payers, sub.id):
        yield Happening(
            text_to_instant(at), "credit_note", f"credit note {number} to {to}", amount, currency, subject_id=id_
        )
    for at, status, amount, currency, captured, code, cause, id_ in store.payments(scope.tx, [row[0] for row in found]):
        why = f" ({code})" if code else ""
        text = f"payment {status}{why}, {cause.replace('_', ' ')}"
        yield Happening(text_to_instant(at), "payment", text, captured or amount, currency, subject_id=id_)


def _planned(sub: Subscription, now: datetime) -> Iterator[Happening]:
    """What is to come by itself, the nearest first."""
    ahead = [
        (sub.change_at, "change"),
        (sub.resume_at if sub.state == "on_hold" else None, "resumes"),
        (sub.cancel_at, "canceled as asked"),
        (sub.ends_at, "end of the term"),
        (sub.expires_at, "expires"),
        (sub.next_action_at, _ACTIONS.get(sub.next_action or "")),
    ]
    dated = [(at, text) for at, text in ahead if at is not None and text is not None and at >= now]
    for at, text in sorted(dated):
        yield Happening(at, "planned", text)


_ACTIONS = {"renew": "renews", "trial_end": "trial ends", "start": "starts"}
