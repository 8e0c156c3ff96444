"""Where an asking verb sits before its transaction: it may look into the store and ask a gateway (behaviour 9.7)."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from attrs import frozen

from billcore.commands.scope import Scope
from billcore.plugins.gateway import Gateway


@frozen
class Desk:
    """`reading()` is a short transaction to look things up in; it has ended before a gateway is asked."""

    reading: Callable[[], AbstractContextManager[Scope]]
    gateway: Callable[[str], Gateway]
