"""Where a benchmark's stores stand: SQLite files, or temporary databases beside one of a PostgreSQL server."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from billcore.bench.floor import sqlite_connection
from billcore.errors import InvalidValue
from billcore.store.sqlite import file_of

if TYPE_CHECKING:
    from billcore.store.temporary import TemporaryDatabases

_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "cache_size", "page_size", "wal_autocheckpoint")
_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "wal_level")


class Place(Protocol):
    """Gives benchmarks their stores. `dialect` is "sqlite" or "postgresql"."""

    dialect: str

    def book(self) -> str:
        """The URL of the store that the book is made in; it is new."""

    def copy(self, url: str) -> str:
        """The URL of a copy of a store that nobody uses at the moment."""

    def settings(self, url: str) -> Mapping[str, object]:
        """What decides how durable and how quick the store is."""

    def version(self) -> str:
        """The database's version."""


class Files:
    """SQLite: the book in `file` or among the temporary ones, copies in a temporary folder."""

    dialect = "sqlite"

    def __init__(self, file: Path | None, folder: Path) -> None:
        self._file = file or folder / "bench.db"
        self._folder = folder
        self._copies = 0

    def book(self) -> str:
        """The URL of the new file."""
        return f"sqlite:///{self._file}"

    def copy(self, url: str) -> str:
        """A copy of the file. Closed, a store has no log any more: its file is the whole book."""
        self._copies += 1
        copy = self._folder / f"copy-{self._copies}.db"
        shutil.copyfile(file_of(url) or "", copy)
        return f"sqlite:///{copy}"

    def settings(self, url: str) -> Mapping[str, object]:
        """The PRAGMAs that the store runs with."""
        with closing(sqlite_connection(file_of(url) or "")) as driver:
            return {name: driver.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS}

    def version(self) -> str:
        """Of the library."""
        return sqlite3.sqlite_version


class Databases:
    """PostgreSQL: databases of a server, made beside the named one and dropped at the end."""

    dialect = "postgresql"

    def __init__(self, made: "TemporaryDatabases", url: str) -> None:
        self._made = made
        self._url = url

    def book(self) -> str:
        """The URL of an empty database."""
        return self._made.make(schema_too=False)

    def copy(self, url: str) -> str:
        """A copy made by the server, file by file."""
        return self._made.copy(url)

    def settings(self, url: str) -> Mapping[str, object]:
        """The server's settings."""
        from billcore.store.temporary import bare

        with bare(url) as connection:
            rows = connection.execute(
                "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
                [list(_SETTINGS)],
            )
            return dict(rows.fetchall())

    def version(self) -> str:
        """Of the server."""
        from billcore.store.temporary import bare

        with bare(self._url) as connection:
            row = connection.execute("SHOW server_version").fetchone()
        assert row is not None
        return str(row[0]).split(" ", maxsplit=1)[0]


@contextmanager
def place(database: str | None) -> Iterator[Place]:
    """The place of a benchmark: `database` is a new SQLite file, which stays, or a URL; None a temporary file.

    Raises InvalidValue when the file exists already, StoreError when the server does not answer.
    """
    if database is not None and not _is_sqlite(database):
        from billcore.store.temporary import TemporaryDatabases

        with TemporaryDatabases(database) as made:
            yield Databases(made, database)
        return
    file = Path(file_of(database if "://" in database else f"sqlite:///{database}") or "") if database else None
    if file is not None and file.exists():
        raise InvalidValue(
            f"{file} exists already; a benchmark makes a store of its own.",
            remedy="Name a file that does not exist, or leave --database out.",
        )
    with tempfile.TemporaryDirectory(prefix="billcore-bench-", dir=file.parent if file else None) as folder:
        yield Files(file, Path(folder))


def _is_sqlite(database: str) -> bool:
    return "://" not in database or database.startswith("sqlite")
