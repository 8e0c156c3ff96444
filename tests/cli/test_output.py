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


def test_a_change_now_is_told_as_done_while_another_one_waits(shell):
    shell.with_subscription()
    said = shell.ok("subscriptions", "change", "s1", "--quantity", "2", "--when", "renewal").out
    assert said == "Subscription s1 changes with its renewal; until then it stays as it is.\n"
    said = shell.ok("subscriptions", "change", "s1", "--quantity", "3").out
    assert said.startswith("Subscription s1 changed: active, renews ")
    assert said.endswith("; changes with its renewal.\n")
    said = shell.ok("subscriptions", "change", "s1", "--quantity", "4", "--effective-at", "2026-02-10").out
    assert said == "Subscription s1 changes on 2026-02-10; until then it stays as it is.\n"


def test_money_that_goes_back_is_told_in_a_line_for_each_document(shell):
    shell.with_subscription()
    shell.ok("subscriptions", "create", "--reference", "s2", "--customer", "acme", "--price", "pro-monthly",
             "--collection", "remittance")  # fmt: skip
    said = shell.ok("invoices", "credit", "2", "--amount", "4.00", "--to", "invoice").out
    assert said == "Credit note CN-1: 4.00 USD is not due any more.\nInvoice 2 is open: 45.00 USD are due.\n"
    said = shell.ok("invoices", "credit", "1", "--lines", "1", "--amount", "9.00", "--to", "refund").out.splitlines()
    assert said[0] == "Credit note CN-2: 9.00 USD is given back as a refund."
    assert said[1].startswith("Refund of 9.00 USD") and said[2] == "Invoice 1 is paid."
    assert "CN-1" in shell.ok("invoices", "get", "2").out
    assert "given back  9.00 USD" in shell.ok("invoices", "credit_note", "CN-2").out
    assert "is uncollectible: 45.00 USD were given up" in shell.ok("invoices", "write_off", "2").out
    said = shell.ok("invoices", "record_payment", "2", "--amount", "50", "--method", "cash").out
    paid = "Payment of 50.00 USD by acme recorded: 45.00 USD pay invoices and 5.00 USD are paid in advance."
    assert " ".join(said.split()) == paid
    assert "by hand (cash)" in shell.ok("invoices", "get", "2").out
    assert "45.00 USD of invoice 2" in shell.ok("payments", "get", "acme/pay/2").out


def test_credits_and_balances_are_shown(shell):
    shell.with_subscription()
    assert shell.ok("credits", "list", "acme").out == "No credits.\n"
    said = shell.ok("credits", "add", "--customer", "acme", "--amount", "7.00", "--expires-at", "2026-12-31").out
    assert said == "Service credit of 7.00 USD for acme added.\n"
    assert shell.ok("credits", "deduct", "2.00", "--customer", "acme").out == "Service credit of 2.00 USD taken back.\n"
    said = shell.ok("prepayments", "add", "--customer", "acme", "--amount", "3").out
    assert said == "Payment of 3.00 USD by acme recorded: 3.00 USD are paid in advance.\n"
    listed = shell.ok("credits", "list", "acme").out
    assert "service credit  2026-01-31  2026-12-31  7.00 USD  5.00 USD" in listed and "prepayment" in listed
    row = shell.ok("customers", "balances", "acme").out.splitlines()[-1].split()
    assert row == ["USD", "0.00", "USD", "0.00", "USD", "5.00", "USD", "3.00", "USD", "52.00", "USD"]
    page = shell.ok("customers", "get", "acme").out
    for part in ("5.00 USD service credit\n", "3.00 USD prepayment\n", "52.00 USD paid and kept\n"):
        assert part in page
    shell.ok("subscriptions", "create", "--reference", "s2", "--customer", "acme", "--price", "pro-monthly",
             "--collection", "remittance")  # fmt: skip
    said = shell.ok("credits", "add", "--customer", "acme", "--amount", "1.00").out
    assert " ".join(said.split()).endswith("added; 1.00 USD of it paid open invoices at once.")
    assert "is void" in shell.ok("invoices", "void", "2").out


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
