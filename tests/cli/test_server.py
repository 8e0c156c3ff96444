"""The command line on a PostgreSQL server."""

import pytest
from sqlalchemy.engine import make_url

from tests.cli.shell import Shell

pytestmark = pytest.mark.postgresql_only("how a store is named and made there")


@pytest.fixture
def url(stores, tmp_path, monkeypatch):
    """A database without tables, named with a password that the server does not ask for.

    `init` leaves a configuration in the current folder, which is therefore the test's own.
    """
    monkeypatch.chdir(tmp_path)
    return make_url(stores.blank(tmp_path / "blank")).set(password="s3cret").render_as_string(False)


def test_a_servers_database_gets_its_tables_by_init_and_not_on_the_way(url, tmp_path) -> None:
    """A mistyped name shall not fill somebody else's database with tables."""
    shell = Shell(tmp_path, url)
    assert "schema_missing" in shell("customers", "list").err
    made = shell("init", "--timezone", "Europe/Berlin")
    assert made.code == 0
    assert "Europe/Berlin" in made.out
    again = shell("init")
    assert "holds books already" in again.err
    assert "s3cret" not in f"{made} {again}"
    assert shell("customers", "create", "--reference", "acme", "--name", "Acme", "--email", "a@example.com").code == 0
    assert "acme" in shell("customers", "list").out
    checked = shell("db", "check")
    assert "current" in checked.out
    assert "file" not in checked.out
    assert "Nothing to do" in shell("db", "upgrade").out


def test_upgrade_makes_the_tables_too(url, tmp_path) -> None:
    shell = Shell(tmp_path, url)
    assert "Upgraded" in shell("db", "upgrade").out
    assert shell("customers", "list").code == 0


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path) -> None:
    said = Shell(tmp_path, "postgresql://me:s3cret@127.0.0.1:1/books")("customers", "list")
    assert said.code == 3
    assert "database_unreachable" in said.err
    assert "s3cret" not in f"{said.err} {said.out}"
