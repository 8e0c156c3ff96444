"""Style is a test: sizes, floats, clocks, unfinished words. Each exception stands here with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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


def test_a_module_is_one_noun_of_at_most_400_lines() -> None:
    """One that is longer wants to be split by noun."""
    lines = {name(path): path.read_text(encoding="utf-8").count("\n") for path in sources()}
    long = {module: count for module, count in lines.items() if count > MODULE_LINES}
    assert {module: count for module, count in long.items() if module not in LONG_MODULES} == {}


def test_a_function_fits_a_screen_of_50_lines() -> None:
    long = {
        f"{name(path)}:{node.name}": size
        for path in sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - first_line(node) + 1) > FUNCTION_LINES
    }
    assert {function: size for function, size in long.items() if function not in LONG_FUNCTIONS} == {}


def first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Where counting begins: a verb's signature is its definition, so only what it does counts."""
    is_verb = any(dotted(getattr(one, "func", one)) == "verb" for one in node.decorator_list)
    return node.body[0].lineno if is_verb else node.lineno


def test_no_float_touches_money() -> None:
    """Not even beside it: a float for seconds today is a float for cents tomorrow."""
    assert [found for path in sources() if name(path) not in FLOATS for found in floats(path)] == []


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


def test_nothing_is_left_unfinished() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_only_the_clock_object_reads_the_clock() -> None:
    """A year of billing runs in a second because time is data (behaviour 2.4)."""
    assert [found for path in sources() if name(path) not in CLOCKS for found in clock_readings(path)] == []


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


def test_instants_are_aware() -> None:
    """Instants are aware UTC (behaviour 2.1); one place turns local dates into them."""
    assert [found for path in sources() if name(path) not in NAIVE for found in naive_datetimes(path)] == []


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
