"""The README shows what runs, and names the events that are understood."""

import re
from pathlib import Path

from billcore_gateway_stripe import API_VERSION, Config
from billcore_gateway_stripe.testing.tokens import card
from billcore_gateway_stripe.webhooks import EVENTS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_program_runs():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})


def test_the_events_to_subscribe_are_those_that_are_understood():
    (named,) = re.findall(r"```\n(payment_intent.*?)```", README, re.DOTALL)
    assert tuple(named.split()) == EVENTS


def test_every_key_of_the_configuration_is_explained():
    rows = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert set(rows) == set(Config.__annotations__)


def test_the_version_and_the_cards_are_those_that_there_are():
    assert API_VERSION in README
    assert all(card(name) for name in re.findall(r"`(pm_card_\w+)`", README))
