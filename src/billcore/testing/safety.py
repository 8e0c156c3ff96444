"""Checks of what no single call shows: secrets in errors and logs, threads, objects that share state."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest

from billcore.plugins.gateway import (
    Approved,
    Capability,
    Charge,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    MethodRefused,
    Money,
    Pending,
    Vault,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, Payer, asked, asked_method, told
from billcore.testing.deliveries import WebhookSender
from billcore.testing.faults import Fault
from billcore.testing.fixtures import Break, GatewayFixtures, Open, requires
from billcore.testing.rules import check
from billcore.testing.secrecy import everything_logged, everything_told, leaks
from billcore.testing.webhooks import rejected

T = TypeVar("T")

THREADS = 8


class Safety(GatewayFixtures):
    """Secrets, threads, state."""

    @pytest.mark.parametrize(
        "fault",
        [
            Fault.UNREACHABLE,
            Fault.UNAUTHORIZED,
            Fault.RATE_LIMITED,
            Fault.RESET_BEFORE,
            Fault.ERROR_500_BEFORE,
            Fault.GARBAGE_BEFORE,
        ],
    )
    def test_secrets_stay_out_of_errors_and_logs(
        self,
        kit: Kit,
        payer: Payer,
        broken_network: Break,
        secrets: tuple[str, ...],
        capfd: pytest.CaptureFixture[str],
        fault: Fault,
    ) -> None:
        """Errors end in logs, in error trackers and on the screens of people who may not see the key."""
        if not secrets:
            pytest.skip("the configuration has no Secret")
        charge = kit.charge_of(payer)
        with everything_logged() as logged, broken_network(fault):
            answers: list[object] = [asked(kit.gateway, one) for one in (charge, kit.lookup_of(charge))]
            if Capability.VAULT in kit.gateway.capabilities:
                answers.append(_vaulted(kit, payer))
        errors = [one for one in answers if isinstance(one, BaseException)]
        _check_quiet(secrets, "an error", [everything_told(error) for error in errors])
        _check_quiet(secrets, "a log line", logged)
        _check_quiet(secrets, "what was printed", list(capfd.readouterr()))

    def test_secrets_stay_out_of_what_is_logged_when_all_goes_well(
        self, kit: Kit, payer: Payer, secrets: tuple[str, ...], capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Debug logs are switched on when something is wrong, and then sent around."""
        if not secrets:
            pytest.skip("the configuration has no Secret")
        with everything_logged() as logged:
            charge, _ = kit.paid(payer)
            kit.found(kit.lookup_of(charge), rules.LOOKUP_AGREES)
        _check_quiet(secrets, "a log line", logged)
        _check_quiet(secrets, "what was printed", list(capfd.readouterr()))

    @requires(Capability.WEBHOOKS)
    def test_secrets_stay_out_of_rejected_webhooks(
        self, kit: Kit, webhook_sender: WebhookSender, secrets: tuple[str, ...]
    ) -> None:
        """A forger must not be told what the signature should have been."""
        with everything_logged() as logged:
            delivery = webhook_sender.forged(b"{}", kit.now())
            rejected(kit, delivery, rules.WEBHOOK_SIGNATURE, "forged")
        _check_quiet(secrets, "a log line", logged)

    def test_threads_get_their_own_answers(self, kit: Kit, payer: Payer) -> None:
        """Charges of different amounts, all at once; then all are looked up at once."""
        currency = kit.amount.currency
        charges = [kit.charge_of(payer, Money(kit.amount.minor - number, currency)) for number in range(THREADS)]

        def charged(charge: Charge) -> object:
            return asked(kit.gateway, charge, rules.THREADS, rules.THREADS)

        def found(charge: Charge) -> object:
            return asked(kit.gateway, kit.lookup_of(charge), rules.THREADS, rules.THREADS)

        outcomes = at_once(charged, charges)
        for charge, outcome, answer in zip(charges, outcomes, at_once(found, charges), strict=True):
            own = isinstance(outcome, Approved) and outcome.amount_minor == charge.amount.minor
            check(own, rules.THREADS, f"{charge.amount} was asked for: {told(outcome)}")
            check(answer == outcome, rules.THREADS, f"{told(outcome)}, and the lookup: {told(answer)}")
            kit.check_one(charge, rules.THREADS)

    @requires(Capability.IDEMPOTENCY_KEYS)
    def test_one_key_from_many_threads_is_one_charge(self, kit: Kit, payer: Payer) -> None:
        """A provider may refuse all but one of them; it may not take the money twice."""
        charge = kit.charge_of(payer)

        def charged(one: Charge) -> object:
            return asked(kit.gateway, one, rules.SAME_KEY)

        results = [*at_once(charged, [charge] * THREADS), kit.approved(charge, rules.SAME_KEY)]
        allowed = Approved | Pending | GatewayUnknown | GatewayNotSent
        strange = [told(one) for one in results if not isinstance(one, allowed)]
        check(not strange, rules.SAME_KEY, "; ".join(strange))
        ids = {one.gateway_id for one in results if isinstance(one, Approved)}
        check(len(ids) == 1, rules.SAME_KEY, f"one key, sent {THREADS} times at once, became {', '.join(sorted(ids))}")
        kit.check_one(charge, rules.SAME_KEY)

    def test_objects_share_nothing(
        self,
        kit: Kit,
        payer: Payer,
        approved_method: str,
        open_gateway: Open,
        other_config: Mapping[str, object] | None,
    ) -> None:
        """A host bills for several accounts in one process; one opened later must not take over the first."""
        if other_config is None:
            pytest.skip("no other_config was given")
        other = open_gateway(other_config)
        charge, _ = kit.paid(payer)
        theirs = asked(other, kit.lookup_of(charge), rules.OWN_STATE)
        check(not isinstance(theirs, Approved), rules.OWN_STATE, f"the other account's object knows it: {told(theirs)}")
        elsewhere = kit.charge_of(kit.payer(approved_method, gateway=other))
        asked(other, elsewhere, rules.OWN_STATE)
        ours = asked(kit.gateway, kit.lookup_of(elsewhere), rules.OWN_STATE)
        check(not isinstance(ours, Approved), rules.OWN_STATE, f"it knows the other account's charge: {told(ours)}")
        again, _ = kit.paid(payer, kit.half(), rules.OWN_STATE)
        kit.check_one(again, rules.OWN_STATE)


def at_once(call: Callable[[Charge], T], charges: list[Charge]) -> list[T]:
    """What `call` returns for each charge, all of them begun at the same moment on threads of their own."""
    ready = Barrier(len(charges))

    def begun(charge: Charge) -> T:
        ready.wait(timeout=10)
        return call(charge)

    with ThreadPoolExecutor(len(charges)) as threads:
        return list(threads.map(begun, charges))


def _vaulted(kit: Kit, payer: Payer) -> object:
    try:
        return asked_method(kit.gateway, Vault(payer.customer_id, "kit_token", payer.gateway_customer))
    except MethodRefused as error:
        return GatewayMisconfigured(str(error))


def _check_quiet(secrets: tuple[str, ...], where: str, texts: list[str]) -> None:
    __tracebackhide__ = True
    shown = leaks(secrets, "\n".join(texts))
    check(not shown, rules.SECRET, f"{where} shows the secret that begins with {', '.join(shown)}")
