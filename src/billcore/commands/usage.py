"""Usage of metered components."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Unpack

from attrs import evolve

from billcore.commands.components import new_item, offers
from billcore.commands.interim import Rerated, bill_crossed, rerate
from billcore.commands.parameters import (
    Code,
    Count,
    CustomerRef,
    Fields,
    Instant,
    Options,
    PreciseInstant,
    Reference,
    SignedQuantity,
    SubscriptionRef,
    UsageRef,
)
from billcore.commands.prepaid import usage_came
from billcore.commands.scope import Scope, not_found
from billcore.commands.verb import Noun, verb
from billcore.domain.states import END
from billcore.domain.step import planned
from billcore.domain.subscription import Item, Subscription
from billcore.domain.usage import MARK, UsageEvent, value_of
from billcore.errors import InvalidValue, Refused
from billcore.store import subscription as subscriptions
from billcore.store import usage as store


class Usage(Noun):
    """Usage of metered components."""

    noun = "usage"

    @verb(collects=True)
    def record(
        self,
        scope: Scope,
        subscription: SubscriptionRef | None = None,
        component: Code | None = None,
        quantity: SignedQuantity | None = None,
        *,
        customer: CustomerRef | None = None,
        timestamp: PreciseInstant | None = None,
        event_id: Reference | None = None,
        properties: Fields | None = None,
        **options: Unpack[Options],
    ) -> UsageEvent:
        """Record what was consumed; events are aggregated and billed in arrears. Negative quantities correct.

        `customer` stands for the one running subscription of his that has the component, or where none has it for the
        one whose product offers it. `event_id` makes a repeat
        harmless: the same event is answered with the first one, another with its id is refused (idempotency_conflict).
        A component that is not attached is attached with its first price. `properties` are what the component may be
        measured by. Usage that reaches a threshold of the product's price is invoiced and collected at once; paid in
        advance, a subscription whose usage is not covered is suspended (behaviour 9.8). Raises component_not_offered,
        invalid_value (not metered, a time to come or before the subscription, a property that is missing), and
        transition_not_allowed when the subscription has ended or not begun.
        """
        code, amount = _needed("component", component), _needed("quantity", quantity)
        assert isinstance(code, str) and isinstance(amount, Decimal)
        sub = _subscription(scope, subscription, customer, code)
        if not _runs(sub):
            raise Refused(
                "transition_not_allowed",
                f"Subscription {sub.reference} is {sub.state}; it takes no usage.",
                remedy="Record usage on a running subscription.",
                state=sub.state,
            )
        at = timestamp if isinstance(timestamp, datetime) else scope.now
        _require_within(sub, at, scope.now)
        if event_id is not None:
            earlier = store.find(scope.tx, sub.id, code, event_id)
            if earlier is not None:
                return _repeated(earlier, amount, properties)
        sub, item = _attached(scope, sub, code)
        _check_measure(scope, code, amount, properties or {})
        new_id = scope.new_id("use")
        own = (sub.customer_id, sub.id, item.id, code, event_id or new_id)
        event = UsageEvent(new_id, *own, amount, at, scope.now, properties or {})
        scope.writes.add(event)
        _came(scope, sub)
        return event

    @verb(collects=True)
    def correct(
        self,
        scope: Scope,
        subscription: SubscriptionRef | None = None,
        component: Code | None = None,
        event_id: Reference | None = None,
        quantity: SignedQuantity | None = None,
        *,
        customer: CustomerRef | None = None,
        **options: Unpack[Options],
    ) -> UsageEvent:
        """Set an event to another quantity, by a new event for the difference at the same instant (`event_id`#1).

        Of a component that is measured by a number among the properties it is that number. A correction to 0 undoes
        the event. What was billed already is rated again with the next renewal, or by `rerate`. The same correction
        once more changes nothing. Raises invalid_value for an event that is not there.
        """
        code, wanted = _needed("component", component), _needed("quantity", quantity)
        named = _needed("event_id", event_id)
        assert isinstance(code, str) and isinstance(named, str) and isinstance(wanted, Decimal)
        sub = _subscription(scope, subscription, customer, code)
        event = store.find(scope.tx, sub.id, code, named)
        if event is None:
            raise InvalidValue(
                f"Subscription {sub.reference} has no event {named!r} of {code}.",
                remedy=f"List them: billcore usage list --subscription {sub.reference}.",
                parameter="event_id",
            )
        kind = scope.catalog.catalog.component(code)
        corrections = store.corrections(scope.tx, event)
        before = sum((value_of(kind, one.quantity, one.properties)[0] for one in (event, *corrections)), Decimal(0))
        difference = wanted - before
        if not difference:
            return corrections[-1] if corrections else event
        properties = dict(event.properties)
        if kind.aggregate_on in properties and kind.aggregation not in ("count", "unique"):
            properties[kind.aggregate_on] = str(difference)
        made = evolve(
            event,
            id=scope.new_id("use"),
            event_id=f"{named}{MARK}{len(corrections) + 1}",
            quantity=difference,
            recorded_at=scope.now,
            properties=properties,
            line_id=None,
        )
        scope.writes.add(made)
        if sub.state not in END:
            _came(scope, sub)
        return made

    @verb(collects=True)
    def rerate(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        component: Code,
        period: Instant,
        **options: Unpack[Options],
    ) -> Rerated:
        """Rate the past period of a component that holds the instant `period` again, with all its events by now.

        It is rated at the price that the component has now. The difference to what was billed is invoiced or credited
        at once, as a line of its own. Raises invalid_value where no period that was billed holds that instant,
        payment_in_doubt while an attempt on an invoice that would be credited is open.
        """
        sub = scope.subscription(subscription)
        assert isinstance(period, datetime)
        return rerate(scope, sub, component, period)

    @verb(reads=True)
    def get(
        self,
        scope: Scope,
        event: UsageRef,
        *,
        subscription: SubscriptionRef | None = None,
        component: Code | None = None,
    ) -> UsageEvent:
        """One event by its id, or by its event_id with `subscription` and `component`; corrections are their own."""
        found = store.get(scope.tx, event)
        if found is None and subscription is not None and component is not None:
            found = store.find(scope.tx, scope.subscription(subscription).id, component, event)
        if found is None:
            raise not_found("usage", event, [])
        return found

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        component: Code | None = None,
        after: UsageRef | None = None,
        limit: Count = 50,
    ) -> list[UsageEvent]:
        """A subscription's events in the order of recording; `after` is the id of the last of the page before."""
        sub = scope.subscription(subscription)
        return store.page(scope.tx, sub.id, component=component, after=after, limit=limit)


def _needed(name: str, value: object) -> object:
    if value is None:
        raise Refused("invalid_parameter", f"{name} is missing.", remedy=f"Give {name}.", parameter=name)
    return value


def _subscription(scope: Scope, named: str | None, customer: str | None, component: str) -> Subscription:
    """The subscription that is named, or the customer's one running subscription that has or may have the component."""
    if named is not None:
        sub = scope.subscription(named)
        if customer is not None and scope.customer(customer).id not in (sub.customer_id, sub.owner_id):
            raise InvalidValue(
                f"Subscription {sub.reference} is not of customer {customer}.",
                remedy="Name one of the two.",
                parameter="customer",
            )
        return sub
    owner = scope.customer(str(_needed("subscription", customer)))
    running = [sub for sub in subscriptions.of_customers(scope.tx, [owner.id], scope.catalog.coupons) if _runs(sub)]
    having = [
        sub for sub in running if any(item.component == component and item.ended_at is None for item in sub.items)
    ]
    if not having:
        prices = scope.prices({sub.price_id for sub in running})
        product_of = scope.catalog.catalog.product_of
        having = [sub for sub in running if offers(product_of(prices[sub.price_id]), component)]
    if len(having) == 1:
        return having[0]
    names = ", ".join(sub.reference for sub in having) or "none"
    raise InvalidValue(
        f"Customer {owner.reference} has or may have {component} on {len(having)} running subscriptions: {names}.",
        remedy="Name the subscription.",
        parameter="subscription",
        subscriptions=[sub.reference for sub in having],
    )


def _runs(sub: Subscription) -> bool:
    """Whether it takes usage: it has begun, if only with a trial, and has not ended."""
    return sub.state not in END and sub.state not in ("pending", "awaiting_signup")


def _require_within(sub: Subscription, at: datetime, now: datetime) -> None:
    """Refuse an instant at which nothing was there to be used: no period would ever bill it."""
    if at > now:
        raise InvalidValue(
            f"timestamp {at.isoformat()} lies in the future.",
            remedy="Record usage after it happened.",
            parameter="timestamp",
        )
    began = min(one for one in (sub.created_at, sub.starts_at, sub.activated_at) if one is not None)
    if at < began:
        raise InvalidValue(
            f"timestamp {at.isoformat()} lies before subscription {sub.reference} began, at {began.isoformat()}.",
            remedy="Record usage of the subscription that ran then.",
            parameter="timestamp",
        )


def _attached(scope: Scope, sub: Subscription, component: str) -> tuple[Subscription, Item]:
    """The subscription with the component, attached with its first price where it was not."""
    item = next((one for one in sub.items if one.component == component and one.ended_at is None), None)
    if item is not None:
        return sub, item
    item = new_item(scope, sub, component, Decimal(0), sub.period_start or scope.now)
    scope.writes.add(item)
    with_it = evolve(sub, items=(*sub.items, item))
    attached = planned(with_it)
    if attached.next_action_at != sub.next_action_at:  # Its own interval ends before the product's.
        scope.writes.put(attached)
    return attached, item


def _came(scope: Scope, sub: Subscription) -> None:
    """What follows from usage, more of it or less: a bill at a threshold, a comparison with the money."""
    bill_crossed(scope, sub)
    if sub.collection == "prepaid":
        usage_came(scope, sub.id)


def _check_measure(scope: Scope, component: str, quantity: Decimal, properties: Mapping[str, str]) -> None:
    kind = scope.catalog.catalog.component(component)
    if kind.kind != "metered":
        raise InvalidValue(
            f"Component {component} is not metered.",
            remedy="Usage is recorded on metered components.",
            parameter="component",
        )
    value_of(kind, quantity, properties)


def _repeated(earlier: UsageEvent, quantity: Decimal, properties: Mapping[str, str] | None) -> UsageEvent:
    if earlier.quantity != quantity:
        raise Refused(
            "idempotency_conflict",
            f"Event {earlier.event_id} was recorded with quantity {earlier.quantity}, not {quantity}.",
            remedy="Use a new event_id, or set it to another quantity with usage.correct.",
            field="quantity",
        )
    if properties is not None and dict(properties) != dict(earlier.properties):
        raise Refused(
            "idempotency_conflict",
            f"Event {earlier.event_id} was recorded with other properties.",
            remedy="Use a new event_id.",
            field="properties",
        )
    return earlier
