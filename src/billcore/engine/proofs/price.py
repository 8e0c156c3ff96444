"""What prices say about coverage: which parts are billed for time, what was given back, what costs nothing."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.change import Change
from billcore.domain.charges import price_in_force
from billcore.domain.facts import own_interval, schedule_of
from billcore.domain.instants import instant_text
from billcore.domain.periods import Period, span_of
from billcore.domain.pricing import charge_for
from billcore.domain.proration import portion, prorate_charge
from billcore.domain.subscription import Subscription
from billcore.engine.proofs.agreement import Agreement, Billed, Part, Span
from billcore.store import change as changes
from billcore.store import subscription as subscriptions
from billcore.store.types import text_to_instant

T = TypeVar("T")

TIMELESS = frozenset({"metered", "one_time", "prepaid"})
"""Kinds of components that are not billed for a stretch of time."""

_GIVEN_BACK = """
    SELECT c.start, c."end" FROM billcore_lines l JOIN billcore_lines c ON c.credits_line_id = l.id
    WHERE l.invoice_id = ? AND l.item_id = ? AND c.start IS NOT NULL
"""


class Pricing:
    """Answers by price; asked often for the first question, and only for possible gaps for the others."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._bills: dict[tuple[str, str, str | None], str | None] = {}

    def bills_time(self, agreement: Agreement, part: Part) -> str | None:
        """When time is billed for this part, advance or arrears; None where it is not billed for time."""
        key = (agreement.price_id, part.price_id, part.component)
        if key not in self._bills:
            if len(self._bills) > 100_000:
                # Every custom price is one more.
                self._bills.clear()
                self._scope.custom.clear()
            self._bills[key] = self._bill_of(*key)
        return self._bills[key]

    def _bill_of(self, product_price: str, price_id: str, component: str | None) -> str | None:
        prices = self._scope.prices([product_price, price_id])
        if component is None:
            return prices[price_id].bill
        kind = self._scope.catalog.catalog.components[component].kind
        return None if kind in TIMELESS else prices[price_id].bill

    def given_back(self, part: Part, start: str, end: str, invoice_id: str | None) -> list[Span]:
        """The time of the period from `start` to `end` that credits gave back."""
        if invoice_id is None:
            return []
        rows = self._scope.tx.rows(_GIVEN_BACK, [invoice_id, part.id])
        return [(begin, stop) for begin, stop in rows if begin < end and start < stop]

    def is_free(self, agreement: Agreement, part: Part, period: Billed, left: list[Span]) -> bool:
        """Whether the period, or all that is left of it, costs nothing: such lines are not written (behaviour 8.5)."""
        tx = self._scope.tx
        sub = subscriptions.by_ids(tx, [agreement.id], self._scope.catalog.coupons)[agreement.id]
        zone = self._scope.zone_of(sub)
        whole = _between(period.start, period.end)
        span = _between(period.span_start, period.span_end)
        history = _History(sub, changes.of_subscriptions(tx, [sub.id]))

        def costs_nothing(piece: Period) -> bool:
            return self._amount(history.at(piece.start, part), part, piece, whole, zone, span) == 0

        return costs_nothing(whole) or all(costs_nothing(_between(start, end)) for start, end in left)

    def _amount(self, sub: Subscription, part: Part, piece: Period, whole: Period, zone: str, span: Period) -> int:
        item = next((item for item in sub.items if item.id == part.id), None)
        price_id, quantity = (sub.price_id, sub.quantity) if item is None else (item.price_id, item.quantity)
        prices = self._scope.prices([sub.price_id, price_id])
        price, product_price = prices[price_id], prices[sub.price_id]
        amounts = None
        if part.component is None:
            amounts = price_in_force(price, sub, whole.start, zone)
        exact = charge_for(price, sub.currency, quantity, amounts=amounts)
        every = price.every or product_price.every
        if exact == 0 or sub.anchor is None or every is None:
            return 0
        settings = self._scope.settings
        schedule = schedule_of(sub, every, zone, settings)
        if own_interval(price, product_price):
            span = span_of(whole, schedule)
        if piece.start >= span.end:  # A hold or a moved date has made the period longer.
            span = span_of(piece, schedule)
        inside = _cut(piece, span.start, span.end)
        return prorate_charge(exact, portion(inside, span, settings.proration_basis, zone, every))


class _History:
    """A subscription as it was at any time, by the changes that came into effect since.

    One in the past holds from its instant on whatever there was before it, until what was decided later.
    """

    def __init__(self, sub: Subscription, made: list[Change]) -> None:
        self._now = sub
        done = [change for change in made if change.status == "applied" and change.before is not None]
        done.sort(key=lambda change: (change.decided_at or change.created_at, change.id))
        self._since = [change.at or change.decided_at or change.created_at for change in done]
        self._before = [json.loads(change.before or "") for change in done]

    def at(self, instant: datetime, part: Part) -> Subscription:
        """With the price and quantity that a part had at an instant, and the phases of the product's."""
        sub = self._now
        product = (sub.price_id, str(sub.quantity), instant_text(sub.priced_from) if sub.priced_from else None)
        price_id, quantity, phases = self._found(
            instant, product, lambda before: (before["price"], before["quantity"], before.get("priced_from"))
        )
        items = {item.id: item for item in sub.items}
        if part.id in items:
            item = items[part.id]
            had = self._found(instant, [item.price_id, str(item.quantity)], lambda before: before["items"].get(part.id))
            if had is not None:
                items[part.id] = evolve(item, price_id=had[0], quantity=Decimal(had[1]))
        return evolve(
            sub,
            price_id=price_id,
            quantity=Decimal(quantity),
            priced_from=text_to_instant(phases) if phases else None,
            items=tuple(items.values()),
        )

    def _found(self, instant: datetime, now: T, of: Callable[[dict[str, Any]], T]) -> T:
        """What one thing was at an instant: as the last of the changes that touched it until then left it."""
        values = [*(of(before) for before in self._before), now]
        found = values[0]
        for since, before, after in zip(self._since, values, values[1:], strict=False):
            if before != after and since <= instant:
                found = after
        return found


def _between(start: str, end: str) -> Period:
    return Period(text_to_instant(start), text_to_instant(end))


def _cut(piece: Period, start: datetime, end: datetime) -> Period:
    begin = max(piece.start, start)
    return evolve(piece, start=begin, end=max(begin, min(piece.end, end)))
