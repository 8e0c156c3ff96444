"""The conformance suite of gateways: one class to inherit from, a few fixtures to write."""

from billcore.testing.building import Building
from billcore.testing.charging import Charging
from billcore.testing.failing import Failing
from billcore.testing.looking import Looking
from billcore.testing.refunding import Refunding
from billcore.testing.safety import Safety
from billcore.testing.vaulting import Vaulting
from billcore.testing.webhooks import Webhooks


class GatewayConformance(Building, Charging, Looking, Failing, Refunding, Vaulting, Webhooks, Safety):
    """The contract of gateways as tests: inherit as `class TestAcme(GatewayConformance)` and give its fixtures.

    Checks of a capability that is not declared are skipped, with its name.
    """
