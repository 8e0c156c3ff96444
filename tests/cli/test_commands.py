"""The commands that are no verbs: init, db, plugins, states."""

import re
import sqlite3
from contextlib import closing

import click
import pytest

from billcore import hookimpl
from billcore.domain import payment, refund, states
from billcore.plugins.registry import Registry
from tests.project import ROOT


def test_a_new_store_has_what_was_asked_for(shell):
    said = shell.json("init", "--clock", "2026-01-01", "--timezone", "Europe/Berlin", "--currency", "EUR")
    assert (said["timezone"], said["currency"], said["now"]) == ("Europe/Berlin", "EUR", "2025-12-31T23:00:00+00:00")
    settings = shell.json("settings", "list")
    assert (settings["timezone"], settings["currency"]) == ("Europe/Berlin", "EUR")


def test_a_bare_path_and_a_url_are_the_same_store(shell):
    shell.with_customer()
    url = f"sqlite:///{shell.folder / 'books.db'}"
    path = str(shell.folder / "books.db")
    for args in (["-d", url, "customers", "list"], ["customers", "list", "-d", path], ["customers", "list"]):
        assert "acme" in shell.ok(*args).out


def test_who_acted_is_in_the_audit_log(shell):
    """P11: every change says who."""
    shell.with_catalog()
    shell.ok("customers", "create", "--reference", "a", "--name", "A", "--email", "a@a.example", "--actor", "ada")
    from billcore import Billing

    url = f"sqlite:///{shell.folder / 'books.db'}"
    with Billing(url) as billing, billing.database.transaction(reads=True) as tx:
        actors = [row[0] for row in tx.rows("SELECT actor FROM billcore_audit_log ORDER BY id")]
    assert "ada" in actors and any(actor.startswith("cli:") for actor in actors)


def test_tables_are_made_and_checked(shell):
    assert "Upgraded" in shell.ok("db", "upgrade").out
    assert "Nothing to do" in shell.ok("db", "upgrade").out
    assert "current" in shell.ok("db", "check").out
    assert shell.json("db", "check")["status"] == "current"


def test_plugins_are_listed(shell):
    assert "gateway test" in shell.ok("plugins").out
    assert "billcore-gateway-test" in shell("plugins", "-v", COLUMNS="200").out
    assert [row["name"] for row in shell.json("plugins")] == ["stripe", "test"]


def test_states_are_the_tables_that_decide(shell):
    rows = shell.json("states", "subscription")
    allowed = {
        (state, event)
        for event, row in states.TABLE.items()
        for state, cell in row.items()
        if isinstance(cell, states.Allowed)
    }
    assert {(row["state"], row["event"]) for row in rows} == allowed
    assert len(shell.json("states", "payment")) == sum(len(row) for row in payment.TABLE.values())
    assert len(shell.json("states", "refund")) == sum(len(row) for row in refund.TABLE.values())


@pytest.mark.parametrize("kind", ["subscription", "payment", "refund"])
def test_states_as_table_and_diagram(shell, kind):
    assert "pending" in shell.ok("states", kind).out
    diagram = shell.ok("states", kind, "--diagram").out
    assert diagram.startswith("stateDiagram-v2\n    [*] --> pending\n")


def test_the_page_about_states_shows_the_diagram_that_is_printed(shell):
    page = (ROOT / "docs/reference/states.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```mermaid\n(.*?)```", page, re.DOTALL)
    assert shown == shell.ok("states", "subscription", "--diagram").out


def test_the_diagram_holds_every_change_of_the_table_and_nothing_else(shell):
    """An arrow from a box stands for all states in it."""
    boxes = {"live": states.LIVE, "problem": states.PROBLEM}
    shown = set()
    for line in shell.ok("states", "subscription", "--diagram").out.splitlines():
        found = re.fullmatch(r"    (\w+) --> (\w+): (.+)", line)
        if found is not None:
            for event in found[3].split(", "):
                shown |= {(state, event, found[2]) for state in boxes.get(found[1], {found[1]})}
    assert shown == {
        (state, event, target)
        for event, row in states.TABLE.items()
        for state, cell in row.items()
        if isinstance(cell, states.Allowed)
        for target in cell.targets
        if target != state
    }


def test_one_state(shell):
    rows = shell.json("states", "subscription", "--state", "on_hold")
    assert {row["state"] for row in rows} == {"on_hold"}
    assert "resume" in {row["event"] for row in rows}
    said = shell("states", "subscription", "--state", "asleep")
    assert said.code == 1 and "Possible:" in said.err


def test_the_books_are_proved(shell):
    shell.with_subscription()
    assert shell.ok("verify").out.startswith("verify: ok")
    assert "Invoices equal the sums of their lines." in " ".join(shell.ok("verify", "-v").out.split())
    assert shell.json("verify")["ok"] is True


def test_books_that_were_changed_from_outside_are_found(shell):
    shell.with_subscription()
    with closing(sqlite3.connect(shell.folder / "books.db")) as connection, connection:
        connection.execute("UPDATE billcore_invoices SET subtotal = subtotal + 1, total = total + 1")
    said = shell("verify")
    assert said.code == 1
    assert "invoice 1" in said.out and "verify: ok" not in said.out
    assert shell("verify", "--json").json["findings"]


def test_an_invoice_explains_itself(shell):
    shell.with_subscription()
    assert "= 49.00, as billed" in shell.ok("explain", "acme/1").out
    assert "sum of the lines" not in shell.ok("explain", "1", "1").out
    assert shell.json("explain", "1")["agrees"] is True
    assert shell("explain", "99").code == 1


def test_what_is_stuck_is_listed_and_tried_again(shell):
    shell.with_customer("timeout_before")
    shell.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly")
    said = shell("doctor")
    assert said.code == 1 and "payment in doubt" in said.out
    assert shell("doctor", "--json").json["troubles"][0]["remedy"]
    assert "tried again" in shell.ok("doctor", "--retry", "acme/pay/1").out
    assert "not parked" in shell("doctor", "--retry", "s1").err


def test_nothing_stuck(shell):
    shell.with_subscription()
    assert shell.ok("doctor").out == "Nothing is stuck.\n"


@pytest.mark.parametrize("args", [[], ["customers"], ["db"]])
def test_a_group_alone_shows_its_commands(shell, args):
    said = shell(*args)
    assert said.code == 2
    assert said.err.startswith("Usage: billcore") and "error" not in said.err


def test_plugins_bring_their_commands_along(shell, monkeypatch):
    class Acme:
        @hookimpl
        def register_commands(self, cli):
            cli.add_command(click.Command("hello", callback=lambda: click.echo("hello from acme")))

    registry = Registry({"acme": Acme()}, installed=False)
    monkeypatch.setattr("billcore.cli.extra.Registry", lambda: registry)
    assert shell.ok("x", "acme", "hello").out == "hello from acme\n"
    said = shell("x", "acne", "hello")
    assert said.code == 2 and "Did you mean acme?" in said.err
