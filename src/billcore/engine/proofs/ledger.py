"""The ledger: single entries, and each customer's balances against documents, payments and credits (behaviour 10)."""

from collections import defaultdict
from collections.abc import Iterator

from attrs import field, frozen

from billcore.domain import ledger
from billcore.domain.credit import ORDER
from billcore.engine.proofs.law import Findings, Law, money
from billcore.store.database import Transaction

ENTRIES = Law("entries", "10", "Entries move a positive amount between two different known accounts.", "entries")
BELONGING = Law("entry_documents", "10", "Entries belong to documents of the same customer and currency.", "entries")
RECEIVABLE = Law("receivable", "10", "What customers owe is what their invoices are due.", "balances")
REVENUE = Law("revenue", "10", "Revenue is what documents bill before tax.", "balances")
TAX = Law("tax_payable", "10", "Tax payable is the tax of the documents.", "balances")
CREDITS = Law("credit_balances", "10", "Credit accounts hold what is left of the credits.", "balances")
WRITE_OFFS = Law("write_offs", "8.5", "What was written off is what uncollectible invoices are due.", "balances")

_ACCOUNTS = (
    ledger.RECEIVABLE,
    ledger.REVENUE,
    ledger.TAX_PAYABLE,
    ledger.CREDITS,
    ledger.SERVICE_CREDITS,
    ledger.PREPAYMENTS,
    ledger.WRITE_OFFS,
    ledger.REFUNDS,
    ledger.UNAPPLIED,
    ledger.GIFTS,
)
CASH = "cash:"

_WRONG_SIDES = (
    "SELECT id, amount, debit, credit FROM billcore_ledger_entries WHERE amount <= 0 OR debit = credit "
    "OR NOT (debit IN ?? OR substr(debit, 1, 5) = 'cash:') "
    "OR NOT (credit IN ?? OR substr(credit, 1, 5) = 'cash:')"
)
_ASTRAY = """
    SELECT e.id, e.customer_id, c.id, e.invoice_id, i.id, e.payment_id, p.id, e.credit_note_id, n.id
    FROM billcore_ledger_entries e
    LEFT JOIN billcore_customers c ON c.id = e.customer_id
    LEFT JOIN billcore_invoices i ON i.id = e.invoice_id
        AND i.customer_id = e.customer_id AND i.currency = e.currency AND i.number IS NOT NULL
    LEFT JOIN billcore_payments p ON p.id = e.payment_id
        AND p.customer_id = e.customer_id AND p.currency = e.currency
    LEFT JOIN billcore_credit_notes n ON n.id = e.credit_note_id
        AND n.customer_id = e.customer_id AND n.currency = e.currency
    WHERE c.id IS NULL
        OR (e.invoice_id IS NOT NULL AND i.id IS NULL)
        OR (e.payment_id IS NOT NULL AND p.id IS NULL)
        OR (e.credit_note_id IS NOT NULL AND n.id IS NULL)
        OR (coalesce(e.invoice_id, e.payment_id, e.credit_note_id) IS NULL
            AND NOT (e.debit = 'gifts' AND e.credit = 'service_credits')
            AND NOT (e.debit = 'service_credits' AND e.credit = 'gifts'))
"""
_ENTRIES = (
    "SELECT customer_id, currency, debit, credit, amount, invoice_id, payment_id FROM billcore_ledger_entries "
    "WHERE customer_id IN ??"
)
_INVOICES = (
    "SELECT customer_id, currency, "
    "CAST(sum(CASE WHEN status IN ('open', 'paid') THEN total - credited - paid ELSE 0 END) AS BIGINT), "
    "CAST(sum(CASE WHEN status = 'void' THEN 0 ELSE total - tax END) AS BIGINT), "
    "CAST(sum(CASE WHEN status = 'void' THEN 0 ELSE tax END) AS BIGINT), "
    "CAST(sum(CASE WHEN status = 'uncollectible' THEN total - credited - paid ELSE 0 END) AS BIGINT) "
    "FROM billcore_invoices WHERE customer_id IN ?? AND number IS NOT NULL GROUP BY customer_id, currency"
)
# A void invoice left the books but for what notes to it had taken out before.
_NOTES = (
    "SELECT n.customer_id, n.currency, CAST(sum(n.total + n.tax) AS BIGINT), CAST(sum(n.tax) AS BIGINT) "
    "FROM billcore_credit_notes n LEFT JOIN billcore_invoices i ON i.id = n.invoice_id "
    "WHERE n.customer_id IN ?? AND (n.\"to\" <> 'invoice' OR i.status <> 'void') GROUP BY n.customer_id, n.currency"
)
_CREDITS = (
    "SELECT customer_id, currency, account, CAST(sum(remaining) AS BIGINT) FROM billcore_credits "
    "WHERE customer_id IN ?? AND remaining > 0 GROUP BY customer_id, currency, account"
)

Key = tuple[str, str]
"""A customer's id and a currency."""


