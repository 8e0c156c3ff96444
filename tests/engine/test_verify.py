"""verify finds every way in which the books can be wrong, and nothing else (behaviour 10, 3.6)."""

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import strategies as st

from billcore.errors import Refused
from tests import databases
from tests.builders import anew, books, day, for_all

NO = "decline:insufficient_funds"


def lived_in(url):
    """Books in which everything has happened once: every price, holds, debts, credits, trials, a take-over."""
    billing = books(url, customers=("acme", "beta", "gamma", "delta"))
    billing.customers.update("acme", country="DE")
    billing.subscriptions.create("s1", "acme", "pro-fee", components={"seats": "3"}, coupons=["TEN"])
    billing.subscriptions.create("year", "acme", "pro-y", components={"hosting": "2", "calls": "0"})
    billing.subscriptions.create("late", "beta", "pro-late", components={"seats": "1"}, billing_day=15)
    billing.subscriptions.create("held", "beta", "pro-m", components={"seats": "2"})
    billing.subscriptions.create("debtor", "gamma", "pro-m", components={"seats": "1"})
    billing.subscriptions.create("trial", "delta", "pro-trial")
    billing.subscriptions.create("free", "delta", "free")
    billing.subscriptions.create("short", "delta", "pro-m", billing_day=10, first_charge="none")
    billing.subscriptions.create("taken", "delta", "pro-m", next_billing_at="2026-01-20")
    billing.run(day("01-20"))
    billing.usage.record("year", "calls", "25", event_id="e1")
    billing.subscriptions.hold("held", unused="credit")
    billing.run(day("01-25"))
    billing.subscriptions.resume("held")
    billing.gateway("test").script([], default=NO)
    billing.run(day("02-04"))
    billing.subscriptions.cancel("debtor", credit="unused")
    billing.gateway("test").script([], default="approve")
    billing.payments.refund("delta/pay/1", amount="1.00", to="external")
    billing.payments.refund("acme/pay/2", amount="5.00", credit=False)
    billing.payments.refund("acme/pay/2", amount="2.00", to="credit")
    billing.gateway("test").script([NO], default="approve")
    billing.payments.refund("acme/pay/2", amount="3.00")
    billing.run(day("03-10"))
    billing.subscriptions.cancel("s1", credit="unused")
    billing.subscriptions.hold("late")
    billing.run(day("04-20"))
    # Last, as a refund on its way is asked for every hour.
    billing.gateway("test").script(["pending"], default="approve")
    billing.payments.refund("acme/pay/2", amount="4.00")
    pay_by_hand(billing)
    return billing


def pay_by_hand(billing):
    """Another customer, whose invoices are paid, credited, written off and made void by hand."""
    billing.customers.create("omega")
    billing.subscriptions.create("transfer", "omega", "pro-m", collection="remittance")
    billing.credits.add("omega", amount="3.00")
    billing.invoices.record_payment("omega/1", "12.00")
    billing.invoices.credit("omega/1", amount="5.00")
    billing.payments.record("omega", "40.00")
    billing.invoices.credit("omega/1", amount="4.00")
    for name in ("covered", "lost", "wrong"):
        billing.subscriptions.create(name, "omega", "pro-m", collection="remittance")
    billing.invoices.write_off("omega/3")
    billing.invoices.void("omega/4", rebill=True)
    billing.invoices.credit("omega/2", lines=["1"])
    pay_out(billing)
    billing.customers.create("member", parent="omega", pays="parent")
    billing.subscriptions.create("theirs", "member", "free")


def pay_out(billing):
    """One more, who gets a prepayment, a credit and what nobody had paid back."""
    billing.customers.create("sigma")
    billing.payment_methods.add("sigma", token="approve")
    billing.gateway("test").script([], default="approve")
    billing.subscriptions.create("paid", "sigma", "pro-m")
    billing.invoices.credit("sigma/1", amount="6.00")
    billing.credits.refund("sigma", amount="4.00")
    billing.credits.refund("sigma", amount="2.00", to="external")
    billing.prepayments.add("sigma", amount="5.00")
    billing.prepayments.refund("sigma", amount="3.00")
    billing.subscriptions.adjust_balance("paid", amount="-6.00", reason="agreed")
    billing.credits.refund("sigma", amount="5.50")


