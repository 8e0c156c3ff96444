"""Gives back of an invoice: the credit notes, what they are taken from, and what becomes of the invoice (8.6)."""

from collections.abc import Sequence

from attrs import evolve, frozen

from billcore.commands.bill import number_notes
from billcore.commands.receivables import apply_to_open, require_no_doubt, settle, written
from billcore.commands.returning import billed_of, give_back, returns_of
from billcore.commands.scope import Scope
from billcore.domain.bill import issue_note, note_for
from billcore.domain.compact import compact
from billcore.domain.credit import CreditAccount, Drawing
from billcore.domain.crediting import Asked, Billed, Parts, Piece, plan_credit
from billcore.domain.invoice import CreditNote, CreditTo, Invoice, Line
from billcore.errors import InvalidValue, NotFound
from billcore.store import crediting
from billcore.store import invoice as invoices


@frozen
class ToRefund:
    """What a credit note owes back to where a payment came from: `amount` minor units of payment `payment_id`."""

    payment_id: str
    amount: int
    credit_note_id: str


@frozen
class ToAccount:
    """What a credit note gave to one of the customer's accounts, in minor units: back to where it came from, or new."""

    credit_note_id: str
    account: CreditAccount
    amount: int


@frozen
class Credited:
    """What was given back: the invoice as it is now, the numbered notes, and what is still to be refunded."""

    invoice: Invoice
    notes: tuple[CreditNote, ...]
    refunds: tuple[ToRefund, ...] = ()
    accounts: tuple[ToAccount, ...] = ()


def credit_invoice(
    scope: Scope,
    invoice: Invoice,
    *,
    to: CreditTo = "credit",
    amount: int | None = None,
    lines: Sequence[str] | None = None,
    payment_id: str | None = None,
    reason: str | None = None,
) -> Credited:
    """Give back of an invoice: in full, `amount` minor units (tax included), or `lines` (by place, id or code).

    What is still due is reduced first, by a note to the invoice; the rest goes `to` credit or refund, each part back
    to the account that had paid it. With `payment_id` only what that payment paid is given back and what is due stays,
    as a refund of it wants. The notes are numbered and in the writes. `refunds` name what is owed to payments and has
    to be sent: the ledger holds it in `refunds` (a liability) until it has left. Several calls in one unit of work see
    each other's effects.

    Raises payment_in_doubt while an attempt on the invoice is open, amount_exceeds for more than is left (or than is
    due with `to = invoice`), transition_not_allowed for drafts and void ones, not_found for a line.
    """
    invoice = written(scope, invoice)
    if not invoice.lines:
        invoice = evolve(invoice, lines=invoices.by_ids(scope.tx, [invoice.id])[invoice.id].lines)
    require_no_doubt(scope, invoice)
    invoice.after("credit", invoice.status)
    billed = billed_of(scope, invoice)
    line_ids = None if lines is None else _chosen(invoice, lines)
    plan = plan_credit(billed, Asked(to, amount, line_ids, payment_id))
    notes, refunds, accounts = [], [], []
    for piece in plan.pieces:
        note, restored = _note(scope, billed, piece, reason)
        notes.append(note)
        accounts += _accounts(note, restored)
        if piece.to == "invoice":
            invoice = settle(scope, invoice, "credit", credited=piece.total)
        elif piece.to == "refund":
            refunds += [ToRefund(one.id, one.left, note.id) for one in piece.taken if one.id is not None]
    for row in crediting.coverage_of(scope.tx, plan.ended):
        scope.writes.put(evolve(row, status="credited"))
    number_notes(scope)
    if any(piece.to == "credit" for piece in plan.pieces):
        apply_to_open(scope, invoice.customer_id, invoice.currency)
    numbered = tuple(written(scope, note) for note in notes)
    return Credited(written(scope, invoice), numbered, tuple(refunds), tuple(accounts))


def _note(scope: Scope, billed: Billed, piece: Piece, reason: str | None) -> tuple[CreditNote, list[Drawing]]:
    lines = [_line(scope, line, parts, left, piece) for line, parts, left in piece.parts]
    note = note_for(lines, billed.invoice, piece.to, reason, scope.now, scope.new_id)
    returns = returns_of(scope, billed.invoice, piece.taken)
    restored = give_back(scope, returns, note)
    issue_note(note, scope.now, scope.writes, scope.new_id, restored)
    return note, restored


def _accounts(note: CreditNote, restored: Sequence[Drawing]) -> list[ToAccount]:
    """What the note gave to which account; what no credit had paid is a new credit."""
    given: dict[CreditAccount, int] = {}
    for drawing in restored:
        given[drawing.credit.account] = given.get(drawing.credit.account, 0) + drawing.amount
    rest = note.total - sum(given.values())
    if rest and note.to == "credit":
        given["credits"] = given.get("credits", 0) + rest
    return [ToAccount(note.id, account, amount) for account, amount in given.items()]


def _line(scope: Scope, billed: Line, parts: Parts, left: Parts, piece: Piece) -> Line:
    basis = {
        "credits": billed.id,
        "billed": [billed.amount, billed.discount, billed.tax],
        "left": [left.amount, left.discount, left.tax, left.tax_included],
        "part": parts.total,
        "of": [piece.total, piece.among],
    }
    return evolve(
        billed,
        id=scope.new_id("lin"),
        kind="credit",
        amount=-parts.amount,
        discount=-parts.discount,
        tax=-parts.tax,
        tax_included=-parts.tax_included,
        basis=compact(basis),
        credits_line_id=billed.id,
    )


def _chosen(invoice: Invoice, names: Sequence[str]) -> list[str]:
    """The ids of the lines that are named by place from 1, id or code; raises NotFound, InvalidValue for no name."""
    if not names:
        raise InvalidValue("No line is named.", remedy="Name lines, or leave them out for all.", parameter="lines")
    chosen = []
    for name in names:
        mine = [line.id for place, line in enumerate(invoice.lines, 1) if name in (line.id, str(place))]
        mine = mine or [line.id for line in invoice.lines if name == line.code]
        if not mine:
            known = ", ".join(f"{place} ({line.code or line.kind})" for place, line in enumerate(invoice.lines, 1))
            called = invoice.number_text or invoice.id
            raise NotFound(f"There is no line {name!r} on invoice {called}.", remedy=f"It has {known}.", line=name)
        chosen += mine
    return chosen
