"""The number of a card is stored nowhere and repeated nowhere, whatever text it stands in (promise P10)."""

import re

import pytest

from billcore.domain.card_number import names_card
from billcore.scenario.verbs import verbs
from tests.builders import books, dump, refusal
from tests.cli.shell import Shell

NUMBERS = ("4242 4242 4242 4242", "5555555555554444", "3782-822463-10005", "6011 1111 1111 1117", "4000056655665556")
KEYS = ("reference", "customer", "subscription", "invoice", "credit_note", "payment", "refund", "webhook")
RIGHT = {
    "amount": "1.00",
    "amounts": {"acme/1": "1.00"},
    "catalog": {},
    "code": "pro-m",
    "codes": ["TEN"],
    "custom": {"amount": "1.00"},
    "instant": "2026-01-20",
    "lines": [{"description": "Setup", "amount": "1.00"}],
    "payment_methods": ["pm"],
    "quantity": "1",
    "signed_quantity": "1",
    "text": "x",
}
SHAPES = {
    "amounts": lambda text: [{text: "1.00"}],
    "catalog": lambda text: [{"products": [{"code": "p", "name": text}]}, {"currency": text}],
    "codes": lambda text: [[text]],
    "custom": lambda text: [{"amount": text}],
    "fields": lambda text: [{"note": text}, {text: "note"}],
    "lines": lambda text: [[{"description": text, "amount": "1.00"}], [{"description": "x", "amount": text}]],
    "payment_methods": lambda text: [[text]],
    "quantities": lambda text: [{text: "1"}],
}
TEXTS = ("text", "code", "duration", "payment_method", *KEYS, *SHAPES)
GIVEN = [
    (definition, parameter)
    for definition in verbs().values()
    for parameter in definition.parameters
    if parameter.kind is not None and parameter.kind.name in TEXTS
]
PLACES = [f"{definition.full_name}({parameter.name})" for definition, parameter in GIVEN]


def others(definition, parameter):
    return {
        one.name: RIGHT.get(one.kind.name, "acme") if one.kind else one.choices[0]
        for one in definition.parameters
        if one.required and one is not parameter
    }


def digits(text):
    return re.sub(r"(?<=[0-9])[ -](?=[0-9])", "", text)


def told(text):
    """The numbers that stand in a text, with or without blanks and dashes."""
    return [number for number in NUMBERS if digits(number) in digits(text)]


def stored(billing):
    return told(repr(dump(billing)))


def test_there_are_texts_in_every_noun() -> None:
    assert len(GIVEN) > 100
    assert {definition.noun for definition, _ in GIVEN} >= {"customers", "subscriptions", "invoices", "catalog"}


def test_no_text_of_any_verb_takes_a_card_number_or_repeats_it() -> None:
    billing = books()
    for definition, parameter in GIVEN:
        noun, free = getattr(billing, definition.noun), parameter.kind.name in ("text", "code", "fields", "codes")
        for number in NUMBERS:
            for text in (number, f"paid with {number}, 12/30")[: 1 + free]:
                for value in SHAPES.get(parameter.kind.name, lambda text: [text])(text):
                    given = others(definition, parameter) | {parameter.name: value}
                    error = refusal(getattr(noun, definition.name), **given)
                    assert error.code == "invalid_value", (definition.full_name, parameter.name, error)
                    assert not told(f"{error!r} {error.facts}"), (definition.full_name, parameter.name)
    assert stored(billing) == []


@pytest.mark.parametrize("option", ["idempotency_key", "actor"])
def test_nor_does_what_every_verb_takes(option) -> None:
    billing = books()
    error = refusal(billing.customers.update, "acme", name="x", **{option: NUMBERS[0]})
    assert (error.code, told(str(error)), stored(billing)) == ("invalid_value", [], [])


@pytest.mark.sqlite_only("the command line is above the store")
def test_nor_does_the_command_line_print_it(tmp_path) -> None:
    shell = Shell(tmp_path).with_customer()
    number = NUMBERS[0]
    (tmp_path / "wrong.toml").write_text(f'[[products]]\ncode = "p"\nname = "{number}"\n')
    for definition, parameter in GIVEN:
        given = {**others(definition, parameter), parameter.name: number}
        if parameter.kind.name in SHAPES:
            (given[parameter.name], *_) = SHAPES[parameter.kind.name](number)
        said = shell(definition.noun, definition.name, *_options(given, tmp_path / "wrong.toml"))
        assert said.code == 1 and "error [invalid_value]" in said.err, (definition.full_name, parameter.name, said)
        assert told(said.out + said.err) == [], (definition.full_name, parameter.name, said)


def _options(given, file):
    for name, value in given.items():
        parts = list(value) if isinstance(value, list) else [value]
        if name == "file" or (isinstance(value, dict) and ("products" in value or not value)):
            parts = [str(file)]
        elif isinstance(value, dict):
            parts = [f"{key}={part}" for key, part in value.items()]
        for part in parts:
            if isinstance(part, dict):  # A line of a document by hand.
                yield from ("--line", ";".join(f"{key}={value}" for key, value in part.items()))
            else:
                yield from (f"--{name.replace('_', '-')}", str(part))


def test_keys_of_the_host_may_have_any_digits_in_them() -> None:
    billing = books(customers=())
    billing.customers.create("shop-4242424242424242")
    billing.customers.create("acme", name="call +4912345678906 or 1234 5678 9012 3456")
    assert refusal(billing.customers.create, "4242-4242-4242-4242").code == "invalid_value"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        *[(number, True) for number in NUMBERS],
        ("4242424242424242", True),
        ("CC4242424242424242X", True),
        ("４２４２４２４２４２４２４２４２", True),
        ("12/30 4242 4242 4242 4242 123", True),
        ("2223003122003222", True),
        ("30569309025904", True),
        ("3530111333300000", True),
        ("6200000000000005", True),
        ("6759649826438453", True),
        ("4242424242424241", False),
        ("0000000000000000", False),
        ("9999999999999995", False),
        ("+4242424242426", False),
        ("DE89 3704 0044 0532 0130 00", False),
        ("2026-01-31 12:00:00", False),
        ("42424242424242424242424", False),
        ("pm_1N8q2eLkdIwHu7ix", False),
    ],
)
def test_a_card_number_is_known_by_how_it_begins_its_length_and_its_check_digit(text, is_one) -> None:
    assert names_card(text, alone=False) is is_one


def test_anything_else_that_a_program_gives_is_none() -> None:
    for value in (None, True, 1.5, b"4242424242424242", object(), 42):
        assert not names_card(value, alone=False)
    assert names_card({"a": [{"b": 4242424242424242}]}, alone=True)
