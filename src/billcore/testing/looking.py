"""Checks of lookups: found by our id, from any process, without an effect, and never a guess."""

from collections.abc import Mapping

import pytest
from attrs import evolve

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Money,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer, asked, told
from billcore.testing.faults import Fault
from billcore.testing.fixtures import Break, GatewayFixtures, Open
from billcore.testing.rules import check


class Looking(GatewayFixtures):
    """What became of an attempt."""

    @pytest.mark.parametrize("hints", ["with all hints", "with the id alone"])
    def test_a_lookup_agrees_with_the_charge(self, kit: Kit, payer: Payer, hints: str) -> None:
        """After a lost answer billcore knows our id, the provider's customer and the instant; no more."""
        charge, approved = kit.paid(payer)
        lookup = kit.lookup_of(charge, approved.gateway_id if hints == "with all hints" else "")
        rule = rules.LOOKUP_AGREES if hints == "with all hints" else rules.LOOKUP_BY_OUR_ID
        found = kit.found(lookup, rule)
        check(found == approved, rule, f"{told(approved)}, and the lookup: {told(found)}")

    def test_an_attempt_that_never_arrived_is_not_found(self, kit: Kit, payer: Payer) -> None:
        """Nothing is guessed from other charges of the same customer."""
        kit.paid(payer)
        lookup = kit.lookup_of(kit.charge_of(payer))
        answer = asked(kit.gateway, lookup, rules.LOOKUP_FINDS_NOTHING)
        nothing = answer == AttemptNotFound(lookup.attempt_id)
        rule = rules.LOOKUP_TELLS_APART if isinstance(answer, Approved) else rules.LOOKUP_FINDS_NOTHING
        check(nothing, rule, f"nothing was sent for {lookup.attempt_id}, and the lookup: {told(answer)}")

    def test_a_lookup_tells_attempts_apart(self, kit: Kit, payer: Payer) -> None:
        """Two charges of one customer, asked for in both orders."""
        small = Money(kit.amount.minor - 1, kit.amount.currency)
        for charge, wanted in [kit.paid(payer), kit.paid(payer, small)]:
            found = kit.found(kit.lookup_of(charge), rules.LOOKUP_TELLS_APART)
            check(found == wanted, rules.LOOKUP_TELLS_APART, f"{told(wanted)}, and the lookup: {told(found)}")

    def test_a_lookup_changes_nothing(self, kit: Kit, payer: Payer) -> None:
        """Neither for an attempt that is there, nor for one that is not."""
        charge, approved = kit.paid(payer)
        never = kit.charge_of(payer)
        answers = [asked(kit.gateway, kit.lookup_of(never), rules.LOOKUP_CHANGES_NOTHING) for _ in range(3)]
        nothing = answers == [AttemptNotFound(never.attempt_id)] * 3
        check(nothing, rules.LOOKUP_CHANGES_NOTHING, f"never sent: {', '.join(map(told, answers))}")
        for _ in range(3):
            found = kit.found(kit.lookup_of(charge), rules.LOOKUP_CHANGES_NOTHING)
            check(found == approved, rules.LOOKUP_CHANGES_NOTHING, f"{told(approved)}, and then {told(found)}")
        kit.check_one(charge, rules.LOOKUP_CHANGES_NOTHING)
        check(not kit.taken(never), rules.LOOKUP_CHANGES_NOTHING, "asking for it charged it")

    def test_another_object_finds_the_attempt(
        self, kit: Kit, payer: Payer, open_gateway: Open, config: Mapping[str, object]
    ) -> None:
        """The process that charged may be gone."""
        charge, approved = kit.paid(payer)
        found = kit.found(kit.lookup_of(charge), rules.LOOKUP_ACROSS_PROCESSES, open_gateway(config))
        check(found == approved, rules.LOOKUP_ACROSS_PROCESSES, f"{told(approved)}, and elsewhere {told(found)}")

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.UNREACHABLE,
            Fault.RATE_LIMITED,
            Fault.UNAUTHORIZED,
            Fault.TIMEOUT_BEFORE,
            Fault.RESET_BEFORE,
            Fault.ERROR_500_BEFORE,
            Fault.GARBAGE_BEFORE,
        ],
    )
    def test_a_lookup_that_could_not_ask_says_so(
        self, kit: Kit, payer: Payer, broken_network: Break, fault: Fault
    ) -> None:
        """A charge that is there, called "not found", is the first half of a double charge."""
        charge, _ = kit.paid(payer)
        lookup = evolve(kit.lookup_of(charge), gateway_id="")
        with broken_network(fault):
            answer = asked(kit.gateway, lookup, rules.LOOKUP_FAILS_ALOUD)
        aloud = isinstance(answer, GatewayNotSent | GatewayUnknown | GatewayMisconfigured)
        check(aloud, rules.LOOKUP_FAILS_ALOUD, f"with {fault}: {told(answer)}")
