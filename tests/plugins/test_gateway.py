"""What the core accepts from a gateway, and what it makes of the rest (behaviour 9.2)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.plugins.decline import KIND_OF_CODE, Advice, DeclineCode, Declined, DeclineKind, declined
from billcore.plugins.gateway import (
    VERBS,
    ActionRequired,
    Approved,
    AttemptNotFound,
    Cancel,
    Capability,
    Capture,
    Charge,
    GatewayUnknown,
    Lookup,
    Money,
    Pending,
    Refund,
    Unsupported,
    Void,
    checked_outcome,
    key_window_s,
    perform,
)

USD = Money(4900, "USD")
CHARGE = Charge("pay_1", "key_1", USD, "tok", "cus_1", "inv_1")


class Plain:
    """A gateway with the two mandatory verbs, answering whatever it is given."""

    def __init__(self, answer, capabilities=()):
        self.answer = answer
        self.capabilities = frozenset(capabilities)

    def charge(self, request):
        return self.answer

    def lookup(self, request):
        return self.answer


class Able(Plain):
    key_window_s = 3600

    def refund(self, request):
        return self.answer

    capture = void = cancel = refund


@pytest.mark.parametrize(
    "outcome",
    [
        Approved("ch_1", 4900, "USD"),
        Approved("ch_1", 1, "USD"),
        Pending("ch_1"),
        ActionRequired("ch_1", "https://pay.example/3ds"),
        declined(DeclineCode.INSUFFICIENT_FUNDS, "no"),
    ],
)
def test_an_outcome_of_the_contract_passes_unchanged(outcome):
    assert checked_outcome(CHARGE, outcome) is outcome
    assert perform(Plain(outcome), CHARGE) is outcome


class Sly(Approved):
    """A subclass may answer differently each time it is asked."""


NONSENSE = [
    None,
    {"status": "ok"},
    "approved",
    Approved,
    Approved("ch_1", 0, "USD"),
    Approved("ch_1", -4900, "USD"),
    Approved("ch_1", 4901, "USD"),
    Approved("ch_1", 4900, "EUR"),
    Approved("ch_1", 4900.0, "USD"),
    Approved("ch_1", float("nan"), "USD"),
    Approved("ch_1", True, "USD"),
    Approved("ch_1", Decimal(4900), "USD"),
    Approved("", 4900, "USD"),
    Approved(None, 4900, "USD"),
    Sly("ch_1", 4900, "USD"),
    Pending(""),
    ActionRequired("ch_1", "javascript:alert(1)"),
    ActionRequired("ch_1", None),
    Declined("hard", "lost_card"),
    Declined(DeclineKind.HARD, "lost_card"),
    Declined(DeclineKind.HARD, DeclineCode.LOST_CARD, None),
    AttemptNotFound("pay_1"),
]


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_nonsense_leaves_the_outcome_unknown(answer):
    """Whatever a gateway answers beside the contract, the money may have moved."""
    with pytest.raises(GatewayUnknown) as unknown:
        perform(Plain(answer), CHARGE)
    assert unknown.value.facts["attempt_id"] == "pay_1"


@given(st.integers(), st.sampled_from(["USD", "EUR", "usd", ""]))
def test_approved_amounts_stay_within_what_was_asked(minor, currency):
    outcome = Approved("ch_1", minor, currency)
    if 0 < minor <= USD.minor and currency == "USD":
        assert checked_outcome(CHARGE, outcome) is outcome
    else:
        with pytest.raises(GatewayUnknown):
            checked_outcome(CHARGE, outcome)


def test_an_answer_whose_repr_raises_is_reported_all_the_same():
    class Bomb:
        def __repr__(self):
            raise SystemExit

    with pytest.raises(GatewayUnknown, match="Bomb"):
        checked_outcome(CHARGE, Bomb())


def test_only_a_lookup_may_find_nothing_and_only_for_its_own_attempt():
    lookup = Lookup("pay_1", USD)
    assert perform(Plain(AttemptNotFound("pay_1")), lookup) == AttemptNotFound("pay_1")
    with pytest.raises(GatewayUnknown):
        perform(Plain(AttemptNotFound("pay_2")), lookup)
    assert perform(Plain(Approved("ch_1", 4900, "USD")), lookup) == Approved("ch_1", 4900, "USD")


REQUESTS = [
    (Capability.REFUND, Refund("ref_1", "key_2", USD, "ch_1")),
    (Capability.CAPTURE, Capture("cap_1", "key_2", USD, "ch_1")),
    (Capability.VOID, Void("voi_1", "key_2", USD, "ch_1")),
    (Capability.CANCEL, Cancel("pay_1", USD)),
]


@pytest.mark.parametrize(("capability", "request_"), REQUESTS)
def test_a_verb_is_called_only_when_it_is_declared(capability, request_):
    """Having a method is not enough: what is declared counts, so that nothing is offered by accident."""
    outcome = Approved("ch_1", 4900, "USD")
    assert perform(Able(outcome, [capability]), request_) is outcome
    for gateway in (Able(outcome), Plain(outcome), Plain(outcome, [capability])):
        with pytest.raises(Unsupported) as refused:
            perform(gateway, request_)
        assert refused.value.code == "unsupported_capability"


def test_keys_may_be_sent_again_only_where_the_gateway_keeps_them():
    assert key_window_s(Able(None, [Capability.IDEMPOTENCY_KEYS])) == 3600
    assert key_window_s(Able(None)) == 0


def test_every_capability_says_what_it_promises():
    assert set(VERBS) == set(Capability)


def test_every_code_has_a_kind_and_advice_overrides_it():
    assert set(KIND_OF_CODE) == set(DeclineCode)
    assert declined(DeclineCode.EXPIRED_CARD).kind is DeclineKind.HARD
    assert declined(DeclineCode.INSUFFICIENT_FUNDS).kind is DeclineKind.SOFT
    assert declined(DeclineCode.AUTHENTICATION_REQUIRED).kind is DeclineKind.NEEDS_CUSTOMER
    advised = declined(DeclineCode.INSUFFICIENT_FUNDS, advice=Advice.DO_NOT_TRY_AGAIN)
    assert advised.kind is DeclineKind.HARD


def test_a_request_cannot_be_changed_by_the_plugin_it_is_given_to():
    metadata = {"order": "1"}
    charge = Charge("pay_1", "key_1", USD, "tok", "cus_1", "inv_1", metadata=metadata)
    metadata["order"] = "2"
    assert charge.metadata == {"order": "1"}
    with pytest.raises(TypeError):
        charge.metadata["order"] = "3"
    with pytest.raises(AttributeError):
        charge.amount = Money(1, "USD")
