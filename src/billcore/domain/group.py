"""Groups of customers: who pays for whom, and what a new payer makes of a subscription (behaviour 14)."""

from collections.abc import Sequence
from datetime import datetime

from billcore.domain.customer import Customer
from billcore.domain.durations import Duration
from billcore.domain.event import StateChange
from billcore.domain.expiry import with_expiry
from billcore.domain.periods import local_date, schedule_from_start
from billcore.domain.states import State
from billcore.domain.step import changed, planned
from billcore.domain.subscription import Collection, Subscription
from billcore.domain.values import NewId, evolve
from billcore.errors import InvalidValue, Refused
from billcore.settings import Settings

OWING: frozenset[State] = frozenset({"past_due", "unpaid"})


def payer_of(line: Sequence[Customer]) -> Customer:
    """Who owes for the first of `line`, a customer with his parents upwards: the first who pays himself."""
    return next((one for one in line if one.pays == "self"), line[-1])


def require_fit(customer: Customer, line: Sequence[Customer], subs: Sequence[Subscription] = ()) -> None:
    """Refuse a parent, the first of `line`, who cannot have this customer below him, or pay for his `subs`.

    Raises invalid_value for a customer above himself, currency_mismatch where the payer's own currency is another.
    """
    parent, payer = line[0], payer_of(line)
    if any(one.id == customer.id for one in line):
        raise InvalidValue(
            f"Customer {customer.reference} stands above {parent.reference}: nobody is in a group below himself."
            if parent.id != customer.id
            else f"Customer {customer.reference} cannot be his own parent.",
            remedy="Choose a parent outside of his own group.",
            parameter="parent",
        )
    theirs = {sub.currency for sub in subs} | ({customer.currency} - {None})
    if payer.currency is not None and theirs - {payer.currency}:
        raise Refused(
            "currency_mismatch",
            f"Customer {payer.reference} pays in {payer.currency}, "
            f"{customer.reference} is billed in {', '.join(sorted(filter(None, theirs)))}.",
            remedy="Only customers of one currency have one payer.",
            customer=customer.reference,
            payer=payer.reference,
        )


def pay_from_now(
    sub: Subscription, payer_id: str, net_terms: int | None, at: datetime, actor: str, new_id: NewId
) -> tuple[Subscription, tuple[StateChange, ...]]:
    """`sub` as somebody else owes for it from `at` on, and its change of state.

    Its own payment method was the other one's and is dropped. What is owed already stays with who owed it, so a
    subscription that was past due is active: the next invoice says what becomes of it.
    """
    state = sub.state
    if state in OWING:
        state = "active"
    elif state == "soft_failure":
        state = sub.previous_state or "active"
    after = planned(
        evolve(
            sub,
            customer_id=payer_id,
            owner_id=sub.owner if sub.owner != payer_id else None,
            net_terms=net_terms,
            payment_method_id=None,
            state=state,
            previous_state=sub.previous_state if state == sub.state else None,
        )
    )
    return after, changed(sub, after, "payer_changed", at, actor, new_id)


def terms_beside(subs: Sequence[Subscription], collection: Collection) -> int | None:
    """The net terms of a payer's own subscriptions, the oldest of one collection first; None: the site's."""
    return next((sub.net_terms for sub in subs if sub.collection == collection), None)


def day_of(payer: Customer, subs: Sequence[Subscription], zone: str) -> int:
    """The day on which a payer is billed: his own, or that of his oldest running subscription that has one.

    Raises invalid_value where there is none.
    """
    if payer.billing_day is not None:
        return payer.billing_day
    for sub in subs:
        if sub.billing_day is not None:
            return sub.billing_day
        if sub.anchor is not None:
            return local_date(sub.anchor, zone).day
    raise InvalidValue(
        f"Customer {payer.reference} has no billing day.",
        remedy="Give him one (customers.update billing_day), or join with align=none.",
        parameter="align",
    )


def on_day(sub: Subscription, every: Duration, day: int, zone: str, settings: Settings, at: datetime) -> Subscription:
    """`sub` with a billing day for good: the current period stays, the next is short (behaviour 7.2).

    Prices of days and weeks have no billing day and keep their dates. In its trial, or before its start, the first
    paid period is the short one.
    """
    if every.months is None:
        return sub
    if sub.anchor is None or sub.period_end is None:
        return evolve(sub, billing_day=day)
    begins = max(sub.period_end, at)
    schedule = schedule_from_start(begins, every, zone, day, settings.billing_time, settings.period_policy)
    return with_expiry(evolve(sub, billing_day=day, anchor=schedule.anchor), schedule, sub.period_end)
