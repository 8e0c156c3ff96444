"""Checks of what follows a charge: refunds, voids, captures, cancellation."""

import pytest

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Capability,
    Capture,
    DeclineCode,
    Declined,
    Lookup,
    Money,
    Pending,
    Refund,
    Void,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer, as_type, asked, told
from billcore.testing.fixtures import GatewayFixtures, requires
from billcore.testing.rules import check

_GIVEN = (Approved, Pending)


class Refunding(GatewayFixtures):
    """Refunds, voids, captures and cancellation of attempts."""

    @requires(Capability.REFUND)
    @pytest.mark.parametrize("part", ["all", "half and half"])
    def test_a_refund_gives_back_what_was_asked(self, kit: Kit, payer: Payer, part: str) -> None:
        """In full, or in parts that add up. A refund may be pending: banks take days."""
        _, paid = kit.paid(payer)
        half = kit.half()
        amounts = [kit.amount] if part == "all" else [half, kit.amount - half]
        for amount in amounts:
            refund = kit.refund_of(paid, amount)
            outcome = kit.outcome(refund, rules.REFUND_AMOUNT)
            check(isinstance(outcome, _GIVEN), rules.REFUND_AMOUNT, f"a refund of {amount}: {told(outcome)}")
            if isinstance(outcome, Approved):
                back = Money(outcome.amount_minor, outcome.currency)
                check(back == amount, rules.REFUND_AMOUNT, f"{amount} was asked for, {back} is reported")

    @requires(Capability.REFUND)
    def test_more_than_is_left_is_declined(self, kit: Kit, payer: Payer) -> None:
        """More than the charge, and a cent more after half of it went back."""
        _, paid = kit.paid(payer)
        cent = Money(1, kit.amount.currency)
        half = kit.half()
        check_refused(kit, kit.refund_of(paid, kit.amount + cent))
        kit.outcome(kit.refund_of(paid, half), rules.REFUND_AMOUNT)
        check_refused(kit, kit.refund_of(paid, kit.amount - half + cent))

    @requires(Capability.REFUND, Capability.IDEMPOTENCY_KEYS)
    def test_the_same_key_is_the_same_refund(self, kit: Kit, payer: Payer) -> None:
        """Half refunded twice with one key leaves the other half."""
        _, paid = kit.paid(payer)
        half = kit.half()
        refund = kit.refund_of(paid, half)
        first, second = (kit.outcome(refund, rules.REFUND_ONCE) for _ in range(2))
        check(first == second, rules.REFUND_ONCE, f"{told(first)}, and then {told(second)}")
        rest = kit.outcome(kit.refund_of(paid, kit.amount - half), rules.REFUND_ONCE)
        check(isinstance(rest, _GIVEN), rules.REFUND_ONCE, f"the other half: {told(rest)}")

    @requires(Capability.REFUND)
    def test_a_refund_is_found_and_its_charge_stays(self, kit: Kit, payer: Payer) -> None:
        """By the refund's own id; the charge was approved and remains so."""
        charge, paid = kit.paid(payer)
        refund = kit.refund_of(paid, kit.amount)
        outcome = kit.outcome(refund, rules.REFUND_AMOUNT)
        lookup = Lookup(
            refund.attempt_id,
            refund.amount,
            "refund",
            gateway_customer=charge.gateway_customer,
            of=paid.gateway_id,
            sent_at=kit.now(),
        )
        found = kit.found(lookup, rules.REFUND_FOUND)
        check(found == outcome, rules.REFUND_FOUND, f"{told(outcome)}, and the lookup: {told(found)}")
        stays = kit.found(kit.lookup_of(charge, paid.gateway_id), rules.REFUND_FOUND)
        check(stays == paid, rules.REFUND_FOUND, f"the charge was {told(paid)}, and is {told(stays)}")

    @requires(Capability.VOID)
    def test_a_void_gives_all_back_or_is_declined(self, kit: Kit, payer: Payer) -> None:
        """A charge that has settled is refunded, not voided."""
        _, paid = kit.paid(payer)
        attempt_id = kit.new_id("voi")
        void = Void(attempt_id, f"kit:{attempt_id}", kit.amount, paid.gateway_id)
        outcome = kit.outcome(void, rules.VOID)
        check(isinstance(outcome, Approved | Declined), rules.VOID, told(outcome))
        if Capability.IDEMPOTENCY_KEYS in kit.gateway.capabilities:
            again = kit.outcome(void, rules.VOID)
            check(again == outcome, rules.VOID, f"{told(outcome)}, and then {told(again)}")

    @requires(Capability.CAPTURE)
    def test_a_capture_takes_what_is_authorized_or_a_part(self, kit: Kit, authorized_method: str) -> None:
        """Never more, and once."""
        charge = kit.charge_of(kit.payer(authorized_method))
        held = as_type(Pending, kit.outcome(charge, rules.CAPTURE), rules.CAPTURE)
        more = kit.outcome(_capture(kit, held, kit.amount + Money(100, kit.amount.currency)), rules.CAPTURE)
        check(isinstance(more, Declined), rules.CAPTURE, f"more than was authorized: {told(more)}")
        capture = _capture(kit, held, kit.half())
        taken = kit.approved(capture, rules.CAPTURE)
        check(taken.amount_minor == kit.half().minor, rules.CAPTURE, f"{kit.half()} was asked for: {told(taken)}")
        found = kit.found(kit.lookup_of(charge, held.gateway_id), rules.CAPTURE)
        amount = found.amount_minor if isinstance(found, Approved) else None
        check(amount == kit.half().minor, rules.CAPTURE, f"the charge is now {told(found)}")

    @requires(Capability.CANCEL)
    def test_a_canceled_attempt_cannot_succeed_any_more(
        self, kit: Kit, pending_method: str | None, action_method: str | None
    ) -> None:
        """The customer who was to confirm closed the page; the invoice is to be tried again."""
        token = action_method or pending_method
        if token is None:
            pytest.skip("neither action_method nor pending_method was given")
        charge = kit.charge_of(kit.payer(token))
        kit.outcome(charge, rules.PENDING)
        answers = [asked(kit.gateway, kit.cancel_of(charge), rules.CANCEL) for _ in range(2)]
        answers.append(kit.found(kit.lookup_of(charge), rules.CANCEL))
        for answer in answers:
            ended = isinstance(answer, Declined) and answer.code is DeclineCode.CANCELED
            check(ended, rules.CANCEL, f"canceled, canceled again, looked up: {', '.join(map(told, answers))}")

    @requires(Capability.CANCEL)
    def test_cancelling_too_late_or_what_never_was_tells_the_truth(self, kit: Kit, payer: Payer) -> None:
        """Money that was taken stays taken."""
        charge, paid = kit.paid(payer)
        late = asked(kit.gateway, kit.cancel_of(charge, paid.gateway_id), rules.CANCEL)
        check(late == paid, rules.CANCEL, f"{told(paid)}, canceled: {told(late)}")
        never = kit.charge_of(payer)
        answer = asked(kit.gateway, kit.cancel_of(never), rules.CANCEL)
        check(answer == AttemptNotFound(never.attempt_id), rules.CANCEL, f"never sent, canceled: {told(answer)}")


def check_refused(kit: Kit, refund: Refund) -> None:
    """Check that a refund is declined as more than is left."""
    __tracebackhide__ = True
    outcome = kit.outcome(refund, rules.REFUND_TOO_MUCH)
    check(isinstance(outcome, Declined), rules.REFUND_TOO_MUCH, f"a refund of {refund.amount}: {told(outcome)}")


def _capture(kit: Kit, held: Pending, amount: Money) -> Capture:
    attempt_id = kit.new_id("cap")
    return Capture(attempt_id, f"kit:{attempt_id}", amount, held.gateway_id)
