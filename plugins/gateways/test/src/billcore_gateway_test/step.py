"""What a token or a line of a script says: one step of the gateway's behaviour."""

from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, get_args

from attrs import frozen

from billcore.plugins.gateway import DeclineCode

Action = Literal[
    "approve",
    "decline",
    "decline_share",
    "pending",
    "action",
    "timeout_before",
    "timeout_after_charge",
    "error_500_after_charge",
    "garbage",
    "unreachable",
    "hang",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
MOVING: frozenset[Action] = frozenset({"approve", "timeout_after_charge", "error_500_after_charge", "hang"})
"""The actions that move money."""


class NotAStep(ValueError):
    """A text that is neither a token nor an outcome; the message names the nearest."""


@frozen
class Step:
    """One outcome to give. `amount` (major units) bounds an approval, `percent` and `seed` decide a share."""

    action: Action
    amount: str = ""
    code: DeclineCode = DeclineCode.GENERIC_DECLINE
    percent: Decimal = Decimal(0)
    seed: str = ""
    seconds: Decimal = Decimal(0)
    message: str = ""

    def decided(self, key: str) -> "Step":
        """This step with a share decided: the same key is always declined, or always approved."""
        if self.action != "decline_share":
            return self
        drawn = int.from_bytes(blake2b(f"{self.seed}:{key}".encode(), digest_size=8).digest(), "big")
        return DECLINED_BY_SHARE if drawn * 100 < self.percent * 2**64 else APPROVE


APPROVE = Step("approve")
DECLINED_BY_SHARE = Step("decline", code=DeclineCode.INSUFFICIENT_FUNDS)


@lru_cache(maxsize=1024)
def parse_step(text: str) -> Step:
    """Read a token or an outcome, such as `approve:12.50`, `decline:CODE` or `decline_share:5:seed`."""
    name, _, argument = text.partition(":")
    if name not in ACTIONS:
        near = get_close_matches(name, ACTIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(ACTIONS)}"
        raise NotAStep(f"the test gateway does not know {text!r}; {hint}")
    action = name
    if action == "approve":
        return Step(action, amount=_amount(text, argument)) if argument else APPROVE
    if action == "decline":
        return Step(action, code=_code(argument) if argument else DeclineCode.GENERIC_DECLINE)
    if action == "decline_share":
        percent, _, seed = argument.partition(":")
        return Step(action, percent=_number(text, percent), seed=seed)
    if action == "hang":
        return Step(action, seconds=_number(text, argument))
    if argument:
        raise NotAStep(f"{name!r} takes nothing after a colon, as {text!r} has")
    return Step(action)


def _code(text: str) -> DeclineCode:
    try:
        return DeclineCode(text)
    except ValueError:
        codes = [str(code) for code in DeclineCode]
        near = get_close_matches(text, codes, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"codes are {', '.join(codes)}"
        raise NotAStep(f"{text!r} is not a standard decline code; {hint}") from None


def _amount(text: str, argument: str) -> str:
    if _number(text, argument) == 0:
        raise NotAStep(f"{text!r} approves nothing; the amount is above zero")
    return argument


def _number(text: str, argument: str) -> Decimal:
    try:
        number = Decimal(argument)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise NotAStep(f"{text!r} needs a number after the colon, zero or more")
    return number
