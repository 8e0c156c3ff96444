"""A mapping is read strictly: each error names its key path and what to write instead."""

import pytest

from billcore.errors import FileInvalid
from billcore.files import parse_tables
from billcore.importing.mapping_reader import read_mapping
from tests.importing.shop import MAPPING, tables

LEAST = """
[customer]
reference = "id"
"""
METHOD = """
[payment_method]
gateway = { constant = "test" }
token = "card"
"""
SUBSCRIPTION = """
[subscription]
price = { constant = "pro" }
"""


def reason(text):
    with pytest.raises(FileInvalid) as caught:
        read_mapping(parse_tables(text, "m.toml", "import_invalid"), "m.toml")
    assert caught.value.code == "import_invalid"
    return caught.value.facts["path"], str(caught.value)


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("", "customer", "is missing"),
        ("[customer]\nname = 'n'", "customer.reference", "is missing"),
        (LEAST + "nmae = 'n'", "customer.nmae", "Did you mean 'name'?"),
        (LEAST + "[custmer]", "custmer", "Did you mean 'customer'?"),
        (LEAST + "[zebra]", "zebra", "Possible: file, customer"),
        (LEAST + "name = 3", "customer.name", "neither a column nor a table"),
        (LEAST + "name = {}", "customer.name", "column, constant or template"),
        (LEAST + "name = { column = 'a', constant = 'b' }", "customer.name", "column, constant or template"),
        (LEAST + "name = { column = 3 }", "customer.name.column", "not a text"),
        (LEAST + "name = { colum = 'a' }", "customer.name.colum", "Did you mean 'column'?"),
        (LEAST + "name = { constant = 'a', map = {} }", "customer.name.map", "does not go with constant"),
        (LEAST + "name = { column = 'a', map = { b = 3 } }", "customer.name.map.b", "not a text"),
        (LEAST + "name = { column = 'a', map = 'b' }", "customer.name.map", "is not a table"),
        (LEAST + "[file]\nencoding = 'utf-9'", "file.encoding", "no text encoding"),
        (LEAST + "[file]\nencoding = 'base64'", "file.encoding", "no text encoding"),
        (LEAST + "[file]\ndelimiter = 'x'", "file.delimiter", "Possible: ',', ';'"),
        (LEAST + "[file]\ndecimal = 3", "file.decimal", "Possible: '.', ','"),
        (LEAST + "[payment_method]\ntoken = 'card'", "payment_method.gateway", "is missing"),
        (LEAST + METHOD + "share = 3", "payment_method.share", "is not a list"),
        (LEAST + METHOD + "share = [{ percent = 101, token = 'a' }]", "payment_method.share[0].percent", "0 to 100"),
        (LEAST + METHOD + "share = [{ percent = true, token = 'a' }]", "payment_method.share[0].percent", "0 to 100"),
        (
            LEAST + METHOD + "share = [{ percent = 60, token = 'a' }, { percent = 60, token = 'b' }]",
            "payment_method.share",
            "adds up to 120 percent",
        ),
        (LEAST + SUBSCRIPTION, "subscription.start", "is missing"),
        (LEAST + SUBSCRIPTION + "start = 3", "subscription.start", "is not a table"),
        (LEAST + SUBSCRIPTION + "start = { column = 's', order = 'DYM' }", "subscription.start.order", "'DMY'"),
        (LEAST + SUBSCRIPTION + "start = { months_before = 't' }", "subscription.start.reference", "is missing"),
        (
            LEAST + SUBSCRIPTION + "start = { months_before = 't', reference = '2025-12-31' }",
            "subscription.start.reference",
            "is not a date",
        ),
        (
            LEAST + SUBSCRIPTION + "start = { months_before = 't', reference = 2025-12-31, spread = 29 }",
            "subscription.start.spread",
            "1 to 28",
        ),
        (LEAST + SUBSCRIPTION + "start = 's'\ncancel = { column = 'c' }", "subscription.cancel", "say when"),
        (
            LEAST + SUBSCRIPTION + "start = 's'\ncancel = { date = 'd', months_after = 't' }",
            "subscription.cancel",
            "either date or months_after",
        ),
        (LEAST + SUBSCRIPTION + "start = 's'\ncancel = { months_after = 't' }", "subscription.cancel", "which"),
        (
            LEAST + SUBSCRIPTION + "start = 's'\nunless = { column = 'c', values = 'x' }",
            "subscription.unless.values",
            "[",
        ),
        ("skip = [{ values = ['x'] }]\n" + LEAST, "skip[0].column", "is missing"),
    ],
)
def test_an_error_names_its_key_path_and_the_remedy(text, path, said):
    where, message = reason(text)
    assert where == path
    assert said in message and path in message and "m.toml" in message


def test_a_float_in_a_mapping_is_refused_by_its_path():
    with pytest.raises(FileInvalid) as caught:
        tables(MAPPING + "quantity = 1.5")
    assert caught.value.code == "import_invalid"


def test_every_column_that_is_needed_is_known():
    mapping = read_mapping(tables(), "m.toml")
    assert {column for _, column in mapping.columns()} == {
        "id",
        "name",
        "email",
        "card",
        "plan",
        "price",
        "since",
        "until",
    }
    assert ("subscription.unless", "plan") in mapping.columns()


def test_a_template_names_its_columns():
    mapping = read_mapping(tables(**{'name = "name"': 'name = { template = "{first} {last}" }'}), "m.toml")
    assert {"first", "last"} <= {column for _, column in mapping.columns()}
