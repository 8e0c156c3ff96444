"""Periods begin, renew and close: the decisions that make lines out of time (behaviour 5.2, 7)."""

from collections.abc import Callable
from datetime import datetime

from billcore.domain.catalog import Periods
from billcore.domain.charges import (
    advance_items,
    arrears_items,
    fee_line,
    item_line,
    minimum_line,
    product_line,
)
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts, own_interval
from billcore.domain.invoice import Renewal
from billcore.domain.periods import Period, Schedule, add, schedule_from_start, span_of
from billcore.domain.proration import portion
from billcore.domain.rating import usage_lines
from billcore.domain.span import billed_from, is_free, pieces, price_span, with_span
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import NewId, evolve


def begin_trial(
    sub: Subscription, facts: Facts, at: datetime, *, fee: bool = True
) -> tuple[Subscription, list[DraftLine]]:
    """Start the trial at `at`: its amount and the setup fee of signup (`fee`); the product is charged from its end."""
    assert sub.trial_until is not None
    period = Period(at, sub.trial_until)
    lines = fee_line(sub, facts, "trial", facts.price.trial_amount, period)
    if fee and facts.price.setup_fee_at == "signup":
        lines += fee_line(sub, facts, "setup_fee", facts.price.setup_fee, None)
    started = evolve(sub, state="trialing", period_start=at, period_end=sub.trial_until)
    return with_expiry(started, facts, None), lines


def begin(
    sub: Subscription,
    facts: Facts,
    at: datetime,
    new_id: NewId,
    *,
    fee: bool,
    anchored: Schedule | None = None,
    keeps_own: bool = False,
    again: bool = False,
) -> tuple[Subscription, list[DraftLine], Renewal]:
    """Start the first paid period at `at`: setup fee where `fee`, product, components.

    `anchored` gives the boundaries of another subscription (an add-on takes its base's), otherwise they are found
    from `at` and the billing day (behaviour 7.1). With `keeps_own`, components whose own period still runs keep it.
    What is sold once with the signup is not charged when it begins `again`.
    """
    every = facts.price.every
    assert every is not None
    billing_day = sub.billing_day if every.months else None
    if anchored is None:
        schedule = schedule_from_start(
            at, every, facts.zone, billing_day, facts.settings.billing_time, facts.settings.period_policy
        )
        whole = Period(at, schedule.first_end(at))
    else:
        schedule = anchored
        whole = Period(at, schedule.boundary_after(at))
    sub = evolve(
        sub,
        state="active",
        anchor=schedule.anchor,
        activated_at=sub.activated_at or at,
        priced_from=sub.priced_from or at,
    )
    sub = evolve(sub, items=tuple(_started(sub, item, facts, at, keeps_own) for item in sub.items))
    sub = with_expiry(sub, facts, whole)
    sub, period = enter_period(sub, facts, whole)
    lines = fee_line(sub, facts, "setup_fee", facts.price.setup_fee, None) if fee else []
    lines += _advance(sub, facts, period, first=True)
    if sub.sequence == 1 and not again:
        lines += [
            line
            for item in sub.items
            if facts.components[item.component].kind == "one_time"
            and (line := item_line(sub, item, facts, None, None)) is not None
        ]
    return planned(sub), lines, renewal_of(sub, period, at, new_id)


def renew(
    sub: Subscription,
    facts: Facts,
    due: datetime,
    at: datetime,
    new_id: NewId,
    change: Callable[[Subscription], tuple[Subscription, Facts]] | None = None,
) -> Step:
    """Bill what fell due at the boundary `due`: the ended period in arrears, the next in advance.

    `at` is when it happens: `due` itself, or later after an outage. The period advances whatever the payment does. A
    `change` that waited for the renewal makes of the subscription what enters the new period (behaviour 6.1).
    """
    assert sub.period_end is not None and sub.period_start is not None
    lines: list[DraftLine] = []
    usage: list[str] = []
    after = sub
    if sub.period_end <= due:
        lines, usage = _arrears(sub, facts, sub.period_end)
        lines += facts.waiting
        every = facts.price.every
        if change is not None:
            after, facts = change(sub)
        after, period = _next_period(after, facts, sub.period_end, again=every == facts.price.every)
        lines += _advance(after, facts, period)
    else:
        after = evolve(sub, sequence=sub.sequence + 1)
        period = Period(sub.period_start, sub.period_end)
    after, more, used = _own_intervals(after, facts, due)
    lines += more
    after = planned(after)
    return Step(
        after,
        sub,
        "renewal",
        tuple(lines),
        renewal_of(after, period, at, new_id),
        changed(sub, after, "renewal_due", at, facts.actor, new_id),
        tuple(usage + used),
        due,
        collects=sub.state != "unpaid",
    )


