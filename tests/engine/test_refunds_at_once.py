"""Refunds that race each other, a cancellation, the run: never more than was taken, always right books (F20, F21)."""

from collections import Counter

import pytest

from billcore.errors import Refused
from tests import databases
from tests.builders import books, day
from tests.engine.test_at_once import at_once

pytestmark = pytest.mark.usefixtures("books_are_proven")

THREADS = 8


@pytest.fixture
def billing(tmp_path):
    """Books with a payment of 30.00."""
    billing = books(databases.at(tmp_path / "books.db"))
    billing.subscriptions.create("s1", "acme", "pro-m")
    return billing


def given_back(billing):
    return sum(one.amount.minor for one in billing.gateway("test").book() if one.verb == "refund")


def said(made):
    return Counter(one.code if isinstance(one, Refused) else one.status for one in made)


def test_a_double_click_gives_back_once(billing) -> None:
    made = at_once(
        lambda _n: billing.payments.refund("acme/pay/1", amount="10.00", idempotency_key="click"), 2 * THREADS
    )
    assert len({one.id for one in made}) == 1
    assert given_back(billing) == 1000
    assert billing.payments.refund("acme/pay/1", amount="10.00", idempotency_key="click").status == "succeeded"


def test_eight_who_want_a_third_each_get_three_thirds(billing) -> None:
    made = at_once(lambda _n: billing.payments.refund("acme/pay/1", amount="10.00"), THREADS)
    assert said(made) == {"succeeded": 3, "amount_exceeds": 5}
    assert (given_back(billing), billing.payments.get("acme/pay/1").status) == (3000, "refunded")


@pytest.mark.parametrize("answer", ["approve", "pending", "timeout_after_charge", "unreachable"])
def test_every_way_to_give_back_at_once_gives_back_no_more_than_was_taken(billing, answer) -> None:
    ways = ({}, {"credit": False}, {"to": "credit"}, {"external": True})
    billing.gateway("test").script([answer] * 3, default="approve")
    made = at_once(lambda n: billing.payments.refund("acme/pay/1", amount="8.00", **ways[n % len(ways)]), THREADS)
    assert said(made)["amount_exceeds"] == THREADS - 3
    billing.run(day("01-01T06:00"))
    given = [one for one in billing.refunds.list() if one.holds or one.to == "credit"]
    assert sum(one.amount for one in given) == 2400 <= billing.payments.get("acme/pay/1").captured
    assert given_back(billing) <= 2400


def test_refunds_race_a_cancellation_that_gives_unused_time_back(billing) -> None:
    """Both give back of the same line: what one has given the other has not."""
    billing.run(day("01-11"))

    def act(n):
        if n % 4 == 0:
            return billing.subscriptions.cancel("s1", credit="unused")
        return billing.payments.refund("acme/pay/1", amount="7.00")

    made = at_once(act, THREADS)
    assert {getattr(one, "code", "done") for one in made} <= {"done", "amount_exceeds", "transition_not_allowed"}
    noted = sum(note.total for note in billing.invoices.credit_notes())
    assert noted <= 3000
    assert given_back(billing) == billing.payments.get("acme/pay/1").refunded


def test_refunds_race_the_run_and_its_renewals(billing) -> None:
    billing.gateway("test").script(["pending"], default="approve")
    billing.payments.refund("acme/pay/1", amount="2.00")
    (waiting,) = billing.refunds.list()
    billing.gateway("test").settle(waiting.id, "approve")

    def act(n):
        if n % 2:
            billing.run(day("02-01"))
            return waiting
        return billing.payments.refund("acme/pay/1", amount="9.00")

    made = at_once(act, THREADS)
    assert said(made)["amount_exceeds"] == 1
    assert given_back(billing) == 2900
    assert [invoice.status for invoice in billing.invoices.list()] == ["paid", "paid"]


def test_what_is_owed_is_made_good_once(billing) -> None:
    billing.gateway("test").script(["decline:generic_decline"], default="approve")
    failed = billing.payments.refund("acme/pay/1", amount="10.00")
    ways = ("method", "external", "credit")
    made = at_once(lambda n: billing.refunds.retry(failed.id, to=ways[n % 3]), THREADS)
    assert said(made) == {"succeeded": 1, "transition_not_allowed": THREADS - 1}
