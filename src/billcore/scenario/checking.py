"""Checks files and folders of scenarios, on several processes where wished."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from attrs import frozen

from billcore.errors import FileInvalid, InvalidValue
from billcore.scenario.reader import Reader, scenario_files
from billcore.scenario.runner import IN_MEMORY, check_story
from billcore.scenario.story import Story, Verdict
from billcore.store.sqlite import file_of


@frozen
class FileReport:
    """One file's verdicts, in the order of its scenarios."""

    file: str
    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> int:
        """How many scenarios came out as expected."""
        return sum(verdict.ok for verdict in self.verdicts)

    @property
    def unsupported(self) -> int:
        """How many ask for what this version does not have."""
        return sum(verdict.unsupported for verdict in self.verdicts)

    @property
    def failed(self) -> int:
        """All others."""
        return len(self.verdicts) - self.ok - self.unsupported

    @property
    def invalid(self) -> bool:
        """Whether the file could not be read, or has an error."""
        return any(verdict.invalid for verdict in self.verdicts)


def check_paths(paths: Sequence[Path], *, database: str = IN_MEMORY, jobs: int = 1) -> Iterator[FileReport]:
    """Check every scenario file of the paths; reports come as they are done, in order of the files.

    Every story has a fresh store: in memory, or at the URL `database`, which must not exist yet; the last one's
    store stays there. Raises FileInvalid for a path that is not there, InvalidValue for a database that is.
    """
    files = scenario_files(paths)
    if not is_in_memory(database):
        if jobs > 1:
            raise InvalidValue("One database cannot be used by several processes.", remedy="Leave out --jobs.")
        require_absent(database)
    if jobs > 1 and len(files) > 1:
        with ProcessPoolExecutor(min(jobs, len(files))) as pool:
            yield from pool.map(_check_alone, files, chunksize=1)
        return
    reader = Reader()
    for file in files:
        yield check_file(file, reader, database)


def check_file(file: Path, reader: Reader, database: str = IN_MEMORY) -> FileReport:
    """Check the scenarios of one file."""
    try:
        stories = reader.read(file)
    except FileInvalid as error:
        return FileReport(str(file), (Verdict(str(file), "", error=str(error), invalid=True),))
    return FileReport(str(file), tuple(_check(story, database) for story in stories))


def is_in_memory(database: str) -> bool:
    """Whether the URL names a database in memory."""
    return database.startswith("sqlite") and file_of(database) is None


def require_absent(database: str) -> None:
    """Refuse a database that is there already: a story begins with empty books, and nobody's are touched."""
    file = file_of(database)
    if file is not None and Path(file).exists():
        raise InvalidValue(
            f"The database {file} exists already.", remedy="Scenarios begin with a fresh one: name a new file."
        )


def _check(story: Story, database: str) -> Verdict:
    file = None if is_in_memory(database) else file_of(database)
    if file is not None:
        # What the story before has left: `check_paths` made sure that nothing else was there.
        for end in ("", "-wal", "-shm"):
            Path(file + end).unlink(missing_ok=True)
    return check_story(story, database)


def _check_alone(file: Path) -> FileReport:
    return check_file(file, Reader())
