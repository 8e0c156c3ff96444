"""Stories told by other billing systems' public tests, where they lie beside the checkout."""

import pytest

from billcore.scenario.checking import check_file
from billcore.scenario.reader import Reader
from tests import databases
from tests.project import ROOT

CASES = sorted((ROOT.parent / "shared" / "cases").glob("*.json"))


@pytest.mark.usefixtures("stores")
@pytest.mark.skipif(not CASES, reason="the cases are not beside this checkout")
def test_no_story_of_another_system_fails():
    """What this version cannot do yet is said to be unsupported; all others come out, and they are the most."""
    reader = Reader()
    reports = [check_file(path, reader, databases.next_story) for path in CASES]
    wrong = [
        (verdict.title, verdict.error, verdict.failures)
        for report in reports
        for verdict in report.verdicts
        if not verdict.ok and not verdict.unsupported
    ]
    assert wrong == []
    assert sum(report.ok for report in reports) * 2 > sum(len(report.verdicts) for report in reports)
