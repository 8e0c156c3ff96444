"""Does what falls due for subscriptions: renewals, trial ends, starts, cancellations, expiry (behaviour 2.5, 5.2)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from billcore.commands.bill import bill_steps, grouped, number, number_notes
from billcore.commands.changing import act_at
from billcore.commands.facts import customers_of, load_facts
from billcore.commands.open_debts import let_go, void_own
from billcore.commands.prepaid import top_up_where_low
from billcore.commands.refund_billing import bill_refunding
from billcore.commands.resuming import with_debts
from billcore.commands.scope import Scope
from billcore.commands.signup import start_or_wait
from billcore.commands.unused import settle_usage
from billcore.domain.addons import begins_anew, with_dates_of
from billcore.domain.bill import record
from billcore.domain.customer import Customer
from billcore.domain.facts import Facts
from billcore.domain.invoice import Invoice
from billcore.domain.step import Step, planned
from billcore.domain.subscription import ACTION_ORDER, Subscription
from billcore.domain.values import evolve
from billcore.engine.addons import with_addons
from billcore.engine.agenda import Due
from billcore.engine.claims import Worked, claim
from billcore.engine.work import IN_DOUBT_AGAIN, Workplace
from billcore.errors import Refused, StoreError
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions


def do_actions(place: Workplace, due: Sequence[Due]) -> Worked:
    """Do the due actions in one transaction; when it fails, in halves, until one subscription is put aside alone.

    So nothing is kept of what a refused action had begun: neither where it is parked nor where it waits.
    """
    try:
        return place.unit(lambda scope: _do(place, scope, due))
    except StoreError:
        raise
    except Exception as error:
        if len(due) == 1:
            refused = error  # The name of the clause is gone when the unit is run again.
            return place.unit(lambda scope: _put_aside(place, scope, due[0], refused))
        middle = len(due) // 2
        return do_actions(place, due[:middle]) + do_actions(place, due[middle:])


def _do(place: Workplace, scope: Scope, due: Sequence[Due]) -> Worked:
    claimed = claim(place, scope, due)
    wanted = {row.id: row.at for row in claimed.rows}
    whose = {row.id: row.customer_id for row in claimed.rows}
    read = subscriptions.by_ids(scope.tx, wanted, scope.catalog.coupons)
    # Read again under the lock: another process may have done it meanwhile, and who owes by now may be somebody else,
    # who is not ours.
    stored = {sub.id: sub for sub in read.values() if sub.customer_id == whose[sub.id] and _is_wanted(sub, wanted)}
    worked = claimed.worked(len(stored))
    found = _without_debts(place, scope, stored, wanted)
    # What had to wait is done as of when it fell due: its dates, usage and credits are counted to there.
    subs = sorted((_as_it_fell_due(sub) for sub in found.values() if _is_wanted(sub, wanted)), key=_order)
    if not subs:
        return worked
    customers = customers_of(scope, subs)
    moments = {sub.id: place.moment(wanted[sub.id]) for sub in subs}
    fell_due = {sub.id: sub.next_action_at or moments[sub.id] for sub in subs}
    steps = _steps(scope, subs, fell_due, moments, customers)
    credits = payments.open_credits(scope.tx, customers)
    steps = with_addons(scope, steps, moments, customers)
    documents = bill_steps(scope, [pair for pair in steps if not pair[0].refunds], customers, credits, moments)
    documents.sort(key=lambda invoice: (invoice.issued_at or invoice.created_at, invoice.id))
    number(scope, documents)
    number_notes(scope)
    for group in grouped(scope, [pair for pair in steps if pair[0].refunds], customers, moments):
        # What is to be refunded is sent by the next round, like a refund of any worker that stopped.
        scope.now, scope.lease = moments[group[0].subscription.id], None
        bill_refunding(scope, group, customers[group[0].subscription.customer_id])
    ended = [step.subscription for step, _ in steps if _leaves_its_debts(step)]
    let_go(scope, {sub.id: moments[sub.id] for sub in ended}, customers)
    _top_up(scope, [step for step, _ in steps], documents, moments)
    return worked


def _leaves_its_debts(step: Step) -> bool:
    """Whether what is overdue is not collected by itself any more: it was canceled, or ran unpaid to its end."""
    after = step.subscription.state
    return after == "canceled" or (after == "expired" and step.before.state == "unpaid")


def _top_up(scope: Scope, steps: Sequence[Step], documents: Sequence[Invoice], moments: Mapping[str, datetime]) -> None:
    """Top up the prepayments that this work has drawn on, where they fell below what was asked for."""
    drawn = {step.before.customer_id: moments[step.before.id] for step in steps if step.before.collection == "prepaid"}
    drawn |= {one.customer_id: one.issued_at or one.created_at for one in documents if one.credited}
    if not drawn:
        return
    scope.flush()
    for sub in subscriptions.prepaid(scope.tx, drawn, scope.catalog.coupons):
        if sub.top_up_below is not None:
            scope.now = drawn[sub.customer_id]
            top_up_where_low(scope, sub.customer_id, sub.currency)


def _steps(
    scope: Scope,
    subs: Sequence[Subscription],
    wanted: Mapping[str, datetime],
    moments: Mapping[str, datetime],
    customers: Mapping[str, Customer],
) -> list[tuple[Step, datetime]]:
    """What each subscription's action makes of it, with the instant it was due."""
    facts = load_facts(scope, subs, wanted, customers)
    steps: list[tuple[Step, datetime]] = []
    decided: dict[str, Step] = {}
    bases: set[str | None] = set()
    for sub in subs:
        if _has_its_turn_afterwards(sub, decided.get(sub.base_id or ""), bases):
            continue
        at = scope.now = moments[sub.id]
        made = _act(scope, sub, facts[sub.id], at, decided.get(sub.base_id or ""))
        step = with_debts(scope, settle_usage(scope, made, at))
        if step.purpose == "start" and scope.settings.start_decline == "failed_to_create":
            waiting = start_or_wait(scope, step, customers[sub.customer_id])
            if waiting is None:
                continue
            step = waiting
        decided[sub.id] = step
        bases.add(sub.base_id)
        steps.append((step, wanted[sub.id]))
    return steps


