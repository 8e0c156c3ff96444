"""What speaks to Stripe for one gateway object; importing it imports the SDK."""

from billcore_gateway_stripe.charges import Charges
from billcore_gateway_stripe.config import Config
from billcore_gateway_stripe.methods import Methods
from billcore_gateway_stripe.wire import Wire


class Connection:
    """The client, and the verbs that go through it."""

    def __init__(self, config: Config) -> None:
        self.wire = Wire(config)
        self.charges = Charges(self.wire, config)
        self.methods = Methods(self.wire, config)
