"""Giving back of an invoice: how much of each line, and out of what had settled it (behaviour 3.5, 8.6)."""

from collections.abc import Collection, Sequence

from attrs import field, frozen

from billcore.domain.credit import GIVE_BACK, Account, Allocation
from billcore.domain.invoice import CreditTo, Invoice, Line
from billcore.domain.money import Money, round_ratio, share
from billcore.domain.payment import Payment
from billcore.errors import InvalidValue, Refused


@frozen
class Parts:
    """The four figures of a line or of a part of it, in minor units and of the sign of what was billed."""

    amount: int
    discount: int
    tax: int
    tax_included: int

    @property
    def total(self) -> int:
        """What they add to a document's total."""
        return self.amount - self.discount + self.tax - self.tax_included

    def __sub__(self, other: "Parts") -> "Parts":
        return Parts(
            self.amount - other.amount,
            self.discount - other.discount,
            self.tax - other.tax,
            self.tax_included - other.tax_included,
        )


NO_PARTS = Parts(0, 0, 0, 0)


def left_of(line: Line, credits: Sequence[Line]) -> Parts:
    """What `credits`, the lines that give back of it, have left of a line."""
    return Parts(
        line.amount + sum(credit.amount for credit in credits),
        line.discount + sum(credit.discount for credit in credits),
        line.tax + sum(credit.tax for credit in credits),
        line.tax_included + sum(credit.tax_included for credit in credits),
    )


def part_of(left: Parts, total: int) -> Parts:
    """`total` minor units of a line that has `left`: discount and tax in proportion, rounded, the amount is the rest.

    0 <= total <= left.total; so is every figure between 0 and what is left of it, and all of it at the end.
    """
    whole = left.total
    if total == whole:
        return left
    discount = round_ratio(left.discount * total, whole)
    tax = round_ratio(left.tax * total, whole)
    included = round_ratio(left.tax_included * total, whole)
    return Parts(total + discount - tax + included, discount, tax, included)


def take(lefts: Sequence[Parts], total: int) -> list[Parts]:
    """`total` minor units shared over lines by what is left of each (largest remainder, behaviour 1.3).

    A rebate is given back with the last of its charges: until then a part is shared over the charges alone.
    """
    whole = [left.total for left in lefts]
    if total == sum(whole):
        return list(lefts)
    whole = [max(part, 0) for part in whole]
    return [part_of(left, part) if part else NO_PARTS for left, part in zip(lefts, share(total, whole), strict=True)]


@frozen
class Source:
    """Something that settled an invoice, and what documents have left of it: a payment or credit by id.

    The `id` is None for credit lines on the invoice itself, which pay a part of its charges.
    """

    account: Account
    id: str | None
    left: int


def draw_back(sources: Sequence[Source], amount: int) -> list[Source]:
    """`amount` out of `sources`, in the order in which it is given back; `left` says how much of each.

    Payments first, then prepayments, credit-note credits, service credits; within one kind the newest first.
    """
    taken = []
    newest_first = sorted(sources, key=lambda source: source.id or "", reverse=True)
    for source in sorted(newest_first, key=lambda source: GIVE_BACK.index(source.account)):
        part = min(amount, source.left)
        if part > 0:
            taken.append(Source(source.account, source.id, part))
            amount -= part
    assert amount <= 0, "more is given back than was settled"
    return taken


def paid_by_lines(invoice: Invoice) -> int:
    """What credit lines on the invoice itself pay of its charges, positive minor units.

    One that gives back of a line beside it pays nothing: that line had waited, and less of it is charged.
    """
    own = {line.id for line in invoice.lines}
    return -sum(
        line.total for line in invoice.lines if line.credits_line_id is not None and line.credits_line_id not in own
    )


def sources_of(invoice: Invoice, payments: Sequence[Payment], allocations: Sequence[Allocation]) -> tuple[Source, ...]:
    """What settled the invoice, less what documents gave back of it: its payments, and allocations to it."""
    held: dict[tuple[Account, str | None], int] = {("credits", None): paid_by_lines(invoice)}
    for payment in payments:
        if payment.invoice_id == invoice.id:
            held["payments", payment.id] = held.get(("payments", payment.id), 0) + payment.applied
    for one in allocations:
        key = (one.account, one.source_id)
        held[key] = held.get(key, 0) + one.amount - one.returned
    return tuple(Source(account, source_id, left) for (account, source_id), left in held.items() if left)


@frozen
class Piece:
    """One credit note to be: where its `total` goes, and what it is taken from.

    `parts` are lines with its part of each, and what was left of them before; `among` is what all of them had left
    together, by which the total was shared. A piece `to = invoice` takes from nothing: it reduces what is still due.
    """

    to: CreditTo
    total: int
    among: int
    parts: tuple[tuple[Line, Parts, Parts], ...]
    taken: tuple[Source, ...] = ()


