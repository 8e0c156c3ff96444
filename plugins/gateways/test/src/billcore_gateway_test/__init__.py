"""The scripted test gateway: a token or a script says what happens, a book keeps what was charged."""

from collections.abc import Iterable

from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.hookspecs import hookimpl
from billcore_gateway_test.book import Entry, Movement
from billcore_gateway_test.config import Config
from billcore_gateway_test.gateway import ScriptedGateway
from billcore_gateway_test.method import Method

__all__ = ["Config", "Entry", "Method", "Movement", "ScriptedGateway", "register_gateways"]


@hookimpl
def register_gateways() -> Iterable[GatewaySpec[Config]]:
    """The gateway `test`."""
    return [GatewaySpec("test", Config, ScriptedGateway)]
