"""Style is a test: sizes, floats, clocks, unfinished words. Each exception stands here with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import ROOT, dotted, name, sources, tree

MODULE_LINES = 400
FUNCTION_LINES = 50

# "path" -> why it may be longer. A data table is a reason, "grew" is not.
LONG_MODULES: dict[str, str] = {
    "src/billcore/store/migrations/versions/0001_first_tables.py": "every table in one list; nobody edits it again",
}
# "path:function" -> why it may be longer.
LONG_FUNCTIONS: dict[str, str] = {}
# "path" -> why a float may appear.
FLOATS: dict[str, str] = {}

# Modules that may read the machine's clock or draw random numbers.
CLOCKS = {
    "src/billcore/clock.py": "the clock object itself",
    "src/billcore/ids.py": "the source of ids",
    "plugins/gateways/stripe/src/billcore_gateway_stripe/testing/clock.py": "a provider's clock is not billcore's",
}
# Modules that may hold wall times without a zone.
NAIVE = {
    "src/billcore/domain/catalog_fields.py": "a date in a file is local to the file's timezone",
    "src/billcore/domain/instants.py": "turns local wall times into instants and back",
    "src/billcore/store/types.py": "writes UTC as sortable text that ends in Z",
    "src/billcore/domain/periods.py": "counts in local wall time (behaviour 2.2)",
}

CLOCK_CALLS = re.compile(
    r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|localtime|gmtime)"
    r"|uuid\.uuid[14]|os\.urandom)$"
)
RANDOM_MODULES = {"random", "secrets"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|for now|simplified|not yet implemented)\b")

each_source = pytest.mark.parametrize("path", sources(), ids=name)


@each_source
def test_a_module_is_one_noun_of_at_most_400_lines(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MODULE_LINES or name(path) in LONG_MODULES, f"{name(path)} has {lines} lines: split it by noun"


@each_source
def test_a_function_fits_a_screen_of_50_lines(path: Path) -> None:
    long = {
        f"{name(path)}:{node.name}": size
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - first_line(node) + 1) > FUNCTION_LINES
    }
    assert {function: size for function, size in long.items() if function not in LONG_FUNCTIONS} == {}


def first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Where counting begins: a verb's signature is its definition, so only what it does counts."""
    is_verb = any(dotted(getattr(one, "func", one)) == "verb" for one in node.decorator_list)
    return node.body[0].lineno if is_verb else node.lineno


@each_source
def test_no_float_touches_money(path: Path) -> None:
    """Not even beside it: a float for seconds today is a float for cents tomorrow."""
    if name(path) in FLOATS:
        return
    assert list(floats(path)) == []


def floats(path: Path) -> Iterator[str]:
    """Where a float is written or named.

    Three uses cannot lose a cent: asking whether a value is one, in order to refuse it; `cutoff=0.6`, how
    near a misspelt name must be to be proposed; and the seconds of `time.sleep`.
    """
    harmless = {
        part
        for node in ast.walk(tree(path))
        if isinstance(node, ast.MatchClass)
        or (isinstance(node, ast.Call) and dotted(node.func) in {"isinstance", "time.sleep"})
        or (isinstance(node, ast.keyword) and node.arg == "cutoff")
        for part in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        match node:
            case ast.Constant(value=float()) if node not in harmless:
                yield f"{name(path)}:{node.lineno}"
            case ast.Name(id="float") if node not in harmless:
                yield f"{name(path)}:{node.lineno}"


@each_source
def test_nothing_is_left_unfinished(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [
        f"{name(path)}:{number}: {line.strip()}" for number, line in enumerate(lines, 1) if UNFINISHED.search(line)
    ]
    assert found == []


@each_source
def test_only_the_clock_object_reads_the_clock(path: Path) -> None:
    """A year of billing runs in a second because time is data (behaviour 2.4)."""
    if name(path) in CLOCKS:
        return
    assert list(clock_readings(path)) == []


def clock_readings(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(func=function) if CLOCK_CALLS.search(dotted(function)):
                yield f"{name(path)}:{node.lineno} {dotted(function)}"
            case ast.Import(names=names) if RANDOM_MODULES & {alias.name for alias in names}:
                yield f"{name(path)}:{node.lineno} random"
            case ast.ImportFrom(module=module, names=names):
                whole = {f"{module}.{alias.name}" for alias in names}
                if module in RANDOM_MODULES or whole & {
                    "time.time",
                    "time.time_ns",
                    "uuid.uuid4",
                    "uuid.uuid1",
                }:
                    yield f"{name(path)}:{node.lineno} from {module}"


@each_source
def test_instants_are_aware(path: Path) -> None:
    """Instants are aware UTC (behaviour 2.1); one place turns local dates into them."""
    if name(path) in NAIVE:
        return
    assert list(naive_datetimes(path)) == []


def naive_datetimes(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        made = called in {"datetime", "datetime.datetime"} and len(node.args) < 8 and "tzinfo" not in keywords
        stamped = called.endswith("datetime.fromtimestamp") and len(node.args) < 2 and "tz" not in keywords
        old = called.endswith(("datetime.utcnow", "datetime.utcfromtimestamp"))
        zone = keywords.get("tzinfo")
        stripped = called.endswith(".replace") and isinstance(zone, ast.Constant) and zone.value is None
        if made or stamped or old or stripped:
            yield f"{name(path)}:{node.lineno} {ast.unparse(node)}"


def test_every_exception_is_still_needed() -> None:
    """An entry whose file or function is gone would excuse the next one of that name."""
    files = {name(path) for path in sources()}
    functions = {
        f"{name(path)}:{node.name}"
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(LONG_MODULES) | set(FLOATS) | set(NAIVE) <= files
    assert set(LONG_FUNCTIONS) <= functions


def test_exact_versions_name_no_host() -> None:
    """Where packages come from is the machine's business; which ones, ours."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line)] == []
