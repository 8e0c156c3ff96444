"""The scripted test gateway: a token or a script says what happens, a book keeps what was charged."""

from collections.abc import Iterable

from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.hookspecs import hookimpl
from billcore_gateway_test.book import Movement
from billcore_gateway_test.gateway import Config, ScriptedGateway

__all__ = ["Config", "Movement", "ScriptedGateway", "register_gateways"]


@hookimpl
def register_gateways() -> Iterable[GatewaySpec[Config]]:
    """The gateway `test`."""
    return [GatewaySpec("test", Config, ScriptedGateway)]
