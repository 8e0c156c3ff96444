"""What each floor may import from outside. import-linter holds the order of the floors themselves."""

import ast
import re
import sys
from collections.abc import Sequence
from pathlib import Path

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


def imports(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Every (file, module that it imports)."""
    return [(path, module) for path in paths for module in imported(path)]


def test_a_floor_imports_only_the_packages_it_may() -> None:
    """The domain: attrs and the standard library. SQL only in the store, the screen only in the cli."""
    known = sys.stdlib_module_names | {"billcore"}
    outside = [(path, module.split(".")[0]) for path, module in imports(core) if module.split(".")[0] not in known]
    assert [(name(path), one) for path, one in outside if not ALLOWED.get(one, set()) & {"", floor(path)}] == []


def test_the_core_knows_no_plugin() -> None:
    """Plugins are found through entry points, the first-party ones too."""
    assert [(name(path), module) for path, module in imports(core) if module.startswith("billcore_")] == []


def test_a_plugin_sees_only_the_contract() -> None:
    """billcore.plugins and billcore.testing are what a plugin author may lean on."""
    reached = [(name(path), module) for path, module in imports(plugins) if module.split(".")[0] == "billcore"]
    allowed = ("billcore.plugins", "billcore.testing", "billcore.hookimpl")
    assert reached
    assert [one for one in reached if not one[1].startswith(allowed)] == []


# Where statements are written. The proofs are queries and stand beside their laws; the benchmark counts rows.
SPEAK_SQL = ("src/billcore/store/", "src/billcore/engine/proofs/", "src/billcore/bench/")
STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|PRAGMA)\b.*", re.DOTALL)


def test_sql_is_written_in_the_store() -> None:
    texts = [
        (name(path), node.value)
        for path in core
        if not name(path).startswith(SPEAK_SQL)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
    ]
    assert [(file, text) for file, text in texts if isinstance(text, str) and STATEMENT.match(text.strip())] == []


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


def test_the_domain_touches_no_world() -> None:
    """No I/O, no clock, no randomness: the same values give the same decision."""
    domain = [path for path in core if floor(path) == "domain"]
    assert [(name(path), module) for path, module in imports(domain) if module.split(".")[0] in WORLD] == []
