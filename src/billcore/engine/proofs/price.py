"""What prices say about coverage: which parts are billed for time, what was given back, what costs nothing."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.change import Change
from billcore.domain.charges import price_in_force
from billcore.domain.facts import schedule_of
from billcore.domain.periods import Period, span_of
from billcore.domain.pricing import charge_for
from billcore.domain.proration import portion, prorate_charge
from billcore.domain.subscription import Subscription
from billcore.engine.proofs.agreement import Agreement, Part, Span
from billcore.store import change as changes
from billcore.store import subscription as subscriptions
from billcore.store.types import text_to_instant

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

    def is_free(self, agreement: Agreement, part: Part, period: Span, left: list[Span]) -> bool:
        """Whether the period, or all that is left of it, costs nothing: such lines are not written (behaviour 8.5)."""
        tx = self._scope.tx
        sub = subscriptions.by_ids(tx, [agreement.id], self._scope.catalog.coupons)[agreement.id]
        zone = self._scope.zone_of(sub)
        whole = Period(text_to_instant(period[0]), text_to_instant(period[1]))
        pieces = [Period(text_to_instant(start), text_to_instant(end)) for start, end in left]
        history = _History(sub, changes.of_subscriptions(tx, [sub.id]))

        def costs_nothing(piece: Period) -> bool:
            return self._amount(history.at(piece.start), part, piece, whole, zone) == 0

        return costs_nothing(whole) or all(costs_nothing(piece) for piece in pieces)

    def _amount(self, sub: Subscription, part: Part, piece: Period, whole: Period, zone: str) -> int:
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
        span = span_of(whole, schedule)
        if piece.start >= span.end:  # A hold or a moved date has made the period longer.
            span = span_of(piece, schedule)
        inside = _cut(piece, span.start, span.end)
        return prorate_charge(exact, portion(inside, span, settings.proration_basis, zone, every))


class _History:
    """A subscription as it was at any time, by the changes that came into effect since."""

    def __init__(self, sub: Subscription, made: list[Change]) -> None:
        self._now = sub
        self._before = [
            (change.at, json.loads(change.before))
            for change in made
            if change.status == "applied" and change.at is not None and change.before is not None
        ]
        self._before.sort(key=lambda pair: pair[0])

    def at(self, instant: datetime) -> Subscription:
        """With the price, quantity and components that it had at an instant."""
        for until, before in self._before:
            if instant < until:
                return self._as(before)
        return self._now

    def _as(self, before: dict[str, Any]) -> Subscription:
        phases = before.get("priced_from")
        items = tuple(
            evolve(item, price_id=before["items"][item.id][0], quantity=Decimal(before["items"][item.id][1]))
            for item in self._now.items
            if item.id in before["items"]
        )
        return evolve(
            self._now,
            price_id=before["price"],
            quantity=Decimal(before["quantity"]),
            priced_from=text_to_instant(phases) if phases else None,
            items=items,
        )


def _cut(piece: Period, start: datetime, end: datetime) -> Period:
    begin = max(piece.start, start)
    return evolve(piece, start=begin, end=max(begin, min(piece.end, end)))
