"""billcore scenario: one line a file, differences under it, and an exit code for programs."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from billcore.cli.scenario import scenario
from billcore.errors import InvalidValue
from tests.scenarios.stories import CUSTOMER, table, written


def call(*arguments):
    result = CliRunner().invoke(scenario, [str(one) for one in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.output


def test_all_ok_is_exit_0(tmp_path):
    code, shown = call("check", written(tmp_path, table(), table()))
    assert code == 0
    assert shown.startswith("ok")
    assert "2 scenarios in 1 files: 2 ok" in shown


def test_a_difference_is_exit_1_and_shown_with_both_values(tmp_path):
    code, shown = call("check", written(tmp_path, table(expect={"invoices": [{"total": "11.00"}]})))
    assert code == 1
    assert shown.startswith("FAIL")
    assert "invoices[0].total\n      expected 11.00\n      actual   10.00" in shown


def test_what_is_missing_is_neither_ok_nor_failed(tmp_path):
    code, shown = call("check", written(tmp_path, table(steps=[{**CUSTOMER, "affiliate": "a"}])))
    assert code == 1
    assert shown.startswith("unsupported")
    assert "unsupported: customers.create(affiliate) (1)" in shown


def test_an_invalid_file_is_exit_2(tmp_path):
    code, shown = call("check", written(tmp_path, table(titel="x")))
    assert code == 2
    assert "Did you mean 'title'?" in shown


def test_json_is_one_array_of_verdicts(tmp_path):
    expect = {"invoices": [{"total": "11.00"}]}
    code, shown = call("check", "--json", written(tmp_path, table(), table(expect=expect)))
    first, second = json.loads(shown)
    assert code == 1
    assert first["ok"] is True
    assert set(first) == {"file", "title", "ok", "seconds", "failures", "error"}
    assert second["failures"] == [{"path": "invoices[0].total", "expected": "11.00", "actual": "10.00"}]


def test_a_story_run_prints_its_world_as_json_or_toml(tmp_path):
    path = written(tmp_path, table(id="one"), table(id="two", until="2026-02-01"))
    assert [world["title"] for world in json.loads(call("run", path, "--json")[1])] == ["A plan", "A plan"]
    world = json.loads(call("run", path, "--json", "--id", "two")[1])
    assert [invoice["issued"] for invoice in world["invoices"]] == ["2026-01-01", "2026-02-01"]
    assert tomllib.loads(call("run", path, "--id", "two")[1]) == {
        "expect": {key: value for key, value in world.items() if value}
    }


def test_a_store_that_is_there_is_left_alone(tmp_path):
    books = tmp_path / "books.db"
    books.write_bytes(b"")
    for command in ("check", "run"):
        with pytest.raises(InvalidValue, match="exists already"):
            call(command, written(tmp_path, table()), "--database", f"sqlite:///{books}")
