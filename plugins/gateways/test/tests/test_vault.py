"""With `vault = true` the test gateway keeps methods and charges only kept ones (behaviour 9.7)."""

from datetime import UTC, datetime

import pytest

from billcore.errors import PluginError
from billcore.plugins.gateway import (
    Approved,
    Capability,
    Charge,
    DeclineCode,
    Declined,
    Describe,
    Detach,
    HostedPage,
    MethodNotFound,
    MethodRefused,
    Money,
    Secret,
    Unsupported,
    Vault,
    Verify,
    perform,
    perform_method,
    updates_since,
)
from billcore_gateway_test import Config, ScriptedGateway

USD = Money(4900, "USD")
JANUARY, MAY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def charge(method, number=1):
    key = f"key_{number}"
    return Charge(
        f"pay_{number}", key, USD, method.token, method.customer_id, "inv", gateway_customer=method.gateway_customer
    )


@pytest.fixture
def gateway():
    return ScriptedGateway(Config(vault=True))


def keep(gateway, token="approve", customer="cus_1"):
    return perform_method(gateway, Vault(customer, token))


def test_without_configuration_tokens_are_charged_as_they_are():
    """Nothing is asked of the gateway when a method is added, so a large book of business stays quick."""
    plain = ScriptedGateway()
    assert not plain.capabilities & {Capability.VAULT, Capability.WEBHOOKS, Capability.HOSTED_PAGE}
    with pytest.raises(Unsupported):
        keep(plain)


def test_a_kept_method_is_charged_and_keeping_it_again_is_the_same(gateway):
    method = keep(gateway)
    assert (method.kind, method.brand, method.last4, method.status) == ("card", "visa", "4242", "active")
    assert keep(gateway) == method == perform_method(gateway, Describe(method.token))
    assert perform(gateway, charge(method)) == Approved("test_key_1", 4900, "USD")
    assert keep(gateway, customer="cus_2").token != method.token


def test_only_kept_methods_are_charged_and_only_for_their_own_customer(gateway):
    method = keep(gateway)
    stranger = keep(gateway, customer="cus_2")
    raw = Charge("pay_2", "key_2", USD, "approve", "cus_1", "inv")
    others = Charge("pay_3", "key_3", USD, method.token, "cus_2", "inv", gateway_customer=stranger.gateway_customer)
    for request in (raw, others):
        declined = perform(gateway, request)
        assert isinstance(declined, Declined)
        assert declined.code is DeclineCode.METHOD_UNKNOWN


@pytest.mark.parametrize("token", ["refuse", "refuse:lost_card", "tok_visa", "decline:insuficient_funds", "bank:tok"])
def test_what_is_no_method_is_not_kept(gateway, token):
    with pytest.raises(MethodRefused):
        keep(gateway, token)
    assert gateway.methods() == ()


def test_a_labelled_token_belongs_to_its_first_customer(gateway):
    assert keep(gateway, "approve#blue").token != keep(gateway, "approve#red").token
    with pytest.raises(MethodRefused):
        keep(gateway, "approve#blue", "cus_2")


def test_a_kept_method_still_declines_as_its_token_says(gateway):
    declined = perform(gateway, charge(keep(gateway, "decline:insufficient_funds")))
    assert isinstance(declined, Declined)
    assert declined.code is DeclineCode.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("answer", [{"amounts": (32, 45)}, {"amounts": (45, 32)}, {"code": "SM11AA"}])
def test_a_bank_account_is_verified_before_it_is_charged(gateway, answer):
    account = keep(gateway, "bank")
    assert (account.kind, account.status, account.expires_on) == ("bank_account", "unverified", "")
    declined = perform(gateway, charge(account))
    assert isinstance(declined, Declined)
    assert declined.code is DeclineCode.DEBIT_NOT_AUTHORIZED
    assert perform_method(gateway, Verify(account.token, amounts=(1, 2))).status == "unverified"
    assert perform_method(gateway, Verify(account.token, **answer)).status == "active"
    assert isinstance(perform(gateway, charge(account, 2)), Approved)


def test_three_wrong_answers_disable_a_bank_account(gateway):
    account = keep(gateway, "bank:pending")
    statuses = [perform_method(gateway, Verify(account.token, amounts=(1, 2))).status for _ in range(3)]
    assert statuses == ["unverified", "unverified", "disabled"]
    assert perform_method(gateway, Verify(account.token, amounts=(32, 45))).status == "disabled"


def test_a_forgotten_method_is_gone_and_forgetting_it_again_is_no_error(gateway):
    method = keep(gateway)
    for _ in range(2):
        perform_method(gateway, Detach(method.token))
    perform_method(gateway, Detach("tm_never_there"))
    assert perform_method(gateway, Describe(method.token)) == MethodNotFound(method.token)
    declined = perform(gateway, charge(method))
    assert isinstance(declined, Declined)
    assert declined.code is DeclineCode.REVOKED
    with pytest.raises(MethodRefused):
        perform_method(gateway, Verify(method.token, amounts=(32, 45)))
    assert keep(gateway).token == method.token
    assert isinstance(perform(gateway, charge(method, 2)), Approved)


def test_methods_change_without_anybody_asking_and_are_listed(gateway):
    method = keep(gateway)
    assert updates_since(gateway, JANUARY) == ()
    gateway.change(method.token, MAY, last4="4444", expires_on="2031-05")
    [event] = updates_since(gateway, MAY)
    assert (event.token, event.customer_id) == (method.token, "cus_1")
    assert perform_method(gateway, Describe(method.token)).last4 == "4444"
    gateway.change(method.token, MAY, status="disabled")
    assert isinstance(perform(gateway, charge(method)), Declined)
    with pytest.raises(PluginError):
        gateway.change("tm_never_there", MAY, status="disabled")


def test_a_customer_enters_a_method_on_a_hosted_page():
    gateway = ScriptedGateway(Config(vault=True, webhook_secret=Secret("whsec_1")))
    page = perform_method(gateway, HostedPage("cus_1", "https://shop.example/back"))
    method = gateway.enter(page, "approve")
    assert perform_method(gateway, Describe(method.token)).customer_id == "cus_1"
    assert page.gateway_customer == method.gateway_customer


def test_the_vault_is_in_the_book_and_shared_through_its_file(tmp_path):
    config = Config(book=str(tmp_path / "book.jsonl"), vault=True)
    first, second = ScriptedGateway(config), ScriptedGateway(config)
    method = keep(first)
    perform(second, charge(method))
    assert [one.token for one in second.methods()] == [method.token]
    third = ScriptedGateway(config)
    assert perform_method(third, Describe(method.token)) == method
    assert third.charges() == 1
    for one in (first, second, third):
        one.close()
