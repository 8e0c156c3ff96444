"""One event of the inbox in the engine's hands."""

import json
from datetime import datetime

from attrs import frozen

from billcore.domain.inbox import InboxEvent
from billcore.plugins.gateway import WebhookEvent, WebhookKind


@frozen
class Told:
    """An event that is worked on, what its gateway said in it, and the instant of this try."""

    event: InboxEvent
    said: WebhookEvent
    at: datetime


def told(event: InboxEvent, at: datetime) -> Told:
    """The event with what stands in it."""
    stored = json.loads(event.event)
    return Told(event, WebhookEvent(**(stored | {"kind": WebhookKind(stored["kind"])})), at)
