"""Subscriptions and usage on the screen."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType

from billcore.cli.output.screen import fields, money, state, table
from billcore.cli.output.view import View
from billcore.commands.interim import Rerated
from billcore.domain.money import decimal_text
from billcore.domain.subscription import Subscription
from billcore.domain.usage import UsageEvent

ACTIONS: Mapping[str, str] = {
    "resume": "resumes",
    "cancel": "ends",
    "expire": "expires",
    "change": "changes",
    "start": "starts",
    "trial_end": "trial ends",
    "renew": "renews",
}


def subscription_list(view: View, subs: Sequence[Subscription]) -> RenderableType:
    """One row for each subscription."""
    customers = view.customers(sub.owner for sub in subs)
    prices = view.prices(sub.price_id for sub in subs)
    return table(
        ("~reference", "~customer", "state", "~price", "next"),
        [
            (
                sub.reference,
                customers[sub.owner],
                state(sub.state),
                _quantity(sub) + prices[sub.price_id],
                next_of(view, sub),
            )
            for sub in subs
        ],
    )


def subscription_page(view: View, sub: Subscription) -> RenderableType:
    """Everything about one subscription."""
    prices = view.prices([sub.price_id, *(item.price_id for item in sub.items)])
    items = [
        f"{decimal_text(item.quantity)} {item.component} at {prices[item.price_id]}"
        for item in sub.items
        if item.ended_at is None
    ]
    now = view.billing.clock.now()
    coupons = [applied.coupon.code for applied in sub.coupons if applied.holds(now)]
    base = view.subscriptions([sub.base_id])[sub.base_id]
    awaited = view.awaited(sub)
    return fields(
        [
            ("subscription", sub.reference),
            ("customer", view.customer(sub.owner)),
            ("paid for by", view.customer(sub.customer_id) if sub.owner_id is not None else None),
            ("state", state(sub.state)),
            ("price", _quantity(sub) + prices[sub.price_id]),
            ("components", "\n".join(items)),
            ("coupons", ", ".join(coupons)),
            ("add-on of", base),
            ("period", view.span(sub.period_start, sub.period_end)),
            ("trial until", view.day(sub.trial_until)),
            ("billings", str(sub.sequence)),
            ("next", next_of(view, sub)),
            ("planned", change_of(view, sub)),
            ("waits for", awaited.id if awaited is not None else None),
            ("resumes", view.day(sub.resume_at)),
            ("end", view.ending(sub)),
            ("reason", sub.cancel_reason),
            ("collection", sub.collection),
            ("net terms", f"{sub.net_terms} days" if sub.net_terms is not None else None),
            ("taxed", "exempt" if sub.tax_exempt else None),
            ("archived", view.day(sub.archived_at)),
            ("parked", sub.parked_reason),
            ("since", view.day(sub.created_at)),
            ("id", sub.id),
        ]
    )


def awaited_line(view: View, sub: Subscription) -> str | None:
    """That a command about a running subscription waits for its payment, and on which page; None where none does."""
    awaited = view.awaited(sub)
    if awaited is None:
        return None
    link = f"; the customer has to open {awaited.action_url}" if awaited.action_url else ""
    return f"Subscription {sub.reference} waits for payment {awaited.id}{link}; until then it stays as it is."


def usage_list(view: View, events: Sequence[UsageEvent]) -> RenderableType:
    """One row for each event."""
    return table(
        ("~event", "~component", "quantity", "at", "~properties", "billed", "~id"),
        [
            (
                one.event_id,
                one.component,
                decimal_text(one.quantity),
                view.day(one.at),
                _properties(one),
                "yes" if one.line_id is not None else "no",
                one.id,
            )
            for one in events
        ],
    )


def usage_page(view: View, event: UsageEvent) -> RenderableType:
    """Everything about one event."""
    return fields(
        [
            ("event", event.event_id),
            ("subscription", view.subscriptions([event.subscription_id])[event.subscription_id]),
            ("component", event.component),
            ("quantity", decimal_text(event.quantity)),
            ("at", view.day(event.at)),
            ("properties", _properties(event)),
            ("corrects", event.corrects),
            ("billed", "yes" if event.line_id is not None else "no"),
            ("recorded", view.day(event.recorded_at)),
            ("id", event.id),
        ]
    )


def rerated_line(view: View, result: Rerated) -> str:
    """What rating a past period again came to."""
    what = f"{result.component} of {result.subscription}, {view.span(result.start, result.end)}"
    if not result.difference:
        return f"Usage rated again: {what}; nothing changes."
    done = "more are billed" if result.difference > 0 else "are given back"
    return f"Usage rated again: {what}; {money(abs(result.difference), result.currency)} {done}."


def _properties(event: UsageEvent) -> str:
    return ", ".join(f"{name}={text}" for name, text in sorted(event.properties.items()))


def next_of(view: View, sub: Subscription) -> str:
    """What happens next by itself, "" when nothing does."""
    if sub.parked_at is not None:
        return "parked: billcore doctor"
    if sub.state == "pending":
        return "payment without an outcome yet"
    if sub.next_action is None:
        return view.ending(sub)
    return f"{ACTIONS[sub.next_action]} {view.day(sub.next_action_at)}"


def change_of(view: View, sub: Subscription) -> str:
    """When the planned change comes into effect, "" without one."""
    if sub.change_id is None:
        return ""
    return f"changes on {view.day(sub.change_at)}" if sub.change_at is not None else "changes with its renewal"


def _quantity(sub: Subscription) -> str:
    return "" if sub.quantity == 1 else f"{decimal_text(sub.quantity)} x "
