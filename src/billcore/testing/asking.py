"""Asking a gateway under test: one call, its answer checked, everything the contract does not have as a failure."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias, TypeVar

from attrs import evolve, frozen

from billcore.clock import SystemClock
from billcore.ids import Ids
from billcore.plugins.checks import (
    checked_answer,
    checked_described,
    checked_outcome,
    checked_page,
    checked_vaulted,
)
from billcore.plugins.gateway import (
    Answer,
    Approved,
    AttemptNotFound,
    Cancel,
    Capability,
    Charge,
    Describe,
    Detach,
    Gateway,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    HostedPage,
    Lookup,
    MethodNotFound,
    MethodRefused,
    MethodRequest,
    Money,
    Outcome,
    Page,
    Refund,
    Request,
    Vault,
    Vaulted,
    Verify,
)
from billcore.testing.rules import (
    ANSWER_TYPES,
    APPROVED,
    HOSTED,
    PROVIDER_TOOK,
    THREE_ERRORS,
    VAULTED,
    Rule,
    broken,
    check,
)

T = TypeVar("T")
Trouble: TypeAlias = GatewayNotSent | GatewayUnknown | GatewayMisconfigured
MethodAnswer: TypeAlias = Vaulted | MethodNotFound | Page | None

_THREE = (GatewayNotSent, GatewayUnknown, GatewayMisconfigured)


def asked(
    gateway: Gateway, request: Request, rule: Rule = THREE_ERRORS, nonsense: Rule = ANSWER_TYPES
) -> Answer | Trouble:
    """The checked answer to one request, or one of the three errors.

    Another exception breaks `rule`, an answer that the contract does not have `nonsense`.
    """
    __tracebackhide__ = True
    answer = _called(gateway, request, rule)
    if isinstance(answer, _THREE):
        return answer
    try:
        if isinstance(request, Lookup | Cancel):
            return checked_answer(request, answer)
        return checked_outcome(request, answer)
    except GatewayUnknown as error:
        problem = f"{error.message} ({answer!r:.200})"
    return broken(nonsense, problem)


def asked_method(gateway: Gateway, request: MethodRequest, rule: Rule = THREE_ERRORS) -> MethodAnswer | Trouble:
    """As `asked`, about a payment method; MethodRefused goes through."""
    __tracebackhide__ = True
    answer = _called(gateway, request, rule)
    if isinstance(answer, _THREE):
        return answer
    try:
        if isinstance(request, Vault | Verify):
            return checked_vaulted(request, answer)
        if isinstance(request, Describe):
            return checked_described(request, answer)
        return checked_page(answer) if isinstance(request, HostedPage) else None
    except (GatewayUnknown, MethodRefused) as error:
        problem = f"{error.message} ({answer!r:.200})"
    return broken(HOSTED if isinstance(request, HostedPage) else VAULTED, problem)


def told(result: object) -> str:
    """An answer or error in a few words, for people."""
    if isinstance(result, _THREE):
        return f"{type(result).__name__}: {result.message}"
    return f"{result!r:.300}"


def _called(gateway: Gateway, request: Request | MethodRequest, rule: Rule) -> object:
    __tracebackhide__ = True
    verb = "hosted_page" if isinstance(request, HostedPage) else type(request).__name__.lower()
    try:
        return getattr(gateway, verb)(request)
    except _THREE as error:
        return error
    except MethodRefused as error:
        if isinstance(request, Vault | Describe | Detach | Verify | HostedPage):
            raise
        return broken(rule, f"{verb} raised {error!r:.300}")
    except Exception as error:  # noqa: BLE001  whatever a gateway under test raises is what is reported
        return broken(rule, f"{verb} raised {type(error).__name__}: {error!s:.300}")


@frozen
class Payer:
    """Who pays in a check: our customer and the method charges name, with the provider's customer of a vault."""

    customer_id: str
    method: str
    gateway_customer: str = ""


