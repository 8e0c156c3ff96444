"""How plugins are configured, and how secrets stay secret."""

import copy
import json
import pickle
from decimal import Decimal

import pytest
from attrs import asdict, frozen

from billcore.errors import PluginError
from billcore.plugins.config import Secret, Spec, read_config


@frozen
class Config:
    key: Secret
    url: str = "https://api.example"
    retries: int = 3
    rate: Decimal | None = None
    countries: tuple[str, ...] = ()
    webhook_secrets: tuple[Secret, ...] = ()


def test_a_secret_never_shows_itself():
    secret = Secret("sk_live_canary")
    config = Config(secret)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", repr(config), str(asdict(config))]
    assert not any("canary" in text for text in texts)
    assert secret.reveal() == "sk_live_canary"


def test_a_secret_does_not_leave_the_process():
    secret = Secret("sk_live_canary")
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"key": secret})
    assert copy.deepcopy(Config(secret)).key is secret


def test_secrets_compare_by_what_they_hide():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert {Secret("a"), Secret("a")} == {Secret("a")}
    with pytest.raises(AttributeError):
        Secret("a")._text = "b"


def test_texts_become_what_the_fields_say():
    config = read_config(Config, {"key": "sk", "rate": "1.5", "countries": ["DE", "FR"]}, "plugin 'acme'")
    assert config == Config(Secret("sk"), rate=Decimal("1.5"), countries=("DE", "FR"))


def test_several_secrets_are_a_list_of_texts():
    """While a webhook's secret is rotated, the old one and the new one hold."""
    config = read_config(Config, {"key": "sk", "webhook_secrets": ["old", Secret("new")]}, "plugin 'acme'")
    assert config.webhook_secrets == (Secret("old"), Secret("new"))
    assert "old" not in repr(config)
    with pytest.raises(PluginError, match=r"a list of texts \(secrets\)") as refused:
        read_config(Config, {"key": "sk", "webhook_secrets": "canary"}, "plugin 'acme'")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": "sk", "retrys": 3}, "Did you mean 'retries'?"),
        ({"key": "sk", "nonsense": 3}, "It has: key, url"),
        ({}, "needs the configuration key 'key'"),
        ({"key": "sk", "retries": "3"}, "wants int"),
        ({"key": "sk", "retries": True}, "wants int"),
        ({"key": "sk", "rate": "much"}, "wants a decimal text"),
        ({"key": "sk", "rate": 1.5}, "not float"),
        ({"key": "sk", "countries": "DE"}, "'countries'"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_key(given, said):
    with pytest.raises(PluginError) as refused:
        read_config(Config, given, "plugin 'acme'")
    assert refused.value.code == "gateway_misconfigured"
    assert said in str(refused.value)


def test_a_secret_of_the_wrong_type_is_not_echoed():
    with pytest.raises(PluginError) as refused:
        read_config(Config, {"key": ["sk_live_canary"]}, "plugin 'acme'")
    assert "canary" not in str(refused.value)


def test_a_spec_builds_its_object_from_the_checked_configuration():
    spec = Spec("acme", Config, lambda config: config.url)
    assert spec.open({"key": "sk", "url": "https://other.example"}) == "https://other.example"
