"""What the core believes of a gateway: its answers are checked where they come in (behaviour 9.2, 9.3, 9.7).

Answers have exactly the types of the contract: a subclass could answer differently each time it is asked.
"""

import re
from collections.abc import Iterable
from inspect import Parameter, signature
from typing import get_args
from urllib.parse import urlsplit

from billcore.domain.card_number import has_card_number
from billcore.plugins.capability import VERBS, Capability
from billcore.plugins.decline import Advice, DeclineCode, Declined, DeclineKind
from billcore.plugins.method import MethodKind, MethodNotFound, Page, Vaulted, VaultedStatus
from billcore.plugins.outcome import (
    ActionRequired,
    Answer,
    Approved,
    AttemptNotFound,
    GatewayUnknown,
    MethodRefused,
    Outcome,
    Pending,
)
from billcore.plugins.request import Cancel, Describe, Lookup, Request, Vault, Verify
from billcore.plugins.webhook import WebhookEvent, WebhookKind

LONGEST_ID = 255
"""Characters of an id, a token or a name that a gateway may answer."""
LONGEST_LINK = 4096
MOST_EVENTS = 1000
"""Events of one delivery or of one list of updates."""

_EXPIRES_ON = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)
_LAST4 = re.compile(r"[0-9A-Za-z]{0,4}", re.ASCII)
_REQUIRES = {
    Capability.VERIFY: (Capability.VAULT,),
    Capability.HOSTED_PAGE: (Capability.VAULT, Capability.WEBHOOKS),
    Capability.UPDATER: (Capability.VAULT,),
}
_PAIRED = "verify needs vault; hosted_page needs vault and webhooks; updater needs vault"


def checked_outcome(request: Request, outcome: object) -> Outcome:
    """`outcome` when it can be the answer to `request`, else GatewayUnknown saying what is wrong with it.

    An outcome has exactly the contract's types, an approved amount is above zero, at most what was asked for
    and of the same currency, a link is http or https.
    """
    if type(outcome) is Approved:
        money = request.amount
        if (
            type(outcome.amount_minor) is int
            and 0 < outcome.amount_minor <= money.minor
            and outcome.currency == money.currency
            and _is_id(outcome.gateway_id)
        ):
            return outcome
    elif type(outcome) is Pending:
        if _is_id(outcome.gateway_id):
            return outcome
    elif type(outcome) is ActionRequired:
        if _is_id(outcome.gateway_id) and _is_link(outcome.url):
            return outcome
    elif type(outcome) is Declined and _is_decline(outcome):
        return outcome
    raise GatewayUnknown(
        f"Attempt {request.attempt_id} over {request.amount} was answered with nonsense: {shown(outcome)}.",
        remedy="What became of it is asked for again.",
        attempt_id=request.attempt_id,
    )


def checked_answer(request: Lookup | Cancel, answer: object) -> Answer:
    """As checked_outcome, for the verbs that may also find nothing, for their own attempt only."""
    if type(answer) is AttemptNotFound and answer.attempt_id == request.attempt_id:
        return answer
    return checked_outcome(request, answer)


def checked_vaulted(request: Vault | Describe | Verify, answer: object) -> Vaulted:
    """`answer` when it can be the method that was asked about.

    Raises MethodRefused for one that tells more of a card than may be stored, GatewayUnknown for nonsense.
    """
    if type(answer) is not Vaulted:
        raise _nonsense(request, shown(answer))
    for name in ("token", "gateway_customer", "brand", "last4", "expires_on", "fingerprint", "customer_id"):
        text = getattr(answer, name)
        if not isinstance(text, str) or not _is_text(text):
            raise _nonsense(request, f"a method whose {name} is no text of at most {LONGEST_ID} characters")
        if has_card_number(text) or (name == "last4" and not _LAST4.fullmatch(text)):
            raise MethodRefused(
                f"The gateway's answer holds more of a card than its last four digits, in {name}; nothing was stored.",
                remedy="Report this to the author of the gateway's plugin.",
                field=name,
            )
    problem = _method_problem(request, answer)
    if problem:
        raise _nonsense(request, problem)
    return answer


def checked_described(request: Describe, answer: object) -> Vaulted | MethodNotFound:
    """As checked_vaulted, or that there is no such method."""
    if type(answer) is MethodNotFound and answer.token == request.token:
        return answer
    return checked_vaulted(request, answer)


def checked_page(answer: object) -> Page:
    """`answer` when it is a page with an http or https link, else GatewayUnknown."""
    if type(answer) is Page and _is_link(answer.url) and _is_text(answer.gateway_customer):
        return answer
    raise GatewayUnknown(
        f"The request for a hosted page was answered with nonsense: {shown(answer)}.",
        remedy="Ask for a page again; report this to the author of the gateway's plugin.",
    )


def events_problem(events: object) -> str:
    """What is wrong with the events of a delivery, or nothing."""
    if not isinstance(events, list | tuple):
        return f"it returned a {type(events).__name__} of events, not a list"
    if len(events) > MOST_EVENTS:
        return f"it returned {len(events)} events, {MOST_EVENTS} are the most"
    for event in events:
        problem = _event_problem(event)
        if problem:
            return problem
    keys = [event.key for event in events]
    if len(set(keys)) < len(keys):
        return "two of its events have the same key"
    return ""


