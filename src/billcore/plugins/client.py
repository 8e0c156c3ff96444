"""A JSON client for providers without an SDK: it raises the errors of the contract by itself (behaviour 9.2)."""

import json
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

from billcore.plugins.config import Secret
from billcore.plugins.outcome import GatewayMisconfigured, GatewayNotSent, GatewayUnknown

MOST_BYTES = 1 << 22
"""Bytes of an answer that are read; a longer one is unreadable."""


@frozen
class JsonReply:
    """What the provider answered, 2xx or a refusal of 4xx: the verb has to tell which refusals are declines."""

    status: int
    body: Mapping[str, object]

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    def text(self, name: str) -> str:
        """A text of the body; empty when there is none of this name."""
        value = self.body.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """A whole number of the body; 0 when there is none of this name."""
        value = self.body.get(name)
        return value if type(value) is int else 0

    def items(self, name: str) -> tuple["JsonReply", ...]:
        """The objects of a list in the body, each read like the reply itself."""
        value = self.body.get(name)
        found = value if isinstance(value, list) else []
        return tuple(JsonReply(self.status, one) for one in found if isinstance(one, dict))


class JsonClient:
    """Speaks JSON with one provider, over a connection of its own for each call, so any thread may use it.

    `secret` goes into `Authorization: SCHEME secret`, the idempotency key into `key_header`. `timeout_s` is for each
    wait, below billcore's own deadline of 30. Raises GatewayNotSent for what never left (and 429), GatewayMisconfigured
    for 401, 403 and an untrusted certificate, GatewayUnknown for a lost answer, 5xx and what is no JSON object.
    """

    def __init__(
        self,
        base_url: str,
        secret: Secret,
        *,
        timeout_s: int = 20,
        scheme: str = "Bearer",
        key_header: str = "Idempotency-Key",
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GatewayMisconfigured("The address of the provider is no http or https link.", key="base_url")
        self._https = parts.scheme == "https"
        self._place = (parts.hostname, parts.port)
        self._prefix = parts.path.rstrip("/")
        self._secret = secret
        self._timeout_s = timeout_s
        self._scheme = scheme
        self._key_header = key_header

    def get(self, path: str, **query: str) -> JsonReply:
        """Read something; `query` becomes the part behind the question mark."""
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path, None, "")

    def post(self, path: str, body: Mapping[str, object], *, key: str = "") -> JsonReply:
        """Do something, once per idempotency key."""
        return self._call("POST", path, body, key)

    def delete(self, path: str) -> JsonReply:
        """Remove something."""
        return self._call("DELETE", path, None, "")

    def _call(self, method: str, path: str, body: Mapping[str, object] | None, key: str) -> JsonReply:
        what = f"{method} {quote(path.partition('?')[0])}"
        connection = self._connected(what)
        headers = {"Authorization": f"{self._scheme} {self._secret.reveal()}", "Accept": "application/json"}
        if key:
            headers[self._key_header] = key
        sent = None
        if body is not None:
            sent = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self._prefix + path, sent, headers)
            reply = connection.getresponse()
            raw = reply.read(MOST_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise GatewayUnknown(
                f"No answer came to {what} ({type(error).__name__}).", remedy="What became of it is asked for again."
            ) from None  # the exception's frames hold the secret's header
        finally:
            connection.close()
        return _read(what, reply, raw)

    def _connected(self, what: str) -> HTTPConnection:
        host, port = self._place
        try:
            if self._https:
                connection: HTTPConnection = HTTPSConnection(host, port, timeout=self._timeout_s)
            else:
                connection = HTTPConnection(host, port, timeout=self._timeout_s)
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise GatewayMisconfigured(
                f"{host} has a certificate that is not trusted; {what} was not sent.",
                remedy="Check the address, and whether something on the way opens encrypted connections.",
            ) from error
        except OSError as error:
            raise GatewayNotSent(
                f"{host} could not be reached ({type(error).__name__}); {what} was not sent.",
                remedy="It is tried again later.",
            ) from error
        return connection


def _read(what: str, reply: HTTPResponse, raw: bytes) -> JsonReply:
    if reply.status == 429:
        raise GatewayNotSent(f"The provider takes no more calls at the moment; {what} was not carried out.")
    if reply.status in (401, 403):
        raise GatewayMisconfigured(
            f"The provider answered {what} with {reply.status}: the key is wrong, or may not do that.",
            remedy="Check the key in the provider's dashboard. Nothing was done.",
        )
    if reply.status >= 500:
        raise GatewayUnknown(f"The provider answered {what} with {reply.status}.")
    body: object = None
    if len(raw) <= MOST_BYTES:
        try:
            body = json.loads(raw) if raw.strip() else {}
        except (ValueError, RecursionError):
            body = None
    if not isinstance(body, dict) or 300 <= reply.status < 400:
        raise GatewayUnknown(f"The provider answered {what} with {reply.status} and something that is no JSON object.")
    return JsonReply(reply.status, body)
