"""Where stories run: in memory, in a new file, or in temporary databases of a PostgreSQL server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from billcore.errors import InvalidValue
from billcore.store.sqlite import file_of

IN_MEMORY = "sqlite://"

Fresh = Callable[[], str]
"""Gives the URL of an empty store to the next story; the one before is not needed any more."""


def in_memory() -> str:
    """A store in memory for each story."""
    return IN_MEMORY


@contextmanager
def places(database: str, count: int = 1) -> Iterator[list[Fresh]]:
    """`count` places where stories run one after the other.

    A SQLite file must not exist yet and keeps the last story. Beside a PostgreSQL database temporary ones are made,
    one for each place; what stands in it is not touched. Raises InvalidValue for a file that exists, StoreError.
    """
    if not database.startswith("sqlite"):
        from billcore.store.temporary import TemporaryDatabases

        with TemporaryDatabases(database) as made:
            yield [partial(_emptied, made.make()) for _ in range(count)]
    elif (file := file_of(database)) is None:
        yield [in_memory] * count
    else:
        _require_absent(file)
        yield [partial(_without_file, database, file)]


def holds_one_story(database: str) -> bool:
    """Whether what a story leaves there stays, so that only one can be run."""
    return database.startswith("sqlite") and file_of(database) is not None


def _emptied(url: str) -> str:
    from billcore.store.temporary import empty

    empty(url)
    return url


def _require_absent(file: str) -> None:
    """A story begins with empty books, and nobody's are touched."""
    if Path(file).exists():
        raise InvalidValue(
            f"The database {file} exists already.", remedy="Scenarios begin with a fresh one: name a new file."
        )


def _without_file(url: str, file: str) -> str:
    """What the story before has left is removed; `places` made sure that nothing else was there."""
    for end in ("", "-wal", "-shm"):
        Path(file + end).unlink(missing_ok=True)
    return url
