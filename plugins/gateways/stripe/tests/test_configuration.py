"""The configuration: what is refused before anything is sent, and that nothing shows a secret."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest
import stripe

from billcore.plugins.gateway import AttemptNotFound, GatewayMisconfigured, Lookup, Money, Secret, key_window_s, perform
from billcore.plugins.registry import Registry
from billcore_gateway_stripe import API_VERSION, Config, StripeGateway
from billcore_gateway_stripe.testing import KEY


def test_the_gateway_is_found_through_its_entry_point():
    registry = Registry()
    gateway = registry.gateway("stripe", {"api_key": "sk_test_canary", "webhook_secrets": ["whsec_a", "whsec_b"]})
    assert isinstance(gateway, StripeGateway)
    assert 0 < key_window_s(gateway) < 86_400
    [row] = [row for row in registry.report() if row.name == "stripe"]
    assert (row.status, row.provides) == ("active", ("gateway stripe",))


def test_the_version_is_the_one_that_the_sdk_pins():
    """Parameters and objects are those of this version; another SDK wants the tests run anew."""
    assert stripe.VERSION.startswith("16.")
    assert stripe._api_version._ApiVersion.CURRENT == API_VERSION


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"api_key": "pk_test_canary"}, "publishable"),
        ({"api_key": "canary"}, "'api_key' is no key"),
        ({"api_key": "sk_test_can ary"}, "'api_key' is no key"),
        ({"api_key": "sk_test_x", "webhook_secrets": ["canary"]}, "'webhook_secrets'"),
        ({"api_key": "sk_test_x", "base_url": "api.stripe.com"}, "'base_url'"),
        ({"api_key": "sk_test_x", "return_url": "shop.example"}, "'return_url'"),
        ({"api_key": "sk_test_x", "account": "12"}, "'account'"),
        ({"api_key": "sk_test_x", "statement_suffix": "GYM*1"}, "'statement_suffix'"),
        ({"api_key": "sk_test_x", "hosted_currency": "€"}, "'hosted_currency'"),
        ({"api_key": "sk_test_x", "timeout_s": 60}, "'timeout_s'"),
        ({"api_key": "sk_test_x", "webhok_secrets": []}, "Did you mean 'webhook_secrets'"),
    ],
)
def test_what_cannot_work_is_refused_by_its_key_and_without_its_value(config, said):
    with pytest.raises(Exception, match=said) as refused:
        Registry().gateway("stripe", config)
    assert "gateway_misconfigured" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "live"), [("sk_test_x", False), ("rk_test_x", False), ("sk_live_x", True), ("rk_live_x", True)]
)
def test_a_key_says_whether_it_moves_real_money(key, live):
    assert Config(Secret(key)).live is live


def test_building_a_gateway_imports_no_sdk_and_makes_no_call():
    """`billcore --help` and a run without a charge stay quick."""
    program = (
        "import sys; from billcore.plugins.registry import Registry;"
        "Registry().gateway('stripe', {'api_key': 'sk_test_x', 'base_url': 'http://127.0.0.1:9'}).close();"
        "print([name for name in ('stripe', 'requests', 'http.client') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_gateway_shows_no_secret(gateway):
    shown = repr(gateway) + repr(gateway._config) + str(vars(gateway))
    assert KEY not in shown
    assert "whsec_" not in shown


def test_a_wrong_key_is_told_at_the_first_call(build, charge):
    request = charge()
    with pytest.raises(GatewayMisconfigured, match="does not let this key") as refused:
        build(api_key=Secret("sk_test_canary")).charge(request)
    assert "canary" not in str(refused.value)


def test_a_check_before_the_first_use_tells_a_good_key_from_a_wrong_one(fake, build):
    """`billcore gateways --check` asks for an attempt that cannot exist; nothing is made at Stripe."""
    question = Lookup("pay_00000000000000000000000000", Money(100, "USD"), sent_at=datetime.now(UTC))
    assert perform(build(), question) == AttemptNotFound(question.attempt_id)
    with pytest.raises(GatewayMisconfigured, match=r"API [Kk]ey"):
        perform(build(api_key=Secret("sk_test_of_somebody_else")), question)
