"""A credit line: the unused share of what a line really billed, or an amount of what is left of it (3.4, 8.6)."""

from collections.abc import Sequence
from datetime import datetime

from billcore.domain.crediting import Parts, part_of
from billcore.domain.invoice import Line
from billcore.domain.money import round_ratio
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
    amount = exact_text(billed.amount, document.currency)
    steps = [Step(f"{billed.description} of {_where(billed, document)}, as billed", amount)]
    if "removed" in basis:
        more, parts = _by_part(line, basis, billed, document)
    elif "share" in basis:
        more, parts = _by_share(line, basis, billed, document)
    else:
        more, parts = _by_amount(basis, billed, document)
    return [*steps, *more], Figures(-parts.amount, -parts.discount, -parts.tax, -parts.tax_included)


def _by_amount(basis: Basis, billed: Line, document: Document) -> tuple[list[Step], Parts]:
    """The line's part of a note that gave back an amount: shared by what was left of the lines (behaviour 8.6)."""
    currency = document.currency
    left = Parts(*basis["left"])
    total, among = basis["of"]
    steps = []
    if left.total != billed.total:
        steps.append(Step("left of it, tax included", exact_text(left.total, currency)))
    part: int = basis["part"]
    shown = exact_text(total, currency)
    if total == among:
        steps.append(Step(f"all that was left of the lines, {shown}"))
        part = left.total
    elif among == left.total:
        steps.append(Step("given back of it, tax included", shown))
        part = total
    else:
        if abs(part * among - total * left.total) >= among:
            part = round_ratio(total * left.total, among)
        steps.append(Step(f"its part of {shown}, by what was left of the lines", exact_text(part, currency)))
    given = part_of(left, part)
    if given.discount or given.tax:
        steps.append(Step("discount and tax in proportion, the amount is the rest", exact_text(given.amount, currency)))
    return steps, given


def _by_part(line: Line, basis: Basis, billed: Line, document: Document) -> tuple[list[Step], Parts]:
    """What the part of it that was taken away had billed, used or not, as far as it is left (behaviour 6.3)."""
    part = Portion(*basis["removed"])
    credits = [(one, own) for one, own in document.earlier.get(billed.id, ()) if one.id != line.id]
    together = [one for one, own in credits if "removed" in own and (one.start, one.end) == (line.start, line.end)]
    before = [one for one, _ in credits if one not in together and one.id < line.id]
    values = [
        _capped(part.of(whole), whole + sum(getattr(one, name) for one in before), whole)
        for name, whole in ((name, getattr(billed, name)) for name in _FIELDS)
    ]
    steps = [Step(f"the part of it that was taken away, {part}", exact_text(part.of(billed.amount), document.currency))]
    if values[0] != part.of(billed.amount):
        steps.append(Step("but no more than is left of it", exact_text(values[0], document.currency)))
    steps += [Step(f"of it on {_where(one, document)}", exact_text(-one.amount, document.currency)) for one in together]
    parts = Parts(*values) - _sum(together)
    if "part" in basis:
        steps.append(Step("as far as it was paid, tax included", exact_text(basis["part"], document.currency)))
        parts = part_of(parts, basis["part"])
    return steps, parts


def _by_share(line: Line, basis: Basis, billed: Line, document: Document) -> tuple[list[Step], Parts]:
    """The share of the billed time that was not used, less what other credits gave back of it (behaviour 3.4)."""
    currency = document.currency
    share, steps = _share(line, billed, basis)
    credits = [(one, own) for one, own in document.earlier.get(billed.id, ()) if one.id != line.id]
    together = [
        one
        for one, own in credits
        if own.get("share") == basis["share"] and (one.start, one.end) == (line.start, line.end)
    ]
    before = [one for one, _ in credits if one not in together and one.id < line.id]
    # Cumulative: all credits by share that came before this time was given back.
    by_share = [one for one, own in credits if one in before and "share" in own]
    removed = [one for one, own in credits if one in before and "removed" in own]
    whole = {name: getattr(billed, name) + sum(getattr(one, name) for one in removed) for name in _FIELDS}
    if removed:
        steps.append(Step("without what was taken away of it", exact_text(whole["amount"], currency)))
    steps.append(Step(f"{share} of it", exact_text(share.of(whole["amount"]), currency)))
    if by_share:
        given = sum(one.amount for one in by_share)
        steps.append(Step("less what was given back before", exact_text(given, currency)))
    values = [
        _capped(
            share.of(whole[name]) + sum(getattr(one, name) for one in by_share),
            getattr(billed, name) + sum(getattr(one, name) for one in before),
            getattr(billed, name),
        )
        for name in _FIELDS
    ]
    uncapped = share.of(whole["amount"]) + sum(one.amount for one in by_share)
    if values[0] != uncapped:
        steps.append(Step("but no more than is left of it", exact_text(values[0], currency)))
    parts = Parts(*values) - _sum(together)
    steps += [
        Step(f"of it on {_where(one, document)}", exact_text(-one.amount, currency)) for one in together if one.amount
    ]
    if "part" in basis:
        steps.append(Step("as far as it was paid, tax included", exact_text(basis["part"], currency)))
        parts = part_of(parts, basis["part"])
    if values[1] or values[2]:
        steps.append(Step("discount and tax likewise, by the same share of what was billed"))
    return steps, parts


def _capped(due: int, left: int, billed: int) -> int:
    return min(0, max(due, left)) if billed < 0 else max(0, min(due, left))


def _sum(lines: Sequence[Line]) -> Parts:
    """What these credit lines give back, positive."""
    return Parts(*(-sum(getattr(one, name) for one in lines) for name in _FIELDS))


def _share(line: Line, billed: Line, basis: Basis) -> tuple[Portion, list[Step]]:
    """The part of the billed time that is not used, measured again where the basis says how."""
    stored = Portion(*basis["share"])
    if "zone" not in basis or None in (line.start, billed.start, billed.end):
        return stored, []
    assert line.start is not None and billed.start is not None and billed.end is not None
    # A moved billing date moved the end of what was billed (behaviour 7.2).
    end = datetime.fromisoformat(basis["until"]) if "until" in basis else billed.end
    measured = measure(Period(min(line.start, end), end), Period(billed.start, end), basis)
    unit = UNITS[basis["basis"]]
    steps = [Step(f"not used from {line.start:%Y-%m-%dT%H:%M:%S}Z on: {measured} {unit}")]
    if (measured.numerator, measured.denominator) != (stored.numerator, stored.denominator):
        steps.append(Step(f"credited as {stored}, which its dates do not give"))
    return measured, steps


def _where(line: Line, document: Document) -> str:
    owner = line.invoice_id or line.credit_note_id or ""
    return document.documents.get(owner, owner)
