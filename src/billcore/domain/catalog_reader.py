"""Reading a catalog file, already parsed from TOML or JSON, into a `Catalog`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, TypeVar, overload

from attrs import evolve

from billcore.domain import catalog_fields as fields
from billcore.domain.catalog import (
    Catalog,
    Component,
    Coupon,
    Feature,
    Periods,
    Price,
    Product,
    TaxRow,
    did_you_mean,
)
from billcore.domain.catalog_fields import Section, invalid
from billcore.domain.catalog_prices import Context, component_price, product_price
from billcore.domain.catalog_writer import Entry
from billcore.domain.periods import Duration
from billcore.errors import FileInvalid, InvalidValue

Kind = Literal["product", "component", "price", "coupon", "feature", "tax"]
Named = TypeVar("Named", Product, Component, Price, Coupon, Feature)

_TOP_KEYS = ("currency", "products", "components", "coupons", "features", "taxes")
_SOLD_KEYS = ("code", "name", "kind", "tax_code", "taxable", "prices")
_PRODUCT_KEYS = (*_SOLD_KEYS, "family", "components")
_COMPONENT_KEYS = (*_SOLD_KEYS, "feature", "aggregation", "aggregate_on")
_AGGREGATIONS = ("sum", "count", "max", "latest", "unique", "weighted_sum")
_COUPON_KEYS = (
    "code", "percent_off", "amount_off", "currency", "duration", "applies_to", "stacking", "max_redemptions",
    "redeem_by", "minimum",
)  # fmt: skip
_TAX_KEYS = ("country", "region", "postcode", "code", "name", "rate", "from", "until")


def read_catalog(
    data: Mapping[str, object], *, currency: str, zone: str, path: str = "", known: Catalog | None = None
) -> Catalog:
    """The catalog that a file's tables describe.

    `currency` is the default where the file names none; dates count in `zone`. `path` goes before every key
    path ("catalog" for one inside a scenario). Codes that the file only refers to may also stand in `known`,
    the catalog stored so far. Raises FileInvalid "catalog_invalid" with the key path for the first error
    found; nothing is returned of a file that has one.
    """
    known = known or Catalog()
    top = fields.section(_TOP_KEYS)(data, path)
    currency = top.get("currency", fields.currency, currency)
    features = _distinct("feature", top, "features", top.rows("features", _feature))
    context = Context(currency, {*features, *known.features})
    attached = top.rows("components", lambda v, p: _component(v, p, context))
    components = _distinct("component", top, "components", [component for component, _ in attached])
    offered = {*components, *known.components}
    sold = top.rows("products", lambda v, p: _product(v, p, context, offered))
    products = _distinct("product", top, "products", [product for product, _ in sold])
    prices = _prices(
        {top.at("products"): [own for _, own in sold], top.at("components"): [own for _, own in attached]},
        known,
    )
    codes = {*products, *prices, *offered, *known.products, *known.prices}
    rows = top.rows("coupons", lambda v, p: _coupon(v, p, currency, zone, codes))
    coupons = _distinct("coupon", top, "coupons", rows)
    return Catalog(products, prices, components, coupons, _taxes(top), features)


@overload
def from_definition(
    kind: Literal["price"],
    data: Mapping[str, object],
    *,
    product: str | None = None,
    component: str | None = None,
    id: str = "",
    version: int = 1,
) -> Price: ...
@overload
def from_definition(kind: Literal["product"], data: Mapping[str, object]) -> Product: ...
@overload
def from_definition(kind: Literal["component"], data: Mapping[str, object]) -> Component: ...
@overload
def from_definition(kind: Literal["coupon"], data: Mapping[str, object], *, id: str = "") -> Coupon: ...
@overload
def from_definition(kind: Literal["feature"], data: Mapping[str, object]) -> Feature: ...
@overload
def from_definition(kind: Literal["tax"], data: Mapping[str, object], *, id: str = "") -> TaxRow: ...
def from_definition(
    kind: Kind,
    data: Mapping[str, object],
    *,
    product: str | None = None,
    component: str | None = None,
    id: str = "",
    version: int = 1,
) -> Entry:
    """The entry that `definition` wrote as `data`, with what a definition leaves to its keeper.

    A price takes its owner (`product` or `component`), `id` and `version`, coupons and tax rows their `id`.
    References to other entries are not checked. Raises FileInvalid as `read_catalog` does.
    """
    context = Context("USD", None)
    match kind:
        case "price":
            return evolve(_stored_price(data, context, product, component), id=id, version=version)
        case "product":
            return _product({**data, "prices": ()}, "", context, None, least=0)[0]
        case "component":
            return _component({**data, "prices": ()}, "", context, least=0)[0]
        case "coupon":
            return evolve(_coupon(data, "", "USD", "UTC", None), id=id)
        case "feature":
            return _feature(data, "")
        case "tax":
            return evolve(_tax(data, ""), id=id)


def _stored_price(data: Mapping[str, object], context: Context, product: str | None, component: str | None) -> Price:
    terms = {key: value for key, value in data.items() if key != "custom_of"}
    if component is not None:
        # `bill` stands in every definition of a component's price, so its kind decides nothing.
        price = component_price(terms, "", context, component, "quantity")
    elif product is not None:
        price = product_price(terms, "", context, product, "plan")
    else:
        raise InvalidValue("A price belongs to a product or to a component.", remedy="Pass one of the two.")
    custom_of = data.get("custom_of")
    return evolve(price, custom_of=None if custom_of is None else fields.code(custom_of, "custom_of"))


def _distinct(noun: str, top: Section, key: str, entries: Sequence[Named]) -> dict[str, Named]:
    """The entries by code; a second one with the same code is refused."""
    found: dict[str, Named] = {}
    for number, entry in enumerate(entries):
        if entry.code in found:
            first = list(found).index(entry.code)
            raise _twice(noun, entry.code, f"{top.at(key)}[{number}].code", f"{top.at(key)}[{first}].code")
        found[entry.code] = entry
    return found


def _prices(owned: Mapping[str, Sequence[Sequence[Price]]], known: Catalog) -> dict[str, Price]:
    """All prices by code, which is unique over products and components and stays with its owner."""
    found: dict[str, Price] = {}
    paths: dict[str, str] = {}
    for table, owners in owned.items():
        for i, prices in enumerate(owners):
            for j, price in enumerate(prices):
                path = f"{table}[{i}].prices[{j}].code"
                if price.code in found:
                    raise _twice("price", price.code, path, paths[price.code])
                stored = known.prices.get(price.code, price)
                if (stored.product, stored.component) != (price.product, price.component):
                    owner = stored.product or stored.component
                    raise invalid(path, f"Price {price.code!r} already belongs to {owner!r}.", "Choose another code.")
                found[price.code] = price
                paths[price.code] = path
    return found


def _twice(noun: str, code: str, path: str, first: str) -> FileInvalid:
    return invalid(path, f"There are two {noun}s {code!r}, the first at {first}.", "Rename one of them.")


def _owned_prices(entry: Section, read: Callable[[object, str], Price], least: int) -> tuple[Price, ...]:
    prices = entry.need("prices", fields.listed(read))
    if len(prices) < least:
        raise invalid(entry.at("prices"), "There are no prices.", "Add at least one.")
    return prices


def _product(
    value: object, path: str, context: Context, offered: Collection[str] | None, least: int = 1
) -> tuple[Product, tuple[Price, ...]]:
    entry = fields.section(_PRODUCT_KEYS)(value, path)
    code = entry.need("code", fields.code)
    kind = entry.get("kind", fields.choice("plan", "addon", "physical", "one_time"), "plan")
    product = Product(
        code,
        name=entry.get("name", fields.text, code),
        family=entry.get("family", fields.code, "default"),
        kind=kind,
        tax_code=entry.maybe("tax_code", fields.code),
        taxable=entry.get("taxable", fields.flag, default=True),
        components=_references(entry, "components", "component", offered),
    )
    return product, _owned_prices(entry, lambda v, p: product_price(v, p, context, code, kind), least)


def _component(value: object, path: str, context: Context, least: int = 1) -> tuple[Component, tuple[Price, ...]]:
    entry = fields.section(_COMPONENT_KEYS)(value, path)
    code = entry.need("code", fields.code)
    kind = entry.need("kind", fields.choice("quantity", "on_off", "metered", "prepaid", "one_time"))
    component = Component(
        code,
        name=entry.get("name", fields.text, code),
        kind=kind,
        feature=entry.maybe("feature", fields.code),
        tax_code=entry.maybe("tax_code", fields.code),
        taxable=entry.get("taxable", fields.flag, default=True),
        aggregation=entry.get("aggregation", fields.choice(*_AGGREGATIONS), "sum"),
        aggregate_on=entry.get("aggregate_on", fields.text, "value"),
    )
    return component, _owned_prices(entry, lambda v, p: component_price(v, p, context, code, kind), least)


def _references(entry: Section, key: str, noun: str, known: Collection[str] | None) -> tuple[str, ...] | None:
    """A list of codes that must all be known; `known` None leaves them unchecked."""
    codes = entry.maybe(key, fields.listed(fields.code))
    for number, code in enumerate(codes or ()):
        if known is not None and code not in known:
            raise invalid(f"{entry.at(key)}[{number}]", f"There is no {noun} {code!r}.", did_you_mean(code, known))
    return codes


def _coupon(value: object, path: str, currency: str, zone: str, codes: Collection[str] | None) -> Coupon:
    entry = fields.section(_COUPON_KEYS)(value, path)
    currency = entry.get("currency", fields.currency, currency)
    if ("percent_off" in entry) == ("amount_off" in entry):
        found = "both" if "percent_off" in entry else "neither"
        raise invalid(entry.at("percent_off"), f"A coupon has percent_off or amount_off; here is {found}.", "Give one.")
    percent = entry.maybe("percent_off", fields.positive)
    if percent is not None and percent > 100:
        raise invalid(entry.at("percent_off"), f"{percent} is more than everything.", "Write at most 100.")
    applies_to = _references(entry, "applies_to", "product, price or component", codes)
    if applies_to == ():
        raise invalid(
            entry.at("applies_to"),
            "A coupon that applies to nothing gives nothing.",
            "Name a code, or leave the key out for everything.",
        )
    return Coupon(
        code=entry.need("code", fields.code),
        percent_off=percent,
        amount_off=entry.maybe("amount_off", fields.money(currency)),
        currency=currency,
        duration=entry.get("duration", _coupon_duration, "once"),
        applies_to=applies_to,
        stacking=entry.get("stacking", fields.choice("compound", "full_price", "exclusive"), "compound"),
        max_redemptions=entry.maybe("max_redemptions", fields.count(1)),
        redeem_by=entry.maybe("redeem_by", fields.instant(zone)),
        minimum=entry.maybe("minimum", fields.money(currency)),
    )


def _coupon_duration(value: object, path: str) -> Literal["once", "forever"] | Periods | Duration:
    if value == "once":
        return "once"
    if value == "forever":
        return "forever"
    return fields.length(value, path)


def _feature(value: object, path: str) -> Feature:
    entry = fields.section(("code", "name", "kind", "credit_cost"))(value, path)
    code = entry.need("code", fields.code)
    return Feature(
        code,
        name=entry.get("name", fields.text, code),
        kind=entry.need("kind", fields.choice("boolean", "static", "metered", "continuous", "credits")),
        credit_cost=entry.get("credit_cost", fields.by_code(fields.code, fields.positive), {}),
    )


def _taxes(top: Section) -> tuple[TaxRow, ...]:
    """All tax rows; two for the same place, code and first day are refused."""
    rows = top.rows("taxes", _tax)
    seen: dict[object, int] = {}
    for number, row in enumerate(rows):
        key = (row.country, row.region, row.postcode, row.code, row.since)
        if key in seen:
            raise invalid(
                f"{top.at('taxes')}[{number}]",
                f"This row says the same place, code and first day as taxes[{seen[key]}].",
                "Remove one, or give it another from.",
            )
        seen[key] = number
    return rows


def _tax(value: object, path: str) -> TaxRow:
    entry = fields.section(_TAX_KEYS)(value, path)
    row = TaxRow(
        country=entry.need("country", fields.country),
        region=entry.get("region", fields.optional_text, ""),
        postcode=entry.get("postcode", fields.optional_text, ""),
        code=entry.get("code", _tax_code, "*"),
        name=entry.need("name", fields.text),
        rate=entry.need("rate", fields.percent),
        since=entry.maybe("from", fields.day),
        until=entry.maybe("until", fields.day),
    )
    if row.since is not None and row.until is not None and row.until <= row.since:
        raise invalid(entry.at("until"), f"{row.until} is not after {row.since}.", "Write a later day.")
    return row


def _tax_code(value: object, path: str) -> str:
    return "*" if value == "*" else fields.code(value, path)
