"""Redeeming coupons: counted exactly, whoever redeems the same one at the same moment (behaviour 8.1)."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.discount import AppliedCoupon, redeem
from billcore.errors import Refused
from billcore.store import subscription as subscriptions


def redeem_one(
    scope: Scope,
    code: str,
    *,
    zone: str,
    at: datetime,
    currency: str,
    held: Sequence[AppliedCoupon],
    subscription_id: str | None = None,
) -> AppliedCoupon:
    """A coupon redeemed beside those `held`; raises the coupon errors of behaviour 8.1."""
    coupon = scope.catalog.catalog.coupon(code)
    # Counting a hundred thousand redemptions takes a while: only where their number matters.
    limited = coupon.max_redemptions is not None
    if limited:  # Two who count at once would both find the last one free.
        scope.tx.lock(f"coupon:{code}")
    versions = [one.id for one in scope.catalog.coupons.values() if one.code == code]
    return redeem(
        coupon,
        applied_id=scope.new_id("cpn"),
        at=at,
        zone=zone,
        currency=currency,
        redemptions=subscriptions.redemptions(scope.tx, versions) if limited else 0,
        held=held,
        subscription_id=subscription_id,
    )


def redeem_for_invoice(
    scope: Scope, invoice_id: str, codes: Sequence[str], currency: str, zone: str
) -> tuple[AppliedCoupon, ...]:
    """The coupons of an invoice made by hand, in order: good for it alone, whatever their duration.

    Raises the coupon errors of behaviour 8.1; one that is restricted never applies, as no price stands behind a line.
    """
    held: list[AppliedCoupon] = []
    for code in codes:
        coupon = scope.catalog.catalog.coupon(code)
        if coupon.applies_to is not None:
            raise Refused(
                "coupon_not_applicable",
                f"Coupon {code} applies to {', '.join(coupon.applies_to)} only.",
                remedy="Lines made by hand have no product, price or component; use a coupon without applies_to.",
                coupon=code,
            )
        one = redeem_one(scope, code, zone=zone, at=scope.now, currency=currency, held=held)
        held.append(evolve(one, remaining=1, until=None, invoice_id=invoice_id))
    return tuple(held)
