"""A TCP proxy in front of PostgreSQL that cuts connections just after COMMIT went up (promise P6).

The client cannot know whether its transaction stands: sometimes the server had answered, sometimes the line went
dead before. Cuts are drawn from a seed.
"""

import random
import select
import socket
from contextlib import suppress
from threading import Lock, Thread
from typing import Self

_COMMIT = b"COMMIT\x00"


class Cutter:
    """Listens on a port of its own and forwards to `host:port`; `percent` of the commits lose their answer."""

    def __init__(self, host: str, port: int, *, percent: int, seed: int) -> None:
        self.cuts = 0
        self.percent = percent
        self._upstream = (host, port)
        self._dice = random.Random(seed)
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, name="cutter", daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that are open stay."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._upstream) as server:
            self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                (server if ready is client else client).sendall(data)
                if ready is client and _COMMIT in data and self._cuts():
                    return

    def _cuts(self) -> bool:
        """Whether this commit loses its answer; in half of the cases the server had the time to give one."""
        with self._lock:
            if self._dice.randrange(100) >= self.percent:
                return False
            self.cuts += 1
            waits = self._dice.random() < 0.5
        if waits:
            select.select([], [], [], 0.02)
        return True
