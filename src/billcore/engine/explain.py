"""Explains documents: every amount derived again from its basis, and compared with what was billed (behaviour 3.7)."""

import json
from collections.abc import Sequence

from attrs import evolve, frozen

from billcore.commands.invoices import find_invoice
from billcore.commands.scope import Scope
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.engine.derivations.credit import credit_of
from billcore.engine.derivations.discount import discount_of
from billcore.engine.derivations.price import amount_of
from billcore.engine.derivations.settled import settled_of
from billcore.engine.derivations.step import TIMES, Basis, Document, Figures, Step, exact_text, figures_of
from billcore.engine.derivations.tax import tax_of
from billcore.errors import NotFound
from billcore.store import catalog as stored_catalog
from billcore.store import group as groups
from billcore.store import invoice as invoices

__all__ = ["DocumentExplanation", "Explanation", "Figures", "Step", "explain"]


@frozen
class Explanation:
    """One line: the steps to its amounts, what they come to (`result`) and what was `billed`, in minor units.

    `place` counts the document's lines from 1; `whose` names who subscribed, where somebody else was billed.
    """

    place: int
    line: Line
    currency: str
    steps: tuple[Step, ...]
    result: Figures
    billed: Figures
    whose: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every derived amount is the one that was billed."""
        return self.result == self.billed

    @property
    def conclusion(self) -> str:
        """The last line of the explanation: "= 58.31, as billed", or where it differs."""
        result = exact_text(self.result.total, self.currency)
        if self.agrees:
            return f"= {result}, as billed"
        wrong = [
            f"{name} {exact_text(getattr(self.result, name), self.currency)}, "
            f"billed {exact_text(getattr(self.billed, name), self.currency)}"
            for name in ("amount", "discount", "tax", "tax_included")
            if getattr(self.result, name) != getattr(self.billed, name)
        ]
        return f"≠ {exact_text(self.billed.total, self.currency)} as billed: {'; '.join(wrong)}"

    def text(self) -> list[str]:
        """The explanation as lines of text."""
        quantity = f", {self.line.quantity} {TIMES}" if self.line.quantity != 1 else ""
        head = f"line {self.place}: {self.line.description} ({self.line.kind}{quantity} {self.line.code or ''})"
        owner = f" of {self.whose}" if self.whose else ""
        return [head.replace(" )", ")") + owner, *(f"  {step}" for step in self.steps), f"  {self.conclusion}"]


@frozen
class DocumentExplanation:
    """An invoice or credit note: its lines, and how they make its total and what is due."""

    document: str
    currency: str
    lines: tuple[Explanation, ...]
    steps: tuple[Step, ...]
    agrees: bool

    def text(self) -> list[str]:
        """The explanation as lines of text."""
        told = [self.document]
        for line in self.lines:
            told += line.text()
        return [*told, *(str(step) for step in self.steps)]


def explain(scope: Scope, ref: str, line: str | None = None) -> DocumentExplanation:
    """Derive the amounts of an invoice (id, number or CUSTOMER/N) or credit note again from their bases.

    With `line` (its place from 1, its id or its code) of that line only. Raises NotFound.
    """
    found = invoices.note(scope.tx, ref) or find_invoice(scope, ref)
    document = _document(scope, found)
    whose = groups.billed_for(scope.tx, [line.id for line in found.lines])
    explained = [
        evolve(_explain(place, own, document), whose=whose.get(own[0].id, ""))
        for place, own in enumerate(document.lines, 1)
    ]
    if line is not None:
        explained = _chosen(explained, line, document.name)
        return DocumentExplanation(
            document.name, document.currency, tuple(explained), (), all(one.agrees for one in explained)
        )
    steps, agrees = _totals(found, document.currency)
    agrees = agrees and all(one.agrees for one in explained)
    if isinstance(found, Invoice):
        settled, right = settled_of(scope, found)
        steps += [*settled, Step("void: nothing is due" if found.status == "void" else "due", _due(found))]
        agrees = agrees and right
    return DocumentExplanation(document.name, document.currency, tuple(explained), tuple(steps), agrees)


def _explain(place: int, own: tuple[Line, Basis], document: Document) -> Explanation:
    line, basis = own
    if line.credits_line_id is not None:
        steps, result = credit_of(line, basis, document)
    else:
        steps, amount = amount_of(line, basis, document)
        less, discount = discount_of(line, document)
        more, tax, included = tax_of(line, basis, document)
        steps, result = [*steps, *less, *more], Figures(amount, discount, tax, included)
    return Explanation(place, line, document.currency, tuple(steps), result, figures_of(line))


def _chosen(explained: Sequence[Explanation], line: str, name: str) -> list[Explanation]:
    chosen = [one for one in explained if line in (str(one.place), one.line.id)]
    chosen = chosen or [one for one in explained if line == one.line.code]
    if not chosen:
        lines = ", ".join(f"{one.place} ({one.line.code or one.line.kind})" for one in explained)
        raise NotFound(f"There is no line {line!r} on {name}.", remedy=f"It has {lines}.", line=line)
    return chosen


def _document(scope: Scope, found: Invoice | CreditNote) -> Document:
    lines = tuple((line, json.loads(line.basis)) for line in found.lines)
    prices = scope.catalog.prices
    missing = {line.price_id for line in found.lines if line.price_id and line.price_id not in prices}
    custom = stored_catalog.load_prices(scope.tx, missing) if missing else {}
    billed = invoices.lines_of(scope.tx, {line.credits_line_id for line in found.lines if line.credits_line_id})
    # What a void invoice gave back was given back otherwise later.
    last = max((line.id for line in found.lines), default="") if getattr(found, "status", "") == "void" else None
    earlier: dict[str, list[tuple[Line, Basis]]] = {}
    for line in invoices.credit_lines(scope.tx, billed):
        if last is None or line.id < last:
            earlier.setdefault(line.credits_line_id or "", []).append((line, json.loads(line.basis)))
    everything = [*billed.values(), *(line for own in earlier.values() for line, _ in own)]
    owners = {line.invoice_id or line.credit_note_id or "" for line in everything}
    return Document(
        _name(found),
        found.currency,
        scope.settings.timezone,
        lines,
        {**prices, **custom},
        scope.catalog.coupons,
        billed,
        {line_id: tuple(own) for line_id, own in earlier.items()},
        invoices.names(scope.tx, owners),
    )


def _name(found: Invoice | CreditNote) -> str:
    kind = "invoice" if isinstance(found, Invoice) else "credit note"
    return f"{kind} {found.number_text or found.id}"


def _totals(found: Invoice | CreditNote, currency: str) -> tuple[list[Step], bool]:
    """How the lines make the document."""
    sign = 1 if isinstance(found, Invoice) else -1
    summed = Figures(
        sum(line.amount for line in found.lines),
        sum(line.discount for line in found.lines),
        sum(line.tax for line in found.lines),
        sum(line.tax_included for line in found.lines),
    )
    billed = Figures(found.subtotal, found.discount, found.tax, found.tax_included)
    steps = [Step("sum of the lines", exact_text(summed.amount, currency))]
    for word, value in (("less discount", -summed.discount), ("plus tax", summed.tax)):
        if value:
            steps.append(Step(word, exact_text(value, currency)))
    if summed.tax_included:
        steps.append(Step("less tax inside the prices", exact_text(-summed.tax_included, currency)))
    agrees = summed == billed and sign * summed.total == found.total
    verb = "=" if agrees else "≠"
    steps.append(Step(f"total {verb} {exact_text(found.total, currency)} as billed"))
    return steps, agrees


def _due(invoice: Invoice) -> str:
    return "" if invoice.status == "void" else exact_text(invoice.due, invoice.currency)
