"""The catalog: what is sold, at which prices, with which components, coupons, features and tax rates.

Only values and look-ups. `catalog_reader` makes them from a catalog file, `pricing` computes with them.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Literal, TypeVar

from attrs import field, frozen

from billcore.domain.periods import Duration
from billcore.errors import NotFound, Refused

ZERO = Decimal(0)

Entry = TypeVar("Entry")


@frozen
class Product:
    """Something a customer subscribes to or buys.

    `kind` is plan, addon, physical or one_time; `components` names what may be attached, None means
    everything.
    """

    code: str
    name: str
    family: str = "default"
    kind: str = "plan"
    tax_code: str | None = None
    taxable: bool = True
    components: tuple[str, ...] | None = None


@frozen
class Component:
    """Something that is added to a subscription and has prices of its own.

    `kind` is quantity, on_off, metered, prepaid or one_time; `aggregation` says how metered events become
    one quantity: sum, count, max, latest, unique or weighted_sum of the event property `aggregate_on`.
    """

    code: str
    name: str
    kind: str
    feature: str | None = None
    tax_code: str | None = None
    taxable: bool = True
    aggregation: str = "sum"
    aggregate_on: str = "value"


@frozen
class Tier:
    """A bracket of quantities, from the one before up to `up_to` inclusive; the last has None and stays open.

    `unit_amount` and `flat_amount` are major units; `rate` is a percentage, for scheme graduated_percentage.
    """

    up_to: Decimal | None = None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO
    rate: Decimal = ZERO


@frozen
class Phase:
    """An introductory price of `length`: `amounts` by currency in major units (behaviour 4.4)."""

    length: Duration
    amounts: Mapping[str, Decimal] = field(hash=False)


@frozen
class Periods:
    """A length counted in billed periods, as in "12 periods"."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} period{'' if self.count == 1 else 's'}"


@frozen
class Rollover:
    """What of an unused grant a reset carries over: at most `maximum` in all, for `lasts` (None: always)."""

    maximum: Decimal | None = None
    lasts: Duration | None = None


@frozen
class TopUp:
    """Adds `quantity` when the balance falls below `below`, at most `at_most` per interval of the grant."""

    below: Decimal
    quantity: Decimal
    at_most: Decimal | None = None


@frozen
class Grant:
    """What a price gives of a feature (behaviour 12).

    `included` is None for a feature that is merely switched on; `every` None never resets; `overage` is
    block, cap or bill; `carry` (none, unused, used) says what comes along on a change of product; low
    `priority` is used first.
    """

    feature: str
    included: Decimal | None = None
    every: Duration | None = None
    rollover: Rollover | None = None
    overage: str = "block"
    overage_limit: Decimal | None = None
    expires_after: Duration | None = None
    priority: int | None = None
    top_up: TopUp | None = None
    carry: str = "none"


