"""Add-ons as subscriptions of their own: when they end with their base, and when they take its dates (6.6)."""

from billcore.domain.facts import Facts
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve


def base_is_over(sub: Subscription, facts: Facts) -> bool:
    """Whether an add-on ends with its base instead of what comes next for it.

    Its base may be due in the same batch or in another one: its known end says it all.
    """
    base, due = facts.base, sub.next_action_at
    if base is None or base.access_until is None or due is None:
        return False
    if base.ended_at is None and sub.next_action == "resume":
        return False  # A base on hold ends when it has resumed.
    if sub.next_action in ("cancel", "expire"):
        return base.access_until < due  # Its own end, at the same instant, comes as it was asked for.
    return base.access_until <= due


def begins_anew(step: Step) -> bool:
    """Whether a change begins a new period of other dates, at once or with a renewal."""
    before, after = step.before, step.subscription
    if step.purpose == "change":
        return step.renewal is not None or step.cut is not None
    moved = (before.anchor, before.billing_day) != (after.anchor, after.billing_day)
    return step.purpose == "renewal" and before.anchor is not None and moved


def with_dates_of(base: Subscription, addon: Subscription) -> Subscription:
    """An add-on whose periods from its next renewal on are counted as its base's."""
    return planned(evolve(addon, anchor=base.anchor, billing_day=base.billing_day))