class Kit:
    """The gateway under test, and requests with ids that no other test has."""

    def __init__(
        self,
        gateway: Gateway,
        amount: Money,
        provider_charges: "Callable[[str], Sequence[Money]] | None",
        patience_s: int,
    ) -> None:
        self.gateway = gateway
        self.amount = amount
        self.provider_charges = provider_charges
        self._patience_s = patience_s
        self._clock = SystemClock()
        self._ids = Ids(self._clock)

    def half(self) -> Money:
        """Half of the amount that checks charge, rounded down."""
        return Money(self.amount.minor // 2, self.amount.currency)

    def new_id(self, prefix: str) -> str:
        """An id that was never used, of the form that billcore's own have."""
        return self._ids.new(prefix)

    def payer(self, token: str, customer_id: str | None = None, gateway: Gateway | None = None) -> Payer:
        """A customer with the method that `token` names, kept in the vault where the gateway has one."""
        __tracebackhide__ = True
        gateway = gateway or self.gateway
        customer_id = customer_id or self.new_id("cus")
        if Capability.VAULT not in gateway.capabilities:
            return Payer(customer_id, token)
        try:
            kept = asked_method(gateway, Vault(customer_id, token))
        except MethodRefused as error:
            return broken(VAULTED, f"vault refused the method {token!r} that was given to be charged: {error}")
        if not isinstance(kept, Vaulted):
            return broken(VAULTED, told(kept))
        return Payer(customer_id, kept.token, kept.gateway_customer)

    def charge_of(self, payer: Payer, amount: Money | None = None, key: str | None = None) -> Charge:
        """A new attempt to charge `payer`; `key` in place of a new idempotency key."""
        attempt_id = self.new_id("pay")
        return Charge(
            attempt_id,
            key or f"kit:{attempt_id}",
            amount or self.amount,
            payer.method,
            payer.customer_id,
            self.new_id("inv"),
            description="A check of the gateway contract",
            gateway_customer=payer.gateway_customer,
        )

    def refund_of(self, paid: Approved, amount: Money) -> Refund:
        """A new refund of a charge."""
        attempt_id = self.new_id("ref")
        return Refund(attempt_id, f"kit:{attempt_id}", amount, paid.gateway_id)

    def outcome(self, request: Request, rule: Rule) -> Outcome:
        """The outcome of a request that must have one."""
        __tracebackhide__ = True
        answer = asked(self.gateway, request, rule)
        if isinstance(answer, AttemptNotFound | GatewayNotSent | GatewayUnknown | GatewayMisconfigured):
            return broken(rule, f"{type(request).__name__} {request.attempt_id}: {told(answer)}")
        return answer

    def approved(self, request: Request, rule: Rule) -> Approved:
        """The approval of a request that must be approved."""
        __tracebackhide__ = True
        outcome = self.outcome(request, rule)
        if not isinstance(outcome, Approved):
            return broken(rule, f"{type(request).__name__} of {request.amount}: {told(outcome)}")
        return outcome

    def cancel_of(self, charge: Charge, gateway_id: str = "") -> Cancel:
        """What billcore asks to end a charge."""
        return Cancel(charge.attempt_id, charge.amount, gateway_id, charge.gateway_customer, self.now())

    def now(self) -> datetime:
        """The present second."""
        return self._clock.now()

    def paid(self, payer: Payer, amount: Money | None = None, rule: Rule = APPROVED) -> tuple[Charge, Approved]:
        """A charge that was approved in full, for what is to be done with it."""
        __tracebackhide__ = True
        charge = self.charge_of(payer, amount)
        approved = self.approved(charge, rule)
        check_approved(charge, approved)
        return charge, approved

    def check_one(self, charge: Charge, rule: Rule) -> None:
        """Check that the provider took the amount once, where it can be asked."""
        __tracebackhide__ = True
        taken = self.taken(charge)
        if taken is not None:
            seen = f"for {charge.amount} {shown(taken)}"
            check(len(taken) == 1, rule, seen)
            check(taken == [charge.amount], PROVIDER_TOOK, seen)

    def lookup_of(self, charge: Charge, gateway_id: str = "") -> Lookup:
        """What billcore asks about a charge: our id, and what it knows beside."""
        return Lookup(
            charge.attempt_id,
            charge.amount,
            gateway_id=gateway_id,
            gateway_customer=charge.gateway_customer,
            sent_at=self.now(),
        )

    def found(self, lookup: Lookup, rule: Rule, gateway: Gateway | None = None) -> Answer:
        """The answer to a lookup; "not found" is asked again for as long as the provider's search may lag."""
        __tracebackhide__ = True
        patience = self._patience_s
        while True:
            answer = asked(gateway or self.gateway, lookup, rule)
            if isinstance(answer, _THREE):
                return broken(rule, told(answer))
            if not isinstance(answer, AttemptNotFound) or patience <= 0:
                return answer
            patience -= 1
            time.sleep(1)

    def taken(self, charge: Charge) -> list[Money] | None:
        """What the provider itself says it took for an attempt; None where nobody can ask it."""
        return None if self.provider_charges is None else list(self.provider_charges(charge.attempt_id))


def check_approved(charge: Charge, approved: Approved, rule: Rule = APPROVED) -> None:
    """Check that a full approval reports what was asked for."""
    __tracebackhide__ = True
    wanted = (charge.amount.minor, charge.amount.currency)
    got = (approved.amount_minor, approved.currency)
    check(got == wanted, rule, f"{wanted[0]} {wanted[1]} was asked for, {got[0]} {got[1]} is reported")


def shown(taken: Sequence[Money]) -> str:
    """What a provider took, for people."""
    return f"the provider took {', '.join(map(str, taken)) or 'nothing'}"


def with_amount(charge: Charge, minor: int) -> Charge:
    """The same charge over another amount."""
    return evolve(charge, amount=Money(minor, charge.amount.currency))


def as_type(kind: type[T], answer: object, rule: Rule) -> T:
    """`answer` when it is of a kind, else broken."""
    __tracebackhide__ = True
    if not isinstance(answer, kind):
        broken(rule, told(answer))
    return answer
