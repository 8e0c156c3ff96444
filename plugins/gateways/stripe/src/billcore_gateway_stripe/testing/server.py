"""The fake over HTTP: requests go through faults and keys to the API, and answers come back, or do not."""

import json
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

from billcore_gateway_stripe.testing.api import Api, Reply
from billcore_gateway_stripe.testing.clock import Clock
from billcore_gateway_stripe.testing.control import Control
from billcore_gateway_stripe.testing.deliveries import Deliveries
from billcore_gateway_stripe.testing.faults import Fault, Faults
from billcore_gateway_stripe.testing.problem import ApiProblem

KEY = "sk_test_of_the_fake"

_BROKEN = Reply(500, {"error": {"type": "api_error", "message": "An unknown error occurred."}})
_ANSWERS = {
    "error_500": _BROKEN,
    "rate_limit": Reply(
        429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}}
    ),
    "in_use": Reply(
        409,
        {
            "error": {
                "type": "invalid_request_error",
                "code": "idempotency_key_in_use",
                "message": "There is currently another in-progress request using this key.",
            }
        },
    ),
    "unauthorized": Reply(401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}),
    "forbidden": Reply(403, {"error": {"type": "invalid_request_error", "message": "The key has no rights for this."}}),
}


class FakeServer(ThreadingHTTPServer):
    """One fake Stripe: an API with its book, the faults, the deliveries, and the handles of the tests."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0, key: str = KEY) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.clock = Clock()
        self.api = Api(self.clock, key)
        self.faults = Faults()
        self.deliveries = Deliveries(self.clock.now)
        self.control = Control(self.api, self.faults, self.deliveries)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as its base
        """Clients that go away in the middle are what this server is for; a mistake of its own is told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "FakeStripe"
    # One packet for one answer: without it each waits for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: FakeServer

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        body = sent if self.command == "POST" else parts.query
        if parts.path.startswith("/_fake/"):
            # Events of what a test does belong to nobody's answer: they are published before its own.
            status, found, content_type = self.server.control.answer(self.command, parts.path, body)
            self._send(status, found.encode(), content_type)
            return
        key = self.headers.get("Idempotency-Key") or "" if self.command == "POST" else ""
        account = self.headers.get("Stripe-Account") or ""
        fault = self.server.faults.next(self.command, parts.path, body, key)
        if fault is not None and fault.where == "before" and fault.kind != "slow":
            self.server.api.note(self.command, parts.path, body, key, 0)
            self._fail(fault, None)
            return
        reply = self._carried_out(parts.path, body, key, account, fault)
        self.server.api.note(self.command, parts.path, body, key, reply.status)
        self.server.deliveries.publish(reply.events, answered=False)
        try:
            if fault is None or fault.kind == "slow":
                self._send_reply(reply)
            else:
                self._fail(fault, reply)
        finally:
            self.server.deliveries.publish(reply.events, answered=True)

    def _carried_out(self, path: str, body: str, key: str, account: str, fault: Fault | None) -> Reply:
        api = self.server.api
        try:
            api.authorize({name.lower(): value for name, value in self.headers.items()})
            known = api.begin(account, key, (self.command, path, body))
        except ApiProblem as problem:
            return Reply(problem.status, problem.body)
        if known is not None:
            return known
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.seconds)
        try:
            reply, kept = api.carry_out(account, self.command, path, body, self.server.url)
        except BaseException:
            api.end(account, key, None)
            raise
        if fault is not None and fault.kind == "error_500":
            # Stripe keeps what it answered, a failure as well: the same key brings the same failure again.
            reply, kept = Reply(_BROKEN.status, _BROKEN.body, events=reply.events), True
        api.end(account, key, reply if kept else None)
        return reply

    def _fail(self, fault: Fault, reply: Reply | None) -> None:
        """Answer as the fault says; `reply` is what the request would have been answered, if it was carried out."""
        match fault.kind:
            case "timeout":
                self._wait(fault.seconds)
                self._drop("close")
            case "reset":
                self._drop("reset")
            case "garbage":
                self._send(200, b"<html><body>It works!</body></html>", "text/html")
            case "truncated":
                self._send(200, b'{"id": "pi_1', "application/json", length=4000)
                self._drop("close")
            case "error_500" if reply is not None:
                self._send_reply(reply)
            case kind:
                self._send_reply(_ANSWERS[kind])

    def _wait(self, seconds: int) -> None:
        """Stay silent until the client has had enough."""
        self.connection.settimeout(seconds)
        try:
            self.connection.recv(1)
        except OSError:
            return

    def _drop(self, how: Literal["close", "reset"]) -> None:
        self.close_connection = True
        if how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send_reply(self, reply: Reply) -> None:
        headers = {"Idempotent-Replayed": "true"} if reply.replayed else {}
        self._send(reply.status, json.dumps(reply.body, indent=2).encode(), "application/json", headers=headers)

    def _send(
        self, status: int, body: bytes, content_type: str, *, length: int = 0, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length or len(body)))
        self.send_header("Request-Id", f"req_Fake{len(self.server.api.requests)}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
