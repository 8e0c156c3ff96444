"""Lines that wait for the next document of their subscription: made by a command, billed with the renewal (6.2)."""

import json
from collections.abc import Iterable, Sequence

from attrs import evolve

from billcore.commands.scope import Scope
from billcore.domain.bill import tax_facts
from billcore.domain.coverage import cover
from billcore.domain.credit import Allocation
from billcore.domain.draft import TAX_KEYS, DraftLine, draft
from billcore.domain.instants import instant_text
from billcore.domain.invoice import Line
from billcore.domain.periods import Period
from billcore.domain.proration import LineCredit, Portion
from billcore.domain.subscription import Subscription
from billcore.domain.tax import RateTable
from billcore.domain.voiding import Taxed
from billcore.store import crediting
from billcore.store import invoice as invoices

_UNTAXED = RateTable(())


def keep_waiting(scope: Scope, sub: Subscription, lines: Sequence[DraftLine]) -> None:
    """Store lines without a document, with the discount that holds now; their tax is known when they are billed."""
    if not lines:
        return
    customer = scope.customer(sub.customer_id)
    drafted = draft(
        "",
        customer.id,
        lines,
        {sub.id: sub.coupons},
        # Only the discount is of interest: no engine is asked.
        evolve(tax_facts(customer, scope.site, scope.now), taxes=_UNTAXED),
        scope.settings,
        sub.currency,
        scope.now,
        scope.new_id,
    )
    since = instant_text(scope.now)
    for made, line in zip(lines, drafted.lines, strict=True):
        basis = {key: value for key, value in json.loads(line.basis).items() if key not in TAX_KEYS} | {"waited": since}
        if drafted.discount and made.credit is None:
            # They were taken off these lines together, and off no others of the document.
            basis["together"] = drafted.lines[0].id
        if made.tax_code is not None and made.price_id is None:
            basis["tax_code"] = made.tax_code
        tax, included = (0, 0) if made.credit is None else (line.tax, line.tax_included)
        kept = evolve(line, invoice_id=None, tax=tax, tax_included=included, basis=json.dumps(basis, sort_keys=True))
        scope.writes.add(kept)
        cover(kept, scope.writes, scope.new_id)
        scope.writes.add(*[evolve(one, document_id=kept.id) for one in made.returned])


def waiting_lines(scope: Scope, subscription_ids: Iterable[str]) -> dict[str, list[DraftLine]]:
    """The lines that wait, by subscription id, oldest first; those that this unit of work has made so far included."""
    ids = set(subscription_ids)
    stored = invoices.waiting(scope.tx, ids)
    known = {line.id for line in stored}
    made = [line for line in scope.writes.new(Line) if isinstance(line, Line) and line.subscription_id in ids]
    found = [*stored, *(line for line in made if _waits(line) and line.id not in known)]
    if not found:
        return {}
    returned: dict[str, list[Allocation]] = {}
    for one in _returns(scope, found):
        returned.setdefault(one.document_id or "", []).append(one)
    by_subscription: dict[str, list[DraftLine]] = {}
    for line in found:
        assert line.subscription_id is not None
        again = _drafted(scope, line, tuple(returned.get(line.id, ())))
        by_subscription.setdefault(line.subscription_id, []).append(again)
    return by_subscription


def _waits(line: Line) -> bool:
    return line.invoice_id is None and line.credit_note_id is None


def _returns(scope: Scope, lines: Sequence[Line]) -> list[Allocation]:
    """What waiting credits take out of what had settled other invoices."""
    ids = {line.id for line in lines if line.credits_line_id is not None}
    if not ids:
        return []
    stored = crediting.returned_for(scope.tx, {line.customer_id for line in lines}, ids)
    made = [one for one in scope.writes.new(Allocation) if isinstance(one, Allocation) and one.document_id in ids]
    return [*stored, *made]


def _drafted(scope: Scope, line: Line, returned: tuple[Allocation, ...]) -> DraftLine:
    basis = json.loads(line.basis)
    taxed = taxed_as(scope, line, basis)
    period = Period(line.start, line.end) if line.start is not None and line.end is not None else None
    credit = None
    if line.credits_line_id is not None:
        share = Portion(*basis["share"]) if "share" in basis else Portion(*basis["removed"])
        assert period is not None
        credit = LineCredit(line.amount, line.discount, line.tax, share, period, line.tax_included)
    return DraftLine(
        line.subscription_id,
        line.item_id,
        line.kind,
        line.price_id,
        line.code,
        line.description,
        period,
        line.quantity,
        line.amount,
        frozenset(),
        taxed.code,
        taxed.taxable,
        taxed.inclusive,
        basis=basis,
        credit=credit,
        credits_line_id=line.credits_line_id,
        returned=returned,
        waiting=line,
    )


def taxed_as(scope: Scope, line: Line, basis: dict[str, object]) -> Taxed:
    """How a stored line is taxed: as what its price sells is by now, an extra one as it was made."""
    inclusive = bool(basis.get("inclusive"))
    price = scope.prices([line.price_id])[line.price_id] if line.price_id is not None else None
    if price is None:
        code = basis.get("tax_code")
        return Taxed(code if isinstance(code, str) else None, True, inclusive)
    catalog = scope.catalog.catalog
    sold = catalog.components[price.component] if price.component is not None else catalog.product(price.product or "")
    return Taxed(sold.tax_code, sold.taxable, inclusive)
