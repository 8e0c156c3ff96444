"""What pages are made from: the store's zone, and names for ids, since people know references."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property

from billcore.billing import Billing
from billcore.cli.output.screen import date, day, span
from billcore.domain.customer import Customer
from billcore.domain.group import payer_of
from billcore.domain.invoice import Line
from billcore.domain.payment import Payment
from billcore.domain.subscription import Subscription
from billcore.store import catalog, crediting
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions


class View:
    """Looks up what a page shows beside the values themselves. Reads only."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing
        self.known: dict[str, str] = {}
        """References by id of what is shown itself: after a dry run it is nowhere else."""

    @cached_property
    def zone(self) -> str:
        """The site's time zone: dates are shown in it."""
        return str(self.billing.settings.list()["timezone"])

    def day(self, at: datetime | None) -> str:
        """A date as people of the site read it."""
        return day(at, self.zone)

    def date(self, at: datetime | None) -> str:
        """A date without its time, for lists."""
        return date(at, self.zone)

    def span(self, start: datetime | None, end: datetime | None) -> str:
        """A period."""
        return span(start, end, self.zone)

    def customers(self, ids: Iterable[str]) -> dict[str, str]:
        """References of customers by id; an id stands for itself where it is gone."""
        wanted = set(ids)
        with self.billing.database.transaction(reads=True) as tx:
            found = customers.by_ids(tx, wanted)
        return {id_: found[id_].reference if id_ in found else self.known.get(id_, id_) for id_ in wanted}

    def customer(self, id_: str) -> str:
        """The reference of one customer."""
        return self.customers([id_])[id_]

    def subscriptions(self, ids: Iterable[str | None]) -> dict[str | None, str]:
        """References of subscriptions by id; "" for None."""
        wanted = {id_ for id_ in ids if id_ is not None}
        with self.billing.database.transaction(reads=True) as tx:
            found = subscriptions.by_ids(tx, wanted, catalog.load(tx).coupons)
        names: dict[str | None, str] = {None: ""}
        for id_ in wanted:
            names[id_] = found[id_].reference if id_ in found else self.known.get(id_, id_)
        return names

    def prices(self, ids: Iterable[str]) -> dict[str, str]:
        """Codes of prices by id; custom ones say so."""
        wanted = set(ids)
        with self.billing.database.transaction(reads=True) as tx:
            found = catalog.load_prices(tx, wanted)
        names = dict.fromkeys(wanted, "")
        for id_, price in found.items():
            names[id_] = f"{price.code} (custom)" if price.custom_of else price.code
        return names

    def paid_by(self, payment_id: str) -> list[tuple[str, int]]:
        """(number of the invoice, amount) of what a payment by hand pays."""
        with self.billing.database.transaction(reads=True) as tx:
            return crediting.allocated(tx, payment_id)

    def payer(self, one: Customer) -> str:
        """Who owes for a customer, by id."""
        with self.billing.database.transaction(reads=True) as tx:
            return payer_of(customers.line(tx, one)).id

    def billed_for(self, lines: Sequence[Line]) -> dict[str, str]:
        """Who subscribed, and to what, by line, for lines that bill somebody else for it."""
        with self.billing.database.transaction(reads=True) as tx:
            stored = catalog.load(tx).coupons
            subs = subscriptions.by_ids(tx, {line.subscription_id for line in lines if line.subscription_id}, stored)
            owners = customers.by_ids(tx, {sub.owner for sub in subs.values()})
        found = {}
        for line in lines:
            sub = subs.get(line.subscription_id or "")
            if sub is not None and sub.owner != line.customer_id:
                found[line.id] = f"{owners[sub.owner].reference} {sub.reference}"
        return found

    def awaited(self, sub: Subscription) -> Payment | None:
        """The payment without an outcome that a command about a running subscription waits for."""
        with self.billing.database.transaction(reads=True) as tx:
            waiting = invoices.draft_in_doubt(tx, sub.customer_id, sub.id)
            return payments.by_ids(tx, [waiting])[waiting] if waiting is not None else None

    def ending(self, sub: Subscription) -> str:
        """How a subscription ends as things stand, "" while it goes on."""
        if sub.ended_at is not None:
            return f"ended {self.day(sub.ended_at)}"
        if sub.cancel_at is not None:
            return f"ends {self.day(sub.cancel_at)}"
        return f"ends {self.day(sub.access_until)}" if sub.access_until is not None else ""
