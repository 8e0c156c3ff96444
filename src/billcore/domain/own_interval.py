"""Components with an interval of their own: what their periods bill, and when they move on (behaviour 4.3)."""

from datetime import datetime

from billcore.domain.charges import item_line
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts, own_interval
from billcore.domain.periods import Period, span_of
from billcore.domain.rating import usage_lines
from billcore.domain.span import billed_from
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import evolve


def own_arrears(sub: Subscription, facts: Facts, at: datetime) -> tuple[list[DraftLine], list[str]]:
    """What components on their own interval owe in arrears when they stop at `at`, and the metered ones among them."""
    lines: list[DraftLine] = []
    used: list[str] = []
    for item in sub.items:
        price = facts.prices[item.price_id]
        if not own_interval(price, facts.price) or item.period_start is None or price.bill != "arrears":
            continue
        until = at if item.ended_at is None else max(item.period_start, min(at, item.ended_at))
        if facts.components[item.component].kind != "metered":
            lines += _owed_of_own(sub, item, facts, until) if sub.state != "on_hold" else []
        elif item.ended_at is None or item.id in facts.usage:
            lines += usage_lines(sub, item, facts, Period(item.period_start, max(at, item.period_start)))
            used.append(item.id)
    return lines, used


def close_own(
    before: Subscription, after: Subscription, facts: Facts, changed_facts: Facts, due: datetime
) -> tuple[Subscription, list[DraftLine], list[str]]:
    """What components on their own interval owe in arrears as they were before a change that comes with a renewal.

    With another interval of the product it is another matter which have one: all of them begin anew.
    """
    if changed_facts.price.every != facts.price.every:
        lines, used = own_arrears(before, facts, due)
        return evolve(after, items=tuple(afresh(item) for item in after.items)), lines, used
    now = {item.id: item for item in after.items}
    closed = [
        item
        for item in before.items
        if now[item.id] != item
        and (now[item.id].ended_at is not None or facts.components[item.component].kind != "metered")
    ]
    lines, used = own_arrears(evolve(before, items=tuple(closed)), facts, due)
    for item in closed:
        left = evolve(now[item.id], changed_at=due)
        now[item.id] = left if left.ended_at is None else evolve(left, period_start=None, period_end=None)
    return evolve(after, items=tuple(now.values())), lines, used


def own_intervals(sub: Subscription, facts: Facts, due: datetime) -> tuple[Subscription, list[DraftLine], list[str]]:
    """Components with their own interval whose period ends by `due`: bill and move them on (behaviour 4.3)."""
    lines: list[DraftLine] = []
    used: list[str] = []
    items = []
    for item in sub.items:
        if item.period_end is None or item.period_start is None or (item.period_end > due and item.ended_at is None):
            items.append(item)
            continue
        if item.ended_at is not None:
            last, of_last = own_arrears(evolve(sub, items=(item,)), facts, min(due, item.period_end))
            lines += last
            used += of_last
            paid = item.paid_quantity is not None and item.period_end > due
            items.append(item if paid else evolve(item, period_start=None, period_end=None, paid_quantity=None))
            continue
        price = facts.prices[item.price_id]
        ended = Period(item.period_start, item.period_end)
        following = own_period(sub, item, facts, ended.end)
        moved = evolve(item, period_start=following.start, period_end=following.end, paid_quantity=None)
        if facts.components[item.component].kind == "metered":
            lines += usage_lines(sub, item, facts, ended) if ended.start < ended.end else []
            used.append(item.id)
        elif price.bill == "arrears":
            lines += _owed_of_own(sub, item, facts, ended.end)
        else:
            lines += own_line(sub, item, facts, following)
        items.append(moved)
    moved_on = tuple(items)
    return sub if moved_on == sub.items else evolve(sub, items=moved_on), lines, used


def own_line(sub: Subscription, item: Item, facts: Facts, period: Period) -> list[DraftLine]:
    """A component on its own interval for `period`, prorated by the interval around it; nothing when it costs none."""
    schedule = facts.item_schedule(sub, item)
    whole = Period(period.start, schedule.boundary_after(period.start))
    line = item_line(sub, item, facts, period, span_of(whole, schedule))
    return [line] if line is not None else []


def own_period(sub: Subscription, item: Item, facts: Facts, start: datetime) -> Period:
    """The period of a component with its own interval, which a known end cuts short as it does the product's."""
    return cut_short(sub, facts, Period(start, facts.item_schedule(sub, item).boundary_after(start)))


def cut_short(sub: Subscription, facts: Facts, whole: Period) -> Period:
    """The part of a period before the end of the subscription or its base, where that is known (behaviour 5.2, 6.6)."""
    end = whole.end
    of_base = facts.base.access_until if facts.base is not None else None
    for known in (sub.ends_at, sub.cancel_at, of_base):
        if known is not None and whole.start < known < end:
            end = known
    return whole if end is whole.end else Period(whole.start, end)


def afresh(item: Item) -> Item:
    """A component as it enters a period of another kind: what it was paid for ends with the old one."""
    if item.paid_quantity is None and item.changed_at is None and item.period_end is None:
        return item
    return evolve(item, paid_quantity=None, changed_at=None, period_start=None, period_end=None)


def _owed_of_own(sub: Subscription, item: Item, facts: Facts, until: datetime) -> list[DraftLine]:
    """A component on its own interval in arrears, since it is there as it is; what it was before waits already."""
    assert item.period_start is not None
    begun = billed_from(item.period_start, sub.free_until, item.added_at, item.changed_at)
    return own_line(sub, item, facts, Period(begun, until)) if begun < until else []
