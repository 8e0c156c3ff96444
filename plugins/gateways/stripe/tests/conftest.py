"""A fake Stripe for each test, a gateway that speaks to it through the real SDK, and what is asked of it."""

from collections.abc import Callable, Iterator

import pytest

from billcore.plugins.gateway import Charge, Money, Refund, Secret, Vault, Vaulted, perform_method
from billcore_gateway_stripe import Config, StripeGateway
from billcore_gateway_stripe.testing import KEY, FakeStripe

SECRETS = (Secret("whsec_old_of_the_tests"), Secret("whsec_new_of_the_tests"))
TEN = Money(1000, "USD")


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe() as fake:
        yield fake


@pytest.fixture
def build(fake: FakeStripe) -> Iterator[Callable[..., StripeGateway]]:
    """Builds gateways on the fake, with other configuration where a test wants it."""
    built = []

    def build(**config: object) -> StripeGateway:
        values = {
            "api_key": Secret(KEY),
            "base_url": fake.url,
            "return_url": "https://shop.example/back",
            "webhook_secrets": SECRETS,
            "timeout_s": 15,
            **config,
        }
        built.append(StripeGateway(Config(**values)))
        return built[-1]

    yield build
    for gateway in built:
        gateway.close()


@pytest.fixture
def gateway(build: Callable[..., StripeGateway]) -> StripeGateway:
    return build()


@pytest.fixture
def vault(fake: FakeStripe, gateway: StripeGateway) -> Callable[..., Vaulted]:
    """Vaults a fresh method that behaves as asked, for the customer cus_1."""

    def vault(customer_id: str = "cus_1", **behaviour: object) -> Vaulted:
        return perform_method(gateway, Vault(customer_id, fake.new_method(**behaviour)))

    return vault


@pytest.fixture
def charge(vault: Callable[..., Vaulted]) -> Callable[..., Charge]:
    """A charge of 49.00 USD from a vaulted card: `charge(2)` is pay_2 under key_2."""
    known: list[Vaulted] = []

    def charge(number: int = 1, method: Vaulted | None = None, **more: object) -> Charge:
        if method is None:
            if not known:
                known.append(vault())
            method = known[0]
        values = {
            "attempt_id": f"pay_{number}",
            "idempotency_key": f"inst:pay_{number}",
            "amount": Money(4900, "USD"),
            "gateway_method": method.token,
            "customer_id": "cus_1",
            "invoice_id": f"inv_{number}",
            "gateway_customer": method.gateway_customer,
            **more,
        }
        return Charge(**values)

    return charge


@pytest.fixture
def refund() -> Callable[..., Refund]:
    """A refund of 10.00 USD: `refund(charge_id)` is ref_1 under its key."""

    def refund(of: str, number: int = 1, amount: Money = TEN, reason: str = "") -> Refund:
        return Refund(f"ref_{number}", f"inst:pay_1:r{number}", amount, of, reason)

    return refund
