"""The catalog: products, prices, components, coupons, features and taxes, published from a file."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal, Unpack

from attrs import field, frozen

from billcore.commands.parameters import CatalogData, Code, Decimals, Flag, Instant, Options, Range, SignedQuantity
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.catalog import Catalog, Price
from billcore.domain.catalog_reader import read_catalog
from billcore.domain.catalog_writer import Entry, definition, export_catalog
from billcore.domain.money import decimal_text, exponent, format_minor, minor_units, round_exact
from billcore.domain.periods import Duration, Period, months_between
from billcore.domain.pricing import charge_for
from billcore.domain.proration import WHOLE, Portion, portion
from billcore.errors import FileInvalid, InvalidValue
from billcore.store import catalog as store
from billcore.store.catalog import CatalogEntry


@frozen
class CatalogChange:
    """One entry that applying a catalog adds, changes or publishes anew: `version` is the one it gets."""

    action: Literal["add", "change", "new_version", "remove"]
    kind: str
    code: str
    version: int


@frozen
class Quote:
    """What a price computes: `amount` is exact in major units, `rounded` in minor units, half away from zero."""

    price: str
    currency: str
    quantity: str
    amount: str
    rounded: int
    rounded_text: str
    portion: str = "1/1"
    facts: Mapping[str, str] = field(factory=dict)


class CatalogNoun(Noun):
    """The catalog: products, prices, components, coupons, features and taxes, published from a file."""

    noun = "catalog"

    @verb(site=True)
    def apply(
        self, scope: Scope, catalog: CatalogData, *, new_versions: Flag = False, **options: Unpack[Options]
    ) -> list[CatalogChange]:
        """Publish a catalog file: what is new or different from what is stored; all of it or nothing.

        A published price is never edited: a file that changes one is refused, naming what changed, unless
        `new_versions` says that it is meant. Then it is published as a new version, and subscriptions keep the one
        they bought. Prices, components, products and coupons that the file leaves out stay as they are; tax rows
        are replaced as a whole when the file has any. Raises catalog_invalid with the key path and the remedy.
        """
        known = scope.catalog.catalog
        wanted = read_catalog(catalog, currency=scope.settings.currency, zone=scope.settings.timezone, known=known)
        if not new_versions:
            _refuse_changed_prices(scope, catalog, wanted)
        changes: list[CatalogChange] = []
        entries: list[CatalogEntry] = []
        for kind, value, owner in _entries(wanted):
            _publish(scope, kind, value, owner, entries, changes)
        if wanted.taxes:
            _replace_taxes(scope, wanted, entries, changes)
        store.add(scope.tx, entries)
        scope.site_changed = bool(changes)
        return changes

    @verb(reads=True)
    def export(self, scope: Scope) -> dict[str, object]:
        """The stored catalog in the form of a catalog file, latest versions only."""
        return export_catalog(scope.catalog.catalog)

    @verb(reads=True)
    def quote(
        self,
        scope: Scope,
        price: Code,
        quantity: SignedQuantity = "1",
        *,
        currency: Code | None = None,
        events: Decimals | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        period: Range | None = None,
    ) -> Quote:
        """What a price computes for a full period with included units, minimum and maximum (behaviour 4).

        For percentage prices `quantity` is the value and `events` may list single ones. `since` and `until` with
        the full `period` make it prorated (behaviour 3), also where a component has the interval of its product. A
        product's `minimum` counts as if nothing else were billed in the period.
        """
        chosen = scope.catalog.catalog.price(price)
        unit = currency or (
            scope.settings.currency if scope.settings.currency in chosen.currencies else chosen.currencies[0]
        )
        assert isinstance(quantity, Decimal)
        single = [Decimal(event) for event in events] if events is not None else None
        exact = Fraction(charge_for(chosen, unit, quantity, events=single))
        if chosen.product is not None and chosen.minimum is not None:
            # A period with nothing beside it comes to that much (behaviour 4.2).
            exact = max(exact, Fraction(minor_units(chosen.minimum, unit)))
        part = WHOLE
        if period is not None:
            part = _portion(scope, chosen, since, until, period)
        exact = exact * part.numerator / part.denominator
        rounded = round_exact(exact)
        return Quote(
            price,
            unit,
            decimal_text(quantity),
            exact_text(exact / 10 ** exponent(unit)),
            rounded,
            format_minor(rounded, unit),
            f"{part.numerator}/{part.denominator}",
        )


def exact_text(value: Fraction) -> str:
    """An exact number as a decimal, or as a fraction where no decimal is exact."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if denominator != 1:
        return f"{value.numerator}/{value.denominator}"
    places = 0
    scaled = value
    while scaled.denominator != 1:
        scaled *= 10
        places += 1
    return decimal_text(Decimal(scaled.numerator).scaleb(-places))


