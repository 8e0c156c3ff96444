"""What is known of a subscription beyond its row, on the screen: its story, its money, what it will bill."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output.screen import fields, money, state, table
from billcore.cli.output.subscriptions import ACTIONS, awaited_line, subscription_page
from billcore.cli.output.view import View
from billcore.commands.forecasting import Forecast
from billcore.commands.subscription_attach import Attached
from billcore.commands.subscription_outlook import NextBilling, Summary
from billcore.commands.timeline import Happening


def forecast_list(view: View, forecasts: Sequence[Forecast]) -> RenderableType:
    """One row for each action to come, and what they come to."""
    rows = []
    for one in forecasts:
        document = one.invoice or one.credit_note
        lines = ", ".join(dict.fromkeys(line.description for line in document.lines)) if document is not None else ""
        total = money(one.invoice.total, one.currency) if one.invoice is not None else ""
        if one.credit_note is not None:
            total = money(-one.credit_note.total, one.currency)
        rows.append(
            (view.day(one.at), ACTIONS[one.action], state(one.state), lines, total, money(one.due, one.currency))
        )
    made = table(("date", "what", "then", "~for", ">total", ">to pay"), rows)
    whole = money(sum(one.due for one in forecasts), forecasts[0].currency)
    return Group(made, Text(f"{whole} to pay in all, if nothing else happens.", "dim"))


def timeline_list(view: View, happenings: Sequence[Happening]) -> RenderableType:
    """One row for each thing that happened or is planned."""
    rows = [
        (view.day(one.at), one.kind.replace("_", " "), one.text, _amount(one), one.actor or "") for one in happenings
    ]
    return table(("date", "kind", "~what", ">amount", "by"), rows)


def next_page(view: View, coming: NextBilling) -> RenderableType:
    """The next billing in a few words."""
    return fields(
        [
            ("next", view.day(coming.at)),
            ("why", ACTIONS.get(coming.why, coming.why)),
            ("to pay", money(coming.amount, coming.currency)),
        ]
    )


def summary_page(view: View, told: Summary) -> RenderableType:
    """A subscription's own page with its money below."""
    currency = told.subscription.currency
    paid = ", ".join(money(amount, code) for code, amount in told.paid.items())
    coming = told.next_billing
    rows: list[tuple[str, RenderableType | None]] = [
        ("subscriber since", view.day(told.since)),
        ("paid so far", paid or money(0, currency)),
        ("due", money(told.due, currency)),
        ("service credit", money(told.service_credit, currency) if told.service_credit else ""),
        ("credit", money(told.credit, currency) if told.credit else ""),
        ("prepayment", money(told.prepayment, currency) if told.prepayment else ""),
        ("next billing", f"{view.day(coming.at)}, {money(coming.amount, currency)}" if coming is not None else ""),
    ]
    return Group(subscription_page(view, told.subscription), Text(), fields(rows))


def attached_line(view: View, attached: Attached) -> str:
    """What an attach came to."""
    if attached.subscription is None:
        return f"Nothing is subscribed to yet: send the customer to {attached.checkout}"
    sub = attached.subscription
    price = view.prices([sub.price_id])[sub.price_id]
    match attached.action:
        case "downgrade":
            return f"Subscription {sub.reference} changes at its renewal; until then it has {price}."
        case "upgrade":
            awaited = awaited_line(view, sub)
            return awaited or f"Subscription {sub.reference} has {price} now: {sub.state}."
        case _:
            return f"Subscription {sub.reference} created with {price}: {sub.state}."


def _amount(one: Happening) -> str:
    return money(one.amount, one.currency) if one.amount is not None and one.currency is not None else ""
