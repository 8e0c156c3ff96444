"""Lists what is stuck and how to free it, and lets it be tried again (behaviour 5.1, 9.3)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from attrs import evolve, frozen

from billcore.commands.payments import find_payment
from billcore.commands.refunding import till_of
from billcore.commands.refunds import find_refund
from billcore.commands.scope import Scope
from billcore.domain.compact import compact
from billcore.domain.event import AuditRecord
from billcore.domain.instants import local_text
from billcore.domain.invoice import Purpose
from billcore.domain.money import format_minor
from billcore.domain.payment import IN_DOUBT, Payment
from billcore.domain.refund import OPEN, Refund
from billcore.domain.subscription import Subscription
from billcore.domain.words import counted
from billcore.errors import Refused
from billcore.plugins.registry import Registry
from billcore.settings import BUILT_IN_TAXES
from billcore.store import health, inbox, journal
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import refund as refunds
from billcore.store import subscription as subscriptions
from billcore.store.database import Database
from billcore.store.types import text_to_instant

LISTED = 100
"""How many cases of one kind are listed."""

LATE = timedelta(hours=1)
"""Due work that waits longer than this on a real clock has no worker."""

AT_THE_BANK = timedelta(minutes=30)
"""So long a customer may take at the bank's page before anybody has to be told, in billing time."""

DRAFTS: Mapping[Purpose, str] = {
    "signup": "the signup",
    "start": "the start",
    "activation": "the activation",
    "change": "a change",
    "reactivation": "the return",
    "ad_hoc": "a charge",
    "top_up": "a top-up",
}
"""What a draft is for, in words."""

TroubleKind = Literal[
    "parked subscription",
    "payment in doubt",
    "refund in doubt",
    "owed refund",
    "refunded twice",
    "overdue",
    "unreachable gateway",
    "reserved invoice",
    "parked webhook",
    "waiting work",
    "undelivered events",
    "database",
    "plugin",
    "gateway",
    "tax engine",
]


@frozen
class Trouble:
    """Something that does not go on by itself, or waits: what, since when, why, and what to do about it."""

    kind: TroubleKind
    subject: str
    since: datetime | None
    reason: str
    remedy: str


