"""A subscription that is canceled before its first payment has an outcome: nothing waits for that any more (5.1)."""

from attrs import evolve

from billcore.commands.receivables import receivable_of
from billcore.commands.scope import Scope
from billcore.domain.bill import put_subscription, record_change
from billcore.domain.event import StateChange
from billcore.domain.payment import IN_DOUBT
from billcore.domain.states import move
from billcore.domain.step import planned
from billcore.domain.subscription import Subscription
from billcore.store import invoice as invoices
from billcore.store import payment as payments


def withdraw(scope: Scope, sub: Subscription, reason: str | None) -> None:
    """Cancel a pending subscription with its draft: what was not sent is not, the rest is canceled at its gateway.

    The attempt reserves nothing but the draft, which nobody wants any more; a success that comes all the same is
    given back by itself. It never ran, so it has no period and was in no trial.
    """
    state = move(sub.state, "cancel", "canceled", sub.reference)
    items = tuple(evolve(item, ended_at=scope.now) for item in sub.items)
    never = {"period_start": None, "period_end": None, "span_start": None, "span_end": None, "anchor": None}
    ended = evolve(
        sub,
        state=state,
        ended_at=scope.now,
        cancel_requested_at=scope.now,
        cancel_reason=reason,
        items=items,
        sequence=0,
        **never,  # type: ignore[arg-type]  # all of them may be None
    )
    put_subscription(scope.writes, planned(ended), sub)
    change_id = scope.new_id("chg")
    change = StateChange(change_id, sub.customer_id, sub.id, sub.state, state, scope.now, "cancel", scope.actor)
    record_change(scope.writes, scope.new_id, change)
    for draft in invoices.first_drafts(scope.tx, sub.customer_id, sub.id):
        receivable_of(scope, draft, frozenset({sub.id})).discard()
        for payment in payments.of_invoice(scope.tx, draft.id):
            if payment.status not in IN_DOUBT:
                continue
            if payment.sends == 0:
                scope.writes.put(evolve(payment, status="canceled", settled_at=scope.now, next_check_at=None))
            else:
                payments.check_now(scope.tx, payment.id, scope.now)
