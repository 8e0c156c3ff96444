"""A scenario file with any error is refused with its path and a remedy; nothing of it runs."""

from datetime import UTC, datetime

import pytest

from billcore.errors import FileInvalid
from billcore.scenario.reader import Reader, scenario_files
from tests.scenarios.stories import CUSTOMER, SIGNUP, read, table, written


def refused(folder, **changes):
    with pytest.raises(FileInvalid) as caught:
        read(folder, **changes)
    return caught.value


@pytest.mark.parametrize(
    ("changes", "path", "remedy"),
    [
        ({"titel": "x"}, "titel", "Did you mean 'title'?"),
        ({"title": None}, "title", 'Add title = "…".'),
        ({"start": None}, "start", "Add start = 2026-01-01."),
        ({"start": "soon"}, "start", "Write 2026-01-31 or 2026-01-31T12:00:00Z."),
        ({"until": "2025-12-31"}, "until", "Time only moves forward."),
        ({"timezone": "Mars/Olympus"}, "timezone", None),
        ({"settings": {"proration": "day"}}, "settings.proration", None),
        ({"steps": [{"do": "customer.create"}]}, "steps[0].do", "Did you mean 'customers.create'?"),
        ({"steps": [{**CUSTOMER, "county": "DE"}]}, "steps[0].county", "Did you mean 'country'?"),
        ({"steps": [{"reference": "acme"}]}, "steps[0].do", None),
        (
            {"steps": [{**CUSTOMER, "at": "2026-02-01"}, {**SIGNUP, "at": "2026-01-15"}]},
            "steps[1].at",
            "Time only moves forward.",
        ),
        ({"expect": {"invoice": []}}, "expect.invoice", "Did you mean 'invoices'?"),
        ({"expect": {"invoices": [{"totals": "1.00"}]}}, "expect.invoices[0].totals", "Did you mean 'total'?"),
        ({"expect": {"invoices": [{"total": 10}]}}, "expect.invoices[0].total", 'Write it in quotes: "49.00".'),
        ({"expect": {"invoices": [{"lines": [{"kind": "prodct"}]}]}}, "expect.invoices[0].lines[0].kind", None),
        ({"expect": {"subscriptions": {"s1": {"period": "2026"}}}}, "expect.subscriptions.s1.period", None),
        ({"expect": {"quotes": [{"price": "plan-m"}]}}, "expect.quotes[0].amount", "Add amount = …."),
        ({"expect": {"partial": ["lines"]}}, "expect.partial", None),
        ({"steps": [{"do": "expect", "payments": [{"state": "failed"}]}]}, "steps[0].payments[0].state", None),
    ],
)
def test_an_error_names_its_key_and_what_to_do(tmp_path, changes, path, remedy):
    error = refused(tmp_path, **changes)
    assert (error.code, error.facts["path"]) == ("scenario_invalid", path)
    assert error.remedy if remedy is None else error.remedy == remedy


def test_an_error_in_the_catalog_is_found_before_anything_runs(tmp_path):
    error = refused(tmp_path, catalog={"products": [{"code": "plan", "prices": [{"code": "p", "amount": "1.234"}]}]})
    assert error.code == "catalog_invalid"
    assert error.facts["path"] == "catalog.products[0].prices[0].amount"


def test_floats_are_refused_where_they_stand(tmp_path):
    path = tmp_path / "story.toml"
    path.write_text('title = "x"\nstart = 2026-01-01\n[[steps]]\ndo = "usage.record"\nquantity = 1.5\n')
    with pytest.raises(FileInvalid) as caught:
        Reader().read(path)
    assert caught.value.facts["path"] == "steps[0].quantity"


def test_beside_several_scenarios_nothing_else_may_stand(tmp_path):
    path = written(tmp_path, table(), table())
    path.write_text(path.read_text().replace('{"scenarios"', '{"title": "all", "scenarios"'))
    with pytest.raises(FileInvalid) as caught:
        Reader().read(path)
    assert caught.value.facts["path"] == "title"


def test_paths_in_a_file_of_several_name_the_scenario(tmp_path):
    path = written(tmp_path, table(), table(steps=[{"do": "nothing"}]))
    with pytest.raises(FileInvalid) as caught:
        Reader().read(path)
    assert caught.value.facts["path"] == "scenarios[1].steps[0].do"


def test_dates_are_local_to_the_scenarios_zone(tmp_path):
    story = read(tmp_path, timezone="Europe/Berlin", until="2026-07-01T12:00:00")
    assert story.start == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert story.until == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_toml_and_json_say_the_same(tmp_path):
    toml = tmp_path / "story.toml"
    toml.write_text('title = "A plan"\nstart = 2026-01-01\nuntil = 2026-02-01T00:00:00Z\n')
    story = Reader().read(toml)[0]
    same = read(tmp_path, catalog=None, steps=None, expect=None, until="2026-02-01")
    assert (story.start, story.until) == (same.start, same.until)


def test_a_catalog_file_lies_beside_the_scenario(tmp_path):
    written(tmp_path, table()["catalog"], name="catalog.json")
    story = read(tmp_path, catalog=None, catalog_file="catalog.json")
    assert story.catalog == table()["catalog"]
    assert refused(tmp_path, catalog_file="catalog.json").facts["path"] == "catalog_file"
    assert refused(tmp_path, catalog=None, catalog_file="gone.json").code == "file_unreadable"


def test_folders_give_their_stories_but_not_their_catalogs(tmp_path):
    (tmp_path / "deep").mkdir()
    story = written(tmp_path, table(), name="b.json")
    deep = written(tmp_path / "deep", table(), name="a.json")
    written(tmp_path, table()["catalog"], name="catalog.json")
    (tmp_path / "notes.txt").write_text("no scenario")
    assert scenario_files([tmp_path]) == [story, deep]
    assert scenario_files([story, tmp_path]) == [story, deep]