def closing_lines(sub: Subscription, facts: Facts, at: datetime) -> tuple[list[DraftLine], tuple[str, ...]]:
    """What is owed in arrears when the subscription stops at `at`, and the items whose usage is thereby billed."""
    if sub.period_start is None or sub.period_end is None or sub.sequence == 0:
        # Waiting or in its trial, held or not: no period has begun that arrears could be owed for.
        return [], ()
    # Suspended time is not billed: its period has not begun.
    until = min(at, sub.period_end) if sub.state == "suspended" else at
    # An end in an earlier period leaves nothing of this one to bill.
    lines, usage = _arrears(sub, facts, max(until, sub.arrears_from or sub.period_start, sub.period_start))
    for item in sub.items:
        price = facts.prices[item.price_id]
        if own_interval(price, facts.price) and item.period_start is not None and price.bill == "arrears":
            ended = Period(item.period_start, max(at, item.period_start))
            if facts.components[item.component].kind == "metered":
                lines += usage_lines(sub, item, facts, ended)
                usage.append(item.id)
            elif ended.start < at:
                lines += own_line(sub, item, facts, ended)
    return lines, tuple(usage)


def wake_items(
    sub: Subscription, facts: Facts, at: datetime, *, given_back: bool = False
) -> tuple[Subscription, list[DraftLine]]:
    """Components whose own period ran out on hold, or was `given_back` when it began: the rest of the one at `at`."""
    lines: list[DraftLine] = []
    items = []
    for item in sub.items:
        bill = facts.prices[item.price_id].bill
        if item.period_end is not None and (given_back or item.period_end <= at) and item.ended_at is None:
            following = _own_period(sub, item, facts, at)
            if bill == "advance":
                lines += own_line(sub, item, facts, following)
            items.append(evolve(item, period_start=following.start, period_end=following.end))
        else:
            items.append(going_on(item, bill, at))
    return evolve(sub, items=tuple(items)), lines


def going_on(item: Item, bill: str, at: datetime) -> Item:
    """A component whose own period still runs after a hold: what is in arrears was billed up to the hold."""
    if item.period_end is None or bill == "advance":
        return item
    return evolve(item, period_start=at)


def with_expiry(sub: Subscription, facts: Facts, first: Period | None) -> Subscription:
    """`sub` with `expires_at` from its price: the first boundary on or after the term's end (behaviour 5.2)."""
    term = facts.price.expires_after
    if term is None or sub.expires_at is not None or first is None:
        return sub
    schedule = facts.schedule(sub)
    if isinstance(term, Periods):
        end = first.end
        for _ in range(term.count - 1):
            end = schedule.boundary_after(end)
        return evolve(sub, expires_at=end)
    # One that was taken over was created where it ran before.
    created_at = min(sub.created_at, first.start)
    counted_from = created_at if facts.settings.expiry_from == "creation" else first.start
    end = add(counted_from, term, facts.zone)
    return evolve(sub, expires_at=end if schedule.is_boundary(end) else schedule.boundary_after(end))


def trial_end(facts: Facts, start: datetime) -> datetime | None:
    """When a trial that starts at `start` ends; None when the price has none."""
    if facts.price.trial is None:
        return None
    return add(start, facts.price.trial, facts.zone)


def _started(sub: Subscription, item: Item, facts: Facts, at: datetime, keeps_own: bool) -> Item:
    """A component with its own interval as it begins at `at`; others follow the product."""
    if item.ended_at is not None or not own_interval(facts.prices[item.price_id], facts.price):
        return item
    if keeps_own and item.period_end is not None and item.period_end > at:
        return going_on(item, facts.prices[item.price_id].bill, at)
    period = _own_period(sub, item, facts, at)
    return evolve(item, period_start=period.start, period_end=period.end)


def _own_period(sub: Subscription, item: Item, facts: Facts, start: datetime) -> Period:
    """The period of a component with its own interval, which a known end cuts short as it does the product's."""
    return _cut_short(sub, Period(start, facts.item_schedule(sub, item).boundary_after(start)))


def _next_period(sub: Subscription, facts: Facts, start: datetime, *, again: bool) -> tuple[Subscription, Period]:
    """Enter the period that begins at `start`: the next of the schedule, or the first one of another interval."""
    if not again:
        every, settings = facts.price.every, facts.settings
        assert every is not None
        day = sub.billing_day if every.months else None
        fresh = schedule_from_start(start, every, facts.zone, day, settings.billing_time, settings.period_policy)
        sub = evolve(sub, anchor=fresh.anchor)
        return enter_period(sub, facts, Period(start, fresh.first_end(start)))
    return enter_period(sub, facts, Period(start, facts.schedule(sub).boundary_after(start)))


def enter_period(sub: Subscription, facts: Facts, whole: Period) -> tuple[Subscription, Period]:
    """Enter the period `whole`, which a known end cuts short; what one full price covers is kept with it."""
    period = _cut_short(sub, whole)
    sub = evolve(
        sub, period_start=period.start, period_end=period.end, arrears_from=period.start, sequence=sub.sequence + 1
    )
    if any(item.paid_quantity is not None for item in sub.items):
        # What was given up of the old period without money back is over.
        sub = evolve(sub, items=tuple(evolve(item, paid_quantity=None) for item in sub.items))
    span = span_of(whole, facts.schedule(sub))
    if sub.sequence == 1 and span != whole:
        if sub.first_charge == "none":
            sub = evolve(sub, free_until=period.end)
        elif sub.first_charge == "full":  # The short first period is what its price covers (behaviour 3.2).
            span = whole
    return with_span(sub, span), period


