"""What the fake knows: objects by kind and id, the events about them, and what was asked of it."""

import re
from collections.abc import Iterator
from copy import deepcopy
from threading import RLock
from typing import Any, TypeAlias

from attrs import Factory, define

from billcore_gateway_stripe.config import API_VERSION
from billcore_gateway_stripe.testing.clock import Clock
from billcore_gateway_stripe.testing.problem import invalid, missing
from billcore_gateway_stripe.testing.tokens import Behaviour

Record: TypeAlias = dict[str, Any]
"""A JSON object as Stripe shows it."""

# What an id's prefix says of its kind, and what the API calls it when it is not there.
_KINDS = {
    "cus": ("customers", "customer"),
    "pm": ("payment_methods", "PaymentMethod"),
    "pi": ("payment_intents", "payment_intent"),
    "seti": ("setup_intents", "setupintent"),
    "ch": ("charges", "charge"),
    "re": ("refunds", "refund"),
    "cs": ("sessions", "checkout.session"),
    "mandate": ("mandates", "mandate"),
    "dp": ("disputes", "dispute"),
}
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_QUERY = re.compile(r"""metadata\[(['"])(?P<name>[^'"]+)\1\]:(['"])(?P<value>(?:\\.|[^'"\\])*)\3""")
SEARCH_LAG_S = 60


@define
class State:
    """One account at the fake, or the connected account `account`. Who reads or changes it holds the lock."""

    clock: Clock
    account: str = ""
    lock: RLock = Factory(RLock)
    objects: dict[str, dict[str, Record]] = Factory(dict)
    indexed: dict[str, Record] = Factory(dict)
    behaviours: dict[str, Behaviour] = Factory(dict)
    spent: set[str] = Factory(set)
    prepared: set[str] = Factory(set)
    events: list[Record] = Factory(list)
    search_lag_s: int = SEARCH_LAG_S
    count: int = 0

    def new_id(self, prefix: str) -> str:
        """An id that was not given before; it never looks like a number."""
        self.count += 1
        serial, digits = self.count, ""
        for _ in range(6):
            serial, rest = divmod(serial, len(_LETTERS))
            digits = _LETTERS[rest] + digits
        return f"{prefix}_1Fake{digits}"

    def add(self, prefix: str, kind: str, **fields: object) -> Record:
        """A new object, to be found by search only after a while."""
        record: Record = {
            "id": self.new_id(prefix),
            "object": kind,
            **({} if kind == "mandate" else {"created": self.clock.now()}),
            **({} if kind == "refund" else {"livemode": False}),
            **fields,
        }
        self.objects.setdefault(_KINDS[prefix][0], {})[record["id"]] = record
        return record

    def all(self, family: str) -> list[Record]:
        """Every object of a family, newest first."""
        return list(reversed(self.objects.get(family, {}).values()))

    def get(self, prefix: str, given: str, param: str = "") -> Record:
        """The object with this id, or the API's answer that there is none."""
        family, name = _KINDS[prefix]
        record = self.objects.get(family, {}).get(given)
        if record is None:
            raise missing(name, given, param or name)
        return record

    def emit(self, name: str, record: Record, previous: Record | None = None) -> None:
        """Note an event about an object as it is now."""
        data: Record = {"object": deepcopy(record)}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Record = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.clock.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": name,
        }
        if self.account:
            event["account"] = self.account
        self.events.append(event)

    def index(self, record: Record) -> None:
        """Hand an object to the search, as it is at this moment and no later."""
        self.indexed.setdefault(record["id"], deepcopy(record))

    def search(self, prefix: str, query: str) -> list[Record]:
        """What the search knows: objects of some age, as they were when it first saw them."""
        match = _QUERY.fullmatch(query.strip())
        if match is None:
            raise invalid(f"We were unable to parse your search query: {query}", param="query")
        name, value = match["name"], re.sub(r"\\(.)", r"\1", match["value"])
        old = self.clock.now() - self.search_lag_s
        return [
            record
            for key, record in reversed(self.indexed.items())
            if key.startswith(prefix + "_")
            and record["created"] <= old
            and (record.get("metadata") or {}).get(name) == value
        ]

    def page(self, records: list[Record], params: Record, url: str) -> Record:
        """One page of a list, newest first."""
        limit = int(params.get("limit", 10))
        if not 1 <= limit <= 100:
            raise invalid("Invalid limit: it is from 1 to 100", param="limit")
        created = params.get("created")
        if isinstance(created, dict):
            records = [one for one in records if _is_within(one["created"], created)]
        after = params.get("starting_after")
        if after:
            ids = [one["id"] for one in records]
            if after not in ids:
                raise missing("object", after, "starting_after")
            records = records[ids.index(after) + 1 :]
        return {"object": "list", "url": url, "has_more": len(records) > limit, "data": records[:limit]}

    def expanded(self, record: Record, paths: list[str]) -> Record:
        """A copy in which the objects that `paths` name stand in place of their ids."""
        copied = deepcopy(record)
        for path in paths:
            *way, name = path.split(".")
            for at in _reached([copied], way):
                if name not in at:
                    raise invalid(f"This property cannot be expanded ({path}).", param="expand")
                given = at[name]
                if isinstance(given, str):
                    at[name] = deepcopy(self.get(given.partition("_")[0], given))
        return copied


def _reached(records: list[Record], way: list[str]) -> Iterator[Record]:
    if not way:
        yield from records
        return
    for record in records:
        inner = record.get(way[0])
        yield from _reached(inner if isinstance(inner, list) else [inner] if inner else [], way[1:])


def _is_within(created: int, bounds: Record) -> bool:
    checks = {"gt": created.__gt__, "gte": created.__ge__, "lt": created.__lt__, "lte": created.__le__}
    return all(checks[name](int(value)) for name, value in bounds.items())
