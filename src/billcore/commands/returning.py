"""What had settled an invoice, and what documents give back of it (behaviour 3.5)."""

from collections.abc import Sequence

from attrs import evolve

from billcore.commands.receivables import written
from billcore.commands.scope import Scope
from billcore.domain.credit import GIVE_BACK, Allocation, Credit, Drawing
from billcore.domain.crediting import Billed, Source, left_of, sources_of
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.store import crediting
from billcore.store import invoice as invoices


def billed_of(scope: Scope, invoice: Invoice) -> Billed:
    """The invoice with what is left of its charge lines and of what settled it, unsaved writes included.

    What was promised back is not there for others, though no document gives it back yet.
    """
    charges = [line for line in invoice.lines if line.credits_line_id is None]
    credits = earlier_credits(scope, [line.id for line in charges])
    stored = crediting.allocations(scope.tx, [invoice.id])
    made = {
        one.id: one
        for one in (*scope.promised.values(), *stored, *scope.writes.new(Allocation))
        if isinstance(one, Allocation) and one.invoice_id == invoice.id
    }
    paying = [written(scope, payment) for payment in crediting.paying(scope.tx, invoice.id)]
    return Billed(
        invoice,
        tuple((line, left_of(line, credits.get(line.id, ()))) for line in charges),
        sources_of(invoice, paying, list(made.values())),
    )


def earlier_credits(scope: Scope, line_ids: Sequence[str]) -> dict[str, list[Line]]:
    """The lines that give back of these, by the id of what they give back of, unsaved writes included."""
    found: dict[str, list[Line]] = {}
    for line in (*invoices.credit_lines(scope.tx, line_ids), *scope.writes.new(Line)):
        if isinstance(line, Line) and line.credits_line_id in line_ids:
            found.setdefault(line.credits_line_id or "", []).append(line)
    return found


def returns_of(scope: Scope, invoice: Invoice, taken: Sequence[Source]) -> list[Allocation]:
    """What is given back of what had settled an invoice, to be written down for the document that does it."""
    return [
        Allocation(
            scope.new_id("all"),
            invoice.customer_id,
            invoice.id,
            invoice.currency,
            one.account,
            one.id,
            scope.now,
            returned=one.left,
        )
        for one in taken
    ]


def write_down(scope: Scope, returns: Sequence[Allocation], document_id: str) -> None:
    """Write down what a document gives back."""
    for one in returns:
        named = evolve(one, document_id=document_id)
        if one.document_id is None:
            scope.writes.add(named)
        else:  # It was taken when its line was made, which has waited for this document.
            scope.writes.put(named)


def give_back(scope: Scope, returns: Sequence[Allocation], note: CreditNote) -> list[Drawing]:
    """Write down what a credit note gives back, and put it back as `put_back` does."""
    write_down(scope, returns, note.id)
    return put_back(scope, returns, note)


def put_back(scope: Scope, returns: Sequence[Allocation], note: CreditNote) -> list[Drawing]:
    """The credits that a credit note puts back, as they are then; what else it comes to is a new credit."""
    if not returns:  # Nearly every document of a run: no query for each.
        return []
    ids = [one.source_id for one in returns if one.account != "payments" and one.source_id]
    stored = _credits(scope, ids)
    restored = []
    for one, part in kept_of(returns, of_notes(note, returns), note.total)[0]:
        credit = stored.get(one.source_id or "") if one.account != "payments" else None
        if credit is not None:
            stored[credit.id] = evolve(credit, remaining=credit.remaining + part)
            restored.append(Drawing(stored[credit.id], part))
    return restored


def of_notes(note: CreditNote, returns: Sequence[Allocation]) -> int:
    """What a note's credit lines give back of charges on credit notes: those had been paid by credit.

    A line that takes back one beside it, which had waited, gives nothing back.
    """
    beside = {line.id for line in note.lines}
    given = -sum(line.total for line in note.lines if (line.credits_line_id or line.id) not in beside)
    return given - sum(one.returned for one in returns)


def kept_of(
    returns: Sequence[Allocation], credited: int, most: int
) -> tuple[list[tuple[Allocation, int]], list[tuple[Allocation, int]]]:
    """What stays given back of `returns`, `most` with `credited` in all, and what the document's charges take of it.

    They take from the end: what is no money of the customer's first, payments last (behaviour 3.5).
    """
    kept, taken = [], []
    waiting = credited
    for one in sorted(returns, key=lambda one: GIVE_BACK.index(one.account)):
        if one.account == "service_credits":
            most, waiting = most - min(most, waiting), 0
        part = min(most, one.returned)
        most -= part
        kept += [(one, part)] if part else []
        taken += [(one, one.returned - part)] if part < one.returned else []
    return kept, taken


def _credits(scope: Scope, ids: Sequence[str]) -> dict[str, Credit]:
    """Credits by id, as this unit of work has made them so far."""
    found = {one.id: written(scope, one) for one in crediting.credits_by_ids(scope.tx, ids).values()}
    for id_ in ids:
        made = scope.writes.get(Credit, id_)
        if isinstance(made, Credit):
            found[id_] = made
    return found
