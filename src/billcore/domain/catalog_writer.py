"""The form of the catalog file for each value of the catalog: canonical, and plain enough for JSON."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal

from billcore.domain.catalog import (
    Catalog,
    Component,
    Coupon,
    Feature,
    Grant,
    Phase,
    Price,
    Product,
    TaxRow,
    Tier,
)
from billcore.domain.money import decimal_text, exponent

Entry = Product | Component | Price | Coupon | Feature | TaxRow


def definition(value: Entry) -> dict[str, object]:
    """One entry in the form of the catalog file; equal entries give equal definitions.

    Amounts and quantities are decimal strings, dates ISO strings. What has its default is left out, so that
    later keys do not change stored definitions; `currency` of prices and coupons and `bill` of component
    prices always stand. A product or component comes without its prices, a price without its owner, id and
    version.
    """
    match value:
        case Price():
            return _price(value)
        case Product():
            return _product(value)
        case Component():
            return _component(value)
        case Coupon():
            return _coupon(value)
        case Feature():
            return _feature(value)
        case TaxRow():
            return _tax(value)


def export_catalog(catalog: Catalog) -> dict[str, object]:
    """The whole catalog as the tables of one file, prices inside their products and components.

    The file's currency is the one that most prices and coupons have; only the others name theirs.
    """
    used = Counter(price.currency for price in catalog.prices.values())
    used.update(coupon.currency for coupon in catalog.coupons.values())
    currency = max(sorted(used), key=lambda code: used[code]) if used else "USD"

    def short(entry: Price | Coupon) -> dict[str, object]:
        table = definition(entry)
        return {key: part for key, part in table.items() if key != "currency" or part != currency}

    def sold(owner: Product | Component) -> dict[str, object]:
        return {**definition(owner), "prices": [short(price) for price in catalog.prices_of(owner)]}

    tables: dict[str, list[dict[str, object]]] = {
        "products": [sold(product) for product in catalog.products.values()],
        "components": [sold(component) for component in catalog.components.values()],
        "coupons": [short(coupon) for coupon in catalog.coupons.values()],
        "features": [definition(feature) for feature in catalog.features.values()],
        "taxes": [definition(row) for row in catalog.taxes],
    }
    return {"currency": currency, **{key: rows for key, rows in tables.items() if rows}}


def _sparse(**parts: object) -> dict[str, object]:
    """The parts that are there: None, false and empty ones are left out."""
    return {key: part for key, part in parts.items() if part is not None and part not in ((), [], {})}


def _unless(part: str, default: str) -> str | None:
    return None if part == default else part


def _number(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _some(value: Decimal) -> str | None:
    return decimal_text(value) if value else None


def _amount(value: Decimal | None, currency: str) -> str | None:
    """An amount with at least the decimals of its currency: "5" is "5.00", "0.0033" stays."""
    if value is None:
        return None
    written = decimal_text(value)
    places = exponent(currency)
    _, _, decimals = written.partition(".")
    return written if len(decimals) >= places else f"{value:.{places}f}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _product(product: Product) -> dict[str, object]:
    table = _sparse(
        code=product.code,
        name=product.name,
        family=_unless(product.family, "default"),
        kind=_unless(product.kind, "plan"),
        tax_code=product.tax_code,
        taxable=None if product.taxable else False,
    )
    # An empty list is not an absent one: nothing may be attached.
    return table if product.components is None else {**table, "components": list(product.components)}


def _component(component: Component) -> dict[str, object]:
    return _sparse(
        code=component.code,
        name=component.name,
        kind=component.kind,
        feature=component.feature,
        tax_code=component.tax_code,
        taxable=None if component.taxable else False,
        aggregation=_unless(component.aggregation, "sum"),
        aggregate_on=_unless(component.aggregate_on, "value"),
    )


def _price(price: Price) -> dict[str, object]:
    currency = price.currency
    every = "once" if price.once else _text(price.every)
    return {
        **_sparse(code=price.code, custom_of=price.custom_of, currency=currency, **_scheme(price)),
        **_sparse(
            included=_some(price.included),
            minimum=_amount(price.minimum, currency),
            maximum=_amount(price.maximum, currency),
            every=every,
            bill=price.bill if price.component is not None else _unless(price.bill, "advance"),
            trial=_text(price.trial),
            trial_amount=_amount(price.trial_amount, currency),
            trial_end=_unless(price.trial_end, "activate"),
            setup_fee=_amount(price.setup_fee, currency),
            setup_fee_at=_unless(price.setup_fee_at, "signup"),
            expires_after=_text(price.expires_after),
            tax=_unless(price.tax, "exclusive"),
            phases=[_phase(phase, currency) for phase in price.phases],
            grants=[_grant(grant) for grant in price.grants],
            thresholds=[_amount(threshold, currency) for threshold in price.thresholds],
            upgrade=price.upgrade,
            downgrade=price.downgrade,
            invoice_at=price.invoice_at,
        ),
    }


def _scheme(price: Price) -> dict[str, object]:
    currency = price.currency
    if price.scheme == "per_unit":
        return _per_unit(price)
    return _sparse(
        scheme=price.scheme,
        tiers=[_tier(tier, price) for tier in price.tiers],
        package_size=_number(price.package_size),
        package_amount=_amount(price.package_amount, currency),
        rate=_number(price.rate),
        fixed_per_event=_amount(price.fixed_per_event, currency),
        minimum_per_event=_amount(price.minimum_per_event, currency),
        maximum_per_event=_amount(price.maximum_per_event, currency),
        included_events=price.included_events or None,
    )


def _per_unit(price: Price) -> dict[str, object]:
    if len(price.amounts) > 1:
        return {"amounts": _by_currency(price.amounts)}
    written = _amount(price.amounts[price.currency], price.currency) or ""
    _, _, decimals = written.partition(".")
    # A product's `amount` has the currency's decimals; a finer one can only be a unit price.
    fine = len(decimals) > exponent(price.currency)
    return {"unit_amount" if fine or price.component is not None else "amount": written}


def _by_currency(amounts: Mapping[str, Decimal]) -> dict[str, object]:
    return {code: _amount(amounts[code], code) for code in sorted(amounts)}


def _tier(tier: Tier, price: Price) -> dict[str, object]:
    """One tier; the amount that its scheme lives from stands even where it is zero."""
    main = {"stairstep": "flat_amount", "graduated_percentage": "rate"}.get(price.scheme, "unit_amount")
    return _sparse(
        up_to=_number(tier.up_to),
        rate=_number(tier.rate) if main == "rate" else None,
        unit_amount=_amount(tier.unit_amount, price.currency) if main == "unit_amount" else None,
        flat_amount=_amount(tier.flat_amount, price.currency) if tier.flat_amount or main == "flat_amount" else None,
    )


def _phase(phase: Phase, currency: str) -> dict[str, object]:
    if len(phase.amounts) == 1:
        return {"for": str(phase.length), "amount": _amount(phase.amounts[currency], currency)}
    return {"for": str(phase.length), "amounts": _by_currency(phase.amounts)}


def _grant(grant: Grant) -> dict[str, object]:
    table = _sparse(
        feature=grant.feature,
        included=_number(grant.included),
        every=_text(grant.every),
        overage=_unless(grant.overage, "block"),
        overage_limit=_number(grant.overage_limit),
        expires_after=_text(grant.expires_after),
        priority=grant.priority,
        carry=_unless(grant.carry, "none"),
    )
    if grant.rollover is not None:
        # An empty table is not an absent one: everything rolls over, for ever.
        limits = {"max": _number(grant.rollover.maximum), "for": _text(grant.rollover.lasts)}
        table["rollover"] = _sparse(**limits)
    if grant.top_up is not None:
        rule = grant.top_up
        table["top_up"] = _sparse(
            below=_number(rule.below), quantity=_number(rule.quantity), at_most=_number(rule.at_most)
        )
    return table


def _coupon(coupon: Coupon) -> dict[str, object]:
    redeem_by = coupon.redeem_by
    return _sparse(
        code=coupon.code,
        percent_off=_number(coupon.percent_off),
        amount_off=_amount(coupon.amount_off, coupon.currency),
        currency=coupon.currency,
        duration=None if coupon.duration == "once" else str(coupon.duration),
        applies_to=None if coupon.applies_to is None else list(coupon.applies_to),
        stacking=_unless(coupon.stacking, "compound"),
        max_redemptions=coupon.max_redemptions,
        redeem_by=None if redeem_by is None else f"{redeem_by.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        minimum=_amount(coupon.minimum, coupon.currency),
    )


def _feature(feature: Feature) -> dict[str, object]:
    cost = {code: decimal_text(units) for code, units in sorted(feature.credit_cost.items())}
    return _sparse(code=feature.code, name=feature.name, kind=feature.kind, credit_cost=cost)


def _tax(row: TaxRow) -> dict[str, object]:
    table: dict[str, object] = {
        "country": row.country,
        "region": row.region,
        "postcode": row.postcode,
        "code": row.code,
        "name": row.name,
        "rate": decimal_text(row.rate),
    }
    return {
        **table,
        **_sparse(
            **{
                "from": None if row.since is None else row.since.isoformat(),
                "until": None if row.until is None else row.until.isoformat(),
            }
        ),
    }
