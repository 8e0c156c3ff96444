"""Changes, returns and cancellations that many ask for at once, or that meet a run at work (P2, P7, F20, F22)."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import pytest

from billcore.commands import changing
from billcore.engine import actions, collection
from billcore.engine import run as engine_run
from billcore.errors import Refused
from tests import databases
from tests.builders import HandClock, books, day
from tests.engine.test_at_once import THREADS, at_once
from tests.fakes import fake_books

pytestmark = pytest.mark.usefixtures("books_are_proven")

KEYS = pytest.mark.parametrize("keys", ["click", "k{}"])
SETTINGS = pytest.mark.parametrize("decline", ["keep", "refuse"])


def subscribed(tmp_path, **changed):
    billing = books(databases.at(tmp_path / "books.db"), **changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("01-16"))
    return billing


def told(made):
    """What the callers got, counted: the state of what was returned, or the code of a refusal."""
    return Counter(getattr(one, "state", None) or getattr(one, "code", None) or one.action for one in made)


# -- double clicks (F20) -------------------------------------------------------------------------------------


@KEYS
@SETTINGS
def test_a_change_asked_for_by_many_is_charged_once(tmp_path, keys, decline) -> None:
    billing = subscribed(tmp_path, change_decline=decline)
    made = at_once(lambda n: billing.subscriptions.change("s1", quantity=2, idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"active", "price_unchanged", "payment_in_doubt"}
    assert billing.subscriptions.get("s1").quantity == 2
    assert [one.total for one in billing.invoices.list()] == [3000, 1549]
    assert billing.gateway("test").charges() == 2


@KEYS
def test_a_return_asked_for_by_many_is_charged_once(tmp_path, keys) -> None:
    billing = subscribed(tmp_path)
    billing.subscriptions.cancel("s1")
    billing.run(day("02-10"))
    made = at_once(lambda n: billing.subscriptions.reactivate("s1", idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"active", "canceled", "transition_not_allowed", "payment_in_doubt"}
    assert billing.subscriptions.get("s1").state == "active"
    assert billing.gateway("test").charges() == 2


@KEYS
@pytest.mark.parametrize("price", ["pro-m", "pro-y"])
def test_what_many_attach_at_once_is_charged_once(tmp_path, keys, price) -> None:
    """New, or more than there is: one subscription in the end, charged once."""
    billing = books(databases.at(tmp_path / "books.db"), change_decline="refuse")
    if price == "pro-y":
        billing.subscriptions.create("s1", "acme", "pro-m")
        billing.run(day("01-16"))
    made = at_once(lambda n: billing.subscriptions.attach("s1", "acme", price, idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"new", "upgrade", "reference_taken", "price_unchanged", "payment_in_doubt"}
    assert [one.state for one in billing.subscriptions.list()] == ["active"]
    assert billing.gateway("test").charges() == (1 if price == "pro-m" else 2)


@pytest.mark.parametrize(("keys", "refund"), [("click", "all"), ("k{}", "unused")])
def test_a_cancellation_with_refund_asked_for_by_many_gives_back_once(tmp_path, keys, refund) -> None:
    billing = subscribed(tmp_path)
    made = at_once(lambda n: billing.subscriptions.cancel("s1", refund=refund, idempotency_key=keys.format(n)))
    assert set(told(made)) <= {"canceled", "transition_not_allowed"}
    given = [one.amount.minor for one in billing.gateway("test").book() if one.verb == "refund"]
    assert given == [1548 if refund == "unused" else 3000]
    assert [one.total for one in billing.invoices.credit_notes()] == given


def test_the_last_redemption_goes_to_one_of_twenty_subscriptions(tmp_path) -> None:
    billing = books(databases.at(tmp_path / "books.db"), customers=tuple(f"c{n}" for n in range(THREADS)))
    for n in range(THREADS):
        billing.subscriptions.create(f"s{n}", f"c{n}", "pro-m")
    made = at_once(
        lambda n: billing.subscriptions.apply_coupon(f"s{n}", "FEW", idempotency_key="click" if n < 2 else f"k{n}")
    )
    assert told(made)["coupon_used_up"] + told(made)["idempotency_conflict"] == THREADS - 1
    assert sum(bool(one.coupons) for one in billing.subscriptions.list(limit=100)) == 1


# -- a run at work (F22) -------------------------------------------------------------------------------------


def change(billing):
    billing.subscriptions.change("s1", price="solo-m", proration="prorated")


def upgrade(billing):
    billing.subscriptions.change("s1", quantity=2)


def begin_anew(billing):
    billing.subscriptions.change("s1", price="pro-y")


def seats(billing):
    billing.subscriptions.set_component("s1", "seats", "3")


def at_renewal(billing):
    billing.subscriptions.change("s1", quantity=2, when="renewal")


def cancel_refunded(billing):
    billing.subscriptions.cancel("s1", refund="unused")


def hold(billing):
    billing.subscriptions.hold("s1", unused="credit")


MEETINGS = [
    (upgrade, "keep"),
    (upgrade, "refuse"),
    (begin_anew, "refuse"),
    (seats, "keep"),
    (change, "keep"),
    (at_renewal, "keep"),
    (cancel_refunded, "keep"),
    (hold, "keep"),
]


def due(tmp_path, decline, name="books"):
    """Books on the day of the renewal of `s1`, six hours late; nobody has run yet."""
    clock = HandClock(day("01-01"))
    billing, fake = fake_books(
        databases.at(tmp_path / f"{name}.db"), clock=clock, change_decline=decline, timezone="UTC"
    )
    billing.payment_methods.add("acme", "tok_a", gateway="fake")
    billing.subscriptions.create("s1", "acme", "pro-m", components={"seats": "1"})
    clock.time = day("02-01", hour=6)
    return billing, fake


def stands(billing, fake):
    """What is subscribed to, covered and billed in the end, on however many documents."""
    sub = billing.subscriptions.get("s1")
    with billing.database.transaction(reads=True) as tx:
        covered = tx.rows(
            "SELECT item_id, layer, start, \"end\" FROM billcore_coverage WHERE status = 'active' ORDER BY start, layer"
        )
    for item, layer in {(row[0], row[1]) for row in covered}:
        mine = [row[2:] for row in covered if row[:2] == (item, layer)]
        assert all(one[1] <= two[0] for one, two in pairwise(mine)), mine
    names = {sub.id: "s1", **{item.id: item.component for item in sub.items}}
    documents = [one for one in billing.invoices.list() if one.discarded_at is None]
    billed = sum(one.total for one in documents) - sum(one.total for one in billing.invoices.credit_notes())
    due = sum(one.due for one in documents)
    with billing.database.transaction(reads=True) as tx:
        held = int(tx.one("SELECT coalesce(sum(remaining), 0) FROM billcore_credits")[0])
    assert taken(fake) - held == billed - due, "no money is kept for nothing"
    return {
        "sub": (sub.state, sub.quantity, sub.sequence, sub.period_start, sub.period_end, sub.price_id),
        "items": [(item.component, item.quantity, item.ended_at) for item in sub.items],
        "covered": sorted((names[row[0]], *row[1:]) for row in covered),
        "billed": (billed, due),
    }


def taken(fake):
    """What the gateway's own answers come to."""
    amounts = {"charge": 1, "refund": -1}
    asked = {one.attempt_id: one for one in fake.asked if type(one).__name__.lower() in amounts}
    assert len(asked) == sum(type(one).__name__.lower() in amounts for one in fake.asked), "nothing is sent twice"
    return sum(amounts[type(one).__name__.lower()] * one.amount.minor for one in asked.values())


