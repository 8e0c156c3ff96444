"""Proves the books: every law over everything that is stored, streaming (behaviour 10)."""

from collections.abc import Iterator

from billcore.commands.scope import Scope
from billcore.engine.proofs.agreement import read_agreements
from billcore.engine.proofs.allocations import prove_allocations
from billcore.engine.proofs.documents import prove_given_back, prove_lines, prove_settlement
from billcore.engine.proofs.groups import prove_groups
from billcore.engine.proofs.law import BATCH, Finding, Findings, Law, Proof, ProofWatcher, Verdict
from billcore.engine.proofs.ledger import prove_balances, prove_entries, read_book
from billcore.engine.proofs.numbers import prove_numbers
from billcore.engine.proofs.payments import prove_payments
from billcore.engine.proofs.periods import prove_coverage_rows, prove_periods
from billcore.engine.proofs.price import Pricing
from billcore.engine.proofs.refunds import prove_refunds
from billcore.store import customer as customers
from billcore.store.database import Transaction

__all__ = ["Finding", "Law", "Proof", "ProofWatcher", "Verdict", "verify"]


def verify(scope: Scope, watch: ProofWatcher = lambda _what, _done: None) -> Proof:
    """Prove everything in one reading transaction, so that others may go on writing.

    Customers and subscriptions are read in batches; memory does not grow with the books. Nothing is changed.
    """
    findings = Findings(scope.tx, watch)
    prove_numbers(findings)
    prove_entries(findings)
    prove_given_back(findings)
    prove_coverage_rows(findings)
    prove_groups(findings)
    done = 0
    for ids in _customers(scope.tx):
        book = read_book(scope.tx, ids)
        prove_lines(findings, ids)
        prove_settlement(findings, book, ids)
        prove_allocations(findings, ids)
        prove_payments(findings, book, ids)
        prove_refunds(findings, book, ids)
        prove_balances(findings, book, ids)
        done += len(ids)
        watch("customers", done)
    done = 0
    pricing = Pricing(scope)
    for agreements in read_agreements(scope.tx):
        prove_periods(findings, agreements, pricing)
        done += len(agreements)
        watch("subscriptions", done)
    return findings.proof()


def _customers(tx: Transaction) -> Iterator[list[str]]:
    last = ""
    while True:
        ids = customers.ids(tx, last, BATCH)
        if not ids:
            return
        last = ids[-1]
        yield ids
