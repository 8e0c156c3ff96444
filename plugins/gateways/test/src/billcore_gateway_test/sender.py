"""The test gateway's webhooks as a provider sends them: late, doubled, out of order, altered, forged or stale."""

import json
from collections.abc import Mapping
from datetime import datetime

from billcore.plugins.gateway import Charge, GatewayMisconfigured, Outcome, Secret
from billcore.testing import WebhookSender
from billcore_gateway_test.gateway import ScriptedGateway
from billcore_gateway_test.webhook import sign


class Sender(WebhookSender):
    """Sends what a gateway has told; `previous_secret` is the one it accepts too, for deliveries signed before."""

    def __init__(self, gateway: ScriptedGateway, previous_secret: str | None = None) -> None:
        self._gateway = gateway
        self.previous_secret = previous_secret

    def sign(self, body: bytes, at: datetime, secret: str | None = None) -> Mapping[str, str]:
        """The headers of a delivery."""
        return self._gateway.sign(body, at) if secret is None else sign(Secret(secret), body, at)

    def charge_body(self, charge: Charge, outcome: Outcome) -> bytes:
        """The last event about a charge."""
        told = [body for body in self._gateway.events() if json.loads(body).get("gateway_id") == outcome.gateway_id]
        if not told:
            raise GatewayMisconfigured(f"The test gateway has told nothing of attempt {charge.attempt_id}.")
        return told[-1]

    def other_body(self) -> bytes:
        """An event that means nothing to billing."""
        return json.dumps({"id": "evt_0", "type": "payout.paid"}).encode()
