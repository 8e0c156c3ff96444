"""What customers owe and have, and what was given or given back, on the screen."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from billcore.cli.output.refunds import refund_line
from billcore.cli.output.screen import money, table
from billcore.cli.output.view import View
from billcore.commands.adjusting import Adjustment
from billcore.commands.crediting import ToAccount
from billcore.commands.invoices import GivenBack
from billcore.commands.subscription_extras import Charge
from billcore.domain.credit import Credit
from billcore.domain.invoice import CreditNote, Invoice
from billcore.domain.payment import Payment
from billcore.store.balance import Balance

ACCOUNTS: Mapping[str, str] = {
    "service_credits": "service credit",
    "credits": "credit",
    "prepayments": "prepayment",
}
_TO: Mapping[str, str] = {
    "credit": "is the customer's credit",
    "refund": "is given back as a refund",
    "invoice": "is not due any more",
}


_TO_ACCOUNT: Mapping[str, str] = {
    "credits": "is the customer's credit",
    "service_credits": "is his service credit again",
    "prepayments": "is his prepayment again",
}


def balance_list(balances: Sequence[Balance]) -> RenderableType:
    """One row for each currency."""
    return table(
        ("currency", ">due", ">credit", ">service credit", ">prepayment", ">lifetime value"),
        [
            (
                one.currency,
                money(one.due, one.currency),
                money(one.credit, one.currency),
                money(one.service_credit, one.currency),
                money(one.prepayment, one.currency),
                money(one.lifetime_value, one.currency),
            )
            for one in balances
        ],
    )


def balance_text(balances: Sequence[Balance]) -> str:
    """What there is, for a customer's page, one below the other: "12.00 USD due (overdue)", "5.00 USD credit"."""
    return "\n".join(text for one in balances for text in _amounts(one))


def _amounts(one: Balance) -> Iterator[str]:
    if one.due:
        yield f"{money(one.due, one.currency)} due{' (overdue)' if one.overdue else ''}"
    for value, name in (
        (one.credit, "credit"),
        (one.service_credit, "service credit"),
        (one.prepayment, "prepayment"),
        (one.lifetime_value, "paid and kept"),
    ):
        if value:
            yield f"{money(value, one.currency)} {name}"


def credit_list(view: View, credits: Sequence[Credit]) -> RenderableType:
    """One row for each credit."""
    return table(
        ("kind", "since", "until", ">given", ">left"),
        [
            (
                ACCOUNTS[one.account],
                view.date(one.created_at),
                view.date(one.expires_at),
                money(one.amount, one.currency),
                money(one.remaining, one.currency),
            )
            for one in credits
        ],
    )


def credit_line(view: View, one: Credit) -> Text:
    """What a gift came to."""
    used = one.amount - one.remaining
    paid = f"; {money(used, one.currency)} of it paid open invoices at once" if used else ""
    whole = f"Service credit of {money(one.amount, one.currency)} for {view.customer(one.customer_id)}"
    return Text(f"{whole} added{paid}.")


def payment_line(view: View, one: Payment) -> Text:
    """What a payment by hand came to."""
    rest = one.captured - one.applied
    parts = [f"{money(one.applied, one.currency)} pay invoices"] if one.applied else []
    parts += [f"{money(rest, one.currency)} are paid in advance"] if rest else []
    whole = f"Payment of {money(one.amount, one.currency)} by {view.customer(one.customer_id)} recorded"
    return Text(f"{whole}: {' and '.join(parts)}.")


def invoice_line(one: Invoice) -> Text:
    """What a command has made of an invoice."""
    called = f"Invoice {one.number_text or one.reference or one.id} is {one.status}"
    if one.status == "draft":
        total = money(one.total, one.currency)
        dropped = one.discarded_at is not None
        return Text(f"Draft {one.id} is discarded." if dropped else f"{called}: {total}, nothing is due yet.")
    due = money(one.due, one.currency)
    if one.status == "uncollectible":
        return Text(f"{called}: {due} were given up.")
    return Text(f"{called}{f': {due} are due' if one.due else ''}.")


def by_hand(view: View, made: Charge | Adjustment) -> RenderableType:
    """What a charge, or setting a balance, came to."""
    return _charge_line(made) if isinstance(made, Charge) else _adjustment(view, made)


def _charge_line(made: Charge) -> Text:
    """What a charge by hand came to."""
    if made.invoice is not None:
        return invoice_line(made.invoice)
    assert made.line is not None
    billed = "billed with the next invoice of"
    return Text(f"{made.line.description} is {billed} {made.subscription}.")


def _adjustment(view: View, made: Adjustment) -> RenderableType:
    """What setting a balance came to: the documents, and where it stands."""
    parts = [Text(note_line(note, ())) for note in made.credit_notes]
    if made.invoice is not None:
        parts.append(invoice_line(made.invoice))
    stood, stands = money(made.before, made.currency), money(made.after, made.currency)
    return Group(*parts, Text(f"The balance of {view.customer(made.customer_id)} was {stood} and is {stands}."))


def given_back(made: GivenBack) -> RenderableType:
    """What crediting an invoice came to, one line each."""
    lines = [Text(note_line(note, made.accounts)) for note in made.credit_notes]
    lines += [Text(refund_line(refund)) for refund in made.refunds]
    return Group(*lines, invoice_line(made.invoice))


def note_line(note: CreditNote, accounts: Sequence[ToAccount]) -> str:
    """Credit note CN-1: 14.00 USD is the customer's credit, 6.00 USD is his service credit again."""
    given = [one for one in accounts if one.credit_note_id == note.id]
    parts = [f"{money(one.amount, note.currency)} {_TO_ACCOUNT[one.account]}" for one in given]
    rest = note.total - sum(one.amount for one in given)
    if rest or not parts:
        parts.insert(0, f"{money(rest, note.currency)} {_TO[note.to]}")
    return f"Credit note {note.number_text or ''}: {', '.join(parts)}."
