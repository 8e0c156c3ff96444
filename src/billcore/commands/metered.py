"""Loads usage for billing decisions: sums where they are enough, periods with all their events where not (12)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.domain.crediting import Parts, left_of
from billcore.domain.customer import Customer
from billcore.domain.facts import own_interval, schedule_of
from billcore.domain.invoice import Line
from billcore.domain.periods import Period, Schedule, span_of
from billcore.domain.rating import is_rated_whole
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import (
    BilledUsage,
    UsageEvent,
    UsageTotal,
    UsageWindow,
    measured,
    past_period,
    past_periods,
)
from billcore.store import invoice as invoices
from billcore.store import usage as store
from billcore.store.usage import Unbilled

_FIXED = frozenset({"void", "uncollectible"})
"""Invoices of which nothing is given back: their lines stay billed as they are."""


@frozen
class _Place:
    """One metered item with its running period as far as it is asked for."""

    sub: Subscription
    item: Item
    since: datetime
    running: Period
    schedule: Schedule
    whole: bool


def load_usage(
    scope: Scope, subs: Sequence[Subscription], until: Mapping[str, datetime], known: Mapping[str, Customer]
) -> tuple[dict[str, UsageTotal], set[str]]:
    """Usage by item id up to the cut-off of each subscription, and the ids of the prices that past usage had.

    One query reads what is unbilled of the whole batch. Only where sums are not enough, or events came late, three
    more read all events of those items and what billed them.
    """
    places = [place for sub in subs for place in _places(scope, sub, until[sub.id], known)]
    found = store.unbilled(scope.tx, [(one.item.id, one.since, one.running.start, one.running.end) for one in places])
    closely = [
        one
        for one in places
        if (one.whole and (one.item.ended_at is None or one.item.id in found))
        or (one.item.id in found and found[one.item.id].late)
    ]
    totals = {id_: UsageTotal(one.current, one.events) for id_, one in found.items()}
    if not closely:
        return totals, set()
    windows = _windows(scope, closely, found)
    totals.update(windows)
    past = [window for total in windows.values() for window in total.past]
    return totals, {one.line.price_id for window in past for one in window.billed if one.line.price_id}


def _places(scope: Scope, sub: Subscription, until: datetime, known: Mapping[str, Customer]) -> Iterable[_Place]:
    if not sub.items or sub.period_start is None or sub.activated_at is None or sub.priced_from is None:
        return
    components = scope.catalog.catalog.components
    metered = [item for item in sub.items if components[item.component].kind == "metered"]
    if not metered:  # Nearly every subscription of a run.
        return
    prices = scope.prices([sub.price_id, *(item.price_id for item in metered)])
    product_price = prices[sub.price_id]
    for item in metered:
        component, price = components[item.component], prices[item.price_id]
        own = own_interval(price, product_price)
        start = item.period_start if own and item.period_start else sub.arrears_from or sub.period_start
        end = until
        if not own and sub.period_end is not None:
            end = min(end, sub.period_end) if sub.state not in ("on_hold", "suspended") else end
        every = price.every or product_price.every
        assert every is not None
        zone = scope.zone(known[sub.customer_id]) if sub.owner_id is None else scope.zone_of(sub)
        schedule = schedule_of(sub, every, zone, scope.settings)
        whole = is_rated_whole(component, price, product_price)
        yield _Place(sub, item, sub.activated_at, Period(start, max(start, end)), schedule, whole)


def _windows(scope: Scope, places: Sequence[_Place], found: Mapping[str, Unbilled]) -> dict[str, UsageTotal]:
    """The running period of each item, and the past ones that late events change."""
    billed = billed_usage(scope, [one.item.id for one in places])
    past: dict[str, list[Period]] = {}
    since: dict[str, datetime | None] = {}
    for one in places:
        item = one.item.id
        late = found[item].late if item in found else ()
        carries = _carries(scope, one.item)
        past[item] = past_periods(
            late, billed.get(item, ()), one.schedule, one.since, one.running.start, carries=carries
        )
        since[item] = None if carries else min([one.running.start, *(period.start for period in past[item])])
    events = store.events_of(scope.tx, since)
    made = {}
    for one in places:
        mine = events.get(one.item.id, ())
        lines = billed.get(one.item.id, ())
        unbilled = found.get(one.item.id)
        made[one.item.id] = UsageTotal(
            unbilled.current if unbilled is not None else store.ZERO,
            unbilled.events if unbilled is not None else 0,
            _window(scope, one, one.running, mine, lines) if one.whole else None,
            tuple(_window(scope, one, period, mine, lines) for period in past[one.item.id]),
        )
    return made


def past_window(scope: Scope, sub: Subscription, item: Item, at: datetime, customer: Customer) -> UsageWindow | None:
    """The period of an item that holds an instant, with all its events; None where it is not one that was billed."""
    places = [one for one in _places(scope, sub, scope.now, {customer.id: customer}) if one.item.id == item.id]
    place = places[0] if places else None
    if place is None:
        return None
    over = sub.ended_at or place.running.start
    if not place.since <= at < over:
        return None
    billed = billed_usage(scope, [item.id]).get(item.id, ())
    period = past_period(at, billed, place.schedule, place.since, over)
    since = None if _carries(scope, item) else period.start
    events = store.events_of(scope.tx, {item.id: since}).get(item.id, ())
    return _window(scope, place, period, events, billed)


def _carries(scope: Scope, item: Item) -> bool:
    return scope.catalog.catalog.components[item.component].aggregation == "weighted_sum"


def _window(
    scope: Scope, place: _Place, period: Period, events: Sequence[UsageEvent], billed: Sequence[BilledUsage]
) -> UsageWindow:
    component = scope.catalog.catalog.components[place.item.component]
    own = tuple(one for one in billed if one.rated.start == period.start or one.rated.start in period)
    lines = {one.line.id: one for one in billed}
    mine = frozenset(one.line.id for one in own)
    named = {event.event_id for event in events if event.corrects is None and _belongs(event, period, lines, mine)}
    inside = tuple(event for event in events if (event.corrects or event.event_id) in named)
    before = [event for event in events if event.at < period.start] if _carries(scope, place.item) else []
    level = sum((one.value for one in measured(before, component)), store.ZERO)
    return UsageWindow(period, _span(place, period), inside, level, own)


def _belongs(event: UsageEvent, period: Period, lines: Mapping[str, BilledUsage], mine: frozenset[str]) -> bool:
    """Whether an event is of a period: a command that ended one took what was recorded at its own instant too (2.5)."""
    if event.at in period:
        other = lines.get(event.line_id or "")
        return other is None or event.line_id in mine or other.rated.end > event.at
    return event.line_id in mine and period.end <= event.at < period.end + timedelta(seconds=1)


def _span(place: _Place, period: Period) -> Period:
    """What one full price covers around a period: kept with the running one, counted for others (behaviour 3.2)."""
    sub, own = place.sub, place.item.period_start is not None
    if not own and period.start == place.running.start and sub.period_start is not None and sub.period_end is not None:
        return Period(sub.span_start or sub.period_start, sub.span_end or sub.period_end)
    return span_of(Period(period.start, place.schedule.boundary_after(period.start)), place.schedule)


def billed_usage(scope: Scope, item_ids: Sequence[str]) -> dict[str, list[BilledUsage]]:
    """What billed the usage of items, by item id, oldest first; lines that were billed again count there."""
    lines = store.lines_of(scope.tx, item_ids)
    if not lines:
        return {}
    bases = {line.id: json.loads(line.basis) for line, _ in lines}
    again = {basis["again"] for basis in bases.values() if "again" in basis}
    credits: dict[str, list[Line]] = {}
    made = [one for one in scope.writes.new(Line) if isinstance(one, Line) and one.credits_line_id in bases]
    for credit in (*invoices.credit_lines(scope.tx, bases), *made):
        credits.setdefault(credit.credits_line_id or "", []).append(credit)
    found: dict[str, list[BilledUsage]] = {}
    for line, status in lines:
        if line.id in again or line.item_id is None:
            continue
        mine = credits.get(line.id, ())
        by_share = [one for one in mine if "share" in json.loads(one.basis)]
        rated = _rated(line, bases[line.id])
        if rated is not None:
            interim = bool(bases[line.id].get("interim"))
            given = left_of(line, mine)
            found.setdefault(line.item_id, []).append(
                BilledUsage(line, rated, given, _given(by_share), status in _FIXED, interim)
            )
    return found


def _given(credits: Sequence[Line]) -> Parts:
    return Parts(
        -sum(one.amount for one in credits),
        -sum(one.discount for one in credits),
        -sum(one.tax for one in credits),
        -sum(one.tax_included for one in credits),
    )


def _rated(line: Line, basis: Mapping[str, object]) -> Period | None:
    rated = basis.get("rated")
    if isinstance(rated, list):
        return Period(datetime.fromisoformat(rated[0]), datetime.fromisoformat(rated[1]))
    return Period(line.start, line.end) if line.start is not None and line.end is not None else None
