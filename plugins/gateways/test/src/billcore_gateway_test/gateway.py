"""The scripted gateway: decides by script or token, notes it in its book, and answers, or fails to."""

import time
from collections import deque
from collections.abc import Sequence
from typing import cast

from attrs import evolve, frozen

from billcore.plugins.gateway import (
    Answer,
    AttemptNotFound,
    Cancel,
    Capability,
    Charge,
    DeclineCode,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    Money,
    Outcome,
    Refund,
    Void,
)
from billcore_gateway_test.book import Book, Entry, Movement, Verb
from billcore_gateway_test.step import APPROVE, MOVING, NotAStep, Step, parse_step

_DAY_S = 86_400


@frozen
class Config:
    """`book` is a file for the book, `fsync` writes each line through; `remember` bounds a book in memory."""

    book: str | None = None
    fsync: bool = False
    remember: int | None = None
    key_window_s: int = _DAY_S


@frozen
class _Script:
    steps: deque[Step]
    default: Step | None


class ScriptedGateway:
    """A gateway that answers as the token says, or a script; `book()` is what it really charged.

    Objects share nothing but the file of the book, if there is one; verbs may be called from any thread.
    """

    capabilities = frozenset(
        {
            Capability.REFUND,
            Capability.VOID,
            Capability.CANCEL,
            Capability.IDEMPOTENCY_KEYS,
            Capability.SCRIPT,
        }
    )

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        if config.remember is not None and (config.book or config.remember < 1):
            raise GatewayMisconfigured(
                "The test gateway's `remember` is a number above zero, for a book without a file.",
                remedy="Leave out `book` or `remember`.",
            )
        self.key_window_s = config.key_window_s
        self._book = Book(config.book, fsync=config.fsync, remember=config.remember)
        self._scripts: dict[str | None, _Script] = {}

    def charge(self, request: Charge) -> Outcome:
        """Charge as the script or the token says; the same key gets the present outcome again."""
        with self._book:
            known = self._known("charge", request)
            if known is not None:
                return known.outcome()
            step = self._step(request.customer_id, request.gateway_method).decided(request.idempotency_key)
            if step is APPROVE:  # Nearly every charge of a large run: written down in one go.
                entry = self._book.write(_blank("charge", request, request.customer_id, approved=True))
            else:
                entry = self._noted(step, _blank("charge", request, request.customer_id))
        return _reply(step, entry)

    def refund(self, request: Refund) -> Outcome:
        """Give back at most what is left of a charge."""
        return self._give_back("refund", request)

    def void(self, request: Void) -> Outcome:
        """Give a whole charge back of which nothing was given back yet."""
        return self._give_back("void", request)

    def cancel(self, request: Cancel) -> Answer:
        """End an attempt that is pending or waits for the customer."""
        with self._book:
            entry = self._book.attempt(request.attempt_id)
            if entry is None or entry.state == "lost":
                return AttemptNotFound(request.attempt_id)
            if entry.state in ("pending", "action"):
                entry = self._book.write(evolve(entry, state="declined", code=DeclineCode.CANCELED))
            return entry.outcome()

    def lookup(self, request: Lookup) -> Answer:
        """What the book says of an attempt."""
        with self._book:
            entry = self._book.attempt(request.attempt_id)
            return AttemptNotFound(request.attempt_id) if entry is None or entry.state == "lost" else entry.outcome()

    def script(self, outcomes: Sequence[str], customer_id: str | None = None, default: str | None = "approve") -> None:
        """Set the outcomes of the next charges, refunds and voids, of one customer when given.

        Afterwards `default` decides, or the token when it is None. A new script replaces the one before it.
        """
        try:
            steps = deque(parse_step(text) for text in outcomes)
            after = None if default is None else parse_step(default)
        except NotAStep as error:
            raise GatewayMisconfigured(f"The script was not taken over: {error}.") from error
        with self._book:
            self._scripts[customer_id] = _Script(steps, after)

    def settle(self, attempt_id: str, outcome: str) -> Outcome:
        """End an attempt that is pending, waits for the customer or was lost; `lookup` then answers it.

        `outcome` is approve, approve:AMOUNT or decline:CODE. A refund that succeeded may still be declined.
        """
        try:
            step = parse_step(outcome)
        except NotAStep as error:
            raise GatewayMisconfigured(f"Attempt {attempt_id} was not settled: {error}.") from error
        with self._book:
            entry = self._book.attempt(attempt_id)
            if entry is None:
                raise GatewayMisconfigured(
                    f"The test gateway has never heard of attempt {attempt_id}.",
                    remedy="Settle an attempt that was sent.",
                )
            late = entry.verb != "charge" and entry.state == "approved" and step.action == "decline"
            ended = entry.state in ("approved", "declined")
            if step.action not in ("approve", "decline") or (ended and not late):
                raise GatewayMisconfigured(
                    f"Attempt {attempt_id} is {entry.state} and cannot be settled as {outcome!r}.",
                    remedy="Settle what has not ended, with approve, approve:AMOUNT or decline:CODE.",
                )
            return self._noted(step, entry).outcome()

    def book(self) -> tuple[Movement, ...]:
        """Everything that moved money, in order of arrival."""
        return self._book.movements()

    def charges(self) -> int:
        """How many charges moved money, those no longer remembered included."""
        return self._book.charges()

    def taken(self, currency: str) -> Money:
        """What was charged less what was given back."""
        return Money(self._book.taken().get(currency, 0), currency)

    def close(self) -> None:
        """Close the book's file."""
        self._book.close()

    def _give_back(self, verb: Verb, request: Refund | Void) -> Outcome:
        with self._book:
            known = self._known(verb, request)
            if known is not None:
                return known.outcome()
            charge = self._book.charged(request.gateway_id)
            refusal = self._refusal(verb, request.amount, charge)
            customer_id = charge.customer_id if charge else ""
            step = refusal or self._step(customer_id, "approve").decided(request.idempotency_key)
            blank = evolve(_blank(verb, request, customer_id), of=charge.key if charge else "")
            entry = self._noted(step, blank)
        return _reply(step, entry)

    def _refusal(self, verb: Verb, amount: Money, charge: Entry | None) -> Step | None:
        if charge is None:
            return _refused(f"there is no charge to {verb}")
        left = self._book.left(charge)
        if amount.currency != charge.currency or amount.minor > left:
            return _refused(f"{Money(left, charge.currency)} of the charge is left, not {amount}")
        if verb == "void" and amount.minor != charge.moved:
            return _refused(f"a void gives all of {Money(charge.moved, charge.currency)} back, not {amount}")
        return None

    def _known(self, verb: Verb, request: Charge | Refund | Void) -> Entry | None:
        """The entry of a key that was used before; a lost request never arrived, so it is decided anew."""
        entry = self._book.entry(request.idempotency_key)
        if entry is None:
            return None
        amount = request.amount
        if (entry.verb, entry.asked, entry.currency) != (verb, amount.minor, amount.currency):
            raise GatewayMisconfigured(
                f"The idempotency key {entry.key} was used for a {entry.verb} of "
                f"{Money(entry.asked, entry.currency)}, not for a {verb} of {amount}.",
                remedy="A key belongs to one request.",
            )
        return None if entry.state == "lost" else entry

    def _step(self, customer_id: str, token: str) -> Step:
        script = self._scripts.get(customer_id) or self._scripts.get(None)
        if script is not None:
            if script.steps:
                return script.steps.popleft()
            if script.default is not None:
                return script.default
        try:
            return parse_step(token)
        except NotAStep as error:
            return Step("decline", code=DeclineCode.METHOD_UNKNOWN, message=str(error))

    def _noted(self, step: Step, entry: Entry) -> Entry:
        """Write down what `step` makes of a request; one that was surely not sent leaves no trace."""
        action = step.action
        if action in MOVING:
            noted = evolve(entry, state="approved", moved=_moved(step, entry), code="", message="")
        elif action == "decline":
            message = step.message or f"declined: {step.code}"
            noted = evolve(entry, state="declined", moved=0, code=str(step.code), message=message)
        elif action == "pending":
            noted = evolve(entry, state="pending")
        elif action == "action":
            noted = evolve(entry, state="action")
        elif action == "unreachable":
            return entry
        else:
            noted = evolve(entry, state="lost")
        return self._book.write(noted)


