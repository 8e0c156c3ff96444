"""What gateways told by themselves, on the screen."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output.screen import fields, state, table, wide
from billcore.cli.output.view import View
from billcore.domain.inbox import InboxEvent
from billcore.domain.words import counted


def event_list(view: View, events: Sequence[InboxEvent]) -> RenderableType:
    """One row for each event."""
    customers = view.customers(one.customer_id for one in events if one.customer_id is not None)
    titles = ("received", "gateway", "~event", "status", "~customer", "~why", "webhook")
    rows = [
        (
            view.day(one.received_at),
            one.gateway,
            one.text or one.kind,
            state(one.status),
            customers.get(one.customer_id or "", ""),
            one.reason or "",
            one.id,
        )
        for one in events
    ]
    if wide():
        return table(titles, rows)
    made = table(titles[:-1], [row[:-1] for row in rows])
    return Group(made, Text("Ids of webhooks: --json, or a wider window.", "dim"))


def event_page(view: View, one: InboxEvent) -> RenderableType:
    """Everything about one event, and the delivery as it came."""
    return fields(
        [
            ("webhook", one.id),
            ("gateway", one.gateway),
            ("its id there", one.key),
            ("event", one.text or one.kind),
            ("status", state(one.status)),
            ("why", one.reason),
            ("customer", view.customer(one.customer_id) if one.customer_id is not None else None),
            ("received", view.day(one.received_at)),
            ("tried", counted(one.tries, "time")),
            ("tried again", view.day(one.next_try_at) if one.next_try_at is not None else None),
            ("done", view.day(one.done_at) if one.done_at is not None else None),
            ("read in it", one.event),
            ("body", one.body or "It stands with the first event of its delivery."),
        ]
    )


def event_line(one: InboxEvent) -> Text:
    """What a command has made of an event."""
    if one.status == "waiting":
        return Text(f"Webhook {one.id} is worked on by the next billcore run.")
    return Text(f"Webhook {one.id} {one.status}.")
