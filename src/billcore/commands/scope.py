"""What a verb works with: one transaction, the time, the site, and what it wants written and sent."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches

from attrs import define, evolve, field

from billcore.domain.bill import Site
from billcore.domain.catalog import Price
from billcore.domain.credit import Allocation
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.domain.subscription import Subscription
from billcore.domain.tax import RateTable, Taxes
from billcore.domain.values import NewId
from billcore.domain.writes import Writes
from billcore.errors import NotFound
from billcore.plugins.capability import Capability
from billcore.settings import Settings
from billcore.store import catalog as stored_catalog
from billcore.store import customer as customers
from billcore.store import subscription as subscriptions
from billcore.store.catalog import StoredCatalog
from billcore.store.database import Transaction


@define
class Scope:
    """One unit of work. `now` is business time.

    After the commit the attempts and refunds in `sends` are made and what is due of the customers in `collects` is
    collected. `lease` is (owner, until) for what this process makes itself, None where a worker does; `gateways`
    names those that are installed, `capabilities` says what one of them can do, `usual_gateways` which one is meant
    where none is named; `taxes` is what documents are taxed by under given settings. `saved` are writes that were
    flushed before the end; `promised` is what credit lines give back of invoices, by id, before their document is
    written. With `site_changed` every process reads settings and catalog again. `answer` is what the
    gateway of an asking verb said before the transaction, None where it was not asked: in a dry run (`dry`) and inside
    a host's transaction. What `reads` only keeps nobody from writing.
    """

    tx: Transaction
    now: datetime
    settings: Settings
    catalog: StoredCatalog
    new_id: NewId
    installation: str
    actor: str = "engine"
    lease: tuple[str, datetime] | None = None
    gateways: Callable[[], tuple[str, ...]] = tuple
    capabilities: Callable[[str], frozenset[Capability]] = lambda _gateway: frozenset()
    usual_gateways: Callable[[], tuple[str, ...]] = tuple
    taxes: Callable[[Settings, RateTable], Taxes] = lambda _settings, rates: rates
    writes: Writes = field(factory=Writes)
    saved: list[Writes] = field(factory=list)
    sends: list[Payment | Refund] = field(factory=list)
    collects: set[str] = field(factory=set)
    promised: dict[str, Allocation] = field(factory=dict)
    custom: dict[str, Price] = field(factory=dict)
    site_changed: bool = False
    answer: object = None
    dry: bool = False
    reads: bool = False
    _kept: set[str] = field(factory=set, init=False)

    @property
    def site(self) -> Site:
        """What all documents share."""
        return Site(self.settings, self.taxes(self.settings, self.catalog.rates))

    def aside(self) -> "Scope":
        """A unit of work in the same transaction whose writes nobody keeps: what is decided in it is only looked at."""
        return evolve(self, writes=Writes(), saved=[], sends=[], collects=set(), promised=dict(self.promised))

    def flush(self) -> None:
        """Write what was collected so far and start collecting anew, in the same place: others hold it too."""
        self.tx.save(self.writes)
        self.saved.append(self.writes.emptied())

    def save(self) -> list[Writes]:
        """Write what is left at the end; returns everything that was written."""
        self.flush()
        return self.saved

    def keep(self, customer_id: str) -> bool:
        """Keep a customer to the end of a unit that writes: nobody else changes what is his meanwhile.

        True when he was not kept before: what was read of him until now may have changed since.
        """
        if self.reads or customer_id in self._kept:
            return False
        self.keep_all([customer_id])
        return True

    def keep_all(self, customer_ids: Iterable[str], *, skip: bool = False) -> set[str]:
        """Keep these customers to the end of the unit; with `skip` without those that somebody else keeps.

        Returns the ids of those that are kept; what is decided on is read after that.
        """
        kept = set(self.tx.lock_customers(customer_ids, skip=skip))
        self._kept |= kept
        return kept

    def customer(self, ref: str) -> Customer:
        """The customer with this reference or id; raises NotFound naming the nearest references.

        By id it is the customer as this unit of work has made him so far.
        """
        mine = self.writes.get(Customer, ref)
        if isinstance(mine, Customer):
            return mine
        found = customers.get(self.tx, ref)
        if found is not None and self.keep(found.id):
            found = customers.get(self.tx, found.id)
        if found is None:
            raise not_found("customer", ref, customers.references(self.tx))
        return found

    def subscription(self, ref: str) -> Subscription:
        """The subscription with this reference or id; raises NotFound naming the nearest references.

        By id it is the subscription as this unit of work has made it so far.
        """
        mine = self.writes.get(Subscription, ref)
        if isinstance(mine, Subscription):
            return mine
        found = subscriptions.get(self.tx, ref, self.catalog.coupons)
        # Who owes may change until he is kept: then it is somebody else who has to be.
        while found is not None and self.keep(found.customer_id):
            found = subscriptions.get(self.tx, found.id, self.catalog.coupons)
        if found is None:
            raise not_found("subscription", ref, subscriptions.references(self.tx))
        return found

    def payment_method(self, customer: Customer, ref: str) -> PaymentMethod:
        """The customer's payment method with this reference or id; raises NotFound for anybody else's."""
        self.keep(customer.id)
        found = customers.method(self.tx, ref)
        if found is None or found.customer_id != customer.id:
            mine = customers.methods(self.tx, [customer.id]).get(customer.id, [])
            raise not_found("payment_method", ref, [one.reference or one.id for one in mine])
        return found

    def prices(self, ids: Iterable[str]) -> Mapping[str, Price]:
        """Prices by id, custom ones too; those are kept for the unit of work."""
        wanted = set(ids)
        missing = [id_ for id_ in wanted if id_ not in self.catalog.prices and id_ not in self.custom]
        if missing:
            self.custom.update(stored_catalog.load_prices(self.tx, missing))
        return {id_: self.catalog.prices.get(id_) or self.custom[id_] for id_ in wanted}

    def zone(self, customer: Customer) -> str:
        """The customer's zone, or the site's."""
        return customer.timezone or self.settings.timezone

    def zone_of(self, sub: Subscription) -> str:
        """The zone a subscription's dates are counted in: that of who subscribed, whoever pays (behaviour 14)."""
        owner = self.writes.get(Customer, sub.owner)
        return self.zone(owner if isinstance(owner, Customer) else customers.by_ids(self.tx, [sub.owner])[sub.owner])

    def holds(self, customer_id: str) -> bool:
        """Whether nobody else changes meanwhile what is this customer's: he is kept, or made by this unit of work."""
        return self.reads or customer_id in self._kept or self.writes.get(Customer, customer_id) is not None


def place_of(ref: str, between: str) -> tuple[str, int] | None:
    """The customer and the place, counted from 1, of a name like acme/3 or acme/pay/3; None for another name."""
    owner, middle, place = ref.rpartition(between)
    counts = middle and re.fullmatch(r"[0-9]{1,9}", place) is not None and int(place) > 0
    return (owner, int(place)) if counts else None


def not_found(noun: str, ref: str, known: Iterable[str]) -> NotFound:
    """The error for a name that names nothing, with the nearest ones that do."""
    near = get_close_matches(ref, list(known))
    return NotFound(
        f"No {noun} is named {ref!r}.",
        remedy=f"Did you mean {', '.join(near)}?" if near else f"List them: billcore {noun}s list.",
        noun=noun,
        ref=ref,
    )
