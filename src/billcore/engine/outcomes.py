"""A gateway's answer in the core's words (behaviour 9.2)."""

from typing import assert_never

from billcore.domain.payment import Outcome
from billcore.plugins.decline import DeclineCode
from billcore.plugins.gateway import (
    ActionRequired,
    Answer,
    Approved,
    AttemptNotFound,
    Declined,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Pending,
    Unsupported,
)

Failure = GatewayNotSent | GatewayUnknown | GatewayMisconfigured | Unsupported


def outcome_of(result: Answer | Failure) -> Outcome:
    """The outcome that an answer or failure means; a misconfigured gateway was surely not reached."""
    match result:
        case Approved():
            return Outcome("approved", result.amount_minor, result.gateway_id)
        case Pending():
            return Outcome("pending", gateway_id=result.gateway_id)
        case ActionRequired():
            return Outcome("action_required", gateway_id=result.gateway_id, action_url=result.url)
        case Declined():
            return Outcome(
                "canceled" if result.code is DeclineCode.CANCELED else "declined",
                gateway_id=result.gateway_id or None,
                decline_kind=result.kind.value,
                decline_code=result.code.value,
                message=result.message or None,
            )
        case AttemptNotFound():
            return Outcome("not_found")
        case GatewayNotSent() | GatewayMisconfigured() | Unsupported():
            return Outcome("not_sent", message=reason_of(result))
        case GatewayUnknown():
            return Outcome("unknown", message=reason_of(result))
        case _:
            assert_never(result)


def reason_of(error: Exception) -> str:
    """What an error says, in one line that every database can keep: a gateway's words may hold anything."""
    line = " ".join(str(error)[:500].split())
    return line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)
