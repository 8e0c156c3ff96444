"""What a token or a line of a script says: one step of the gateway's behaviour."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal, get_args

from attrs import frozen

from billcore.plugins.gateway import DeclineCode

Action = Literal[
    "approve",
    "decline",
    "decline_share",
    "pending",
    "action",
    "late",
    "fails_later",
    "authorize",
    "unseen",
    "unreachable",
    "rate_limited",
    "misconfigured",
    "not_found",
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "error_500_before",
    "error_500_after",
    "garbage",
    "garbage_before",
    "garbage_after",
    "hang",
    "slow",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
ALIASES: Mapping[str, Action] = MappingProxyType(
    {
        "timeout_after_charge": "timeout_after",
        "error_500_after_charge": "error_500_after",
    }
)
SPELLINGS: Mapping[str, DeclineCode] = MappingProxyType(
    {
        "approve_with_id": DeclineCode.TRY_AGAIN_LATER,
        "card_declined": DeclineCode.GENERIC_DECLINE,
        "card_velocity_exceeded": DeclineCode.VELOCITY_EXCEEDED,
        "hard": DeclineCode.DO_NOT_TRY_AGAIN,
        "incorrect_zip": DeclineCode.INCORRECT_POSTCODE,
        "invalid_cvc": DeclineCode.INCORRECT_CVC,
        "invalid_expiry_month": DeclineCode.INVALID_EXPIRY,
        "invalid_expiry_year": DeclineCode.INVALID_EXPIRY,
        "invalid_number": DeclineCode.INCORRECT_NUMBER,
        "merchant_blacklist": DeclineCode.FRAUDULENT,
        "not_permitted": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "reenter_transaction": DeclineCode.TRY_AGAIN_LATER,
        "revocation_of_all_authorizations": DeclineCode.REVOKED,
        "revocation_of_authorization": DeclineCode.REVOKED,
        "soft": DeclineCode.GENERIC_DECLINE,
        "stop_payment_order": DeclineCode.STOP_PAYMENT,
        "testmode_decline": DeclineCode.TRANSACTION_NOT_ALLOWED,
        "withdrawal_count_limit_exceeded": DeclineCode.LIMIT_EXCEEDED,
    }
)
"""What providers, and people who write stories, call a standard code."""

MOVING: frozenset[Action] = frozenset(
    {
        "approve",
        "fails_later",
        "timeout_after",
        "reset_after",
        "error_500_after",
        "garbage_after",
        "hang",
        "slow",
    }
)
"""The actions that move money."""

UNTRACED: frozenset[Action] = frozenset({"unreachable", "rate_limited", "misconfigured"})
"""The actions that leave no trace at the gateway: the request surely was not carried out."""

VERBS = frozenset(
    {"charge", "refund", "void", "capture", "cancel", "lookup"}
    | {"vault", "describe", "detach", "verify", "hosted_page", "updates"}
)
"""The verbs that can be told to fail."""

FAULTS: frozenset[Action] = UNTRACED | {
    "approve",
    "not_found",
    "hang",
    "slow",
    "timeout_before",
    "timeout_after",
    "reset_before",
    "reset_after",
    "error_500_before",
    "error_500_after",
    "garbage",
    "garbage_before",
    "garbage_after",
}
"""What any verb can be told to do; `approve` is to work."""


class NotAStep(ValueError):
    """A text that is neither a token nor an outcome; the message names the nearest."""


@frozen
class Step:
    """One outcome to give. `amount` (major units) bounds an approval, `percent` and `seed` decide a share.

    `later` is the outcome that comes after the first answer.
    """

    action: Action
    amount: str = ""
    code: DeclineCode = DeclineCode.GENERIC_DECLINE
    percent: Decimal = Decimal(0)
    seed: str = ""
    seconds: Decimal = Decimal(0)
    message: str = ""
    later: str = ""

    def decided(self, key: str) -> "Step":
        """This step with a share decided: the same key is always declined, or always approved."""
        if self.action != "decline_share":
            return self
        drawn = int.from_bytes(blake2b(f"{self.seed}:{key}".encode(), digest_size=8).digest(), "big")
        return DECLINED_BY_SHARE if drawn * 100 < self.percent * 2**64 else APPROVE


APPROVE = Step("approve")
DECLINED_BY_SHARE = Step("decline", code=DeclineCode.INSUFFICIENT_FUNDS)


@frozen
class Token:
    """A token taken apart: what happens to charges, and by verb what happens to everything else about them."""

    step: Step
    verbs: Mapping[str, Step]
    rest: str = ""


@lru_cache(maxsize=1024)
def parse_token(text: str) -> Token:
    """Read a token, such as `approve` or `approve,refund=timeout_after,lookup=not_found`."""
    first, _, rest = text.partition(",")
    verbs: dict[str, Step] = {}
    for part in rest.split(",") if rest else []:
        verb, _, outcome = part.partition("=")
        verbs[verb] = parse_fault(verb, outcome)
    return Token(parse_step(first), verbs, rest)


def parse_fault(verb: str, text: str) -> Step:
    """Read what `verb` is to do: any step for those that move money, a fault for the others."""
    if verb not in VERBS:
        raise NotAStep(f"the test gateway has no verb {verb!r}; it has {', '.join(sorted(VERBS))}")
    step = parse_step(text)
    if verb not in ("charge", "refund", "void", "capture") and step.action not in FAULTS:
        raise NotAStep(f"{verb} cannot be told {text!r}; it knows {', '.join(sorted(FAULTS))}")
    return step


@lru_cache(maxsize=1024)
def parse_step(text: str) -> Step:
    """Read an outcome, such as `approve:12.50`, `decline:CODE`, `late:approve` or `decline_share:5:seed`."""
    name, _, argument = text.partition(":")
    action = ALIASES.get(name, name)
    if action not in ACTIONS:
        near = get_close_matches(name, ACTIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it knows {', '.join(ACTIONS)}"
        raise NotAStep(f"the test gateway does not know {text!r}; {hint}")
    if action == "approve":
        return Step(action, amount=_amount(text, argument)) if argument else APPROVE
    if action == "decline":
        return Step(action, code=_code(argument) if argument else DeclineCode.GENERIC_DECLINE)
    if action == "decline_share":
        percent, _, seed = argument.partition(":")
        return Step(action, percent=_number(text, percent), seed=seed)
    if action in ("hang", "slow"):
        return Step(action, seconds=_number(text, argument))
    if action == "late":
        if parse_step(argument or "approve").action not in ("approve", "decline"):
            raise NotAStep(f"{text!r} ends as approve, approve:AMOUNT or decline:CODE")
        return Step(action, later=argument or "approve")
    if action == "fails_later":
        return Step(action, later=f"decline:{_code(argument or 'account_closed')}")
    if argument:
        raise NotAStep(f"{name!r} takes nothing after a colon, as {text!r} has")
    return Step(action)


def _code(text: str) -> DeclineCode:
    """A standard code, or what a provider's own spelling stands for; one that nobody knows is a generic decline."""
    if text in SPELLINGS:
        return SPELLINGS[text]
    codes = [str(code) for code in DeclineCode]
    if text in codes:
        return DeclineCode(text)
    near = get_close_matches(text, codes, n=1, cutoff=0.85)
    if near:
        raise NotAStep(f"{text!r} is not a standard decline code; did you mean {near[0]!r}?")
    return DeclineCode.GENERIC_DECLINE


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
