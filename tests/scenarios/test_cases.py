"""Stories told by other billing systems' public tests, where they lie beside the checkout."""

import pytest

from billcore.scenario.reader import Reader
from billcore.scenario.runner import check_story
from tests import databases
from tests.project import ROOT

CASES = sorted((ROOT.parent / "shared" / "cases").glob("*.json"))
HERE = pytest.mark.skipif(not CASES, reason="the cases are not beside this checkout")


@HERE
@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_story_of_another_system_fails(path):
    """What this version cannot do yet is said to be unsupported; all others come out."""
    verdicts = [check_story(story, databases.next_story()) for story in Reader().read(path)]
    wrong = [(one.title, one.error, one.failures) for one in verdicts if not one.ok and not one.unsupported]
    assert wrong == []


@HERE
def test_most_stories_of_other_systems_are_told():
    reader = Reader()
    stories = [story for path in CASES for story in reader.read(path)]
    assert sum(story.unsupported is None for story in stories) * 2 > len(stories)
