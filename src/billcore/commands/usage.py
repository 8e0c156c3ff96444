"""Usage of metered components."""

from datetime import datetime
from decimal import Decimal
from typing import Unpack

from attrs import evolve

from billcore.commands.components import new_item
from billcore.commands.parameters import (
    Code,
    Options,
    PreciseInstant,
    Reference,
    SignedQuantity,
    SubscriptionRef,
)
from billcore.commands.prepaid import usage_came
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.states import END
from billcore.domain.step import planned
from billcore.domain.usage import UsageEvent
from billcore.errors import InvalidValue, Refused
from billcore.store import usage as store


class Usage(Noun):
    """Usage of metered components."""

    noun = "usage"

    @verb()
    def record(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        component: Code,
        quantity: SignedQuantity,
        *,
        timestamp: PreciseInstant | None = None,
        event_id: Reference | None = None,
        **options: Unpack[Options],
    ) -> UsageEvent:
        """Record what was consumed; events are summed and billed in arrears. Negative quantities correct.

        `event_id` makes a repeat harmless: the same id with the same quantity is answered with the first event,
        with another one it is refused (idempotency_conflict). A component that is not attached is attached with
        its first price. Paid in advance, a subscription whose usage is not covered is suspended (behaviour 9.8). Raises
        component_not_offered, invalid_value (not metered, a time to come), and
        transition_not_allowed when the subscription has ended.
        """
        sub = scope.subscription(subscription)
        if sub.state in END or sub.state == "pending":
            raise Refused(
                "transition_not_allowed",
                f"Subscription {sub.reference} is {sub.state}; it takes no usage.",
                remedy="Record usage on a running subscription.",
                state=sub.state,
            )
        at = timestamp if isinstance(timestamp, datetime) else scope.now
        if at > scope.now:
            raise InvalidValue(
                f"timestamp {at.isoformat()} lies in the future.", remedy="Record usage after it happened."
            )
        assert isinstance(quantity, Decimal)
        if event_id is not None:
            earlier = store.find(scope.tx, sub.id, component, event_id)
            if earlier is not None:
                return _repeated(earlier, quantity)
        item = next((one for one in sub.items if one.component == component and one.ended_at is None), None)
        if item is None:
            item = new_item(scope, sub, component, Decimal(0), sub.period_start or scope.now)
            scope.writes.add(item)
            attached = planned(evolve(sub, items=(*sub.items, item)))
            if attached.next_action_at != sub.next_action_at:  # Its own interval ends before the product's.
                scope.writes.put(attached)
        if scope.catalog.catalog.component(component).kind != "metered":
            raise InvalidValue(
                f"Component {component} is not metered.",
                remedy="Usage is recorded on metered components.",
                parameter="component",
            )
        new_id = scope.new_id("use")
        event = UsageEvent(
            new_id, sub.customer_id, sub.id, item.id, component, event_id or new_id, quantity, at, scope.now
        )
        scope.writes.add(event)
        if sub.collection == "prepaid":
            usage_came(scope, sub.id)
        return event


def _repeated(earlier: UsageEvent, quantity: Decimal) -> UsageEvent:
    if earlier.quantity != quantity:
        raise Refused(
            "idempotency_conflict",
            f"Event {earlier.event_id} was recorded with quantity {earlier.quantity}, not {quantity}.",
            remedy="Use a new event_id, or correct with a negative quantity.",
            field="quantity",
        )
    return earlier
