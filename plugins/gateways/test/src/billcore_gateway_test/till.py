"""The till: what each request about money makes of the book, and what is answered."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from attrs import evolve

from billcore.plugins.gateway import (
    Answer,
    AttemptNotFound,
    Cancel,
    Capture,
    Charge,
    DeclineCode,
    GatewayMisconfigured,
    Lookup,
    Money,
    Outcome,
    Refund,
    Void,
)
from billcore_gateway_test.book import OPEN, Book, Entry, Verb
from billcore_gateway_test.knobs import Knobs, carried_out, failed
from billcore_gateway_test.method import MethodVault, Unchargeable
from billcore_gateway_test.step import APPROVE, MOVING, UNTRACED, NotAStep, Step, Token, parse_step, parse_token

_NO_VERBS: Mapping[str, Step] = MappingProxyType({})
_APPROVED = Token(APPROVE, _NO_VERBS)


class Till:
    """Charges, gives back and tells what became of it, each within a turn of the book's."""

    def __init__(self, book: Book, knobs: Knobs, vault: MethodVault | None) -> None:
        self._book = book
        self._knobs = knobs
        self._vault = vault

    def charge(self, request: Charge) -> Outcome:
        """Charge as the script or the token says; the same key gets the present outcome again."""
        fault = self._knobs.fault("charge")
        with self._book:
            known = self._known("charge", request)
            if known is not None:
                return known.outcome() if fault is None else _reply(fault, known)
            token = self._token(request, fault)
            step = token.step.decided(request.idempotency_key)
            entry = _blank("charge", request, request.customer_id, approved=step is APPROVE)
            if token.rest:
                entry = evolve(entry, rest=token.rest)
            if step is APPROVE:  # Nearly every charge of a large run: written down in one go.
                entry = self._book.write(entry)
            elif step.action != "slow":
                entry = self._noted(step, entry)
        if step.action == "slow":
            entry = self._late_arrival(step, entry, request)
        return _reply(fault or step, entry)

    def follow_up(self, verb: Verb, request: Refund | Void | Capture) -> Outcome:
        """Give back at most what is left of a charge, or take what is authorized."""
        fault = self._knobs.fault(verb)
        with self._book:
            known = self._known(verb, request)
            if known is not None:
                return known.outcome() if fault is None else _reply(fault, known)
            charge = self._charge_of(verb, request.gateway_id)
            customer_id = charge.customer_id if charge else ""
            if fault is not None and not _arrives(fault):
                step = fault
            else:
                step = _refusal(verb, request.amount, charge, self._book) or fault or self._told(verb, charge)
            blank = evolve(_blank(verb, request, customer_id), of=charge.key if charge else "")
            entry = self._noted(step.decided(request.idempotency_key), blank)
        if step.action == "slow":
            time.sleep(float(step.seconds))
        return _reply(fault or step, entry)

    def about(self, verb: str, request: Lookup | Cancel) -> Answer:
        """Look an attempt up, or end it."""
        with self._book:
            entry = self._book.attempt(request.attempt_id)
            fault = self._knobs.fault(verb)
            if fault is None and entry is not None and entry.rest:
                fault = parse_token("approve," + entry.rest).verbs.get(verb)
        if fault is not None and fault.action == "not_found":
            return AttemptNotFound(request.attempt_id)
        work = self._canceled if isinstance(request, Cancel) else self._found
        return carried_out(fault, f"the {verb} of attempt {request.attempt_id}", lambda: work(request.attempt_id))

    def settle(self, attempt_id: str, outcome: str) -> Outcome:
        """End an attempt that has not ended, or let a refund that succeeded fail after all."""
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
            late = entry.verb == "refund" and entry.state == "approved" and step.action == "decline"
            ended = entry.state in ("approved", "declined")
            if step.action not in ("approve", "decline") or (ended and not late):
                raise GatewayMisconfigured(
                    f"Attempt {attempt_id} is {entry.state} and cannot be settled as {outcome!r}.",
                    remedy="Settle what has not ended, with approve, approve:AMOUNT or decline:CODE.",
                )
            return self._noted(step, evolve(entry, later="")).outcome()

    def _found(self, attempt_id: str) -> Answer:
        with self._book:
            entry = self._book.attempt(attempt_id)
            if entry is None or entry.state == "lost":
                return AttemptNotFound(attempt_id)
            return self._ripe(entry).outcome()

    def _canceled(self, attempt_id: str) -> Answer:
        with self._book:
            entry = self._book.attempt(attempt_id)
            if entry is None or entry.state == "lost":
                return AttemptNotFound(attempt_id)
            entry = self._ripe(entry)
            if entry.state in OPEN:
                entry = self._book.write(evolve(entry, state="declined", code=DeclineCode.CANCELED))
            return entry.outcome()

    def _late_arrival(self, step: Step, blank: Entry, request: Charge) -> Entry:
        """A request that is long on its way; another one with its key may arrive first."""
        time.sleep(float(step.seconds))
        with self._book:
            return self._known("charge", request) or self._noted(step, blank)

    def _ripe(self, entry: Entry) -> Entry:
        """An entry that was to end later has ended by now."""
        return self._noted(parse_step(entry.later), evolve(entry, later="")) if entry.later else entry

    def _charge_of(self, verb: Verb, gateway_id: str) -> Entry | None:
        approved = None if verb == "capture" else self._book.charged(gateway_id)
        return approved or (None if verb == "refund" else self._book.charged(gateway_id, "authorized"))

    def _told(self, verb: Verb, charge: Entry | None) -> Step:
        told = parse_token("approve," + charge.rest).verbs.get(verb) if charge is not None and charge.rest else None
        return told or self._knobs.scripted(charge.customer_id if charge else "") or APPROVE

    def _known(self, verb: Verb, request: Charge | Refund | Void | Capture) -> Entry | None:
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
        return None if entry.state == "lost" else self._ripe(entry)

    def _token(self, request: Charge, fault: Step | None) -> Token:
        """What decides about a charge: the kept method's state, a fault, a script, then the token."""
        if self._vault is None and fault is None:
            scripted = self._knobs.scripted(request.customer_id)
            return _parsed(lambda: parse_token(request.gateway_method)) if scripted is None else _only(scripted)
        if fault is not None and (self._vault is None or not _arrives(fault)):
            return _only(fault)
        vault = cast("MethodVault", self._vault)
        token = _parsed(lambda: vault.token(request.gateway_method, request.gateway_customer))
        if token.step.message:
            return token
        scripted = fault or self._knobs.scripted(request.customer_id)
        return token if scripted is None else _only(scripted)

    def _noted(self, step: Step, entry: Entry) -> Entry:
        """Write down what `step` makes of a request; one that was surely not sent leaves no trace."""
        action = step.action
        if action in MOVING:
            charge = self._book.entry(entry.of) if entry.of else None
            held = charge is not None and charge.state == "authorized"
            noted = evolve(
                entry, state="approved", moved=0 if held else _moved(step, entry), code="", message="", later=step.later
            )
            if charge is not None and held:
                self._end_authorization(charge, noted)
        elif action == "decline":
            message = step.message or f"declined: {step.code}"
            noted = evolve(entry, state="declined", moved=0, code=str(step.code), message=message)
        elif action in ("pending", "late", "unseen"):
            noted = evolve(entry, state="pending", later=step.later)
        elif action == "action":
            noted = evolve(entry, state="action")
        elif action == "authorize":
            noted = evolve(entry, state="authorized" if entry.verb == "charge" else "pending")
        elif action in UNTRACED:
            return entry
        else:
            noted = evolve(entry, state="lost")
        return self._book.write(noted)

    def _end_authorization(self, charge: Entry, by: Entry) -> None:
        if by.verb == "capture":
            self._book.write(evolve(charge, state="approved", moved=by.asked))
        else:
            self._book.write(evolve(charge, state="declined", code=DeclineCode.CANCELED, message="voided"))


