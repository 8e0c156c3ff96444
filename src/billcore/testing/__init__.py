"""The shipped kit for plugin authors and hosts: conformance suites, and what they are made of.

    from billcore.testing import GatewayConformance, NetworkFaults, WebhookSender

    class TestAcme(GatewayConformance):
        ...  # the fixtures that it asks for

The names are loaded on first use: GatewayConformance and TaxConformance need pytest, the others do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billcore.testing.deliveries import WebhookSender as WebhookSender
    from billcore.testing.faults import Fault as Fault
    from billcore.testing.fixtures import BankAccount as BankAccount
    from billcore.testing.gateway import GatewayConformance as GatewayConformance
    from billcore.testing.network import HttpReply as HttpReply
    from billcore.testing.network import HttpRequest as HttpRequest
    from billcore.testing.network import NetworkFaults as NetworkFaults
    from billcore.testing.offline import no_network as no_network
    from billcore.testing.secrecy import everything_logged as everything_logged
    from billcore.testing.secrecy import everything_told as everything_told
    from billcore.testing.secrecy import leaks as leaks
    from billcore.testing.tax import TaxConformance as TaxConformance

_HOMES = {
    "BankAccount": "billcore.testing.fixtures",
    "Fault": "billcore.testing.faults",
    "GatewayConformance": "billcore.testing.gateway",
    "HttpReply": "billcore.testing.network",
    "HttpRequest": "billcore.testing.network",
    "NetworkFaults": "billcore.testing.network",
    "TaxConformance": "billcore.testing.tax",
    "WebhookSender": "billcore.testing.deliveries",
    "everything_logged": "billcore.testing.secrecy",
    "everything_told": "billcore.testing.secrecy",
    "leaks": "billcore.testing.secrecy",
    "no_network": "billcore.testing.offline",
}

__all__ = [
    "BankAccount",
    "Fault",
    "GatewayConformance",
    "HttpReply",
    "HttpRequest",
    "NetworkFaults",
    "TaxConformance",
    "WebhookSender",
    "everything_logged",
    "everything_told",
    "leaks",
    "no_network",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
