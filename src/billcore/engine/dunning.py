"""Dunning steps that fall due: the next attempt, or the final action after the last one (behaviour 9.5)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.cancellation import end_unpaid
from billcore.commands.overdue import Overdue, overdue_of
from billcore.commands.receivables import PROBLEMS
from billcore.commands.retries import method_for, retry_overdue
from billcore.commands.scope import Scope
from billcore.domain.bill import A_DAY, record, record_change
from billcore.domain.dunning import DunningCase, is_over, next_step
from billcore.domain.event import StateChange
from billcore.domain.invoice import Invoice
from billcore.domain.step import planned
from billcore.domain.subscription import Subscription
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked, claim
from billcore.engine.work import IN_DOUBT_AGAIN, Workplace
from billcore.errors import StoreError
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions


def do_steps(place: Workplace, due: Sequence[Due]) -> Worked:
    """Do the due steps of dunning cases; the attempts they plan are made by the collection.

    When that fails it is done in halves, so that one bad case is put aside alone.
    """
    try:
        return place.unit(lambda scope: _do(place, scope, due))
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  one bad case never fails its batch
        if len(due) == 1:
            reason = f"{type(error).__name__}: {error}"[:500]
            return place.unit(lambda scope: _put_aside(place, scope, due[0], reason))
        middle = len(due) // 2
        return do_steps(place, due[:middle]) + do_steps(place, due[middle:])


def _put_aside(place: Workplace, scope: Scope, due: Due, reason: str) -> Worked:
    """Try the step again in a day; its customer's subscriptions are parked, so that somebody looks at them."""
    claimed = claim(place, scope, [due])
    at = place.moment(due.at)
    for row in claimed.rows:
        owned = payments.put_step_aside(scope.tx, row.id, at + A_DAY, PROBLEMS)
        subscriptions.park(scope.tx, owned, at, reason)
        for subscription_id in owned:
            record(scope.writes, scope.new_id, "", at, "subscription.parked", subscription_id, reason=reason)
    return claimed.worked(len(claimed.rows))


def _do(place: Workplace, scope: Scope, due: Sequence[Due]) -> Worked:
    claimed = claim(place, scope, due)
    wanted = {row.id: row.at for row in claimed.rows}
    done = 0
    for case in payments.cases_by_ids(scope.tx, wanted):
        if case.status == "open" and case.next_step_at == wanted[case.id]:
            at = place.moment(wanted[case.id])
            scope.now = at
            scope.writes.put(_step(scope, case, at))
            done += 1
    return claimed.worked(done)


def _step(scope: Scope, case: DunningCase, at: datetime) -> DunningCase:
    policy = scope.settings.dunning
    if policy is None:
        return evolve(case, next_step_at=None)
    overdue = overdue_of(scope, [case.customer_id], case.currency)
    dunned = [one for one in overdue if not one.rests]
    if overdue and not dunned:
        # What is left goes on with the end of a hold, or not by itself; who fails next has a case of his own.
        return evolve(case, status="closed", next_step_at=None, closed_at=at, closed_by="at_rest")
    if is_over(case, policy):
        return _final(scope, case, dunned, policy.final, at)
    customer = customers.by_ids(scope.tx, [case.customer_id])[case.customer_id]
    advanced = next_step(case, policy, scope.zone(customer))

    def can_be_charged(invoice: Invoice) -> bool:
        method = method_for(scope, invoice)
        return method is not None and method.id != case.refused_method_id

    planned_attempts = retry_overdue(scope, customer.id, "dunning", case.currency, only=can_be_charged)
    if not planned_attempts and is_over(advanced, policy):
        # The last step made no attempt whose failure could bring the final action.
        return evolve(advanced, next_step_at=at)
    return advanced


def _final(scope: Scope, case: DunningCase, dunned: Sequence[Overdue], action: str, at: datetime) -> DunningCase:
    if any(one.reserved_by is not None for one in dunned):
        return evolve(case, next_step_at=at + IN_DOUBT_AGAIN)
    if action == "leave":
        return evolve(case, next_step_at=None)
    named = {sub_id for one in dunned for sub_id in one.states}
    subs = [
        sub for sub in subscriptions.by_ids(scope.tx, named, scope.catalog.coupons).values() if sub.state in PROBLEMS
    ]
    if action == "cancel":
        _cancel(scope, subs, dunned, at)
    else:
        for sub in subs:
            _leave_unpaid(scope, sub, at)
    return evolve(case, status="closed", next_step_at=None, closed_at=at, closed_by=action)


def _cancel(scope: Scope, subs: Sequence[Subscription], dunned: Sequence[Overdue], at: datetime) -> None:
    """Cancel the subscriptions; their invoices stay open and payable by hand, but are not collected any more.

    What one on hold stands on too is still owed when that goes on.
    """
    let_go = [one.id for one in dunned if "on_hold" not in one.states.values()]
    for invoice in invoices.by_ids(scope.tx, let_go, lines=False).values():
        scope.writes.put(evolve(invoice, overdue=False, collect_at=None))
    end_unpaid(scope, subs, "dunning_ended", at)


def _leave_unpaid(scope: Scope, sub: Subscription, at: datetime) -> None:
    if sub.state == "unpaid":
        return
    scope.writes.put(planned(evolve(sub, state="unpaid", previous_state=None)))
    change = StateChange(
        scope.new_id("chg"), sub.customer_id, sub.id, sub.state, "unpaid", at, "dunning_ended", "engine"
    )
    record_change(scope.writes, scope.new_id, change)
