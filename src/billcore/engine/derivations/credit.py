"""A credit line: the unused share of what a line really billed, less what was given back before (behaviour 3.4)."""

from billcore.domain.invoice import Line
from billcore.domain.periods import Period
from billcore.domain.proration import Portion
from billcore.engine.derivations.price import UNITS, measure
from billcore.engine.derivations.step import Basis, Document, Figures, Step, exact_text

_FIELDS = ("amount", "discount", "tax", "tax_included")


def credit_of(line: Line, basis: Basis, document: Document) -> tuple[list[Step], Figures]:
    """The steps to a credit line's amounts, and the amounts, negative, in minor units."""
    billed = document.billed.get(line.credits_line_id or "")
    if billed is None:
        return [Step(f"the line it gives back, {line.credits_line_id}, is not stored any more")], Figures(0, 0, 0, 0)
    currency = document.currency
    steps = [
        Step(f"{billed.description} of {_where(billed, document)}, as billed", exact_text(billed.amount, currency))
    ]
    share, how = _share(line, billed, basis)
    steps += how
    credits = document.earlier.get(billed.id, ())
    together = [one for one, _ in credits if (one.start, one.end) == (line.start, line.end)]
    # Cumulative: all credits by share that came before this time was given back.
    before = [one for one, own in credits if "share" in own and one not in together and one.id < line.id]
    steps.append(Step(f"{share} of it", exact_text(share.of(billed.amount), currency)))
    if before:
        steps.append(Step("less what was given back before", exact_text(sum(one.amount for one in before), currency)))
    others = [one for one in together if one.id != line.id]
    steps += [
        Step(f"of it on {_where(one, document)}", exact_text(-one.amount, currency)) for one in others if one.amount
    ]
    values = [
        -(share.of(getattr(billed, name)) + sum(getattr(one, name) for one in before))
        - sum(getattr(one, name) for one in others)
        for name in _FIELDS
    ]
    if values[1] or values[2]:
        steps.append(Step("discount and tax likewise, by the same share of what was billed"))
    return steps, Figures(*values)


def _share(line: Line, billed: Line, basis: Basis) -> tuple[Portion, list[Step]]:
    """The part of the billed time that is not used, measured again where the basis says how."""
    stored = Portion(*basis["share"])
    if "zone" not in basis or None in (line.start, billed.start, billed.end):
        return stored, []
    assert line.start is not None and billed.start is not None and billed.end is not None
    measured = measure(Period(line.start, billed.end), Period(billed.start, billed.end), basis)
    unit = UNITS[basis["basis"]]
    steps = [Step(f"not used from {line.start:%Y-%m-%dT%H:%M:%S}Z on: {measured} {unit}")]
    if (measured.numerator, measured.denominator) != (stored.numerator, stored.denominator):
        steps.append(Step(f"credited as {stored}, which its dates do not give"))
    return measured, steps


def _where(line: Line, document: Document) -> str:
    owner = line.invoice_id or line.credit_note_id or ""
    return document.documents.get(owner, owner)