def contract_problem(gateway: object) -> str:
    """What a gateway object lacks of its contract, or nothing."""
    capabilities = getattr(gateway, "capabilities", None)
    if not isinstance(capabilities, frozenset) or any(type(one) is not Capability for one in capabilities):
        return "has no frozenset of Capability as `capabilities`"
    if getattr(gateway, "capabilities", None) != capabilities:
        return "declares other capabilities each time it is asked"
    for verb in ("charge", "lookup"):
        if not callable(getattr(gateway, verb, None)):
            return f"has no method {verb!r}"
        if not _takes_one(getattr(gateway, verb)):
            return f"has a method {verb!r} that cannot be called with one request"
    for capability in sorted(capabilities):
        for verb in VERBS[capability]:
            problem = _verb_problem(capability, verb, getattr(gateway, verb, None))
            if problem:
                return problem
        if not capabilities.issuperset(_REQUIRES.get(capability, ())):
            return f"declares {capability} alone, but {_PAIRED}"
    return ""


def shown(answer: object) -> str:
    """A short text of a stranger's object, whose repr may be long, raise or hold a provider's secrets."""
    if type(answer) is Approved:
        return f"Approved {answer.amount_minor!r:.40} {answer.currency!r:.10}"
    return f"{type(answer).__name__}"


def _verb_problem(capability: Capability, verb: str, found: object) -> str:
    if found is None:
        return f"declares {capability} but has no {verb!r}"
    if capability is Capability.IDEMPOTENCY_KEYS:
        seconds = type(found) is int and found > 0
        return "" if seconds else f"declares {capability}, but its {verb!r} is no number of seconds above zero"
    if not callable(found):
        return f"declares {capability}, but its {verb!r} cannot be called"
    if capability is not Capability.SCRIPT and not _takes_one(found):
        return f"declares {capability}, but its {verb!r} cannot be called with one request"
    return ""


def _takes_one(verb: object) -> bool:
    """Whether a method can be called with one positional argument; what tells nothing of itself may be."""
    if not callable(verb):
        return False
    try:
        parameters = signature(verb).parameters.values()
    except (TypeError, ValueError):
        return True
    return _count_fits(parameters)


def _count_fits(parameters: Iterable[Parameter]) -> bool:
    needed = taken = 0
    for parameter in parameters:
        required = parameter.default is Parameter.empty
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
            taken += 1
            needed += required
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            taken += 1
        elif parameter.kind is Parameter.KEYWORD_ONLY and required:
            return False
    return needed <= 1 <= taken


def _method_problem(request: Vault | Describe | Verify, method: Vaulted) -> str:
    if not method.token:
        return "a method without a token"
    if method.kind not in get_args(MethodKind) or method.status not in get_args(VaultedStatus):
        return "a method whose kind or status is none of the contract's"
    if method.expires_on and not _EXPIRES_ON.fullmatch(method.expires_on):
        return "a method whose expires_on is no month as YYYY-MM"
    if isinstance(request, Describe) and method.token != request.token:
        return "another method than was asked about"
    if isinstance(request, Vault) and method.customer_id not in ("", request.customer_id):
        return "a method of another customer"
    return ""


def _event_problem(event: object) -> str:
    if type(event) is not WebhookEvent:
        return f"it returned a {type(event).__name__} among its events"
    if not _is_id(event.key):
        return f"an event has no key of 1 to {LONGEST_ID} characters"
    if type(event.kind) is not WebhookKind:
        return f"event {event.key!r} has no WebhookKind"
    for name in ("key", "text", "attempt_id", "gateway_id", "of", "token", "customer_id", "gateway_customer"):
        text = getattr(event, name)
        if not _is_text(text) or has_card_number(text):
            return f"event {event.key!r}: {name} is no text of at most {LONGEST_ID} characters, or a card number"
    if event.kind is WebhookKind.ATTEMPT and not (event.attempt_id or event.gateway_id):
        return f"event {event.key!r} is about an attempt, but names neither its attempt_id nor its gateway_id"
    if event.kind is WebhookKind.METHOD and not event.token:
        return f"event {event.key!r} is about a method, but names no token"
    return ""


def _nonsense(request: Vault | Describe | Verify, what: str) -> GatewayUnknown:
    return GatewayUnknown(
        f"{type(request).__name__} of a payment method was answered with nonsense: {what}.",
        remedy="Nothing was stored; it may be asked again. Report this to the author of the gateway's plugin.",
    )


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST_ID and (value == "" or value.isprintable())


def _is_id(value: object) -> bool:
    return type(value) is str and value != ""


def _is_link(value: object) -> bool:
    if type(value) is not str or len(value) > LONGEST_LINK or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        return False


def _is_decline(outcome: Declined) -> bool:
    return (
        type(outcome.kind) is DeclineKind
        and type(outcome.code) is DeclineCode
        and type(outcome.advice) is Advice
        and type(outcome.message) is str
        and type(outcome.gateway_id) is str
    )
