"""Files of tables: TOML and JSON mean the same, and an error names its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billcore.errors import FileInvalid
from billcore.files import parse_tables, read_table_file, toml_text

keys = st.text(min_size=1, max_size=8)
plain = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=12))
values = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)


def error(text: str, name: str = "prices.toml") -> FileInvalid:
    with pytest.raises(FileInvalid) as caught:
        parse_tables(text, name)
    return caught.value


@given(st.dictionaries(keys, values, max_size=4))
def test_what_is_written_as_toml_is_read_back_the_same(tables):
    assert parse_tables(toml_text(tables), "a.toml") == tables


@given(st.dictionaries(keys, values, max_size=4))
def test_json_and_toml_mean_the_same(tables):
    assert parse_tables(json.dumps(tables), "a.json") == tables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "products = [{ prices = [{ amount = 49.00 }] }]"),
        ("a.json", '{"products": [{"prices": [{"amount": 49.00}]}]}'),
        ("a", '{"products": [{"prices": [{"amount": 49.00}]}]}'),
        ("a", "products = [{ prices = [{ amount = 49.00 }] }]"),
    ],
)
def test_a_float_is_refused_with_its_key_path_as_it_was_written(name, text):
    found = error(text, name)
    assert (found.code, found.facts["path"]) == ("catalog_invalid", "products[0].prices[0].amount")
    assert '"49.00"' in found.remedy


@pytest.mark.parametrize("text", ["a = nan", "a = inf", "a = 1e3"])
def test_numbers_that_are_no_amounts_are_floats(text):
    assert error(text).facts["path"] == "a"


def test_the_reader_says_whose_file_it_is():
    with pytest.raises(FileInvalid, match="scenario_invalid"):
        parse_tables("a = 1.5", "s.toml", "scenario_invalid")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.toml", "a = 1\nb = ", "line 2"),
        ("a.toml", "a = 1\na = 2", "line 2"),
        ("a.json", '{"a": 1,\n "b": }', "line 2"),
        ("a.json", '{"a": 1, "a": 2}', "'a' stands twice"),
        ("a.json", "[1]", "no JSON object"),
        ("a.json", "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_syntax_error_names_its_place(name, text, place):
    found = error(text, name)
    assert found.code == "file_unreadable"
    assert place in found.message


def test_a_byte_order_mark_is_no_text(tmp_path: Path):
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_table_file(file) == {"a": 1}
