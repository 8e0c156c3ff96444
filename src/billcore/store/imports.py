"""Which lines of which file are imported: what makes an import resumable."""

from collections.abc import Sequence

from billcore.store.database import Transaction


def done(tx: Transaction, file: str, first: int, last: int) -> set[int]:
    """The lines of `file` from `first` to `last` that are in."""
    rows = tx.rows("SELECT line FROM billcore_imports WHERE file = ? AND line BETWEEN ? AND ?", [file, first, last])
    return {row[0] for row in rows}


def line_of(tx: Transaction, file: str, reference: str) -> int | None:
    """The line of `file` that brought this reference, None where another one did."""
    row = tx.one("SELECT line FROM billcore_imports WHERE file = ? AND reference = ?", [file, reference])
    return row[0] if row else None


def note(tx: Transaction, file: str, lines: Sequence[tuple[int, str]]) -> None:
    """Remember (line, reference) as imported."""
    tx.execute_many(
        "INSERT INTO billcore_imports (file, line, reference) VALUES (?, ?, ?)",
        [(file, line, reference) for line, reference in lines],
    )
