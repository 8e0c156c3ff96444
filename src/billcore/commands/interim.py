"""Billing usage outside of renewals: when it crosses a threshold, and when a past period is rated again (12)."""

from datetime import datetime

from attrs import frozen

from billcore.commands.cancellation import NOW_INCLUDED
from billcore.commands.facts import facts_for
from billcore.commands.metered import past_window
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_now
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.money import minor_units
from billcore.domain.rating import crosses, interim_lines, rate
from billcore.domain.states import BILLING
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue


@frozen
class Rerated:
    """What rating a past period again came to: minor units as priced, before discount and tax.

    `billed` is what its lines billed so far, `difference` what was billed (positive) or credited (negative) now.
    """

    subscription: str
    component: str
    start: datetime
    end: datetime
    currency: str
    billed: int
    difference: int


def bill_crossed(scope: Scope, sub: Subscription) -> None:
    """Invoice the running period's unbilled usage if it reaches the next threshold of the subscription's price."""
    price = scope.prices([sub.price_id])[sub.price_id]
    running = sub.state in BILLING and sub.sequence > 0 and sub.period_end is not None and sub.period_end > scope.now
    if not price.thresholds or not running:
        return
    scope.flush()  # The event that was recorded counts.
    customer = scope.customer(sub.customer_id)
    until = scope.now + NOW_INCLUDED
    facts = facts_for(scope, sub, customer, until)
    lines = [line for item in sub.items if item.ended_at is None for line in interim_lines(sub, item, facts, scope.now)]
    amount = sum(line.amount for line in lines)
    if crosses(price.thresholds, _so_far(sub, facts), amount, minor_units(1, sub.currency)):
        bill_now(scope, _step(sub, lines, until), customer)


def _so_far(sub: Subscription, facts: Facts) -> int:
    """How many interim invoices the running period has had."""
    windows = [facts.usage[item.id].now for item in sub.items if item.id in facts.usage]
    return len({one.line.invoice_id for window in windows if window for one in window.billed if one.interim})


def rerate(scope: Scope, sub: Subscription, component: str, at: datetime) -> Rerated:
    """Rate the past period of a component that holds `at` once more, at the price it has now; bill the difference.

    Raises InvalidValue where no period of it that was billed holds that instant.
    """
    customer = scope.customer(sub.customer_id)
    facts = facts_for(scope, sub, customer, scope.now)
    for item in sub.items:
        lasted = item.ended_at is None or at < item.ended_at
        window = past_window(scope, sub, item, at, customer) if item.component == component and lasted else None
        if window is None:
            continue
        lines = rate(sub, item, facts, window, facts.prices[item.price_id], late=True)
        difference = sum(line.amount for line in lines)
        if lines:
            bill_now(scope, _step(sub, lines, scope.now + NOW_INCLUDED), customer)
        billed = sum(one.amount for one in window.billed)
        period = window.period
        return Rerated(sub.reference, component, period.start, period.end, sub.currency, billed, difference)
    raise InvalidValue(
        f"No period of {component} on subscription {sub.reference} that was billed holds {at:%Y-%m-%d}.",
        remedy="Name an instant of a past period; the running one is rated when it ends.",
        parameter="period",
    )


def _step(sub: Subscription, lines: list[DraftLine], until: datetime) -> Step:
    """An invoice of its own for usage; the subscription stays as it is."""
    items = tuple(dict.fromkeys(line.item_id for line in lines if line.item_id is not None))
    return Step(sub, sub, "usage", tuple(lines), usage=items, usage_until=until, collects=sub.state != "unpaid")
