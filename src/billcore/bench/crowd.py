"""Several workers on one book at once, and as many bare connections writing what they wrote."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns

from attrs import frozen

from billcore.bench.book import UNTIL, opened
from billcore.bench.floor import Statement, dump, load, say, writer
from billcore.bench.recorder import Recorder
from billcore.errors import StoreError


@frozen
class Crowd:
    """What `workers` processes took, in nanoseconds until the last had ended: the engine, and the bare database."""

    workers: int
    engine_ns: int
    floor_ns: int


def measure_crowd(engine_url: str, floor_url: str, workers: int) -> Crowd:
    """Renew the book at `engine_url` with so many processes, then write their rows to the one at `floor_url`.

    Both begin with the same book. What a process needs to note its rows, or to read them again, is not counted.
    """
    with tempfile.TemporaryDirectory(prefix="billcore-bench-") as folder:
        notes = [str(Path(folder) / f"{number}.rows") for number in range(workers)]
        slices = [f"{number}/{workers}" for number in range(workers)]
        engine_ns = _together([["renew", engine_url, *pair] for pair in zip(slices, notes, strict=True)])
        floor_ns = _together([["write", floor_url, "", note] for note in notes])
    return Crowd(workers, engine_ns, floor_ns)


def _together(tasks: Sequence[Sequence[str]]) -> int:
    """Let processes of this module do their tasks at the same time; the nanoseconds of the slowest."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603  ours
                    [sys.executable, "-m", "billcore.bench.crowd", *task],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for task in tasks
        ]
        for child in children:
            _answer(child)  # Ready.
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return max([_answer(child) for child in children])


def _answer(child: "subprocess.Popen[str]") -> int:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise StoreError(
            "database_unreachable", "A worker of the benchmark ended early.", remedy="Its own message stands above."
        )
    return int(line)


def renew(url: str, part: str, note: str) -> None:
    """Renew one slice of the book, noting the rows; says the nanoseconds it took."""
    number, _, workers = part.partition("/")
    with opened(url, seed=int(number) + 2) as billing, Path(note).open("wb") as file:

        def hand_on(statements: Sequence[Statement]) -> int:
            dump(statements, file)
            return 0

        billing.gateway("test")
        recorder = Recorder(hand_on)
        billing.database.observe = recorder
        _wait()
        begun = perf_counter_ns()
        billing.run(UNTIL, slice=(int(number), int(workers)))
        say(perf_counter_ns() - begun - recorder.spent_ns)


def write(url: str, note: str) -> None:
    """Write noted rows with the bare driver; says the nanoseconds it took."""
    spent = 0
    with writer(url) as write_one, Path(note).open("rb") as file:
        _wait()
        while (statements := load(file)) is not None:
            begun = perf_counter_ns()
            write_one(statements)
            spent += perf_counter_ns() - begun
    say(spent)


def _wait() -> None:
    """Say that all is ready, and wait for the others."""
    say(0)
    sys.stdin.readline()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[1] == "renew":
        renew(*sys.argv[2:])
    else:
        write(sys.argv[2], sys.argv[4])
