"""Payments: what gateways hold is what payments captured, and no invoice is collected twice (behaviour 9, 10)."""

from billcore.domain.ledger import cash
from billcore.domain.payment import BY_HAND
from billcore.engine.proofs.law import Findings, Law, money
from billcore.engine.proofs.ledger import Book

CASH = Law("cash", "10", "Each gateway's cash is what its payments captured less refunds.", "payments")
ONCE = Law("captured_once", "9.4", "Payments of one invoice do not capture more than its total.", "invoices")

_PAYMENTS = """
    SELECT p.id, p.currency, p.gateway, p.status, p.amount, p.captured, p.refunded,
        coalesce(r.back, 0), coalesce(r.outside, 0)
    FROM billcore_payments p LEFT JOIN (
        SELECT payment_id,
            CAST(sum(CASE WHEN "to" = 'method' THEN amount ELSE 0 END) AS BIGINT) AS back,
            CAST(sum(CASE WHEN "to" = 'external' THEN amount ELSE 0 END) AS BIGINT) AS outside
        FROM billcore_refunds WHERE customer_id IN ?? AND status = 'succeeded' GROUP BY payment_id
    ) r ON r.payment_id = p.id
    WHERE p.customer_id IN ??
"""
_CAPTURED = """
    SELECT i.id, i.currency, i.total, CAST(sum(p.applied) AS BIGINT), count(*)
    FROM billcore_payments p JOIN billcore_invoices i ON i.id = p.invoice_id
    WHERE p.customer_id IN ?? AND p.applied > 0
    GROUP BY i.id, i.currency, i.total
"""
_PAID_OUT = """
    SELECT customer_id, currency, CAST(sum(amount) AS BIGINT) FROM billcore_refunds
    WHERE customer_id IN ?? AND payment_id IS NULL AND status = 'succeeded' GROUP BY customer_id, currency
"""
_HAS_MONEY = ("succeeded", "partially_refunded", "refunded", "disputed")


def prove_payments(findings: Findings, book: Book, customers: list[str]) -> None:
    """Prove the payments of these customers."""
    count = 0
    for row in findings.tx.stream(_PAYMENTS, [customers, customers]):
        count += 1
        payment_id, currency, gateway, status, amount, captured, refunded, back, outside = row
        held = {name: value for name, value in book.cash_of.get(payment_id, {}).items() if value}
        if wrong := _wrong_money(status, amount, captured, refunded):
            findings.add(CASH, "payment", payment_id, f"is {status} for {money(amount, currency)}: {wrong}")
        elif held != _expected(gateway, captured, back, outside):
            told = ", ".join(f"{money(value, currency)} in {name}" for name, value in held.items())
            findings.add(
                CASH,
                "payment",
                payment_id,
                f"captured {money(captured - back, currency)} at {gateway}, the ledger has {told or 'nothing'}",
            )
    findings.checked(CASH, count + _prove_paid_out(findings, book, customers))
    count = 0
    for invoice_id, currency, total, captured, payments in findings.tx.stream(_CAPTURED, [customers]):
        count += 1
        if captured > total:
            message = f"{payments} payments captured {money(captured, currency)} of {money(total, currency)}"
            findings.add(ONCE, "invoice", invoice_id, message)
    findings.checked(ONCE, count)


def _prove_paid_out(findings: Findings, book: Book, customers: list[str]) -> int:
    """Cash that no payment is behind is what was paid out of credits outside, and nothing else."""
    outside = cash(BY_HAND)
    expected = {
        (customer, currency, outside): -amount
        for customer, currency, amount in findings.tx.stream(_PAID_OUT, [customers])
    }
    keys = sorted({*expected, *book.cash_beside})
    for key in keys:
        customer, currency, account = key
        found, wanted = book.cash_beside.get(key, 0), expected.get(key, 0)
        if found != wanted:
            message = (
                f"{money(-wanted, currency)} were paid out without a payment, "
                f"the ledger has {money(-found, currency)} out of {account}"
            )
            findings.add(CASH, "customer", customer, message)
    return len(keys)


def _expected(gateway: str, captured: int, back: int, outside: int) -> dict[str, int]:
    """The cash of a payment by account: at its gateway, and what was given back outside."""
    expected = {cash(gateway): captured - back}
    expected[cash(BY_HAND)] = expected.get(cash(BY_HAND), 0) - outside
    return {account: value for account, value in expected.items() if value}


def _wrong_money(status: str, amount: int, captured: int, refunded: int) -> str:
    if not 0 <= refunded <= captured <= amount:
        return f"{captured} captured and {refunded} refunded do not fit {amount}"
    if captured and status not in _HAS_MONEY:
        return "money was captured"
    if not captured and status in _HAS_MONEY:
        return "nothing was captured"
    return ""
