"""What settles invoices and what is given back of it: nothing twice, nothing that was not there (behaviour 3.5)."""

from collections import Counter, defaultdict

from attrs import field, frozen

from billcore.engine.proofs.law import Findings, Law, money

SETTLED = Law("settled", "10", "What invoices count as paid and credited is what was put on them.", "invoices")
RETURNED = Law("given_back", "3.5", "Nothing is given back that had not settled the invoice.", "sources")
LEFT = Law("left_of_lines", "8.6", "What credits have left of an invoice is due or was settled.", "invoices")
RECORDED = Law("recorded", "9.8", "A payment by hand pays what is allocated of it.", "payments")
NOTED = Law("notes_given_back", "3.5", "What credit notes give is taken out of what had settled.", "credit notes")
DRAWN = Law("credits_drawn", "10", "Credits have left what was not drawn or paid out, or came back.", "credits")

_INVOICES = (
    "SELECT id, currency, status, credited, paid, total FROM billcore_invoices "
    "WHERE customer_id IN ?? AND number IS NOT NULL"
)
_PAYMENTS = "SELECT id, currency, invoice_id, applied FROM billcore_payments WHERE customer_id IN ?? AND captured > 0"
_ALLOCATIONS = (
    "SELECT invoice_id, account, source_id, amount, returned, document_id FROM billcore_allocations "
    "WHERE customer_id IN ??"
)
# A line may also stand on a credit note, which has settled it itself; one by hand gives back of no line (8.7).
_NOTES = """
    SELECT n.id, n.currency, n.invoice_id, n."to", n.total, CAST(coalesce((
        SELECT sum(c.discount - c.amount - c.tax + c.tax_included)
        FROM billcore_lines c LEFT JOIN billcore_lines l ON l.id = c.credits_line_id
        WHERE c.credit_note_id = n.id AND (
            (l.id IS NOT NULL AND l.invoice_id IS NULL) OR (c.credits_line_id IS NULL AND c.kind = 'credit')
        )
    ), 0) AS BIGINT)
    FROM billcore_credit_notes n WHERE n.customer_id IN ??
"""
_CREDITS = "SELECT id, currency, account, amount, remaining FROM billcore_credits WHERE customer_id IN ??"
# One that replaces another was taken from no credit: that one was.
_PAID_OUT = (
    "SELECT credit_id, CAST(sum(amount) AS BIGINT) FROM billcore_refunds "
    "WHERE customer_id IN ?? AND credit_id IS NOT NULL GROUP BY credit_id"
)
# A line that waited may be given back on the document that bills it: that pays nothing, it charges less.
_CHARGED = """
    SELECT l.invoice_id,
        CAST(sum(CASE WHEN l.credits_line_id IS NULL THEN l.amount - l.discount + l.tax - l.tax_included ELSE 0 END)
            AS BIGINT),
        CAST(sum(CASE WHEN l.credits_line_id IS NULL OR o.invoice_id = l.invoice_id THEN 0
            ELSE l.amount - l.discount + l.tax - l.tax_included END) AS BIGINT)
    FROM billcore_lines l LEFT JOIN billcore_lines o ON o.id = l.credits_line_id
    WHERE l.customer_id IN ?? AND l.invoice_id IS NOT NULL GROUP BY l.invoice_id
"""
_GIVEN = """
    SELECT l.invoice_id, CAST(sum(c.amount - c.discount + c.tax - c.tax_included) AS BIGINT)
    FROM billcore_lines c JOIN billcore_lines l ON l.id = c.credits_line_id
    LEFT JOIN billcore_invoices i ON i.id = c.invoice_id
    WHERE c.customer_id IN ?? AND l.invoice_id IS NOT NULL
        AND (i.id IS NULL OR i.status NOT IN ('void', 'draft'))
    GROUP BY l.invoice_id
"""

Source = tuple[str, str, str | None]
"""An invoice's id, the account, and the payment or credit that settles a part of it."""


@frozen
class _Sums:
    """Allocations added up: what stands on each invoice by source, and what was given back of it."""

    on: dict[str, Counter[tuple[str, str | None]]] = field(factory=lambda: defaultdict(Counter))
    back: Counter[Source] = field(factory=Counter)
    by_document: Counter[str] = field(factory=Counter)
    of_source: Counter[str] = field(factory=Counter)
    back_to: Counter[str] = field(factory=Counter)


