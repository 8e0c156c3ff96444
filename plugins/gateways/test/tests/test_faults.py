"""Every verb can be made to fail in every way, by token, by script, or as a broken network."""

import threading

import pytest

from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Cancel,
    Capture,
    Charge,
    DeclineCode,
    Declined,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    MethodRefused,
    Money,
    Pending,
    Refund,
    Vault,
    Vaulted,
    Void,
    perform,
    perform_method,
)
from billcore_gateway_test import Config, ScriptedGateway

USD = Money(4900, "USD")
UNKNOWN = ["timeout_before", "reset_before", "error_500_before", "garbage_before", "garbage"]
UNKNOWN_AFTER = ["timeout_after", "reset_after", "error_500_after", "garbage_after"]
SURELY_NOT = {
    "unreachable": GatewayNotSent,
    "rate_limited": GatewayNotSent,
    "misconfigured": GatewayMisconfigured,
}


def charge(number=1, token="approve", customer="cus_1"):
    return Charge(f"pay_{number}", f"key_{number}", USD, token, customer, f"inv_{number}")


def refund(number=1, amount=USD):
    return Refund(f"ref_{number}", f"rkey_{number}", amount, "test_key_1")


@pytest.fixture
def gateway():
    return ScriptedGateway(Config(vault=False))


@pytest.mark.parametrize("fault", UNKNOWN + UNKNOWN_AFTER)
def test_a_token_loses_the_answer_of_a_charge(gateway, fault):
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge(token=fault))
    moved = fault in UNKNOWN_AFTER
    assert gateway.charges() == moved
    assert gateway.lookup(Lookup("pay_1", USD)) == (
        Approved("test_key_1", 4900, "USD") if moved else AttemptNotFound("pay_1")
    )


@pytest.mark.parametrize("fault", SURELY_NOT)
def test_a_token_refuses_the_call_itself(gateway, fault):
    with pytest.raises(SURELY_NOT[fault]):
        perform(gateway, charge(token=fault))
    assert gateway.requests() == ()


@pytest.mark.parametrize("fault", UNKNOWN + UNKNOWN_AFTER)
@pytest.mark.parametrize("how", ["script", "fail", "token"])
def test_a_refund_is_lost_by_script_or_by_the_charges_token(gateway, fault, how):
    perform(gateway, charge(token=f"approve,refund={fault}" if how == "token" else "approve"))
    if how == "script":
        gateway.script([fault])
    elif how == "fail":
        gateway.fail("refund", fault)
    with pytest.raises(GatewayUnknown):
        perform(gateway, refund())
    assert gateway.taken("USD").minor == (0 if fault in UNKNOWN_AFTER else 4900)
    if how == "token" and fault in UNKNOWN:
        return
    assert perform(gateway, refund()) == Approved("test_rkey_1", 4900, "USD")
    assert gateway.taken("USD").minor == 0


def test_a_lookup_fails_or_finds_nothing_yet(gateway):
    """A provider's search lags behind: "not found" says little about what was charged a moment ago."""
    perform(gateway, charge(1))
    gateway.fail("lookup", "timeout_before", "rate_limited", "not_found", "approve")
    for expected in (GatewayUnknown, GatewayNotSent):
        with pytest.raises(expected):
            perform(gateway, Lookup("pay_1", USD))
    assert perform(gateway, Lookup("pay_1", USD)) == AttemptNotFound("pay_1")
    assert perform(gateway, Lookup("pay_1", USD)) == Approved("test_key_1", 4900, "USD")
    perform(gateway, charge(2, "approve,lookup=not_found"))
    assert perform(gateway, Lookup("pay_2", USD)) == AttemptNotFound("pay_2")


def test_a_cancel_may_have_worked_when_its_answer_is_lost(gateway):
    perform(gateway, charge(1, "pending,cancel=reset_after"))
    with pytest.raises(GatewayUnknown):
        perform(gateway, Cancel("pay_1", USD))
    found = perform(gateway, Lookup("pay_1", USD))
    assert isinstance(found, Declined)
    assert found.code is DeclineCode.CANCELED


@pytest.mark.parametrize("fault", [*UNKNOWN, *UNKNOWN_AFTER, *SURELY_NOT])
def test_a_broken_network_breaks_every_call_and_repeated_keys_too(gateway, fault):
    perform(gateway, charge(1))
    expected = SURELY_NOT.get(fault, GatewayUnknown)
    with gateway.broken(fault):
        for request in (charge(1), charge(2), refund(), Lookup("pay_1", USD)):
            with pytest.raises(expected):
                perform(gateway, request)
    assert gateway.charges() == (2 if fault in UNKNOWN_AFTER else 1)
    assert perform(gateway, charge(2)) == Approved("test_key_2", 4900, "USD")
    assert gateway.charges() == 2


