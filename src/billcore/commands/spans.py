"""Reads how the time that a change reaches back into was billed: what one full price covered then (behaviour 3.2)."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.change import Target, Wish
from billcore.domain.facts import Facts, Spanned, own_interval
from billcore.domain.periods import Period
from billcore.domain.span import billed_before
from billcore.domain.subscription import Item, Subscription
from billcore.store import change as changes
from billcore.store import invoice as invoices
from billcore.store.types import text_to_instant


def with_spans(scope: Scope, sub: Subscription, facts: Facts, target: Target, wish: Wish) -> tuple[Facts, Target]:
    """What holds until a change and from it on, with how the time that it bills again was billed."""
    if wish.period == "reset" or sub.anchor is None or sub.state == "trialing":
        return facts, target  # It bills no time again.
    spanned: dict[str, tuple[Spanned, ...]] = {}
    if sub.period_start is not None and wish.at < sub.period_start:
        spanned[sub.id] = _of_periods(scope, sub, target.facts, wish.at)
    own = [change.after for change in target.items if change.before is not None and _own(change.after, target.facts)]
    if own:
        spanned |= _of_lines(scope, own, target.facts, wish.at)
    return evolve(facts, spanned=spanned), evolve(target, facts=evolve(target.facts, spanned=spanned))


def _own(item: Item, facts: Facts) -> bool:
    return own_interval(facts.prices[item.price_id], facts.price)


def _of_periods(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> tuple[Spanned, ...]:
    """What the periods before the running one were billed with: those of the product, and of all that goes with it."""
    assert sub.period_start is not None and facts.price.every is not None
    rows = changes.earlier(scope.tx, sub, at)
    return billed_before(rows, sub.period_start, facts.price.every, scope.prices({row.price_id for row in rows}))


def _of_lines(scope: Scope, items: Iterable[Item], facts: Facts, at: datetime) -> Mapping[str, tuple[Spanned, ...]]:
    """What the lines of components on intervals of their own were billed with, by item id: they have no periods."""
    prices = {item.id: facts.prices[item.price_id] for item in items}
    covered = [row for row in invoices.coverage(scope.tx, prices, at) if row.layer == 0]
    lines = invoices.lines_of(scope.tx, [row.line_id for row in covered])
    billed_at = scope.prices({line.price_id for line in lines.values() if line.price_id is not None})
    found: dict[str, tuple[Spanned, ...]] = {}
    for row in covered:
        line = lines[row.line_id]
        span = json.loads(line.basis).get("span")
        if span is not None and billed_at[line.price_id or ""].every == prices[row.item_id].every:
            one = Spanned(Period(row.start, row.end), Period(*(text_to_instant(text) for text in span)))
            found[row.item_id] = (*found.get(row.item_id, ()), one)
    return found