def _arrives(fault: Step) -> bool:
    return not (
        fault.action in UNTRACED or fault.action in ("not_found", "garbage") or fault.action.endswith("_before")
    )


def _only(step: Step) -> Token:
    return _APPROVED if step is APPROVE else Token(step, _NO_VERBS)


def _parsed(read: Callable[[], Token]) -> Token:
    try:
        return read()
    except NotAStep as error:
        return _only(Step("decline", code=DeclineCode.METHOD_UNKNOWN, message=str(error)))
    except Unchargeable as error:
        return _only(Step("decline", code=error.code, message=str(error)))


def _refusal(verb: Verb, amount: Money, charge: Entry | None, book: Book) -> Step | None:
    if charge is None:
        return _refused(f"there is no charge to {verb}")
    held = charge.state == "authorized"
    left = charge.asked if held else book.left(charge)
    if amount.currency != charge.currency or amount.minor > left:
        return _refused(f"{Money(left, charge.currency)} of the charge is left, not {amount}")
    whole = charge.asked if held else charge.moved
    if verb == "void" and amount.minor != whole:
        return _refused(f"a void gives all of {Money(whole, charge.currency)} back, not {amount}")
    return None


def _refused(message: str) -> Step:
    return Step("decline", code=DeclineCode.TRANSACTION_NOT_ALLOWED, message=message)


def _blank(verb: Verb, request: Charge | Refund | Void | Capture, customer_id: str, *, approved: bool = False) -> Entry:
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
    action = step.action
    if action in UNTRACED or action in ("not_found", "garbage") or action.endswith(("_before", "_after")):
        return cast("Outcome", failed(step, f"attempt {entry.attempt_id}"))
    if action == "hang":
        time.sleep(float(step.seconds))
    return entry.outcome()
