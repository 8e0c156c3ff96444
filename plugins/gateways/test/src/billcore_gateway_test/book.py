"""The gateway's own book: every request it heard of and every movement of money, if wished in a file.

The file holds one JSON object a line, each a request or a kept method as it then stood; the last line of a key
counts. Processes that share a file take turns on its lock and read what the others wrote before they decide.
"""

import json
import os
import sys
from collections import defaultdict, deque
from collections.abc import Mapping
from threading import RLock
from time import sleep
from typing import Literal

from attrs import asdict, frozen

from billcore.plugins.gateway import ActionRequired, Approved, DeclineCode, Money, Outcome, Pending, declined
from billcore_gateway_test.method import Method

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_UN, flock

Verb = Literal["charge", "refund", "void", "capture"]
State = Literal["approved", "pending", "action", "authorized", "declined", "lost"]
OPEN: tuple[State, ...] = ("pending", "action", "authorized")
"""The states that end later."""

_ID = "test_"


@frozen
class Entry:
    """A request, found by its idempotency key, and how it stands. One that is `lost` never arrived.

    `asked` and `moved` are minor units; `code` and `message` belong to declines; `of` is the key of the charge that a
    refund or void gives back, or that a capture takes. `later` is how it ends once somebody asks again, `rest` what
    the token of a charge says of its other verbs.
    """

    key: str
    attempt_id: str
    verb: Verb
    asked: int
    currency: str
    customer_id: str
    state: State
    moved: int = 0
    code: str = ""
    message: str = ""
    of: str = ""
    later: str = ""
    rest: str = ""

    @property
    def gateway_id(self) -> str:
        """The gateway's id, made from the key so that every run gives the same."""
        return _ID + self.key

    def outcome(self) -> Outcome:
        """The answer to whoever asks for this request now."""
        if self.state == "approved":
            # A capture, and the void of what was only authorized, move nothing themselves.
            return Approved(self.gateway_id, self.moved or self.asked, self.currency)
        if self.state == "declined":
            return declined(DeclineCode(self.code), self.message, gateway_id=self.gateway_id)
        if self.state == "action":
            return ActionRequired(self.gateway_id, f"https://gateway.test/action/{self.attempt_id}")
        return Pending(self.gateway_id)


@frozen
class Movement:
    """Money that moved: taken by a charge, given back by a refund or void of the charge with the gateway id `of`."""

    verb: Verb
    key: str
    attempt_id: str
    amount: Money
    customer_id: str
    gateway_id: str
    of: str = ""