def _cut_short(sub: Subscription, whole: Period) -> Period:
    """The part of a period before the subscription's end, where that is known already (behaviour 5.2)."""
    end = whole.end
    for known in (sub.ends_at, sub.cancel_at):
        if known is not None and whole.start < known < end:
            end = known
    return whole if end is whole.end else Period(whole.start, end)


def _advance(sub: Subscription, facts: Facts, period: Period, *, first: bool = False) -> list[DraftLine]:
    if is_free(sub):
        return []
    span = price_span(sub)
    lines = []
    if facts.price.bill == "advance":
        lines.append(product_line(sub, facts, period, span))
    lines += [item_line(sub, item, facts, period, span) for item in advance_items(sub, facts)]
    if first:
        for item in sub.items:
            price = facts.prices[item.price_id]
            starts = item.period_end is not None and item.period_start == period.start
            if starts and item.period_end is not None and price.bill == "advance":
                lines += own_line(sub, item, facts, Period(period.start, item.period_end))
    return [line for line in lines if line is not None]


def _arrears(sub: Subscription, facts: Facts, until: datetime) -> tuple[list[DraftLine], list[str]]:
    """Lines in arrears of the running period up to `until`, and the metered items they bill."""
    assert sub.period_start is not None
    owing = list(arrears_items(sub, facts))
    if not owing and facts.price.bill == "advance" and facts.price.minimum is None:
        return [], []
    start = max(sub.arrears_from or sub.period_start, sub.period_start)
    span = price_span(sub)
    part = Period(start, until)
    lines: list[DraftLine | None] = []
    begun = billed_from(start, sub.free_until, sub.changed_at)
    if facts.price.bill == "arrears":
        lines += [product_line(sub, facts, piece, span) for piece, span in pieces(sub, facts, begun, until)]
    metered = []
    for item, _price, component in owing:
        begun = billed_from(start, sub.free_until, item.added_at, item.changed_at)
        if component.kind == "metered":
            lines += usage_lines(sub, item, facts, part)
            metered.append(item.id)
        else:
            lines += [item_line(sub, item, facts, piece, span) for piece, span in pieces(sub, facts, begun, until)]
    made = [line for line in lines if line is not None]
    start = billed_from(start, sub.free_until)
    if facts.price.minimum is not None and start < until:
        part = Period(start, until)
        assert facts.price.every is not None
        share = portion(part, span, facts.settings.proration_basis, facts.zone, facts.price.every)
        # What is given back of earlier periods is not missing in this one.
        billed = facts.billed_in_period + sum(
            line.amount for line in made if line.credit is None or line.period is not None
        )
        billed += sum(
            line.amount for line in facts.waiting if line.period is not None and line.period.start >= sub.period_start
        )
        made += minimum_line(sub, facts, billed, share, part)
    return made, metered


def _own_intervals(sub: Subscription, facts: Facts, due: datetime) -> tuple[Subscription, list[DraftLine], list[str]]:
    """Components with their own interval whose period ends by `due`: bill and move them on (behaviour 4.3)."""
    lines: list[DraftLine] = []
    used: list[str] = []
    items = []
    for item in sub.items:
        if item.period_end is None or item.period_start is None or item.period_end > due or item.ended_at:
            items.append(item)
            continue
        price = facts.prices[item.price_id]
        ended = Period(item.period_start, item.period_end)
        following = _own_period(sub, item, facts, ended.end)
        moved = evolve(item, period_start=following.start, period_end=following.end)
        if facts.components[item.component].kind == "metered":
            lines += usage_lines(sub, item, facts, ended)
            used.append(item.id)
        else:
            lines += own_line(sub, item, facts, ended if price.bill == "arrears" else following)
        items.append(moved)
    moved_on = tuple(items)
    return sub if moved_on == sub.items else evolve(sub, items=moved_on), lines, used


def own_line(sub: Subscription, item: Item, facts: Facts, period: Period) -> list[DraftLine]:
    """A component on its own interval for `period`, prorated by the interval around it; nothing when it costs none."""
    schedule = facts.item_schedule(sub, item)
    whole = Period(period.start, schedule.boundary_after(period.start))
    line = item_line(sub, item, facts, period, span_of(whole, schedule))
    return [line] if line is not None else []


def renewal_of(sub: Subscription, period: Period, at: datetime, new_id: NewId) -> Renewal:
    """The row of the billing that took a subscription into `period`; its invoice is named when it is written."""
    free = is_free(sub)
    return Renewal(new_id("ren"), sub.customer_id, sub.id, sub.sequence, period.start, period.end, at, None, free)
