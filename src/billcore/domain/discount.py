"""Coupons on a document's lines: in which order, on which sum, what falls on each line (behaviour 8.1)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from attrs import frozen

from billcore.domain.catalog import Coupon, Periods
from billcore.domain.money import minor_units, round_exact, round_ratio, share
from billcore.domain.periods import Duration, add
from billcore.errors import Refused


@frozen
class AppliedCoupon:
    """A coupon that a customer has redeemed.

    `position` is the order of application. `remaining` counts the invoices it is still good for and `until`
    is the first instant it no longer holds; None is no such end. It touches only the lines of
    `subscription_id`; None stands for all lines given. One that an invoice made by hand has redeemed names it in
    `invoice_id`.
    """

    id: str
    coupon: Coupon
    position: int
    remaining: int | None = None
    until: datetime | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it still gives something at this instant."""
        return (self.remaining is None or self.remaining > 0) and (self.until is None or at < self.until)


@frozen
class Discountable:
    """One line as the coupons see it.

    `codes` are its product's, price's and component's; `amount` is in minor units as priced, negative for a
    credit line; `mid_period` marks what a command bills inside a running period.
    """

    subscription_id: str | None
    codes: frozenset[str]
    amount: int
    mid_period: bool = False


@frozen
class Discounting:
    """What coupons take off, in minor units, never negative.

    `per_line` stands in the order of the lines; `by_coupon` has the amount of each applied coupon that took
    something, by id; `used` are the ids to count as used when the document is a signup's or a renewal's.
    """

    per_line: tuple[int, ...]
    by_coupon: Mapping[str, int]
    used: frozenset[str]

    @property
    def total(self) -> int:
        """The document's discount: the sum over its lines."""
        return sum(self.per_line)


def redeem(
    coupon: Coupon,
    *,
    applied_id: str,
    at: datetime,
    zone: str,
    currency: str,
    redemptions: int,
    held: Sequence[AppliedCoupon] = (),
    subscription_id: str | None = None,
) -> AppliedCoupon:
    """Apply a coupon beside those `held`, or refuse it.

    `redemptions` is how often anybody redeemed it so far. A duration in time runs from `at` in `zone`.
    `redeem_by` itself is the last instant. Refused with coupon_expired, coupon_used_up,
    coupon_not_applicable (`exclusive` beside any other that still holds, or the same coupon again) and
    currency_mismatch (behaviour 8.1).
    """
    _require_redeemable(coupon, at, currency, redemptions)
    others = [applied.coupon for applied in held if applied.holds(at)]
    for other in others:
        if other.code == coupon.code:
            raise Refused(
                "coupon_not_applicable",
                f"Coupon {coupon.code} is applied already.",
                remedy="A coupon counts once; remove it first to start it again.",
                coupon=coupon.code,
            )
        if "exclusive" in (coupon.stacking, other.stacking):
            raise Refused(
                "coupon_not_applicable",
                f"Coupon {coupon.code} cannot stand beside {other.code}: "
                f"{coupon.code if coupon.stacking == 'exclusive' else other.code} is exclusive.",
                remedy=f"Remove {other.code} first.",
                coupon=coupon.code,
                other=other.code,
            )
    duration = coupon.duration
    return AppliedCoupon(
        id=applied_id,
        coupon=coupon,
        position=1 + max((applied.position for applied in held), default=0),
        remaining=1 if duration == "once" else duration.count if isinstance(duration, Periods) else None,
        until=add(at, duration, zone) if isinstance(duration, Duration) else None,
        subscription_id=subscription_id,
    )


def discount_lines(
    lines: Sequence[Discountable], coupons: Sequence[AppliedCoupon], currency: str, at: datetime
) -> Discounting:
    """Take coupons off the charge lines of one document (behaviour 8.1).

    Each coupon that holds `at` is computed once on the sum of its eligible lines: on what earlier ones left
    of them, or on their full amounts for `full_price`; rounded half away from zero, cut to what is left, and
    shared over the lines in proportion to the amounts it was computed on. No line goes below zero; what one
    cannot take falls on the others. Lines that wait from earlier commands have their own discount and do not
    belong here.

    A coupon is used when its minimum is met and its subscription's charges, those made mid-period aside, are
    above zero, whether or not one of them was eligible. Refused with currency_mismatch for a coupon of money
    in another currency.
    """
    if not coupons:
        return Discounting((0,) * len(lines), {}, frozenset())
    full = [max(line.amount, 0) for line in lines]
    left = full.copy()
    by_coupon: dict[str, int] = {}
    used: set[str] = set()
    for applied in in_order(coupon for coupon in coupons if coupon.holds(at)):
        coupon = applied.coupon
        _require_currency(coupon, currency)
        eligible = [index for index, line in enumerate(lines) if full[index] and _touches(applied, line)]
        priced = sum([full[index] for index in eligible])
        if coupon.minimum is not None and priced < round_exact(minor_units(coupon.minimum, currency)):
            continue
        if _has_charges(lines, applied):
            used.add(applied.id)
        taken = _take(coupon, eligible, full, left, currency)
        if taken:
            by_coupon[applied.id] = taken
    per_line = tuple([before - after for before, after in zip(full, left, strict=True)])
    return Discounting(per_line, by_coupon, frozenset(used))


