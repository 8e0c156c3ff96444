"""Refunds on the screen."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output.screen import fields, money, state, table, wide
from billcore.cli.output.view import View
from billcore.domain.refund import Refund
from billcore.domain.words import counted

_WHERE = {"method": "to the payment method", "external": "outside", "credit": "as credit"}
_WHY = {
    "refund": "asked for",
    "late_success": "nothing wanted its money any more",
    "credit_note": "owed by a credit note",
    "payout": "paid out of what the customer had here",
    "lost": "given back once more, and lost",
}


def refund_list(view: View, refunds: Sequence[Refund]) -> RenderableType:
    """One row for each refund."""
    customers = view.customers(one.customer_id for one in refunds)
    titles = ("at", "~customer", "to", "status", ">amount", "~answer", "refund")
    rows = [
        (
            view.day(one.created_at),
            customers[one.customer_id],
            one.to,
            state(one.status, " (owed)" if one.is_owed else ""),
            money(one.amount, one.currency),
            _answer(one) if one.status in ("failed", "unknown") else "",
            one.id,
        )
        for one in refunds
    ]
    if wide():
        return table(titles, rows)
    made = table(titles[:-1], [row[:-1] for row in rows])
    return Group(made, Text("Ids of refunds: --json, or a wider window.", "dim"))


def of_payment(view: View, refunds: Sequence[Refund]) -> RenderableType:
    """The refunds of one payment, below its page."""
    return table(
        ("refund", "at", "to", "status", ">amount", "~answer"),
        [
            (
                str(one.attempt),
                view.day(one.created_at),
                one.to,
                state(one.status, " (owed)" if one.is_owed else ""),
                money(one.amount, one.currency),
                _answer(one) if one.status in ("failed", "unknown") else "",
            )
            for one in refunds
        ],
    )


def refund_page(view: View, one: Refund) -> RenderableType:
    """Everything about one refund."""
    notes = {note.id: note.number_text for note in view.billing.invoices.credit_notes(customer=one.customer_id)}
    invoice = view.billing.invoices.get(one.invoice_id).number_text if one.invoice_id is not None else None
    return fields(
        [
            ("refund", one.id),
            ("customer", view.customer(one.customer_id)),
            ("payment", one.payment_id),
            ("invoice", invoice),
            ("credit note", notes.get(one.credit_note_id or "")),
            ("status", state(one.status, " (owed)" if one.is_owed else "")),
            ("amount", money(one.amount, one.currency)),
            ("goes", _WHERE[one.to]),
            ("made because", f"{_WHY[one.cause]}{': ' + one.reason if one.reason else ''}"),
            ("makes good", one.replaces),
            ("gateway", f"{one.gateway}, sent {counted(one.sends, 'time')}" if one.to == "method" else None),
            ("its id there", one.gateway_id),
            ("answer", _answer(one)),
            ("made", view.day(one.created_at)),
            ("settled", view.day(one.settled_at)),
            ("asked again", view.day(one.next_check_at)),
            ("waits", one.parked_reason),
        ]
    )


def refund_line(one: Refund) -> str:
    """What a command has made of it: "Refund of 10.00 USD to the payment method: succeeded."."""
    made = f"Refund of {money(one.amount, one.currency)} {_WHERE[one.to]}: {one.status}"
    if one.is_owed:
        return f"{made}. {one.parked_reason}; make it good: billcore refunds retry {one.id}"
    if one.status == "failed":
        return f"{made} ({_answer(one)}); its invoice is paid by it again."
    return f"{made}." if one.status == "succeeded" else f"{made}; its gateway is asked again."


def _answer(one: Refund) -> str:
    return " ".join(part for part in (one.decline_code, one.message) if part)