def prove_allocations(findings: Findings, customers: list[str]) -> None:
    """Prove what settles the invoices of these customers."""
    sums = _added_up(findings, customers)
    noted: Counter[str] = Counter()
    count = 0
    for note_id, currency, invoice_id, to, total, of_notes in findings.tx.stream(_NOTES, [customers]):
        count += 1
        if to == "invoice":
            noted[invoice_id] += total
        elif sums.by_document[note_id] < total - of_notes:
            message = f"gives {money(total, currency)}, {money(sums.by_document[note_id], currency)} were taken for it"
            findings.add(NOTED, "credit note", note_id, message)
    findings.checked(NOTED, count)
    _prove_credits(findings, customers, sums)
    _prove_invoices(findings, customers, sums, noted)


def _added_up(findings: Findings, customers: list[str]) -> _Sums:
    sums = _Sums()
    for invoice_id, account, source_id, amount, returned, document_id in findings.tx.stream(_ALLOCATIONS, [customers]):
        sums.on[invoice_id][account, source_id] += amount
        sums.back[invoice_id, account, source_id] += returned
        if document_id is not None:
            sums.by_document[document_id] += returned
        if source_id is not None:
            sums.of_source[source_id] += amount
            sums.back_to[source_id] += returned
    count = 0
    for payment_id, currency, invoice_id, applied in findings.tx.stream(_PAYMENTS, [customers]):
        if invoice_id is not None:
            sums.on[invoice_id]["payments", payment_id] += applied
            continue
        count += 1
        if applied != sums.of_source[payment_id]:
            stands = money(sums.of_source[payment_id], currency)
            findings.add(RECORDED, "payment", payment_id, f"pays {money(applied, currency)}, {stands} are allocated")
    findings.checked(RECORDED, count)
    return sums


def _prove_credits(findings: Findings, customers: list[str], sums: _Sums) -> None:
    paid_out: dict[str, int] = dict(findings.tx.rows(_PAID_OUT, [customers]))
    count = 0
    for credit_id, currency, account, amount, remaining in findings.tx.stream(_CREDITS, [customers]):
        count += 1
        out = paid_out.get(credit_id, 0)
        if out and account == "service_credits":
            findings.add(DRAWN, "credit", credit_id, f"is a gift, and {money(out, currency)} of it were paid out")
        most = amount - sums.of_source[credit_id] + sums.back_to[credit_id] - out
        if remaining > most:
            there = money(most, currency)
            message = f"has {money(remaining, currency)} left, {there} were not drawn or paid out, or came back"
            findings.add(DRAWN, "credit", credit_id, message)
    findings.checked(DRAWN, count)


def _prove_invoices(findings: Findings, customers: list[str], sums: _Sums, noted: Counter[str]) -> None:
    charged = {row[0]: (row[1], row[2]) for row in findings.tx.stream(_CHARGED, [customers])}
    given: dict[str, int] = dict(findings.tx.rows(_GIVEN, [customers]))
    count = sources = 0
    for invoice_id, currency, status, credited, paid, total in findings.tx.stream(_INVOICES, [customers]):
        count += 1
        on = sums.on.get(invoice_id, Counter())
        charges, credits = charged.get(invoice_id, (0, 0))
        paying = sum(amount for (account, _), amount in on.items() if account == "payments")
        drawn = sum(on.values()) - paying
        if (paid, credited) != (paying, drawn + noted[invoice_id]):
            message = (
                f"{money(paid, currency)} paid and {money(credited, currency)} credited, "
                f"{money(paying, currency)} and {money(drawn + noted[invoice_id], currency)} were put on it"
            )
            findings.add(SETTLED, "invoice", invoice_id, message)
        left_over = 0
        for (account, source_id), amount in {**on, ("credits", None): -credits}.items():
            sources += 1
            back = sums.back[invoice_id, account, source_id]
            left_over += amount - back
            if back > amount:
                message = f"of {money(amount, currency)} from {account} {money(back, currency)} were given back"
                findings.add(RETURNED, "invoice", invoice_id, message)
        left = charges + given.get(invoice_id, 0)
        if status != "void" and left != left_over + total - credited - paid:
            message = (
                f"its lines have {money(left, currency)} left, "
                f"{money(left_over, currency)} had settled it and {money(total - credited - paid, currency)} are due"
            )
            findings.add(LEFT, "invoice", invoice_id, message)
    for law, checked in ((SETTLED, count), (RETURNED, sources), (LEFT, count)):
        findings.checked(law, checked)
