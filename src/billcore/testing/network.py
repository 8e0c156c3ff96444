"""A small HTTP server between a gateway and its provider, which can be told how the network is to fail."""

import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from attrs import field, frozen

from billcore.testing.faults import Fault

_HOLD_S = 30
_GARBAGE = b"<!doctype html><h1>502 Bad Gateway\x00"
_END = struct.pack("ii", 1, 0)
_STATUS = {Fault.RATE_LIMITED: 429, Fault.UNAUTHORIZED: 401, Fault.ERROR_500_BEFORE: 500, Fault.ERROR_500_AFTER: 500}
_OWN = frozenset({"connection", "transfer-encoding", "content-length", "host", "accept-encoding"})


@frozen
class HttpRequest:
    """What came: header names in lower case, the path with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@frozen
class HttpReply:
    """What is answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


Provider: TypeAlias = Callable[[HttpRequest], HttpReply]


class NetworkFaults:
    """Stands between a gateway and its provider: give the gateway `url` as the provider's address.

    `provider` is the address of a fake server or sandbox, or a function that is one. `unseen` makes of a reply one
    with a status that nobody has seen; without it Fault.UNSEEN_STATUS cannot be shown. It works from `with` on, for
    gateways whose own time-out is short: a second or two.
    """

    def __init__(self, provider: str | Provider, *, unseen: Callable[[HttpReply], HttpReply] | None = None) -> None:
        self._provider: Provider = _forwarder(provider) if isinstance(provider, str) else provider
        self._unseen = unseen
        self._fault: Fault | None = None
        self._mended = Event()
        self._lock = Lock()
        self._requests: list[HttpRequest] = []
        self._address = ("127.0.0.1", 0)
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The address for the gateway."""
        return f"http://{self._address[0]}:{self._address[1]}"

    def requests(self) -> tuple[HttpRequest, ...]:
        """Everything that came, in order, what was not handed on included."""
        with self._lock:
            return tuple(self._requests)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Meanwhile every request meets this fault."""
        if fault is Fault.UNSEEN_STATUS and self._unseen is None:
            raise AssertionError("NetworkFaults needs `unseen`: what makes of a reply one with an unseen status.")
        self._mended.clear()
        self._fault = fault
        if fault is Fault.UNREACHABLE:
            self._close()
        try:
            yield
        finally:
            self._fault = None
            self._mended.set()
            if fault is Fault.UNREACHABLE:
                self._open()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mended.set()
        self._close()

    def answer(self, request: HttpRequest) -> HttpReply | None:
        """The reply to a request as the present fault has it; None for a connection that is to be cut."""
        with self._lock:
            self._requests.append(request)
        fault = self._fault
        if fault is None:
            return self._provider(request)
        if fault is Fault.SLOW:
            time.sleep(1 / 2)
        if fault.endswith("_after") or fault in (Fault.SLOW, Fault.UNSEEN_STATUS):
            reply = self._provider(request)
            if fault is Fault.SLOW:
                return reply
            if fault is Fault.UNSEEN_STATUS and self._unseen is not None:
                return self._unseen(reply)
        if fault in (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER):
            self._mended.wait(_HOLD_S)
            return None
        if fault in (Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.UNREACHABLE):
            return None
        return HttpReply(_STATUS.get(fault, 200), b'{"error": "out of order"}' if fault in _STATUS else _GARBAGE)

    def _open(self) -> None:
        server = _Server(self._address, self)
        self._address = ("127.0.0.1", server.server_address[1])
        self._server = server
        server.begin()

    def _close(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], faults: NetworkFaults) -> None:
        self.faults = faults
        self._ended = Event()
        self._thread = Thread(target=self._work, name="billcore-network-faults", daemon=True)
        super().__init__(address, _Handler)

    def begin(self) -> None:
        """Take requests."""
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.is_set():
            self.handle_request()
        self.server_close()

    def end(self) -> None:
        """Refuse connections from now on; a last one of our own wakes the server."""
        self._ended.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server_address[1]), timeout=5):
            pass
        self._thread.join(timeout=5)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Say what is wrong with the provider's function; a client that went away is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def setup(self) -> None:
        super().setup()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(self, f"do_{method}", self._answer)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is printed."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = HttpRequest(self.command, self.path, headers, self.rfile.read(length))
        reply = self.server.faults.answer(request)
        self.close_connection = True
        if reply is None:
            # With the option the connection ends in a reset, not in an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _END)
            self.connection.close()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)


def _forwarder(url: str) -> Provider:
    """A function that hands requests on to a server."""
    parts = urlsplit(url)
    host, prefix = parts.netloc, parts.path.rstrip("/")

    def forward(request: HttpRequest) -> HttpReply:
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(host, timeout=_HOLD_S)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in _OWN}
            connection.request(request.method, prefix + request.path, request.body or None, headers)
            reply: HTTPResponse = connection.getresponse()
            kept = {name: value for name, value in reply.getheaders() if name.lower() not in _OWN}
            return HttpReply(reply.status, reply.read(), kept)
        finally:
            connection.close()

    return forward
