"""Calls run on threads with deadlines; whatever a plugin does, each request is reported exactly once."""

import threading
import time

import pytest

from billcore.plugins.calls import Raised, Returned, call_within, deliver
from billcore.plugins.gateway import (
    Approved,
    Charge,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    Money,
    Refund,
    Unsupported,
)

USD = Money(4900, "USD")


def charge(number, token="approve"):
    return Charge(f"pay_{number}", f"key_{number}", USD, token, "cus_1", f"inv_{number}")


class Fake:
    """Behaves as the token says: raise what it is told to, wait for the gate, or approve."""

    capabilities = frozenset()

    def __init__(self, raising=()):
        self.gate = threading.Event()
        self.raising = dict(raising)
        self.seen = []

    def charge(self, request):
        self.seen.append(request.attempt_id)
        token = request.gateway_method
        if token == "hang":
            self.gate.wait()
        if token in self.raising:
            raise self.raising[token]
        return Approved(f"ch_{request.attempt_id}", request.amount.minor, request.amount.currency)

    def lookup(self, request):
        return Approved(f"ch_{request.attempt_id}", 4900, "USD")


@pytest.fixture
def gateway():
    fake = Fake()
    yield fake
    fake.gate.set()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_request_is_carried_out_once_and_reported_once(gateway, threads):
    requests = [charge(number) for number in range(3000)]
    delivered = list(deliver(gateway, requests, threads=threads))
    assert sorted(one.request.attempt_id for one in delivered) == sorted(one.attempt_id for one in requests)
    assert len(gateway.seen) == 3000
    assert all(one.result == Approved(f"ch_{one.request.attempt_id}", 4900, "USD") for one in delivered)


def test_an_empty_batch_calls_nobody(gateway):
    before = threading.active_count()
    assert list(deliver(gateway, [])) == []
    assert threading.active_count() == before


def test_a_batch_mixes_requests_and_undeclared_verbs_are_values(gateway):
    requests = [Lookup("pay_9", USD), Refund("ref_1", "key", USD, "ch_1")]
    results = {type(one.request): one.result for one in deliver(gateway, requests)}
    assert results[Lookup] == Approved("ch_pay_9", 4900, "USD")
    assert isinstance(results[Refund], Unsupported)


def test_what_hangs_is_unknown_after_its_deadline_and_the_others_go_on(gateway):
    requests = [charge(number, "hang" if number < 3 else "approve") for number in range(50)]
    begun = time.monotonic()
    delivered = list(deliver(gateway, requests, threads=2, deadline_s=1))
    assert time.monotonic() - begun < 10
    unknown = {one.request.attempt_id for one in delivered if isinstance(one.result, GatewayUnknown)}
    assert unknown == {"pay_0", "pay_1", "pay_2"}
    assert len(delivered) == 50


def test_an_answer_after_the_deadline_is_dropped(gateway):
    """The item was reported unknown; a second report could settle it twice."""
    rows = deliver(gateway, [charge(0, "hang"), charge(1)], threads=2, deadline_s=1)
    first = next(rows)
    second = next(rows)
    gateway.gate.set()
    assert first.request.attempt_id == "pay_1"
    assert isinstance(second.result, GatewayUnknown)
    assert "within 1 seconds" in str(second.result)
    assert list(rows) == []


def test_results_come_as_they_complete_and_not_in_the_order_of_the_batch(gateway):
    rows = deliver(gateway, [charge(0, "hang"), charge(1), charge(2)], threads=2)
    assert [next(rows).request.attempt_id, next(rows).request.attempt_id] == ["pay_1", "pay_2"]
    gateway.gate.set()
    assert next(rows).request.attempt_id == "pay_0"


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError()],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_exception_leaves_the_outcome_unknown_and_names_its_cause(error):
    gateway = Fake({"boom": error})
    results = {one.request.attempt_id: one.result for one in deliver(gateway, [charge(0, "boom"), charge(1)])}
    assert isinstance(results["pay_0"], GatewayUnknown)
    assert results["pay_0"].__cause__ is error
    assert type(error).__name__ in str(results["pay_0"])
    assert isinstance(results["pay_1"], Approved)


@pytest.mark.parametrize("error", [GatewayNotSent("refused"), GatewayUnknown("lost"), GatewayMisconfigured("key")])
def test_the_errors_of_the_contract_come_back_as_they_are(error):
    [delivered] = deliver(Fake({"boom": error}), [charge(0, "boom")])
    assert delivered.result is error


def test_who_stops_early_sends_nothing_more(gateway):
    """After Ctrl-C only the calls already under way are left, to be asked for later."""
    rows = deliver(gateway, [charge(0), *(charge(number, "hang") for number in range(1, 100))], threads=2)
    next(rows)
    rows.close()
    gateway.gate.set()
    time.sleep(0.05)
    assert len(gateway.seen) <= 4


def test_nothing_is_sent_before_the_first_result_is_asked_for(gateway):
    rows = deliver(gateway, [charge(0)])
    assert gateway.seen == []
    assert len(list(rows)) == 1


def test_a_call_is_waited_for_no_longer_than_its_deadline():
    gate = threading.Event()
    assert call_within(5, lambda: 7) == Returned(7)
    late = call_within(1, gate.wait)
    gate.set()
    assert isinstance(late, Raised)
    assert isinstance(late.error, TimeoutError)