@frozen
class Book:
    """The ledger of some customers, added up: by account (credits positive), by invoice and by payment.

    `cash_beside` is the cash that no payment is behind, by customer and account.
    """

    accounts: dict[Key, dict[str, int]] = field(factory=lambda: defaultdict(lambda: defaultdict(int)))
    cash_on: dict[str, int] = field(factory=lambda: defaultdict(int))
    drawn_on: dict[str, int] = field(factory=lambda: defaultdict(int))
    cash_of: dict[str, dict[str, int]] = field(factory=lambda: defaultdict(lambda: defaultdict(int)))
    cash_beside: dict[tuple[str, str, str], int] = field(factory=lambda: defaultdict(int))


def read_book(tx: Transaction, customers: list[str]) -> Book:
    """Add up the entries of these customers."""
    book = Book()
    for customer, currency, debit, credit, amount, invoice_id, payment_id in tx.stream(_ENTRIES, [customers]):
        accounts = book.accounts[customer, currency]
        accounts[debit] -= amount
        accounts[credit] += amount
        if ledger.RECEIVABLE in (credit, debit):
            other, signed = (debit, amount) if credit == ledger.RECEIVABLE else (credit, -amount)
            if invoice_id is not None and other in ORDER:
                book.drawn_on[invoice_id] += signed
            elif invoice_id is not None and (other.startswith(CASH) or other == ledger.REFUNDS):
                # A refund without a credit note takes what was paid off its invoice when it is promised.
                book.cash_on[invoice_id] += signed
        for account, signed in ((debit, amount), (credit, -amount)):
            if account.startswith(CASH) and payment_id is not None:
                book.cash_of[payment_id][account] += signed
            elif account.startswith(CASH):
                book.cash_beside[customer, currency, account] += signed
    return book


def prove_entries(findings: Findings) -> None:
    """Prove every entry by itself."""
    findings.watch("ledger entries", 0)
    tx = findings.tx
    row = tx.one("SELECT count(*) FROM billcore_ledger_entries")
    count = row[0] if row else 0
    findings.checked(ENTRIES, count)
    for entry_id, amount, debit, credit in tx.stream(_WRONG_SIDES, [_ACCOUNTS, _ACCOUNTS]):
        findings.add(ENTRIES, "entry", entry_id, f"moves {amount} from {credit} to {debit}")
    findings.checked(BELONGING, count)
    for entry_id, customer_id, known, *documents in tx.stream(_ASTRAY):
        findings.add(BELONGING, "entry", entry_id, _astray(customer_id, known, documents))


def prove_balances(findings: Findings, book: Book, customers: list[str]) -> None:
    """Prove the balances of these customers, per currency (behaviour 1.4)."""
    expected = _expected(findings.tx, customers)
    keys = sorted({*expected, *book.accounts})
    laws = {
        ledger.RECEIVABLE: RECEIVABLE,
        ledger.REVENUE: REVENUE,
        ledger.TAX_PAYABLE: TAX,
        ledger.WRITE_OFFS: WRITE_OFFS,
    }
    for law in (*laws.values(), CREDITS):
        findings.checked(law, len(keys))
    nothing: dict[str, int] = {}
    for key in keys:
        customer, currency = key
        stands, should = book.accounts.get(key, nothing), expected.get(key, nothing)
        for account in (*laws, *ORDER):
            found, wanted = stands.get(account, 0), should.get(account, 0)
            if found != wanted:
                source = "credits have left" if account in ORDER else "documents say"
                sign = -1 if account in (ledger.RECEIVABLE, ledger.WRITE_OFFS) else 1
                findings.add(
                    laws.get(account, CREDITS),
                    "customer",
                    customer,
                    f"the ledger holds {money(sign * found, currency)} in {account}, "
                    f"the {source} {money(sign * wanted, currency)}",
                )


def _expected(tx: Transaction, customers: list[str]) -> dict[Key, dict[str, int]]:
    """What the accounts have to hold, credits positive."""
    expected: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for customer, currency, due, revenue, tax, written_off in tx.stream(_INVOICES, [customers]):
        expected[customer, currency][ledger.RECEIVABLE] -= due
        expected[customer, currency][ledger.WRITE_OFFS] -= written_off
        expected[customer, currency][ledger.REVENUE] += revenue
        expected[customer, currency][ledger.TAX_PAYABLE] += tax
    for customer, currency, revenue, tax in tx.stream(_NOTES, [customers]):
        expected[customer, currency][ledger.REVENUE] -= revenue
        expected[customer, currency][ledger.TAX_PAYABLE] += tax
    for customer, currency, account, remaining in tx.stream(_CREDITS, [customers]):
        expected[customer, currency][account] += remaining
    return expected


def _astray(customer_id: str, known: str | None, documents: list[str | None]) -> str:
    if known is None:
        return f"belongs to customer {customer_id}, who does not exist"
    for kind, named, found in _pairs(documents):
        if named is not None and found is None:
            return f"names {kind} {named}, which is not an issued one of its customer and currency"
    return "names no document"


def _pairs(documents: list[str | None]) -> Iterator[tuple[str, str | None, str | None]]:
    for place, kind in enumerate(("invoice", "payment", "credit note")):
        yield kind, documents[2 * place], documents[2 * place + 1]
