"""Stories told by other billing systems' public tests, where they lie beside the checkout."""

import pytest

from billcore.scenario.checking import check_file
from billcore.scenario.reader import Reader
from tests import databases
from tests.project import ROOT

CASES = sorted((ROOT.parent / "shared" / "cases").glob("*.json"))
HERE = pytest.mark.skipif(not CASES, reason="the cases are not beside this checkout")


@HERE
@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_story_of_another_system_fails(path):
    """What this version cannot do yet is said to be unsupported; all others come out."""
    report = check_file(path, Reader(), databases.next_story)
    wrong = [(one.title, one.error, one.failures) for one in report.verdicts if not one.ok and not one.unsupported]
    assert wrong == []


@HERE
def test_most_stories_of_other_systems_are_told():
    reader = Reader()
    stories = [story for path in CASES for story in reader.read(path)]
    assert sum(story.unsupported is None for story in stories) * 2 > len(stories)
