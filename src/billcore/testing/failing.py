"""Checks of what a broken network makes of a call: the right error, and one charge whatever happened."""

import pytest

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Capability,
    Charge,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    MethodRefused,
    Pending,
    Vault,
    Vaulted,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer, asked, asked_method, check_approved, shown, told
from billcore.testing.faults import LOST, SURELY_NOT, Fault
from billcore.testing.fixtures import Break, GatewayFixtures, requires
from billcore.testing.rules import broken, check


class Failing(GatewayFixtures):
    """Errors, and the truth after them."""

    @pytest.mark.parametrize("fault", SURELY_NOT)
    def test_what_was_surely_not_carried_out_is_not_sent(
        self, kit: Kit, payer: Payer, broken_network: Break, fault: Fault
    ) -> None:
        """It is sent again later, with the same key, and then it is charged."""
        charge = kit.charge_of(payer)
        with broken_network(fault):
            answer = asked(kit.gateway, charge, rules.NOT_SENT)
        check(isinstance(answer, GatewayNotSent), rules.NOT_SENT, f"with {fault}: {told(answer)}")
        check(not kit.taken(charge), rules.NOT_SENT, shown(kit.taken(charge) or []))
        check_approved(charge, kit.approved(charge, rules.NOT_SENT))
        kit.check_one(charge, rules.ONE_CHARGE)

    def test_refused_credentials_are_misconfigured(self, kit: Kit, payer: Payer, broken_network: Break) -> None:
        """The customer's card has nothing to do with it."""
        charge = kit.charge_of(payer)
        with broken_network(Fault.UNAUTHORIZED):
            answer = asked(kit.gateway, charge, rules.MISCONFIGURED)
        check(isinstance(answer, GatewayMisconfigured), rules.MISCONFIGURED, told(answer))

    @pytest.mark.parametrize("fault", LOST)
    def test_after_a_lost_answer_there_is_one_charge(
        self, kit: Kit, payer: Payer, broken_network: Break, fault: Fault
    ) -> None:
        """What the lookup finds and what the same key answers is one and the same charge."""
        charge = kit.charge_of(payer)
        with broken_network(fault):
            answer = asked(kit.gateway, charge, rules.UNKNOWN)
        check(isinstance(answer, GatewayUnknown), rules.UNKNOWN, f"with {fault}: {told(answer)}")
        found = kit.found(kit.lookup_of(charge), rules.LOOKUP_BY_OUR_ID)
        _check_found(charge, fault, found)
        if Capability.IDEMPOTENCY_KEYS in kit.gateway.capabilities:
            again = kit.approved(charge, rules.ONE_CHARGE)
            check_approved(charge, again)
            same = found == again or isinstance(found, AttemptNotFound)
            check(same, rules.ONE_CHARGE, f"the lookup found {told(found)}, the same key {told(again)}")
            then = kit.found(kit.lookup_of(charge), rules.LOOKUP_BY_OUR_ID)
            check(then == again, rules.LOOKUP_BY_OUR_ID, f"{told(again)}, and the lookup: {told(then)}")
            kit.check_one(charge, rules.ONE_CHARGE)

    def test_a_slow_answer_is_an_answer(self, kit: Kit, payer: Payer, broken_network: Break) -> None:
        """Half a second is nothing to a bank."""
        charge = kit.charge_of(payer)
        with broken_network(Fault.SLOW):
            check_approved(charge, kit.approved(charge, rules.SLOW), rules.SLOW)
        kit.check_one(charge, rules.ONE_CHARGE)

    @requires(Capability.REFUND, Capability.IDEMPOTENCY_KEYS)
    @pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.ERROR_500_AFTER])
    def test_after_a_lost_answer_there_is_one_refund(
        self, kit: Kit, payer: Payer, broken_network: Break, fault: Fault
    ) -> None:
        """Two refunds of half are half each, however often they are sent."""
        _, paid = kit.paid(payer)
        half = kit.half()
        refund = kit.refund_of(paid, half)
        with broken_network(fault):
            answer = asked(kit.gateway, refund, rules.UNKNOWN)
        check(isinstance(answer, GatewayUnknown), rules.UNKNOWN, f"with {fault}: {told(answer)}")
        first = kit.outcome(refund, rules.REFUND_ONCE)
        second = kit.outcome(refund, rules.REFUND_ONCE)
        same = isinstance(first, Approved | Pending) and first == second
        check(same, rules.REFUND_ONCE, f"{told(first)}, and then {told(second)}")
        rest = kit.refund_of(paid, kit.amount - half)
        outcome = kit.outcome(rest, rules.REFUND_ONCE)
        left = f"after one refund of {half} the rest of {rest.amount} is refused: {told(outcome)}"
        check(type(outcome) is type(first), rules.REFUND_ONCE, left)

    @requires(Capability.VAULT)
    @pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.TIMEOUT_AFTER, Fault.ERROR_500_AFTER])
    def test_a_method_is_kept_once_after_a_lost_answer(
        self, kit: Kit, approved_method: str, broken_network: Break, fault: Fault
    ) -> None:
        """The customer presses the button again."""
        request = Vault(kit.new_id("cus"), approved_method)
        with broken_network(fault):
            try:
                answer = asked_method(kit.gateway, request, rules.UNKNOWN)
            except MethodRefused as error:
                answer = GatewayMisconfigured(f"MethodRefused: {error.message}")
        wanted = GatewayNotSent if fault is Fault.UNREACHABLE else GatewayUnknown
        rule = rules.NOT_SENT if fault is Fault.UNREACHABLE else rules.UNKNOWN
        check(isinstance(answer, wanted), rule, f"with {fault}: {told(answer)}")
        first, second = (asked_method(kit.gateway, request, rules.VAULT_ONCE) for _ in range(2))
        same = isinstance(first, Vaulted) and first == second
        check(same, rules.VAULT_ONCE, f"{told(first)}, and then {told(second)}")


def _check_found(charge: Charge, fault: Fault, found: object) -> None:
    """Check what a lookup says after a fault: the charge where it was carried out, else nothing."""
    __tracebackhide__ = True
    if fault.endswith("_after"):
        if not isinstance(found, Approved):
            broken(rules.LOOKUP_BY_OUR_ID, f"it was charged with {fault}, but the lookup: {told(found)}")
        check_approved(charge, found)
    else:
        nothing = isinstance(found, AttemptNotFound)
        check(nothing, rules.LOOKUP_FINDS_NOTHING, f"nothing arrived with {fault}, but the lookup: {told(found)}")
