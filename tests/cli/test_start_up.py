"""The first impression: what is imported to show help, and that nothing else is."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

LISTING = """
import sys
sys.argv = ["billcore", *sys.argv[1:]]
before = set(sys.modules)
from billcore.cli import main
try:
    main()
except SystemExit:
    pass
names = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(names - sys.stdlib_module_names), file=sys.stderr)
"""

WORKING = """
import gc
from billcore.cli import context, main
exists = context.App.exists
def shown(app):
    print("collects garbage:", gc.isenabled(), "but not of imports:", gc.get_freeze_count() > 10_000)
    return exists(app)
context.App.exists = shown
main()
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_click_and_nothing_else_of_others(option):
    """No database, no screen library, no plugin: `billcore --help` answers as fast as click is imported."""
    said = subprocess.run([sys.executable, "-c", LISTING, option], capture_output=True, text=True, check=True)
    loaded = set(said.stderr.split()) - {"coverage"}
    assert loaded == {"billcore", "click"}


def test_a_command_of_a_file_loads_nothing_for_a_server(shell):
    shell.ok("init")
    command = [sys.executable, "-X", "importtime", "-m", "billcore", "customers", "list"]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **shell.environment}, check=True)
    assert said.stdout == "No customers.\n"
    assert "sqlalchemy.dialects.sqlite" in said.stderr
    assert [name for name in ("dialects.postgresql", "psycopg") if name in said.stderr] == []


def test_garbage_is_collected_as_soon_as_a_command_works_and_its_imports_are_none(shell):
    """A worker runs for weeks; `billcore customers list` would spend two fifths of its time on what it imported."""
    shell.ok("init")
    command = [sys.executable, "-c", WORKING, "customers", "list"]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **shell.environment}, check=True)
    assert said.stdout == "collects garbage: True but not of imports: True\nNo customers.\n"


def test_help_shows_every_noun_and_command_with_a_line(shell):
    said = shell.ok("--help")
    for name in ("customers", "payment_methods", "subscriptions", "run", "worker", "db", "scenario", "import"):
        assert f"  {name} " in said.out
    assert "Exit codes" in said.out


def test_version_is_the_packages(shell):
    assert shell.ok("--version").out == f"billcore {version('billcore')}\n"


def test_python_m_billcore_is_billcore(shell):
    said = shell.process("--version")
    assert (said.code, said.out) == (0, f"billcore {version('billcore')}\n")
