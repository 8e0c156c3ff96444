"""Whatever is typed, a person reads one message that names the thing, its state and the remedy."""

import json
import sqlite3
from contextlib import closing

import pytest

from billcore.cli.app import root
from billcore.cli.context import App
from tests.cli.shell import CATALOG


def refused(said, code, exit_code=1):
    """One message with this code, no traceback, nothing on standard output."""
    assert said.code == exit_code, said
    assert f"error [{code}]: " in said.err, said.err
    assert "Traceback" not in said.err
    assert len(said.err.strip().splitlines()) <= 2, said.err
    return said.err


def test_an_unknown_reference_names_the_nearest(shell):
    shell.with_subscription()
    assert "Did you mean acme?" in refused(shell("customers", "get", "acne"), "not_found")
    assert "billcore subscriptions list" in refused(shell("subscriptions", "get", "nothing"), "not_found")


def test_a_forbidden_transition_names_the_state_and_what_is_allowed(shell):
    shell.with_subscription()
    shell.ok("subscriptions", "cancel", "s1")
    said = refused(shell("subscriptions", "resume", "s1"), "transition_not_allowed")
    assert "s1 is canceled" in said and "Possible now: reactivate." in said


def test_what_is_named_as_possible_is_a_command(shell):
    """An event of the state table that no command brings about is no way out."""
    shell.with_subscription()
    said = refused(shell("subscriptions", "retry", "s1"), "transition_not_allowed")
    for name in said.split("Possible now: ")[1].split(".")[0].split(", "):
        shell.ok("subscriptions", name, "--help")


def test_a_declined_signup_is_refused_and_says_why(shell):
    shell.with_customer("decline:insufficient_funds")
    said = shell("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly")
    assert "insufficient_funds" in refused(said, "payment_declined")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["custmers"], "Did you mean customers?"),
        (["customers", "lst"], "Did you mean list?"),
        (["customers", "list", "--limt", "3"], "--limit"),
        (["customers", "get"], "Missing CUSTOMER"),
        (["customers", "get", "acme", "--customer", "acme"], "CUSTOMER is given twice"),
        (["customers", "create"], "--reference"),
        (["customers", "create", "--reference", "x", "--custom-fields", "color"], "Write it as NAME=VALUE"),
        (["customers", "create", "--reference", "x", "--custom-fields", "a=1", "--custom-fields", "a=2"], "twice"),
        (["subscriptions", "cancel", "s1", "--credit", "half"], "'none', 'unused'"),
        (["worker", "--every", "soon"], "Write 10s, 5m or 1h"),
        (["-d", "", "customers", "list"], "--database is empty"),
        (["states", "invoices"], "'subscription', 'payment'"),
    ],
)
def test_wrong_usage_is_named_with_exit_code_2(shell, args, message):
    shell.with_catalog()
    said = shell(*args)
    assert message in refused(said, "usage", 2)
    assert said.out == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--billing-day", "32"], "Use 1 to 31"),
        (["--starts-at", "2026-02-30"], "not a date"),
        (["--quantity", "-1"], "negative"),
        (["--quantity", "many"], "not a number"),
        (["--components", "seats=x"], "not a number"),
        (["--custom", "amout=1.00"], "Did you mean 'amount'?"),
        (["--net-terms", "181"], "0 to 180"),
    ],
)
def test_values_that_cannot_be_used_name_their_parameter(shell, args, message):
    shell.with_customer()
    given = ["--reference", "s1", "--customer", "acme", "--price", "pro-monthly"]
    assert message in refused(shell("subscriptions", "create", *given, *args), "invalid_value")
    assert shell.json("subscriptions", "list") == []


def test_a_card_number_is_refused_and_not_repeated(shell):
    """Promise P10."""
    shell.with_customer()
    said = refused(
        shell("payment_methods", "add", "--customer", "acme", "--token", "4242 4242 4242 4242"), "invalid_value"
    )
    assert "4242" not in said