def _refused(message: str) -> Step:
    return Step("decline", code=DeclineCode.TRANSACTION_NOT_ALLOWED, message=message)


def _blank(verb: Verb, request: Charge | Refund | Void, customer_id: str, *, approved: bool = False) -> Entry:
    amount = request.amount
    return Entry(
        request.idempotency_key,
        request.attempt_id,
        verb,
        amount.minor,
        amount.currency,
        customer_id,
        "approved" if approved else "lost",
        amount.minor if approved else 0,
    )


def _moved(step: Step, entry: Entry) -> int:
    if not step.amount:
        return entry.asked
    return min(entry.asked, Money.parse(step.amount, entry.currency).minor)


def _reply(step: Step, entry: Entry) -> Outcome:
    if step is APPROVE:
        return entry.outcome()
    action = step.action
    if action == "unreachable":
        raise GatewayNotSent(f"The connection was refused; attempt {entry.attempt_id} was not sent.")
    if action in ("timeout_before", "timeout_after_charge"):
        raise GatewayUnknown(f"No answer to attempt {entry.attempt_id}.")
    if action == "error_500_after_charge":
        raise GatewayUnknown(f"Attempt {entry.attempt_id} was answered with 500 Internal Server Error.")
    if action == "garbage":
        return cast("Outcome", {"status": "\ufffd"})
    if action == "hang":
        time.sleep(float(step.seconds))
    return entry.outcome()
