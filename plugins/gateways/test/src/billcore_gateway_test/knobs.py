"""What the test gateway was told to do: scripts, faults for the next calls of a verb, and a broken network."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from attrs import frozen

from billcore.plugins.gateway import GatewayMisconfigured, GatewayNotSent, GatewayUnknown
from billcore_gateway_test.step import FAULTS, UNTRACED, NotAStep, Step, parse_fault, parse_step

T = TypeVar("T")


@frozen
class _Script:
    steps: deque[Step]
    default: Step | None


class Knobs:
    """Steps to come. A standing fault beats those queued for a verb, these beat scripts."""

    def __init__(self) -> None:
        self._scripts: dict[str | None, _Script] = {}
        self._queues: dict[str, deque[Step]] = {}
        self._standing: Step | None = None

    def script(self, outcomes: Sequence[str], customer_id: str | None, default: str | None) -> None:
        """Replace a script; refused whole when a line of it is none."""
        try:
            steps = deque(parse_step(text) for text in outcomes)
            after = None if default is None else parse_step(default)
        except NotAStep as error:
            raise GatewayMisconfigured(f"The script was not taken over: {error}.") from error
        self._scripts[customer_id] = _Script(steps, after)

    def queue(self, verb: str, outcomes: Sequence[str]) -> None:
        """Set what the next calls of a verb do."""
        try:
            self._queues[verb] = deque(parse_fault(verb, text) for text in outcomes)
        except NotAStep as error:
            raise GatewayMisconfigured(f"The faults were not taken over: {error}.") from error

    def stand(self, fault: str | None) -> None:
        """Set what every call does from now on, or that it works again."""
        step = None if fault is None else parse_step(fault)
        if step is not None and step.action not in FAULTS and step.action != "unseen":
            raise GatewayMisconfigured(f"{fault!r} is no fault of the network.")
        self._standing = step

    def fault(self, verb: str) -> Step | None:
        """What the next call of a verb is to do, if it was told."""
        if self._standing is not None:
            return self._standing
        queue = self._queues.get(verb)
        return queue.popleft() if queue else None

    def scripted(self, customer_id: str) -> Step | None:
        """What a script says of the next call for a customer."""
        script = self._scripts.get(customer_id) or self._scripts.get(None)
        if script is None:
            return None
        return script.steps.popleft() if script.steps else script.default


def carried_out(step: Step | None, what: str, work: Callable[[], T]) -> T:
    """Do `work`, or what a fault makes of it: not at all, or with an answer that is lost."""
    if step is None or step.action in ("approve", "unseen"):
        return work()
    if step.action in ("hang", "slow"):
        time.sleep(float(step.seconds))
        return work()
    if step.action.endswith("_after"):
        work()
    return cast("T", failed(step, what))


def failed(step: Step, what: str) -> object:
    """Raise what a fault looks like to the caller, or return the garbage that came instead of an answer."""
    action = step.action
    if action in UNTRACED:
        if action == "misconfigured":
            raise GatewayMisconfigured(f"The key of the test gateway was refused; {what} was not carried out.")
        reason = "The connection was refused" if action == "unreachable" else "There are too many requests"
        raise GatewayNotSent(f"{reason}; {what} was not sent.")
    if action == "garbage":
        return {"status": "\ufffd"}
    if action.startswith("garbage"):
        raise GatewayUnknown(f"What came for {what} could not be read.")
    if action.startswith("error_500"):
        raise GatewayUnknown(f"500 Internal Server Error came for {what}.")
    if action.startswith("reset"):
        raise GatewayUnknown(f"The connection was reset; no answer came for {what}.")
    raise GatewayUnknown(f"No answer came for {what}.")
