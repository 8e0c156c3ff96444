"""The page on proration tells what the engine does: every block, table and amount of it (behaviour 3, 6)."""

import json
import re
from pathlib import Path

import pytest

from billcore.scenario.reader import Reader
from billcore.scenario.runner import check_story, play_story
from tests.project import ROOT

TEXT = (ROOT / "docs/explanation/proration.md").read_text(encoding="utf-8")
CATALOG, *STORIES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
AMOUNT = re.compile(r"\d+\.\d\d\b")
ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


def rows(start: str) -> list[list[str]]:
    """The cells of the table whose first heading is `start`."""
    table = TEXT[TEXT.index(f"| {start} |") :].split("\n\n", maxsplit=1)[0]
    return [[cell.strip() for cell in row.split("|")] for row in ROW.findall(table)[2:]]


def read(folder: Path, story: str):  # type: ignore[no-untyped-def]
    (folder / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    (folder / "story.toml").write_text(story, encoding="utf-8")
    (one,) = Reader().read(folder / "story.toml")
    return one


def changed(folder: Path, change: str, more: str = "", start: str = "2026-06-01") -> dict[str, object]:
    """What comes of one change from Basic to Plus."""
    customer, signup = '{ do = "customers.create", reference = "acme" }', 'reference = "s1", customer = "acme"'
    story = f"""
        title = "A row"
        catalog_file = "catalog.toml"
        start = {start}
        {more}
        steps = [
            {customer},
            {{ do = "subscriptions.create", {signup}, price = "basic-m" }},
            {{ {change}, do = "subscriptions.change", subscription = "s1", price = "plus-m" }},
        ]
    """
    world = play_story(read(folder, story))
    return json.loads(json.dumps(world, default=str))  # type: ignore[no-any-return]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: re.findall(r'title = "(.*)"', story)[0])
def test_a_block_comes_out_as_it_says(story: str, tmp_path: Path) -> None:
    verdict = check_story(read(tmp_path, story))
    assert (verdict.error, verdict.failures) == (None, ())


SEVEN = rows("when")


@pytest.mark.parametrize("row", SEVEN, ids=lambda row: "-".join(re.findall(r"\w+", " ".join(row[:3]))))
def test_a_row_of_the_seven_is_what_the_engine_makes(row: list[str], tmp_path: Path) -> None:
    when, proration, period, billed, after, following = row
    asked = f'at = 2026-06-16, when = "{when}"'
    asked += f', proration = "{proration}"' if proration else ""
    asked += f', period = "{period.split()[0]}"' if period else ""
    asked += ', reason = "a gift"' if "reason" in period else ""
    refused = re.search(r"refused: `(\w+)`", billed)
    asked += f', fails = "{refused[1]}"' if refused else ""
    day, amount = following.split(": ")
    then = changed(tmp_path, asked)
    made = [invoice for invoice in then["invoices"] if invoice["issued"] == "2026-06-16"]  # type: ignore[attr-defined]
    figures = [line["amount"] for invoice in made for line in invoice["lines"]] + [one["total"] for one in made]
    told = [figure.replace("−", "-") for figure in re.findall(r"−?\d+\.\d\d", billed)]
    assert told in (figures, figures[-1:]) if made else not told
    assert then["subscriptions"]["s1"]["period"] == after.split(" to ")  # type: ignore[index]
    later = changed(tmp_path, asked, f"until = {day}")["invoices"][-1]  # type: ignore[index]
    assert (later["issued"], later["total"]) == (day, amount)


def test_all_seven_are_there() -> None:
    assert [len(SEVEN), len({tuple(row[:3]) for row in SEVEN})] == [7, 7]


@pytest.mark.parametrize("row", rows("`proration_basis`"), ids=lambda row: row[0])
def test_a_basis_counts_as_the_table_says(row: list[str], tmp_path: Path) -> None:
    setting = f'settings = {{ proration_basis = "{row[0].strip("`")}" }}'
    world = changed(tmp_path, "at = 2026-01-16T18:00:00", setting, "2026-01-01")
    invoice = world["invoices"][-1]  # type: ignore[index]
    credit, charge = [line["amount"] for line in invoice["lines"]]
    assert [credit.lstrip("-"), charge, invoice["total"]] == row[2:]


def test_no_amount_of_the_prose_is_made_up(tmp_path: Path) -> None:
    """What a section says in words is in a block or table of it, or a price."""
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        prose = re.sub(r"```.*?```|^\|.*?$", "", section, flags=re.DOTALL | re.MULTILINE)
        found = set(AMOUNT.findall(CATALOG)) | set(AMOUNT.findall("".join(ROW.findall(section))))
        for story in re.findall(r"```toml\n(.*?)```", section, re.DOTALL):
            found |= set(AMOUNT.findall(json.dumps(play_story(read(tmp_path, story)), default=str)))
        assert set(AMOUNT.findall(prose)) <= found, section.splitlines()[0]
