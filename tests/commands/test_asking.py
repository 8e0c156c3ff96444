"""Verbs that ask a gateway before their transaction: once, outside of it, and never where nobody may be asked."""

from threading import Thread
from typing import Unpack

import pytest

from billcore.commands.parameters import Options, Text
from billcore.commands.verb import Noun, verb
from billcore.errors import Refused
from billcore.store.sqlite import sqlite_engine
from tests.builders import books, refusal


def somebody_else_can_write(database) -> bool:
    def write() -> None:
        with database.transaction():
            pass

    other = Thread(target=write, daemon=True)
    other.start()
    other.join(5)
    return not other.is_alive()


class Probe(Noun):
    noun = "probe"

    def __init__(self, runner) -> None:
        super().__init__(runner)
        self.asked = []

    def ask(self, definition, arguments, desk):
        with desk.reading() as scope:
            name = scope.customer("acme").reference
        assert somebody_else_can_write(self.runner.database)
        self.asked.append((definition.name, arguments["what"], desk.gateway("test") is self.runner.gateway("test")))
        if arguments["what"] == "no":
            raise Refused("payment_method_refused", "It said no.")
        return f"{name}: {arguments['what']}"

    @verb(asks=True)
    def look(self, scope, what: Text, **options: Unpack[Options]):
        """Look."""
        return {"answer": scope.answer, "dry": scope.dry}


Probe.look.function.__annotations__["return"] = dict


@pytest.fixture
def probe():
    return Probe(books())


def test_the_answer_reaches_the_verb(probe) -> None:
    assert probe.look("x") == {"answer": "acme: x", "dry": False}
    assert probe.asked == [("look", "x", True)]


def test_a_refusal_of_the_gateway_is_the_verbs_and_leaves_nothing(probe) -> None:
    assert refusal(probe.look, "no", idempotency_key="k").code == "payment_method_refused"
    assert refusal(probe.look, "no", idempotency_key="k").code == "payment_method_refused"
    assert len(probe.asked) == 2


def test_a_known_key_asks_nobody_again(probe) -> None:
    first = probe.look("x", idempotency_key="k")
    assert probe.look("x", idempotency_key="k") == first
    assert refusal(probe.look, "y", idempotency_key="k").code == "idempotency_conflict"
    assert len(probe.asked) == 1


def test_a_dry_run_asks_nobody(probe) -> None:
    assert probe.look("x", dry_run=True).value == {"answer": None, "dry": True}
    assert probe.asked == []


def test_nobody_is_asked_inside_a_hosts_transaction(tmp_path) -> None:
    billing = books(f"sqlite:///{tmp_path}/shop.db")
    engine = sqlite_engine(f"sqlite:///{tmp_path}/shop.db")
    with engine.begin() as connection, billing.joined(connection) as joined:
        probe = Probe(joined)
        assert probe.look("x") == {"answer": None, "dry": False}
    assert probe.asked == []
    engine.dispose()
