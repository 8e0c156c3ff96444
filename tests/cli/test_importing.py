"""`billcore import customers`: what it says, what it exits with, and where the rejects go."""

import csv
import sqlite3
import time

from billcore.demo.sample import write_sample
from tests.importing.shop import ADA, BOB, HEADER, MAPPING, csv_file

FITTING = MAPPING.replace("pro-m", "pro-monthly").replace("pro-w", "pro-daily")
BAD = ADA.replace("ada", "bad").replace("49.90", "much")


def prepared(shell, mapping=FITTING):
    (shell.folder / "mapping.toml").write_text(mapping)
    return shell.with_catalog()


def importing(shell, path, *options):
    return shell("import", "customers", str(path), "--mapping", str(shell.folder / "mapping.toml"), *options)


def test_good_lines_come_in(shell):
    said = importing(prepared(shell), csv_file(shell.folder, ADA, BOB))
    assert (said.code, said.err) == (0, "")
    assert said.out == "Imported 2 customers, 2 payment methods, 2 subscriptions.\n"
    assert [each["reference"] for each in shell.json("customers", "list")] == ["ada", "bob"]


def test_rejects_go_to_a_file_that_can_be_corrected_and_imported(shell):
    path = csv_file(prepared(shell).folder, ADA, BAD)
    rejects = shell.folder / "rejects.csv"
    said = importing(shell, path, "--rejects", str(rejects))
    assert said.code == 1
    assert "1 line rejected:\n  line 3 (bad): price is 'much', which is no number." in said.out
    with rejects.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["line", "code", "reason", *HEADER.split(",")]
    assert rows[1][:2] == ["3", "invalid_value"] and rows[1][3] == "bad"
    rejects.write_text(rejects.read_text().replace(",much,", ",20.00,"))
    assert importing(shell, rejects).out.startswith("Imported 1 customer,")


def test_a_dry_run_keeps_nothing(shell):
    said = importing(prepared(shell), csv_file(shell.folder, ADA, BAD), "--dry-run")
    assert said.code == 1 and said.out.startswith("Would import 1 customer,")
    assert shell.json("customers", "list") == []


def test_the_same_file_again_says_so(shell):
    path = csv_file(prepared(shell).folder, ADA)
    importing(shell, path)
    said = importing(shell, path)
    assert said.code == 0
    assert said.out.splitlines() == [
        "Imported 0 customers, 0 payment methods, 0 subscriptions.",
        "1 line of this file came in before.",
    ]


def test_what_is_left_out_is_told(shell):
    prepared(shell, FITTING + '\n[[skip]]\ncolumn = "name"\nvalues = ["Bob"]\n')
    gone = "dan,Dan,dan@example.com,pro,,2024-01-01,2025-01-01,visa"
    said = importing(shell, csv_file(shell.folder, BOB, gone))
    assert "1 subscription ended before now" in said.out and "1 line skipped" in said.out


def test_many_rejects_are_counted(shell):
    lines = [BAD.replace("bad", f"bad{number}") for number in range(15)]
    said = importing(prepared(shell), csv_file(shell.folder, *lines))
    assert "15 lines rejected:" in said.out and "and 5 more" in said.out
    assert "--rejects rejects.csv" in said.out


def test_json_for_programs(shell):
    said = importing(prepared(shell), csv_file(shell.folder, ADA, BAD), "--json")
    assert said.code == 1
    assert (said.json["customers"], said.json["rejected"]) == (1, 1)
    assert said.json["rejects"][0]["line"] == 3


def test_errors_of_files_are_one_message(shell):
    path = csv_file(prepared(shell).folder, ADA)
    for args, what in (
        ((str(path), "--mapping", "none.toml"), "none.toml does not exist"),
        (("none.csv", "--mapping", str(shell.folder / "mapping.toml")), "none.csv cannot be read"),
        ((str(path), "--mapping", str(shell.folder / "mapping.toml"), "--rejects", str(path)), "Name another one"),
    ):
        said = shell("import", "customers", *args)
        assert (said.code, said.out) == (2, "")
        assert what in said.err and "Traceback" not in said.err


def test_rejects_that_cannot_be_written_are_told(shell):
    path = csv_file(prepared(shell).folder, ADA, BAD)
    said = importing(shell, path, "--rejects", str(shell.folder / "no" / "rejects.csv"))
    assert said.code == 2 and "cannot be written" in said.err
    assert len(shell.json("customers", "list")) == 1


def test_an_import_killed_at_any_moment_goes_on_and_makes_nothing_twice(shell):
    """P6: kill -9, run again, and the store is what it would have been."""
    lines = 2500
    telephone = """
[customer]
reference = "customerID"
name = "customerID"
email = { template = "{customerID}@example.com" }
[subscription]
price = { constant = "pro-monthly" }
amount = "MonthlyCharges"
start = 2026-03-01
"""
    prepared(shell, telephone)
    write_sample(shell.folder / "big.csv", lines)
    process = shell.start("import", "customers", "big.csv", "--mapping", "mapping.toml")
    with sqlite3.connect(shell.folder / "books.db", timeout=30) as store:
        while store.execute("SELECT count(*) FROM billcore_imports").fetchone()[0] == 0 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        inside = store.execute("SELECT count(*) FROM billcore_imports").fetchone()[0]
        assert inside == store.execute("SELECT count(*) FROM billcore_customers").fetchone()[0] > 0
    again = importing(shell, shell.folder / "big.csv", "--json")
    assert (again.code, again.json["customers"], again.json["done_before"]) == (0, lines - inside, inside)
    with sqlite3.connect(shell.folder / "books.db") as store:
        for table in ("customers", "subscriptions", "imports"):
            assert store.execute(f"SELECT count(*) FROM billcore_{table}").fetchone()[0] == lines
