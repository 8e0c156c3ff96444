"""What Stripe answered instead of doing what was asked, as a value; and the error it is where nobody foresaw it."""

from typing import Literal

from attrs import frozen

from billcore.plugins.gateway import Failure, GatewayMisconfigured, GatewayUnknown
from billcore_gateway_stripe.plain import NOTHING, Plain, text

RefusedKind = Literal["declined", "invalid", "key_reused", "broken"]


@frozen
class Question:
    """What was asked, in words that end a sentence, and the attempt it was asked for."""

    what: str
    attempt_id: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """The attempt as a fact of an error, when there is one."""
        return {"attempt_id": self.attempt_id} if self.attempt_id else {}


@frozen
class Refused:
    """An error that Stripe answered with: `error` is its error object without secrets, `status` the HTTP status.

    declined: a bank, or Stripe's own rules, said no. invalid: the request is wrong, or names what is not there.
    key_reused: the idempotency key belongs to another request. broken: Stripe failed. `replayed` says that this is the
    stored answer to an earlier call with the same key.
    """

    kind: RefusedKind
    status: int
    error: Plain = NOTHING
    request_id: str = ""
    replayed: bool = False

    @property
    def code(self) -> str:
        """Stripe's code of the error."""
        return text(self.error, "code")

    @property
    def param(self) -> str:
        """The parameter that was wrong."""
        return text(self.error, "param")

    @property
    def message(self) -> str:
        """Stripe's text, for people."""
        return text(self.error, "message")

    @property
    def gone(self) -> bool:
        """Whether what was named is not there. When it is there in the other mode, the key is the mistake."""
        other_mode = "exists in live mode" in self.message or "exists in test mode" in self.message
        return self.code == "resource_missing" and not other_mode

    def is_missing(self, *params: str) -> bool:
        """Whether what one of `params` names is not there."""
        return self.gone and self.param in params


def failure_of(refused: Refused, question: Question) -> Failure:
    """The contract's error for an answer that no verb made more of."""
    if refused.kind == "broken":
        return unknown_of(refused, question)
    traced = _traced(refused)
    remedies = {
        "key_reused": "The idempotency key was used for another request; nothing is sent again.",
        "declined": "Nothing was done.",
    }
    return GatewayMisconfigured(
        f"Stripe refused {question.what}{_said(refused)}",
        remedy=remedies.get(refused.kind, "Nothing was done; see the request in Stripe's dashboard.") + traced,
        **question.facts,
    )


def unknown_of(refused: Refused, question: Question) -> GatewayUnknown:
    """The same where what was asked may have been done for all that."""
    return GatewayUnknown(
        f"Stripe failed at {question.what}{_said(refused)}",
        remedy=f"What became of it is asked for again.{_traced(refused)}",
        **question.facts,
    )


def _said(refused: Refused) -> str:
    return f" ({refused.code or f'HTTP {refused.status}'}): {refused.message or 'no reason given.'}"


def _traced(refused: Refused) -> str:
    return f" Stripe's request is {refused.request_id}." if refused.request_id else ""
