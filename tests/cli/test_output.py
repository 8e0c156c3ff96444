"""What people read: references before ids, money with its currency, and nothing that is cut."""

import json

from billcore.domain.money import format_minor
from billcore.files import parse_tables
from tests.cli.shell import CATALOG


def test_lists_show_references_and_money(shell):
    shell.with_subscription()
    assert "acme" in shell.ok("customers", "list").out
    row = shell.ok("subscriptions", "list").out.splitlines()[-1].split()
    assert row[:4] == ["s1", "acme", "active", "pro-monthly"]
    row = shell.ok("invoices", "list").out.splitlines()[-1]
    assert row.split() == ["1", "acme", "paid", "2026-01-31", "signup", "49.00", "USD"]
    assert "succeeded" in shell.ok("payments", "list").out


def test_pages_show_one_object(shell):
    shell.with_subscription()
    page = shell.ok("subscriptions", "get", "s1").out
    assert "period        2026-01-31 to 2026-02-28" in page and "renews 2026-02-28" in page
    page = shell.ok("invoices", "get", "1").out
    for part in ("customer  acme", "Pro", "2026-01-31 to 2026-02-28", "paid      -49.00 USD", "1 (signup)"):
        assert part in page
    assert "approve (default)" in shell.ok("customers", "get", "acme").out
    assert "acme" in shell.ok("payments", "get", "acme/pay/1").out


def test_an_empty_list_says_so(shell):
    shell.with_catalog()
    assert shell.ok("customers", "list").out == "No customers.\n"
    assert shell.json("customers", "list") == []


def test_a_full_page_says_how_to_go_on(shell):
    shell.with_catalog()
    for number in range(51):
        shell.ok("customers", "create", "--reference", f"c{number}", "--name", "C", "--email", "c@c.example")
    said = shell.ok("customers", "list").out
    assert "The first 50 rows." in said
    last = said.rsplit("--after ", maxsplit=1)[1].split()[0]
    assert len(shell.json("customers", "list", "--after", last)) == 1


def test_writing_confirms_in_one_line(shell):
    shell.with_customer()
    said = shell.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly")
    assert said.out == "Subscription s1 created: active, renews 2026-02-28.\n"
    said = shell.ok("subscriptions", "cancel", "s1", "--when", "period_end")
    assert said.out == "Subscription s1 ends 2026-02-28; until then it is active.\n"
    said = shell.ok("usage", "record", "--subscription", "s1", "--component", "calls", "--quantity", "5")
    assert said.out == "Usage recorded: 5 calls for s1 at 2026-01-31.\n"
    assert shell.ok("settings", "set", "net_terms", '{"automatic": 3}').out.startswith("net_terms = {")
    assert shell.ok("customers", "update", "acme", "--city", "Bonn").out == "Customer acme updated.\n"


def test_a_dry_run_shows_the_documents_and_keeps_nothing(shell):
    shell.with_customer()
    create = ["subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly"]
    said = shell.ok(*create, "--dry-run").out
    assert said.startswith("Dry run")
    assert "total      49.00 USD" in said and "taken as approved" in said
    assert shell.json("subscriptions", "list") == []
    assert [invoice["total"] for invoice in shell.json(*create, "--dry-run")["invoices"]] == [4900]
    shell.ok(*create)
    assert "given back" in shell.ok("subscriptions", "cancel", "s1", "--credit", "unused", "--dry-run").out
    assert shell.json("subscriptions", "get", "s1")["state"] == "active"


def test_a_preview_is_what_the_next_run_bills(shell):
    shell.with_subscription()
    preview = shell.json("invoices", "preview", "s1")["invoice"]
    assert "When s1 renews" in shell.ok("invoices", "preview", "s1").out
    shell.ok("run", "--until", "2026-03-01")
    assert shell.json("invoices", "get", "2")["total"] == preview["total"]


def test_json_is_what_python_gets(shell):
    shell.with_subscription()
    invoice = shell.json("invoices", "get", "1")
    assert invoice["total"] == 4900 and format_minor(invoice["total"], invoice["currency"]) == "49.00"
    assert shell.json("invoices", "list") == [invoice]


def test_a_catalog_is_exported_as_the_file_that_makes_it(shell):
    shell.with_catalog()
    exported = shell.ok("catalog", "export").out
    (shell.folder / "exported.toml").write_text(exported)
    said = shell.ok("catalog", "apply", str(shell.folder / "exported.toml"))
    assert said.out == "The catalog is as in the file; nothing changes.\n"
    assert shell.json("catalog", "export") == parse_tables(exported, "exported.toml")


def test_applying_a_catalog_shows_the_difference(shell):
    shell.with_catalog()
    (shell.folder / "new.toml").write_text(CATALOG.replace("49.00", "59.00"))
    for args in (["--dry-run"], []):
        said = shell.ok("catalog", "apply", str(shell.folder / "new.toml"), "--new-versions", *args).out
        assert "version 2; running subscriptions keep theirs" in said
    (shell.folder / "new.json").write_text(json.dumps(parse_tables(CATALOG, "a.toml")))
    assert "version 3" in shell.ok("catalog", "apply", str(shell.folder / "new.json"), "--new-versions").out


def test_nothing_is_cut_in_80_columns(shell):
    """An amount or a name that is cut would be another one."""
    shell.with_catalog()
    long = "globex-international-holdings-of-the-whole-world-and-more"
    shell.ok("customers", "create", "--reference", long, "--name", "N" * 90, "--email", f"{'e' * 60}@globex.example")
    shell.ok("payment_methods", "add", "--customer", long, "--token", "approve")
    shell.ok(
        "subscriptions", "create", "--reference", long, "--customer", long, "--price", "pro-monthly",
        "--custom", "amount=1234567890.00",
    )  # fmt: skip
    for noun in ("customers", "subscriptions", "invoices", "payments"):
        said = shell.ok(noun, "list").out
        assert "…" not in said
        assert max(len(line) for line in said.splitlines()) <= 80
    assert "1234567890.00 USD" in shell.ok("invoices", "list").out


def test_a_pipe_gets_plain_lines_without_colours_or_filling(shell):
    shell.with_subscription()
    for args in (["customers", "list"], ["invoices", "get", "1"], ["settings", "list"]):
        said = shell.process(*args, TERM="xterm-256color").out
        assert "\x1b" not in said
        assert [line for line in said.splitlines() if line != line.rstrip()] == []