def in_order(coupons: Iterable[AppliedCoupon]) -> list[AppliedCoupon]:
    """The order in which coupons are computed (behaviour 8.1).

    Restricted before general, full_price before compound, amount-off before percent, then as applied.
    """
    return sorted(
        coupons,
        key=lambda applied: (
            applied.coupon.applies_to is None,
            applied.coupon.stacking != "full_price",
            applied.coupon.amount_off is None,
            applied.position,
        ),
    )


def _require_redeemable(coupon: Coupon, at: datetime, currency: str, redemptions: int) -> None:
    if coupon.redeem_by is not None and at > coupon.redeem_by:
        raise Refused(
            "coupon_expired",
            f"Coupon {coupon.code} could be redeemed until {coupon.redeem_by.isoformat()}.",
            remedy="Use another coupon, or raise its redeem_by in the catalog.",
            coupon=coupon.code,
        )
    if coupon.max_redemptions is not None and redemptions >= coupon.max_redemptions:
        raise Refused(
            "coupon_used_up",
            f"Coupon {coupon.code} was redeemed {redemptions} times; its limit is {coupon.max_redemptions}.",
            remedy="Use another coupon, or raise its max_redemptions in the catalog.",
            coupon=coupon.code,
        )
    _require_currency(coupon, currency)


def _require_currency(coupon: Coupon, currency: str) -> None:
    has_money = coupon.amount_off is not None or coupon.minimum is not None
    if has_money and coupon.currency != currency:
        raise Refused(
            "currency_mismatch",
            f"Coupon {coupon.code} is in {coupon.currency}; the invoice is in {currency}.",
            remedy=f"Use a coupon in {currency}, or one in percent without a minimum.",
            coupon=coupon.code,
        )


def _touches(applied: AppliedCoupon, line: Discountable) -> bool:
    if applied.subscription_id is not None and applied.subscription_id != line.subscription_id:
        return False
    coupon = applied.coupon
    if line.mid_period and coupon.amount_off is not None:
        return False
    return coupon.applies_to is None or not line.codes.isdisjoint(coupon.applies_to)


def _has_charges(lines: Sequence[Discountable], applied: AppliedCoupon) -> bool:
    # Per subscription, so that a consolidated invoice uses up what separate ones would.
    own = applied.subscription_id
    return any(
        line.amount > 0 and not line.mid_period and (own is None or own == line.subscription_id) for line in lines
    )


def _take(coupon: Coupon, eligible: list[int], full: list[int], left: list[int], currency: str) -> int:
    """Take one coupon off the eligible of what is `left`, in place; the amount taken."""
    weights = [(full if coupon.stacking == "full_price" else left)[index] for index in eligible]
    base = sum(weights)
    if coupon.amount_off is not None:
        value = round_exact(minor_units(coupon.amount_off, currency))
    elif coupon.percent_off is not None:
        numerator, denominator = _ratio_of_percent(coupon.percent_off)
        value = round_ratio(base * numerator, denominator)
    else:
        value = 0
    value = min(value, sum([left[index] for index in eligible]))
    if value <= 0:
        return 0
    over = 0
    for index, part in zip(eligible, share(value, weights), strict=True):
        room = left[index]
        left[index] = max(room - part, 0)
        over += max(part - room, 0)
    if over:
        room_left = [left[index] for index in eligible]
        for index, part in zip(eligible, share(over, room_left), strict=True):
            left[index] -= part
    return value


@lru_cache(maxsize=1024)
def _ratio_of_percent(percent: Decimal) -> tuple[int, int]:
    numerator, denominator = percent.as_integer_ratio()
    return numerator, denominator * 100
