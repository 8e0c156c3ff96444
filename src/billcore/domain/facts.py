"""What a billing decision is told beside the subscription itself; loaded in batches, never looked up from here."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from attrs import field, frozen

from billcore.domain.catalog import Component, Price, Product
from billcore.domain.draft import DraftLine
from billcore.domain.periods import Duration, Period, PeriodPolicy, Schedule
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import UsageTotal
from billcore.settings import Settings


@frozen
class Spanned:
    """A stretch of time that was billed, with the span that one full price covered then; `free`, it costs nothing."""

    period: Period
    span: Period
    free: bool = False


@frozen(slots=False)
class Facts:
    """One subscription's surroundings at a decision. `prices` is by id; `usage` by item id.

    `billed_in_period` is what the current period's lines add up to so far (minor units, before discount and tax);
    it is loaded only where the price has a minimum. `committed` is the price whose minimum the current period has,
    where a change left it that of before (6.1: proration none). `waiting` are lines of earlier commands that the next
    document of the subscription bills. Without `trial_allowed` the customer had his trial already (setting trial_once).
    `spanned` is time that was billed, in its order, by the id of the item (the product's is the subscription's): that
    which a change reaches back into, where it was billed at the interval that there is now. `base` is what an add-on
    ends with (behaviour 6.6), as it is by then.
    """

    settings: Settings
    zone: str
    product: Product
    price: Price
    prices: Mapping[str, Price] = field(factory=dict)
    components: Mapping[str, Component] = field(factory=dict)
    usage: Mapping[str, UsageTotal] = field(factory=dict)
    has_method: bool = True
    trial_allowed: bool = True
    billed_in_period: int = 0
    waiting: tuple[DraftLine, ...] = ()
    actor: str = "engine"
    spanned: Mapping[str, tuple[Spanned, ...]] = field(factory=dict)
    base: Subscription | None = None
    committed: Price | None = None

    def schedule(self, sub: Subscription) -> Schedule:
        """The boundaries of the subscription's product price."""
        assert self.price.every is not None
        return schedule_of(sub, self.price.every, self.zone, self.settings)

    def item_schedule(self, sub: Subscription, item: Item) -> Schedule:
        """The boundaries of one component's price: its own interval from the same anchor (behaviour 4.3)."""
        every = self.prices[item.price_id].every
        return self.schedule(sub) if every is None else schedule_of(sub, every, self.zone, self.settings)


def schedule_of(sub: Subscription, every: Duration, zone: str, settings: Settings) -> Schedule:
    """The boundaries of what is billed `every` so often on a subscription, from its anchor (behaviour 2.2, 4.3)."""
    assert sub.anchor is not None
    billing_day = sub.billing_day if every.months else None
    return _schedule(sub.anchor, every, zone, billing_day, settings.billing_time, settings.period_policy)


@lru_cache(maxsize=1024)
def _schedule(
    anchor: datetime, every: Duration, zone: str, billing_day: int | None, billing_time: str, policy: PeriodPolicy
) -> Schedule:
    """Kept, as one decision asks for its schedule several times, and many subscriptions share theirs."""
    return Schedule(anchor, every, zone, billing_day, billing_time, policy)


def own_interval(price: Price, product_price: Price) -> bool:
    """Whether a component's price is billed on an interval other than the product's."""
    return price.every is not None and price.every != product_price.every
