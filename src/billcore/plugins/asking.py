"""Asks a gateway something harmless: whether its provider can be reached and takes the key, before its first use."""

from datetime import datetime

from billcore.plugins.calls import deliver
from billcore.plugins.gateway import (
    AttemptNotFound,
    Gateway,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    Money,
)

NOBODYS = "pay_00000000000000000000000000"
"""An attempt that no books have made."""


def wrong_with(gateway: Gateway, at: datetime) -> str:
    """Why the gateway cannot be used as it is configured, in words; empty where its provider answers as it should.

    What became of an attempt that cannot exist is asked for, as every gateway can tell: no money moves. `at` is now.
    """
    question = Lookup(NOBODYS, Money(100, "USD"), sent_at=at)
    (told,) = deliver(gateway, [question], threads=1)
    match told.result:
        case AttemptNotFound():
            return ""
        case GatewayMisconfigured() as error:
            return f"its provider refuses the call, so the key or its rights are wrong: {error.message}"
        case GatewayNotSent() | GatewayUnknown() as error:
            return f"its provider cannot be reached, or does not answer: {error.message}"
        case _:
            return f"it knows the attempt {NOBODYS}, which cannot exist"
