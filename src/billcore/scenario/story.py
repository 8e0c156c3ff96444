"""A scenario as values: what was read from a file, and what came of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from attrs import field, frozen

UNSUPPORTED = "unsupported: "


@frozen
class Step:
    """One dated step: `do` is a verb or a scenario-only word, `given` its parameters by name as written.

    `place` names the step in messages: "steps[3]".
    """

    place: str
    do: str
    at: datetime | None = None
    given: Mapping[str, object] = field(factory=dict)
    fails: str | None = None


@frozen
class Story:
    """One scenario, read and checked. `unsupported` names what this version lacks to run it, None when nothing.

    `payment_method` is the token that every created customer gets, "none" for no method at all.
    """

    file: str
    title: str
    start: datetime
    timezone: str
    currency: str
    id: str | None = None
    settings: Mapping[str, object] = field(factory=dict)
    payment_method: str = "approve"
    catalog: Mapping[str, object] = field(factory=dict)
    steps: Sequence[Step] = ()
    until: datetime | None = None
    expect: Mapping[str, object] = field(factory=dict)
    unsupported: str | None = None


@frozen
class Failure:
    """One difference: where, what the file expects, and what came out."""

    path: str
    expected: object
    actual: object


@frozen
class Verdict:
    """What came of one scenario. `error` says why nothing could be compared: invalid, unsupported, or broken."""

    file: str
    title: str
    milliseconds: int = 0
    failures: tuple[Failure, ...] = ()
    error: str | None = None
    invalid: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything that the file expects came out."""
        return self.error is None and not self.failures

    @property
    def unsupported(self) -> bool:
        """Whether the scenario asks for something that this version does not have."""
        return self.error is not None and self.error.startswith(UNSUPPORTED)

    def as_plain(self) -> dict[str, object]:
        """The verdict as `--json` prints it."""
        return {
            "file": self.file,
            "title": self.title,
            "ok": self.ok,
            "seconds": self.milliseconds / 1000,
            "failures": [
                {"path": failure.path, "expected": plain(failure.expected), "actual": plain(failure.actual)}
                for failure in self.failures
            ],
            "error": self.error,
        }


def plain(value: object) -> object:
    """A value of a file as JSON has it: dates are texts."""
    match value:
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)
