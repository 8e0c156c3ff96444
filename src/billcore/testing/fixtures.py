"""What a conformance suite is given: fixtures that an author must provide, and those that have defaults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NoReturn, TypeVar

import pytest
from attrs import fields, frozen

from billcore.plugins.config import Secret, read_config
from billcore.plugins.gateway import Capability, Gateway, Money
from billcore.plugins.registry import Registry
from billcore.testing.asking import Kit, Payer
from billcore.testing.deliveries import WebhookSender
from billcore.testing.faults import Fault

F = TypeVar("F", bound=Callable[..., object])

Break = Callable[[Fault], AbstractContextManager[object]]
Open = Callable[[Mapping[str, object]], Gateway]


@frozen
class BankAccount:
    """A bank account to be verified: its `token` for `vault`, and what is confirmed, right and wrong.

    Amounts are minor units as they stand on the statement; codes where the provider works with one.
    """

    token: str
    right_amounts: tuple[int, ...] = ()
    right_code: str = ""
    wrong_amounts: tuple[int, ...] = (1, 1)
    wrong_code: str = ""


def requires(*capabilities: Capability) -> Callable[[F], F]:
    """Mark a check that is only for gateways with these capabilities."""

    def mark(check: F) -> F:
        check.__dict__["requires"] = capabilities
        return check

    return mark


def must_be_given(fixture: str, what: str) -> NoReturn:
    """Fail a check with the fixture that its author has to write."""
    pytest.fail(
        f"GatewayConformance needs the fixture `{fixture}`: {what}\n"
        f"Write it in your subclass:\n\n    @pytest.fixture\n    def {fixture}(self): ...\n",
        pytrace=False,
    )


class GatewayFixtures:
    """The fixtures of GatewayConformance: first those that must be given, then those that may."""

    @pytest.fixture
    def gateway_name(self) -> str:
        """Must: the name that users write."""
        must_be_given("gateway_name", "the name in your GatewaySpec, such as 'acme'.")

    @pytest.fixture
    def config(self) -> Mapping[str, object]:
        """Must: the configuration that the gateway is opened with."""
        must_be_given("config", "the gateway's configuration, for a fake or a sandbox, with secrets to recognize.")

    @pytest.fixture
    def approved_method(self) -> str:
        """Must: the token of a method whose charges succeed; of a gateway with a vault, what `vault` is given."""
        must_be_given("approved_method", "the token of a payment method whose charges succeed.")

    @pytest.fixture
    def declined_method(self) -> str:
        """Must: the token of a method whose charges are declined; of a gateway with a vault it can be kept."""
        must_be_given("declined_method", "the token of a payment method whose charges are declined.")

    @pytest.fixture
    def broken_network(self) -> Break:
        """Must: breaks the network: within what it returns for a Fault, every call to the provider meets it."""
        must_be_given(
            "broken_network",
            "a function from a Fault to a context manager within which every call to the provider meets it. "
            "NetworkFaults(url).broken does that for any provider spoken to over HTTP.",
        )

    @pytest.fixture
    def webhook_sender(self) -> WebhookSender:
        """Must, for WEBHOOKS: how the provider signs, and the bodies it sends."""
        must_be_given("webhook_sender", "a WebhookSender, with the provider's signature and bodies of two events.")

    @pytest.fixture
    def authorized_method(self) -> str:
        """Must, for CAPTURE: the token of a method whose charges are only authorized."""
        must_be_given("authorized_method", "the token of a payment method whose charges are only authorized.")

    @pytest.fixture
    def bank_account(self) -> BankAccount:
        """Must, for VERIFY: a bank account that has to be verified."""
        must_be_given("bank_account", "a BankAccount: its token, and right and wrong amounts or codes.")

    # -- may be given ---------------------------------------------------------------------------------------

    @pytest.fixture
    def registry(self) -> Registry:
        """May: where the gateway is found; by default what is installed."""
        return Registry()

    @pytest.fixture
    def amount(self) -> Money:
        """May: what most checks charge; at least 100 minor units."""
        return Money(4900, "USD")

    @pytest.fixture
    def amounts(self) -> Mapping[int, Money]:
        """May: amounts by the decimals of their currency; leave out what the provider does not take."""
        return {0: Money(4900, "JPY"), 2: Money(4901, "USD"), 3: Money(49010, "KWD")}

    @pytest.fixture
    def provider_charges(self) -> "Callable[[str], Sequence[Money]] | None":
        """May: the provider's own truth, every amount it took for an attempt id. Checks are sharper with it."""
        return None

    @pytest.fixture
    def pending_method(self) -> str | None:
        """May: the token of a method whose charges stay under way."""
        return None

    @pytest.fixture
    def action_method(self) -> str | None:
        """May: the token of a method that the customer has to confirm."""
        return None

    @pytest.fixture
    def unknown_method(self) -> str:
        """May: the token of a method that the provider does not know."""
        return "no_such_method"

    @pytest.fixture
    def refused_token(self) -> str:
        """May, for VAULT: a token that the provider does not keep."""
        return "no_such_token"

    @pytest.fixture
    def change_method(self) -> Callable[[str], object] | None:
        """May, for UPDATER: changes the kept method with this token at the provider."""
        return None

    @pytest.fixture
    def other_config(self) -> Mapping[str, object] | None:
        """May: the configuration of another account at the provider, to prove that objects share nothing."""
        return None

    @pytest.fixture
    def return_url(self) -> str:
        """May: where the customer comes back to from a page of the provider's."""
        return "https://shop.example/back"

    @pytest.fixture
    def lookup_patience_s(self) -> int:
        """May: seconds that the provider's search may lag behind its charges."""
        return 0

    @pytest.fixture
    def open_gateway(self, registry: Registry, gateway_name: str) -> Iterator[Open]:
        """May: opens a gateway from its configuration; by default through the registry, and closes it again."""
        with ExitStack() as opened:

            def open_it(config: Mapping[str, object]) -> Gateway:
                gateway = registry.gateway(gateway_name, config)
                close = getattr(gateway, "close", None)
                if callable(close):
                    opened.callback(close)
                return gateway

            yield open_it

    @pytest.fixture
    def gateway(self, open_gateway: Open, config: Mapping[str, object]) -> Gateway:
        """May: the gateway under test."""
        return open_gateway(config)

    @pytest.fixture
    def secrets(self, registry: Registry, gateway_name: str, config: Mapping[str, object]) -> tuple[str, ...]:
        """May: texts that must appear nowhere; by default every Secret of the configuration."""
        read = read_config(registry.gateway_config(gateway_name), config, f"gateway {gateway_name!r}")
        values: list[Any] = [getattr(read, one.name) for one in fields(type(read))]
        found = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        return tuple(one.reveal() for one in found if isinstance(one, Secret) and one)

    # -- made of them ---------------------------------------------------------------------------------------

    @pytest.fixture
    def kit(
        self,
        gateway: Gateway,
        amount: Money,
        provider_charges: "Callable[[str], Sequence[Money]] | None",
        lookup_patience_s: int,
    ) -> Kit:
        """The gateway under test, and requests to ask it."""
        return Kit(gateway, amount, provider_charges, lookup_patience_s)

    @pytest.fixture
    def payer(self, kit: Kit, approved_method: str) -> Payer:
        """A customer whose charges succeed."""
        return kit.payer(approved_method)

    @pytest.fixture(autouse=True)
    def _only_where_declared(self, request: pytest.FixtureRequest) -> None:
        """Skip a check whose capability the gateway does not declare, and say which."""
        needed = getattr(request.function, "requires", ())
        if not needed:
            return
        able = request.getfixturevalue("gateway").capabilities
        missing = [str(one) for one in needed if one not in able]
        if missing:
            pytest.skip(f"the gateway does not declare {', '.join(missing)}")