def done(billing):
    for _ in range(3):
        billing.run()


def tried(command, billing):
    """Whether it was done, not refused."""
    try:
        command(billing)
    except Refused:
        return False
    return True


def one_after_the_other(tmp_path, command, decline):
    """How the books stand when one comes after the other, and when only the run comes."""
    found = []
    for name, order in {
        "first": (command, done),
        "last": (done, command),
        "none": (done,),
    }.items():
        billing, fake = due(tmp_path, decline, name)
        for step in order:
            tried(step, billing)
        done(billing)
        found.append(stands(billing, fake))
    return found


class Meeting:
    """Lets somebody else do something when a point of the work is passed for the first time."""

    def __init__(self, other):
        self.other = other
        self.met = False
        self.pool = ThreadPoolExecutor(1)
        self.began = threading.Event()
        self.job = None
        self.made = None

    def here(self):
        """The other one does all of it now."""
        if not self.met:
            self.met = True
            self.job = self.pool.submit(self.other)
            self.job.result(8)

    def beside(self):
        """The other one begins now, and waits for what this one keeps."""
        if not self.met:
            self.met = True
            self.job = self.pool.submit(self.other)
            with suppress(TimeoutError):
                self.job.result(0.1)

    def over(self):
        if self.job is not None:
            self.made = self.job.result(8)
        self.pool.shutdown()