@pytest.fixture(scope="module")
def kept(database_kind):
    with databases.stores(database_kind) as stores:
        billing = lived_in(stores.own(":memory:"))
        yield billing, databases.image(billing)


@pytest.fixture
def lived(kept):
    """Those books, as they were before the test before damaged them."""
    billing, put_back = kept
    put_back()
    return billing


def corrupt(billing, statement):
    """Change the books behind the engine's back: constraints of the tables are looked away from too."""
    with billing.database.transaction() as tx, databases.unchecked(tx):
        assert tx.execute(statement) == 1


def told(proof):
    return [str(finding) for finding in proof.findings]


def test_books_in_which_everything_has_happened_are_right(lived) -> None:
    proof = lived.verify()
    assert told(proof) == []
    assert proof.ok
    assert all(verdict.checked > 0 for verdict in proof.verdicts), proof.verdicts
    assert str(proof).startswith("verify: ok (38 laws, ")


def test_empty_books_are_right() -> None:
    assert books(customers=()).verify().ok


ENTRY = "(SELECT min(id) FROM billcore_ledger_entries WHERE debit = 'receivable')"
OF_S1 = "(SELECT id FROM billcore_subscriptions WHERE reference = 's1')"
OF_ACME = "(SELECT id FROM billcore_customers WHERE reference = 'acme')"
OF_HELD = "(SELECT id FROM billcore_subscriptions WHERE reference = 'held')"
CREDITED = "(SELECT min(credits_line_id) FROM billcore_lines WHERE credits_line_id IS NOT NULL)"
REFUND = "(SELECT min(id) FROM billcore_refunds WHERE status = 'succeeded' AND \"to\" = 'method')"
SENT = "(SELECT max(id) FROM billcore_ledger_entries WHERE debit = 'refunds' AND credit = 'cash:test')"
DRAWN = "(SELECT min(id) FROM billcore_allocations WHERE account = 'service_credits' AND amount > 0)"
RETURNED = "(SELECT min(id) FROM billcore_allocations WHERE returned > 0 AND document_id LIKE 'crn%')"
BY_HAND = "(SELECT min(id) FROM billcore_payments WHERE cause = 'recorded')"
PAID_OUT = "(SELECT max(id) FROM billcore_refunds WHERE cause = 'payout' AND payment_id IS NULL)"
RENEWAL_2 = f"subscription_id = {OF_HELD} AND sequence = 2"

