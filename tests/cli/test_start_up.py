"""The first impression: what is imported to show help, and that nothing else is."""

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


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_click_and_nothing_else_of_others(option):
    """No database, no screen library, no plugin: `billcore --help` answers as fast as click is imported."""
    said = subprocess.run([sys.executable, "-c", LISTING, option], capture_output=True, text=True, check=True)
    loaded = set(said.stderr.split()) - {"coverage"}
    assert loaded == {"billcore", "click"}


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
