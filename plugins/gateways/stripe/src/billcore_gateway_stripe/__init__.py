"""Stripe: cards and bank accounts are vaulted, charged and refunded through Stripe's own SDK.

The SDK is imported at the first call, not with this package.
"""

from collections.abc import Iterable

from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.hookspecs import hookimpl
from billcore_gateway_stripe.config import API_VERSION, Config
from billcore_gateway_stripe.gateway import StripeGateway

__all__ = ["API_VERSION", "Config", "StripeGateway", "register_gateways"]


@hookimpl
def register_gateways() -> Iterable[GatewaySpec[Config]]:
    """The gateway `stripe`."""
    return [GatewaySpec("stripe", Config, StripeGateway)]
