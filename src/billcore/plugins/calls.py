"""Calling plugins on threads with deadlines: values go in, values come back, nothing here touches the store.

A thread cannot be killed. One that stays past its deadline is abandoned (it is a daemon) and replaced, and
whatever it answers later is dropped: its item has been reported already.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic_ns
from typing import TypeAlias

from attrs import frozen

from billcore.plugins.deadline import Raised, Returned, call_within
from billcore.plugins.gateway import (
    Answer,
    Failure,
    Gateway,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Request,
    Unsupported,
    perform,
)

__all__ = ["Delivered", "Raised", "Result", "Returned", "call_within", "deliver"]

Result: TypeAlias = Answer | Failure

_NS = 1_000_000_000


@frozen
class Delivered:
    """A request and what came of it: the gateway's checked answer, or its error as a value."""

    request: Request
    result: Result


def deliver(
    gateway: Gateway,
    requests: Iterable[Request],
    *,
    threads: int = 4,
    deadline_s: int = 30,
    may_begin: Callable[[Request], bool] = lambda _request: True,
) -> Iterator[Delivered]:
    """Carry `requests` out on `threads` worker threads and yield each with its result as it completes.

    Each call has `deadline_s` seconds; one that takes longer is GatewayUnknown, as is one that raises what it
    should not, SystemExit and KeyboardInterrupt included. The calls begin with the first `next`. `may_begin` is
    asked on the thread right before each call: one that may not is left out. When the caller stops early, requests
    that no thread has taken up are never sent, and results of running calls are lost.
    """
    return _Batch(gateway, requests, may_begin).results(threads, deadline_s)


class _Batch:
    """Requests not yet taken up, the instants at which running calls began, and results not yet handed back.

    The three containers are shared between threads; each is used only through operations that are atomic by
    themselves. Who removes a call from `began` reports it, so that it is reported once.
    """

    def __init__(self, gateway: Gateway, requests: Iterable[Request], may_begin: Callable[[Request], bool]) -> None:
        self._gateway = gateway
        self._may_begin = may_begin
        self._requests = tuple(requests)
        self._waiting = deque(range(len(self._requests)))
        self._began: dict[int, int] = {}
        self._done: SimpleQueue[Delivered | None] = SimpleQueue()

    def results(self, threads: int, deadline_s: int) -> Iterator[Delivered]:
        for _ in range(min(threads, len(self._requests))):
            self._hire()
        left = len(self._requests)
        check_at = monotonic_ns() + deadline_s * _NS
        try:
            while left:
                now = monotonic_ns()
                if now >= check_at:
                    for overdue in self._given_up(now - deadline_s * _NS, deadline_s):
                        left -= 1
                        yield overdue
                    check_at = min(self._began.copy().values(), default=now) + deadline_s * _NS
                    continue
                try:
                    delivered = self._done.get(timeout=(check_at - now) / _NS)
                except Empty:
                    continue
                left -= 1
                if delivered is not None:
                    yield delivered
        finally:
            self._waiting.clear()

    def _hire(self) -> None:
        Thread(target=self._work, name="billcore-gateway", daemon=True).start()

    def _work(self) -> None:
        gateway, requests, began, may_begin = self._gateway, self._requests, self._began, self._may_begin
        take, put = self._waiting.popleft, self._done.put
        while True:
            try:
                index = take()
            except IndexError:
                return
            request = requests[index]
            if not may_begin(request):
                put(None)
                continue
            began[index] = monotonic_ns()
            result = _result(gateway, request)
            if began.pop(index, None) is None:
                return
            put(Delivered(request, result))

    def _given_up(self, latest_ns: int, deadline_s: int) -> Iterator[Delivered]:
        for index, began_ns in self._began.copy().items():
            if began_ns > latest_ns or self._began.pop(index, None) is None:
                continue
            if self._waiting:
                self._hire()
            request = self._requests[index]
            yield Delivered(request, _overdue(self._gateway, request, deadline_s))


def _result(gateway: Gateway, request: Request) -> Result:
    try:
        return perform(gateway, request)
    except (GatewayNotSent, GatewayUnknown, GatewayMisconfigured, Unsupported) as error:
        return error
    except BaseException as error:  # noqa: BLE001  whatever a plugin raises, the money may have moved
        unknown = GatewayUnknown(
            f"{type(gateway).__name__} raised {type(error).__name__} on attempt {request.attempt_id}.",
            remedy="What became of it is asked for again; the plugin's error stands in the cause.",
            attempt_id=request.attempt_id,
        )
        unknown.__cause__ = error
        return unknown


def _overdue(gateway: Gateway, request: Request, deadline_s: int) -> GatewayUnknown:
    return GatewayUnknown(
        f"{type(gateway).__name__} did not answer attempt {request.attempt_id} within {deadline_s} seconds.",
        remedy="What became of it is asked for again.",
        attempt_id=request.attempt_id,
    )
