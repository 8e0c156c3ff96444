"""Invoices, credit notes and previews on the screen."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from billcore.cli.output.payments import attempts
from billcore.cli.output.screen import fields, money, state, table
from billcore.cli.output.subscriptions import ACTIONS
from billcore.cli.output.view import View
from billcore.commands.invoices import InvoicePreview
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.domain.money import decimal_text, format_minor


def invoice_list(view: View, invoices: Sequence[Invoice]) -> RenderableType:
    """One row for each invoice."""
    customers = view.customers(one.customer_id for one in invoices)
    return table(
        ("number", "~customer", "status", "issued", "for", ">total", ">due"),
        [
            (
                one.number_text or one.reference or "-",
                customers[one.customer_id],
                status(one),
                view.date(one.issued_at),
                one.purpose,
                money(one.total, one.currency),
                money(one.due, one.currency) if one.due and one.status == "open" else "",
            )
            for one in invoices
        ],
    )


def invoice_page(view: View, one: Invoice, *, stored: bool = True) -> RenderableType:
    """One invoice as its reader gets it, with the attempts to collect it."""
    head = fields(
        [
            ("invoice", one.number_text or "without a number yet"),
            ("reference", one.reference),
            ("customer", view.customer(one.customer_id)),
            ("status", status(one)),
            ("for", one.purpose),
            ("issued", view.day(one.issued_at)),
            ("due", view.day(one.due_at)),
            ("next attempt", view.day(one.collect_at) if stored else None),
            ("id", one.id if stored else None),
        ]
    )
    parts: list[RenderableType] = [head, _lines(view, one.lines, one.currency), _sums(_totals(one))]
    if stored:
        made = view.billing.payments.list(invoice=one.id)
        if made:
            parts += [Text(), attempts(view, made)]
        notes = view.billing.invoices.credit_notes(invoice=one.id)
        if notes:
            parts += [Text(), note_list(view, notes)]
    return Group(*parts)


def note_list(view: View, notes: Sequence[CreditNote]) -> RenderableType:
    """One row for each credit note."""
    customers = view.customers(one.customer_id for one in notes)
    return table(
        ("number", "~customer", "issued", "to", ">total"),
        [
            (
                one.number_text or "-",
                customers[one.customer_id],
                view.date(one.issued_at),
                one.to,
                money(one.total, one.currency),
            )
            for one in notes
        ],
    )


def note_page(view: View, one: CreditNote) -> RenderableType:
    """One credit note."""
    head = fields(
        [
            ("credit note", one.number_text or "without a number yet"),
            ("customer", view.customer(one.customer_id)),
            ("given as", one.to),
            ("issued", view.day(one.issued_at)),
            ("reason", one.reason),
        ]
    )
    sums = _sums([("given back", money(one.total, one.currency))])
    return Group(head, _lines(view, one.lines, one.currency), sums)


def preview_page(view: View, preview: InvoicePreview) -> RenderableType:
    """What a subscription's next action would bill."""
    happens = ACTIONS[preview.action]
    parts: list[RenderableType] = [Text(f"When {preview.subscription} {happens}, nothing of it is stored:", "bold")]
    if preview.invoice is not None:
        parts.append(invoice_page(view, preview.invoice, stored=False))
    if preview.credit_note is not None:
        parts.append(note_page(view, preview.credit_note))
    if len(parts) == 1:
        parts.append(Text("It bills nothing."))
    return Group(*parts)


def status(one: Invoice) -> Text:
    """The status, and whether the invoice is overdue or its payment in doubt."""
    mark = " in doubt" if one.reserved_by else " overdue" if one.overdue else ""
    return state(one.status, mark)


def _lines(view: View, lines: Sequence[Line], currency: str) -> RenderableType:
    """Lines of a document; amounts are in its currency. Columns that hold nothing are left out."""
    discounted, taxed = any(line.discount for line in lines), any(line.tax for line in lines)
    whose = view.billed_for(lines)
    titles = ["~line", *(["~of"] if whose else []), "period", ">quantity", ">amount"]
    titles += [">discount"] if discounted else []
    titles += [">tax"] if taxed else []
    rows = []
    for line in lines:
        row = [
            line.description or line.kind,
            *([whose.get(line.id, "")] if whose else []),
            view.span(line.start, line.end),
            decimal_text(line.quantity),
            format_minor(line.amount, currency),
        ]
        row += [format_minor(-line.discount, currency)] if discounted else []
        row += [format_minor(line.tax, currency) + ("*" if line.tax_included else "")] if taxed else []
        rows.append([*row, format_minor(line.total, currency)])
    return Group(Text(), table([*titles, ">total"], rows), Text())


def _totals(one: Invoice) -> list[tuple[str, str]]:
    parts: Mapping[str, int] = {
        "subtotal": one.subtotal,
        "discount": -one.discount,
        "tax": one.tax,
        "of it included *": -one.tax_included,
        "total": one.total,
        "credited": -one.credited,
        "paid": -one.paid,
    }
    shown = [(name, money(value, one.currency)) for name, value in parts.items() if value or name == "total"]
    return [*shown, ("due", money(one.due, one.currency))]


def _sums(rows: Sequence[tuple[str, str]]) -> Table:
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made