def _portion(scope: Scope, price: Price, since: object, until: object, period: Sequence[object]) -> Portion:
    start, end = period
    first = since if since is not None else start
    last = until if until is not None else end
    bounds = [at for at in (start, end, first, last) if isinstance(at, datetime)]
    if len(bounds) != 4 or not start <= first <= last <= end:  # type: ignore[operator]
        raise InvalidValue("since and until must lie inside the period.", remedy="Check the dates.")
    if price.once:
        raise InvalidValue(f"Price {price.code} is charged once, for no period.", remedy="Leave the period out.")
    zone, span = scope.settings.timezone, Period(bounds[0], bounds[1])
    every = price.every or _interval_of(span, zone)
    return portion(Period(bounds[2], bounds[3]), span, scope.settings.proration_basis, zone, every)


def _interval_of(span: Period, zone: str) -> Duration:
    """What a component's price without an interval stands for: its product's, which the period is one of.

    It decides how `fixed_30` counts: whole months by thirty days, other periods by real ones.
    """
    months = months_between(span, zone)
    return Duration(months, "month") if months else Duration(1, "day")


def _entries(catalog: Catalog) -> list[tuple[str, Entry, str | None]]:
    found: list[tuple[str, Entry, str | None]] = []
    found += [("feature", feature, None) for feature in catalog.features.values()]
    found += [("component", component, None) for component in catalog.components.values()]
    found += [("product", product, None) for product in catalog.products.values()]
    for price in catalog.prices.values():
        owner = f"product/{price.product}" if price.product is not None else f"component/{price.component}"
        found.append(("price", price, owner))
    found += [("coupon", coupon, None) for coupon in catalog.coupons.values()]
    return found


def _publish(
    scope: Scope,
    kind: str,
    value: Entry,
    owner: str | None,
    entries: list[CatalogEntry],
    changes: list[CatalogChange],
) -> None:
    code = value.code
    written = store.definition_text(value)
    stored = scope.catalog.entries.get((kind, code))
    if stored is not None and stored.definition == written and stored.owner == owner:
        return
    version = stored.version + 1 if stored is not None else 1
    action: Literal["add", "new_version", "change"] = "add"
    if stored is not None:
        action = "new_version" if kind in ("price", "coupon") else "change"
    prefix = {"price": "pri", "product": "prd", "component": "cmp", "coupon": "cou", "feature": "fea"}[kind]
    entries.append(CatalogEntry(scope.new_id(prefix), kind, code, version, written, scope.now, owner))
    changes.append(CatalogChange(action, kind, code, version))


def _refuse_changed_prices(scope: Scope, catalog: Mapping[str, object], wanted: Catalog) -> None:
    """Refuse a file that would change a published price by mistake; the first one found is named."""
    for kind, price, owner in _entries(wanted):
        stored = scope.catalog.entries.get((kind, price.code))
        if kind != "price" or stored is None or stored.owner != owner:
            continue
        before, after = json.loads(stored.definition), definition(price)
        if before == after:
            continue
        changed = [
            f"{key} {before.get(key, 'nothing')} to {after.get(key, 'nothing')}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
        path = _path_of(catalog, price.code)
        raise FileInvalid(
            "catalog_invalid",
            f"{path}: the published price {price.code!r} would change: {', '.join(changed)}.",
            remedy="Give the new price a code of its own, or publish it as a new version with new_versions "
            "(--new-versions): subscriptions keep what they bought.",
            path=path,
        )


def _path_of(catalog: Mapping[str, object], code: str) -> str:
    """Where a price stands in a catalog that was read without an error."""
    for table in ("products", "components"):
        for i, owner in enumerate(_rows(catalog, table)):
            for j, price in enumerate(_rows(owner, "prices")):
                if price.get("code") == code:
                    return f"{table}[{i}].prices[{j}]"
    return "prices"


def _rows(table: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    rows = table.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _replace_taxes(scope: Scope, wanted: Catalog, entries: list[CatalogEntry], changes: list[CatalogChange]) -> None:
    stored = {entry.definition: entry for (kind, _), entry in scope.catalog.entries.items() if kind == "tax"}
    kept = set()
    for row in wanted.taxes:
        written = store.definition_text(row)
        if written in stored:
            kept.add(written)
            continue
        new_id = scope.new_id("tax")
        entries.append(CatalogEntry(new_id, "tax", new_id, 1, written, scope.now))
        changes.append(CatalogChange("add", "tax", f"{row.country} {row.name} {row.rate}", 1))
    gone = [entry for written, entry in stored.items() if written not in kept]
    if gone:
        store.remove(scope.tx, [entry.id for entry in gone])
        changes += [CatalogChange("remove", "tax", entry.code, 1) for entry in gone]
