"""Reading the prices of a catalog file: schemes and tiers, terms, phases and grants."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from attrs import evolve, frozen

from billcore.domain import catalog_fields as fields
from billcore.domain.catalog import Grant, Phase, Price, Rollover, Tier, TopUp, did_you_mean
from billcore.domain.catalog_fields import Section, invalid
from billcore.domain.periods import Duration

_EVENT_KEYS = ("fixed_per_event", "minimum_per_event", "maximum_per_event", "included_events")

SCHEMES: Mapping[str, tuple[str, ...]] = {
    "per_unit": ("amount", "amounts", "unit_amount"),
    "graduated": ("tiers",),
    "volume": ("tiers",),
    "stairstep": ("tiers",),
    "package": ("package_size", "package_amount"),
    "percentage": ("rate", *_EVENT_KEYS),
    "graduated_percentage": ("tiers", *_EVENT_KEYS),
}
_SCHEME_KEYS = {key for keys in SCHEMES.values() for key in keys}
# Which amounts each tier gives: those that must be there and those that may.
_TIER_KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "graduated": ((), ("unit_amount", "flat_amount")),
    "volume": ((), ("unit_amount", "flat_amount")),
    "stairstep": (("flat_amount",), ()),
    "graduated_percentage": (("rate",), ("flat_amount",)),
}
_COMMON_KEYS = (
    "code",
    "currency",
    "scheme",
    "every",
    "bill",
    "included",
    "minimum",
    "maximum",
    "tax",
    "grants",
)
_PRODUCT_TERMS = (
    "trial", "trial_amount", "trial_end", "setup_fee", "setup_fee_at", "expires_after", "phases",
    "thresholds",
)  # fmt: skip
_COMPONENT_TERMS = ("upgrade", "downgrade", "invoice_at")
_ONCE_REFUSES = ("trial", "trial_amount", "trial_end", "expires_after", "phases", "minimum", "thresholds")

PRODUCT_PRICE_KEYS = (*_COMMON_KEYS, *sorted(_SCHEME_KEYS), *_PRODUCT_TERMS)
COMPONENT_PRICE_KEYS = (*_COMMON_KEYS, *sorted(_SCHEME_KEYS - {"amount", "amounts"}), *_COMPONENT_TERMS)


@frozen
class Context:
    """What a price needs of the file around it: the default currency, and the codes of all features.

    `features` None leaves references unchecked, for entries that stand alone.
    """

    currency: str
    features: Collection[str] | None


def product_price(value: object, path: str, context: Context, product: str, kind: str) -> Price:
    """The price at `path` of a product of that kind."""
    entry = fields.section(PRODUCT_PRICE_KEYS)(value, path)
    price = evolve(_priced(entry, context, "amount"), product=product)
    price = _interval(entry, price, "once" if kind == "one_time" else None)
    if kind == "one_time" and not price.once:
        raise invalid(entry.at("every"), "A one_time product is not billed again.", 'Write every = "once".')
    for key in _ONCE_REFUSES if price.once else ():
        if key in entry:
            raise invalid(entry.at(key), f'{key} has no meaning for a price that is charged "once".', "Remove it.")
    unit = fields.money(price.currency)
    price = evolve(
        price,
        bill=entry.get("bill", fields.choice("advance", "arrears"), "advance"),
        trial=entry.maybe("trial", fields.duration),
        trial_amount=entry.maybe("trial_amount", unit),
        trial_end=entry.get("trial_end", fields.choice("activate", "end", "cancel"), "activate"),
        setup_fee=entry.maybe("setup_fee", unit),
        setup_fee_at=entry.get("setup_fee_at", fields.choice("signup", "trial_end"), "signup"),
        expires_after=entry.maybe("expires_after", fields.length),
        phases=entry.rows("phases", lambda v, p: _phase(v, p, price)),
        thresholds=_thresholds(entry, price.currency),
    )
    if len(price.currencies) > 1:
        _one_currency(entry, price)
    return price


def component_price(value: object, path: str, context: Context, component: str, kind: str) -> Price:
    """The price at `path` of a component of that kind; metered usage is billed in arrears by default."""
    entry = fields.section(COMPONENT_PRICE_KEYS)(value, path)
    price = evolve(_priced(entry, context, "unit_amount"), component=component)
    price = _interval(entry, price, "once" if kind == "one_time" else "product's")
    metered = kind == "metered"
    bill = entry.get("bill", fields.choice("advance", "arrears"), "arrears" if metered else "advance")
    if metered and bill == "advance":
        raise invalid(
            entry.at("bill"),
            "Metered usage is not known in advance.",
            'Write bill = "arrears", or leave it out.',
        )
    mode = fields.choice("prorated", "full", "none")
    return evolve(
        price,
        bill=bill,
        upgrade=entry.maybe("upgrade", mode),
        downgrade=entry.maybe("downgrade", mode),
        invoice_at=entry.maybe("invoice_at", fields.choice("now", "renewal")),
    )


def _priced(entry: Section, context: Context, amount_key: str) -> Price:
    """The scheme of a price with its amounts, and what products and components have in common."""
    code = entry.need("code", fields.code)
    currency = entry.get("currency", fields.currency, context.currency)
    scheme = entry.get("scheme", fields.choice(*SCHEMES), "per_unit")
    for key in sorted(_SCHEME_KEYS & entry.data.keys() - set(SCHEMES[scheme])):
        takers = " or ".join(f'"{name}"' for name, keys in SCHEMES.items() if key in keys)
        raise invalid(
            entry.at(key),
            f'{key} does not go with scheme "{scheme}".',
            f"Remove it, or write scheme = {takers}.",
        )
    amounts = _amounts(entry, currency, amount_key) if scheme == "per_unit" else {}
    if amounts and currency not in amounts:
        currency = next(iter(amounts))
    unit = fields.money(currency)
    price = Price(
        code,
        scheme=scheme,
        currency=currency,
        amounts=amounts,
        tiers=_tiers(entry, scheme, currency) if "tiers" in SCHEMES[scheme] else (),
        included=entry.get("included", fields.quantity, Decimal(0)),
        minimum=entry.maybe("minimum", unit),
        maximum=entry.maybe("maximum", unit),
        tax=entry.get("tax", fields.choice("exclusive", "inclusive"), "exclusive"),
        grants=entry.rows("grants", lambda v, p: _grant(v, p, context.features)),
    )
    _ordered(entry, "minimum", price.minimum, "maximum", price.maximum)
    if scheme == "package":
        return evolve(
            price,
            package_size=entry.need("package_size", fields.positive),
            package_amount=entry.need("package_amount", fields.unit_amount),
        )
    return _per_event(entry, price) if scheme.endswith("percentage") else price


def _amounts(entry: Section, currency: str, amount_key: str) -> dict[str, Decimal]:
    """The amount per unit by currency: one of amount, amounts and unit_amount."""
    given = [key for key in SCHEMES["per_unit"] if key in entry]
    if len(given) > 1:
        raise invalid(entry.at(given[1]), f"{given[1]} stands beside {given[0]}.", "Keep one of the two.")
    if "amounts" in entry:
        return entry.need("amounts", fields.moneys)
    if "unit_amount" in entry or amount_key == "unit_amount":
        return {currency: entry.need("unit_amount", fields.unit_amount)}
    return {currency: entry.need("amount", fields.money(currency))}


def _tiers(entry: Section, scheme: str, currency: str) -> tuple[Tier, ...]:
    """The tiers of a price: `up_to` rises strictly and the last one is open (behaviour 4.1)."""
    needed, allowed = _TIER_KEYS[scheme]
    path = entry.at("tiers")
    tiers: list[Tier] = []
    for number, table in enumerate(
        entry.need("tiers", fields.listed(fields.section(("up_to", "unit_amount", "flat_amount", "rate"))))
    ):
        if tiers and tiers[-1].up_to is None:
            raise invalid(
                f"{path}[{number - 1}].up_to",
                f"up_to is missing, so this tier overlaps tiers[{number}].",
                "Give every tier but the last an up_to.",
            )
        tier = _tier(table, scheme, currency, needed, allowed)
        if tiers and tier.up_to is not None and tiers[-1].up_to is not None and tier.up_to <= tiers[-1].up_to:
            raise invalid(
                table.at("up_to"),
                f"{tier.up_to} does not rise above {tiers[-1].up_to}, where the tier before ends.",
                "Order the tiers by rising up_to, without overlap.",
            )
        tiers.append(tier)
    if not tiers:
        raise invalid(path, "There are no tiers.", "Add at least one, the last without up_to.")
    if tiers[-1].up_to is not None:
        raise invalid(
            f"{path}[{len(tiers) - 1}].up_to",
            f"Nothing covers quantities above {tiers[-1].up_to}.",
            "Leave up_to out of the last tier, or add an open tier after it.",
        )
    return tuple(tiers)


def _tier(table: Section, scheme: str, currency: str, needed: tuple[str, ...], allowed: tuple[str, ...]) -> Tier:
    possible = (*needed, *allowed)
    for key in ("unit_amount", "flat_amount", "rate"):
        if key in table and key not in possible:
            raise invalid(table.at(key), f'{key} does not go with scheme "{scheme}".', f"Use {' and '.join(possible)}.")
    for key in needed or (() if any(key in table for key in allowed) else allowed[:1]):
        if key not in table:
            raise invalid(table.at(key), "This key is missing.", f"Add {key} = … to the tier.")
    return Tier(
        up_to=table.maybe("up_to", fields.positive),
        unit_amount=table.get("unit_amount", fields.unit_amount, Decimal(0)),
        flat_amount=table.get("flat_amount", fields.money(currency), Decimal(0)),
        rate=table.get("rate", fields.percent, Decimal(0)),
    )


def _per_event(entry: Section, price: Price) -> Price:
    price = evolve(
        price,
        rate=entry.need("rate", fields.percent) if price.scheme == "percentage" else None,
        fixed_per_event=entry.maybe("fixed_per_event", fields.unit_amount),
        minimum_per_event=entry.maybe("minimum_per_event", fields.unit_amount),
        maximum_per_event=entry.maybe("maximum_per_event", fields.unit_amount),
        included_events=entry.get("included_events", fields.count(0), 0),
    )
    _ordered(entry, "minimum_per_event", price.minimum_per_event, "maximum_per_event", price.maximum_per_event)
    return price


def _interval(entry: Section, price: Price, default: str | None) -> Price:
    """`every`: an interval, or "once"; a default stands where it may be left out."""
    if "every" not in entry and default is not None:
        return evolve(price, once=default == "once")
    every = entry.need("every", _every)
    return evolve(price, every=every, once=every is None)


def _every(value: object, path: str) -> Duration | None:
    return None if value == "once" else fields.interval(value, path)


def _phase(value: object, path: str, price: Price) -> Phase:
    """One introductory price: in the currencies of the price that follows."""
    table = fields.section(("for", "amount", "amounts"))(value, path)
    if price.scheme != "per_unit":
        raise invalid(path, f'Phases do not go with scheme "{price.scheme}".', "Use a price with an amount.")
    length = table.need("for", fields.duration)
    if "amounts" in table:
        if "amount" in table:
            raise invalid(table.at("amounts"), "amounts stands beside amount.", "Keep one of the two.")
        amounts = table.need("amounts", fields.moneys)
    else:
        amounts = {price.currency: table.need("amount", fields.money(price.currency))}
    if set(amounts) != set(price.amounts):
        raise invalid(
            table.at("amounts" if "amounts" in table else "amount"),
            f"The phase is priced in {', '.join(amounts)}, the price in {', '.join(price.amounts)}.",
            "Give the phase an amount in each currency of the price.",
        )
    return Phase(length, amounts)


def _grant(value: object, path: str, features: Collection[str] | None) -> Grant:
    table = fields.section(
        ("feature", "included", "every", "rollover", "overage", "overage_limit", "expires_after", "priority",
         "top_up", "carry")
    )(value, path)  # fmt: skip
    feature = table.need("feature", fields.code)
    if features is not None and feature not in features:
        raise invalid(table.at("feature"), f"There is no feature {feature!r}.", did_you_mean(feature, features))
    grant = Grant(
        feature,
        included=table.maybe("included", fields.quantity),
        every=table.maybe("every", fields.duration),
        rollover=table.maybe("rollover", _rollover),
        overage=table.get("overage", fields.choice("block", "cap", "bill"), "block"),
        overage_limit=table.maybe("overage_limit", fields.quantity),
        expires_after=table.maybe("expires_after", fields.duration),
        priority=table.maybe("priority", fields.count(0)),
        top_up=table.maybe("top_up", _top_up),
        carry=table.get("carry", fields.choice("none", "unused", "used"), "none"),
    )
    if grant.rollover is not None and grant.every is None:
        raise invalid(
            table.at("rollover"),
            "A grant that never resets carries nothing over.",
            "Add every, or remove it.",
        )
    if grant.overage_limit is not None and grant.overage != "bill":
        raise invalid(
            table.at("overage_limit"), f'overage = "{grant.overage}" has no limit.', 'Write overage = "bill".'
        )
    return grant


def _rollover(value: object, path: str) -> Rollover:
    table = fields.section(("max", "for"))(value, path)
    return Rollover(table.maybe("max", fields.quantity), table.maybe("for", fields.duration))


def _top_up(value: object, path: str) -> TopUp:
    table = fields.section(("below", "quantity", "at_most"))(value, path)
    return TopUp(
        table.need("below", fields.quantity),
        table.need("quantity", fields.positive),
        table.maybe("at_most", fields.positive),
    )


def _thresholds(entry: Section, currency: str) -> tuple[Decimal, ...]:
    thresholds = entry.rows("thresholds", fields.money(currency))
    before = Decimal(0)
    for number, threshold in enumerate(thresholds):
        if threshold <= before:
            raise invalid(
                f"{entry.at('thresholds')}[{number}]", f"{threshold} does not rise above {before}.",
                "Order the thresholds, all above zero.",
            )  # fmt: skip
        before = threshold
    return thresholds


def _ordered(entry: Section, low_key: str, low: Decimal | None, high_key: str, high: Decimal | None) -> None:
    if low is not None and high is not None and low > high:
        raise invalid(entry.at(low_key), f"{low} lies above {high_key}, which is {high}.", "Swap or change them.")


def _one_currency(entry: Section, price: Price) -> None:
    """Beside amounts in several currencies no other may stand: it would be taken in each of them."""
    sold = ", ".join(price.currencies)
    others = {
        "setup_fee": price.setup_fee,
        "trial_amount": price.trial_amount,
        "minimum": price.minimum,
        "maximum": price.maximum,
        "thresholds": price.thresholds,
    }
    for key, amount in others.items():
        if amount:
            raise invalid(
                entry.at(key),
                f"{key} is in {price.currency} alone, but the price is sold in {sold}.",
                "Give each currency a price of its own.",
            )
