"""Payments: what gateways hold is what payments captured, and no invoice is collected twice (behaviour 9, 10)."""

from billcore.domain.ledger import cash
from billcore.engine.proofs.law import Findings, Law, money
from billcore.engine.proofs.ledger import Book

CASH = Law("cash", "10", "Each gateway's cash is what its payments captured less refunds.", "payments")
ONCE = Law("captured_once", "9.4", "Payments of one invoice do not capture more than its total.", "invoices")

_PAYMENTS = (
    "SELECT id, currency, gateway, status, amount, captured, refunded FROM billcore_payments WHERE customer_id IN ??"
)
_CAPTURED = """
    SELECT i.id, i.currency, i.total, CAST(sum(p.captured - p.refunded) AS BIGINT), count(*)
    FROM billcore_payments p JOIN billcore_invoices i ON i.id = p.invoice_id
    WHERE p.customer_id IN ?? AND p.captured > 0 AND p.parked_reason IS NULL
    GROUP BY i.id
"""
_HAS_MONEY = ("succeeded", "partially_refunded", "refunded", "disputed")


def prove_payments(findings: Findings, book: Book, customers: list[str]) -> None:
    """Prove the payments of these customers."""
    count = 0
    for payment_id, currency, gateway, status, amount, captured, refunded in findings.tx.stream(_PAYMENTS, [customers]):
        count += 1
        held = book.cash_of.get(payment_id)
        account = cash(gateway)
        if wrong := _wrong_money(status, amount, captured, refunded):
            findings.add(CASH, "payment", payment_id, f"is {status} for {money(amount, currency)}: {wrong}")
        elif (held or {}).get(account, 0) != captured - refunded or set(held or ()) - {account}:
            told = ", ".join(f"{money(value, currency)} in {name}" for name, value in (held or {}).items())
            findings.add(
                CASH,
                "payment",
                payment_id,
                f"captured {money(captured - refunded, currency)} at {gateway}, the ledger has {told or 'nothing'}",
            )
    findings.checked(CASH, count)
    count = 0
    for invoice_id, currency, total, captured, payments in findings.tx.stream(_CAPTURED, [customers]):
        count += 1
        if captured > total:
            message = f"{payments} payments captured {money(captured, currency)} of {money(total, currency)}"
            findings.add(ONCE, "invoice", invoice_id, message)
    findings.checked(ONCE, count)


def _wrong_money(status: str, amount: int, captured: int, refunded: int) -> str:
    if not 0 <= refunded <= captured <= amount:
        return f"{captured} captured and {refunded} refunded do not fit {amount}"
    if captured and status not in _HAS_MONEY:
        return "money was captured"
    if not captured and status in _HAS_MONEY:
        return "nothing was captured"
    return ""
