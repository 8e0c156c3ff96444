"""Giving back unused time: credit lines from what was really billed (behaviour 3.4, 3.5, 6.2)."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from billcore.commands.receivables import apply_to_open, require_no_doubt, settle, written
from billcore.commands.returning import billed_of, earlier_credits, returns_of
from billcore.commands.returning import give_back as put_down
from billcore.commands.scope import Scope
from billcore.domain.bill import issue_note, make_bill, note_for
from billcore.domain.change import GiveBack
from billcore.domain.compact import compact
from billcore.domain.crediting import Parts, draw_back, left_of, take
from billcore.domain.draft import BasisValue, DraftLine
from billcore.domain.facts import Facts
from billcore.domain.instants import instant_text
from billcore.domain.invoice import Coverage, CreditNote, Invoice, Line
from billcore.domain.periods import Period
from billcore.domain.proration import WHOLE, BilledLine, LineCredit, part_credit, prorate_credit
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.store import change as changes
from billcore.store import customer as customers
from billcore.store import invoice as invoices

WHY = "unused time"
"""The reason on a credit note for it."""


@frozen
class Returned:
    """Credit lines of a command: those of its own document, and those that wait for the renewal."""

    lines: tuple[DraftLine, ...] = ()
    waiting: tuple[DraftLine, ...] = ()

    @property
    def everything(self) -> tuple[DraftLine, ...]:
        """All of them, for a document that bills what waits too."""
        return (*self.lines, *self.waiting)


def give_back(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> tuple[DraftLine, ...]:
    """Credit lines for all time of a subscription that was billed in advance and lies after `at`; it ends there."""
    return give_back_all(scope, sub, facts, at).everything


def give_back_all(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> Returned:
    """The same, with what waits apart: for a document that does not bill what waits."""
    everything = {item_id: GiveBack("share") for item_id in (sub.id, *(item.id for item in sub.items))}
    return give_back_of(scope, sub, facts, at, everything)


def give_back_period(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> tuple[DraftLine, ...]:
    """Credit lines for all that the running period billed but usage and what is sold once, used or not (refund all)."""
    items = {item_id: GiveBack("part") for item_id in (sub.id, *(item.id for item in sub.items))}
    timed = give_back_of(scope, sub, facts, at, items, since=sub.period_start).everything
    fees = _fees_of_period(scope, sub)
    given = {line.credits_line_id for line in timed}
    made: dict[str, list[DraftLine]] = {}
    earlier = earlier_credits(scope, [line.id for line in fees])
    for line in fees:
        left = left_of(line, earlier.get(line.id, ()))
        if line.id not in given and left.total > 0:
            whole = LineCredit(-left.amount, -left.discount, -left.tax, WHOLE, Period(at, at), -left.tax_included)
            made.setdefault(line.invoice_id or "", []).append(_line(line, whole, facts, GiveBack("part"), None))
    billed = {id_: written(scope, invoice) for id_, invoice in invoices.by_ids(scope.tx, made).items()}
    for invoice in billed.values():
        if invoice.due > 0:
            require_no_doubt(scope, invoice)
    rest: dict[str, list[DraftLine]] = {}
    for place, credits in made.items():
        settled = _only_what_was_settled(scope, sub, billed[place], credits, at)
        rest.setdefault(billed[place].customer_id, []).extend(settled)
    mine = rest.pop(sub.customer_id, [])
    _to_who_paid(scope, sub, rest, at)
    return (*timed, *mine)


def _fees_of_period(scope: Scope, sub: Subscription) -> list[Line]:
    """Setup fees, trial amounts and minimums of the running period; the minimum of the one before is not of it."""
    kinds = ("setup_fee", "trial", "minimum")
    mine = [line for line in _billed_of_period(scope, sub) if line.subscription_id == sub.id and line.kind in kinds]
    return [line for line in mine if line.start is None or sub.period_start is None or line.start >= sub.period_start]


def _billed_of_period(scope: Scope, sub: Subscription) -> list[Line]:
    """The lines of the invoice that billed the running period; a trial has no billing that names it."""
    if sub.anchor is None:
        if sub.period_start is None:
            return []
        since = invoices.issued_since(scope.tx, {sub.customer_id, sub.owner}, sub.period_start)
        return [line for invoice in since for line in invoice.lines]
    running = changes.running(scope.tx, sub.customer_id, sub.id, sub.sequence)
    if running is None or running.invoice_id is None:
        return []
    return list(invoices.by_ids(scope.tx, [running.invoice_id])[running.invoice_id].lines)


def give_back_of(
    scope: Scope,
    sub: Subscription,
    facts: Facts,
    at: datetime,
    wanted: Mapping[str, GiveBack],
    since: datetime | None = None,
) -> Returned:
    """Credit lines for the billed time after `at` of the items in `wanted`, each as it says; ends its coverage there.

    What stands against an unpaid invoice leaves as a credit note to that invoice; the lines returned are the rest.
    What was not billed yet is given back where it will be: those credits wait. Raises payment_in_doubt when an attempt
    on such an invoice is open. `since` takes in time that has passed, for what is given back whole.
    """
    covered = invoices.coverage(scope.tx, wanted, since or at) if wanted else []
    if not covered:
        return Returned()
    lines = invoices.lines_of(scope.tx, [row.line_id for row in covered])
    earlier = earlier_credits(scope, list(lines))
    made: dict[str, list[DraftLine]] = {}
    waits: dict[str, bool] = {}
    whose: dict[str, str] = {}
    for row in covered:
        line, how = lines[row.line_id], wanted[row.item_id]
        if how.how == "nothing":
            continue
        credit = _credit(line, row, earlier.get(line.id, ()), at, facts, how)
        if credit.amount or credit.tax or credit.discount:
            place = line.invoice_id or line.credit_note_id or ""
            whose[place] = line.customer_id
            made.setdefault(place, []).append(_line(line, credit, facts, how, row.billed_until))
            # Credits of one invoice stay together, as they share what had settled it.
            waits[place] = waits.get(place, True) and (how.waits or not place)
    rest: dict[bool, list[DraftLine]] = {False: [], True: []}
    billed = {id_: written(scope, invoice) for id_, invoice in invoices.by_ids(scope.tx, made).items()}
    for invoice in billed.values():  # Before anything is written: who catches the refusal keeps nothing of it.
        if invoice.due > 0:
            require_no_doubt(scope, invoice)
    for row in [row for row in covered if wanted[row.item_id].ends and row.end > at]:
        _end(scope, row, at)
    others: dict[str, list[DraftLine]] = {}
    for place, credits in made.items():
        # A charge may stand on a credit note too, which has paid it by its own credit lines (behaviour 6.2).
        settled = _only_what_was_settled(scope, sub, billed[place], credits, at) if place in billed else credits
        if whose[place] == sub.customer_id:
            rest[waits[place]] += settled
        else:
            others.setdefault(whose[place], []).extend(settled)
    _to_who_paid(scope, sub, others, at)
    return Returned(tuple(rest[False]), tuple(rest[True]))


def less_given_back(scope: Scope, sub: Subscription, facts: Facts, credits: Sequence[DraftLine]) -> Facts:
    """The facts after these credits: unused time of the running period does not count for its minimum (4.2)."""
    if facts.price.minimum is None or sub.period_start is None:
        return facts
    own = [line.amount for line in credits if line.period is not None and line.period.start >= sub.period_start]
    for note in scope.writes.new(CreditNote):
        assert isinstance(note, CreditNote)
        own += [
            line.amount
            for line in note.lines
            if line.subscription_id == sub.id and line.start is not None and line.start >= sub.period_start
        ]
    return evolve(facts, billed_in_period=facts.billed_in_period + sum(own))


def settle_usage(scope: Scope, step: Step, at: datetime) -> Step:
    """The step with its credits of usage that was rated again as what they may give back (behaviour 3.5, 12.3).

    Raises payment_in_doubt when an attempt on an unpaid invoice of theirs is open.
    """
    wanted = [line for line in step.lines if line.kind == "usage" and line.credit is not None]
    if not wanted:
        return step
    stored = invoices.lines_of(scope.tx, [line.credits_line_id or "" for line in wanted])
    made: dict[str, list[DraftLine]] = {}
    for line in wanted:
        assert line.credit is not None
        own = evolve(line, kind="credit", period=Period(at, at), credit=evolve(line.credit, period=Period(at, at)))
        made.setdefault(stored[line.credits_line_id or ""].invoice_id or "", []).append(own)
    billed = {id_: written(scope, invoice) for id_, invoice in invoices.by_ids(scope.tx, made).items()}
    for invoice in billed.values():  # Before anything is written: who catches the refusal keeps nothing of it.
        if invoice.due > 0:
            require_no_doubt(scope, invoice)
    rest = [line for line in step.lines if line not in wanted]
    for place, credits in made.items():
        own_sub = step.subscription
        rest += _only_what_was_settled(scope, own_sub, billed[place], credits, at) if place in billed else credits
    return evolve(step, lines=tuple(rest))


def _to_who_paid(scope: Scope, sub: Subscription, credits: Mapping[str, Sequence[DraftLine]], at: datetime) -> None:
    """Give what other payers (by id) had paid for a subscription back to them, by notes of their own (behaviour 14)."""
    for customer_id, lines in credits.items():
        if lines:
            scope.keep(customer_id)
            payer = customers.by_ids(scope.tx, [customer_id])[customer_id]
            his = evolve(sub, customer_id=customer_id)
            note = make_bill([Step(his, his, "final", tuple(lines))], payer, scope.site, at, scope.new_id).note
            assert note is not None, "credit lines alone make a note"
            returns = [one for line in lines for one in line.returned]
            issue_note(note, at, scope.writes, scope.new_id, put_down(scope, returns, note))
            apply_to_open(scope, customer_id, note.currency)


def _credit(
    line: Line, row: Coverage, earlier: Sequence[Line], at: datetime, facts: Facts, how: GiveBack
) -> LineCredit:
    assert line.start is not None and line.end is not None
    price = facts.prices.get(line.price_id or "", facts.price)
    every = price.every or facts.price.every
    assert every is not None
    bases = [json.loads(credit.basis) for credit in earlier]
    shared = [credit for credit, basis in zip(earlier, bases, strict=True) if "share" in basis]
    # Units that were taken away with their whole price are no part of what is shared over the time.
    removed = [credit for credit, basis in zip(earlier, bases, strict=True) if "removed" in basis]
    left = left_of(line, removed)
    credited = left_of(line, removed) - left_of(line, earlier)
    by_share = left_of(line, ()) - left_of(line, shared)
    billed = BilledLine(
        left.amount,
        left.discount,
        left.tax,
        Period(line.start, row.billed_until or line.end),
        credited.amount,
        credited.discount,
        credited.tax,
        by_share.amount,
        by_share.discount,
        by_share.tax,
        left.tax_included,
        credited.tax_included,
        by_share.tax_included,
        row.end,
    )
    if how.how == "part":
        return part_credit(billed, at, how.part)
    return prorate_credit(billed, at, facts.settings.proration_basis, facts.zone, every)


def move_coverage(scope: Scope, sub: Subscription, end: datetime) -> None:
    """The paid time of the running period ends at another instant: what was billed for it stays (behaviour 7.2)."""
    items = [sub.id, *(item.id for item in sub.items if item.period_end is None)]
    for row in invoices.coverage(scope.tx, items, scope.now):
        if row.end == sub.period_end and row.start < end:
            scope.writes.put(evolve(row, end=end, billed_until=end))


def _end(scope: Scope, row: Coverage, at: datetime) -> None:
    if row.start >= at:
        scope.writes.put(evolve(row, status="credited"))
    else:
        scope.writes.put(evolve(row, end=at))


def _line(line: Line, credit: LineCredit, facts: Facts, how: GiveBack, until: datetime | None) -> DraftLine:
    price = facts.prices.get(line.price_id or "", facts.price)
    basis: dict[str, BasisValue] = {"credits": line.id, "billed": [line.amount, line.discount, line.tax]}
    if how.how == "part":
        basis["removed"] = [how.part.numerator, how.part.denominator]
    else:
        basis |= {
            "share": [credit.share.numerator, credit.share.denominator],
            "basis": facts.settings.proration_basis,
            "zone": facts.zone,
            "every": str(price.every or facts.price.every),
        }
        if until is not None and until != line.end:
            basis["until"] = instant_text(until)
    return DraftLine(
        line.subscription_id,
        line.item_id,
        "credit",
        line.price_id,
        line.code,
        line.description,
        credit.period,
        line.quantity,
        credit.amount,
        basis=basis,
        credit=credit,
        credits_line_id=line.id,
    )


def _total(line: DraftLine) -> int:
    """What a credit line gives back in all, as a positive number."""
    return _given(line).total


def _given(line: DraftLine) -> Parts:
    assert line.credit is not None
    credit = line.credit
    return Parts(-credit.amount, -credit.discount, -credit.tax, -credit.tax_included)


def split_credits(lines: Sequence[DraftLine], total: int) -> tuple[list[DraftLine], list[DraftLine]]:
    """Credit lines as two lists, the first giving back `total` in all, the second the rest; empty ones are left out."""
    given = [_given(line) for line in lines]
    parts = take(given, total)
    first = [_of(line, part) for line, part in zip(lines, parts, strict=True)]
    rest = [_of(line, whole - part) for line, whole, part in zip(lines, given, parts, strict=True)]
    return [line for line in first if _total(line)], [line for line in rest if _total(line)]


def _of(line: DraftLine, part: Parts) -> DraftLine:
    assert line.credit is not None
    credit = evolve(
        line.credit, amount=-part.amount, discount=-part.discount, tax=-part.tax, tax_included=-part.tax_included
    )
    return evolve(line, amount=credit.amount, credit=credit)


def _only_what_was_settled(
    scope: Scope, sub: Subscription, invoice: Invoice, credits: list[DraftLine], at: datetime
) -> list[DraftLine]:
    """The credit lines as far as they give back what was paid: what is still due is reduced first (behaviour 3.5).

    What was written off is never given back. What had settled the invoice is named on the lines that are left.
    """
    billed = billed_of(scope, invoice)
    whole = sum(_total(line) for line in credits)
    reduced = min(billed.reducible, whole)
    rest = min(whole - reduced, sum(source.left for source in billed.sources))
    if reduced:
        against, credits = split_credits(credits, reduced)
        lines = {line.id: line for line in invoice.lines}
        note = note_for([_as_line(scope, line, lines) for line in against], invoice, "invoice", WHY, at, scope.new_id)
        issue_note(note, at, scope.writes, scope.new_id)
        settle(scope, invoice, "credit", credited=reduced, but=frozenset({sub.id}))
    if rest < whole - reduced:
        credits = [evolve(line, basis={**line.basis, "part": _total(line)}) for line in split_credits(credits, rest)[0]]
    if not credits:
        return []
    returned = tuple(returns_of(scope, invoice, draw_back(billed.sources, rest)))
    scope.promised.update({one.id: one for one in returned})
    return [evolve(credits[0], returned=returned), *credits[1:]]


def _as_line(scope: Scope, line: DraftLine, lines: dict[str, Line]) -> Line:
    assert line.credit is not None and line.period is not None and line.credits_line_id is not None
    billed, credit = lines[line.credits_line_id], line.credit
    return evolve(
        billed,
        id=scope.new_id("lin"),
        kind="credit",
        start=line.period.start,
        end=line.period.end,
        amount=credit.amount,
        discount=credit.discount,
        tax=credit.tax,
        tax_included=credit.tax_included,
        basis=compact(line.basis),
        credits_line_id=billed.id,
    )
