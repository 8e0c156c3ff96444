"""What happens to a subscription on its way: activate, cancel, hold, resume, retry (behaviour 5.2)."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal, Unpack

from attrs import evolve

from billcore.commands.cancellation import NOW_INCLUDED, cancel_dates, cancel_now, gives, resumed
from billcore.commands.facts import facts_for
from billcore.commands.open_debts import let_go, void_own
from billcore.commands.parameters import (
    Flag,
    Instant,
    Options,
    SubscriptionRef,
    Text,
    When,
    as_instant,
)
from billcore.commands.phases import pay_first, require_none_waits
from billcore.commands.reactivating import (
    DebtsTried,
    Return,
    next_debt,
    require_debts_paid,
    return_step,
    settle_debt,
)
from billcore.commands.resuming import with_debts
from billcore.commands.retries import retry_overdue
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now, bill_now, pay_draft, require_covered, to_pay_now
from billcore.commands.unused import Returned, give_back_all, less_given_back
from billcore.commands.verb import Noun, verb
from billcore.commands.waiting import keep_waiting
from billcore.domain.bill import make_bill, record
from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.lifecycle import activate, hold, ran_out, schedule_cancel, uncancel
from billcore.domain.states import END, check
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription, Unused
from billcore.errors import InvalidValue, Refused
from billcore.store import subscription as store


class Life(Noun):
    """Verbs of subscriptions that lead from one state to another."""

    noun = "subscriptions"

    @verb(collects=True)
    def activate(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """End the trial now, or do not wait for the start date: a new period begins and is charged.

        A decline leaves the subscription as it was (setting activation_decline) and raises payment_declined;
        payment_in_doubt while an earlier activation's attempt is open.
        """
        sub = scope.subscription(subscription)
        require_none_waits(scope, sub)
        customer = scope.customer(sub.customer_id)
        facts = facts_for(scope, sub, customer, scope.now)
        step = activate(sub, facts, scope.now, scope.new_id)
        require_covered(scope, [step], customer)
        bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
        due = to_pay_now(scope, bill, step.subscription, customer)
        if due and scope.settings.activation_decline == "revert":
            pay_draft(scope, bill, customer, sub, due)
            return sub
        bill_now(scope, step, customer)
        return step.subscription

    @verb(collects=True)
    def cancel(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        when: When = "now",
        *,
        credit: Literal["none", "unused"] = "none",
        refund: Literal["none", "unused", "all"] = "none",
        void_open: Flag = False,
        effective_at: Instant | None = None,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Cancel now, at the end of the current period, or at a date; add-ons go with their base.

        Usage and what is owed in arrears is billed and collected once. `credit = "unused"` gives back unused time as
        credit, `refund` to the payments that had paid: unused time, or all that the running period billed but usage.
        `effective_at` in the past is back-dated: all time after it that was billed is given back, as credit if nothing
        else is said; in the future it is the date. Open invoices stay open and payable by hand, what was declined is
        not tried again; with `void_open` they are made void. Raises transition_not_allowed, payment_in_doubt,
        invalid_value for a date that is past, unsupported_capability where a gateway gives nothing back.
        """
        what = gives(credit, refund)
        sub = scope.subscription(subscription)
        at, back = cancel_dates(sub, when, as_instant(effective_at), scope)
        addons = store.addons(scope.tx, [sub.id], scope.catalog.coupons)
        ending = [sub, *(addon for addon in addons if addon.ended_at is None)]
        if at is None:
            if void_open:
                void_own(scope, ending, reason)
            cancel_now(scope, ending, what, reason, back)
            let_go(scope, {each.id: scope.now for each in ending}, [sub.customer_id])
            return sub
        for each in ending:
            after = schedule_cancel(each, at, scope.now, reason, credit, void_open=void_open)
            scope.writes.put(evolve(after, cancel_refund=refund if refund != "none" else None))
            _event(scope, each, "subscription.cancel_scheduled")
        return sub

    @verb()
    def uncancel(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Undo a cancellation that has not come into effect yet."""
        sub = scope.subscription(subscription)
        after = uncancel(sub)
        scope.writes.put(after)
        for addon in store.addons(scope.tx, [sub.id], scope.catalog.coupons):
            if addon.cancel_at == sub.cancel_at:
                scope.writes.put(uncancel(addon))
        _event(scope, sub, "subscription.cancel_undone")
        return after

    @verb(collects=True)
    def hold(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        resume_at: Instant | None = None,
        unused: Unused = "forfeit",
        **options: Unpack[Options],
    ) -> Subscription:
        """Stop a subscription on purpose until it is resumed, by hand or at `resume_at`; add-ons hold with it.

        What is owed in arrears is billed. Unused paid time is forfeited, credited, or appended when it resumes.
        """
        sub = scope.subscription(subscription)
        until = resume_at if isinstance(resume_at, datetime) else None
        if until is not None and until <= scope.now:
            raise InvalidValue("resume_at is not in the future.", remedy="Choose a later date.")
        addons = store.addons(scope.tx, [sub.id], scope.catalog.coupons)
        steps = []
        for each in (sub, *(addon for addon in addons if addon.state in ("active", "trialing"))):
            check(each.state, "hold", each.reference)
            facts = facts_for(scope, each, scope.customer(each.customer_id), scope.now + NOW_INCLUDED)
            returned = give_back_all(scope, each, facts, scope.now) if unused == "credit" else Returned()
            facts = less_given_back(scope, each, facts, returned.everything)
            keep_waiting(scope, each, returned.waiting)
            step = hold(each, facts, scope.now, until, unused, scope.new_id, returned.lines)
            steps.append(evolve(step, usage_until=scope.now + NOW_INCLUDED))
        bill_all_now(scope, steps)
        return steps[0].subscription

    @verb(collects=True)
    def resume(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        period: Literal["reset", "keep"] = "reset",
        **options: Unpack[Options],
    ) -> Subscription:
        """Go on after a hold. Before the old period's end nothing is charged and the dates stay.

        After it a new period begins now (`reset`), or the rest of the old anchor's period is charged (`keep`). Where
        its end has passed on hold it ends now instead, and no new period is charged. What fell due in the hold and was
        not paid is owed as before (behaviour 9.5).
        """
        sub = scope.subscription(subscription)
        addons = store.addons(scope.tx, [sub.id], scope.catalog.coupons)
        check(sub.state, "resume", sub.reference)
        over = ran_out(sub, scope.now)
        if over:  # Those that run without it end with it (behaviour 6.6).
            cancel_now(scope, [one for one in addons if one.state not in (*END, "pending", "on_hold")], "none", None)
        steps, payers = [], {}
        for each in (sub, *(addon for addon in addons if addon.state == "on_hold")):
            payers[each.customer_id] = customer = scope.customer(each.customer_id)
            steps.append(with_debts(scope, resumed(scope, each, customer, keep=period == "keep", over=over)))
        for id_, payer in payers.items():
            require_covered(scope, [step for step in steps if step.subscription.customer_id == id_], payer)
        bill_all_now(scope, steps)
        return steps[0].subscription

    @verb(collects=True, debts=True)
    def reactivate(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        period: Literal["reset", "keep"] = "reset",
        balance: Literal["keep", "forgive"] = "keep",
        include_trial: Flag = False,
        ends_at: Instant | None = None,
        **options: Unpack[Options],
    ) -> Subscription:
        """Bring back a subscription that has ended or runs unpaid: with a new period, charged in full from now.

        `period = "keep"` stays in the old period while that lasts, and charges only what was given back of it. Open
        invoices are collected before, oldest first, or forgiven. At the first decline everything else stays as it was
        and payment_declined is raised. Raises transition_not_allowed, payment_in_doubt, invalid_value for a term that
        is over.
        """
        sub = scope.subscription(subscription)
        how = Return(period == "keep", balance == "forgive", include_trial, as_instant(ends_at))
        customer = scope.customer(sub.customer_id)
        make = _may_return(scope, sub, customer, how)
        if isinstance(scope.answer, DebtsTried):
            require_debts_paid(scope, sub, scope.answer)
        if pay_first(scope, sub, customer, "reactivate", how.stored(), make):
            return sub
        step = make(scope)
        settle_debt(scope, sub, how)
        bill_now(scope, step, customer)
        return step.subscription

    def next_debt(self, arguments: Mapping[str, Any], scope: Scope, tried: Collection[str]) -> Invoice | None:
        """The oldest open invoice of a subscription that comes back, where the return itself is not refused."""
        given = dict(arguments)
        sub = scope.subscription(given["subscription"])
        ends_at = as_instant(given["ends_at"])
        how = Return(given["period"] == "keep", given["balance"] == "forgive", given["include_trial"], ends_at)
        # One that runs unpaid is active when it has paid, and needs no return: it is billed first.
        if how.forgive or sub.ended_at is None:
            return None
        _may_return(scope, sub, scope.customer(sub.customer_id), how)(scope.aside())
        require_none_waits(scope, sub)
        return next_debt(scope, sub, tried)

    @verb(collects=True)
    def retry(self, scope: Scope, subscription: SubscriptionRef, **options: Unpack[Options]) -> Subscription:
        """Try now to collect what is overdue of the subscription's payer, oldest first, until the first decline.

        The dunning schedule stays. Raises transition_not_allowed unless something is overdue, payment_in_doubt
        while an attempt is open.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "retry", sub.reference)
        if not retry_overdue(scope, sub.customer_id, "retry", sub.currency):
            raise _nothing_to_retry(sub)
        return sub


