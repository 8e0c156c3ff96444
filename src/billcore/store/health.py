"""Whether the database keeps what it is given: its schema and the pragmas that promise P4 rests on."""

from billcore.store import schema
from billcore.store.database import Database, Transaction

_EXPECTED = (
    ("journal_mode", "wal", "Another program changed the journal mode; open the store again with billcore."),
    ("synchronous", 2, "A power cut may lose the last commits; take connections from billcore.sqlite_engine."),
    ("foreign_keys", 1, "Rows may refer to nothing; take connections from billcore.sqlite_engine."),
)


def damage(tx: Transaction) -> list[str]:
    """What the database finds wrong with its file; nothing when it is sound."""
    found = [str(row[0]) for row in tx.rows("PRAGMA quick_check")]
    return [] if found == ["ok"] else found


def warnings(database: Database, tx: Transaction) -> list[tuple[str, str, str]]:
    """(what, what is wrong, what to do) of everything about the database that is not as it should be."""
    found = []
    state = schema.state_of(tx)
    if state.error is not None:
        found.append(("schema", state.error.message, state.error.remedy))
    for name, wanted, remedy in _EXPECTED:
        if name == "journal_mode" and database.path is None:
            # A database in memory has no journal.
            continue
        row = tx.one(f"PRAGMA {name}")
        value = row[0] if row is not None else None
        if value != wanted:
            found.append((f"PRAGMA {name}", f"It is {value}, not {wanted}.", remedy))
    return found