CORRUPTIONS = [
    ("entries", f"UPDATE billcore_ledger_entries SET amount = 0 WHERE id = {ENTRY}", "entry "),
    ("entries", f"UPDATE billcore_ledger_entries SET credit = debit WHERE id = {ENTRY}", "entry "),
    ("entries", f"UPDATE billcore_ledger_entries SET credit = 'pocket' WHERE id = {ENTRY}", "entry "),
    ("entry_documents", f"UPDATE billcore_ledger_entries SET invoice_id = 'inv_9' WHERE id = {ENTRY}", "entry "),
    ("entry_documents", f"UPDATE billcore_ledger_entries SET invoice_id = NULL WHERE id = {ENTRY}", "entry "),
    ("entry_documents", f"UPDATE billcore_ledger_entries SET customer_id = 'cus_9' WHERE id = {ENTRY}", "entry "),
    ("entry_documents", f"UPDATE billcore_ledger_entries SET currency = 'EUR' WHERE id = {ENTRY}", "entry "),
    ("receivable", f"UPDATE billcore_ledger_entries SET amount = amount + 1 WHERE id = {ENTRY}", "customer acme"),
    ("revenue", f"UPDATE billcore_ledger_entries SET amount = amount + 1 WHERE id = {ENTRY}", "customer acme"),
    (
        "tax_payable",
        (
            "UPDATE billcore_ledger_entries SET amount = amount - 1 WHERE id = "
            "(SELECT min(id) FROM billcore_ledger_entries WHERE credit = 'tax_payable')"
        ),
        "customer acme",
    ),
    (
        "credit_balances",
        (
            "UPDATE billcore_credits SET remaining = remaining - 1 WHERE id = "
            "(SELECT min(id) FROM billcore_credits WHERE remaining > 0)"
        ),
        "customer acme",
    ),
    ("invoice_lines", "UPDATE billcore_invoices SET subtotal = subtotal + 1 WHERE number = 1", "invoice 1"),
    ("invoice_lines", "UPDATE billcore_invoices SET tax_included = 1 WHERE number = 1", "invoice 1"),
    ("invoice_lines", "UPDATE billcore_invoices SET total = total + 1 WHERE number = 1", "invoice 1"),
    (
        "invoice_lines",
        "UPDATE billcore_lines SET discount = discount + 1 WHERE id = (SELECT min(id) FROM billcore_lines)",
        "invoice 1",
    ),
    (
        "invoice_lines",
        "UPDATE billcore_lines SET customer_id = 'cus_9' WHERE id = (SELECT min(id) FROM billcore_lines)",
        "invoice 1",
    ),
    ("credit_note_lines", "UPDATE billcore_credit_notes SET tax = tax - 1 WHERE number = 1", "credit note CN-1"),
    ("invoice_paid", "UPDATE billcore_invoices SET paid = paid - 1 WHERE number = 1", "invoice 1"),
    ("invoice_credited", "UPDATE billcore_invoices SET credited = credited + 1 WHERE number = 1", "invoice 1"),
    ("invoice_due", "UPDATE billcore_invoices SET paid = total + 1 WHERE number = 1", "invoice 1"),
    ("invoice_status", "UPDATE billcore_invoices SET status = 'open' WHERE number = 1", "invoice 1"),
    ("invoice_status", "UPDATE billcore_invoices SET overdue = true WHERE number = 1", "invoice 1"),
    (
        "cash",
        "UPDATE billcore_payments SET captured = captured - 1 WHERE id = (SELECT min(id) FROM billcore_payments)",
        "payment pay_",
    ),
    (
        "cash",
        "UPDATE billcore_payments SET gateway = 'other' WHERE id = (SELECT min(id) FROM billcore_payments)",
        "payment pay_",
    ),
    (
        "cash",
        "UPDATE billcore_payments SET status = 'failed' WHERE id = (SELECT min(id) FROM billcore_payments)",
        "payment pay_",
    ),
    (
        "captured_once",
        (
            "UPDATE billcore_payments SET attempt = 2, invoice_id = "
            "(SELECT id FROM billcore_invoices WHERE number = 1) "
            "WHERE id = (SELECT max(id) FROM billcore_payments WHERE captured > 0 AND customer_id = "
            "(SELECT customer_id FROM billcore_invoices WHERE number = 1))"
        ),
        "invoice 1",
    ),
    ("refunds_within", f"UPDATE billcore_refunds SET amount = amount + 100000 WHERE id = {REFUND}", "payment pay_"),
    ("refunds_counted", f"UPDATE billcore_refunds SET status = 'unknown' WHERE id = {REFUND}", "payment pay_"),
    (
        "refunds_counted",
        (
            "UPDATE billcore_payments SET refunded = 0 WHERE id = "
            f"(SELECT payment_id FROM billcore_refunds WHERE id = {REFUND})"
        ),
        "payment pay_",
    ),
    ("refunds_promised", "UPDATE billcore_refunds SET parked_reason = NULL WHERE status = 'failed'", "customer acme"),
    ("refunds_promised", "UPDATE billcore_refunds SET amount = amount - 1 WHERE status = 'pending'", "customer acme"),
    ("notes_refunded", "UPDATE billcore_refunds SET credit_note_id = NULL WHERE status = 'pending'", "credit note CN"),
    (
        "unapplied",
        f"UPDATE billcore_ledger_entries SET debit = 'unapplied' WHERE id = {SENT}",
        "customer sigma",
    ),
    ("settled", f"UPDATE billcore_allocations SET amount = amount - 1 WHERE id = {DRAWN}", "invoice "),
    ("settled", f"UPDATE billcore_allocations SET account = 'payments' WHERE id = {DRAWN}", "invoice "),
    ("given_back", f"UPDATE billcore_allocations SET returned = returned + 100000 WHERE id = {RETURNED}", "invoice "),
    ("left_of_lines", f"UPDATE billcore_allocations SET returned = returned + 1 WHERE id = {RETURNED}", "invoice "),
    (
        "notes_given_back",
        f"UPDATE billcore_allocations SET document_id = NULL WHERE id = {RETURNED}",
        "credit note CN-",
    ),
    ("recorded", f"UPDATE billcore_payments SET applied = applied - 1 WHERE id = {BY_HAND}", "payment pay_"),
    (
        "credits_drawn",
        (
            "UPDATE billcore_credits SET remaining = amount WHERE id = "
            "(SELECT min(id) FROM billcore_credits WHERE account = 'service_credits')"
        ),
        "credit crd_",
    ),
    (
        "credits_drawn",
        f"UPDATE billcore_refunds SET amount = amount + 100000 WHERE id = {PAID_OUT}",
        "credit crd_",
    ),
    (
        "credits_drawn",
        (
            "UPDATE billcore_refunds SET credit_id = (SELECT min(id) FROM billcore_credits "
            f"WHERE account = 'service_credits') WHERE id = {PAID_OUT}"
        ),
        "credit crd_",
    ),
    ("cash", f"UPDATE billcore_refunds SET amount = amount - 1 WHERE id = {PAID_OUT}", "customer sigma"),
    (
        "cash",
        (
            "UPDATE billcore_ledger_entries SET payment_id = NULL WHERE id = "
            "(SELECT min(id) FROM billcore_ledger_entries WHERE debit = 'cash:test')"
        ),
        "customer acme",
    ),
    ("write_offs", "UPDATE billcore_ledger_entries SET amount = 1 WHERE debit = 'write_offs'", "customer omega"),
    ("write_offs", "UPDATE billcore_invoices SET status = 'open' WHERE status = 'uncollectible'", "customer omega"),
    ("numbers", "UPDATE billcore_invoices SET number = 999 WHERE number = 2", "invoice 3"),
    ("numbers", "UPDATE billcore_counters SET last = last + 1 WHERE series = ''", "series (invoices)"),
    ("numbered", "UPDATE billcore_invoices SET discarded_at = issued_at WHERE number = 1", "invoice 1"),
    ("credited_lines", f"UPDATE billcore_lines SET tax = 0, amount = 1 WHERE id = {CREDITED}", "line "),
    (
        "coverage_within",
        f"UPDATE billcore_coverage SET \"end\" = '2031-01-01T00:00:00Z' WHERE line_id = {CREDITED}",
        "line ",
    ),
    (
        "coverage_overlap",
        (
            f"UPDATE billcore_coverage SET start = '2026-01-15T00:00:00Z' WHERE item_id = {OF_S1} "
            "AND start = '2026-02-01T00:00:00Z'"
        ),
        "line pro-fee of invoice",
    ),
    (
        "coverage_gap",
        (
            f"UPDATE billcore_coverage SET \"end\" = '2026-01-31T00:00:00Z' WHERE item_id = {OF_S1} "
            "AND start = '2026-01-01T00:00:00Z'"
        ),
        "subscription s1",
    ),
    (
        "coverage_gap",
        f"UPDATE billcore_coverage SET status = 'credited' WHERE item_id = {OF_S1} AND start = '2026-02-01T00:00:00Z'",
        "subscription s1",
    ),
    (
        "coverage_gap",
        (
            "DELETE FROM billcore_coverage WHERE start = '2026-02-01T00:00:00Z' AND item_id = "
            "(SELECT id FROM billcore_subscription_items WHERE component = 'hosting')"
        ),
        "subscription year",
    ),
    (
        "lines_cover",
        f"DELETE FROM billcore_coverage WHERE item_id = {OF_S1} AND start = '2026-02-01T00:00:00Z'",
        "line pro-fee of invoice",
    ),
    ("renewals", f"UPDATE billcore_renewals SET sequence = 99 WHERE {RENEWAL_2}", "subscription held"),
    ("renewals", f"DELETE FROM billcore_renewals WHERE {RENEWAL_2}", "subscription held"),
    (
        "periods",
        (
            "UPDATE billcore_renewals SET period_start = '2026-02-02T00:00:00Z' "
            f"WHERE subscription_id = {OF_S1} AND sequence = 2"
        ),
        "subscription s1",
    ),
    (
        "current_period",
        f"UPDATE billcore_subscriptions SET period_start = '2026-04-02T00:00:00Z' WHERE id = {OF_HELD}",
        "subscription held",
    ),
    ("payer", "UPDATE billcore_customers SET pays = 'self' WHERE reference = 'member'", "subscription theirs"),
    (
        "payer",
        f"UPDATE billcore_subscriptions SET customer_id = {OF_ACME} WHERE reference = 'theirs'",
        "subscription theirs",
    ),
    (
        "payer",
        f"UPDATE billcore_subscriptions SET owner_id = {OF_ACME} WHERE reference = 'theirs'",
        "subscription theirs",
    ),
    ("payer", "UPDATE billcore_subscriptions SET owner_id = customer_id WHERE reference = 'theirs'", "subscription th"),
    ("parents", "UPDATE billcore_customers SET parent_id = id WHERE reference = 'member'", "customer member"),
    ("parents", "UPDATE billcore_customers SET parent_id = NULL WHERE reference = 'member'", "customer member"),
    ("parents", "UPDATE billcore_customers SET parent_id = 'cus_9' WHERE reference = 'member'", "customer member"),
]


