"""What pays first: service credits by expiry, credit-note credits, prepayments (behaviour 8)."""

from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.credit import ORDER, draw
from tests.builders import START, credit, day


def drawn(due, *credits, at=START):
    return [(one.credit.id, one.amount) for one in draw(due, credits, at)]


def test_the_order_is_fixed() -> None:
    credits = [
        credit(100, "prepayments", id="p"),
        credit(100, "credits", id="c"),
        credit(100, "service_credits", id="s_never"),
        credit(100, "service_credits", id="s_late", expires_at=day("06-01")),
        credit(100, "service_credits", id="s_soon", expires_at=day("02-01")),
    ]
    assert [row[0] for row in drawn(450, *credits)] == ["s_soon", "s_late", "s_never", "c", "p"]
    assert drawn(450, *credits)[-1] == ("p", 50)


def test_what_has_expired_pays_nothing() -> None:
    gift = credit(100, "service_credits", expires_at=day("02-01"))
    assert drawn(50, gift, at=day("01-31")) == [("crd_1", 50)]
    assert drawn(50, gift, at=day("02-01")) == []


def test_the_oldest_prepayment_goes_first() -> None:
    assert drawn(150, credit(100, "prepayments", id="p2"), credit(100, "prepayments", id="p1")) == [
        ("p1", 100),
        ("p2", 50),
    ]


@given(
    due=st.integers(0, 10_000),
    amounts=st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from(ORDER)), max_size=6),
)
def test_no_more_is_drawn_than_is_due_or_there(due, amounts) -> None:
    credits = [credit(amount, account, id=f"c{n}") for n, (amount, account) in enumerate(amounts)]
    drawings = draw(due, credits, START)
    assert sum(one.amount for one in drawings) == min(due, sum(amount for amount, _ in amounts))
    assert all(one.amount > 0 and one.credit.remaining >= 0 for one in drawings)
    assert all(one.credit.remaining + one.amount == one.credit.amount for one in drawings)
