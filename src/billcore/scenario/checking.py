"""Checks files and folders of scenarios, on several processes where wished."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from attrs import frozen

from billcore.errors import FileInvalid, InvalidValue
from billcore.scenario.places import IN_MEMORY, Fresh, holds_one_story, in_memory, places
from billcore.scenario.reader import Reader, scenario_files
from billcore.scenario.runner import check_story
from billcore.scenario.story import Verdict


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

    Every story has a fresh store: in memory, in the new file `database`, or in a temporary database beside the
    PostgreSQL one that `database` names. Raises FileInvalid for a path that is not there, InvalidValue for a file that
    is, StoreError.
    """
    files = scenario_files(paths)
    if jobs > 1 and holds_one_story(database):
        raise InvalidValue("One database cannot be used by several processes.", remedy="Leave out --jobs.")
    jobs = max(1, min(jobs, len(files)))
    with places(database, jobs) as found:
        if jobs == 1:
            reader = Reader()
            for file in files:
                yield check_file(file, reader, found[0])
            return
        yield from _side_by_side(files, found)


def check_file(file: Path, reader: Reader, fresh: Fresh = in_memory) -> FileReport:
    """Check the scenarios of one file, each in the store that `fresh` gives."""
    try:
        stories = reader.read(file)
    except FileInvalid as error:
        return FileReport(str(file), (Verdict(str(file), "", error=str(error), invalid=True),))
    return FileReport(str(file), tuple(check_story(story, fresh()) for story in stories))


def _side_by_side(files: Sequence[Path], free: list[Fresh]) -> Iterator[FileReport]:
    """Check files in as many processes as there are places; a place has one file at a time."""
    busy: dict[Future[FileReport], Fresh] = {}
    begun: deque[Future[FileReport]] = deque()
    with ProcessPoolExecutor(len(free)) as pool:
        for file in files:
            if not free:
                done, _ = wait(busy, return_when=FIRST_COMPLETED)
                free += [busy.pop(one) for one in done]
            place = free.pop()
            begun.append(pool.submit(_check_alone, file, place))
            busy[begun[-1]] = place
            while begun and begun[0].done():
                yield begun.popleft().result()
        for future in begun:
            yield future.result()


def _check_alone(file: Path, fresh: Fresh) -> FileReport:
    return check_file(file, Reader(), fresh)
