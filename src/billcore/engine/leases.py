"""Leases: who makes an attempt right now, until when, and whether he still can (behaviour 9.4).

An attempt is leased before its call, not held by an open transaction. A lease has an owner's name of its own, so that
threads of one process are told apart too; it ends in machine time, well after the deadline of the call.
"""

import hashlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

from attrs import define, field

from billcore.clock import Clock, after
from billcore.commands.scope import Scope
from billcore.engine.work import Workplace
from billcore.plugins.calls import Delivered, deliver
from billcore.plugins.gateway import Gateway, Request
from billcore.store import lease as store
from billcore.store.database import Transaction

LEASE_S = 60
"""How long an attempt belongs to whoever makes it; longer than the deadline of its call."""

RENEW_AFTER_S = 15
"""When a long batch prolongs what it still holds, so that its next calls end before their leases."""


class Leases:
    """Gives out leases in this process; `instance` tells it from others that have its name and number."""

    def __init__(self, clock: Clock, instance: str) -> None:
        self._clock = clock
        self._instance = instance
        self._count = itertools.count(1)

    def take(self) -> tuple[str, datetime]:
        """A lease of its own: the owner's name, and the instant in machine time until which it holds."""
        return f"{_machine_of(os.getpid())}:{os.getpid()}:{self._instance}.{next(self._count)}", after(
            self._clock, LEASE_S
        )


def machine() -> str:
    """This machine's name, with its boot and its space of process numbers where it tells them.

    Containers may have equal names and numbers; a machine may come back under its name.
    """
    told = []
    for read in (_boot, _numbers):
        try:
            told.append(read())
        except OSError:
            told.append("")
    mark = hashlib.blake2s("\n".join(told).encode(), digest_size=4).hexdigest()
    return f"{socket.gethostname()}/{mark}"


@cache
def _machine_of(_process: int) -> str:
    """Read once in each process: every unit of work takes a lease."""
    return machine()


def has_ended(owner: str | None) -> bool:
    """Whether the owner of a lease is a process of this machine that is there no more; in doubt False.

    A number that was given out again only makes others wait until the lease runs out.
    """
    its_machine, _, rest = (owner or "").rpartition("/")
    mark, _, process = rest.partition(":")
    number = process.partition(":")[0]
    if sys.platform == "win32" or not number.isdecimal() or f"{its_machine}/{mark}" != machine():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


class Leased(Protocol):
    """An attempt that is leased: a payment or a refund."""

    @property
    def id(self) -> str:
        """The attempt's id."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def lease_owner(self) -> str | None:
        """Who holds the lease."""

    @property
    def lease_until(self) -> datetime | None:
        """Until when, in machine time."""


def is_being_made(attempt: Leased, wall: datetime) -> bool:
    """Whether somebody who is there makes it right now, or asks about it; `wall` is machine time."""
    return attempt.lease_until is not None and attempt.lease_until > wall and not has_ended(attempt.lease_owner)


def wait_for(place: Workplace, read: Callable[[Transaction], Iterable[Leased]]) -> None:
    """Simulated time must not overtake a real call: while somebody makes one of these attempts it stands still."""
    while True:
        with place.database.transaction(reads=True) as tx:
            found = list(read(tx))
        wall = place.clock.wall()
        if not any(is_being_made(one, wall) for one in found):
            return
        time.sleep(0.05)


@define
class Held:
    """The leases of a batch of attempts while their calls are made.

    `table` is where they stand. The threads that make the calls ask `may_begin` right before each.
    """

    place: Workplace
    table: str
    owner: str
    _customers: dict[str, str]
    _begins_by: dict[str, datetime]
    _renew_at: datetime = field()

    @_renew_at.default
    def _first_renewal(self) -> datetime:
        return after(self.place.clock, RENEW_AFTER_S)

    def may_begin(self, request: Request) -> bool:
        """Whether a call that begins now is over before its lease."""
        begins_by = self._begins_by.get(request.attempt_id)
        return begins_by is not None and self.place.clock.wall() < begins_by

    def calls(self, gateway: Gateway, requests: Collection[Request]) -> Iterator[list[Delivered]]:
        """Make the calls and hand out what they brought, whenever it should be recorded before the rest is renewed.

        A call whose lease has run out, or was taken over, is not begun: nothing is said of it.
        """
        came: list[Delivered] = []
        place = self.place
        results = deliver(
            gateway, requests, threads=place.threads, deadline_s=place.deadline_s, may_begin=self.may_begin
        )
        for result in results:
            came.append(result)
            self._begins_by.pop(result.request.attempt_id, None)
            if place.clock.wall() >= self._renew_at:
                yield came
                came = []
                self.renew()
        yield came

    def renew(self) -> None:
        """Prolong what is still held; what somebody else has taken over is dropped.

        Attempts of a customer whom another worker keeps have their former end until the next time.
        """
        ids, until = list(self._begins_by), after(self.place.clock, LEASE_S)
        still_ours = self.place.unit(lambda scope: self._renewed(scope, ids, until)) if ids else {}
        for attempt_id, ours in still_ours.items():
            if ours:
                self._begins_by[attempt_id] = begins_by(self.place, until)
            else:
                self._begins_by.pop(attempt_id, None)
        self._renew_at = after(self.place.clock, RENEW_AFTER_S)

    def _renewed(self, scope: Scope, ids: Sequence[str], until: datetime) -> dict[str, bool]:
        """Of the attempts whose customers nobody else keeps: whether they are still ours."""
        kept = set(scope.tx.lock_customers({self._customers[one] for one in ids}, skip=True))
        mine = [one for one in ids if self._customers[one] in kept]
        ours = set(store.renew(scope.tx, self.table, mine, self.owner, until))
        return {one: one in ours for one in mine}


def held(place: Workplace, table: str, group: Sequence[Leased]) -> Held:
    """The leases of these attempts, which one unit of work has just taken under one name."""
    (owner,) = {one.lease_owner for one in group}
    assert owner is not None
    begins = {one.id: begins_by(place, one.lease_until) for one in group if one.lease_until is not None}
    return Held(place, table, owner, {one.id: one.customer_id for one in group}, begins)


def begins_by(place: Workplace, until: datetime) -> datetime:
    """The last instant at which a call may begin, so that it is answered or given up before its lease ends."""
    return until - timedelta(seconds=place.deadline_s)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _numbers() -> str:
    return str(Path("/proc/self/ns/pid").readlink())
