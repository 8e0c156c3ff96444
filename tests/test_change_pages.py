"""The pages on changes, quantities, dates and ends: their commands and programs run, and say what the pages tell."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from billcore import Billing
from billcore.cli.app import root
from tests.project import ROOT
from tests.test_howtos import blocks

TOTALS = {
    "change-subscriptions": [3000, 1500, 600, 300, 3600, 3403],
    "change-quantities": [6000, 1000, 500, 1000, 20000, 16000],
    "move-dates": [2000, 3000, 3000, 1355, 3000, 2500, 6000, 3000, 3000, 5500, 1645, 8129, 3000, 3000, 8500],
    "end-and-bring-back": [3000] * 6 + [500, 500, 3000, 3000, 6968] + [3000] * 5,
}


def ran(page: str, folder: Path) -> str:
    """Everything that the page's commands say, in their order, on one line."""
    catalog, *_ = blocks(f"howto/{page}.md", "toml")
    (folder / "catalog.toml").write_text(catalog, encoding="utf-8")
    said = ""
    text = (ROOT / f"docs/howto/{page}.md").read_text(encoding="utf-8")
    for line in re.findall(r"^billcore .*$", text, re.MULTILINE):
        done = CliRunner().invoke(root, shlex.split(line)[1:])
        assert done.exit_code == 0, line + done.output
        said += done.output
    return " ".join(said.split())


@pytest.mark.parametrize("page", list(TOTALS))
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = ran(page, tmp_path)
    text = (ROOT / f"docs/howto/{page}.md").read_text(encoding="utf-8")
    told = [" ".join(one.split()).rstrip(".") for one in re.findall(r"(?<!`)`([^`]*\.)`(?!`)", text)]
    assert told and [one for one in told if one not in said] == []
    assert said.endswith("facts)") and "verify: ok" in said
    with Billing(f"sqlite:///{tmp_path / 'billcore.db'}") as billing:
        assert [one.total for one in billing.invoices.list(limit=100)] == TOTALS[page]
    (program,) = blocks(f"howto/{page}.md", "python")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    printed = re.search(r"It prints\n\n```\n(.*?)```", text, re.DOTALL)
    assert printed is not None
    assert done.stdout == printed[1], done.stdout + done.stderr
