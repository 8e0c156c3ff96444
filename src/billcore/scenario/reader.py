"""Reading scenario files strictly: each error is one message with file, key path and remedy."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from billcore.commands.parameters import instant
from billcore.domain.catalog_reader import read_catalog
from billcore.errors import FileInvalid, InvalidValue
from billcore.files import read_table_file
from billcore.scenario.shapes import check_expectation, did_you_mean, list_of, scenario_invalid, table_of
from billcore.scenario.story import Step, Story
from billcore.scenario.verbs import (
    known_parameters,
    known_verbs,
    lacking_in_catalog,
    lacking_in_step,
)
from billcore.settings import Settings

HEAD = (
    "id", "title", "about", "source", "start", "timezone", "currency", "settings", "payment_method", "catalog",
    "catalog_file", "steps", "until", "expect",
)  # fmt: skip
OWN_SETTINGS: Mapping[str, object] = {"require_customer_name": False, "require_customer_email": False}
"""How the settings of scenarios differ from a site's, unless the file sets them."""

SUFFIXES = (".toml", ".json")
_STEP = ("do", "at", "fails")

Table = Mapping[str, object]


def scenario_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and those with scenarios in folders and their folders, in order of name.

    In folders, catalogs that scenarios refer to are left out. Raises FileInvalid file_unreadable.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        found += [file for file in inside if not _is_catalog(file)]
    return list(dict.fromkeys(found))


def _is_catalog(file: Path) -> bool:
    try:
        tables = read_table_file(file, "scenario_invalid")
    except FileInvalid:
        return False
    return "steps" not in tables and not {"products", "components", "coupons", "taxes"}.isdisjoint(tables)


class Reader:
    """Reads scenario files; a catalog file that several scenarios share is read once."""

    def __init__(self) -> None:
        self._catalogs: dict[Path, Table] = {}

    def read(self, path: Path) -> list[Story]:
        """The scenarios of one file.

        Raises FileInvalid: file_unreadable, scenario_invalid or catalog_invalid, naming the key path; a file with
        any error gives no scenario at all.
        """
        tables = read_table_file(path, "scenario_invalid")
        if "scenarios" not in tables:
            return [self._story(tables, path, "")]
        for key in tables:
            if key != "scenarios":
                raise scenario_invalid(
                    str(path), key, "Beside scenarios there is no other key.", "Move it into each of them."
                )
        listed = list_of(tables["scenarios"], str(path), "scenarios")
        return [
            self._story(table_of(one, str(path), f"scenarios[{number}]"), path, f"scenarios[{number}]")
            for number, one in enumerate(listed)
        ]

    def _story(self, table: Table, path: Path, place: str) -> Story:
        head = _Head(table, str(path), place)
        settings = head.settings()
        zone, currency = settings.timezone, settings.currency
        start = head.instant("start", zone)
        if start is None:
            raise head.error("start", "This key is missing.", "Add start = 2026-01-01.")
        catalog = self._catalog(head, path)
        steps, until, lacking = _steps(head, start, zone)
        expect = table_of(table.get("expect", {}), head.file, head.at("expect"))
        lacking = lacking or check_expectation(expect, zone, head.file, head.at("expect"))
        lacking = lacking or lacking_in_catalog(catalog)
        if lacking is None:
            where = head.text("catalog_file") or head.at("catalog")
            read_catalog(catalog, currency=currency, zone=zone, path=where)
        return Story(
            head.file,
            head.text("title", required=True),
            start,
            zone,
            currency,
            head.text("id") or None,
            {**OWN_SETTINGS, **head.table("settings"), "timezone": zone, "currency": currency},
            head.text("payment_method") or "approve",
            catalog,
            steps,
            until,
            expect,
            lacking,
        )

    def _catalog(self, head: "_Head", path: Path) -> Table:
        if "catalog_file" not in head.given:
            return head.table("catalog")
        if "catalog" in head.given:
            raise head.error("catalog_file", "The catalog is given twice.", "Leave one of the two out.")
        file = (path.parent / head.text("catalog_file")).resolve()
        if file not in self._catalogs:
            self._catalogs[file] = read_table_file(file)
        return self._catalogs[file]


