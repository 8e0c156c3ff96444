"""`billcore demo`: ends with proved books, fits its columns, and replaces only its own store."""

import csv
import re

import pytest

from billcore.demo import book
from billcore.demo.book import import_book, open_demo
from billcore.demo.changes import change_some
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


def test_the_demo_shows_a_proved_book_in_110_columns(shell):
    write_sample(shell.folder / "data.csv", 40)
    said = shell.process("demo", "--data", "data.csv")
    assert (said.code, said.err) == (0, "")
    assert max(len(line) for line in said.out.splitlines()) <= 110
    assert max(len(line) for line in said.out.partition("Changes in the middle")[0].splitlines()) <= 80
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


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A small book in December, what was told of the changes, and the books behind them."""
    folder = tmp_path_factory.mktemp("changed")
    write_sample(folder / "data.csv", 40)
    with open_demo(f"sqlite:///{folder / 'demo.db'}") as billing:
        import_book(billing, folder / "data.csv", declines=False)
        billing.run(book.ENDS)
        yield billing, change_some(billing)


def test_an_upgrade_gives_the_rest_of_the_month_back_and_takes_a_percentage_off_the_new(changed):
    billing, (up, *_) = changed
    assert re.match(r"\d customers take Plus with coupon LOYAL20: [\d.]+ USD more now\.", up.told)
    given, taken = billing.invoices.get(up.document).lines
    assert (given.kind, taken.code) == ("credit", "plus-monthly")
    assert given.amount < 0 and given.discount == 0
    assert taken.discount == (taken.amount * 20 + 50) // 100
    assert billing.explain(up.document).agrees


def test_a_downgrade_is_a_credit_note_that_pays_the_next_month(changed):
    billing, (_, down, after) = changed
    note, invoice = billing.invoices.credit_note(down.document), billing.invoices.get(after.document)
    assert note.total > invoice.total == invoice.credited == 1500
    assert invoice.status == "paid" and invoice.paid == 0
    assert billing.verify().ok


def test_where_nobody_can_change_one_invoice_is_explained(shell):
    write_sample(shell.folder / "data.csv", 1)
    said = shell.ok("demo", "--data", str(shell.folder / "data.csv"), "--keep", str(shell.folder), "--plain")
    assert "One invoice explained" in said.out and "verify: ok" in said.out
