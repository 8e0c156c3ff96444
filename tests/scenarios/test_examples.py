"""Stories of our own say how billcore bills, and come out as they say: the examples, and one for each rule."""

import pytest

from billcore.scenario.checking import check_file, check_paths
from billcore.scenario.reader import Reader
from billcore.scenario.runner import check_story
from tests import databases
from tests.project import ROOT

pytestmark = pytest.mark.usefixtures("stores")

STORIES = sorted((ROOT / "examples" / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_an_example_comes_out_as_it_says(path):
    for verdict in check_file(path, Reader(), databases.next_story).verdicts:
        assert verdict.error is None, verdict.title
        assert verdict.failures == (), verdict.title


TOLD = ("rules.json", "changes.json", "semantics.json")
RULES = [story for name in TOLD for story in Reader().read(ROOT / "tests" / "scenarios" / name)]


@pytest.mark.parametrize("story", RULES, ids=lambda story: story.id)
def test_a_rule_is_told_as_a_story(story):
    """Each of these stories was worked out by hand from the rules; its title says which one it tells."""
    verdict = check_story(story, databases.fresh())
    assert verdict.error is None
    assert verdict.failures == ()


def test_two_processes_find_what_one_finds(stores):
    def found(jobs):
        reports = check_paths(STORIES[:4], database=stores.server, jobs=jobs)
        return [(report.file, report.ok, report.failed) for report in reports]

    one = found(1)
    assert one == found(2)
    assert len(one) == 4
