"""Faults on demand: a request that never arrives, or one that was carried out and whose answer is lost."""

import hashlib
from collections.abc import Sequence
from threading import Lock
from typing import Literal, TypeAlias, get_args

from attrs import frozen

from billcore_gateway_stripe.testing.problem import invalid

FaultKind: TypeAlias = Literal[
    "timeout", "reset", "error_500", "garbage", "truncated", "rate_limit", "in_use", "slow", "unauthorized", "forbidden"
]
KINDS: Sequence[str] = get_args(FaultKind)
ONLY_BEFORE = ("rate_limit", "in_use", "unauthorized", "forbidden")
MOVES_MONEY = ("/v1/payment_intents", "/v1/refunds")


@frozen
class Fault:
    """What goes wrong with the next `times` requests that fit, after `skip` of them went well.

    `where` says whether the request is carried out first. `method` and `path` (the beginning of one, or all of it
    where `exact`) choose the requests, `text` is something in their body, such as an attempt's id. `seconds` is how
    long a timeout or a slow answer takes.
    """

    kind: FaultKind
    where: Literal["before", "after"] = "before"
    times: int = 1
    skip: int = 0
    method: str = "POST"
    path: str = "/v1/"
    exact: bool = False
    text: str = ""
    seconds: int = 3

    def fits(self, method: str, path: str, body: str) -> bool:
        """Whether it is meant for this request."""
        here = path == self.path if self.exact else path.startswith(self.path)
        return here and method == self.method and self.text in body


@frozen
class Chaos:
    """Of the calls that move money, `before` percent are lost on the way and `after` percent lose their answer.

    Which ones follows from `seed`, the request's key and how often it was sent.
    """

    seed: int
    before: int
    after: int
    kind: FaultKind = "reset"


class Faults:
    """The faults that wait for their requests."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: list[list[int]] = []
        self._faults: list[Fault] = []
        self._chaos: Chaos | None = None
        self._sent: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Let it happen; faults are tried in the order they were added."""
        if fault.where == "after" and fault.kind in ONLY_BEFORE:
            raise invalid(f"{fault.kind} says that nothing was done, so it cannot come after it was.")
        with self._lock:
            self._faults.append(fault)
            self._waiting.append([fault.skip, fault.times])

    def chaos(self, chaos: Chaos | None) -> None:
        """Lose a share of all calls, or none any more."""
        with self._lock:
            self._chaos = chaos

    def clear(self) -> None:
        """Let everything go well."""
        with self._lock:
            self._faults, self._waiting, self._chaos = [], [], None

    def next(self, method: str, path: str, body: str, key: str) -> Fault | None:
        """What goes wrong with this request."""
        with self._lock:
            for fault, left in zip(self._faults, self._waiting, strict=True):
                if left[1] > 0 and fault.fits(method, path, body):
                    if left[0] > 0:
                        left[0] -= 1
                        continue
                    left[1] -= 1
                    return fault
            if self._chaos is None or method != "POST" or path not in MOVES_MONEY:
                return None
            return self._by_chance(self._chaos, key)

    def _by_chance(self, chaos: Chaos, key: str) -> Fault | None:
        sent = self._sent[key] = self._sent.get(key, 0) + 1
        digest = hashlib.sha256(f"{chaos.seed}:{key}:{sent}".encode()).digest()
        drawn = int.from_bytes(digest[:4], "big") % 100
        if drawn < chaos.before:
            return Fault(chaos.kind, "before")
        return Fault(chaos.kind, "after") if drawn < chaos.before + chaos.after else None
