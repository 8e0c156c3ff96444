"""What the work of bases makes of their add-ons: they end with them, and take their dates (behaviour 6.6)."""

from collections.abc import Collection, Sequence
from datetime import datetime

from billcore.commands.addons import addon_steps
from billcore.commands.cancellation import end_with_base
from billcore.commands.facts import customers_of, load_facts
from billcore.commands.scope import Scope
from billcore.domain.addons import begins_anew
from billcore.domain.customer import Customer
from billcore.domain.step import Step
from billcore.domain.values import evolve
from billcore.store import subscription as subscriptions

Steps = Sequence[tuple[Step, datetime]]
"""Each step with the instant it was due."""


def with_addons(
    scope: Scope, steps: Steps, moments: dict[str, datetime], customers: dict[str, Customer]
) -> list[tuple[Step, datetime]]:
    """The steps with those of add-ons that go with their bases, whatever their own next action would be.

    `moments` (by subscription id) and `customers` (by id) learn of those that were not due by themselves.
    """
    mine = {step.before.id for step, _ in steps}
    more = [*_ended(scope, steps, mine, moments), *_begun(scope, steps, mine, moments)]
    missing = [step.before for step, _ in more if step.before.customer_id not in customers]
    if missing:  # Who pays for an add-on may be somebody else.
        customers |= customers_of(scope, missing)
    return [*steps, *more]


def _ended(
    scope: Scope, steps: Steps, mine: Collection[str], moments: dict[str, datetime]
) -> list[tuple[Step, datetime]]:
    ended = {
        step.subscription.id: (step.subscription, due)
        for step, due in steps
        if step.subscription.ended_at is not None and step.subscription.base_id is None
    }
    addons = [
        addon
        for addon in subscriptions.addons(scope.tx, ended, scope.catalog.coupons)
        if addon.ended_at is None and addon.id not in mine
    ]
    if not addons:
        return []
    owners = customers_of(scope, addons)
    facts = load_facts(scope, addons, {addon.id: ended[addon.base_id or ""][1] for addon in addons}, owners)
    more = []
    for addon in addons:
        base, due = ended[addon.base_id or ""]
        moments[addon.id] = scope.now = moments[base.id]
        more.append((end_with_base(scope, addon, evolve(facts[addon.id], base=base), scope.now), due))
    return more


def _begun(
    scope: Scope, steps: Steps, mine: Collection[str], moments: dict[str, datetime]
) -> list[tuple[Step, datetime]]:
    begun = {
        step.subscription.id: (step, due)
        for step, due in steps
        if step.subscription.base_id is None and begins_anew(step)
    }
    addons = subscriptions.addons(scope.tx, begun, scope.catalog.coupons)
    more = []
    for base_id in dict.fromkeys(addon.base_id or "" for addon in addons):
        base, due = begun[base_id]
        scope.now = moments[base_id]
        for step in addon_steps(scope, base, due, mine):
            moments[step.before.id] = scope.now
            more.append((step, due))
    return more
