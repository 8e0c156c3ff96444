"""The discount of a charge line: each coupon once on its lines of the document, shared over them (behaviour 8.1)."""

from datetime import UTC, datetime

from billcore.domain.catalog import Coupon
from billcore.domain.discount import AppliedCoupon, Discountable, discount_lines
from billcore.domain.invoice import Line
from billcore.domain.money import decimal_text
from billcore.engine.derivations.step import Basis, Document, Step, exact_text

# The coupons held when they were taken: they are applied again without their ends.
_THEN = datetime(1970, 1, 1, tzinfo=UTC)


def discount_of(line: Line, document: Document) -> tuple[list[Step], int]:
    """The steps to a charge line's discount, and the discount, in minor units."""
    own = next(basis for one, basis in document.lines if one.id == line.id)
    if "waited" in own and "together" not in own:
        return [], 0
    charges = [
        (one, basis)
        for one, basis in document.lines
        if one.subscription_id == line.subscription_id
        and one.credits_line_id is None
        and ("waited" in basis, basis.get("together")) == ("waited" in own, own.get("together"))
    ]
    taken = _taken(charges)
    if not taken:
        return [], 0
    unknown = [coupon_id for coupon_id, _ in taken if coupon_id not in document.coupons]
    if unknown:
        return [Step(f"its coupon {unknown[0]} is not stored any more")], 0
    place = next(index for index, (one, _) in enumerate(charges) if one.id == line.id)
    lines = [
        Discountable(one.subscription_id, _codes(one, document), one.amount, bool(basis.get("mid_period")))
        for one, basis in charges
    ]
    applied: list[AppliedCoupon] = []
    steps: list[Step] = []
    before = 0
    for coupon_id, billed in taken:
        coupon = document.coupons[coupon_id]
        applied.append(AppliedCoupon(f"{len(applied)}", coupon, len(applied)))
        result = discount_lines(lines, applied, document.currency, _THEN)
        now, whole = result.per_line[place], result.by_coupon.get(applied[-1].id, 0)
        if now != before or whole != billed:
            steps.append(_step(coupon, whole, now - before, document))
        if whole != billed:
            steps.append(Step(f"billed as {exact_text(billed, document.currency)}, which the coupon does not give"))
        before = now
    return steps, before


def _taken(charges: list[tuple[Line, Basis]]) -> list[tuple[str, int]]:
    """(coupon id, amount) of what each coupon took of the subscription's lines, in the order of application."""
    for _, basis in charges:
        if basis.get("coupons"):
            return [(str(coupon_id), int(amount)) for coupon_id, amount in basis["coupons"]]
    return []


def _codes(line: Line, document: Document) -> frozenset[str]:
    price = document.prices.get(line.price_id or "")
    codes = (price.code, price.product or price.component) if price is not None else (line.code,)
    return frozenset(code for code in codes if code)


def _step(coupon: Coupon, whole: int, own: int, document: Document) -> Step:
    if coupon.percent_off is not None:
        rule = f"{decimal_text(coupon.percent_off)} % off"
    else:
        rule = f"{decimal_text(coupon.amount_off)} off" if coupon.amount_off is not None else "no discount"
    scope = f" of {', '.join(coupon.applies_to)}" if coupon.applies_to else ""
    stacking = "" if coupon.stacking == "compound" else f", {coupon.stacking}"
    shared = ""
    if whole != own:
        shared = f": {exact_text(whole, document.currency)}, shared by largest remainder"
    return Step(f"coupon {coupon.code}, {rule}{scope}{stacking}{shared}", exact_text(own, document.currency))
