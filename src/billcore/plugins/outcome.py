"""What a gateway answers: outcomes as values, and the errors that say how far it got (behaviour 9.2)."""

from typing import TypeAlias

from attrs import frozen

from billcore.errors import PluginError
from billcore.plugins.decline import Declined


@frozen
class Approved:
    """Money moved: `amount_minor` of `currency`, at most what was asked; `gateway_id` names it there."""

    gateway_id: str
    amount_minor: int
    currency: str


@frozen
class Pending:
    """Under way: it settles or fails later. Also the answer for a status the gateway does not know."""

    gateway_id: str


@frozen
class ActionRequired:
    """The customer has to do something at `url` (http or https) before it can go on."""

    gateway_id: str
    url: str


@frozen
class AttemptNotFound:
    """The provider knows no such attempt: it never arrived, or has not been recorded yet."""

    attempt_id: str


Outcome: TypeAlias = Approved | Pending | ActionRequired | Declined
Answer: TypeAlias = Outcome | AttemptNotFound


class GatewayNotSent(PluginError):
    """The request surely was not carried out (connection refused, rate limit): it may be sent again."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("gateway_not_sent", message, remedy=remedy, **facts)


class GatewayUnknown(PluginError):
    """The outcome is unknown: the request may have been carried out (time-out, 5xx, unreadable answer)."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("gateway_unknown", message, remedy=remedy, **facts)


class GatewayMisconfigured(PluginError):
    """The provider refused the call itself (credentials, rights, a wrong request); nothing was done."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("gateway_misconfigured", message, remedy=remedy, **facts)


class MethodRefused(PluginError):
    """The provider does not keep this payment method: it was declined, used up or is not known there."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("payment_method_refused", message, remedy=remedy, **facts)


class Unsupported(PluginError):
    """A verb that the gateway does not declare; it was not called."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("unsupported_capability", message, remedy=remedy, **facts)


Failure: TypeAlias = GatewayNotSent | GatewayUnknown | GatewayMisconfigured | Unsupported
