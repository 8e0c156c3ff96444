"""Periods begin, renew and close: the decisions that make lines out of time (behaviour 5.2, 7)."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from billcore.domain.charges import (
    advance_items,
    arrears_items,
    counts_since,
    fee_line,
    item_line,
    minimum_line,
    product_line,
)
from billcore.domain.draft import DraftLine
from billcore.domain.expiry import with_expiry, with_term
from billcore.domain.facts import Facts, own_interval
from billcore.domain.invoice import Renewal
from billcore.domain.own_interval import (
    close_own,
    cut_short,
    own_arrears,
    own_intervals,
    own_line,
    own_period,
)
from billcore.domain.periods import Period, Schedule, add, schedule_from_start, span_of
from billcore.domain.proration import portion
from billcore.domain.rating import usage_lines
from billcore.domain.span import at_boundaries, billed_from, is_free, pieces, price_span, with_span
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import NewId, evolve


def begin_trial(
    sub: Subscription, facts: Facts, at: datetime, *, fee: bool = True, counts: bool = True
) -> tuple[Subscription, list[DraftLine]]:
    """Start the trial at `at`: its amount and the setup fee of signup (`fee`); the product is charged from its end.

    The term that its price sets `counts` from here too, where it includes the trial (setting expiry_from).
    """
    assert sub.trial_until is not None
    period = Period(at, sub.trial_until)
    lines = fee_line(sub, facts, "trial", facts.price.trial_amount, period)
    if fee and facts.price.setup_fee_at == "signup":
        lines += fee_line(sub, facts, "setup_fee", facts.price.setup_fee, None)
    started = evolve(sub, state="trialing", period_start=at, period_end=sub.trial_until)
    if counts and facts.settings.expiry_from == "creation":
        started = with_term(started, facts, min(at, sub.created_at) if fee else at)
    return started, lines


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
    since: datetime | None = None,
) -> tuple[Subscription, list[DraftLine], Renewal]:
    """Start the first paid period at `at`: setup fee where `fee`, product, components.

    `anchored` gives the boundaries of another subscription (an add-on takes its base's), otherwise they are found
    from `at` and the billing day (behaviour 7.1). With `keeps_own`, components whose own period still runs keep it.
    What is sold once with the signup is not charged when it begins `again`. The term that its price sets counts from
    `since`, where it is not counted yet; without it the term is what it was.
    """
    schedule = anchored or _schedule_from(sub, facts, at)
    whole = Period(at, schedule.first_end(at) if anchored is None else schedule.boundary_after(at))
    sub = evolve(
        sub,
        state="active",
        anchor=schedule.anchor,
        activated_at=sub.activated_at or at,
        priced_from=sub.priced_from or at,
    )
    sub = evolve(sub, items=tuple(_started(sub, item, facts, at, keeps_own) for item in sub.items))
    if since is not None:
        sub = with_term(sub, facts, since, whole)
    sub = with_expiry(sub, facts.schedule(sub), whole.end)
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
    ahead: list[DraftLine] = []
    usage: list[str] = []
    after, ending = sub, facts
    if sub.period_end <= due:
        lines, usage = _arrears(sub, facts, sub.period_end, sub.period_end)
        if change is not None:
            after, facts = change(sub)
            after, last, of_last = close_own(sub, after, ending, facts, due)
            lines += last
            usage += of_last
        other = ending.price.every != facts.price.every
        after, period = _next_period(after, facts, sub.period_end, again=not other)
        ahead = _advance(after, facts, period, first=other)
        if after.price_id != sub.price_id:
            after = with_term(after, facts, period.start, period)
            after = with_expiry(after, facts.schedule(after), period.end)
    else:
        after = evolve(sub, sequence=sub.sequence + 1)
        period = Period(sub.period_start, sub.period_end)
    after, more, used = own_intervals(after, facts, due)
    if sub.period_end <= due:  # It counts what own intervals bill of the period that ends.
        lines += _to_minimum(sub, ending, sub.period_end, sub.period_end, [*lines, *more])
    lines = [*ending.waiting, *lines, *ahead, *more]  # What has waited longest stands first.
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
    if sub.period_start is None or sub.period_end is None or sub.sequence == 0 or sub.anchor is None:
        # Waiting or in its trial, held or not: no period has begun that arrears could be owed for.
        return [], ()
    # Suspended time is not billed: its period has not begun. Up to a hold it is billed already, but for usage.
    until = min(at, sub.period_end) if sub.state == "suspended" else at
    timed_until = min(until, sub.held_at) if sub.state == "on_hold" and sub.held_at is not None else until
    # An end in an earlier period leaves nothing of this one to bill.
    first = max(sub.period_start, sub.arrears_from or sub.period_start)
    until, timed_until = max(until, first), max(timed_until, first)
    lines, usage = _arrears(sub, facts, until, timed_until)
    own, used = own_arrears(sub, facts, at)
    lines += own
    return [*lines, *_to_minimum(sub, facts, max(at, until), timed_until, lines)], (*usage, *used)


def extension(sub: Subscription, facts: Facts, longer: Period) -> list[DraftLine]:
    """What is billed in advance for time behind the running period, up to a moved date or to when another begins.

    With another billing day the time up to it is short by design: the boundaries are those of that day (behaviour 3.2).
    """
    made: list[DraftLine | None] = []
    for piece, span in at_boundaries(longer.start, longer.end, facts, sub):
        if facts.price.bill == "advance":
            made.append(product_line(sub, facts, piece, span))
        made += [item_line(sub, item, facts, piece, span) for item in advance_items(sub, facts)]
    return [evolve(line, mid_period=True) for line in made if line is not None]


def wake_items(
    sub: Subscription, facts: Facts, at: datetime, given_back: Collection[str] = ()
) -> tuple[Subscription, list[DraftLine]]:
    """Components whose own period ran out meanwhile, or was `given_back` (item ids): the rest of the one at `at`."""
    lines: list[DraftLine] = []
    items = []
    for item in sub.items:
        bill = facts.prices[item.price_id].bill
        if item.period_end is not None and (item.id in given_back or item.period_end <= at) and item.ended_at is None:
            following = own_period(sub, item, facts, at)
            if bill == "advance":
                lines += own_line(sub, item, facts, following)
            items.append(evolve(item, period_start=following.start, period_end=following.end, paid_quantity=None))
        elif item.period_end is not None and item.ended_at is not None and item.period_end <= at:
            items.append(evolve(item, period_start=None, period_end=None, paid_quantity=None))
        else:
            items.append(going_on(item, bill, at))
    return evolve(sub, items=tuple(items)), lines


def going_on(item: Item, bill: str, at: datetime) -> Item:
    """A component whose own period still runs after a hold: what is in arrears was billed up to the hold."""
    if item.period_end is None or bill == "advance":
        return item
    return evolve(item, period_start=at)


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
    period = own_period(sub, item, facts, at)
    return evolve(item, period_start=period.start, period_end=period.end)


def _schedule_from(sub: Subscription, facts: Facts, at: datetime) -> Schedule:
    """The boundaries of what begins to be billed at an instant, with its billing day where the price has one."""
    every, settings = facts.price.every, facts.settings
    assert every is not None
    day = sub.billing_day if every.months else None
    return schedule_from_start(at, every, facts.zone, day, settings.billing_time, settings.period_policy)


def _next_period(sub: Subscription, facts: Facts, start: datetime, *, again: bool) -> tuple[Subscription, Period]:
    """Enter the period that begins at `start`: the next of the schedule, or the first one of another interval."""
    if not again:
        fresh = _schedule_from(sub, facts, start)
        sub = evolve(sub, anchor=fresh.anchor)
        sub = evolve(sub, items=tuple(_started(sub, item, facts, start, False) for item in sub.items))
        return enter_period(sub, facts, Period(start, fresh.first_end(start)))
    return enter_period(sub, facts, Period(start, facts.schedule(sub).boundary_after(start)))


def enter_period(sub: Subscription, facts: Facts, whole: Period) -> tuple[Subscription, Period]:
    """Enter the period `whole`, which a known end cuts short; what one full price covers is kept with it."""
    period = cut_short(sub, facts, whole)
    sub = evolve(
        sub, period_start=period.start, period_end=period.end, arrears_from=period.start, sequence=sub.sequence + 1
    )
    if any(item.paid_quantity is not None and item.period_end is None for item in sub.items):
        # What was given up of the old period without money back is over; an own interval goes on.
        items = (evolve(item, paid_quantity=None) if item.period_end is None else item for item in sub.items)
        sub = evolve(sub, items=tuple(items))
    span = span_of(whole, facts.schedule(sub))
    if sub.sequence == 1 and span != whole:
        if sub.first_charge == "none":
            sub = evolve(sub, free_until=period.end)
        elif sub.first_charge == "full":  # The short first period is what its price covers (behaviour 3.2).
            span = whole
    return with_span(sub, span), period


def _advance(sub: Subscription, facts: Facts, period: Period, *, first: bool = False) -> list[DraftLine]:
    if is_free(sub):
        return []
    span = price_span(sub)
    lines = []
    if facts.price.bill == "advance":
        lines.append(product_line(sub, facts, period, span, zero=facts.settings.issue_zero_invoices))
    lines += [item_line(sub, item, facts, period, span) for item in advance_items(sub, facts)]
    if first:
        for item in sub.items:
            price = facts.prices[item.price_id]
            starts = item.period_end is not None and item.period_start == period.start
            if starts and item.period_end is not None and price.bill == "advance":
                lines += own_line(sub, item, facts, Period(period.start, item.period_end))
    return [line for line in lines if line is not None]


def _arrears(
    sub: Subscription, facts: Facts, until: datetime, timed_until: datetime
) -> tuple[list[DraftLine], list[str]]:
    """Lines in arrears of the running period, usage up to `until` and time to `timed_until`, and the metered items."""
    assert sub.period_start is not None
    owing = list(arrears_items(sub, facts))
    if not owing and facts.price.bill == "advance":
        return [], []
    start = max(sub.arrears_from or sub.period_start, sub.period_start)
    part = Period(start, until)
    lines: list[DraftLine | None] = []
    begun = billed_from(start, sub.free_until, sub.changed_at)
    if facts.price.bill == "arrears":
        zero = facts.settings.issue_zero_invoices
        owed = pieces(sub, facts, begun, timed_until)
        lines += [product_line(sub, facts, piece, span, zero=zero) for piece, span in owed]
    metered = []
    for item, _price, component in owing:
        begun = billed_from(start, sub.free_until, item.added_at, item.changed_at)
        if component.kind == "metered":
            lines += usage_lines(sub, item, facts, part)
            metered.append(item.id)
        else:
            lines += [
                item_line(sub, item, facts, piece, span) for piece, span in pieces(sub, facts, begun, timed_until)
            ]
    return [line for line in lines if line is not None], metered


def _to_minimum(
    sub: Subscription, facts: Facts, ended: datetime, timed_until: datetime, made: Sequence[DraftLine]
) -> list[DraftLine]:
    """What is missing to the minimum of the period up to `timed_until`, which ends with these lines (behaviour 4.2).

    Of them those count that bill time before `ended`: what own intervals bill ahead is of the next period.
    """
    assert sub.period_start is not None
    if facts.committed is not None:
        facts = evolve(facts, price=facts.committed)
    start = billed_from(max(sub.arrears_from or sub.period_start, sub.period_start), sub.free_until)
    if facts.price.minimum is None or start >= timed_until:
        return []
    part = Period(start, timed_until)
    assert facts.price.every is not None
    share = portion(part, price_span(sub), facts.settings.proration_basis, facts.zone, facts.price.every)
    billed = facts.billed_in_period
    for line in made:
        if line.period is None:  # What is given back of earlier periods is not missing in this one.
            billed += line.amount if line.credit is None else 0
        elif line.period.end <= ended:
            billed += line.amount
    billed += sum(line.amount for line in facts.waiting if counts_since(line, sub.period_start))
    return minimum_line(sub, facts, billed, share, part)


def renewal_of(sub: Subscription, period: Period, at: datetime, new_id: NewId) -> Renewal:
    """The row of the billing that took a subscription into `period`; its invoice is named when it is written."""
    return Renewal(
        new_id("ren"),
        sub.customer_id,
        sub.id,
        sub.sequence,
        period.start,
        period.end,
        at,
        sub.price_id,
        None,
        is_free(sub),
        sub.span_start,
        sub.span_end,
    )
