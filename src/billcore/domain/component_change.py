"""Decides what a change of components costs now and gives back: judged by cost, each by its mode (behaviour 6.3)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from attrs import define, field, frozen

from billcore.domain.catalog import Price
from billcore.domain.change import GiveBack, ItemChange, Target, Wish
from billcore.domain.charges import item_line, price_in_force
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts, own_interval
from billcore.domain.periods import Duration, Period, span_of
from billcore.domain.pricing import charge_for
from billcore.domain.proration import Portion, prorate_charge
from billcore.domain.span import as_billed, billed_from, price_span, time_left
from billcore.domain.subscription import Item, Subscription
from billcore.domain.values import evolve
from billcore.settings import ChangeMode

_DAYS: Mapping[str, Fraction] = {
    "second": Fraction(1, 86400),
    "minute": Fraction(1, 1440),
    "hour": Fraction(1, 24),
    "day": Fraction(1),
    "week": Fraction(7),
    "month": Fraction(146097, 4800),
    "year": Fraction(146097, 400),
}
"""How long an interval is on average: only which of two prices is dearer is judged by it."""


@define
class ChangeBill:
    """What a change bills, as it is put together: lines now, lines that wait, what is given back by item id."""

    lines: list[DraftLine] = field(factory=list)
    waiting: list[DraftLine] = field(factory=list)
    given_back: dict[str, GiveBack] = field(factory=dict)

    def charge(self, made: Iterable[DraftLine | None], *, waits: bool) -> None:
        """Charge these now, or with the renewal."""
        mid = [evolve(line, mid_period=True) for line in made if line is not None]
        (self.waiting if waits else self.lines).extend(mid)

    def wait(self, made: Iterable[DraftLine | None]) -> None:
        """Bill these with the renewal, whatever was asked for."""
        self.waiting.extend(line for line in made if line is not None)


def rises(sub: Subscription, facts: Facts, target: Target, at: datetime) -> bool:
    """Whether a change costs more a day, netted over its price and all its components; the same counts as more."""
    other = target.facts.price.id != facts.price.id
    after = evolve(sub, priced_from=at) if other else sub
    net = _product_cost(after, target.facts, target.quantity) - _product_cost(sub, facts, sub.quantity)
    for change in target.items:
        net += _item_cost(change.after, change.units_after, sub, target.facts)
        if change.before is not None:
            net -= _item_cost(change.before, change.units_before, sub, facts)
    return net >= 0


def _product_cost(sub: Subscription, facts: Facts, quantity: Decimal) -> Fraction:
    amounts = price_in_force(facts.price, sub, price_span(sub).start, facts.zone)
    assert facts.price.every is not None
    return Fraction(charge_for(facts.price, sub.currency, quantity, amounts=amounts)) / _days(facts.price.every)


def _item_cost(item: Item, units: Decimal, sub: Subscription, facts: Facts) -> Fraction:
    if facts.components[item.component].kind in ("metered", "one_time") or units == 0:
        return Fraction(0)
    price = facts.prices[item.price_id]
    every = price.every or facts.price.every
    assert every is not None
    return Fraction(charge_for(price, sub.currency, units)) / _days(every)


def _days(every: Duration) -> Fraction:
    return every.count * _DAYS[every.unit]


@frozen
class ComponentChanges:
    """The components of one change: `after` is the subscription as it will be, `up` the direction of the whole call."""

    sub: Subscription
    after: Subscription
    facts: Facts
    target: Target
    wish: Wish
    up: bool

    def decide(self, change: ItemChange, after: Subscription, bill: ChangeBill) -> Subscription:
        """Put what one component costs and gives back into the bill; the subscription with it as it is then."""
        kind = self.target.facts.components[change.after.component].kind
        if kind == "metered":
            return after  # What was used is billed at the period's end, ended or not.
        price = self._price(change.after)
        waits = (self.wish.invoice_at or price.invoice_at or self.facts.settings.invoice_at) == "renewal"
        if kind == "one_time":
            bill.charge([item_line(after, change.after, self.target.facts, None, None)], waits=waits)
            return after
        mode = self._mode(price)
        if self._bills_in_arrears(change):
            item = self._in_arrears(change, mode, bill, waits=waits)
        else:
            item = self._in_advance(change, mode, bill, waits=waits)
        if item.ended_at is not None and item.paid_quantity is None and item.period_end is not None:
            item = evolve(item, period_start=None, period_end=None)
        return evolve(after, items=tuple(item if one.id == item.id else one for one in after.items))

    def _mode(self, price: Price) -> ChangeMode:
        """A parameter beats the price, the price the setting."""
        wish, settings = self.wish, self.facts.settings
        call = (wish.upgrade if self.up else wish.downgrade) or wish.proration
        own = price.upgrade if self.up else price.downgrade
        mode = call or own or (settings.upgrade if self.up else settings.downgrade)
        assert mode in ("prorated", "full", "none")
        return mode  # type: ignore[return-value]  # a price's modes are read as such

    def _price(self, item: Item) -> Price:
        return self.target.facts.prices[item.price_id]

    def _bills_in_arrears(self, change: ItemChange) -> bool:
        return self._price(change.before or change.after).bill == "arrears"

    # -- in advance -----------------------------------------------------------------------------------------

    def _in_advance(self, change: ItemChange, mode: ChangeMode, bill: ChangeBill, *, waits: bool) -> Item:
        paid, wanted = _paid_units(change), change.units_after
        # The whole call chose the mode; whether this one costs more or less is its own affair.
        now = self._cost(change.before, change.units_before)
        more = self._cost(change.after, wanted) >= now
        if mode == "none" or self._settled(change, paid, more=more):
            return self._stays_paid(change, paid)
        # Units that were given up without money back are not given back later either.
        given_up = Decimal(0) if more else max(paid - change.units_before, Decimal(0))
        units = wanted + given_up
        item = evolve(change.after, paid_quantity=units if given_up else None)
        if mode == "full" and more:
            self._whole_difference(change, paid, bill, waits=waits)
        elif mode == "full":
            self._removed_part(change, paid, units, bill, waits=waits)
        else:
            if change.before is not None:
                bill.given_back[item.id] = GiveBack("share", waits=waits)
            if change.after.ended_at is None or units:
                bill.charge(self._rest(item, units), waits=waits)
        return item

    def _cost(self, item: Item | None, units: Decimal) -> Fraction:
        """What so many units of a component cost for a whole interval, in minor units; nothing where there is none."""
        if item is None or not units:
            return Fraction(0)
        return Fraction(charge_for(self.target.facts.prices[item.price_id], self.sub.currency, units))

    def _settled(self, change: ItemChange, paid: Decimal, *, more: bool) -> bool:
        """Whether what is paid already, and not there any more, pays for what is asked for; or nothing changes."""
        before = change.before
        if before is None or before.price_id != change.after.price_id:
            return False
        if paid == change.units_before:
            return change.units_after == paid
        wanted, held = self._cost(change.after, change.units_after), self._cost(before, paid)
        return wanted <= held if more else wanted >= held

    def _stays_paid(self, change: ItemChange, paid: Decimal) -> Item:
        """Nothing is billed now: what is paid stays so, and the rest costs from the next period on."""
        item = change.after
        nothing_yet = not change.units_before and not paid and item.ended_at is None
        if change.before is None or nothing_yet:
            return evolve(item, added_at=self._period_of(item).end, paid_quantity=paid)
        return evolve(item, paid_quantity=paid if paid != item.quantity or item.ended_at is not None else None)

    def _rest(self, item: Item, units: Decimal) -> list[DraftLine | None]:
        """The component from the change to the end of its period, piece by piece."""
        return [
            item_line(self.after, item, self.target.facts, piece, span, units) for piece, span in self._time_left(item)
        ]

    def _whole_difference(self, change: ItemChange, paid: Decimal, bill: ChangeBill, *, waits: bool) -> None:
        """The difference at its whole price, of each period; its time is covered above what is paid already."""
        running = self._period_of(change.after)
        earlier = [piece for piece, _ in self._time_left(change.after) if piece.end <= running.start]
        for period in (*earlier, Period(max(self.wish.at, running.start), running.end)):
            bill.charge([self._difference(change, paid, period)], waits=waits)

    def _difference(self, change: ItemChange, paid: Decimal, period: Period) -> DraftLine | None:
        item, price = change.after, self._price(change.after)
        line = item_line(self.after, item, self.target.facts, period, period, item.quantity)
        old = self.facts.prices[change.before.price_id] if change.before is not None else price
        before = charge_for(old, self.sub.currency, paid) if change.before is not None else 0
        amount = prorate_charge(Fraction(charge_for(price, self.sub.currency, item.quantity)) - before, Portion(1, 1))
        if line is None or amount <= 0:
            return None
        if change.before is not None:
            above = {"above": str(paid), "above_price": old.id}
            # Fewer units may cost more, at another price or in another tier.
            units = item.quantity - paid if item.quantity > paid else item.quantity
            line = evolve(line, amount=amount, quantity=units, basis={**line.basis, **above}, layer=1)
        return line

    def _removed_part(
        self, change: ItemChange, paid: Decimal, units: Decimal, bill: ChangeBill, *, waits: bool
    ) -> None:
        """What the removed part billed for the whole period; the rest stays covered."""
        assert change.before is not None
        before = Fraction(charge_for(self.facts.prices[change.before.price_id], self.sub.currency, paid))
        left = Fraction(charge_for(self._price(change.after), self.sub.currency, units)) if units else Fraction(0)
        if before <= 0 or left >= before:
            return
        part = (before - left) / before
        ends = change.after.ended_at is not None and not units
        removed = Portion(part.numerator, part.denominator)
        bill.given_back[change.after.id] = GiveBack("part", removed, ends=ends, waits=waits)

    # -- in arrears -----------------------------------------------------------------------------------------

    def _in_arrears(self, change: ItemChange, mode: ChangeMode, bill: ChangeBill, *, waits: bool) -> Item:
        """What was there until now is billed at the period's end as it was; `full` counts for the whole period.

        What a change in the past reaches of periods that are billed already is given back and billed again, or with
        `full` billed in addition. What is taken away with `full` ends where its part of the period began.
        """
        item, period = change.after, self._period_of(change.after)
        if mode == "full" and item.ended_at is None:
            return self._whole_in_arrears(change, period, bill, waits=waits)
        until = period.end if mode == "none" else min(max(self.wish.at, period.start), period.end)
        if change.before is not None and change.before.ended_at is None:
            start = max(period.start, self.sub.arrears_from or period.start)
            begun = billed_from(start, self.sub.free_until, change.before.added_at, change.before.changed_at)
            if mode == "full" and item.ended_at is not None:
                item = evolve(item, ended_at=min(begun, item.ended_at))
            elif begun < until:
                span = self._span_of(item)
                bill.wait([item_line(self.sub, change.before, self.facts, Period(begun, until), span)])
        if mode == "prorated":
            if change.before is not None:
                bill.given_back[item.id] = GiveBack("share", waits=waits)
            if item.ended_at is None:
                lines = [
                    item_line(
                        self.after, item, self.target.facts, Period(piece.start, min(piece.end, period.start)), span
                    )
                    for piece, span in self._time_left(item)
                    if piece.start < period.start
                ]
                bill.charge(lines, waits=waits)
        if mode == "none" and not change.units_before and item.ended_at is None:  # There was nothing until then.
            return evolve(item, added_at=period.end)
        if change.before is None:
            return item
        if mode == "prorated" and item.added_at > self.wish.at:
            item = evolve(item, added_at=self.wish.at)
        return evolve(item, changed_at=until)

    def _whole_in_arrears(self, change: ItemChange, period: Period, bill: ChangeBill, *, waits: bool) -> Item:
        """Whole periods at the new quantity: the running one at its end, those that are billed already in addition."""
        earlier = [piece for piece, _ in self._time_left(change.after) if piece.end <= period.start]
        paid = _paid_units(change)
        bill.charge([self._difference(change, paid, piece) for piece in earlier], waits=waits)
        since = earlier[0].start if earlier else period.start
        return change.after if change.before is not None else evolve(change.after, added_at=since)

    # -- time -----------------------------------------------------------------------------------------------

    def _is_own(self, item: Item) -> bool:
        return own_interval(self._price(item), self.target.facts.price)

    def _period_of(self, item: Item) -> Period:
        if self._is_own(item) and item.period_start is not None and item.period_end is not None:
            return Period(item.period_start, item.period_end)
        assert self.sub.period_start is not None and self.sub.period_end is not None
        return Period(self.sub.period_start, self.sub.period_end)

    def _span_of(self, item: Item) -> Period:
        if not self._is_own(item):
            return price_span(self.sub)
        schedule = self.target.facts.item_schedule(self.after, item)
        start = self._period_of(item).start
        return span_of(Period(start, schedule.boundary_after(start)), schedule)

    def _time_left(self, item: Item) -> list[tuple[Period, Period]]:
        if not self._is_own(item):
            return time_left(self.sub, self.target.facts, self.wish.at)
        period, schedule = self._period_of(item), self.target.facts.item_schedule(self.after, item)
        begun = billed_from(self.wish.at, self.sub.free_until)
        return as_billed(begun, period.end, self.facts.spanned.get(item.id, ()), schedule)


def _paid_units(change: ItemChange) -> Decimal:
    """For how many units the running period is paid."""
    before = change.before
    if before is None:
        return Decimal(0)
    return before.quantity if before.paid_quantity is None else before.paid_quantity
