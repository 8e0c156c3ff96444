"""Checks of a provider's vault: methods kept once, for their owner alone, and no more of a card than four digits."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve

from billcore.plugins.gateway import (
    Approved,
    Capability,
    Declined,
    Describe,
    Detach,
    HostedPage,
    MethodNotFound,
    MethodRefused,
    Page,
    Vault,
    Vaulted,
    Verify,
    WebhookKind,
    updates_since,
)
from billcore.testing import rules
from billcore.testing.asking import Kit, as_type, asked, asked_method, told
from billcore.testing.fixtures import BankAccount, GatewayFixtures, requires
from billcore.testing.rules import broken, check


class Vaulting(GatewayFixtures):
    """Payment methods at the provider."""

    @requires(Capability.VAULT)
    def test_a_kept_method_is_active_and_charged(self, kit: Kit, approved_method: str) -> None:
        """The token that comes back is what later charges name."""
        kept = _kept(kit, approved_method)
        check(kept.status == "active", rules.VAULTED, f"a new card is {kept.status}")
        check(bool(kept.gateway_customer), rules.VAULT_OWNERS, "the method names no customer of the provider's")
        kit.approved(kit.charge_of(kit.payer(approved_method)), rules.VAULTED)

    @requires(Capability.VAULT)
    def test_a_method_is_kept_once(self, kit: Kit, approved_method: str) -> None:
        """A customer who comes back has one customer at the provider, and one card."""
        request = Vault(kit.new_id("cus"), approved_method)
        first, second = (asked_method(kit.gateway, request, rules.VAULT_ONCE) for _ in range(2))
        same = isinstance(first, Vaulted) and first == second
        check(same, rules.VAULT_ONCE, f"{told(first)}, and then {told(second)}")

    @requires(Capability.VAULT)
    def test_a_refused_token_is_not_kept(self, kit: Kit, refused_token: str) -> None:
        """The customer is asked for another method at once."""
        try:
            answer = asked_method(kit.gateway, Vault(kit.new_id("cus"), refused_token), rules.VAULT_REFUSES)
        except MethodRefused:
            return
        broken(rules.VAULT_REFUSES, f"the token {refused_token!r}: {told(answer)}")

    @requires(Capability.VAULT)
    def test_a_kept_method_is_described_as_it_was_kept(self, kit: Kit, approved_method: str) -> None:
        """And one that is not there is not found."""
        kept = _kept(kit, approved_method)
        described = asked_method(kit.gateway, Describe(kept.token, kept.gateway_customer), rules.DESCRIBED)
        check(described == kept, rules.DESCRIBED, f"{told(kept)}, described: {told(described)}")
        nowhere = asked_method(kit.gateway, Describe("no_such_token", kept.gateway_customer), rules.DESCRIBED)
        check(nowhere == MethodNotFound("no_such_token"), rules.DESCRIBED, f"not there, described: {told(nowhere)}")

    @requires(Capability.VAULT)
    def test_a_forgotten_method_is_gone(self, kit: Kit, approved_method: str) -> None:
        """Forgetting is repeated until it worked, and a charge that was under way fails."""
        payer = kit.payer(approved_method)
        for _ in range(2):
            answer = asked_method(kit.gateway, Detach(payer.method, payer.gateway_customer), rules.DETACHED)
            check(answer is None, rules.DETACHED, told(answer))
        outcome = kit.outcome(kit.charge_of(payer), rules.DETACHED)
        check(isinstance(outcome, Declined), rules.DETACHED, f"charged afterwards: {told(outcome)}")

    @requires(Capability.VAULT)
    def test_a_method_is_charged_for_its_owner_alone(self, kit: Kit, approved_method: str) -> None:
        """A token that ended up with another customer takes nothing."""
        owner, other = kit.payer(approved_method), kit.payer(approved_method)
        own = owner.gateway_customer != other.gateway_customer
        check(own, rules.VAULT_OWNERS, f"two customers are both {owner.gateway_customer} at the provider")
        answer = asked(kit.gateway, kit.charge_of(evolve(other, method=owner.method)), rules.VAULT_OWNERS)
        if owner.method != other.method:
            check(not isinstance(answer, Approved), rules.VAULT_OWNERS, f"another's method: {told(answer)}")

    @requires(Capability.VAULT, Capability.VERIFY)
    @pytest.mark.parametrize("answer", ["amounts", "code"])
    def test_a_bank_account_is_charged_once_it_is_verified(
        self, kit: Kit, bank_account: BankAccount, answer: str
    ) -> None:
        """A wrong answer verifies nothing."""
        right = bank_account.right_amounts if answer == "amounts" else bank_account.right_code
        if not right:
            pytest.skip(f"the provider verifies with no {answer}")
        kept = _kept(kit, bank_account.token)
        check(kept.status == "unverified", rules.VERIFIED, f"a new bank account is {kept.status}")
        wrong = Verify(kept.token, kept.gateway_customer, bank_account.wrong_amounts)
        correct = Verify(kept.token, kept.gateway_customer, bank_account.right_amounts)
        if answer == "code":
            wrong = Verify(kept.token, kept.gateway_customer, code=bank_account.wrong_code or "wrong")
            correct = Verify(kept.token, kept.gateway_customer, code=bank_account.right_code)
        still = _verified(kit, wrong)
        check(still.status == "unverified", rules.VERIFIED, f"after a wrong answer it is {still.status}")
        now = _verified(kit, correct)
        check(now.status == "active", rules.VERIFIED, f"after the right answer it is {now.status}")

    @requires(Capability.VAULT, Capability.VERIFY)
    def test_an_unverified_bank_account_takes_no_money(self, kit: Kit, bank_account: BankAccount) -> None:
        """Billcore does not charge it either; this is the second lock."""
        answer = asked(kit.gateway, kit.charge_of(kit.payer(bank_account.token)), rules.VERIFIED)
        check(not isinstance(answer, Approved), rules.VERIFIED, f"charged unverified: {told(answer)}")

    @requires(Capability.HOSTED_PAGE)
    def test_a_hosted_page_is_a_link(self, kit: Kit, return_url: str) -> None:
        """The provider's page, where the customer enters a method himself."""
        customer_id = kit.new_id("cus")
        answer = asked_method(kit.gateway, HostedPage(customer_id, return_url), rules.HOSTED)
        page = as_type(Page, answer, rules.HOSTED)
        check(page.url.startswith(("https://", "http://")), rules.HOSTED, page.url)

    @requires(Capability.UPDATER)
    def test_methods_that_changed_are_listed(
        self, kit: Kit, approved_method: str, change_method: Callable[[str], object] | None
    ) -> None:
        """Cards are renewed and accounts closed without anybody telling us."""
        if change_method is None:
            pytest.skip("no change_method was given")
        kept = _kept(kit, approved_method)
        since = kit.now() - timedelta(minutes=1)
        change_method(kept.token)
        events = updates_since(kit.gateway, since)
        named = any(event.kind is WebhookKind.METHOD and event.token == kept.token for event in events)
        check(named, rules.UPDATED, f"{kept.token} was changed, and {[event.token for event in events]} are listed")


def _kept(kit: Kit, token: str) -> Vaulted:
    __tracebackhide__ = True
    try:
        answer = asked_method(kit.gateway, Vault(kit.new_id("cus"), token), rules.VAULTED)
    except MethodRefused as error:
        broken(rules.VAULTED, f"vault refused the method {token!r} that was given to be kept: {error.message}")
    return as_type(Vaulted, answer, rules.VAULTED)


def _verified(kit: Kit, request: Verify) -> Vaulted:
    __tracebackhide__ = True
    try:
        return as_type(Vaulted, asked_method(kit.gateway, request, rules.VERIFIED), rules.VERIFIED)
    except MethodRefused as error:
        broken(rules.VERIFIED, f"verify raised {error!s:.200}")