@pytest.mark.parametrize(
    ("law", "statement", "subject"), CORRUPTIONS, ids=[f"{place}-{row[0]}" for place, row in enumerate(CORRUPTIONS)]
)
def test_a_single_wrong_value_is_found_and_named(lived, law, statement, subject) -> None:
    corrupt(lived, statement)
    proof = lived.verify()
    assert not proof.ok
    found = [finding for finding in proof.findings if finding.law == law]
    assert [finding for finding in found if finding.subject.startswith(subject)], told(proof)


def test_every_law_has_a_corruption_that_breaks_it(lived) -> None:
    assert {verdict.law.name for verdict in lived.verify().verdicts} == {law for law, _, _ in CORRUPTIONS}


def test_a_finding_says_what_stands_there_and_what_should(lived) -> None:
    corrupt(lived, "UPDATE billcore_invoices SET paid = paid - 1 WHERE number = 1")
    finding = next(one for one in lived.verify().findings if one.law == "invoice_paid")
    invoice = lived.invoices.get("1")
    assert finding.subject_id == invoice.id
    assert str(finding) == (
        f"invoice 1: {invoice.paid / 100:.2f} USD count as paid, "
        f"{(invoice.paid + 1) / 100:.2f} USD came in (behaviour 10)"
    )


def test_many_findings_are_counted_and_the_first_are_told() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-w")
    billing.run(day("2026-12-01"))
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_invoices SET tax = tax + 1, total = total + 1")
    proof = billing.verify()
    verdict = next(one for one in proof.verdicts if one.law.name == "invoice_lines")
    assert (verdict.violated, verdict.checked) == (48, 48)
    assert len([one for one in proof.findings if one.law == "invoice_lines"]) == 20


