"""Giving back of an invoice: parts that add up, bounds that hold, and where each part is taken from (3.5, 8.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.credit import Allocation
from billcore.domain.crediting import (
    NO_PARTS,
    Asked,
    Billed,
    Parts,
    Source,
    draw_back,
    left_of,
    part_of,
    plan_credit,
    sources_of,
    take,
)
from billcore.errors import InvalidValue, Refused
from tests.builders import START, invoice, line, payment


@st.composite
def billed_parts(draw):
    """A charge line as it is billed: discounted, taxed on what is left, the tax inside its price or on top."""
    amount = draw(st.integers(0, 10**7))
    discount = draw(st.integers(0, amount))
    inclusive = draw(st.booleans())
    base = amount - discount
    tax = draw(st.integers(0, base))
    return Parts(amount, discount, tax, tax if inclusive else 0)


def between(part, whole):
    """Every figure between nothing and all of it."""
    pairs = ((part.amount, whole.amount), (part.discount, whole.discount), (part.tax, whole.tax))
    return all(0 <= one <= all_ for one, all_ in (*pairs, (part.tax_included, whole.tax_included)))


@given(billed_parts(), st.data())
def test_a_part_comes_to_what_was_asked_and_leaves_the_rest(left, data) -> None:
    total = data.draw(st.integers(0, left.total))
    part = part_of(left, total)
    assert part.total == total
    assert between(part, left) and between(left - part, left)
    assert (left - part).total == left.total - total


@given(st.lists(billed_parts(), min_size=1, max_size=5), st.lists(st.integers(1, 10**8), max_size=5))
def test_any_sequence_of_credits_stays_within_the_lines_and_ends_with_all_of_them(lines, amounts) -> None:
    """However it is given back, at the end nothing is left of any line."""
    lefts = list(lines)
    for amount in (*amounts, None):
        left = sum(part.total for part in lefts)
        total = left if amount is None else amount % (left + 1)
        parts = take(lefts, total)
        assert sum(part.total for part in parts) == total
        assert all(between(part, mine) for part, mine in zip(parts, lefts, strict=True))
        lefts = [mine - part for mine, part in zip(lefts, parts, strict=True)]
    assert lefts == [NO_PARTS] * len(lines)


@given(st.lists(billed_parts(), min_size=2, max_size=6), st.data())
def test_lines_give_back_by_what_is_left_of_them(lines, data) -> None:
    """No line is further than one minor unit from its exact share (1.3)."""
    whole = sum(part.total for part in lines)
    total = data.draw(st.integers(0, whole))
    for part, mine in zip(take(lines, total), lines, strict=True):
        assert abs(part.total * whole - total * mine.total) <= whole


def test_discount_and_tax_are_taken_in_proportion_and_the_amount_is_the_rest() -> None:
    """76900 with 20 % tax: 872.23 of 922.80, then all that is left."""
    left = Parts(76900, 0, 15380, 0)
    first = part_of(left, 87223)
    assert first == Parts(72686, 0, 14537, 0)
    assert part_of(left - first, 5057) == Parts(4214, 0, 843, 0)
    assert part_of(Parts(100, 10, 10, 0), 50) == Parts(50, 5, 5, 0)


def test_a_line_that_its_discount_paid_goes_with_the_whole_only() -> None:
    lines = [Parts(500, 500, 0, 0), Parts(1000, 0, 0, 0)]
    assert take(lines, 400) == [NO_PARTS, Parts(400, 0, 0, 0)]
    assert take(lines, 1000) == lines


def test_what_is_left_of_a_line_is_less_by_its_credits() -> None:
    own = line(1000, discount=100, tax=171)
    back = line(-300, discount=-30, tax=-51, id="lin_2", credits_line_id=own.id)
    assert left_of(own, [back]) == Parts(700, 70, 120, 0)


# -- what it is taken from -------------------------------------------------------------------------------------


def test_payments_give_back_first_then_prepayments_credits_and_service_credits() -> None:
    sources = [
        Source("service_credits", "crd_1", 10),
        Source("credits", "crd_2", 10),
        Source("payments", "pay_1", 10),
        Source("prepayments", "crd_3", 10),
        Source("payments", "pay_2", 5),
    ]
    assert draw_back(sources, 38) == [
        Source("payments", "pay_2", 5),
        Source("payments", "pay_1", 10),
        Source("prepayments", "crd_3", 10),
        Source("credits", "crd_2", 10),
        Source("service_credits", "crd_1", 3),
    ]


def test_what_settled_an_invoice_counts_attempts_allocations_and_its_own_credit_lines() -> None:
    own = invoice(
        3000,
        status="paid",
        lines=(line(4000), line(-1000, id="lin_2", kind="credit", credits_line_id="lin_9")),
        paid=2500,
        credited=500,
    )

    def allocation(account, source, amount=0, returned=0):
        return Allocation("all_1", "cus_1", own.id, "USD", account, source, START, amount, returned)

    found = sources_of(
        own,
        [payment("succeeded", id="pay_1", captured=2000, applied=2000)],
        [
            allocation("payments", "pay_2", 500),
            allocation("service_credits", "crd_1", 700),
            allocation("service_credits", "crd_1", -200),
            allocation("payments", "pay_1", returned=300),
            allocation("credits", None, returned=1000),
        ],
    )
    assert set(found) == {
        Source("payments", "pay_1", 1700),
        Source("payments", "pay_2", 500),
        Source("service_credits", "crd_1", 500),
    }


# -- the plan --------------------------------------------------------------------------------------------------


def billed(own=None, *, sources=(), credited=0):
    """An invoice of two lines, 20.00 and 10.00, of which `credited` were given back of the first."""
    own = own or invoice(3000, status="paid", paid=3000, lines=(line(2000), line(1000, id="lin_2")))
    lefts = [(one, Parts(one.amount, one.discount, one.tax, one.tax_included)) for one in own.lines]
    first, left = lefts[0]
    lefts[0] = (first, left - Parts(credited, 0, 0, 0))
    return Billed(own, tuple(lefts), tuple(sources) or (Source("payments", "pay_1", own.paid),))


def pieces(plan):
    return [(piece.to, piece.total, [part.total for _, part, _ in piece.parts]) for piece in plan.pieces]


def open_invoice(paid=0):
    return invoice(3000, status="open", paid=paid, lines=(line(2000), line(1000, id="lin_2")))


def test_what_is_due_is_reduced_first_and_only_the_rest_is_given() -> None:
    plan = plan_credit(billed(open_invoice(paid=1200)), Asked("refund"))
    assert pieces(plan) == [("invoice", 1800, [1200, 600]), ("refund", 1200, [800, 400])]
    assert plan.ended == ("lin_1", "lin_2")


def test_a_credit_within_what_is_due_is_one_note_to_the_invoice() -> None:
    plan = plan_credit(billed(open_invoice(paid=1200)), Asked("credit", 300))
    assert pieces(plan) == [("invoice", 300, [200, 100])]
    assert plan.ended == ()


def test_only_what_payments_paid_goes_to_a_refund() -> None:
    sources = [Source("payments", "pay_1", 1000), Source("service_credits", "crd_1", 2000)]
    plan = plan_credit(billed(sources=sources), Asked("refund"))
    assert [(piece.to, piece.total, piece.taken) for piece in plan.pieces] == [
        ("refund", 1000, (Source("payments", "pay_1", 1000),)),
        ("credit", 2000, (Source("service_credits", "crd_1", 2000),)),
    ]


def test_by_line_ends_the_time_of_that_line_and_by_amount_of_none() -> None:
    assert plan_credit(billed(), Asked(line_ids=["lin_2"])).ended == ("lin_2",)
    assert plan_credit(billed(), Asked(amount=3000)).ended == ()
    assert pieces(plan_credit(billed(), Asked(amount=400, line_ids=["lin_2"]))) == [("credit", 400, [400])]


def test_one_payment_gives_back_what_it_paid_while_the_invoice_stays_due() -> None:
    sources = [Source("payments", "pay_1", 500), Source("payments", "pay_2", 700)]
    plan = plan_credit(billed(open_invoice(paid=1200), sources=sources), Asked("refund", 600, payment_id="pay_2"))
    assert [(piece.to, piece.taken) for piece in plan.pieces] == [("refund", (Source("payments", "pay_2", 600),))]
    with pytest.raises(Refused):
        plan_credit(billed(open_invoice(paid=1200), sources=sources), Asked("refund", 800, payment_id="pay_2"))


@pytest.mark.parametrize(
    ("own", "asked", "most"),
    [
        (billed(), Asked(amount=3001), 3000),
        (billed(credited=500), Asked(amount=2501), 2500),
        (billed(), Asked(amount=1001, line_ids=["lin_2"]), 1000),
        (billed(), Asked("invoice", 1), 0),
        (billed(open_invoice(paid=1200)), Asked("invoice", 1801), 1800),
        (billed(open_invoice(paid=1200)), Asked("invoice"), 1800),
        (billed(credited=2000), Asked(line_ids=["lin_1"]), 0),
    ],
)
def test_more_than_is_left_or_due_is_refused(own, asked, most) -> None:
    with pytest.raises(Refused) as refused:
        plan_credit(own, asked)
    assert refused.value.code == "amount_exceeds"
    assert refused.value.facts["most"] == most


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_and_less_cannot_be_given_back(amount) -> None:
    with pytest.raises(InvalidValue):
        plan_credit(billed(), Asked(amount=amount))


def test_what_was_written_off_is_never_given_back() -> None:
    """Only what had been paid before is (3.5)."""
    own = invoice(3000, status="uncollectible", paid=1200, lines=(line(2000), line(1000, id="lin_2")))
    plan = plan_credit(billed(own), Asked())
    assert pieces(plan) == [("credit", 1200, [800, 400])]
    assert plan.ended == ()
    with pytest.raises(Refused):
        plan_credit(billed(own), Asked(amount=1201))


def test_what_credit_lines_had_paid_is_not_given_back_with_the_invoice() -> None:
    """Its total is what it charged less what its own credit lines gave back of another."""
    own = invoice(
        600,
        status="paid",
        paid=600,
        lines=(line(1000), line(-400, id="lin_2", kind="credit", credits_line_id="lin_9")),
    )
    sources = (Source("payments", "pay_1", 600), Source("credits", None, 400))
    whole = Billed(own, ((own.lines[0], Parts(1000, 0, 0, 0)),), sources)
    plan = plan_credit(whole, Asked())
    assert pieces(plan) == [("credit", 600, [600])]
    assert plan.ended == ("lin_1",)
