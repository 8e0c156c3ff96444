"""Documents: they equal their lines, what was paid and credited on them, and give back no more than was billed."""

from billcore.engine.proofs.law import Findings, Law, money
from billcore.engine.proofs.ledger import Book

LINES = Law("invoice_lines", "8.2", "Invoices equal the sums of their lines.", "invoices")
NOTES = Law("credit_note_lines", "8.6", "Credit notes equal the sums of their lines.", "credit notes")
PAID = Law("invoice_paid", "10", "What an invoice counts as paid was captured for it.", "invoices")
CREDITED = Law("invoice_credited", "3.5", "What an invoice counts as credited was drawn or noted.", "invoices")
DUE = Law("invoice_due", "10", "No invoice is paid or credited beyond its total.", "invoices")
STATUS = Law("invoice_status", "8.5", "An issued invoice is paid exactly when nothing is due.", "invoices")
GIVEN_BACK = Law("credited_lines", "3.4", "No line gives back more than it billed.", "credited lines")

_PARTS = ("subtotal", "discount", "tax", "tax_included")

_INVOICE_LINES = """
    SELECT i.id, i.currency, i.subtotal, i.discount, i.tax, i.tax_included, i.total,
        CAST(coalesce(sum(l.amount), 0) AS BIGINT), CAST(coalesce(sum(l.discount), 0) AS BIGINT),
        CAST(coalesce(sum(l.tax), 0) AS BIGINT), CAST(coalesce(sum(l.tax_included), 0) AS BIGINT),
        count(CASE WHEN l.customer_id <> i.customer_id THEN 1 END)
    FROM billcore_invoices i LEFT JOIN billcore_lines l ON l.invoice_id = i.id
    WHERE i.customer_id IN ?? GROUP BY i.id
"""
_NOTE_LINES = """
    SELECT n.id, n.currency, n.subtotal, n.discount, n.tax, n.tax_included, n.total,
        CAST(coalesce(sum(l.amount), 0) AS BIGINT), CAST(coalesce(sum(l.discount), 0) AS BIGINT),
        CAST(coalesce(sum(l.tax), 0) AS BIGINT), CAST(coalesce(sum(l.tax_included), 0) AS BIGINT),
        count(CASE WHEN l.customer_id <> n.customer_id THEN 1 END)
    FROM billcore_credit_notes n LEFT JOIN billcore_lines l ON l.credit_note_id = n.id
    WHERE n.customer_id IN ?? GROUP BY n.id
"""
_NOTED = (
    "SELECT invoice_id, CAST(sum(total) AS BIGINT) FROM billcore_credit_notes WHERE customer_id IN ?? "
    "AND \"to\" = 'invoice' AND invoice_id IS NOT NULL GROUP BY invoice_id"
)
_SETTLED = "SELECT id, currency, status, total, credited, paid, overdue FROM billcore_invoices WHERE customer_id IN ??"
_GIVEN_BACK = """
    SELECT l.id, l.amount, l.discount, l.tax, l.tax_included, k.amount, k.discount, k.tax, k.tax_included
    FROM (
        SELECT c.credits_line_id AS line_id,
            CAST(sum(c.amount) AS BIGINT) AS amount, CAST(sum(c.discount) AS BIGINT) AS discount,
            CAST(sum(c.tax) AS BIGINT) AS tax, CAST(sum(c.tax_included) AS BIGINT) AS tax_included
        FROM billcore_lines c LEFT JOIN billcore_invoices i ON i.id = c.invoice_id
        WHERE c.credits_line_id IS NOT NULL AND (i.id IS NULL OR i.status NOT IN ('void', 'draft'))
        GROUP BY c.credits_line_id
    ) k LEFT JOIN billcore_lines l ON l.id = k.line_id
"""


