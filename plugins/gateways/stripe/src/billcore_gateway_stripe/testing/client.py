"""How tests, in this process or another, speak to the fake's handles."""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from billcore_gateway_stripe.testing.problem import ApiProblem

PATIENCE_S = 60


class FakeClient:
    """The handles of the fake at `url`, by name: `book`, `fault`, `advance`, `settle` and the others.

    `account` is the connected account that is meant, "" for the key's own.
    """

    def __init__(self, url: str, account: str = "") -> None:
        self.url = url
        self._account = account

    def book(self) -> list[dict[str, Any]]:
        """What really moved money, oldest first."""
        return list(self.call("book"))

    def charges(self, attempt_id: str = "") -> list[dict[str, Any]]:
        """The charges that moved money, of one attempt when given."""
        rows = [row for row in self.book() if row["verb"] == "charge"]
        return [row for row in rows if not attempt_id or row["attempt_id"] == attempt_id]

    def requests(self, method: str = "POST", path: str = "/v1/") -> list[dict[str, Any]]:
        """The API requests that came, as far as they begin so."""
        found = self.call("requests")
        return [one for one in found if one["method"] == method and one["path"].startswith(path)]

    def objects(self, family: str) -> list[dict[str, Any]]:
        """Every object of a family (payment_intents, refunds, customers…), newest first."""
        return list(self.call("objects", family=family))

    def events(self, secret: str, **knobs: object) -> list[dict[str, str]]:
        """Every event so far, signed for `secret`: `event`, `name`, `body` and `signature`."""
        return list(self.call("events", secret=secret, **knobs))

    def fault(self, kind: str, where: str = "before", **more: object) -> None:
        """Let the next fitting request go wrong; see `faults.Fault`."""
        self.call("fault", kind=kind, where=where, **more)

    def new_method(self, **behaviour: object) -> str:
        """A payment method that behaves as `tokens.Behaviour` says; returns its id."""
        return str(self.call("method", **behaviour)["id"])

    def webhooks(self, url: str, secret: str, **knobs: object) -> None:
        """Post events to an endpoint; see `deliveries.Endpoint`."""
        self.call("webhooks", url=url, secret=secret, **knobs)

    def call(self, verb: str, **given: object) -> Any:  # noqa: ANN401  JSON
        """Use any handle; raises ApiProblem for what the fake refuses."""
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
        body = json.dumps({**given, **({"account": self._account} if self._account else {})})
        try:
            connection.request("POST", f"/_fake/{verb}", body)
            response = connection.getresponse()
            found = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ApiProblem(response.status, "fake", str(found))
        return found
