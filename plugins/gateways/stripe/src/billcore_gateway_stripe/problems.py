"""The SDK's exceptions, told apart by how far the request got (behaviour 9.2).

This module imports the SDK. Its exceptions end here: they carry headers and bodies, which must not reach a log.
"""

import re
import ssl
from collections.abc import Iterator

import requests
import stripe
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError
from urllib3.exceptions import ProxyError as NotThroughProxy

from billcore.plugins.gateway import Failure, GatewayMisconfigured, GatewayNotSent, GatewayUnknown
from billcore_gateway_stripe.plain import NOTHING, Plain
from billcore_gateway_stripe.refused import Question, Refused

LONGEST_TEXT = 400

_KEYS = re.compile(r"\b(?:sk|rk|whsec)_\w+|\bBearer\s+\S+|\bBasic\s+\S+", re.ASCII)
# Raised while the request is put together, so before a connection was even tried.
_NEVER_BEGUN = (
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)
_IN_USE = "idempotency_key_in_use"


def judged(error: stripe.StripeError, question: Question, secrets: tuple[str, ...]) -> Refused | Failure:
    """What an exception of the SDK means: an answer that a verb may understand, or one of the contract's errors."""
    if isinstance(error, stripe.APIConnectionError):
        return _unanswered(error, question)
    details = _details(error, secrets)
    status = error.http_status or 0
    request_id = _clean(error.request_id or "", secrets)
    code, message = str(details.get("code") or ""), str(details.get("message") or "")
    said = f" ({code or f'HTTP {status}'}): {message or 'no reason given.'}"
    replayed = str((error.headers or {}).get("Idempotent-Replayed", "")).lower() == "true"
    if isinstance(error, stripe.CardError):
        return Refused("declined", status, details, request_id, replayed)
    if isinstance(error, stripe.IdempotencyError):
        return Refused("key_reused", status, details, request_id)
    if isinstance(error, stripe.InvalidRequestError):
        return Refused("invalid", status, details, request_id, replayed)
    if isinstance(error, stripe.RateLimitError):
        return GatewayNotSent(
            f"Stripe takes no more calls at the moment; {question.what} was not carried out{said}",
            remedy="It is tried again later.",
            **question.facts,
        )
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return GatewayMisconfigured(
            f"Stripe does not let this key do {question.what}{said}",
            remedy="Check the key, its rights and the account in Stripe's dashboard. Nothing was done.",
            **question.facts,
        )
    if status == 409 and code == _IN_USE:
        return GatewayUnknown(
            f"Stripe is still busy with an earlier call for {question.what}.",
            remedy="What became of it is asked for again.",
            **question.facts,
        )
    if not details:
        return GatewayUnknown(
            f"Stripe's answer to {question.what} could not be read (HTTP {status}).",
            remedy="What became of it is asked for again.",
            **question.facts,
        )
    return Refused("broken", status, details, request_id, replayed)


def _unanswered(error: stripe.APIConnectionError, question: Question) -> Failure:
    """A request without an answer. The SDK has one class for all of them; its cause tells them apart."""
    causes = list(_chain(error.__cause__))
    kinds = [type(cause).__name__ for cause in causes] or [type(error).__name__]
    reason = kinds[-1]
    if any(isinstance(cause, _NEVER_BEGUN) for cause in causes):
        return GatewayMisconfigured(
            f"The call for {question.what} could not be put together ({reason}).",
            remedy="Check base_url, the key and the proxy settings of the environment.",
            **question.facts,
        )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return GatewayMisconfigured(
            f"The server that was asked for {question.what} has a certificate that is not trusted.",
            remedy="Check base_url, and whether something on the way opens encrypted connections.",
            **question.facts,
        )
    if any(isinstance(cause, NewConnectionError | ConnectTimeoutError | NotThroughProxy) for cause in causes):
        return GatewayNotSent(
            f"Stripe could not be reached for {question.what} ({reason}); nothing was sent.",
            remedy="It is tried again later.",
            **question.facts,
        )
    return GatewayUnknown(
        f"Stripe did not answer {question.what} ({reason}).",
        remedy="What became of it is asked for again.",
        **question.facts,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was wrapped around: requests keeps urllib3's error in `args`, that its in `reason`."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        inner = error.reason if isinstance(error, MaxRetryError) else next(iter(error.args), None)
        error = inner if isinstance(inner, BaseException) else error.__cause__


def _details(error: stripe.StripeError, secrets: tuple[str, ...]) -> Plain:
    """The error object of an answer, its texts without secrets; empty for an answer that had none."""
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return NOTHING
    return {name: _clean(value, secrets) if isinstance(value, str) else value for name, value in found.items()}


def _clean(text: str, secrets: tuple[str, ...]) -> str:
    """A text for people: without our secrets and without what looks like one, on one line and not too long."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(_KEYS.sub("***", text).split())[:LONGEST_TEXT]