def before(monkeypatch, module, name, meet):
    """Pass a point right before each call of a function."""
    call = getattr(module, name)

    def calling(*args, **given):
        meet()
        return call(*args, **given)

    monkeypatch.setattr(module, name, calling)


POINTS = ["agenda read", "inside the unit", "before the charge", "inside the charge", "before the outcome"]


@pytest.mark.postgresql_only("two at work at the same rows")
@pytest.mark.parametrize(("command", "decline"), MEETINGS)
def test_a_command_that_meets_a_renewal_comes_before_it_or_after_it(tmp_path, monkeypatch, command, decline) -> None:
    """Old or new price, never both; whenever in the run the command arrives."""
    allowed = one_after_the_other(tmp_path, command, decline)
    for point in POINTS:
        billing, fake = due(tmp_path, decline, f"meets {point}")
        meeting = Meeting(lambda billing=billing: tried(command, billing))
        with monkeypatch.context() as patched:
            match point:
                case "agenda read":
                    before(patched, engine_run, "do_actions", meeting.here)
                case "inside the unit":
                    before(patched, actions, "act_at", meeting.beside)
                case "before the charge":
                    before(patched, engine_run, "collect", meeting.here)
                case "inside the charge":
                    fake.during = lambda _request, meeting=meeting: meeting.here()
                case _:
                    before(patched, collection, "record_outcomes", meeting.here)
            billing.run()
            meeting.over()
        fake.during = lambda _request: None
        assert meeting.met, point
        done(billing)
        # Refused: an attempt was under way. Paid first: the renewal may have come before the money.
        possible = allowed if decline == "refuse" else allowed[:2] if meeting.made else allowed[2:]
        assert stands(billing, fake) in possible, point


@pytest.mark.postgresql_only("two at work at the same rows")
@pytest.mark.parametrize(("command", "decline"), [(upgrade, "keep"), (upgrade, "refuse"), (begin_anew, "refuse")])
def test_a_renewal_that_meets_a_change_comes_before_it_or_after_it(tmp_path, monkeypatch, command, decline) -> None:
    allowed = one_after_the_other(tmp_path, command, decline)
    for point in ("inside the unit", "inside the charge", "before the outcome"):
        billing, fake = due(tmp_path, decline, f"met {point}")
        meeting = Meeting(billing.run)
        with monkeypatch.context() as patched:
            if point == "inside the unit":
                before(patched, changing, "decide_change", meeting.beside)
            elif point == "inside the charge":
                fake.during = lambda _request, meeting=meeting: meeting.here()
            else:
                before(patched, collection, "record_outcomes", meeting.here)
            made = tried(command, billing)
            meeting.over()
        fake.during = lambda _request: None
        done(billing)
        assert stands(billing, fake) in (allowed[:2] if made else allowed[2:]), point
