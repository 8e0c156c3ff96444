"""The API behind the HTTP: keys, versions and accounts are checked, then the request is carried out once per key."""

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

from attrs import define, frozen

from billcore_gateway_stripe.config import API_VERSION
from billcore_gateway_stripe.testing.clock import Clock
from billcore_gateway_stripe.testing.problem import ApiProblem, invalid
from billcore_gateway_stripe.testing.routes import answer, find
from billcore_gateway_stripe.testing.state import Record, State

KEYS_LAST_S = 86_400


@frozen
class Reply:
    """An answer of the API."""

    status: int
    body: Mapping[str, Any]
    replayed: bool = False
    events: tuple[Record, ...] = ()


@define
class _Kept:
    """What was answered to the first request with a key; None while that is under way."""

    request: tuple[str, str, str]
    at: int
    reply: Reply | None = None


class Api:
    """Every account of the fake, by the id of a connected account, and "" for the key's own."""

    def __init__(self, clock: Clock, key: str) -> None:
        self.clock = clock
        self._key = key
        self._lock = Lock()
        self._accounts: dict[str, State] = {}
        self._kept: dict[tuple[str, str], _Kept] = {}
        self.requests: list[Record] = []

    def account(self, name: str = "") -> State:
        """The state of an account; it is made when it is first used."""
        with self._lock:
            if name not in self._accounts:
                self._accounts[name] = State(self.clock, name)
            return self._accounts[name]

    def states(self) -> list[State]:
        """Every account there is."""
        with self._lock:
            return list(self._accounts.values())

    def authorize(self, headers: Mapping[str, str]) -> None:
        """Refuse a wrong key, one without rights, and another version of the API."""
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if given == f"{self._key}_without_rights":
            raise ApiProblem(403, "invalid_request_error", "This key does not have the rights for this.")
        if given != self._key:
            raise ApiProblem(401, "invalid_request_error", f"Invalid API Key provided: {given}")
        version = headers.get("stripe-version", "")
        if version != API_VERSION:
            raise invalid(f"This fake speaks the version {API_VERSION} of the API only, not {version or 'none'}.")

    def begin(self, account: str, key: str, request: tuple[str, str, str]) -> Reply | None:
        """Take a key; the stored answer when it was used for the same request before."""
        if not key:
            return None
        with self._lock:
            now = self.clock.now()
            kept = self._kept.get((account, key))
            if kept is None or kept.at + KEYS_LAST_S <= now:
                self._kept[account, key] = _Kept(request, now)
                return None
            if kept.request != request:
                raise ApiProblem(
                    400,
                    "idempotency_error",
                    f"Keys for idempotent requests can only be used with the same parameters they were first used "
                    f"with. Try using a key other than '{key}'.",
                )
            if kept.reply is None:
                raise ApiProblem(
                    409,
                    "invalid_request_error",
                    f"There is currently another in-progress request using this key: {key}",
                    code="idempotency_key_in_use",
                )
            return Reply(kept.reply.status, kept.reply.body, replayed=True)

    def end(self, account: str, key: str, reply: Reply | None) -> None:
        """Store the answer to a key's request, or give the key back when nothing had begun."""
        if not key:
            return
        with self._lock:
            if reply is None:
                self._kept.pop((account, key), None)
            else:
                self._kept[account, key].reply = reply

    def carry_out(self, account: str, method: str, path: str, body: str, base_url: str) -> tuple[Reply, bool]:
        """Do what is asked; the answer, and whether it is one to be stored under the key."""
        state = self.account(account)
        with state.lock:
            known = len(state.events)
            try:
                route, object_id = find(method, path)
                reply, kept = Reply(200, answer(route, state, object_id, body, base_url)), True
            except ApiProblem as problem:
                reply, kept = Reply(problem.status, problem.body), problem.kept
            # Copied while the lock is held: another request may change the object at once.
            body_now = json.loads(json.dumps(reply.body))
            return Reply(reply.status, body_now, events=tuple(state.events[known:])), kept

    def note(self, method: str, path: str, body: str, key: str, status: int) -> None:
        """Remember a request for the tests; `status` is 0 when it was not carried out."""
        self.requests.append({"method": method, "path": path, "body": body, "key": key, "status": status})
