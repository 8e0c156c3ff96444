"""The example stories say how billcore bills; each of their files comes out as it says, alone and in a folder."""

import pytest

from billcore.scenario.checking import check_file, check_paths
from billcore.scenario.reader import Reader
from tests.project import ROOT

STORIES = sorted((ROOT / "examples" / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_an_example_comes_out_as_it_says(path):
    for verdict in check_file(path, Reader()).verdicts:
        assert verdict.error is None, verdict.title
        assert verdict.failures == (), verdict.title


def test_two_processes_find_what_one_finds():
    one = [(report.file, report.ok, report.failed) for report in check_paths([ROOT / "examples" / "scenarios"])]
    two = [(report.file, report.ok, report.failed) for report in check_paths([ROOT / "examples" / "scenarios"], jobs=2)]
    assert one == two
    assert len(one) == len(STORIES)
