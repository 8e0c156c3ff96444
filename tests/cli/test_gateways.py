"""Gateways on the command line: configured by file and variables, checked at the start, secrets never shown."""

import json
from datetime import UTC, datetime

import pytest

from billcore.plugins.asking import NOBODYS, wrong_with
from billcore.plugins.gateway import (
    AttemptNotFound,
    GatewayMisconfigured,
    GatewayNotSent,
    GatewayUnknown,
    Pending,
)

SECRET = "sk_test_canary123"


def configured(shell, text, name="billcore.toml"):
    (shell.folder / name).write_text(text, encoding="utf-8")
    return shell


def add(shell, **env):
    return shell("payment_methods", "add", "--customer", "acme", "--token", "approve", **env)


def test_a_new_store_has_a_file_of_comments_beside_it(shell):
    said = shell.ok("init")
    sample = shell.folder / "billcore.toml"
    assert str(sample) in said.out and "[gateways.stripe]" in sample.read_text()
    assert "test" in shell.ok("gateways").out
    sample.write_text("# mine")
    assert "Gateways are configured" not in shell.ok("init", "-d", str(shell.folder / "other.db")).out
    assert sample.read_text() == "# mine"


def test_the_file_beside_the_store_configures_its_gateways(shell):
    """With a vault the token is kept first, and what is stored names the kept method."""
    configured(shell.with_customer(), "[gateways.test]\nvault = true\n")
    assert add(shell).code == 0
    methods = shell.json("payment_methods", "list", "acme")
    assert methods[0]["token"] == "approve" and methods[1]["token"].startswith("tm_")
    assert methods[1]["gateway_customer"]
    (row,) = [one for one in shell.json("gateways")["gateways"] if one["name"] == "test"]
    assert row["configured"] and "vault" in row["capabilities"] and row["set"] == ["vault", "book"]


def test_a_variable_goes_before_the_file(shell):
    configured(shell.with_customer(), "[gateways.test]\nvault = true\n")
    assert add(shell, BILLCORE_GATEWAY_TEST_VAULT="false").code == 0
    assert {one["token"] for one in shell.json("payment_methods", "list", "acme")} == {"approve"}


def test_another_file_is_named(shell, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("etc") / "gateways.toml"
    elsewhere.write_text("[gateways.test]\nvault = true\n")
    shell.with_customer()
    said = shell("gateways", "--json", BILLCORE_CONFIG=str(elsewhere))
    assert json.loads(said.out)["configuration"] == str(elsewhere)
    missing = shell("run", BILLCORE_CONFIG="nowhere.toml")
    assert missing.code == 2 and "file_unreadable" in missing.err


WRONG = {
    "gateway = 1": "gateways",
    "[gatways.test]": "Did you mean 'gateways'?",
    "[gateways]\ntest = 1": "one table for each gateway",
    "[gateways.tset]": "Did you mean 'test'?",
    "[gateways.test]\nvualt = true": "Did you mean 'vault'?",
    "[gateways.test]\nvault = 'yes'": "wants bool",
    "[gateways.test]\nvault = 1.5": "float",
    f"[gateways.stripe]\napi_key = '{SECRET}'": "does not stand in the file itself",
    "[gateways.stripe]\napi_key = 'env:NOT_SET_ANYWHERE'": "NOT_SET_ANYWHERE",
    "[gateways.stripe]\napi_key = 'file:not-there'": "cannot be read",
    f"[gateways.test]\nwebhook_secret = ['{SECRET}']": "does not stand in the file itself",
    "[gateways.test": "not valid TOML",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_file_is_refused_before_anything_is_done(shell, text):
    """Not at the first charge, and without showing what stands in it; what only reads goes on."""
    configured(shell.with_customer(), text)
    for command in (("run", "--until", "2026-02-28"), ("customers", "create", "--reference", "bolt")):
        said = shell(*command)
        assert said.code in (2, 4) and WRONG[text] in said.err and "billcore.toml" in said.err, said
        assert SECRET not in said.err
    assert shell.ok("customers", "list").code == shell.ok("verify").code == 0
    doctor = shell("doctor", COLUMNS="300")
    assert doctor.code == 1 and "gateway:" in doctor.out and WRONG[text] in doctor.out
    listed = shell("gateways")
    assert listed.code in (2, 4) and WRONG[text] in listed.err


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BILLCORE_GATEWAY_TEST_VUALT", "true", "Did you mean BILLCORE_GATEWAY_TEST_VAULT?"),
        ("BILLCORE_GATEWAY_NOBODY_KEY", "x", "Installed gateways: "),
        ("BILLCORE_GATEWAY_TEST_VAULT", SECRET, "neither true nor false"),
        ("BILLCORE_GATEWAY_TEST_REMEMBER", SECRET, "not a whole number"),
        ("BILLCORE_GATEWAY_STRIPE_API_KEY", "canary123", "api_key"),
        ("BILLCORE_GATEWAY_STRIPE_API_KEY", "file:not-there", "cannot be read"),
    ],
)
def test_a_wrong_variable_is_refused(shell, name, value, told):
    shell.with_customer()
    said = shell("run", "--until", "2026-02-28", **{name: value})
    assert said.code in (2, 4) and told in said.err and "canary" not in said.err


