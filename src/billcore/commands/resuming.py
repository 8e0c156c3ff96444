"""The end of a hold as the money has left the subscription meanwhile (behaviour 5.2, 9.5)."""

from attrs import evolve

from billcore.commands.overdue import overdue_of
from billcore.commands.scope import Scope
from billcore.domain.states import LIVE
from billcore.domain.step import Step, planned
from billcore.store import invoice as invoices
from billcore.store import payment as payments


def with_debts(scope: Scope, step: Step) -> Step:
    """A step that ends a hold, past due where something is overdue of its subscription; any other as it is.

    What is collected automatically while no dunning case is open falls due again: retries that came in the hold were
    left out, and are neither made up for nor forgotten.
    """
    sub = step.subscription
    if step.before.state != "on_hold" or sub.state not in (*LIVE, "expired"):
        return step
    own = [one for one in overdue_of(scope, [sub.customer_id], sub.currency) if sub.id in one.states]
    if not own:
        return step
    dunned = (sub.customer_id, sub.currency) in payments.open_cases(scope.tx, [sub.customer_id])
    again = [one.id for one in own if one.automatic and not dunned and one.reserved_by is None]
    for invoice in invoices.by_ids(scope.tx, again, lines=False).values():
        scope.writes.put(evolve(invoice, overdue=False, collect_at=scope.now, collect_for="collection"))
        scope.collects.add(sub.customer_id)
    if len(again) == len(own) or sub.state == "expired":
        return step
    changes = tuple(evolve(one, state="past_due") if one.state == sub.state else one for one in step.changes)
    return evolve(step, subscription=planned(evolve(sub, state="past_due")), changes=changes)
