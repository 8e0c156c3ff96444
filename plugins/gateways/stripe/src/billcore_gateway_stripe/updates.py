"""What changed about kept methods, asked for instead of waited for: a webhook that never came is made up for."""

from datetime import datetime
from typing import TYPE_CHECKING

from billcore.plugins.gateway import WebhookEvent, WebhookKind
from billcore_gateway_stripe.plain import parts, text
from billcore_gateway_stripe.refused import Question
from billcore_gateway_stripe.webhooks import EVENTS, read
from billcore_gateway_stripe.wire import Call, Wire

if TYPE_CHECKING:
    from stripe.params import EventListParams

PAGE = 100
MOST = 1000
"""Methods that one call tells of, those that changed last."""

_ABOUT_METHODS = [name for name in EVENTS if name.startswith(("payment_method.", "mandate.", "setup_intent."))]


def updates(wire: Wire, since: datetime) -> tuple[WebhookEvent, ...]:
    """One event for each method that changed since an instant, the newest, under the key that its webhook had."""
    question = Question("what changed about payment methods")
    newest: dict[str, WebhookEvent] = {}
    after = ""
    while len(newest) < MOST:
        page = wire.get(question, _page(since, after))
        events = parts(page, "data")
        for about in map(read, events):
            if about is not None and about.kind is WebhookKind.METHOD:
                newest.setdefault(about.token, about)
        if page.get("has_more") is not True or not events:
            break
        after = text(events[-1], "id")
    return tuple(list(newest.values())[:MOST])


def _page(since: datetime, after: str) -> Call:
    params: EventListParams = {
        "types": _ABOUT_METHODS,
        "created": {"gte": int(since.timestamp())},
        "limit": PAGE,
    }
    if after:
        params["starting_after"] = after
    return lambda client: client.v1.events.list(params)
