"""What PostgreSQL's errors mean to us, and how long a unit of work is tried again."""

import os
import threading
from collections.abc import Callable

import psycopg
from attrs import define, field
from sqlalchemy import exc as sa

from billcore.errors import StoreError

PATIENCE_S = 60
"""How long a server that restarts, or a lock that somebody holds, is waited for."""

CONFLICTS = 3
"""How often a unit is tried that meets a row which somebody else has just made or changed."""

_CONTENDED = {"40001", "40P01", "55P03"}
_ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
# Foreign key, unique key, and a table that somebody has just made (unseen in a SERIALIZABLE transaction).
_MISSED = {"23503", "23505", "42P07"}

# By SQLSTATE: our code and what to do.
_CODES = {
    "25006": ("database_read_only", "Name the primary server; a standby can only be read."),
    "42501": ("database_read_only", "Grant this role the right to use and, for db upgrade, to create these tables."),
    "3F000": ("database_read_only", "Grant this role a schema of its search_path in which it may create tables."),
    "53100": ("database_full", "Free space on the server's disk; nothing was written."),
    "53200": ("database_full", "The server is out of memory; nothing was written."),
    "53300": ("database_unreachable", "Raise max_connections, or let fewer processes and threads work at once."),
    "55P03": ("database_locked", "Another process holds these rows; let it finish, or end it, and try again."),
    "40001": ("database_locked", "Others kept changing the same rows; try again when they have finished."),
    "40P01": ("database_locked", "Others kept waiting for the same rows; try again when they have finished."),
    "57014": ("database_locked", "The server's statement_timeout ended it; raise it for this role, or try again."),
    "42P01": ("schema_missing", "Create the schema: billcore db upgrade."),
    "28P01": ("database_unreachable", "Check user and password in the URL, or in PGPASSWORD or ~/.pgpass."),
    "28000": ("database_unreachable", "Check the user in the URL and the server's pg_hba.conf."),
    "3D000": ("database_unreachable", "Create the database: createdb, or CREATE DATABASE as an administrator."),
}

# What libpq says of a connection that was not made: it has no SQLSTATE then.
_WORDS = (
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("not yet accepting connections", "57P03"),
    ("recovery mode", "57P03"),
    ("too many", "53300"),
    ("remaining connection slots", "53300"),
    ("password", "28P01"),
    ("pg_hba.conf", "28000"),
    ("permission denied", "28000"),
    ('role "', "28000"),
    ("does not exist", "3D000"),
)
_REFUSED_FOR_GOOD = {"28P01", "28000", "3D000"}


def driver_error(error: BaseException) -> psycopg.Error | None:
    """The driver's own error, out of SQLAlchemy's where that wraps it."""
    inner = error.orig if isinstance(error, sa.DBAPIError) else error
    return inner if isinstance(inner, psycopg.Error) else None


def state_of(error: psycopg.Error) -> str:
    """The SQLSTATE of an error; for a connection that was not made that which its words mean, else ""."""
    if error.sqlstate is not None:
        return error.sqlstate
    text = str(error)
    if "FATAL" not in text:
        return ""
    return next((state for words, state in _WORDS if words in text), "")


def is_lost(error: BaseException) -> bool:
    """Whether it says that there is no connection, or none any more; one that will never be made is not lost."""
    found = driver_error(error)
    if found is None:
        return False
    state = state_of(found)
    if state in _REFUSED_FOR_GOOD:
        return False
    if state in _ENDED or state.startswith("08") or state == "53300":
        return True
    # A connection that breaks under a statement has no state; nor has a server that cannot be reached.
    return not state and isinstance(found, (psycopg.OperationalError, psycopg.InterfaceError))


def is_contended(error: BaseException) -> bool:
    """Whether the database asks for the whole unit again: a serialization failure, a deadlock, a lock's time-out."""
    found = driver_error(error)
    return found is not None and found.sqlstate in _CONTENDED


def is_conflict(error: BaseException) -> bool:
    """Whether somebody else has just made or changed the same row; a second try reads what he wrote."""
    if isinstance(error, StoreError):
        return error.code == "version_conflict"
    found = driver_error(error)
    return found is not None and found.sqlstate in _MISSED


def meaning(error: Exception) -> tuple[str, str] | None:
    """(code, remedy) of what an error says about the state of the database; None for a wrong statement."""
    found = driver_error(error)
    if found is None:
        if isinstance(error, sa.TimeoutError):
            return "database_locked", "All connections of this process are in use; let fewer threads work at once."
        return None
    known = _CODES.get(state_of(found))
    if known is not None:
        return known
    if is_lost(found):
        return "database_unreachable", "Check that the server runs and that host and port are right; then try again."
    return None


def words_of(error: Exception) -> str:
    """What the database said, in one line."""
    found = driver_error(error)
    if found is None:
        return str(error)
    text = found.diag.message_primary or str(found).strip()
    return " ".join(text.split())


@define
class Patience:
    """How long one unit is tried again. `sleep` takes milliseconds, `clock` gives nanoseconds; tests have their own."""

    sleep: Callable[[int], None]
    clock: Callable[[], int]
    conflicts: int = 0
    waits: int = 0
    until: int | None = field(default=None)

    def again(self, error: BaseException) -> bool:
        """Wait a moment and say True where the unit is worth another try; False where the error stands."""
        if is_conflict(error):
            self.conflicts += 1
            return self.conflicts < CONFLICTS
        return (is_contended(error) or is_lost(error)) and self.wait()

    def wait(self) -> bool:
        """Wait a moment, longer each time; False once patience has run out."""
        now = self.clock()
        if self.until is None:
            self.until = now + PATIENCE_S * 1_000_000_000
        if now >= self.until:
            return False
        longest_ms = min(10 << min(self.waits, 10), 1000)
        self.waits += 1
        # Two that met are not to meet again: each thread waits a time of its own.
        own = hash((os.getpid(), threading.get_ident(), self.waits)) % (longest_ms // 2 + 1)
        self.sleep(longest_ms // 2 + own)
        return True
