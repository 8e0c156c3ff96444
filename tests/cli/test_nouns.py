"""Commands are derived from the verbs: every verb, every parameter, nothing written twice."""

import click
import pytest

from billcore.cli.nouns import noun_class, noun_group
from billcore.cli.table import NOUNS
from billcore.commands.verb import verbs_of

VERBS = [(noun, verb) for noun in NOUNS for verb in verbs_of(noun_class(noun))]


def command(noun, verb):
    found = noun_group(noun).commands[verb]
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize(("noun", "verb"), VERBS)
def test_every_parameter_of_a_verb_can_be_given(noun, verb):
    definition = verbs_of(noun_class(noun))[verb]
    names = {parameter.name for parameter in command(noun, verb).params}
    assert {parameter.name for parameter in definition.parameters} <= names
    assert "json" in names
    assert ({"dry_run", "idempotency_key", "actor"} <= names) is not definition.reads


@pytest.mark.parametrize(("noun", "verb"), VERBS)
def test_every_command_has_help_without_python_in_it(noun, verb):
    made = command(noun, verb)
    assert made.help is not None and made.get_short_help_str()
    assert "`" not in made.help


@pytest.mark.parametrize(
    ("noun", "verb", "arguments"),
    [
        ("customers", "create", []),
        ("customers", "get", ["customer"]),
        ("customers", "find", ["text"]),
        ("payment_methods", "add", []),
        ("payment_methods", "set_default", ["payment_method"]),
        ("subscriptions", "create", []),
        ("subscriptions", "cancel", ["subscription"]),
        ("usage", "record", []),
        ("catalog", "apply", ["catalog"]),
        ("catalog", "quote", ["price"]),
        ("settings", "set", ["name", "value"]),
    ],
)
def test_the_object_of_a_verb_needs_no_name_and_what_makes_something_names_everything(noun, verb, arguments):
    params = command(noun, verb).params
    assert [each.name for each in params if isinstance(each, click.Argument)] == arguments


def test_a_list_that_a_verb_needs_is_written_one_after_another(shell):
    shell.with_customer()
    for reference in ("one", "two"):
        shell.ok("payment_methods", "add", "--customer", "acme", "--token", "approve", "--reference", reference)
    said = shell.ok("payment_methods", "set_order", "acme", "two", "one").out
    assert [line.split()[0] for line in said.splitlines()[2:4]] == ["two", "one"]
    named = ("--customer", "acme", "--payment-methods", "one", "--payment-methods", "two")
    ordered = shell.json("payment_methods", "set_order", *named)
    assert [method["reference"] for method in ordered] == ["one", "two", None]
    assert "Missing METHOD" in shell("payment_methods", "set_order", "acme").err
    assert "METHOD is given twice" in shell("payment_methods", "set_order", "acme", "one", *named[2:]).err


def test_names_may_be_written_with_hyphens(shell):
    shell.with_customer()
    assert shell.ok("payment-methods", "list", "acme").out == shell.ok("payment_methods", "list", "acme").out
    method = shell.json("payment_methods", "add", "--customer", "acme", "--token", "approve")["id"]
    shell.ok("payment-methods", "set-default", method, "--customer", "acme")
    assert shell.json("customers", "get", "acme")["default_method_id"] == method


def test_what_is_not_given_stays_and_an_empty_text_removes(shell):
    """UNSET is not None: `update` touches only what was named."""
    shell.with_customer()
    shell.ok("customers", "update", "acme", "--phone", "123", "--tax-exempt")
    changed = shell.json("customers", "update", "acme", "--phone", "", "--organization", "Acme AG")
    assert (changed["phone"], changed["organization"], changed["tax_exempt"]) == (None, "Acme AG", True)
    assert shell.json("customers", "update", "acme", "--no-tax-exempt")["tax_exempt"] is False


def test_keyed_and_repeated_options(shell):
    shell.with_customer()
    made = shell.json(
        "subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly",
        "--components", "seats=3", "--components", "calls=0", "--coupons", "TEN", "--custom", "amount=29.00",
    )  # fmt: skip
    assert {item["component"]: item["quantity"] for item in made["items"]} == {"seats": "3", "calls": "0"}
    assert [applied["coupon"]["code"] for applied in made["coupons"]] == ["TEN"]
    assert shell.json("invoices", "get", "1")["subtotal"] == 2900 + 1500


def test_a_negative_quantity_is_no_option(shell):
    shell.with_subscription()
    usage = ["usage", "record", "--subscription", "s1", "--component", "calls"]
    shell.ok(*usage, "--quantity", "5")
    assert shell.json(*usage, "--quantity", "-2")["quantity"] == "-2"


def test_two_ends_of_a_period(shell):
    shell.with_catalog()
    period = ["--period", "2026-03-01", "2026-04-01"]
    said = shell.json("catalog", "quote", "pro-monthly", "--since", "2026-03-16T12:00", *period)
    assert said["rounded"] == 2450


def test_an_idempotency_key_makes_it_once(shell):
    shell.with_customer()
    usual = ["subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly"]
    first = shell.json(*usual, "--idempotency-key", "k1")
    assert shell.json(*usual, "--idempotency-key", "k1")["id"] == first["id"]
    said = shell(*usual, "--quantity", "2", "--idempotency-key", "k1")
    assert "idempotency_conflict" in said.err
    assert len(shell.json("payments", "list")) == 1
