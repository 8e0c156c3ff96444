"""A machine without a network: what must make no call is run in it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Meanwhile every connection and every look-up of a name fails; the list names those that were tried.

    It holds for all threads of the process.
    """
    tried: list[str] = []

    def refuse(what: str) -> Any:  # noqa: ANN401  stands in for functions of several types
        def refused(*arguments: object, **_: object) -> NoReturn:
            places = [one for one in arguments if not isinstance(one, socket.socket)]
            tried.append(f"{what}({', '.join(map(repr, places))})")
            raise OSError(f"no network here: {tried[-1]}")

        return refused

    with (
        patch.object(socket.socket, "connect", refuse("connect")),
        patch.object(socket.socket, "connect_ex", refuse("connect_ex")),
        patch.object(socket.socket, "sendto", refuse("sendto")),
        patch.object(socket, "getaddrinfo", refuse("getaddrinfo")),
        patch.object(socket, "gethostbyname", refuse("gethostbyname")),
    ):
        yield tried
