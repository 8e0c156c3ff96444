"""Checks of a gateway before it is asked anything: it is found, configured, quiet, and has what it declares."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from billcore.errors import PluginError
from billcore.plugins.checks import contract_problem
from billcore.plugins.config import read_config
from billcore.plugins.gateway import (
    Cancel,
    Capability,
    Capture,
    Describe,
    Gateway,
    HostedPage,
    Money,
    Refund,
    Unsupported,
    Vault,
    Verify,
    Void,
    WebhookRequest,
    perform,
    perform_method,
    receive,
    updates_since,
)
from billcore.plugins.registry import Registry
from billcore.testing import rules
from billcore.testing.fixtures import GatewayFixtures, Open
from billcore.testing.offline import no_network
from billcore.testing.rules import broken, check
from billcore.testing.secrecy import leaks

_MISSPELT = "no_such_key"


class Building(GatewayFixtures):
    """Registration, configuration, declaration."""

    def test_it_is_found_by_its_name(self, registry: Registry, gateway_name: str) -> None:
        """By its entry point, without a failure of its plugin."""
        there = registry.gateways()
        failures = "; ".join(failure.message for failure in registry.failures())
        check(gateway_name in there, rules.REGISTERED, f"there are {', '.join(there) or 'none'}. {failures}")
        own = [row for row in registry.report() if f"gateway {gateway_name}" in row.provides]
        problems = [problem for row in own for problem in row.problems]
        check(not problems, rules.REGISTERED, "; ".join(problems))

    def test_an_unknown_configuration_key_is_refused_and_named(
        self, open_gateway: Open, config: Mapping[str, object]
    ) -> None:
        """A misspelt key is found when the gateway is opened, not when the first webhook is refused."""
        try:
            open_gateway({**config, _MISSPELT: "x"})
        except PluginError as error:
            named = error.code == "gateway_misconfigured" and _MISSPELT in str(error)
            check(named, rules.STRICT_CONFIGURATION, str(error))
        else:
            broken(rules.STRICT_CONFIGURATION, f"{_MISSPELT!r} was taken without a word")

    def test_building_it_makes_no_call(self, open_gateway: Open, config: Mapping[str, object]) -> None:
        """Opening a store must not depend on a provider being there."""
        problem = ""
        with no_network() as tried:
            try:
                open_gateway(config)
            except PluginError as error:
                problem = str(error)
        check(not tried, rules.QUIET_BUILDING, f"{', '.join(tried)}")
        check(not problem, rules.QUIET_BUILDING, f"without a network it cannot be built: {problem}")

    def test_it_has_what_it_declares(self, gateway: Gateway) -> None:
        """Every declared capability has its verbs."""
        problem = contract_problem(gateway)
        check(not problem, rules.DECLARED, f"{type(gateway).__name__} {problem}")

    def test_verbs_that_are_not_declared_are_not_offered(self, gateway: Gateway) -> None:
        """Declaring nothing is no way around a check: the core then offers nothing."""
        silent = (Capability.SCRIPT, Capability.IDEMPOTENCY_KEYS)
        for capability in sorted(set(Capability) - gateway.capabilities - set(silent)):
            try:
                _use(gateway, capability)
            except Unsupported:
                continue
            broken(rules.UNDECLARED, f"{capability} was carried out")

    def test_its_package_has_types(self, gateway: Gateway) -> None:
        """Who uses the plugin checks his own code against it."""
        package = import_module(type(gateway).__module__.partition(".")[0])
        if package.__file__ is None or not hasattr(package, "__path__"):
            pytest.skip(f"{package.__name__} is a single module, not a package")
        marker = Path(package.__file__).with_name("py.typed")
        check(marker.exists(), rules.TYPED, f"{package.__name__} has no py.typed")

    def test_secrets_are_not_shown(
        self,
        registry: Registry,
        gateway_name: str,
        gateway: Gateway,
        config: Mapping[str, object],
        secrets: tuple[str, ...],
    ) -> None:
        """A debugger, a log line and an error page show objects by their repr."""
        if not secrets:
            pytest.skip("the configuration has no Secret")
        read = read_config(registry.gateway_config(gateway_name), config, f"gateway {gateway_name!r}")
        inside = vars(gateway) if hasattr(gateway, "__dict__") else {}
        for what, thing in (("the configuration", read), ("the gateway", gateway), ("the gateway's vars", inside)):
            shown = leaks(secrets, f"{thing!r} {thing!s}")
            check(not shown, rules.SECRET, f"the repr of {what} shows the secret that begins with {', '.join(shown)}")


def _use(gateway: Gateway, capability: Capability) -> None:
    """Ask for a verb through the core."""
    one = Money(100, "USD")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    match capability:
        case Capability.REFUND:
            perform(gateway, Refund("ref_0", "kit:ref_0", one, "none"))
        case Capability.CAPTURE:
            perform(gateway, Capture("cap_0", "kit:cap_0", one, "none"))
        case Capability.VOID:
            perform(gateway, Void("voi_0", "kit:voi_0", one, "none"))
        case Capability.CANCEL:
            perform(gateway, Cancel("pay_0", one))
        case Capability.VAULT:
            perform_method(gateway, Vault("cus_0", "none"))
            perform_method(gateway, Describe("none"))
        case Capability.VERIFY:
            perform_method(gateway, Verify("none", amounts=(1, 1)))
        case Capability.HOSTED_PAGE:
            perform_method(gateway, HostedPage("cus_0", "https://shop.example/"))
        case Capability.UPDATER:
            updates_since(gateway, now)
        case _:
            receive(gateway, WebhookRequest({}, b"", now))
