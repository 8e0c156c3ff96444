"""The CSV file is checked before anything is imported: encoding, header, columns."""

import codecs

import pytest

from billcore.errors import FileInvalid
from billcore.importing.mapping_reader import read_mapping
from billcore.importing.table import CHUNK, open_source
from tests.importing.shop import ADA, HEADER, csv_file, tables


def mapping(file=""):
    return read_mapping(tables(**{"[customer]": f"[file]\n{file}\n[customer]"}), "m.toml")


def refused(path, file=""):
    with pytest.raises(FileInvalid) as caught:
        open_source(path, mapping(file))
    return caught.value


def test_utf8_with_a_byte_order_mark_is_utf8(tmp_path):
    source = open_source(csv_file(tmp_path, ADA, encoding="utf-8-sig"), mapping())
    assert source.header[0] == "id"
    assert [line.fields[0] for line in source.lines()] == ["ada"]


def test_cp1252_is_told_by_line_and_how_it_would_read(tmp_path):
    path = csv_file(tmp_path, ADA, "zoe,Zoë Müller,z@example.com,none,,,,", encoding="cp1252")
    error = refused(path)
    assert error.facts["line"] == 3
    assert "byte 0xeb is not UTF-8" in error.message
    assert "Zoë Müller" in error.remedy and 'encoding = "cp1252"' in error.remedy
    source = open_source(path, mapping('encoding = "cp1252"'))
    assert [line.fields[1] for line in source.lines()] == ["Ada", "Zoë Müller"]


def test_a_wrong_byte_far_into_the_file_is_found_before_anything_is_read(tmp_path):
    path = csv_file(tmp_path, *[ADA] * (CHUNK // len(ADA) + 10), "zoe,Zoë,,,,,,", encoding="cp1252")
    assert refused(path).facts["line"] == CHUNK // len(ADA) + 12


def test_utf16_is_told_and_can_be_read(tmp_path):
    path = csv_file(tmp_path, ADA, encoding="utf-16")
    assert 'encoding = "utf-16"' in refused(path).remedy
    assert open_source(path, mapping('encoding = "utf-16"')).header == tuple(HEADER.split(","))


def test_a_file_that_ends_inside_a_character_is_refused(tmp_path):
    path = csv_file(tmp_path, ADA)
    path.write_bytes(path.read_bytes() + "é".encode()[:1])
    assert "ends inside a character" in refused(path).message


@pytest.mark.parametrize("content", [b"", b"\n", codecs.BOM_UTF8])
def test_a_file_without_header_is_refused(tmp_path, content):
    path = tmp_path / "empty.csv"
    path.write_bytes(content)
    assert "there is no header" in refused(path).message


def test_a_missing_column_names_the_key_that_needs_it_and_the_nearest_one(tmp_path):
    error = refused(csv_file(tmp_path, header=HEADER.replace("since", "sinse")))
    assert error.facts == {"path": "subscription.start", "column": "since"}
    assert "Did you mean 'sinse'?" in error.remedy


def test_another_separator_is_told(tmp_path):
    path = csv_file(tmp_path, ADA.replace(",", ";"), header=HEADER.replace(",", ";"))
    assert "';'" in refused(path).remedy
    assert len(open_source(path, mapping('delimiter = ";"')).header) == 8


def test_a_column_that_stands_twice_is_refused(tmp_path):
    assert "'id' stands there twice" in refused(csv_file(tmp_path, header=f"{HEADER},id")).message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refused(tmp_path / "none.csv").code == "file_unreadable"
    assert refused(tmp_path).code == "file_unreadable"


def test_lines_are_numbered_as_an_editor_shows_them(tmp_path):
    """Quoted fields may hold line ends; blank lines are passed over."""
    source = open_source(csv_file(tmp_path, '"a\nb",1,,,,,,', "", ADA), mapping())
    assert [line.number for line in source.lines()] == [2, 5]


def test_the_digest_is_of_the_contents(tmp_path):
    one = open_source(csv_file(tmp_path, ADA), mapping()).digest
    same = open_source(csv_file(tmp_path, ADA, name="other.csv"), mapping()).digest
    assert one == same != open_source(csv_file(tmp_path, ADA, ADA), mapping()).digest
