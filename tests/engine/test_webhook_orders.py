"""Webhooks in every order, doubled, late, and cut off by a crash all end in the same books (promises F1, F14-F17)."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import databases
from tests.engine import hearing
from tests.engine.test_crash import dying, one_of


@pytest.fixture(scope="module")
def deaths(tmp_path_factory, database_kind):
    # Every event takes the same few steps: each of them is met at some event.
    every = one_of(database_kind, sqlite=7, postgresql=19)
    return dying("tests.engine.hearing", str(tmp_path_factory.mktemp("hearing") / "books.db"), database_kind, every)


def test_the_undisturbed_host_hears_everything(deaths) -> None:
    whole = deaths[0]["whole"]
    assert whole["findings"] == whole["waiting"] == whole["parked"] == []
    assert whole["subscriptions"] == ["s-acme active", "s-bolt active", "s-crab past_due", "s-dune active"]
    assert whole["payments"] == [
        "new_method succeeded 3000 0",
        "signup failed 0 0",
        "signup succeeded 3000 0",
        "signup succeeded 3000 0",
    ]
    assert whole["refunds"] == ["failed 1000"]
    assert whole["charged"] == whole["captured"] == 9000


def test_what_nobody_told_is_found_by_asking(deaths) -> None:
    """Payments under way are asked for anyway; what had ended and changed since, only a webhook tells."""
    untold = deaths[1]["untold"]
    assert untold["findings"] == []
    assert untold["subscriptions"] == ["s-acme active", "s-bolt active", "s-crab past_due", "s-dune past_due"]


def test_whoever_died_while_hearing_ends_where_nobody_died(deaths) -> None:
    """At commits of receiving and processing and questions to the gateway, just before and after."""
    assert len(deaths) > 5
    for death in deaths[2:]:
        assert death["died"] == 137, death["point"]
        assert death["stands"] == deaths[0]["whole"], death["point"]


# -- every order ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A store and its gateway's book, what that has to tell, and how the books stand when they have heard it."""
    with databases.stores("sqlite"):
        file = tmp_path_factory.mktemp("orders") / "books.db"
        hearing.set_up(file)
        whole = hearing.copied(file, "whole")
        hearing.work(whole)
        yield file, hearing.bodies(file), hearing.stands(whole)


COUNTER = itertools.count()


@pytest.mark.sqlite_only("the order is the same question on PostgreSQL; its crashes are above")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_order_ends_in_the_same_books(told, data) -> None:
    """Refund before charge, deleted before created, some twice, some after a pause, with work on them in between."""
    file, bodies, stands = told
    order = data.draw(st.permutations([*bodies, *data.draw(st.lists(st.sampled_from(bodies), max_size=5))]))
    pauses = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    copy = hearing.copied(file, f"order{next(COUNTER)}")
    with hearing.opened(copy) as billing:
        for body, works in zip(order, pauses, strict=True):
            hearing.deliver(billing, body)
            if works:
                billing.webhooks.process()
        hearing.settle_down(billing)
        assert hearing.told(billing) == stands