def _has_its_turn_afterwards(sub: Subscription, base: Step | None, bases: Collection[str | None]) -> bool:
    """Whether the next round does it, when more is known or written: of `base` what was decided in this one.

    `bases` are those whose add-ons have done something in it.
    """
    if base is None:
        return sub.change_id is not None and sub.id in bases  # It may take them with it into a new period.
    if base.short is not None and base.short.subscription.ended_at is not None:
        return True  # Whether its base begins is known when that is billed.
    return begins_anew(base) and not _renews(sub)  # It goes with its base first.


def _renews(sub: Subscription) -> bool:
    """Whether its own period ends, and not only that of a component."""
    due = sub.next_action_at
    return sub.next_action == "renew" and due is not None and sub.period_end is not None and sub.period_end <= due


def _act(scope: Scope, sub: Subscription, facts: Facts, at: datetime, base: Step | None) -> Step:
    """What its next action makes of a subscription: of an add-on with what was decided of its base just now."""
    if base is None:
        return act_at(scope, sub, facts, at)
    taken = with_dates_of(base.subscription, sub) if begins_anew(base) else sub
    return evolve(act_at(scope, taken, evolve(facts, base=base.subscription), at), before=sub)


def _without_debts(
    place: Workplace, scope: Scope, found: Mapping[str, Subscription], wanted: Mapping[str, datetime]
) -> Mapping[str, Subscription]:
    """The subscriptions to act on, when the open invoices of those that cancel with void_open are void.

    Where an attempt on one has no outcome the cancellation waits for it.
    """
    leaving = [sub for sub in found.values() if _leaves_no_debt(sub)]
    if not leaving:  # Nearly every batch.
        return found
    for sub in leaving:
        scope.now = place.moment(wanted[sub.id])
        addons = subscriptions.addons(scope.tx, [sub.id], scope.catalog.coupons)
        try:
            void_own(scope, [sub, *(addon for addon in addons if addon.ended_at is None)], sub.cancel_reason)
        except Refused as error:
            if error.code != "payment_in_doubt":
                raise
            scope.writes.put(evolve(sub, next_action_at=scope.now + IN_DOUBT_AGAIN))
            scope.flush()
    # With nothing overdue any more other subscriptions of the same payers may be well again.
    return subscriptions.by_ids(scope.tx, found, scope.catalog.coupons)


def _is_wanted(sub: Subscription, wanted: Mapping[str, datetime]) -> bool:
    return sub.next_action_at == wanted[sub.id] and sub.parked_at is None and sub.next_action is not None


def _as_it_fell_due(sub: Subscription) -> Subscription:
    """The subscription with the instant of its action again, where that had to wait."""
    again = planned(sub)
    return again if again.next_action == sub.next_action else sub


def _leaves_no_debt(sub: Subscription) -> bool:
    return sub.next_action == "cancel" and sub.cancel_void_open


def _order(sub: Subscription) -> tuple[datetime, int, str, str]:
    assert sub.next_action_at is not None and sub.next_action is not None
    return sub.next_action_at, ACTION_ORDER.index(sub.next_action), sub.customer_id, sub.id


def _put_aside(place: Workplace, scope: Scope, due: Due, error: Exception) -> Worked:
    """Let a subscription wait while a payment is in doubt; after anything else park it with the reason."""
    claimed = claim(place, scope, [due])
    for row in claimed.rows:
        if isinstance(error, Refused) and error.code == "payment_in_doubt":
            sub = subscriptions.by_ids(scope.tx, [row.id], scope.catalog.coupons)[row.id]
            scope.writes.put(evolve(sub, next_action_at=place.moment(row.at) + IN_DOUBT_AGAIN))
        else:
            _park(scope, row.id, f"{type(error).__name__}: {error}"[:500])
    return claimed.worked(len(claimed.rows))


def _park(scope: Scope, subscription_id: str, reason: str) -> None:
    """Take one subscription out of the way, with the reason, until somebody looks at it."""
    subscriptions.park(scope.tx, [subscription_id], scope.now, reason)
    record(scope.writes, scope.new_id, "", scope.now, "subscription.parked", subscription_id, reason=reason)
