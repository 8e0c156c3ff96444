"""Add-ons take the dates of a base that begins a new period (behaviour 6.6)."""

from collections.abc import Collection
from datetime import datetime

from billcore.commands.changing import change_step
from billcore.commands.facts import facts_for
from billcore.commands.scope import Scope
from billcore.domain.addons import with_dates_of
from billcore.domain.change import Target, Wish
from billcore.domain.facts import schedule_of
from billcore.domain.step import Step
from billcore.domain.values import evolve
from billcore.store import subscription as subscriptions


def addon_steps(scope: Scope, base: Step, at: datetime, without: Collection[str] = ()) -> list[Step]:
    """Add-ons of a base that began a new period take its dates: theirs ends and begins with it (behaviour 6.6).

    Those `without` (ids) have taken them already.
    """
    made = []
    sub = base.subscription
    for addon in subscriptions.addons(scope.tx, [sub.id], scope.catalog.coupons):
        if addon.ended_at is not None or addon.anchor is None or sub.anchor is None or addon.id in without:
            continue
        if addon.period_end is not None and addon.period_end <= at:
            # Its own renewal is due: that closes its period and begins the next one with these dates.
            scope.writes.put(with_dates_of(sub, addon))
            continue
        customer = scope.customer(addon.customer_id)
        # Its base may end at another time from now on.
        facts = evolve(facts_for(scope, addon, customer, at), base=sub)
        assert facts.price.every is not None
        anchored = schedule_of(sub, facts.price.every, facts.zone, facts.settings)
        wish = Wish(at, "prorated", "reset", billing_day=sub.billing_day or 0, anchored=anchored)
        made.append(change_step(scope, addon, facts, Target(facts, addon.quantity), wish))
    return made
