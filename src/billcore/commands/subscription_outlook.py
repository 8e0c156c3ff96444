"""What is known of a subscription beyond its own row: its story, its money, and what it will bill."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from attrs import frozen

from billcore.commands.forecasting import Forecast, forecast
from billcore.commands.parameters import Count, SubscriptionRef
from billcore.commands.scope import Scope
from billcore.commands.timeline import Happening, timeline
from billcore.commands.verb import Noun, verb
from billcore.domain.durations import Duration, add
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue
from billcore.store import crediting
from billcore.store import payment as payments
from billcore.store import timeline as store
from billcore.store.balance import balances

LONGEST_FORECAST = 120
"""Months: nobody's prices are known for longer than ten years."""


@frozen
class NextBilling:
    """When a subscription is billed or charged next, why, and how much, minor units of `currency` (behaviour 7.3).

    `why` is the action that bills, or due or retry of what is open; `amount` counts components, coupons, taxes and the
    customer's credits as things stand.
    """

    at: datetime
    why: str
    amount: int
    currency: str


@frozen
class Summary:
    """A subscription with its money: `paid` by payments so far, by currency, less what was refunded.

    `due` is what its payer owes in its currency, `service_credit`, `credit` and `prepayment` what he has.
    """

    subscription: Subscription
    since: datetime
    paid: Mapping[str, int]
    due: int
    service_credit: int
    credit: int
    prepayment: int
    next_billing: NextBilling | None


class Outlook(Noun):
    """Verbs that tell of a subscription and change nothing."""

    noun = "subscriptions"

    @verb(reads=True)
    def forecast(self, scope: Scope, subscription: SubscriptionRef, *, months: Count = 12) -> list[Forecast]:
        """What the subscription will bill in the next months, with coupons, taxes, phases and planned changes.

        The same decisions as when it happens (behaviour 3.8); usage counts as far as it is recorded. Raises
        invalid_value for more than 120 months.
        """
        if not 1 <= months <= LONGEST_FORECAST:
            raise InvalidValue(
                f"{months} months cannot be foreseen.", remedy=f"Give 1 to {LONGEST_FORECAST}.", parameter="months"
            )
        until = add(scope.now, Duration(months, "month"), scope.settings.timezone)
        return forecast(scope, scope.subscription(subscription), until)

    @verb(reads=True)
    def next_billing(self, scope: Scope, subscription: SubscriptionRef) -> NextBilling | None:
        """When and how much is billed or charged next: the earliest of renewal, due date and retry."""
        return _next(scope, scope.subscription(subscription))

    @verb(reads=True)
    def timeline(self, scope: Scope, subscription: SubscriptionRef) -> list[Happening]:
        """The story of a subscription: states, changes, documents, payments, and what is planned."""
        return timeline(scope, scope.subscription(subscription))

    @verb(reads=True)
    def summary(self, scope: Scope, subscription: SubscriptionRef) -> Summary:
        """A subscription with what was paid for it, what its payer owes and has, and what comes next."""
        sub = scope.subscription(subscription)
        held = [one for one in balances(scope.tx, [sub.customer_id], scope.now) if one.currency == sub.currency]
        due, gift, credit, prepaid = (
            (held[0].due, held[0].service_credit, held[0].credit, held[0].prepayment) if held else (0, 0, 0, 0)
        )
        paid = store.paid(scope.tx, {sub.customer_id, sub.owner_id or sub.customer_id}, sub.id)
        since = sub.activated_at or sub.created_at
        return Summary(sub, since, paid, due, gift, credit, prepaid, _next(scope, sub))


def _next(scope: Scope, sub: Subscription) -> NextBilling | None:
    """The earliest of what is collected of its open invoices, its dunning, and its next bill (behaviour 7.3)."""
    found: list[NextBilling] = []
    open_ones = crediting.still_due(scope.tx, sub.customer_id, sub.currency)
    mine = [invoice for invoice in open_ones if any(line.subscription_id == sub.id for line in invoice.lines)]
    for invoice in mine:
        if invoice.collect_at is not None:
            why: Literal["retry", "due"] = "retry" if invoice.overdue else "due"
            found.append(NextBilling(invoice.collect_at, why, invoice.due, sub.currency))
    case = payments.open_cases(scope.tx, [sub.customer_id]).get((sub.customer_id, sub.currency))
    if case is not None and case.next_step_at is not None and sub.state == "past_due":
        owed = sum(invoice.due for invoice in mine if invoice.overdue)
        found.append(NextBilling(case.next_step_at, "retry", owed, sub.currency))
    if sub.next_action_at is not None:
        ahead = forecast(scope, sub, sub.next_action_at)
        found += [NextBilling(one.at, one.action, one.due, sub.currency) for one in ahead[:1] if _bills(one)]
    return min(found, key=lambda one: one.at, default=None)


def _bills(one: Forecast) -> bool:
    return one.action in ("renew", "trial_end", "start") or one.due > 0
