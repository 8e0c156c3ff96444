"""Files that are cut off, not text, or not meant: one message, nothing applied, never a traceback (F40)."""

import os
import random

import pytest

from tests.cli.shell import CATALOG
from tests.importing.shop import ADA, BOB, CAS, HEADER, MAPPING

LONG = 10_000_000
STORY = """{"scenarios": [{"name": "A plan", "start": "2026-01-01", "catalog": {"products": [{"code": "pro",
"prices": [{"code": "pro-m", "amount": "10.00", "every": "1 month"}]}]},
"steps": [{"do": "customers.create", "reference": "acme"}]}]}
"""
FILES = {
    "catalog": ("catalog.toml", CATALOG),
    "mapping": ("mapping.toml", MAPPING.replace('"pro-m"', '"pro-monthly"').replace('"pro-w"', '"pro-daily"')),
    "csv": ("customers.csv", f"{HEADER}\n{ADA}\n{BOB}\n{CAS}\n"),
    "scenario": ("story.json", STORY),
}
PIECES = [b"\x00", b'"', b"[[", b"{", b"\xed\xa0\x80", b"\\ud800", b"9" * 400, b"1e999", b"0001-01-01", b"\x1a", b"\r"]


@pytest.fixture
def desk(shell):
    shell.with_catalog()
    for name, text in FILES.values():
        (shell.folder / name).write_text(text)
    return shell


def given(desk, kind):
    """Give the file to the command that reads it."""
    if kind in ("mapping", "csv"):
        csv, mapping = (str(desk.folder / FILES[one][0]) for one in ("csv", "mapping"))
        return desk("import", "customers", csv, "--mapping", mapping)
    path = str(desk.folder / FILES[kind][0])
    return desk("catalog", "apply", path) if kind == "catalog" else desk("scenario", "check", path)


def changed(kind, dice):
    """The file with one thing wrong with it."""
    data = FILES[kind][1].encode()
    at = dice.randrange(len(data))
    return dice.choice(
        [
            data[:at],
            data[:at] + data[at + dice.randrange(1, 100) :],
            data[:at] + dice.choice(PIECES) + data[at:],
            data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :],
            data.decode().encode(dice.choice(["utf-16", "utf-32", "cp037"])),
            dice.randbytes(500),
        ]
    )


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_a_message_or_still_means_something(desk, kind) -> None:
    """Cut off, overwritten, in another encoding: 60 files, always the same ones."""
    dice = random.Random(kind)
    for _ in range(60):
        data = changed(kind, dice)
        (desk.folder / FILES[kind][0]).write_bytes(data)
        said = given(desk, kind)
        assert said.code in (0, 1, 2), (data, said)
        assert "Traceback" not in said.err and "[internal]" not in said.err, (data, said)
        if said.code == 2:
            assert said.err.startswith("error [") or said.out.startswith("invalid"), (data, said)
    desk.ok("verify")


@pytest.mark.parametrize("kind", FILES)
def test_a_line_of_ten_megabytes_is_no_trouble(desk, kind) -> None:
    name, text = FILES[kind]
    (desk.folder / name).write_text(text.replace("Ada", "A" * LONG) if kind == "csv" else text + "#" * LONG)
    said = given(desk, kind)
    assert said.code in (0, 1, 2) and "[internal]" not in said.err
    assert len(said.out + said.err) < 10_000


@pytest.mark.parametrize("kind", ["catalog", "scenario", "mapping"])
def test_a_text_of_ten_megabytes_is_refused_shortly(desk, kind) -> None:
    name, text = FILES[kind]
    quoted = {"catalog": '"Pro"', "scenario": '"acme"', "mapping": '"name"'}[kind]
    (desk.folder / name).write_text(text.replace(quoted, f'"{"A" * LONG}"'))
    said = given(desk, kind)
    assert said.code in (1, 2) and "[internal]" not in said.err
    assert len(said.out + said.err) < 10_000


def test_a_file_without_end_is_refused(desk) -> None:
    for args in (["catalog", "apply", "/dev/zero"], ["scenario", "check", "/dev/zero"]):
        said = desk(*args)
        assert said.code == 2 and "64 MB" in said.err + said.out


def test_a_pipe_cannot_be_imported_because_it_is_read_twice(desk) -> None:
    pipe = desk.folder / "pipe.csv"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero"):
        said = desk("import", "customers", path, "--mapping", str(desk.folder / "mapping.toml"))
        assert said.code == 2 and "pipe or device" in said.err


WRONG = [
    "",
    " ",
    "\n",
    "💥",
    "\udcff",
    "NaN",
    "1e400",
    "9" * 400,
    "-1",
    "0001-01-01",
    "9999-12-31",
    "x" * 20_000,
    "a=b",
    "%s",
]


def test_wrong_words_on_the_command_line_are_refused(desk) -> None:
    """Every option of a sample of commands with words that fit nowhere; \udcff is how a shell passes a wrong byte."""
    commands = [
        (["customers", "create", "--reference", "x", "--name", "N", "--email", "n@n.example"], "--timezone"),
        (["customers", "get"], ""),
        (["customers", "list"], "--limit"),
        (["payment_methods", "add", "--customer", "acme"], "--token"),
        (["subscriptions", "create", "--reference", "s", "--customer", "acme", "--price", "pro-monthly"], "--quantity"),
        (
            ["subscriptions", "create", "--reference", "s", "--customer", "acme", "--price", "pro-monthly"],
            "--starts-at",
        ),
        (["subscriptions", "create", "--reference", "s", "--customer", "acme", "--price", "pro-monthly"], "--custom"),
        (["usage", "record", "s1", "calls", "1"], "--timestamp"),
        (["run"], "--until"),
        (["explain"], ""),
    ]
    for command, option in commands:
        for word in WRONG:
            said = desk(*command, *([option] if option else []), word)
            assert said.code in (0, 1, 2), (command, option, word[:50], said)
            assert "Traceback" not in said.err and "[internal]" not in said.err, (command, word[:50], said)