class _Head:
    """The head of one scenario: its keys with their paths."""

    def __init__(self, given: Table, file: str, place: str) -> None:
        self.given = given
        self.file = file
        self.place = place
        for key in given:
            if key not in HEAD:
                raise self.error(key, "This key is not known.", did_you_mean(key, HEAD))
        for key in ("about", "source"):
            self.text(key)

    def at(self, key: str) -> str:
        """The path of a key."""
        return f"{self.place}.{key}" if self.place else key

    def error(self, key: str, message: str, remedy: str) -> FileInvalid:
        """The error for a key."""
        return scenario_invalid(self.file, self.at(key), message, remedy)

    def text(self, key: str, *, required: bool = False) -> str:
        """A text, empty where it is not given."""
        value = self.given.get(key, "")
        if not isinstance(value, str):
            raise self.error(key, f"A text is expected, not {value!r}.", "Write it in quotes.")
        if required and not value:
            raise self.error(key, "This key is missing.", f'Add {key} = "…".')
        return value

    def table(self, key: str) -> Table:
        """A table, empty where it is not given."""
        return table_of(self.given.get(key, {}), self.file, self.at(key))

    def instant(self, key: str, zone: str) -> datetime | None:
        """An instant, None where it is not given."""
        return _instant(self.given[key], zone, self.file, self.at(key)) if key in self.given else None

    def settings(self) -> Settings:
        """The site's settings, with zone and currency of the head."""
        wanted = {key: self.given[key] for key in ("timezone", "currency") if key in self.given}
        for where, part in (("", wanted), ("settings", self.table("settings"))):
            try:
                Settings.from_mapping(part)
            except InvalidValue as error:
                name = str(error.facts.get("setting", ""))
                raise self.error(".".join(filter(None, (where, name))), error.message, error.remedy) from None
        return Settings.from_mapping({**self.table("settings"), **wanted})


def _steps(head: _Head, start: datetime, zone: str) -> tuple[list[Step], datetime | None, str | None]:
    """The steps, `until`, and what this version lacks for them."""
    steps: list[Step] = []
    lacking: str | None = None
    now = start
    for number, value in enumerate(list_of(head.given.get("steps", ()), head.file, head.at("steps"))):
        place = f"steps[{number}]"
        path = head.at(place)
        step, missing = _step(table_of(value, head.file, path), zone, head.file, path, place)
        if step.at is not None and step.at < now:
            raise scenario_invalid(
                head.file, f"{path}.at", "This is before the step above it.", "Time only moves forward."
            )
        now = step.at or now
        lacking = lacking or missing
        steps.append(step)
    until = head.instant("until", zone)
    if until is not None and until < now:
        raise head.error("until", "This is before the last step.", "Time only moves forward.")
    return steps, until, lacking


def _step(table: Table, zone: str, file: str, path: str, place: str) -> tuple[Step, str | None]:
    do = table.get("do")
    if not isinstance(do, str):
        raise scenario_invalid(file, f"{path}.do", "This key is missing or no text.", 'Add do = "customers.create".')
    if do not in known_verbs():
        raise scenario_invalid(file, f"{path}.do", f"There is no {do!r}.", did_you_mean(do, known_verbs()))
    at = _instant(table["at"], zone, file, f"{path}.at") if "at" in table else None
    fails = table.get("fails")
    if fails is not None and not isinstance(fails, str):
        raise scenario_invalid(file, f"{path}.fails", "An error code is expected.", 'Write fails = "not_found".')
    given = {key: value for key, value in table.items() if key not in _STEP}
    if do == "expect":
        return Step(place, do, at, given, fails), check_expectation(given, zone, file, path)
    names = known_parameters(do)
    for key in given:
        if key not in names:
            raise scenario_invalid(
                file, f"{path}.{key}", f"{do} has no such parameter.", did_you_mean(key, (*names, *_STEP))
            )
    return Step(place, do, at, given, fails), lacking_in_step(do, given)


def _instant(value: object, zone: str, file: str, path: str) -> datetime:
    try:
        return instant(value, zone)
    except InvalidValue as error:
        raise scenario_invalid(file, path, error.message, error.remedy) from None
