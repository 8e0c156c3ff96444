"""What each floor may import from outside. import-linter holds the order of the floors themselves."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, imported, name, sources, tree

# Who may import a package of others. A missing package here is a missing decision.
ALLOWED = {
    "attrs": {""},  # "" = everybody
    "pluggy": {"plugins"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "click": {"cli"},
    "rich": {"cli"},
    "cattrs": {"commands"},
    "hypothesis": {"testing"},
    "pytest": {"testing"},
}

core = [path for path in sources() if path.is_relative_to(ROOT / "src")]
plugins = [path for path in sources() if path.is_relative_to(ROOT / "plugins")]


def floor(path: Path) -> str:
    """`store` for src/billcore/store/tables.py, `billing` for src/billcore/billing.py."""
    return path.relative_to(ROOT / "src" / "billcore").with_suffix("").parts[0]


@pytest.mark.parametrize("path", core, ids=name)
def test_a_floor_imports_only_the_packages_it_may(path: Path) -> None:
    """The domain: attrs and the standard library. SQL only in the store, the screen only in the cli."""
    outside = {module.split(".")[0] for module in imported(path)} - sys.stdlib_module_names - {"billcore"}
    assert {package for package in outside if not ALLOWED.get(package, set()) & {"", floor(path)}} == set()


@pytest.mark.parametrize("path", core, ids=name)
def test_the_core_knows_no_plugin(path: Path) -> None:
    """Plugins are found through entry points, the first-party ones too."""
    assert [module for module in imported(path) if module.startswith("billcore_")] == []


@pytest.mark.parametrize("path", plugins, ids=name)
def test_a_plugin_sees_only_the_contract(path: Path) -> None:
    """billcore.plugins and billcore.testing are what a plugin author may lean on."""
    reached = [module for module in imported(path) if module.split(".")[0] == "billcore"]
    allowed = ("billcore.plugins", "billcore.testing", "billcore.hookimpl")
    assert [m for m in reached if not m.startswith(allowed)] == []


# Where statements are written. The proofs are queries and stand beside their laws; the benchmark counts rows.
SPEAK_SQL = ("src/billcore/store/", "src/billcore/engine/proofs/", "src/billcore/bench/")
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA)\b.*", re.DOTALL)


@pytest.mark.parametrize("path", [p for p in core if not name(p).startswith(SPEAK_SQL)], ids=name)
def test_sql_is_written_in_the_store(path: Path) -> None:
    texts = [node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)]
    assert [text for text in texts if isinstance(text, str) and STATEMENT.match(text.strip())] == []


# What needs no I/O of any kind cannot need these.
WORLD = {
    "os",
    "io",
    "pathlib",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "random",
    "secrets",
    "uuid",
}


@pytest.mark.parametrize("path", [p for p in core if floor(p) == "domain"], ids=name)
def test_the_domain_touches_no_world(path: Path) -> None:
    """No I/O, no clock, no randomness: the same values give the same decision."""
    assert {module.split(".")[0] for module in imported(path)} & WORLD == set()
