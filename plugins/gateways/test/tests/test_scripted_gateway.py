"""The test gateway does what token and script say; its book is the truth to compare other books with."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billcore.errors import PluginError
from billcore.plugins.calls import deliver
from billcore.plugins.gateway import (
    ActionRequired,
    Approved,
    AttemptNotFound,
    Cancel,
    Capability,
    Charge,
    DeclineCode,
    Declined,
    DeclineKind,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Lookup,
    Money,
    Pending,
    Refund,
    Scripts,
    Void,
    key_window_s,
    perform,
)
from billcore.plugins.registry import Registry
from billcore_gateway_test import Config, ScriptedGateway

USD = Money(4900, "USD")


def charge(number=1, token="approve", amount=USD, customer="cus_1", key=None):
    return Charge(f"pay_{number}", key or f"key_{number}", amount, token, customer, f"inv_{number}")


def refund(number, amount, gateway_id):
    return Refund(f"ref_{number}", f"refund_{number}", amount, gateway_id)


@pytest.fixture
def gateway():
    return ScriptedGateway()


def test_it_is_found_by_its_entry_point_alone():
    registry = Registry()
    gateway = registry.gateway("test")
    assert isinstance(gateway, ScriptedGateway)
    assert isinstance(gateway, Scripts)
    assert Capability.SCRIPT in gateway.capabilities
    assert key_window_s(gateway) == 86_400
    [row] = [row for row in registry.report() if row.name == "test"]
    assert (row.status, row.distribution) == ("active", "billcore-gateway-test")
    with pytest.raises(PluginError, match="Did you mean 'book'"):
        registry.gateway("test", {"bok": "x"})


def test_an_approved_charge_is_in_the_book_and_found_by_our_id(gateway):
    outcome = perform(gateway, charge())
    assert outcome == Approved("test_key_1", 4900, "USD")
    assert gateway.lookup(Lookup("pay_1", USD)) == outcome
    [movement] = gateway.book()
    assert (movement.verb, movement.key, movement.attempt_id) == ("charge", "key_1", "pay_1")
    assert (movement.amount, movement.customer_id) == (USD, "cus_1")


@pytest.mark.parametrize(
    ("token", "amount", "moved"),
    [
        ("approve:12.50", USD, 1250),
        ("approve:100", USD, 4900),
        ("approve:30", Money(49, "JPY"), 30),
        ("approve:1.234", Money(4900, "KWD"), 1234),
    ],
)
def test_a_partial_approval_takes_at_most_what_was_asked(gateway, token, amount, moved):
    outcome = perform(gateway, charge(token=token, amount=amount))
    assert outcome == Approved("test_key_1", moved, amount.currency)
    assert gateway.taken(amount.currency).minor == moved


@pytest.mark.parametrize(
    ("token", "kind", "code"),
    [
        ("decline:insufficient_funds", DeclineKind.SOFT, DeclineCode.INSUFFICIENT_FUNDS),
        ("decline:expired_card", DeclineKind.HARD, DeclineCode.EXPIRED_CARD),
        ("decline:authentication_required", DeclineKind.NEEDS_CUSTOMER, DeclineCode.AUTHENTICATION_REQUIRED),
        ("decline", DeclineKind.SOFT, DeclineCode.GENERIC_DECLINE),
        ("decline:card_declined", DeclineKind.SOFT, DeclineCode.GENERIC_DECLINE),
        ("decline:revocation_of_authorization", DeclineKind.HARD, DeclineCode.REVOKED),
        ("decline:no_such_code", DeclineKind.SOFT, DeclineCode.GENERIC_DECLINE),
        ("decline:insuficient_funds", DeclineKind.HARD, DeclineCode.METHOD_UNKNOWN),
        ("tok_visa", DeclineKind.HARD, DeclineCode.METHOD_UNKNOWN),
    ],
)
def test_a_decline_is_a_value_with_a_standard_code(gateway, token, kind, code):
    outcome = perform(gateway, charge(token=token))
    assert isinstance(outcome, Declined)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert gateway.lookup(Lookup("pay_1", USD)) == outcome
    assert gateway.book() == ()


def test_an_unknown_token_names_the_nearest(gateway):
    outcome = perform(gateway, charge(token="aprove"))
    assert isinstance(outcome, Declined)
    assert "did you mean 'approve'?" in outcome.message


def test_pending_and_action_wait_for_their_end(gateway):
    assert perform(gateway, charge(1, "pending")) == Pending("test_key_1")
    assert isinstance(perform(gateway, charge(2, "action")), ActionRequired)
    assert gateway.book() == ()
    assert (
        gateway.settle("pay_1", "approve")
        == gateway.lookup(Lookup("pay_1", USD))
        == Approved("test_key_1", 4900, "USD")
    )
    ended = gateway.settle("pay_2", "decline:lost_card")
    assert isinstance(ended, Declined)
    assert gateway.lookup(Lookup("pay_2", USD)) == ended
    assert gateway.charges() == 1


@pytest.mark.parametrize(
    ("token", "moved"),
    [("timeout_before", 0), ("garbage", 0), ("timeout_after_charge", 4900), ("error_500_after_charge", 4900)],
)
def test_a_lost_answer_leaves_the_outcome_unknown_and_the_book_tells_the_truth(gateway, token, moved):
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge(token=token))
    assert gateway.taken("USD").minor == moved
    expected = Approved("test_key_1", 4900, "USD") if moved else AttemptNotFound("pay_1")
    assert gateway.lookup(Lookup("pay_1", USD)) == expected


def test_the_same_key_after_a_lost_answer_charges_once(gateway):
    gateway.script(["timeout_after_charge"])
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge())
    assert perform(gateway, charge()) == Approved("test_key_1", 4900, "USD")
    assert gateway.charges() == 1


def test_what_never_arrived_is_decided_anew(gateway):
    gateway.script(["timeout_before"])
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge())
    assert perform(gateway, charge()) == Approved("test_key_1", 4900, "USD")


def test_a_lost_attempt_can_still_be_settled(gateway):
    with pytest.raises(GatewayUnknown):
        perform(gateway, charge(token="timeout_before"))
    gateway.settle("pay_1", "approve:10.00")
    assert gateway.lookup(Lookup("pay_1", USD)) == Approved("test_key_1", 1000, "USD")


def test_an_unreachable_gateway_was_surely_not_asked(gateway):
    with pytest.raises(GatewayNotSent):
        perform(gateway, charge(token="unreachable"))
    assert gateway.lookup(Lookup("pay_1", USD)) == AttemptNotFound("pay_1")


def test_a_hanging_charge_has_moved_its_money(gateway):
    [delivered] = deliver(gateway, [charge(token="hang:3")], deadline_s=1)
    assert isinstance(delivered.result, GatewayUnknown)
    assert gateway.lookup(Lookup("pay_1", USD)) == Approved("test_key_1", 4900, "USD")
    assert perform(gateway, charge(2, "hang:0")) == Approved("test_key_2", 4900, "USD")


def test_the_same_key_with_another_amount_is_refused(gateway):
    perform(gateway, charge())
    with pytest.raises(GatewayMisconfigured, match=r"49\.00 USD, not for a charge of 50\.00 USD"):
        perform(gateway, charge(amount=Money(5000, "USD")))
    assert gateway.charges() == 1


def test_a_fresh_key_is_a_second_charge_and_the_book_shows_it(gateway):
    """The mistake the book is there to find: a retry with a new key charges again."""
    perform(gateway, charge(key="first"))
    perform(gateway, charge(key="second"))
    assert [movement.attempt_id for movement in gateway.book()] == ["pay_1", "pay_1"]


def test_a_script_beats_the_token_then_its_default_does(gateway):
    gateway.script(["decline:insufficient_funds", "pending"], default="approve")
    outcomes = [type(perform(gateway, charge(n, "decline:lost_card"))) for n in range(4)]
    assert outcomes == [Declined, Pending, Approved, Approved]


def test_a_script_without_default_gives_way_to_the_token(gateway):
    gateway.script(["approve"], default=None)
    assert [type(perform(gateway, charge(n, "decline"))) for n in range(2)] == [Approved, Declined]


def test_a_customers_script_is_for_that_customer_alone(gateway):
    gateway.script(["decline"], customer_id="cus_2")
    assert isinstance(perform(gateway, charge(1, customer="cus_1")), Approved)
    assert isinstance(perform(gateway, charge(2, customer="cus_2")), Declined)


def test_a_repeated_key_does_not_use_up_the_script(gateway):
    gateway.script(["pending", "decline"])
    assert perform(gateway, charge(1)) == perform(gateway, charge(1))
    assert isinstance(perform(gateway, charge(2)), Declined)


@pytest.mark.parametrize(
    "text", ["aprove", "decline:insuficient_funds", "approve:-1", "approve:0", "hang:long", "pending:1"]
)
def test_a_script_with_an_error_is_refused_whole(gateway, text):
    with pytest.raises(GatewayMisconfigured):
        gateway.script(["decline", text])
    assert isinstance(perform(gateway, charge()), Approved)


def test_only_what_has_not_ended_is_settled(gateway):
    perform(gateway, charge())
    for attempt_id, outcome in [
        ("pay_1", "decline"),
        ("pay_9", "approve"),
        ("pay_1", "pending"),
        ("pay_1", "x"),
    ]:
        with pytest.raises(GatewayMisconfigured):
            gateway.settle(attempt_id, outcome)
    assert gateway.charges() == 1


def test_refunds_never_exceed_the_charge(gateway):
    perform(gateway, charge())
    assert isinstance(perform(gateway, refund(1, Money(3000, "USD"), "test_key_1")), Approved)
    assert isinstance(perform(gateway, refund(2, Money(1901, "USD"), "test_key_1")), Declined)
    assert isinstance(perform(gateway, refund(3, Money(1900, "EUR"), "test_key_1")), Declined)
    assert isinstance(perform(gateway, refund(4, Money(1900, "USD"), "test_key_1")), Approved)
    assert isinstance(perform(gateway, refund(5, Money(1, "USD"), "test_no_such")), Declined)
    assert gateway.taken("USD") == Money(0, "USD")


def test_a_pending_refund_holds_its_amount_and_may_fail_late(gateway):
    perform(gateway, charge())
    gateway.script(["pending", "approve"])
    assert perform(gateway, refund(1, USD, "test_key_1")) == Pending("test_refund_1")
    assert isinstance(perform(gateway, refund(2, Money(1, "USD"), "test_key_1")), Declined)
    gateway.settle("ref_1", "approve")
    assert gateway.taken("USD") == Money(0, "USD")
    gateway.settle("ref_1", "decline:account_closed")
    assert gateway.taken("USD") == USD
    assert isinstance(perform(gateway, refund(3, USD, "test_key_1")), Approved)


def test_a_void_gives_all_back_once(gateway):
    perform(gateway, charge())
    assert isinstance(perform(gateway, Void("v_1", "void_1", Money(100, "USD"), "test_key_1")), Declined)
    void = Void("v_2", "void_2", USD, "test_key_1")
    assert perform(gateway, void) == perform(gateway, void) == Approved("test_void_2", 4900, "USD")
    assert isinstance(perform(gateway, refund(1, Money(1, "USD"), "test_key_1")), Declined)
    assert gateway.taken("USD") == Money(0, "USD")


def test_a_canceled_attempt_cannot_succeed_any_more(gateway):
    perform(gateway, charge(1, "action"))
    ended = perform(gateway, Cancel("pay_1", USD))
    assert isinstance(ended, Declined)
    assert ended.code is DeclineCode.CANCELED
    assert perform(gateway, Cancel("pay_1", USD)) == gateway.lookup(Lookup("pay_1", USD)) == ended
    perform(gateway, charge(2))
    assert perform(gateway, Cancel("pay_2", USD)) == Approved("test_key_2", 4900, "USD")
    assert perform(gateway, Cancel("pay_3", USD)) == AttemptNotFound("pay_3")
    with pytest.raises(GatewayMisconfigured):
        gateway.settle("pay_1", "approve")


def test_a_share_declines_about_its_percentage_and_always_the_same_attempts():
    def declined(token):
        gateway = ScriptedGateway()
        outcomes = {n: perform(gateway, charge(n, token)) for n in range(2000)}
        return {n for n, outcome in outcomes.items() if isinstance(outcome, Declined)}

    first = declined("decline_share:5")
    assert first == declined("decline_share:5")
    assert first != declined("decline_share:5:other")
    assert 60 <= len(first) <= 140
    assert declined("decline_share:0") == set()
    assert len(declined("decline_share:100")) == 2000


@settings(deadline=None)  # threads of a busy machine are no property of the book
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["approve", "timeout_after_charge", "decline"]))))
def test_a_key_is_charged_at_most_once_whatever_is_sent(calls):
    gateway = ScriptedGateway()
    for number, token in calls:
        list(deliver(gateway, [charge(number, token)], threads=1))
    keys = [movement.key for movement in gateway.book()]
    assert len(keys) == len(set(keys)) == gateway.charges()
    assert gateway.taken("USD").minor == 4900 * len(keys)


def test_twenty_threads_with_one_key_charge_once(gateway):
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda _: perform(gateway, charge()), range(400)))
    assert set(outcomes) == {Approved("test_key_1", 4900, "USD")}
    assert gateway.charges() == 1


def test_two_gateways_share_nothing():
    first, second = ScriptedGateway(), ScriptedGateway()
    perform(first, charge())
    first.script(["decline"])
    assert second.lookup(Lookup("pay_1", USD)) == AttemptNotFound("pay_1")
    assert isinstance(perform(second, charge(2)), Approved)


def test_a_bounded_book_forgets_the_oldest_but_not_what_is_open_nor_the_totals():
    gateway = ScriptedGateway(Config(remember=10))
    perform(gateway, charge(0, "pending"))
    for number in range(1, 101):
        perform(gateway, charge(number))
    assert gateway.charges() == 100
    assert gateway.taken("USD") == Money(490_000, "USD")
    assert len(gateway.book()) <= 10
    assert gateway.lookup(Lookup("pay_100", USD)) == Approved("test_key_100", 4900, "USD")
    assert gateway.lookup(Lookup("pay_1", USD)) == AttemptNotFound("pay_1")
    assert gateway.settle("pay_0", "approve") == Approved("test_key_0", 4900, "USD")


@pytest.mark.parametrize("config", [Config(remember=0), Config(remember=5, book="book.jsonl")])
def test_a_book_is_bounded_only_in_memory(config):
    with pytest.raises(GatewayMisconfigured):
        ScriptedGateway(config)
