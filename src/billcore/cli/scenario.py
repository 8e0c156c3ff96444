"""`billcore scenario`: checks billing stories against what they expect, or runs one and prints what came of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billcore.cli import trouble
from billcore.cli.app import Named

if TYPE_CHECKING:
    from billcore.scenario.checking import FileReport
    from billcore.scenario.story import Failure, Verdict

_DATABASE = click.option(
    "--database",
    "-d",
    metavar="URL",
    default="sqlite://",
    help="Run in this new SQLite file, or in temporary databases beside this PostgreSQL one, instead of in memory.",
)
_PATHS = click.Path(path_type=Path)
_FAILED = 1
_SHOWN = 8


@click.group(cls=Named, no_args_is_help=True)
def scenario() -> None:
    """Billing stories as files: a catalog, dated steps, and what must come out.

    They run on a store of their own with a test gateway and a test clock; your store is not touched.
    """


@scenario.command()
@click.argument("paths", nargs=-1, required=True, type=_PATHS, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one array of verdicts.")
@_DATABASE
@click.option("--jobs", "-j", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def check(paths: Sequence[Path], as_json: bool, database: str, jobs: int) -> int:
    """Run scenario files and folders, and compare what comes out with what they expect.

    Exit codes: 0 all ok; 1 some failed or ask for what this version does not have; 2 a file is unreadable or invalid.
    """
    from billcore.scenario.checking import check_paths

    reports = []
    for report in check_paths(paths, database=database, jobs=jobs):
        reports.append(report)
        if not as_json:
            _tell(report)
    if not reports:
        raise click.UsageError("There are no scenario files.")
    if as_json:
        verdicts = [verdict.as_plain() for report in reports for verdict in report.verdicts]
        click.echo(json.dumps(verdicts, indent=2, ensure_ascii=False))
    else:
        _sum_up(reports)
    if any(report.invalid for report in reports):
        return trouble.USAGE
    return 0 if all(report.ok == len(report.verdicts) for report in reports) else _FAILED


@scenario.command()
@click.argument("path", type=_PATHS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
@click.option("--id", "wanted", metavar="ID", help="Only the scenario with this id or title.")
@_DATABASE
def run(path: Path, as_json: bool, wanted: str | None, database: str) -> None:
    """Run a scenario file and print the world it leads to, in the shape of `expect`, everything filled in.

    Of a file with several scenarios one can be named; otherwise a list is printed.
    """
    from billcore.scenario.places import holds_one_story, places
    from billcore.scenario.reader import Reader
    from billcore.scenario.runner import play_story

    stories = [story for story in Reader().read(path) if wanted in (None, story.id, story.title)]
    if not stories:
        raise click.UsageError(f"{path} has no scenario {wanted!r}.")
    if len(stories) > 1 and holds_one_story(database):
        raise click.UsageError("A database holds one story: name it with --id.")
    with places(database) as (fresh,):
        worlds = [(story.title, play_story(story, fresh())) for story in stories]
    if as_json:
        shown = worlds[0][1] if len(worlds) == 1 else [{"title": title, **world} for title, world in worlds]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for title, world in worlds:
        click.echo(f"# {title}")
        click.echo(_toml(world))


def _tell(report: "FileReport") -> None:
    """One line for the file, and under it what went otherwise."""
    word, colour = ("ok", "green")
    if report.invalid:
        word, colour = ("invalid", "red")
    elif report.failed:
        word, colour = ("FAIL", "red")
    elif report.unsupported:
        word, colour = ("unsupported", "yellow")
    spent = sum(verdict.milliseconds for verdict in report.verdicts)
    counts = _counts(report.ok, report.failed, report.unsupported)
    click.echo(f"{click.style(f'{word:11}', fg=colour)} {report.file}  {counts}  {spent} ms")
    for verdict in report.verdicts:
        if not verdict.ok and not verdict.unsupported:
            _tell_failure(verdict)


def _tell_failure(verdict: "Verdict") -> None:
    if verdict.title:
        click.echo(f"  {verdict.title}")
    if verdict.error is not None:
        click.echo(f"    {verdict.error}")
    for failure in verdict.failures[:_SHOWN]:
        _tell_difference(failure)
    if len(verdict.failures) > _SHOWN:
        click.echo(f"    and {len(verdict.failures) - _SHOWN} more differences")


def _tell_difference(failure: "Failure") -> None:
    from billcore.scenario.story import plain

    click.echo(f"    {failure.path}")
    for word, value in (("expected", failure.expected), ("actual", failure.actual)):
        shown = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
        click.echo(f"      {word:8} {shown}")


def _sum_up(reports: Sequence["FileReport"]) -> None:
    ok, failed, unsupported = (
        sum(getattr(report, name) for report in reports) for name in ("ok", "failed", "unsupported")
    )
    spent = sum(verdict.milliseconds for report in reports for verdict in report.verdicts)
    click.echo(f"{ok + failed + unsupported} scenarios in {len(reports)} files: ", nl=False)
    click.echo(f"{_counts(ok, failed, unsupported)}, {spent} ms")
    lacking = Counter(verdict.error for report in reports for verdict in report.verdicts if verdict.unsupported)
    for reason, count in lacking.most_common():
        click.echo(f"  {reason} ({count})")


def _counts(ok: int, failed: int, unsupported: int) -> str:
    parts = ((ok, "ok"), (failed, "failed"), (unsupported, "unsupported"))
    return ", ".join(f"{count} {word}" for count, word in parts if count) or "nothing"


def _toml(world: Mapping[str, object]) -> str:
    """The world as an `[expect]` table that can be pasted into a scenario file."""
    lines = ["[expect]"]
    for key, value in world.items():
        if isinstance(value, Mapping):
            for name, table in value.items():
                lines += ["", f"[expect.{key}.{name}]", *_entries(table)]
        elif isinstance(value, Sequence):
            for table in value:
                lines += ["", f"[[expect.{key}]]", *_entries(table)]
    return "\n".join(lines) + "\n"


def _entries(table: Mapping[str, object]) -> list[str]:
    made = []
    for key, value in table.items():
        if key == "lines" and isinstance(value, Sequence):
            made += ["lines = [", *(f"  {_inline(line)}," for line in value), "]"]
        else:
            made.append(f"{key} = {_inline(value)}")
    return made


def _inline(value: object) -> str:
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{key} = {_inline(part)}" for key, part in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_inline(part) for part in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