CATALOG_ERRORS = {
    "unknown key": ('[[products]]\ncode = "p"\nnam = "P"', "catalog_invalid", "products[0].nam", "Did you mean"),
    "negative price": (
        '[[products]]\ncode="p"\nprices=[{code="a",amount="-1",every="1 month"}]',
        "catalog_invalid",
        "products[0].prices[0].amount",
        "zero or more",
    ),
    "unknown currency": ('currency="USX"', "catalog_invalid", "currency", ""),
    "wrong decimals": (
        'currency="JPY"\n[[products]]\ncode="p"\nprices=[{code="a",amount="1.5",every="1 month"}]',
        "catalog_invalid",
        "products[0].prices[0].amount",
        "",
    ),
    "duplicate code": (
        '[[features]]\ncode="p"\nkind="boolean"\n[[features]]\ncode="p"\nkind="boolean"',
        "catalog_invalid",
        "features[1].code",
        "",
    ),
    "float": (
        '[[products]]\ncode="p"\nprices=[{code="a",amount=49.0,every="1 month"}]',
        "catalog_invalid",
        "products[0].prices[0].amount",
        'in quotes: "49.0"',
    ),
    "gap in tiers": (
        """[[components]]
code = "c"
kind = "quantity"
prices = [{ code = "a", scheme = "volume", tiers = [
  { up_to = "10", unit_amount = "1" }, { up_to = "5", unit_amount = "1" }, { unit_amount = "1" }] }]""",
        "catalog_invalid",
        "components[0].prices[0].tiers[1].up_to",
        "",
    ),
    "syntax": ('currency = "USD"\n[[products]\n', "file_unreadable", "line 2", ""),
}


@pytest.mark.parametrize("error", CATALOG_ERRORS)
def test_a_catalog_file_with_an_error_changes_nothing(shell, error):
    """One message with the file's key path or line and the remedy, exit code 2."""
    text, code, place, remedy = CATALOG_ERRORS[error]
    shell.with_catalog()
    before = shell.ok("catalog", "export").out
    (shell.folder / "bad.toml").write_text(text)
    said = refused(shell("catalog", "apply", str(shell.folder / "bad.toml")), code, 2)
    assert place in said and remedy in said and "bad.toml" in said
    assert shell.ok("catalog", "export").out == before


def test_a_changed_published_price_is_refused_with_its_place_and_both_amounts(shell):
    shell.with_catalog()
    before = shell.ok("catalog", "export").out
    (shell.folder / "dearer.toml").write_text(CATALOG.replace("49.00", "59.00"))
    said = refused(shell("catalog", "apply", str(shell.folder / "dearer.toml")), "catalog_invalid", 2)
    for part in ("dearer.toml", "products[0].prices[0]", "49.00 to 59.00", "--new-versions"):
        assert part in said
    assert shell.ok("catalog", "export").out == before


def test_files_that_cannot_be_read_say_why(shell):
    shell.with_catalog()
    (shell.folder / "latin.toml").write_bytes('a = 1\nname = "Müller"\n'.encode("latin-1"))
    assert "does not exist" in refused(shell("catalog", "apply", "missing.toml"), "file_unreadable", 2)
    assert "is a folder" in refused(shell("catalog", "apply", str(shell.folder)), "file_unreadable", 2)
    said = refused(shell("catalog", "apply", str(shell.folder / "latin.toml")), "file_unreadable", 2)
    assert "line 2" in said and "UTF-8" in said


def test_a_store_that_is_not_there_is_not_made_by_the_way(shell):
    """A wrong path must not become a second, empty set of books."""
    said = refused(shell("customers", "list"), "schema_missing", 3)
    assert "billcore init" in said
    assert list(shell.folder.iterdir()) == []


def test_a_store_is_not_made_twice(shell):
    shell.with_catalog()
    assert "holds books already" in refused(shell("init"), "invalid_value")