def test_an_answer_that_comes_late_was_charged_before_it_came(gateway):
    perform(gateway, charge(1, "late:approve"))
    assert gateway.charges() == 0
    assert perform(gateway, Lookup("pay_1", USD)) == Approved("test_key_1", 4900, "USD")
    assert perform(gateway, charge(2, "late:decline:lost_card")) == Pending("test_key_2")
    again = perform(gateway, charge(2, "late:decline:lost_card"))
    assert isinstance(again, Declined)
    assert again.code is DeclineCode.LOST_CARD
    assert gateway.charges() == 1


@pytest.mark.parametrize("step", ["fails_later", "fails_later:account_closed", "late:decline:account_closed"])
def test_a_refund_fails_later_and_the_money_is_back_with_the_seller(gateway, step):
    perform(gateway, charge(token=f"approve,refund={step}"))
    first = perform(gateway, refund())
    assert isinstance(first, Approved if step.startswith("fails") else Pending)
    found = perform(gateway, Lookup("ref_1", USD, verb="refund"))
    assert isinstance(found, Declined)
    assert found.code is DeclineCode.ACCOUNT_CLOSED
    assert gateway.taken("USD") == USD
    assert isinstance(perform(gateway, refund(2)), Approved | Pending)


def test_a_slow_request_arrives_late_and_another_with_its_key_may_be_first(gateway):
    gateway.fail("charge", "slow:0.3", "approve")
    outcomes = []
    slow = threading.Thread(target=lambda: outcomes.append(perform(gateway, charge())))
    slow.start()
    while not gateway.charges():
        perform(gateway, charge())
    slow.join()
    assert outcomes == [Approved("test_key_1", 4900, "USD")]
    assert gateway.charges() == 1


def test_an_authorized_charge_is_captured_in_part_once(gateway):
    assert perform(gateway, charge(token="authorize")) == Pending("test_key_1")
    assert gateway.charges() == 0
    assert isinstance(perform(gateway, refund()), Declined)
    too_much = Capture("cap_1", "ckey_1", Money(4901, "USD"), "test_key_1")
    assert isinstance(perform(gateway, too_much), Declined)
    part = Capture("cap_2", "ckey_2", Money(1900, "USD"), "test_key_1")
    assert perform(gateway, part) == perform(gateway, part) == Approved("test_ckey_2", 1900, "USD")
    assert perform(gateway, Lookup("pay_1", USD)) == Approved("test_key_1", 1900, "USD")
    assert gateway.taken("USD").minor == 1900
    assert isinstance(perform(gateway, Capture("cap_3", "ckey_3", Money(1, "USD"), "test_key_1")), Declined)


@pytest.mark.parametrize("how", ["void", "cancel"])
def test_an_authorized_charge_is_released(gateway, how):
    perform(gateway, charge(token="authorize"))
    if how == "void":
        assert perform(gateway, Void("v_1", "vkey_1", USD, "test_key_1")) == Approved("test_vkey_1", 4900, "USD")
    else:
        perform(gateway, Cancel("pay_1", USD))
    found = perform(gateway, Lookup("pay_1", USD))
    assert isinstance(found, Declined)
    assert found.code is DeclineCode.CANCELED
    assert gateway.taken("USD").minor == 0
    assert gateway.book() == ()


@pytest.mark.parametrize(
    ("verb", "outcome"),
    [("charg", "approve"), ("lookup", "decline"), ("vault", "pending"), ("charge", "timeout"), ("refund", "late:x")],
)
def test_a_fault_with_an_error_is_refused(gateway, verb, outcome):
    with pytest.raises(GatewayMisconfigured):
        gateway.fail(verb, outcome)
    declined = perform(gateway, charge(token=f"approve,{verb}={outcome}"))
    assert isinstance(declined, Declined)
    assert declined.code is DeclineCode.METHOD_UNKNOWN


def test_vaulting_may_have_worked_when_its_answer_is_lost():
    gateway = ScriptedGateway(Config(vault=True))
    with pytest.raises(GatewayUnknown):
        perform_method(gateway, Vault("cus_1", "approve,vault=timeout_before"))
    assert gateway.methods() == ()
    gateway.fail("vault", "timeout_after", "garbage_after", "unreachable")
    for expected in (GatewayUnknown, GatewayUnknown, GatewayNotSent):
        with pytest.raises(expected):
            perform_method(gateway, Vault("cus_1", "approve"))
    assert isinstance(perform_method(gateway, Vault("cus_1", "approve")), Vaulted)
    assert len(gateway.methods()) == 1
    with pytest.raises(MethodRefused):
        perform_method(gateway, Vault("cus_1", "refuse:lost_card"))