def test_verifying_changes_nothing_and_is_watched(lived) -> None:
    seen = []
    before = lived.database.observe
    lived.database.observe = lambda sql, _rows: pytest.fail(sql)
    lived.verify(lambda what, done: seen.append((what, done)))
    lived.database.observe = before
    assert seen[-1] == ("subscriptions", 15)


def test_memory_does_not_grow_with_the_books() -> None:
    """Ten times as many periods are proved in about the same memory."""

    def peak(weeks):
        billing = books(customers=[f"c{place}" for place in range(20)])
        for place in range(20):
            billing.subscriptions.create(f"s{place}", f"c{place}", "pro-w")
        billing.run(day("2026-01-01") + weeks * (day("2026-01-08") - day("2026-01-01")))
        tracemalloc.start()
        assert billing.verify().ok
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(5), peak(50)
    assert many - few < 2_000_000


verbs = st.sampled_from(
    [
        *("cancel", "cancel_later", "uncancel", "hold", "hold_credit", "hold_extend", "resume", "keep", "activate"),
        *("retry", "decline", "approve", "timeout", "usage", "wait"),
    ]
)
prices = st.sampled_from(["pro-m", "pro-y", "pro-w", "pro-fee", "pro-trial", "try-end", "pro-late", "pro-term", "free"])
charges = st.sampled_from(["prorated", "full", "none"])