def _may_return(scope: Scope, sub: Subscription, customer: Customer, how: Return) -> Callable[[Scope], Step]:
    """What a return makes of a subscription, to be decided; raises transition_not_allowed where it cannot come back."""
    check(sub.state, "reactivate", sub.reference)
    _require_base(scope, sub)
    facts = facts_for(scope, sub, customer, scope.now)
    return partial(return_step, sub=sub, facts=facts, how=how)


def _require_base(scope: Scope, sub: Subscription) -> None:
    """An add-on runs with its base."""
    if sub.base_id is None:
        return
    base = scope.subscription(sub.base_id)
    if base.ended_at is not None:
        raise Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is an add-on of {base.reference}, which is {base.state}.",
            remedy="Reactivate its base first.",
            state=sub.state,
        )


def _nothing_to_retry(sub: Subscription) -> Refused:
    if sub.collection != "automatic":
        return Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is paid by {sub.collection}; nothing of it is ever charged.",
            remedy="Record the payment when it arrives.",
            state=sub.state,
        )
    return Refused(
        "payment_in_doubt",
        f"Every overdue invoice of subscription {sub.reference} has an attempt without an outcome.",
        remedy="Wait for the next check of the payment.",
    )


def _event(scope: Scope, sub: Subscription, kind: str) -> None:
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, kind, sub.id)
