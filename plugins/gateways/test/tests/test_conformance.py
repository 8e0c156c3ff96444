"""The test gateway keeps the contract: with a vault and without one."""

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from billcore.plugins.gateway import Money
from billcore.testing import BankAccount, Fault, GatewayConformance
from billcore_gateway_test.sender import Sender

OWN_NAMES = {Fault.UNAUTHORIZED: "misconfigured", Fault.SLOW: "slow:1", Fault.UNSEEN_STATUS: "unseen"}


class Given(GatewayConformance):
    """What is the same with and without a vault."""

    @pytest.fixture
    def gateway_name(self):
        return "test"

    @pytest.fixture
    def approved_method(self):
        return "approve"

    @pytest.fixture
    def declined_method(self):
        return "decline:insufficient_funds"

    @pytest.fixture
    def pending_method(self):
        return "pending"

    @pytest.fixture
    def action_method(self):
        return "action"

    @pytest.fixture
    def authorized_method(self):
        return "authorize"

    @pytest.fixture
    def broken_network(self, gateway):
        @contextmanager
        def broken(fault):
            with gateway.broken(OWN_NAMES.get(fault, str(fault))):
                yield

        return broken

    @pytest.fixture
    def provider_charges(self, gateway):
        def charges(attempt_id):
            return [one.amount for one in gateway.book() if (one.verb, one.attempt_id) == ("charge", attempt_id)]

        return charges

    @pytest.fixture
    def other_config(self, config, tmp_path):
        return {**config, "book": str(tmp_path / "other.jsonl")}


class TestWithEverything(Given):
    """A vault, webhooks, hosted pages."""

    @pytest.fixture
    def config(self, tmp_path):
        return {
            "book": str(tmp_path / "book.jsonl"),
            "vault": True,
            "webhook_secret": "whsec_now",
            "previous_webhook_secret": "whsec_before",
        }

    @pytest.fixture
    def bank_account(self):
        return BankAccount("bank", right_amounts=(32, 45), right_code="SM11AA")

    @pytest.fixture
    def webhook_sender(self, gateway):
        return Sender(gateway, "whsec_before")

    @pytest.fixture
    def change_method(self, gateway):
        return lambda token: gateway.change(token, datetime.now(UTC), status="disabled")


class TestWithoutVault(Given):
    """Tokens are charged as they are, as in nearly all tests of billcore's own."""

    @pytest.fixture
    def config(self, tmp_path):
        return {"book": str(tmp_path / "book.jsonl"), "webhook_secret": "whsec_now"}

    @pytest.fixture
    def amount(self):
        return Money(100, "EUR")

    @pytest.fixture
    def webhook_sender(self, gateway):
        return Sender(gateway)
