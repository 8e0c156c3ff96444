"""Reads a mapping strictly: every key is known, every error names its key path and what to write instead."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches

from billcore.errors import FileInvalid
from billcore.importing.mapping import (
    Condition,
    DateRule,
    ImportMapping,
    MethodRule,
    Share,
    Source,
    SubscriptionRule,
)

Tables = Mapping[str, object]

CUSTOMER = (
    "reference",
    "name",
    "email",
    "organization",
    "phone",
    "country",
    "region",
    "postcode",
    "city",
    "address",
    "vat_number",
    "tax_exempt",
    "timezone",
    "currency",
    "billing_day",
)
METHOD = ("kind", "reference", "gateway_customer", "brand", "last4", "expires_on")
SUBSCRIPTION = ("reference", "quantity", "billing_day", "collection", "net_terms")
ORDERS = ("YMD", "DMY", "MDY")
LONGEST_SPREAD = 28


def read_mapping(tables: Tables, name: str) -> ImportMapping:
    """The mapping in `tables`, which were read from the file `name`; raises FileInvalid import_invalid."""
    return _Reader(name).mapping(tables)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name

    def mapping(self, tables: Tables) -> ImportMapping:
        self._keys(tables, "", ("file", "customer", "payment_method", "subscription", "skip"), ("customer",))
        customer = self._table(tables["customer"], "customer")
        self._keys(customer, "customer", (*CUSTOMER, "custom_fields"), ("reference",))
        fields = self._table(customer.get("custom_fields", {}), "customer.custom_fields")
        file = self._table(tables.get("file", {}), "file")
        self._keys(file, "file", ("encoding", "delimiter", "decimal"))
        method = tables.get("payment_method")
        subscription = tables.get("subscription")
        return ImportMapping(
            self.name,
            self._sources(customer, "customer", CUSTOMER),
            self._sources(fields, "customer.custom_fields", tuple(fields)),
            self._method(self._table(method, "payment_method")) if method is not None else None,
            self._subscription(self._table(subscription, "subscription")) if subscription is not None else None,
            self._skip(tables.get("skip", [])),
            self._encoding(file.get("encoding", "utf-8")),
            self._one_of(file.get("delimiter", ","), "file.delimiter", (",", ";", "\t", "|")),
            self._one_of(file.get("decimal", "."), "file.decimal", (".", ",")),
        )

    def _method(self, table: Tables) -> MethodRule:
        path = "payment_method"
        self._keys(table, path, ("token", "gateway", *METHOD, "share"), ("token", "gateway"))
        shares = []
        total = 0
        for place, entry in enumerate(self._list(table.get("share", []), f"{path}.share")):
            at = f"{path}.share[{place}]"
            share = self._table(entry, at)
            self._keys(share, at, ("percent", "token"), ("percent", "token"))
            percent = self._whole(share["percent"], f"{at}.percent", 0, 100)
            total += percent
            shares.append(Share(percent, self._text(share["token"], f"{at}.token")))
        if total > 100:
            raise self._error(f"{path}.share", f"adds up to {total} percent", "Keep it at 100 or below.")
        return MethodRule(
            self._source(table["token"], f"{path}.token"),
            self._source(table["gateway"], f"{path}.gateway"),
            self._sources(table, path, METHOD),
            tuple(shares),
        )

    def _subscription(self, table: Tables) -> SubscriptionRule:
        path = "subscription"
        self._keys(
            table,
            path,
            ("price", "amount", *SUBSCRIPTION, "start", "next_billing", "unless", "cancel"),
            ("price", "start"),
        )
        unless = table.get("unless")
        cancel = table.get("cancel")
        canceled, ends = (None, None) if cancel is None else self._cancel(self._table(cancel, f"{path}.cancel"))
        following = table.get("next_billing")
        return SubscriptionRule(
            self._source(table["price"], f"{path}.price"),
            self._sources(table, path, SUBSCRIPTION),
            self._source(table["amount"], f"{path}.amount") if "amount" in table else None,
            self._start(table["start"]),
            self._date(following, f"{path}.next_billing") if following is not None else None,
            self._condition(unless, f"{path}.unless") if unless is not None else None,
            canceled,
            ends,
        )

    def _start(self, value: object) -> DateRule:
        path = "subscription.start"
        if not isinstance(value, Mapping) or "months_before" not in value:
            return self._date(value, path)
        table = self._table(value, path)
        self._keys(table, path, ("months_before", "reference", "spread"), ("months_before", "reference"))
        reference = table["reference"]
        if not isinstance(reference, date) or isinstance(reference, datetime):
            raise self._error(f"{path}.reference", "is not a date", "Write it like reference = 2025-12-31.")
        return DateRule(
            path,
            months=self._text(table["months_before"], f"{path}.months_before"),
            reference=reference,
            spread=self._whole(table.get("spread", 1), f"{path}.spread", 1, LONGEST_SPREAD),
        )

    def _cancel(self, table: Tables) -> tuple[Condition, DateRule]:
        path = "subscription.cancel"
        self._keys(table, path, ("column", "values", "date", "months_after"))
        if ("date" in table) == ("months_after" in table):
            raise self._error(path, "does not say when", "Give either date or months_after.")
        if "months_after" in table:
            rule = DateRule(path, months=self._text(table["months_after"], f"{path}.months_after"))
        else:
            rule = self._date(table["date"], f"{path}.date")
        if "column" in table:
            named = {key: table[key] for key in ("column", "values") if key in table}
            return self._condition(named, path), rule
        column = rule.source.column if rule.source is not None else None
        if column is None:
            raise self._error(path, "does not say which subscriptions are canceled", "Give column and values.")
        return Condition(column), rule

    def _date(self, value: object, path: str) -> DateRule:
        if isinstance(value, date):
            return DateRule(path, Source(path, constant=value.isoformat()))
        if isinstance(value, str):
            return DateRule(path, Source(path, column=value))
        table = self._table(value, path)
        self._keys(table, path, ("column", "order"), ("column",))
        order = table.get("order")
        return DateRule(
            path,
            Source(path, column=self._text(table["column"], f"{path}.column")),
            None if order is None else self._one_of(order, f"{path}.order", ORDERS),
        )

    def _condition(self, value: object, path: str) -> Condition:
        table = self._table(value, path)
        self._keys(table, path, ("column", "values"), ("column",))
        values = self._list(table.get("values", []), f"{path}.values")
        return Condition(
            self._text(table["column"], f"{path}.column"),
            frozenset(self._text(text, f"{path}.values[{place}]") for place, text in enumerate(values)),
        )

    def _skip(self, value: object) -> tuple[tuple[str, Condition], ...]:
        paths = ((f"skip[{place}]", entry) for place, entry in enumerate(self._list(value, "skip")))
        return tuple((path, self._condition(entry, path)) for path, entry in paths)

    def _sources(self, table: Tables, path: str, names: Sequence[str]) -> dict[str, Source]:
        return {name: self._source(table[name], f"{path}.{name}") for name in names if name in table}

    def _source(self, value: object, path: str) -> Source:
        if isinstance(value, str):
            return Source(path, column=value)
        if not isinstance(value, Mapping):
            raise self._error(path, "is neither a column nor a table", 'Write { constant = "…" } for a value.')
        table = self._table(value, path)
        self._keys(table, path, ("column", "constant", "template", "map", "default"))
        ways = [key for key in ("column", "constant", "template") if key in table]
        if len(ways) != 1:
            raise self._error(path, "does not say where its value is", "Give column, constant or template.")
        extra = [key for key in ("map", "default") if key in table]
        if extra and ways != ["column"]:
            raise self._error(f"{path}.{extra[0]}", f"does not go with {ways[0]}", "It needs a column.")
        texts = {key: self._text(table[key], f"{path}.{key}") for key in (*ways, "default") if key in table}
        values = None
        if "map" in table:
            named = self._table(table["map"], f"{path}.map")
            values = {key: self._text(text, f"{path}.map.{key}") for key, text in named.items()}
        return Source(
            path,
            texts.get("column"),
            texts.get("constant"),
            texts.get("template"),
            values,
            texts.get("default"),
        )

    def _encoding(self, value: object) -> str:
        name = self._text(value, "file.encoding")
        try:
            "".encode(name)  # A codec of bytes to bytes is a LookupError too.
        except LookupError:
            raise self._error(
                "file.encoding",
                f"is {name!r}, which is no text encoding",
                "Use utf-8, cp1252, latin-1 or utf-16.",
            ) from None
        return name

    def _one_of(self, value: object, path: str, choices: Sequence[str]) -> str:
        if not isinstance(value, str) or value not in choices:
            raise self._error(path, f"is {value!r}", f"Possible: {', '.join(map(repr, choices))}.")
        return value

    def _whole(self, value: object, path: str, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._error(path, f"is {value!r}", f"Write a whole number from {least} to {most}.")
        return value

    def _text(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise self._error(path, f"is {value!r}, not a text", "Write it in quotes.")
        return value

    def _table(self, value: object, path: str) -> Tables:
        if not isinstance(value, Mapping):
            raise self._error(path, "is not a table", f"Write [{path}].")
        return value

    def _list(self, value: object, path: str) -> Sequence[object]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._error(path, "is not a list", "Write it in brackets: [ … ].")
        return value

    def _keys(self, table: Tables, path: str, known: Sequence[str], needed: Sequence[str] = ()) -> None:
        where = f"{path}." if path else ""
        for key in table:
            if key not in known:
                near = get_close_matches(str(key), known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Possible: {', '.join(known)}."
                raise self._error(f"{where}{key}", "is not a key of a mapping", hint)
        for key in needed:
            if key not in table:
                raise self._error(f"{where}{key}", "is missing", "Every mapping needs it.")

    def _error(self, path: str, what: str, remedy: str) -> FileInvalid:
        return FileInvalid("import_invalid", f"{self.name}: {path} {what}.", remedy=remedy, path=path, file=self.name)
