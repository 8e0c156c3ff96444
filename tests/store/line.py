"""A TCP proxy before PostgreSQL whose line goes dead around a COMMIT, where a test wants it (F7)."""

import socket
import threading
from contextlib import suppress
from typing import Literal, Self

from sqlalchemy.engine import make_url

Cut = Literal["before", "after", "held"]

_COMMIT = b"COMMIT\x00"


class Line:
    """`url` leads through it. Each name in `cuts` is for one of the next COMMITs.

    "before": the server never hears of it. "after": the server answers, the client does not hear that. "held": the
    client is cut off, and the server waits for a word on a line that still seems to live, until it is let go.
    """

    def __init__(self, url: str) -> None:
        parts = make_url(url)
        assert parts.host is not None
        self._upstream = (parts.host, parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = parts.set(host="127.0.0.1", port=self._listener.getsockname()[1]).render_as_string(
            hide_password=False
        )
        self.cuts: list[Cut] = []
        self.done: list[Cut] = []
        self._held: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.let_go()
        for thread in self._threads:
            thread.join()

    def let_go(self) -> None:
        """Let the server notice that those are gone for whom it was held."""
        while self._held:
            self._held.pop().close()

    def _start(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                answered = threading.Event()
                self._start(self._up, client, server, answered)
                self._start(self._down, client, server, answered)

    def _up(self, client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if _COMMIT in data and self.cuts:
                    self._cut(self.cuts.pop(0), data, client, server, answered)
                    return
                server.sendall(data)
        _end(server)

    def _down(self, client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                answered.set()
                client.sendall(data)
        _end(client)

    def _cut(self, cut: Cut, data: bytes, client: socket.socket, server: socket.socket, answered) -> None:
        self.done.append(cut)  # Before the client can know of it.
        _end(client)
        if cut == "held":
            self._held.append(server)
        else:
            if cut == "after":
                answered.clear()
                server.sendall(data)
                assert answered.wait(10)
            _end(server)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