@frozen
class Checkup:
    """Everything that was found, at most `LISTED` of each kind."""

    at: datetime
    troubles: tuple[Trouble, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is stuck."""
        return not self.troubles


def examine(scope: Scope, database: Database, registry: Registry, *, simulated: bool) -> Checkup:
    """Look for everything that is stuck; changes nothing and calls no gateway."""
    found = [
        *_parked_subscriptions(scope),
        *_in_doubt(scope),
        *_refunds_in_doubt(scope),
        *_parked_refunds(scope),
        *_not_reached(scope),
        *_left_overdue(scope),
        *_left_reserved(scope),
        *_parked_webhooks(scope),
        *(() if simulated else _waiting_work(scope)),
        *_undelivered(scope, registry),
        *(Trouble("database", what, None, why, remedy) for what, why, remedy in health.warnings(database, scope.tx)),
        *_tax_engines(scope, registry),
        *_plugins(registry),
    ]
    return Checkup(scope.now, tuple(found))


def unpark(scope: Scope, ref: str, actor: str) -> Subscription | Payment | Refund:
    """Let the engine try again at its next run: a parked subscription, or a payment or refund whose outcome is open.

    `ref` is a subscription's reference or id, a payment's id or CUSTOMER/pay/N, a refund's or CUSTOMER/refund/N. Of a
    refund that arrived twice the loss is accepted. Raises NotFound, and parked for a refund that is owed: somebody
    has to say how it is made good.
    """
    result: Subscription | Payment | Refund
    if ref.startswith("pay_") or "/pay/" in ref:
        result = _payment(scope, ref)
    elif ref.startswith("ref_") or "/refund/" in ref:
        result = _refund(scope, ref)
    else:
        result = _subscription(scope, ref)
    scope.writes.add(
        AuditRecord(scope.new_id("aud"), scope.now, actor, "doctor.unpark", compact({"id": result.id}), "{}")
    )
    return result


def _subscription(scope: Scope, ref: str) -> Subscription:
    sub = scope.subscription(ref)
    if sub.parked_at is None:
        raise Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is {sub.state} and not parked.",
            remedy="Only what billcore doctor lists as parked is tried again.",
            state=sub.state,
        )
    freed = evolve(sub, parked_at=None, parked_reason=None)
    scope.writes.put(freed)
    return freed


def _payment(scope: Scope, ref: str) -> Payment:
    payment = find_payment(scope, ref)
    if payment.status not in IN_DOUBT:
        raise Refused(
            "transition_not_allowed",
            f"Payment {payment.id} is {payment.status}; nothing is left to ask for.",
            remedy="Only payments in doubt are asked for again.",
            state=payment.status,
        )
    asked = evolve(payment, next_check_at=scope.now)
    scope.writes.put(asked)
    return asked


def _refund(scope: Scope, ref: str) -> Refund:
    refund = find_refund(scope, ref)
    if refund.is_owed:
        raise Refused(
            "parked",
            f"Refund {refund.id} failed: {refund.parked_reason}.",
            remedy=f"Make it good: {_retry_of(refund)}",
            refund=refund.id,
        )
    if refund.parked_reason is not None:
        payment = payments.by_ids(scope.tx, [refund.charge])[refund.charge]
        return till_of(scope, payment, None).accept(refund)
    if refund.status not in OPEN:
        raise Refused(
            "transition_not_allowed",
            f"Refund {refund.id} is {refund.status}; nothing is left to ask for.",
            remedy="Only refunds whose outcome is open are asked for again.",
            state=refund.status,
        )
    asked = evolve(refund, next_check_at=scope.now)
    scope.writes.put(asked)
    return asked


def _retry_of(refund: Refund) -> str:
    command = f"billcore refunds retry {refund.id}"
    return f"{command}; outside or as credit: --to external, --to credit"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _parked_subscriptions(scope: Scope) -> Iterator[Trouble]:
    for reference, since, reason in subscriptions.parked(scope.tx, LISTED):
        remedy = f"Remove the cause, then: billcore doctor --retry {reference}"
        yield Trouble("parked subscription", reference, text_to_instant(since), reason, remedy)


def _refunds_in_doubt(scope: Scope) -> Iterator[Trouble]:
    for refund in refunds.waiting(scope.tx, LISTED):
        reason = f"{refund.status}, {_money(refund)} at {refund.gateway}, asked about {_times(refund.checks)}"
        if refund.message:
            reason += f": {refund.message}"
        when = refund.next_check_at
        at = local_text(when, scope.settings.timezone) if when is not None else "never"
        remedy = f"Asked for again at {at}; sooner: billcore doctor --retry {refund.id}"
        yield Trouble("refund in doubt", refund.id, refund.created_at, reason, remedy)


def _parked_refunds(scope: Scope) -> Iterator[Trouble]:
    for refund in refunds.parked(scope.tx, LISTED):
        why, since = refund.parked_reason or "", refund.settled_at
        if refund.is_owed:
            yield Trouble("owed refund", refund.id, since, why, _retry_of(refund))
        else:
            remedy = f"Claim it back, or accept that it is lost: billcore doctor --retry {refund.id}"
            yield Trouble("refunded twice", refund.id, since, why, remedy)


def _money(refund: Refund) -> str:
    return f"{format_minor(refund.amount, refund.currency)} {refund.currency}"


def _in_doubt(scope: Scope) -> Iterator[Trouble]:
    found = payments.in_doubt(scope.tx, LISTED, scope.now - AT_THE_BANK)
    waits = _waiting_for(scope, found)
    for payment in found:
        amount = f"{format_minor(payment.amount, payment.currency)} {payment.currency}"
        reason = f"{payment.status}, {amount} at {payment.gateway}, looked up {_times(payment.checks)}"
        if payment.message:
            reason += f": {payment.message}"
        if payment.billed in waits:
            reason += f"; {waits[payment.billed]} waits for it"
        when = payment.next_check_at
        if payment.parked_reason:
            reason += f"; {payment.parked_reason}"
        if payment.status == "requires_action" and payment.action_url:
            remedy = f"Send the customer to {payment.action_url}."
        elif when is not None:
            at = local_text(when, scope.settings.timezone)
            remedy = f"Asked for again at {at}; sooner: billcore doctor --retry {payment.id}"
        else:
            remedy = f"Nothing more is planned; ask now: billcore doctor --retry {payment.id}"
        if payment.parked_reason:
            remedy = f"Look at {payment.gateway} for attempt {payment.id}: is it there, and was it paid? {remedy}"
        yield Trouble("payment in doubt", payment.id, payment.created_at, reason, remedy)


def _waiting_for(scope: Scope, found: Sequence[Payment]) -> dict[str, str]:
    """What waits for these payments, by invoice: a draft comes into effect only when it is paid."""
    billed = invoices.by_ids(scope.tx, {payment.billed for payment in found}, lines=False)
    drafts = [one for one in billed.values() if one.status == "draft" and one.discarded_at is None]
    ids = {one.subscription_id for one in drafts if one.subscription_id is not None}
    subs = subscriptions.by_ids(scope.tx, ids, scope.catalog.coupons) if ids else {}
    waits = {}
    for one in drafts:
        sub = subs.get(one.subscription_id or "")
        whose = f" of subscription {sub.reference}" if sub is not None else ""
        waits[one.id] = f"{DRAFTS.get(one.purpose, 'a document')}{whose}"
    return waits


def _left_overdue(scope: Scope) -> Iterator[Trouble]:
    """Customers with overdue invoices that no dunning step and no attempt will touch again."""
    for customer, currency, count, due, due_at, reference in invoices.left_overdue(scope.tx, LISTED):
        amount = f"{format_minor(due, currency)} {currency} on {counted(count, 'invoice')}"
        remedy = f"Add a payment method of {customer} and make it the default: billcore payment-methods --help"
        if reference is not None:
            remedy += f"; or try again: billcore subscriptions retry {reference}"
        since = text_to_instant(due_at) if due_at else None
        yield Trouble("overdue", customer, since, f"{amount}, and nothing more is planned", remedy)


def _not_reached(scope: Scope) -> Iterator[Trouble]:
    """Gateways that calls do not get to: they are tried again for ever, which nobody would notice."""
    for gateway, count, due_at, newest in invoices.not_reached(scope.tx, scope.now - LATE, LISTED):
        answer = payments.by_ids(scope.tx, [newest])[newest].message or "no answer"
        reason = f"{counted(count, 'invoice')} cannot be collected: {answer}"
        remedy = "Tried again every hour. Is the gateway installed and configured here? billcore plugins"
        yield Trouble("unreachable gateway", gateway, text_to_instant(due_at), reason, remedy)


def _left_reserved(scope: Scope) -> Iterator[Trouble]:
    """Invoices that wait for an attempt which is over."""
    for invoice, payment, status, settled in invoices.left_reserved(scope.tx, LISTED):
        reason = f"It is reserved by payment {payment}, which is {status or 'not stored'}"
        since = text_to_instant(settled) if settled else None
        yield Trouble("reserved invoice", invoice, since, reason, "Restore a backup, then run billcore verify.")


def _parked_webhooks(scope: Scope) -> Iterator[Trouble]:
    for event in inbox.parked(scope.tx, LISTED):
        remedy = f"Remove the cause, then: billcore webhooks retry {event.id}; or: billcore webhooks discard {event.id}"
        yield Trouble("parked webhook", event.id, event.received_at, f"{event.gateway}: {event.reason}", remedy)


def _waiting_work(scope: Scope) -> Iterator[Trouble]:
    late = scope.now - LATE
    due = [*subscriptions.due(scope.tx, late, 1), *inbox.due(scope.tx, late, 1)]
    if due:
        since = text_to_instant(min(row[0] for row in due))
        reason = f"Work has been due since {local_text(since, scope.settings.timezone)}"
        yield Trouble("waiting work", "the worker", since, reason, "Run it: billcore run, or for ever: billcore worker")


def _undelivered(scope: Scope, registry: Registry) -> Iterator[Trouble]:
    """Events that a plugin listens for and has not taken; without listeners they just stay in the outbox."""
    listening = registry.listening("on_events")
    if not listening:
        return
    count, since = journal.undelivered(scope.tx)
    if count:
        reason = f"{counted(count, 'event')} not taken by all of: {', '.join(listening)}"
        remedy = "They are delivered by the next billcore run; see plugins below, or billcore plugins."
        yield Trouble("undelivered events", "events", since, reason, remedy)


def _tax_engines(scope: Scope, registry: Registry) -> Iterator[Trouble]:
    """Engines of the settings that nobody offers: no document can be made."""
    wanted = (scope.settings.tax_engine, scope.settings.tax_fallback)
    for name in wanted:
        if name not in (None, BUILT_IN_TAXES, *registry.tax_engines()):
            remedy = (
                "Install its plugin, or set tax_engine and tax_fallback anew; billcore plugins lists what is there."
            )
            yield Trouble("tax engine", name or "", None, "The settings name it, and it is not installed", remedy)


def _plugins(registry: Registry) -> Iterator[Trouble]:
    for row in registry.report():
        if row.status == "disabled":
            yield Trouble("plugin", row.name, None, "It is disabled.", "Take it out of BILLCORE_DISABLED_PLUGINS.")
        elif row.status == "failed":
            remedy = f"Upgrade {row.distribution or 'it'}, or report this to its author."
            yield Trouble("plugin", row.name, None, "; ".join(row.problems), remedy)
