"""Stories of our own say how billcore bills, and come out as they say: the examples, and one for each rule."""

import pytest

from billcore.scenario.checking import check_file, check_paths
from billcore.scenario.reader import Reader
from billcore.scenario.runner import check_story
from billcore.scenario.story import Story
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


def told() -> dict[str, list[Story]]:
    """The stories of each rule: "6.1" of "6.1-keep"; those named by a verb stand by its first word."""
    found: dict[str, list[Story]] = {}
    for name in TOLD:
        for story in Reader().read(ROOT / "tests" / "scenarios" / name):
            found.setdefault(story.id.partition("-")[0], []).append(story)
    return found


@pytest.mark.parametrize("stories", [pytest.param(stories, id=rule) for rule, stories in told().items()])
def test_a_rule_is_told_as_stories(stories):
    """Each of them was worked out by hand from the rules; its title says which one it tells."""
    verdicts = [check_story(story, databases.next_story()) for story in stories]
    assert [(one.title, one.error, one.failures) for one in verdicts if one.error or one.failures] == []


def test_two_processes_find_what_one_finds(stores):
    def found(jobs):
        reports = check_paths(STORIES[:4], database=stores.server, jobs=jobs)
        return [(report.file, report.ok, report.failed) for report in reports]

    one = found(1)
    assert one == found(2)
    assert len(one) == 4
