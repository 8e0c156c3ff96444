"""Where the project's own files are, for the tests that read them."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def sources() -> list[Path]:
    """Every module that ships: the core and the packages under plugins/."""
    return sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/*/src/**/*.py")])


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """`src/billcore/clock.py`: the path as people write it."""
    return path.relative_to(ROOT).as_posix()


def dotted(node: ast.AST) -> str:
    """`datetime.now` for that attribute or name; "" for anything else."""
    match node:
        case ast.Name(id=identifier):
            return identifier
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case _:
            return ""


def imported(path: Path) -> Iterator[str]:
    """The modules a file imports at run time, as dotted names; `if TYPE_CHECKING:` is no run time."""
    todo: list[ast.AST] = [tree(path)]
    while todo:
        node = todo.pop()
        match node:
            case ast.If(test=test, orelse=orelse) if dotted(test).endswith("TYPE_CHECKING"):
                todo.extend(orelse)
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                # `from billcore import errors` names a module as well as `import billcore.errors` does.
                yield from (f"{module}.{alias.name}" for alias in names)
        todo.extend(ast.iter_child_nodes(node))