def test_a_store_may_stand_in_the_hosts_own_database(shell):
    with closing(sqlite3.connect(shell.folder / "books.db")) as host, host:
        host.execute("CREATE TABLE users (id INTEGER PRIMARY KEY)")
    refused(shell("customers", "list"), "schema_missing", 3)
    shell.ok("init")
    assert shell.json("customers", "list") == []
    with closing(sqlite3.connect(shell.folder / "books.db")) as host:
        assert host.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_a_wrong_setting_of_init_leaves_no_half_store(shell):
    refused(shell("init", "--timezone", "Europe/Berln"), "invalid_value")
    refused(shell("init", "--currency", "EUX"), "invalid_value")
    refused(shell("init", "--clock", "yesterday"), "invalid_value")
    assert list(shell.folder.iterdir()) == []


def test_a_folder_that_is_not_there_and_other_files(shell):
    refused(shell("-d", str(shell.folder / "no" / "books.db"), "init"), "database_unreachable", 3)
    (shell.folder / "text.db").write_text("no database at all, but a text of some length" * 50)
    refused(shell("-d", str(shell.folder / "text.db"), "customers", "list"), "database_unreachable", 3)
    refused(shell("-d", "mysql://somewhere/db", "customers", "list"), "database_unreachable", 3)
    refused(shell("-d", "nonsense://x", "customers", "list"), "database_unreachable", 3)


def test_a_newer_schema_is_refused(shell):
    shell.with_catalog()
    with closing(sqlite3.connect(shell.folder / "books.db")) as connection, connection:
        connection.execute("UPDATE billcore_alembic_version SET version_num = '9999'")
    for command in (["customers", "list"], ["run"], ["db", "check"], ["db", "upgrade"]):
        assert "9999" in refused(shell(*command), "schema_newer", 3)


def test_a_read_only_store_can_be_read_and_not_written(shell):
    shell.with_customer()
    url = f"sqlite:///file:{shell.folder / 'books.db'}?mode=ro&uri=true"
    assert "acme" in shell.ok("-d", url, "customers", "list").out
    said = shell("-d", url, "customers", "create", "--reference", "b", "--name", "B", "--email", "b@b.example")
    assert "write access" in refused(said, "database_read_only", 3)


def test_a_locked_store_can_be_read_and_says_that_it_is_locked(shell):
    shell.with_customer()
    patient = f"sqlite:///{shell.folder / 'books.db'}?timeout=1"
    with closing(sqlite3.connect(shell.folder / "books.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "acme" in shell.ok("customers", "list").out
        said = shell("-d", patient, "customers", "delete", "acme")
        assert "Another process" in refused(said, "database_locked", 3)
    shell.ok("customers", "delete", "acme")


def test_an_unforeseen_error_is_named_internal_and_debug_shows_where(shell, monkeypatch):
    def breaks(_self, **_options):
        raise RuntimeError("the unforeseen\nwith details")

    monkeypatch.setattr(App, "open", breaks)
    said = shell("customers", "list")
    assert refused(said, "internal", 70)
    assert "--debug" in said.err and "with details" not in said.err
    for args in (["--debug", "customers", "list"], ["customers", "list", "--debug"]):
        assert "Traceback" in shell(*args).err


def test_programs_get_errors_as_json(shell):
    shell.with_catalog()
    said = shell("customers", "get", "nobody", "--json")
    told = json.loads(said.err)["error"]
    assert (said.code, told["code"], told["facts"]["ref"]) == (1, "not_found", "nobody")


def test_nobody_reading_is_no_error(shell):
    """`billcore … | head -1` ends quietly."""
    shell.with_catalog()
    with shell.start("settings", "list", "--json", "--debug") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 141


def test_the_real_process_shows_no_traceback(shell):
    shell.with_catalog()
    said = shell.process("customers", "get", "nobody")
    assert refused(said, "not_found")
    assert root.name == "root"
