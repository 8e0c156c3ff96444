"""Reading the files that people write: TOML and JSON with the same structure, told apart by their name."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from billcore.errors import FileInvalid

MOST_BYTES = 64 * 1024 * 1024


def read_table_file(path: str | Path, invalid: str = "catalog_invalid") -> dict[str, object]:
    """The tables of a TOML or JSON file; a name that ends in neither is JSON when it begins with a brace.

    Raises FileInvalid: file_unreadable when the file cannot be opened, is not UTF-8, or has a syntax error
    (with line and column); `invalid` when it holds a float, naming the key path: amounts and quantities are
    exact, so they are written as texts.
    """
    return parse_tables(read_text(path), str(path), invalid)


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, a byte order mark left out; raises FileInvalid file_unreadable."""
    file = Path(path)
    try:
        with file.open("rb") as opened:  # A device or pipe may have no end.
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _unreadable(str(path), "is larger than 64 MB", "Split it.")
    except FileNotFoundError as error:
        raise _unreadable(str(path), "does not exist", "Check the path.") from error
    except IsADirectoryError as error:
        raise _unreadable(str(path), "is a folder", "Name a file in it.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(str(path), f"cannot be read ({reason})", "Check path and permissions.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            f"{path}, line {line}", "is not UTF-8 text", "Save the file in the encoding UTF-8.", line=line
        ) from error


def parse_tables(text: str, name: str, invalid: str = "catalog_invalid") -> dict[str, object]:
    """`read_table_file` for a text that was read already; `name` decides the format and is named."""
    suffix = Path(name).suffix.lower()
    is_json = suffix == ".json" or (suffix != ".toml" and text.lstrip().startswith("{"))
    try:
        tables = _json(text, name) if is_json else _toml(text, name)
        where = _inexact(tables, "")
    except RecursionError as error:
        raise _unreadable(name, "is nested too deeply", "Use fewer levels.") from error
    if where is not None:
        raise FileInvalid(
            invalid,
            f"{name}: {where[0]} = {where[1]} is a float; floats lose cents.",
            remedy=f'Write it in quotes: "{where[1]}".',
            path=where[0],
            file=name,
        )
    return tables


def _toml(text: str, name: str) -> dict[str, object]:
    try:
        # Decimal, so that a float can be told and named as it was written.
        return tomllib.loads(text, parse_float=Decimal)
    except ValueError as error:
        reason = str(error).replace("at end of document", f"at the end, line {text.count(chr(10)) + 1}")
        raise _unreadable(name, f"is not valid TOML: {reason}", "Correct it there.") from error


def _json(text: str, name: str) -> dict[str, object]:
    try:
        made: object = json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _unreadable(
            name,
            f"is not valid JSON: {error.msg} (at line {error.lineno}, column {error.colno})",
            "Correct it there.",
            line=error.lineno,
        ) from error
    except ValueError as error:
        raise _unreadable(name, f"is not valid JSON: {error}", "Correct it there.") from error
    if not isinstance(made, dict):
        raise _unreadable(name, "holds no JSON object", "Begin with { and name the tables.")
    return made


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys stand once: JSON's last one wins would drop a price without a word."""
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _inexact(value: object, path: str) -> tuple[str, Decimal] | None:
    """Key path and value of the first float."""
    match value:
        case Decimal():
            return path, value
        case dict():
            parts = ((f"{path}.{key}" if path else str(key), part) for key, part in value.items())
        case list():
            parts = ((f"{path}[{index}]", part) for index, part in enumerate(value))
        case _:
            return None
    return next((found for at, part in parts if (found := _inexact(part, at)) is not None), None)


def _unreadable(name: str, what: str, remedy: str, **facts: object) -> FileInvalid:
    return FileInvalid("file_unreadable", f"{name} {what}.", remedy=remedy, file=name, **facts)


def toml_text(tables: Mapping[str, object]) -> str:
    """Tables as a TOML file that `read_table_file` reads back the same; what is None is left out."""
    lines: list[str] = []
    _write(tables, "", lines)
    return "\n".join(lines).strip("\n") + "\n"


def _write(tables: Mapping[str, object], path: str, lines: list[str]) -> None:
    """Plain values first, then the lists of tables: what follows a header belongs to it."""
    nested = []
    for key, value in tables.items():
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            nested.append((key, value))
        elif value is not None:
            lines.append(f"{_key(key)} = {_inline(value)}")
    for key, entries in nested:
        where = f"{path}.{_key(key)}" if path else _key(key)
        for entry in entries:
            lines += ["", f"[[{where}]]"]
            _write(entry, where, lines)


def _inline(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Mapping():
            inner = (f"{_key(str(key))} = {_inline(part)}" for key, part in value.items() if part is not None)
            return f"{{ {', '.join(inner)} }}"
        case list() | tuple():
            return f"[{', '.join(_inline(part) for part in value)}]"
        case date():
            return value.isoformat()
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A JSON text is a TOML text too, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
