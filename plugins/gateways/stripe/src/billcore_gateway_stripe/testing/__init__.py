"""A fake Stripe that keeps state, for tests and for trying billcore without an account.

It speaks the API over real HTTP to the real SDK, checks every parameter against the SDK's own types, keeps idempotency
keys, signs webhooks, and fails on demand. Its book is the truth that billcore's own books are compared with.

    with FakeStripe() as fake:
        gateway = StripeGateway(Config(Secret(fake.key), base_url=fake.url))

`python -m billcore_gateway_stripe.testing --port 8421` runs it as a process of its own.
"""

import socket
import time
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

from billcore_gateway_stripe.testing.client import FakeClient
from billcore_gateway_stripe.testing.server import KEY, FakeServer

__all__ = ["KEY", "FakeClient", "FakeStripe"]


class FakeStripe(FakeClient):
    """A fake in this process, on a thread of its own, from the beginning of `with` to its end."""

    key = KEY

    def __init__(self, port: int = 0) -> None:
        self._server = FakeServer(port)
        super().__init__(self._server.url)
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 1}, name="fake-stripe", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; afterwards connections to it are refused."""
        stopping = Thread(target=self._server.shutdown, daemon=True)
        stopping.start()
        while stopping.is_alive():
            # The server looks whether it is to stop after each connection, else once in a second.
            time.sleep(0.005)
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self._server.server_port), timeout=1).close()
        self._server.server_close()
        self._server.deliveries.close()
        self._thread.join()
