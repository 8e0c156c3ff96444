"""What settles an invoice: payments, credits and notes, from what stands on it (behaviour 8, 3.5)."""

from collections import Counter
from collections.abc import Mapping

from billcore.commands.scope import Scope
from billcore.domain.credit import Account
from billcore.domain.invoice import Invoice
from billcore.engine.derivations.step import Step, exact_text
from billcore.store import crediting

_WORDS: Mapping[Account, str] = {
    "service_credits": "paid by service credit",
    "credits": "paid by credit",
    "prepayments": "paid by prepayment",
    "payments": "paid",
}


def settled_of(scope: Scope, invoice: Invoice) -> tuple[list[Step], bool]:
    """One step for each that settles a part of it, and whether they come to what it counts as credited and paid."""
    on: Counter[Account] = Counter()
    for payment in crediting.paying(scope.tx, invoice.id):
        on["payments"] += payment.applied
    for one in crediting.allocations(scope.tx, [invoice.id]):
        on[one.account] += one.amount
    notes = crediting.notes_to(scope.tx, invoice.id)
    told = [(f"credit note {note.number_text}", note.total) for note in notes]
    told += [(word, on[account]) for account, word in _WORDS.items()]
    steps = [Step(word, exact_text(-amount, invoice.currency)) for word, amount in told if amount]
    paid = on["payments"]
    credited = sum(on.values()) - paid + sum(note.total for note in notes)
    agrees = (paid, credited) == (invoice.paid, invoice.credited)
    if not agrees:
        stands = f"{exact_text(invoice.credited, invoice.currency)} and {exact_text(invoice.paid, invoice.currency)}"
        steps.append(Step(f"≠ {stands}, which it counts as credited and paid"))
    return steps, agrees
