"""One call of a plugin with a deadline, on a thread of its own.

A thread cannot be killed: one that stays past its deadline is abandoned (it is a daemon), and what it answers later is
dropped.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from attrs import frozen

T = TypeVar("T")


class DeadlinePassed(TimeoutError):
    """A plugin did not answer in time; its thread was abandoned."""


@frozen
class Raised:
    """What a plugin raised instead of returning; DeadlinePassed when it stayed past its deadline."""

    error: BaseException


@frozen
class Returned(Generic[T]):
    """What a plugin returned."""

    value: T


def call_within(deadline_s: int, call: Callable[[], T]) -> Returned[T] | Raised:
    """What `call` returned or raised, run on a thread of its own for at most `deadline_s` seconds."""
    answer: SimpleQueue[Returned[T] | Raised] = SimpleQueue()

    def run() -> None:
        try:
            answer.put(Returned(call()))
        except BaseException as error:  # noqa: BLE001  a plugin may raise SystemExit; it must not end ours
            answer.put(Raised(error))

    Thread(target=run, name="billcore-plugin", daemon=True).start()
    try:
        return answer.get(timeout=deadline_s)
    except Empty:
        return Raised(DeadlinePassed(f"no answer within {deadline_s} seconds"))
