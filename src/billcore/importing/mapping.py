"""The mapping of a file's columns: which values customers, methods and subscriptions get, and where from."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches

from attrs import field, frozen

from billcore.errors import InvalidValue

Row = Mapping[str, str]
"""One line of the file: column -> text, blanks around it left out."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@frozen
class Source:
    """Where a value comes from: a `column`, a `constant`, or a `template` with {columns} in it.

    `values` translates what a column says; what it does not name is `default`, or an error without one. An
    empty column is `default` too. `path` is the key path in the mapping, for errors.
    """

    path: str
    column: str | None = None
    constant: str | None = None
    template: str | None = None
    values: Mapping[str, str] | None = None
    default: str | None = None

    def columns(self) -> Iterator[str]:
        """The columns it needs."""
        if self.column is not None:
            yield self.column
        if self.template is not None:
            yield from PLACEHOLDER.findall(self.template)

    def of(self, row: Row) -> str | None:
        """The value for a row, None where there is none; raises InvalidValue for one that `values` lacks."""
        if self.constant is not None:
            return self.constant
        if self.template is not None:
            return PLACEHOLDER.sub(lambda name: row[name[1]], self.template)
        assert self.column is not None
        text = row[self.column]
        if not text:
            return self.default
        if self.values is None:
            return text
        if text in self.values:
            return self.values[text]
        if self.default is not None:
            return self.default
        near = get_close_matches(text, list(self.values), 1)
        raise InvalidValue(
            f"{self.column} is {text!r}, which {self.path}.map does not name.",
            remedy=f"Did you mean {near[0]!r}?" if near else "Add it to the map, or give a default.",
        )


@frozen
class Condition:
    """Rows whose `column` has one of `values`; without values, rows where it is not empty."""

    column: str
    values: frozenset[str] = frozenset()

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row."""
        text = row[self.column]
        return text in self.values if self.values else bool(text)


@frozen
class DateRule:
    """A date: from a column or constant in `source`, written in `order` (of D, M, Y) where it is not ISO.

    Or counted: `months` (a column with a whole number) before `reference`, spread over `spread` days,
    each customer always on the same one; for the end of a subscription, `months` after its start.
    """

    path: str
    source: Source | None = None
    order: str | None = None
    months: str | None = None
    reference: date | None = None
    spread: int = 1

    def columns(self) -> Iterator[str]:
        """The columns it needs."""
        if self.source is not None:
            yield from self.source.columns()
        if self.months is not None:
            yield self.months


@frozen
class Share:
    """`percent` of the customers, always the same ones, get `token` instead."""

    percent: int
    token: str


@frozen
class MethodRule:
    """How the payment method is found; a row whose token is empty has none."""

    token: Source
    gateway: Source
    others: Mapping[str, Source] = field(factory=dict)
    shares: tuple[Share, ...] = ()


@frozen
class SubscriptionRule:
    """How the subscription is found. Rows where `unless` holds have none; those of `canceled` end."""

    price: Source
    values: Mapping[str, Source]
    amount: Source | None
    start: DateRule
    next_billing: DateRule | None = None
    unless: Condition | None = None
    canceled: Condition | None = None
    ends: DateRule | None = None


@frozen
class ImportMapping:
    """A whole mapping. Rows that `skip` names are left out; `decimal` is the file's decimal sign."""

    name: str
    customer: Mapping[str, Source]
    custom_fields: Mapping[str, Source] = field(factory=dict)
    method: MethodRule | None = None
    subscription: SubscriptionRule | None = None
    skip: tuple[tuple[str, Condition], ...] = ()
    encoding: str = "utf-8"
    delimiter: str = ","
    decimal: str = "."

    def columns(self) -> Iterator[tuple[str, str]]:
        """(key path, column) of every column that the file has to have."""
        sources = [*self.customer.values(), *self.custom_fields.values()]
        if self.method is not None:
            sources += [self.method.token, self.method.gateway, *self.method.others.values()]
        sub = self.subscription
        if sub is not None:
            sources += [sub.price, *sub.values.values(), *([sub.amount] if sub.amount else [])]
        for source in sources:
            for column in source.columns():
                yield source.path, column
        for path, condition in self.skip:
            yield path, condition.column
        if sub is None:
            return
        for rule in (sub.start, sub.next_billing, sub.ends):
            for column in rule.columns() if rule is not None else ():
                yield rule.path if rule is not None else "", column
        for path, named in (("subscription.unless", sub.unless), ("subscription.cancel", sub.canceled)):
            if named is not None:
                yield path, named.column
