"""Whether the database keeps what it is given: its schema and the settings that promise P4 rests on."""

from billcore.store import schema
from billcore.store.database import Database, Transaction

# (setting, what it must be, what to do otherwise)
_SQLITE = (
    ("journal_mode", "wal", "Another program changed the journal mode; open the store again with billcore."),
    ("synchronous", 2, "A power cut may lose the last commits; take connections from billcore.sqlite_engine."),
    ("foreign_keys", 1, "Rows may refer to nothing; take connections from billcore.sqlite_engine."),
)
# (setting, what it must not be, what to do otherwise): the server would say that a commit is kept which is not.
_POSTGRESQL = (
    ("fsync", "off", "A power cut may destroy the database; switch it on in postgresql.conf."),
    ("full_page_writes", "off", "A power cut may tear pages; switch it on in postgresql.conf."),
    ("synchronous_commit", "off", "A crash may lose the last commits; switch it on for this database or role."),
    ("default_transaction_read_only", "on", "Nothing can be written; switch it off for this database and role."),
)


def damage(tx: Transaction) -> list[str]:
    """What SQLite finds wrong with its file; nothing when it is sound. A PostgreSQL server looks after its own."""
    if tx.dialect == "postgresql":
        return []
    found = [str(row[0]) for row in tx.rows("PRAGMA quick_check")]
    return [] if found == ["ok"] else found


def warnings(database: Database, tx: Transaction) -> list[tuple[str, str, str]]:
    """(what, what is wrong, what to do) of everything about the database that is not as it should be."""
    found = []
    state = schema.state_of(tx)
    if state.error is not None:
        found.append(("schema", state.error.message, state.error.remedy))
    found.extend(_postgresql(tx) if tx.dialect == "postgresql" else _sqlite(database, tx))
    return found


def _sqlite(database: Database, tx: Transaction) -> list[tuple[str, str, str]]:
    found = []
    for name, wanted, remedy in _SQLITE:
        if name == "journal_mode" and database.path is None:
            # A database in memory has no journal.
            continue
        row = tx.one(f"PRAGMA {name}")
        value = row[0] if row is not None else None
        if value != wanted:
            found.append((f"PRAGMA {name}", f"It is {value}, not {wanted}.", remedy))
    return found


def _postgresql(tx: Transaction) -> list[tuple[str, str, str]]:
    names = [name for name, _, _ in _POSTGRESQL]
    values: dict[str, str] = dict(tx.rows("SELECT name, setting FROM pg_settings WHERE name IN ??", [names]))
    found = [(name, f"It is {wrong}.", remedy) for name, wrong, remedy in _POSTGRESQL if values.get(name) == wrong]
    if tx.one("SELECT 1 WHERE pg_is_in_recovery()") is not None:
        found.append(("server", "It is a standby, which can only be read.", "Name the primary server."))
    return found