@frozen
class Asked:
    """What is to be given back: `amount` minor units (None: all that is left) of the lines with these ids (None: all).

    `to` says where what is not due any more goes. With `payment_id` only what that payment paid is given back, and
    what is still due stays.
    """

    to: CreditTo = "credit"
    amount: int | None = None
    line_ids: Collection[str] | None = None
    payment_id: str | None = None


@frozen
class Billed:
    """An invoice with its lines, what credits have left of each charge line, and what settled it."""

    invoice: Invoice
    lefts: tuple[tuple[Line, Parts], ...]
    sources: tuple[Source, ...] = field(default=())

    @property
    def left(self) -> int:
        """What credits have left of the invoice: never what credit lines on it had paid themselves."""
        return max(0, sum(parts.total for _, parts in self.lefts) - paid_by_lines(self.invoice))

    @property
    def creditable(self) -> int:
        """What may still be given back: not what was written off."""
        written_off = self.invoice.due if self.invoice.status == "uncollectible" else 0
        return max(0, self.left - written_off)

    @property
    def reducible(self) -> int:
        """What is still due and may be: an invoice that was written off owes nothing that a note could take away."""
        return self.invoice.due if self.invoice.status == "open" else 0


@frozen
class Plan:
    """The notes to be made, and the lines (by id) of which everything is given back, so that their time ends."""

    pieces: tuple[Piece, ...]
    ended: tuple[str, ...] = ()


def plan_credit(billed: Billed, asked: Asked) -> Plan:
    """The credit notes that give back what is asked: at most one to the invoice, one to refund and one to credit.

    Raises Refused amount_exceeds for more than is left, or than is due where it goes to the invoice; InvalidValue
    for an amount that is not above zero.
    """
    chosen = [(line, left) for line, left in billed.lefts if asked.line_ids is None or line.id in asked.line_ids]
    wanted = _wanted(billed, asked, sum(left.total for _, left in chosen))
    reduced = 0 if asked.payment_id is not None else min(wanted, billed.reducible)
    if asked.to == "invoice" and wanted > reduced:
        raise _exceeds(billed.invoice, wanted, reduced, "is still due")
    sources = [one for one in billed.sources if asked.payment_id in (None, one.id)]
    taken = draw_back(sources, wanted - reduced)
    to_method = tuple(one for one in taken if one.account == "payments" and asked.to == "refund")
    to_account = tuple(one for one in taken if one not in to_method)
    totals: list[tuple[CreditTo, int, tuple[Source, ...]]] = [
        ("invoice", reduced, ()),
        ("refund", sum(one.left for one in to_method), to_method),
        ("credit", sum(one.left for one in to_account), to_account),
    ]
    pieces = []
    for to, total, mine in totals:
        if total > 0:
            parts = take([left for _, left in chosen], total)
            among = sum(left.total for _, left in chosen)
            if total < among:  # As `take` shares it.
                among = sum(max(left.total, 0) for _, left in chosen)
            pieces.append(Piece(to, total, among, _not_empty(chosen, parts), mine))
            chosen = [(line, left - part) for (line, left), part in zip(chosen, parts, strict=True)]
    everything = asked.amount is None and wanted == billed.left
    ended = [line.id for line, left in chosen if asked.amount is None and (left == NO_PARTS or everything)]
    return Plan(tuple(pieces), tuple(ended))


def _wanted(billed: Billed, asked: Asked, of_lines: int) -> int:
    most = min(billed.creditable, of_lines)
    if asked.payment_id is not None:
        most = min(most, sum(one.left for one in billed.sources if one.id == asked.payment_id))
    if asked.amount is not None and asked.amount <= 0:
        raise InvalidValue("An amount to give back is above zero.", remedy='Write "10.00".', parameter="amount")
    wanted = most if asked.amount is None else asked.amount
    if wanted > most or wanted <= 0:
        raise _exceeds(billed.invoice, wanted, max(most, 0), "is left to give back")
    return wanted


def _not_empty(lines: Sequence[tuple[Line, Parts]], parts: Sequence[Parts]) -> tuple[tuple[Line, Parts, Parts], ...]:
    return tuple((line, part, left) for (line, left), part in zip(lines, parts, strict=True) if part != NO_PARTS)


def _exceeds(invoice: Invoice, wanted: int, most: int, which: str) -> Refused:
    left = Money(most, invoice.currency)
    return Refused(
        "amount_exceeds",
        f"Of invoice {invoice.number_text or invoice.id} {left} {which}.",
        remedy=f"Give at most {left}." if most else "Nothing more can be given back.",
        invoice=invoice.id,
        asked=wanted,
        most=most,
    )