def prove_lines(findings: Findings, customers: list[str]) -> None:
    """Prove that the documents of these customers equal their lines."""
    for law, kind, sql, sign in (
        (LINES, "invoice", _INVOICE_LINES, 1),
        (NOTES, "credit note", _NOTE_LINES, -1),
    ):
        count = 0
        for row in findings.tx.stream(sql, [customers]):
            count += 1
            subtotal, discount, tax, included, total = row[2:7]
            if row[2:6] == row[7:11] and sign * total == subtotal - discount + tax - included and not row[11]:
                continue
            _name_difference(findings, law, kind, row, sign)
        findings.checked(law, count)


def _name_difference(findings: Findings, law: Law, kind: str, row: tuple[object, ...], sign: int) -> None:
    row_id, currency = str(row[0]), str(row[1])
    stated = [value for value in row[2:6] if isinstance(value, int)]
    summed = [value for value in row[7:11] if isinstance(value, int)]
    for part, says, lines in zip(_PARTS, stated, summed, strict=True):
        if says != lines:
            findings.add(
                law,
                kind,
                row_id,
                f"its {part} is {money(says, currency)}, its lines add up to {money(lines, currency)}",
            )
            return
    if row[11]:
        findings.add(law, kind, row_id, f"{row[11]} of its lines belong to another customer")
        return
    assert isinstance(row[6], int)
    made = sign * (stated[0] - stated[1] + stated[2] - stated[3])
    findings.add(
        law,
        kind,
        row_id,
        f"its total is {money(row[6], currency)}, its parts make {money(made, currency)}",
    )


def prove_settlement(findings: Findings, book: Book, customers: list[str]) -> None:
    """Prove what the invoices of these customers count as paid and credited, what is due, and their status."""
    noted: dict[str, int] = dict(findings.tx.rows(_NOTED, [customers]))
    count = 0
    for invoice_id, currency, status, total, credited, paid, overdue in findings.tx.stream(_SETTLED, [customers]):
        count += 1
        due = total - credited - paid
        captured = book.cash_on.get(invoice_id, 0)
        if paid != captured:
            message = f"{money(paid, currency)} count as paid, {money(captured, currency)} came in"
            findings.add(PAID, "invoice", invoice_id, message)
        given = book.drawn_on.get(invoice_id, 0) + noted.get(invoice_id, 0)
        if credited != given:
            message = f"{money(credited, currency)} count as credited, {money(given, currency)} were"
            findings.add(CREDITED, "invoice", invoice_id, message)
        if due < 0 or paid < 0 or credited < 0:
            message = (
                f"of {money(total, currency)} {money(paid, currency)} are paid and {money(credited, currency)} credited"
            )
            findings.add(DUE, "invoice", invoice_id, message)
        if wrong := _wrong_status(status, due, paid + credited, bool(overdue)):
            findings.add(STATUS, "invoice", invoice_id, f"{money(due, currency)} are due: {wrong}")
    for law in (PAID, CREDITED, DUE, STATUS):
        findings.checked(law, count)


def _wrong_status(status: str, due: int, settled: int, overdue: bool) -> str:
    if (status == "paid" and due != 0) or (status == "open" and due == 0):
        return f"it cannot be {status}"
    if status == "draft" and settled:
        return "a draft cannot be paid or credited"
    if overdue and status != "open":
        return f"an invoice that is {status} cannot be overdue"
    return ""


def prove_given_back(findings: Findings) -> None:
    """Prove that credits give back at most what their lines billed: amount, discount and tax each."""
    findings.watch("credited lines", 0)
    count = 0
    for line_id, *values in findings.tx.stream(_GIVEN_BACK):
        count += 1
        billed, credited = values[:4], values[4:]
        if line_id is None:
            findings.add(GIVEN_BACK, "line", "?", "a credit names a line that does not exist")
            continue
        for part, of, back in zip(("amount", *_PARTS[1:]), billed, credited, strict=True):
            if not (0 <= -back <= of or 0 >= -back >= of):
                findings.add(GIVEN_BACK, "line", line_id, f"of {part} {of} it billed, {-back} were given back")
                break
    findings.checked(GIVEN_BACK, count)