class Book:
    """Entries by key. `with book:` is one turn: no other thread or process decides or writes meanwhile.

    `path` is the file to keep it in, `fsync` writes through to the disk, `remember` bounds the entries in
    memory to the newest (those not ended yet always stay); totals count all the same. `log` keeps every change.
    """

    def __init__(
        self, path: str | None = None, *, fsync: bool = False, remember: int | None = None, log: bool = False
    ) -> None:
        self._entries: dict[str, Entry] = {}
        self._methods: dict[str, Method] = {}
        self._log: list[Entry | Method] | None = [] if log else None
        self._keys: dict[str, str] = {}
        self._given_back: defaultdict[str, int] = defaultdict(int)
        self._taken: defaultdict[str, int] = defaultdict(int)
        self._charges = 0
        self._lock = RLock()
        self._fsync = fsync
        self._remember = remember
        self._ages: deque[str] = deque()
        self._read = 0
        self._file = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def __enter__(self) -> None:
        if self._file < 0:
            # Waiting inside `acquire` would hand the lock over at every call, a switch of threads each.
            while not self._lock.acquire(blocking=False):
                sleep(0)
        else:
            self._lock.acquire()
            try:
                if sys.platform != "win32":
                    flock(self._file, LOCK_EX)
                self._read_on()
            except BaseException:
                self._lock.release()
                raise

    def __exit__(self, *_: object) -> None:
        if self._file >= 0 and sys.platform != "win32":
            flock(self._file, LOCK_UN)
        self._lock.release()

    def entry(self, key: str) -> Entry | None:
        """The request with this idempotency key."""
        return self._entries.get(key)

    def attempt(self, attempt_id: str) -> Entry | None:
        """The request with this id of ours; of several (with different keys, which is wrong) the newest."""
        return self._entries.get(self._keys.get(attempt_id, ""))

    def charged(self, gateway_id: str, state: State = "approved") -> Entry | None:
        """The charge with this gateway id, when it is in this state."""
        entry = self._entries.get(gateway_id.removeprefix(_ID))
        return entry if entry is not None and entry.verb == "charge" and entry.state == state else None

    def left(self, charge: Entry) -> int:
        """Minor units of a charge that no refund or void has given back or is about to."""
        return charge.moved - self._given_back[charge.key]

    def write(self, entry: Entry) -> Entry:
        """Note how a request stands now."""
        if self._file >= 0:
            self._append(asdict(entry))
        self._note(entry)
        return entry

    def method(self, token: str) -> Method | None:
        """The kept method with this token."""
        return self._methods.get(token)

    def keep(self, method: Method) -> Method:
        """Note how a kept method stands now."""
        if self._file >= 0:
            self._append({"method": asdict(method)})
        self._note_method(method)
        return method

    def changes(self, start: int = 0) -> tuple[Entry | Method, ...]:
        """Everything that was noted, from the `start`th on, when the book keeps a log."""
        with self:
            return tuple((self._log or [])[start:])

    def entries(self) -> tuple[Entry, ...]:
        """Every request heard of, in order of arrival, as it stands now."""
        with self:
            return tuple(self._entries.values())

    def methods(self) -> tuple[Method, ...]:
        """Every method that was ever kept, as it stands now."""
        with self:
            return tuple(self._methods.values())

    def movements(self) -> tuple[Movement, ...]:
        """What moved money, in order of arrival."""
        with self:
            return tuple(
                Movement(
                    e.verb,
                    e.key,
                    e.attempt_id,
                    Money(e.moved, e.currency),
                    e.customer_id,
                    e.gateway_id,
                    _ID + e.of if e.of else "",
                )
                for e in self._entries.values()
                if e.moved
            )

    def taken(self) -> Mapping[str, int]:
        """By currency the minor units charged, less those given back."""
        with self:
            return dict(self._taken)

    def charges(self) -> int:
        """How many charges moved money."""
        with self:
            return self._charges

    def close(self) -> None:
        """Close the file; the book takes no more turns."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _append(self, line: Mapping[str, object]) -> None:
        written = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        os.write(self._file, written)
        self._read += len(written)
        if self._fsync:
            os.fsync(self._file)

    def _note_method(self, method: Method) -> None:
        self._methods[method.token] = method
        if self._log is not None:
            self._log.append(method)

    def _note(self, entry: Entry) -> None:
        if self._log is not None:
            self._log.append(entry)
        before = self._entries.get(entry.key)
        self._entries[entry.key] = entry
        self._keys[entry.attempt_id] = entry.key
        moved = entry.moved - (before.moved if before else 0)
        if entry.verb == "charge":
            self._taken[entry.currency] += moved
            self._charges += bool(entry.moved) - bool(before and before.moved)
        elif entry.verb != "capture":
            self._taken[entry.currency] -= moved
            self._given_back[entry.of] += _held(entry) - (_held(before) if before else 0)
        if self._remember is not None and before is None:
            self._forget(entry.key)

    def _forget(self, newest: str) -> None:
        self._ages.append(newest)
        while len(self._ages) > (self._remember or 0):
            oldest = self._entries[self._ages.popleft()]
            if oldest.state in ("approved", "declined"):
                del self._entries[oldest.key]
                self._given_back.pop(oldest.key, None)
                if self._keys.get(oldest.attempt_id) == oldest.key:
                    del self._keys[oldest.attempt_id]

    def _read_on(self) -> None:
        """Take in what other processes wrote; a line without its end is of a process that was killed."""
        behind = os.fstat(self._file).st_size - self._read
        if behind <= 0:
            return
        written = os.pread(self._file, behind, self._read)
        whole = written[: written.rfind(b"\n") + 1]
        if len(whole) < len(written):
            os.ftruncate(self._file, self._read + len(whole))
        for line in whole.splitlines():
            noted = json.loads(line)
            if "method" in noted:
                self._note_method(Method(**noted["method"]))
            else:
                self._note(Entry(**noted))
        self._read += len(whole)


def _held(entry: Entry) -> int:
    """What a refund or void takes off its charge: all it asked for until it has ended."""
    return entry.asked if entry.state in OPEN else entry.moved
