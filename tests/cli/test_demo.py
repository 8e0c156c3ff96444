"""`billcore demo`: ends with proved books, fits 80 columns, and replaces only its own store."""

import csv

from billcore.demo import book
from billcore.demo.sample import COLUMNS, ROWS, sample_rows, write_sample


def test_the_sample_is_the_same_every_time_and_has_the_real_files_columns():
    rows = list(sample_rows())
    assert rows == list(sample_rows())
    assert len(rows) == ROWS == len({row["customerID"] for row in rows})
    assert all(tuple(row) == COLUMNS for row in rows)
    real = book._real_file()
    if real is not None:
        with real.open(newline="") as file:
            assert tuple(next(csv.reader(file))) == COLUMNS


def test_the_sample_has_every_kind_of_customer():
    rows = list(sample_rows())
    assert {row["Churn"] for row in rows} == {"Yes", "No"}
    assert any(row["tenure"] == "0" for row in rows)
    assert 60 < max(int(row["tenure"]) for row in rows) <= 72


def test_the_demo_shows_a_proved_book_in_80_columns(shell):
    write_sample(shell.folder / "data.csv", 40)
    said = shell.process("demo", "--data", "data.csv")
    assert (said.code, said.err) == (0, "")
    assert max(len(line) for line in said.out.splitlines()) <= 80
    for part in ("40 customers", "Subscriptions by state", "lifetime value", "explained", "verify: ok", "Look around"):
        assert part in said.out
    months = sum(int(row["tenure"]) for row in sample_rows(40))
    assert f"{months:,} invoices" in said.out
    assert (shell.folder / "billcore-demo.db").exists()
    assert not (shell.folder / "books.db").exists()


def test_plain_output_is_ascii(shell):
    write_sample(shell.folder / "data.csv", 3)
    said = shell.ok("demo", "--data", str(shell.folder / "data.csv"), "--keep", str(shell.folder / "kept"), "--plain")
    assert said.out.isascii() and "\x1b" not in said.out
    assert (shell.folder / "kept" / "billcore-demo.db").exists()


def test_the_demo_again_replaces_its_own_store_only(shell):
    sample = ("--rows", "2", "--plain")
    store = shell.folder / "billcore-demo.db"
    for _ in range(2):
        assert "2 customers" in shell.ok("demo", "-d", str(store), *sample).out
    shell.with_catalog()
    theirs = str(shell.folder / "other.db")
    shell("init", "-d", theirs)
    said = shell("demo", "-d", theirs, *sample)
    assert said.code == 1 and "exists already" in said.err


def test_without_the_real_file_the_sample_is_billed(monkeypatch):
    monkeypatch.setattr(book, "_real_file", lambda: None)
    with book.find_book(None, None) as found:
        assert not found.real
        assert len(found.path.read_text().splitlines()) == ROWS + 1
    assert not found.path.exists()
