"""Returns of subscriptions that have ended or run unpaid: what they bill, and what becomes of their debt (5.2)."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from attrs import evolve, frozen

from billcore.commands.changing import drop_change
from billcore.commands.facts import may_try_again
from billcore.commands.receivables import require_no_doubt, written
from billcore.commands.scope import Scope
from billcore.commands.unused import give_back_of
from billcore.commands.voiding import write_off
from billcore.domain.change import Change, GiveBack
from billcore.domain.compact import compact
from billcore.domain.facts import Facts
from billcore.domain.instants import instant_text
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Payment
from billcore.domain.reactivation import reactivate
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.store import change as changes
from billcore.store import crediting
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store.types import text_to_instant


@frozen
class Return:
    """How a subscription comes back, as it is stored while its draft waits to be paid."""

    keep: bool = False
    forgive: bool = False
    include_trial: bool = False
    ends_at: datetime | None = None

    def stored(self) -> str:
        """As JSON."""
        ends_at = instant_text(self.ends_at) if self.ends_at is not None else None
        return compact(
            {"keep": self.keep, "forgive": self.forgive, "include_trial": self.include_trial, "ends_at": ends_at}
        )

    @classmethod
    def read(cls, text: str) -> "Return":
        """From its JSON."""
        values = json.loads(text)
        ends_at = values.get("ends_at")
        return cls(
            bool(values.get("keep")),
            bool(values.get("forgive")),
            bool(values.get("include_trial")),
            text_to_instant(ends_at) if ends_at else None,
        )


def return_step(scope: Scope, sub: Subscription, facts: Facts, how: Return) -> Step:
    """What a return makes of a subscription and bills now; the time of its old period ends where a new one begins."""
    if sub.ended_at is not None:
        sub = drop_change(scope, sub)  # What waited for its next renewal ended with it.
    items = [sub.id, *(item.id for item in sub.items)]
    covered = {row.item_id for row in invoices.coverage(scope.tx, items, scope.now) if row.start <= scope.now}
    tries = how.include_trial and may_try_again(scope, sub)
    running = changes.running(scope.tx, sub.customer_id, sub.id, sub.sequence) if sub.ended_at is None else None
    step = reactivate(
        sub,
        facts,
        scope.now,
        scope.new_id,
        keep=how.keep,
        covered=covered,
        include_trial=tries,
        ends_at=how.ends_at,
        running=running,
    )
    if step.renewal is None and step.cut is None and not tries:
        return step
    # Unpaid, it has run until now: the rest of its period is given back. What has ended was paid, and forfeited.
    mode = GiveBack("share" if sub.ended_at is None else "nothing")
    returned = give_back_of(scope, sub, facts, scope.now, dict.fromkeys(items, mode))
    return evolve(step, lines=(*returned.everything, *step.lines))


def return_again(scope: Scope, sub: Subscription, facts: Facts, change: Change) -> Step:
    """The same return once more, when its draft has been paid; the debt of before is dealt with."""
    how = Return.read(change.parameters)
    step = return_step(scope, sub, facts, how)
    settle_debt(scope, sub, how)
    return step


@frozen
class DebtsTried:
    """The ids of invoices that were collected before a return, as `scope.answer`."""

    invoices: tuple[str, ...]


def next_debt(scope: Scope, sub: Subscription, tried: Collection[str]) -> Invoice | None:
    """The oldest open invoice that a return has to have paid first, planned to be collected now.

    None when there is none (left), and when one of those `tried` (ids) is open still: the first decline is the last.
    """
    if any(one.due for one in invoices.by_ids(scope.tx, tried, lines=False).values()):
        return None
    for invoice in _debts(scope, sub):
        if invoice.collection == "automatic":
            planned = evolve(invoice, collect_at=scope.now, collect_for="retry")
            scope.writes.put(planned)
            return planned
    return None


def require_debts_paid(scope: Scope, sub: Subscription, tried: DebtsTried) -> None:
    """Refuse a return whose debts were tried and not paid: payment_in_doubt, or payment_declined."""
    for invoice in invoices.by_ids(scope.tx, tried.invoices, lines=False).values():
        if invoice.due:
            require_no_doubt(scope, invoice)
            raise _not_paid(sub, invoice, payments.of_invoice(scope.tx, invoice.id))


def _not_paid(sub: Subscription, invoice: Invoice, attempts: Sequence[Payment]) -> Refused:
    last = attempts[-1] if attempts else None
    why = (last.decline_code or last.message or "not sent") if last is not None else "no payment method"
    return Refused(
        "payment_declined",
        f"Invoice {invoice.number_text or invoice.id}, which subscription {sub.reference} owes, was not paid: {why}.",
        remedy="Try another payment method, or bring it back with balance=forgive.",
        invoice=invoice.id,
        subscription=sub.reference,
        payment=last.id if last is not None else None,
    )


def _debts(scope: Scope, sub: Subscription) -> list[Invoice]:
    """The open invoices on which a subscription stands and that are due something, oldest first."""
    found = [written(scope, one) for one in crediting.still_due(scope.tx, sub.customer_id, sub.currency)]
    return [one for one in found if one.due and any(line.subscription_id == sub.id for line in one.lines)]


def settle_debt(scope: Scope, sub: Subscription, how: Return) -> None:
    """Open invoices of the subscription are collected now, oldest first, or forgiven: written off."""
    for invoice in _debts(scope, sub):
        if how.forgive:
            write_off(scope, invoice, "forgiven when the subscription came back")
        elif invoice.collection == "automatic":
            scope.writes.put(evolve(invoice, collect_at=scope.now, collect_for="retry"))
            scope.collects.add(sub.customer_id)
