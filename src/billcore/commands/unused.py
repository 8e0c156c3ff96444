"""Giving back unused time: credit lines from what was really billed (behaviour 3.4, 3.5, 6.2)."""

import json
from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.bill import issue_note, note_for
from billcore.domain.compact import compact
from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.invoice import Coverage, Invoice, Line
from billcore.domain.lifecycle import act
from billcore.domain.money import share
from billcore.domain.periods import Period
from billcore.domain.proration import BilledLine, LineCredit, prorate_credit
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.store import invoice as invoices


def act_with_credit(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> Step:
    """What the next action of `sub` makes of it at `at`; a cancellation gives back as it was asked."""
    assert sub.next_action is not None
    step = act(sub, sub.next_action, facts, at, scope.new_id)
    if sub.next_action == "cancel" and sub.cancel_credit is not None and sub.cancel_at is not None:
        step = evolve(step, lines=(*step.lines, *give_back(scope, sub, facts, sub.cancel_at)))
    return step


def give_back(scope: Scope, sub: Subscription, facts: Facts, at: datetime) -> tuple[DraftLine, ...]:
    """Credit lines for all time that was billed in advance and lies after `at`; ends its coverage there.

    What stands against an unpaid invoice leaves as a credit note to that invoice; the lines returned are the rest.
    Raises payment_in_doubt when an attempt on such an invoice is open.
    """
    covered = invoices.coverage(scope.tx, [sub.id, *(item.id for item in sub.items)], at)
    if not covered:
        return ()
    lines = invoices.lines_of(scope.tx, [row.line_id for row in covered])
    earlier: dict[str, list[Line]] = {}
    for line in invoices.credit_lines(scope.tx, list(lines)):
        earlier.setdefault(line.credits_line_id or "", []).append(line)
    made: dict[str, list[DraftLine]] = {}
    for row in covered:
        line = lines[row.line_id]
        credit = _credit(line, row, earlier.get(line.id, ()), at, facts)
        if credit.amount or credit.tax or credit.discount:
            made.setdefault(line.invoice_id or "", []).append(_line(line, credit, facts))
    rest: list[DraftLine] = []
    billed = invoices.by_ids(scope.tx, made)
    for invoice in billed.values():  # Before anything is written: who catches the refusal keeps nothing of it.
        _require_no_doubt(invoice)
    for row in covered:
        _end(scope, row, at)
    for invoice_id, invoice in billed.items():
        rest += _first_against_due(scope, invoice, lines, made[invoice_id], at)
    return tuple(rest)


def _credit(line: Line, row: Coverage, earlier: Sequence[Line], at: datetime, facts: Facts) -> LineCredit:
    assert line.start is not None and line.end is not None
    price = facts.prices.get(line.price_id or "", facts.price)
    every = price.every or facts.price.every
    assert every is not None
    shared = [credit for credit in earlier if "share" in json.loads(credit.basis)]
    billed = BilledLine(
        line.amount,
        line.discount,
        line.tax,
        Period(line.start, line.end),
        -sum(credit.amount for credit in earlier),
        -sum(credit.discount for credit in earlier),
        -sum(credit.tax for credit in earlier),
        -sum(credit.amount for credit in shared),
        -sum(credit.discount for credit in shared),
        -sum(credit.tax for credit in shared),
        line.tax_included,
        -sum(credit.tax_included for credit in earlier),
        -sum(credit.tax_included for credit in shared),
        row.end,
    )
    return prorate_credit(billed, at, facts.settings.proration_basis, facts.zone, every)


def _end(scope: Scope, row: Coverage, at: datetime) -> None:
    if row.start >= at:
        scope.writes.put(evolve(row, status="credited"))
    else:
        scope.writes.put(evolve(row, end=at))


def _line(line: Line, credit: LineCredit, facts: Facts) -> DraftLine:
    price = facts.prices.get(line.price_id or "", facts.price)
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
        basis={
            "credits": line.id,
            "billed": [line.amount, line.discount, line.tax],
            "share": [credit.share.numerator, credit.share.denominator],
            "basis": facts.settings.proration_basis,
            "zone": facts.zone,
            "every": str(price.every or facts.price.every),
        },
        credit=credit,
        credits_line_id=line.id,
    )


def _total(line: DraftLine) -> int:
    """What a credit line gives back in all, as a positive number."""
    assert line.credit is not None
    credit = line.credit
    return -(credit.amount - credit.discount + credit.tax - credit.tax_included)


def _require_no_doubt(invoice: Invoice) -> None:
    if invoice.reserved_by is not None and invoice.due > 0:
        raise Refused(
            "payment_in_doubt",
            f"Invoice {invoice.number_text or invoice.id} has an attempt without an outcome.",
            remedy="Wait for the next check of the payment, then repeat the command.",
            payment=invoice.reserved_by,
        )


def _first_against_due(
    scope: Scope, invoice: Invoice, lines: dict[str, Line], credits: list[DraftLine], at: datetime
) -> list[DraftLine]:
    """Never give back what was not paid: what is still due on the invoice is reduced first (behaviour 3.5)."""
    whole = sum(_total(line) for line in credits)
    reduced = min(invoice.due, whole)
    if reduced <= 0:
        return credits
    parts = share(reduced, [_total(line) for line in credits])
    against, rest = [], []
    for line, part in zip(credits, parts, strict=True):
        taken, left = _split(line, part)
        against.append(_as_line(scope, taken, lines))
        if _total(left):
            rest.append(left)
    note = note_for(against, invoice, "invoice", "unused time", at, scope.new_id)
    issue_note(note, at, scope.writes, scope.new_id)
    credited = evolve(invoice, credited=invoice.credited + reduced)
    if credited.due == 0:
        paid = credited.after("credit", "paid")
        credited = evolve(credited, status=paid, collect_at=None, overdue=False)
    scope.writes.put(credited)
    return rest


def _split(line: DraftLine, part: int) -> tuple[DraftLine, DraftLine]:
    """A credit line as two, the first giving back `part` in all; discount and tax in proportion, amount the rest."""
    credit, whole = line.credit, _total(line)
    assert credit is not None
    if part == whole:
        return line, evolve(line, amount=0, credit=evolve(credit, amount=0, discount=0, tax=0, tax_included=0))
    discount = share(credit.discount, [part, whole - part])[0]
    tax = share(credit.tax, [part, whole - part])[0]
    included = share(credit.tax_included, [part, whole - part])[0]
    amount = -part + discount - tax + included
    first = evolve(credit, amount=amount, discount=discount, tax=tax, tax_included=included)
    second = evolve(
        credit,
        amount=credit.amount - amount,
        discount=credit.discount - discount,
        tax=credit.tax - tax,
        tax_included=credit.tax_included - included,
    )
    return evolve(line, amount=amount, credit=first), evolve(line, amount=second.amount, credit=second)


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
