"""Invoices: what may become of them, and what is due on them (behaviour 8.5)."""

import pytest

from billcore.domain.invoice import INVOICE_EVENTS, INVOICE_STATUSES, INVOICE_TABLE
from billcore.errors import Refused
from tests.builders import invoice, line

CELLS = [(status, event) for event in INVOICE_EVENTS for status in INVOICE_STATUSES]

# draft -> open -> paid | void | uncollectible; uncollectible -> paid (8.5). Everything else is refused.
EXPECTED = {
    ("draft", "issue"): {"open", "paid"},
    ("draft", "discard"): {"draft"},
    ("open", "pay"): {"open", "paid"},
    ("open", "credit"): {"open", "paid"},
    ("open", "refund"): {"open"},
    ("open", "void"): {"void"},
    ("open", "write_off"): {"uncollectible"},
    ("paid", "credit"): {"paid"},
    ("paid", "refund"): {"paid", "open"},
    ("uncollectible", "pay"): {"uncollectible", "paid"},
    ("uncollectible", "credit"): {"uncollectible"},
}


@pytest.mark.parametrize(("status", "event"), CELLS)
def test_every_cell_is_decided(status, event) -> None:
    assert set(INVOICE_TABLE[event].get(status, ())) == EXPECTED.get((status, event), set())


@pytest.mark.parametrize(("status", "event"), CELLS)
def test_every_cell_is_kept(status, event) -> None:
    its = invoice(status=status)
    targets = EXPECTED.get((status, event))
    if targets is None:
        with pytest.raises(Refused) as refused:
            its.after(event, "paid")
        assert refused.value.code == "transition_not_allowed"
        possible = [one for one in INVOICE_EVENTS if (status, one) in EXPECTED]
        assert refused.value.facts["allowed"] == possible
        return
    for target in targets:
        assert its.after(event, target) == target


def test_a_voided_invoice_stays_void() -> None:
    assert not [event for status, event in EXPECTED if status == "void"]


def test_a_target_that_the_table_does_not_hold_is_a_bug_and_says_so() -> None:
    with pytest.raises(AssertionError):
        invoice(status="open").after("pay", "void")


def test_every_status_is_reached_from_a_draft() -> None:
    found = {"draft"}
    for _ in INVOICE_STATUSES:
        found |= {
            target for status in found for event in INVOICE_EVENTS for target in EXPECTED.get((status, event), ())
        }
    assert found == set(INVOICE_STATUSES)


def test_what_is_due_is_the_total_less_credits_and_payments() -> None:
    its = invoice(total=3000, credited=500, paid=1000)
    assert its.due == 1500


def test_a_line_counts_the_tax_inside_its_price_once() -> None:
    """total = subtotal - discount + tax - tax_included (8.2)."""
    assert line(1190, tax=190, tax_included=190).total == 1190
    assert line(1000, tax=190).total == 1190
    assert line(1000, discount=100, tax=171).total == 1071
