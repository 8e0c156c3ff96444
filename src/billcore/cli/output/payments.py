"""Payments on the screen."""

from collections.abc import Sequence

from attrs import evolve
from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output import refunds
from billcore.cli.output.screen import fields, money, state, table, wide
from billcore.cli.output.view import View
from billcore.domain.payment import Payment
from billcore.domain.words import counted


def payment_list(view: View, payments: Sequence[Payment]) -> RenderableType:
    """One row for each attempt."""
    customers = view.customers(one.customer_id for one in payments)
    ids = {one.invoice_id for one in payments if one.invoice_id is not None}
    numbers = {id_: view.billing.invoices.get(id_).number_text for id_ in ids}
    titles = ("at", "~customer", "invoice", "status", ">amount", "~answer", "payment")
    rows = [
        (
            view.day(one.created_at),
            customers[one.customer_id],
            numbers.get(one.invoice_id or "") or one.method or "-",
            state(one.status),
            money(one.amount, one.currency),
            short_answer(one),
            one.id,
        )
        for one in payments
    ]
    if wide():
        return table(titles, rows)
    made = table(titles[:-1], [row[:-1] for row in rows])
    return Group(made, Text("Ids of payments: --json, or a wider window.", "dim"))


def attempts(view: View, payments: Sequence[Payment]) -> RenderableType:
    """The attempts to collect one invoice."""
    return table(
        ("attempt", "at", "status", ">amount", "~answer"),
        [
            (
                f"{one.attempt} ({one.cause})" if one.attempt else f"by hand{f' ({one.method})' if one.method else ''}",
                view.day(one.created_at),
                state(one.status),
                money(one.amount, one.currency),
                short_answer(one),
            )
            for one in payments
        ],
    )


def payment_page(view: View, one: Payment) -> RenderableType:
    """Everything about one attempt."""
    invoice = view.billing.invoices.get(one.invoice_id) if one.invoice_id is not None else None
    pays = "\n".join(f"{money(amount, one.currency)} of invoice {number}" for number, amount in view.paid_by(one.id))
    page = fields(
        [
            ("payment", one.id),
            ("customer", view.customer(one.customer_id)),
            ("invoice", (invoice.number_text or invoice.id) if invoice is not None else None),
            ("status", state(one.status)),
            ("amount", money(one.amount, one.currency)),
            ("captured", money(one.captured, one.currency) if one.captured != one.amount else None),
            ("refunded", money(one.refunded, one.currency) if one.refunded else None),
            ("attempt", f"{one.attempt} ({one.cause}), sent {counted(one.sends, 'time')}" if one.attempt else None),
            ("recorded as", one.method),
            ("pays", pays),
            ("gateway", one.gateway),
            ("its id there", one.gateway_id),
            ("answer", answer(one)),
            ("made", view.day(one.created_at)),
            ("settled", view.day(one.settled_at)),
            ("asked again", view.day(one.next_check_at)),
            ("parked", one.parked_reason),
        ]
    )
    back = view.billing.refunds.list(payment=one.id, limit=1000)
    return Group(page, Text(), refunds.of_payment(view, back)) if back else page


def short_answer(one: Payment) -> str:
    """The answer where something is left to do or to know."""
    if one.status == "failed":
        return answer(evolve(one, message=None)) or one.message or ""
    return "" if one.status in ("succeeded", "canceled") else one.message or one.action_url or ""


def answer(one: Payment) -> str:
    """What the gateway said, where it is more than yes."""
    parts = (one.decline_code, one.decline_kind and f"({one.decline_kind})", one.message, one.action_url)
    return " ".join(part for part in parts if part)