def test_secrets_are_read_from_where_the_file_points_and_shown_nowhere(shell):
    (shell.folder / "key").write_text(f"{SECRET}\n")
    text = '[gateways.stripe]\napi_key = "file:key"\nwebhook_secrets = ["env:HOOK"]\n'
    configured(shell.with_customer(), text)
    for command in (
        ("gateways", "-v"),
        ("gateways", "--json"),
        ("doctor",),
        ("--debug", "run", "--until", "2026-02-28"),
    ):
        said = shell(*command, HOOK="whsec_canary123")
        assert said.code == 0, said
        assert "canary" not in said.out + said.err
    listed = json.loads(shell("gateways", "--json", HOOK="whsec_canary123").out)
    (row,) = [one for one in listed["gateways"] if one["name"] == "stripe"]
    assert (row["configured"], row["problem"], row["set"]) == (True, "", ["api_key", "webhook_secrets"])
    stored = b"".join(path.read_bytes() for path in shell.folder.glob("books.db*"))
    assert b"canary" not in stored


def test_what_is_configured_but_not_buildable_ends_with_the_plugins_exit_code(shell):
    configured(shell.with_customer(), "[gateways.test]\nremember = 0\n")
    said = shell("gateways")
    assert said.code == 4 and "remember" in said.out
    assert shell("run", "--until", "2026-02-28").code == 4


def test_a_command_that_charges_nothing_leaves_no_book_behind(shell):
    shell.ok("init")
    shell.ok("customers", "create", "--reference", "acme", "--name", "A", "--email", "a@a.example")
    assert list(shell.folder.glob("*.jsonl")) == []


# -- webhooks and methods on the screen ----------------------------------------------------------------------


def test_methods_and_links_are_told_in_one_line(shell):
    env = {"BILLCORE_GATEWAY_TEST_VAULT": "true", "BILLCORE_GATEWAY_TEST_WEBHOOK_SECRET": "whsec"}
    shell.with_catalog().ok("customers", "create", "--reference", "acme", "--name", "A", "--email", "a@a.example")
    add_ = ("payment_methods", "add", "--customer", "acme", "--token", "bank:approve", "--reference", "bank")
    assert "added; it is unverified" in shell(*add_, **env).out
    assert (
        "is unverified" in shell("payment_methods", "verify", "bank", "--customer", "acme", "--code", "no", **env).out
    )
    verify = ("payment_methods", "verify", "bank", "--customer", "acme", "--amounts", "32", "--amounts", "45")
    assert "Payment method bank of acme is active." in shell(*verify, **env).out
    assert "is active" in shell("payment_methods", "refresh", "bank", "--customer", "acme", **env).out
    link = ("payment_methods", "link", "acme", "test", "https://shop.example")
    assert "Send acme to https://" in shell(*link, **env).out
    assert "removed" in shell("payment_methods", "remove", "bank", "--customer", "acme", "--at-gateway", **env).out


