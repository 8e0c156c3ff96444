"""The stored catalog: every published version of every entry, and the prices made for one subscription."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from attrs import evolve, field, frozen

from billcore.domain.catalog import Catalog, Component, Coupon, Feature, Price, Product, TaxRow
from billcore.domain.catalog_reader import from_definition
from billcore.domain.catalog_writer import Entry, definition
from billcore.domain.tax import RateTable
from billcore.store.database import Transaction
from billcore.store.mapping import Row
from billcore.store.types import instant_to_text, text_to_instant

_COLUMNS = "id, kind, code, version, definition, published_at, owner, custom_of"


@frozen
class CatalogEntry:
    """One version of one entry as it is stored; `definition` is JSON in the form of the catalog file.

    `owner` is what a price belongs to, "product/pro" or "component/seats"; `custom_of` the base of a custom price.
    """

    id: str
    kind: str
    code: str
    version: int
    definition: str
    published_at: datetime
    owner: str | None = None
    custom_of: str | None = None


@frozen
class StoredCatalog:
    """The catalog in memory: the latest versions by code, and every price and coupon version by id."""

    catalog: Catalog
    prices: Mapping[str, Price] = field(factory=dict)
    coupons: Mapping[str, Coupon] = field(factory=dict)
    entries: Mapping[tuple[str, str], CatalogEntry] = field(factory=dict)
    rates: RateTable = field(factory=lambda: RateTable(()))


def load(tx: Transaction) -> StoredCatalog:
    """The whole catalog without the custom prices, which are loaded when they are needed."""
    products: dict[str, Product] = {}
    prices: dict[str, Price] = {}
    components: dict[str, Component] = {}
    coupons: dict[str, Coupon] = {}
    features: dict[str, Feature] = {}
    taxes: list[TaxRow] = []
    by_id: dict[str, Price] = {}
    coupons_by_id: dict[str, Coupon] = {}
    entries: dict[tuple[str, str], CatalogEntry] = {}
    for row in tx.rows(f"SELECT {_COLUMNS} FROM billcore_catalog WHERE custom_of IS NULL ORDER BY version, id"):
        entry = _entry(row)
        entries[entry.kind, entry.code] = entry
        value = _value(entry)
        match value:
            case Product():
                products[value.code] = value
            case Price():
                prices[value.code] = value
                by_id[value.id] = value
            case Component():
                components[value.code] = value
            case Coupon():
                coupons[value.code] = value
                coupons_by_id[value.id] = value
            case Feature():
                features[value.code] = value
            case TaxRow():
                taxes.append(value)
    catalog = Catalog(products, prices, components, coupons, tuple(taxes), features)
    return StoredCatalog(catalog, by_id, coupons_by_id, entries, RateTable(catalog.taxes))


def load_prices(tx: Transaction, ids: Iterable[str]) -> dict[str, Price]:
    """Prices of any version by id, custom ones too."""
    return {
        row[0]: _priced(_entry(row))
        for row in tx.rows(f"SELECT {_COLUMNS} FROM billcore_catalog WHERE id IN ??", [list(ids)])
    }


def custom_code(base_id: str, definition_: str) -> str:
    """The code of a custom price: made of its base and definition, so that equal ones are one row."""
    return f"custom:{blake2b(f'{base_id} {definition_}'.encode(), digest_size=16).hexdigest()}"


def custom_price_id(tx: Transaction, code: str) -> str | None:
    """The id of the custom price with this code, None where none was made yet."""
    row = tx.one("SELECT id FROM billcore_catalog WHERE kind = 'custom_price' AND code = ?", [code])
    return row[0] if row else None


def add(tx: Transaction, entries: Iterable[CatalogEntry]) -> None:
    """Publish entries."""
    tx.execute_many(
        f"INSERT INTO billcore_catalog ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                entry.id,
                entry.kind,
                entry.code,
                entry.version,
                entry.definition,
                instant_to_text(entry.published_at),
                entry.owner,
                entry.custom_of,
            )
            for entry in entries
        ],
    )


def remove(tx: Transaction, ids: Iterable[str]) -> None:
    """Take out entries that nothing refers to: tax rows that were replaced."""
    tx.execute("DELETE FROM billcore_catalog WHERE id IN ??", [list(ids)])


def definition_text(value: Entry) -> str:
    """A catalog value as the JSON that is stored."""
    return json.dumps(definition(value), separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _entry(row: Row) -> CatalogEntry:
    id_, kind, code, version, definition_, published_at, owner, custom_of = row
    return CatalogEntry(id_, kind, code, version, definition_, text_to_instant(published_at), owner, custom_of)


@lru_cache(maxsize=4096)
def _value(entry: CatalogEntry) -> object:
    """Cached: an entry never changes; a catalog is read again for one that is new, batches meet custom prices again."""
    data = json.loads(entry.definition)
    match entry.kind:
        case "price" | "custom_price":
            noun, _, code = (entry.owner or "").partition("/")
            price = from_definition(
                "price",
                data,
                product=code if noun == "product" else None,
                component=code if noun == "component" else None,
                id=entry.id,
            )
            return evolve(price, version=entry.version, custom_of=entry.custom_of)
        case "product":
            return from_definition("product", data)
        case "component":
            return from_definition("component", data)
        case "coupon":
            return from_definition("coupon", data, id=entry.id)
        case "feature":
            return from_definition("feature", data)
        case _:
            return from_definition("tax", data, id=entry.id)


def _priced(entry: CatalogEntry) -> Price:
    value = _value(entry)
    assert isinstance(value, Price)
    return value