def sign_up(billing, ref, price, first_charge):
    components = {"seats": "2", "calls": "0"} | ({"hosting": "1"} if price in ("pro-y", "pro-w") else {})
    options = {"billing_day": 15} if price in ("pro-m", "pro-late", "pro-y") else {}
    coupons = ["TEN", "ONCE"] if first_charge == "full" else []
    billing.subscriptions.create(
        ref, "acme", price, components=components, coupons=coupons, first_charge=first_charge, **options
    )


def act(billing, verb, ref, event):
    subs = billing.subscriptions
    match verb:
        case "cancel":
            subs.cancel(ref, credit="unused")
        case "cancel_later":
            subs.cancel(ref, "period_end", credit="unused")
        case "hold" | "hold_credit" | "hold_extend":
            subs.hold(ref, unused={"hold": "forfeit", "hold_credit": "credit"}.get(verb, "extend"))
        case "keep":
            subs.resume(ref, period="keep")
        case "usage":
            billing.usage.record(ref, "calls", "7", event_id=f"e{event}")
        case "decline" | "approve" | "timeout":
            outcome = {"decline": NO, "timeout": "timeout_after_charge"}.get(verb, verb)
            billing.gateway("test").script([], default=outcome)
        case "uncancel" | "resume" | "activate" | "retry":
            getattr(subs, verb)(ref)


def assert_right(billing):
    """Everything holds, and every amount is what its basis says."""
    assert told(billing.verify()) == []
    for document in (*billing.invoices.list(limit=1000), *billing.invoices.credit_notes(limit=1000)):
        explained = billing.explain(document.id)
        assert explained.agrees, explained.text()


def test_whatever_is_commanded_the_books_are_right() -> None:
    def right(signups, story, basis) -> None:
        anew()
        billing = books(proration_basis=basis, customers=("acme",))
        billing.customers.update("acme", country="DE", timezone="America/New_York")
        for place, (price, first_charge) in enumerate(signups):
            sign_up(billing, f"s{place}", price, first_charge)
        for event, (verb, place, days) in enumerate(story):
            with suppress(Refused):
                act(billing, verb, f"s{place % len(signups)}", event)
            billing.run(billing.clock.now() + days * (day("01-02") - day("01-01")))
        assert_right(billing)

    for_all(
        right,
        sqlite=25,
        postgresql=5,
        signups=st.lists(st.tuples(prices, charges), min_size=1, max_size=3),
        story=st.lists(st.tuples(verbs, st.integers(0, 2), st.integers(0, 40)), max_size=12),
        basis=st.sampled_from(["second", "day", "fixed_30"]),
    )


def test_time_charged_on_a_credit_note_is_covered_too() -> None:
    """Arrears and unused time of a cancellation stand on one document, here a credit note (behaviour 6.2)."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-late", components={"seats": "9"})
    billing.run(day("02-03"))
    billing.subscriptions.cancel("s1", credit="unused")
    (note,) = billing.invoices.credit_notes()
    assert [line.kind for line in note.lines] == ["product", "credit"]
    assert_right(billing)


def test_components_of_a_credited_hold_are_charged_again() -> None:
    """Going on before the old end after unused = credit charges the product and its components (behaviour 5.2)."""
    billing = books()
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "2"})
    billing.run(day("01-11"))
    billing.subscriptions.hold("s1", unused="credit")
    billing.run(day("01-21"))
    billing.subscriptions.resume("s1")
    assert [line.kind for line in billing.invoices.list()[-1].lines] == ["product", "component"]
    assert_right(billing)


def test_a_trial_on_hold_is_canceled_without_a_charge() -> None:
    billing = books()
    billing.subscriptions.create("s1", "acme", "try")
    billing.subscriptions.hold("s1")
    billing.subscriptions.cancel("s1", credit="unused")
    assert billing.subscriptions.get("s1").state == "canceled"
    assert billing.invoices.list() == []
    assert_right(billing)
