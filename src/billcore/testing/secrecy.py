"""Secrets that show where they must not: in texts of any kind, plain or encoded as headers carry them."""

import logging
import traceback
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from billcore.errors import BillcoreError


def leaks(secrets: Iterable[str], text: str) -> list[str]:
    """The secrets that stand in a text, each by its first characters only: a report must not leak either.

    A secret is found as it is, quoted for an address, and encoded for basic authentication.
    """
    return [f"{secret[:4]}…" for secret in secrets if any(form in text for form in _forms(secret))]


def everything_told(error: BaseException) -> str:
    """All that a log or an error tracker would write of an exception, its causes included."""
    texts = [str(error), repr(error), *traceback.format_exception(error)]
    if isinstance(error, BillcoreError):
        texts.append(repr(dict(error.facts)))
    return "\n".join(texts)


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Meanwhile every logger writes, from DEBUG on, into the list."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))
            lines.extend(repr(one) for one in (record.args or ()))

    handler, root = Lines(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _forms(secret: str) -> tuple[str, ...]:
    # Base64 of "SECRET:" begins with that of the secret's whole triples, whatever follows.
    encoded = b64encode(secret.encode()[: len(secret.encode()) // 3 * 3]).decode()
    return (secret, quote(secret, safe=""), *([encoded] if len(encoded) >= 8 else []))