@frozen
class Price:
    """One version of one price of a product or of a component; a published one never changes.

    Amounts are major units. `amounts` holds the amount per unit by currency for scheme per_unit; everything
    else (tiers, packages, fees, minimum, maximum, thresholds) is in `currency`. `every` None means the
    product's own interval for a component's price, and one charge that never renews where `once` is set.
    `custom_of` names the price that a price for one subscription only was made from.
    """

    code: str
    id: str = ""
    version: int = 1
    product: str | None = None
    component: str | None = None
    scheme: str = "per_unit"
    currency: str = "USD"
    amounts: Mapping[str, Decimal] = field(factory=dict, hash=False)
    tiers: tuple[Tier, ...] = ()
    package_size: Decimal | None = None
    package_amount: Decimal | None = None
    rate: Decimal | None = None
    fixed_per_event: Decimal | None = None
    minimum_per_event: Decimal | None = None
    maximum_per_event: Decimal | None = None
    included_events: int = 0
    included: Decimal = ZERO
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    every: Duration | None = None
    once: bool = False
    bill: str = "advance"
    trial: Duration | None = None
    trial_amount: Decimal | None = None
    trial_end: str = "activate"
    setup_fee: Decimal | None = None
    setup_fee_at: str = "signup"
    expires_after: Duration | Periods | None = None
    tax: str = "exclusive"
    phases: tuple[Phase, ...] = ()
    grants: tuple[Grant, ...] = ()
    thresholds: tuple[Decimal, ...] = ()
    upgrade: str | None = None
    downgrade: str | None = None
    invoice_at: str | None = None
    custom_of: str | None = None

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies this price can be billed in; the first is that of its fees."""
        return (self.currency, *(code for code in self.amounts if code != self.currency))


@frozen
class Coupon:
    """A discount that can be applied to subscriptions and invoices (behaviour 8.1).

    Either `percent_off` or `amount_off` (major units of `currency`) is set. `applies_to` holds product,
    price or component codes, None means everything; `stacking` is compound, full_price or exclusive.
    """

    code: str
    id: str = ""
    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    currency: str = "USD"
    duration: Literal["once", "forever"] | Periods | Duration = "once"
    applies_to: tuple[str, ...] | None = None
    stacking: str = "compound"
    max_redemptions: int | None = None
    redeem_by: datetime | None = None
    minimum: Decimal | None = None


@frozen
class TaxRow:
    """A rate in percent for a place and a tax code, valid from `since` on and before `until` (behaviour 8.2).

    Empty `region` and `postcode` mean the whole country or region; `code` "*" means every tax code.
    """

    country: str
    region: str
    postcode: str
    code: str
    name: str
    rate: Decimal
    since: date | None = None
    until: date | None = None
    id: str = ""


@frozen
class Feature:
    """Something a customer is entitled to: kind boolean, static, metered, continuous or credits.

    `credit_cost` says, for credits, what one unit of another feature costs.
    """

    code: str
    name: str
    kind: str
    credit_cost: Mapping[str, Decimal] = field(factory=dict, hash=False)


@frozen
class Catalog:
    """Everything that is on sale, by code and in the order of the file; prices in their latest version."""

    products: Mapping[str, Product] = field(factory=dict, hash=False)
    prices: Mapping[str, Price] = field(factory=dict, hash=False)
    components: Mapping[str, Component] = field(factory=dict, hash=False)
    coupons: Mapping[str, Coupon] = field(factory=dict, hash=False)
    taxes: tuple[TaxRow, ...] = ()
    features: Mapping[str, Feature] = field(factory=dict, hash=False)

    def product(self, code: str) -> Product:
        """The product with this code; `not_found` names the nearest ones."""
        return _find("product", code, self.products)

    def price(self, code: str) -> Price:
        """The price with this code in its latest version; `not_found` names the nearest ones."""
        return _find("price", code, self.prices)

    def component(self, code: str) -> Component:
        """The component with this code; `not_found` names the nearest ones."""
        return _find("component", code, self.components)

    def coupon(self, code: str) -> Coupon:
        """The coupon with this code; `coupon_not_found` names the nearest ones."""
        if code in self.coupons:
            return self.coupons[code]
        raise Refused(
            "coupon_not_found",
            f"There is no coupon {code!r}.",
            remedy=did_you_mean(code, self.coupons),
            coupon=code,
        )

    def product_of(self, price: Price) -> Product:
        """The product that `price` sells; `not_found` for a component's price."""
        if price.product is None:
            raise NotFound(
                f"Price {price.code!r} belongs to component {price.component!r}, not to a product.",
                remedy="Name the price of a product.",
            )
        return self.product(price.product)

    def prices_of(self, owner: Product | Component) -> tuple[Price, ...]:
        """The prices of one product or component, in the order of the file."""
        if isinstance(owner, Product):
            return tuple(price for price in self.prices.values() if price.product == owner.code)
        return tuple(price for price in self.prices.values() if price.component == owner.code)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy that names the entries of `known` nearest to `word`, or what there is when nothing is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3)
    if near:
        return f"Did you mean {' or '.join(repr(name) for name in near)}?"
    if not names:
        return "None are defined."
    shown = ", ".join(repr(name) for name in names[:8])
    return f"There are {shown}{' and more' if len(names) > 8 else ''}."


def _find(noun: str, code: str, entries: Mapping[str, Entry]) -> Entry:
    found = entries.get(code)
    if found is None:
        remedy = did_you_mean(code, entries) if entries else "None are published: billcore catalog apply FILE."
        raise NotFound(f"There is no {noun} {code!r}.", remedy=remedy, reference=code)
    return found