def test_webhooks_are_listed_shown_replayed_and_given_up(shell):
    from billcore import Billing
    from billcore_gateway_test.gateway import ScriptedGateway

    shell.with_customer()
    config = {"vault": True, "webhook_secret": "whsec"}
    with Billing(f"sqlite:///{shell.folder}/books.db", gateways={"test": config}) as billing:
        gateway = billing.gateway("test")
        assert isinstance(gateway, ScriptedGateway)
        billing.payment_methods.add("acme", "approve")
        (body,) = gateway.events()
        billing.webhooks.receive("test", gateway.sign(body, billing.clock.wall()), body)
    (event,) = shell.json("webhooks", "list")
    assert "method.active" in shell.ok("webhooks", "list").out
    page = shell.ok("webhooks", "get", "evt_1").out
    assert event["id"] in page and '"type": "method.active"' in page
    assert "is worked on by the next" in shell.ok("webhooks", "retry", event["id"]).out
    assert "discarded" in shell.ok("webhooks", "discard", event["id"]).out
    assert "1 webhook to be worked on once more" in shell.ok("webhooks", "replay", "--status", "discarded").out
    assert shell.json("run")["webhooks"] == 1


def test_a_check_asks_each_provider_before_the_first_use(shell):
    """It asks for an attempt that cannot exist, and leaves no trace in the test gateway's book."""
    shell.with_customer()
    said = shell.ok("gateways", "--check")
    assert "test: its provider answers and takes the key." in said.out
    assert "stripe:" not in said.out  # It has no key yet.
    rows = {one["name"]: one["answer"] for one in shell.json("gateways", "--check")["gateways"]}
    assert rows["test"] == "ok" and rows["stripe"] is None
    assert {one["answer"] for one in shell.json("gateways")["gateways"]} == {None}


class Provider:
    """A gateway that answers a lookup as it is told."""

    capabilities = frozenset()

    def __init__(self, answer):
        self.answer = answer

    def lookup(self, request):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (AttemptNotFound(NOBODYS), ""),
        (GatewayMisconfigured("Invalid API Key provided."), "the key or its rights are wrong: Invalid API Key"),
        (GatewayNotSent("connection refused"), "cannot be reached, or does not answer: connection refused"),
        (GatewayUnknown("timed out"), "cannot be reached, or does not answer: timed out"),
        (ZeroDivisionError(), "cannot be reached, or does not answer"),
        (Pending("ch_1"), "it knows the attempt pay_0000"),
    ],
)
def test_what_is_wrong_is_told_in_words(answer, said):
    wrong = wrong_with(Provider(answer), datetime(2026, 1, 1, tzinfo=UTC))
    assert said in wrong and bool(wrong) is bool(said)


def test_a_provider_that_cannot_be_reached_is_exit_code_1(shell):
    """Nobody listens at that port."""
    shell.with_customer()
    (shell.folder / "key").write_text("sk_test_of_nobody")
    configured(
        shell,
        "[gateways.stripe]\napi_key = 'file:key'\nbase_url = 'http://127.0.0.1:9'\ntimeout_s = 2\n",
    )
    said = shell("gateways", "--check")
    assert said.code == 1
    assert "stripe: its provider cannot be reached, or does not answer" in said.out
    assert "sk_test_of_nobody" not in said.out + said.err


def test_the_file_configures_tax_engines_too_and_reading_does_without(shell):
    """Figures of previews need the engine as it is configured; a wrong table stops what writes, as with gateways."""
    configured(shell.with_customer(), "[tax_engines.nowhere]\nkey = 1\n")
    failed = add(shell)
    assert failed.code != 0
    assert "No tax engine 'nowhere' is there" in failed.err
    assert shell.json("customers", "list")
