"""Checks of charges: what is taken, what is declined, and that one key is one charge."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from billcore.plugins.decline import KIND_OF_ADVICE, KIND_OF_CODE, DeclineKind
from billcore.plugins.gateway import (
    ActionRequired,
    Answer,
    AttemptNotFound,
    Capability,
    Declined,
    GatewayMisconfigured,
    Money,
    Pending,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer, asked, check_approved, shown, told, with_amount
from billcore.testing.faults import Fault
from billcore.testing.fixtures import Break, GatewayFixtures, requires
from billcore.testing.rules import broken, check


class Charging(GatewayFixtures):
    """Outcomes of charges."""

    def test_an_approved_charge_says_what_was_taken(self, kit: Kit, payer: Payer) -> None:
        """Amount, currency and the provider's id."""
        kit.paid(payer)

    def test_the_provider_took_what_was_asked(self, kit: Kit, payer: Payer) -> None:
        """What the gateway reports is one thing, what the provider took another."""
        if kit.provider_charges is None:
            pytest.skip("no provider_charges was given")
        charge, _ = kit.paid(payer)
        kit.check_one(charge, rules.PROVIDER_TOOK)

    @pytest.mark.parametrize("decimals", [0, 2, 3])
    def test_amounts_are_minor_units_of_every_currency(
        self, kit: Kit, payer: Payer, amounts: Mapping[int, Money], decimals: int
    ) -> None:
        """JPY has no decimals and KWD three: a factor of 100 charges a hundred times too much, or a tenth."""
        if decimals not in amounts:
            pytest.skip(f"the provider takes no currency with {decimals} decimals")
        charge = kit.charge_of(payer, amounts[decimals])
        check_approved(charge, kit.approved(charge, rules.MINOR_UNITS), rules.MINOR_UNITS)
        taken = kit.taken(charge)
        check(taken in (None, [charge.amount]), rules.MINOR_UNITS, f"for {charge.amount} {shown(taken or [])}")

    def test_a_decline_is_a_value(self, kit: Kit, declined_method: str) -> None:
        """No exception: that the card was refused is an answer."""
        check_declined(kit.outcome(kit.charge_of(kit.payer(declined_method)), rules.DECLINE_IS_A_VALUE))

    def test_a_declined_charge_took_nothing_and_is_told_so(self, kit: Kit, declined_method: str) -> None:
        """A provider that keeps no declined attempts may find nothing."""
        charge = kit.charge_of(kit.payer(declined_method))
        outcome = kit.outcome(charge, rules.DECLINE_IS_A_VALUE)
        found = kit.found(kit.lookup_of(charge), rules.DECLINE_TAKES_NOTHING)
        check(isinstance(found, Declined | AttemptNotFound), rules.DECLINE_TAKES_NOTHING, f"then {told(found)}")
        taken = kit.taken(charge)
        check(not taken, rules.DECLINE_TAKES_NOTHING, f"{told(outcome)}, but {shown(taken or [])}")

    def test_a_method_nobody_knows_is_declined_hard(self, kit: Kit, payer: Payer, unknown_method: str) -> None:
        """Trying it again is of no use; the customer has to give another."""
        charge = kit.charge_of(evolve(payer, method=unknown_method))
        outcome = kit.outcome(charge, rules.UNKNOWN_METHOD)
        hard = isinstance(outcome, Declined) and outcome.kind is DeclineKind.HARD
        check(hard, rules.UNKNOWN_METHOD, f"the method {unknown_method!r}: {told(outcome)}")

    def test_what_is_under_way_is_pending(self, kit: Kit, pending_method: str | None) -> None:
        """A bank debit is approved days later, or not."""
        if pending_method is None:
            pytest.skip("no pending_method was given")
        charge = kit.charge_of(kit.payer(pending_method))
        outcome = kit.outcome(charge, rules.PENDING)
        check(isinstance(outcome, Pending), rules.PENDING, told(outcome))
        found = kit.found(kit.lookup_of(charge), rules.PENDING)
        check(found == outcome, rules.PENDING, f"{told(outcome)}, and the lookup: {told(found)}")

    def test_what_the_customer_has_to_confirm_is_a_link(self, kit: Kit, action_method: str | None) -> None:
        """The host sends the customer there."""
        if action_method is None:
            pytest.skip("no action_method was given")
        outcome = kit.outcome(kit.charge_of(kit.payer(action_method)), rules.ACTION)
        if not isinstance(outcome, ActionRequired):
            broken(rules.ACTION, told(outcome))
        check(bool(urlsplit(outcome.url).hostname), rules.ACTION, outcome.url)

    def test_a_status_never_seen_is_pending(self, kit: Kit, payer: Payer, broken_network: Break) -> None:
        """Providers invent statuses; neither guess may cost somebody money."""
        charge = kit.charge_of(payer)
        with broken_network(Fault.UNSEEN_STATUS):
            outcome = kit.outcome(charge, rules.UNSEEN_STATUS)
        check(isinstance(outcome, Pending), rules.UNSEEN_STATUS, told(outcome))

    def test_two_attempts_are_two_charges(self, kit: Kit, payer: Payer) -> None:
        """A gateway that merges equal charges loses one of two equal invoices."""
        ids = [kit.paid(payer)[1].gateway_id for _ in range(2)]
        check(ids[0] != ids[1], rules.OWN_CHARGE, f"both are {ids[0]}")

    @requires(Capability.IDEMPOTENCY_KEYS)
    def test_the_same_key_is_the_same_charge(self, kit: Kit, payer: Payer) -> None:
        """Billcore sends again what it does not know the end of."""
        charge = kit.charge_of(payer)
        first, second = (kit.approved(charge, rules.SAME_KEY) for _ in range(2))
        same = first == second
        check(same, rules.SAME_KEY, f"{told(first)} and then {told(second)} for {charge.attempt_id}")
        kit.check_one(charge, rules.SAME_KEY)

    @requires(Capability.IDEMPOTENCY_KEYS)
    def test_a_key_with_another_amount_is_refused(self, kit: Kit, payer: Payer) -> None:
        """A key belongs to one request; answering the old charge would hide that something is wrong."""
        charge, _ = kit.paid(payer)
        answer = asked(kit.gateway, with_amount(charge, charge.amount.minor + 100), rules.KEY_OF_ONE_REQUEST)
        check(isinstance(answer, GatewayMisconfigured), rules.KEY_OF_ONE_REQUEST, told(answer))
        kit.check_one(charge, rules.KEY_OF_ONE_REQUEST)


def check_declined(outcome: Answer, rule: rules.Rule = rules.DECLINE_IS_A_VALUE) -> None:
    """Check that an answer is a decline whose kind follows from its code and advice."""
    __tracebackhide__ = True
    if not isinstance(outcome, Declined):
        broken(rule, told(outcome))
    wanted = KIND_OF_ADVICE.get(outcome.advice, KIND_OF_CODE[outcome.code])
    check(outcome.kind is wanted, rules.DECLINE_CODE, f"{outcome.code} is {wanted}, the decline says {outcome.kind}")
