"""Numbers: each series without gap, each number once, none for what was not issued (behaviour 8.5)."""

from itertools import groupby
from operator import itemgetter

from billcore.engine.proofs.law import Findings, Law

GAPLESS = Law("numbers", "8.5", "Numbers have no gap and stand once in their series.", "numbers")
ISSUED = Law("numbered", "8.5", "Issued invoices have a number, drafts and discarded ones none.", "invoices")

_NUMBERS = {
    "invoice": "SELECT series, number, id FROM billcore_invoices WHERE number IS NOT NULL ORDER BY series, number",
    "credit note": "SELECT series, number, id FROM billcore_credit_notes ORDER BY series, number",
}


def prove_numbers(findings: Findings) -> None:
    """Prove the numbers of all series."""
    findings.watch("numbers", 0)
    tx = findings.tx
    counters: dict[str, int] = dict(tx.rows("SELECT series, last FROM billcore_counters"))
    for kind in _NUMBERS:
        _prove_series(findings, kind, counters)
    for series, last in counters.items():
        if last:
            findings.add(GAPLESS, "series", series or "(invoices)", f"{last} numbers were taken and none stands")
    row = tx.one("SELECT count(*) FROM billcore_invoices")
    findings.checked(ISSUED, row[0] if row else 0)
    for invoice_id, status, number, discarded in tx.stream(
        "SELECT id, status, number, discarded_at FROM billcore_invoices WHERE (status = 'draft') <> (number IS NULL) "
        "OR (discarded_at IS NOT NULL AND status <> 'draft')"
    ):
        has = "no number" if number is None else f"the number {number}"
        gone = " and was discarded" if discarded else ""
        findings.add(ISSUED, "invoice", invoice_id, f"is {status}{gone}, and has {has}")


def _prove_series(findings: Findings, kind: str, counters: dict[str, int]) -> None:
    """Walk the numbers of one kind of document; its series leave `counters`."""
    for series, rows in groupby(findings.tx.stream(_NUMBERS[kind]), key=itemgetter(0)):
        last = 0
        for _, number, row_id in rows:
            findings.checked(GAPLESS, 1)
            if number > last + 1:
                missing = f"{last + 1}" if number == last + 2 else f"{last + 1} to {number - 1}"
                findings.add(GAPLESS, kind, row_id, f"number {missing} is missing before {number}")
            elif number <= last:
                findings.add(GAPLESS, kind, row_id, f"number {number} stands more than once")
            last = number
        counter = counters.pop(series, 0)
        if counter != last:
            message = f"the last number is {last}, but the counter stands at {counter}"
            findings.add(GAPLESS, "series", series or "(invoices)", message)
