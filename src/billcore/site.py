"""What a store says of itself: its installation, its clock, and the settings and catalog that all processes share."""

from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen

from billcore.clock import Clock, SimulatedClock, SystemClock
from billcore.ids import new_installation
from billcore.settings import Settings
from billcore.store import catalog as stored_catalog
from billcore.store import journal
from billcore.store.catalog import StoredCatalog
from billcore.store.database import Database, Transaction

LOCK = "site"
"""Kept by whoever changes settings, catalog or clock, so that two of them do not build on the same former state."""


@frozen
class Opened:
    """A store that was opened: the id of its installation, and the clock that it runs on."""

    installation: str
    clock: Clock


@frozen
class Site:
    """Settings and catalog as of a revision of the store."""

    revision: int
    settings: Settings
    catalog: StoredCatalog


class SiteReader:
    """Reads the site, again whenever some process has changed it."""

    def __init__(self) -> None:
        self._last: Site | None = None

    def read(self, tx: Transaction) -> Site:
        """The site as the transaction sees it."""
        revision, last = journal.revision(tx), self._last
        if last is None or last.revision != revision:
            last = Site(revision, Settings.from_mapping(journal.settings(tx)), stored_catalog.load(tx))
            self._last = last
        return last

    def changed(self, tx: Transaction) -> None:
        """Let every process read the site again."""
        journal.save_meta(tx, "revision", str(journal.revision(tx) + 1))
        self._last = None


def open_store(database: Database, clock: Clock | None, settings: Mapping[str, object] | None) -> Opened:
    """Read what the store says of itself; a write lock is taken only where something is new."""
    with database.transaction(reads=True) as tx:
        meta, stored = journal.meta(tx), Settings.from_mapping(journal.settings(tx))
    wanted = Settings.from_mapping(settings, stored) if settings else stored
    if "installation" not in meta or wanted != stored:
        meta = database.unit(lambda tx: _set_up(tx, clock, settings or {}))
    kept: Clock = SystemClock()
    if "clock" in meta:
        kept = SimulatedClock(datetime.fromisoformat(meta["clock"]).astimezone(UTC))
    return Opened(meta["installation"], clock or kept)


def keep_clock(database: Database, clock: Clock) -> None:
    """Store where a simulated clock stands; a process that was behind another one does not turn it back."""

    def keep(tx: Transaction) -> None:
        tx.lock(LOCK)
        stored = journal.meta(tx).get("clock")
        if stored is None or datetime.fromisoformat(stored) < clock.now():
            journal.save_meta(tx, "clock", clock.now().isoformat())

    database.unit(keep)


def _set_up(tx: Transaction, clock: Clock | None, settings: Mapping[str, object]) -> dict[str, str]:
    """Write what is new: the installation's id and clock, and settings that differ from what is stored."""
    tx.lock(LOCK)
    meta = journal.meta(tx)
    if "installation" not in meta:
        meta["installation"] = new_installation()
        journal.save_meta(tx, "installation", meta["installation"])
        journal.save_meta(tx, "revision", "1")
        if clock is not None and clock.simulated:
            meta["clock"] = clock.now().isoformat()
            journal.save_meta(tx, "clock", meta["clock"])
    stored = Settings.from_mapping(journal.settings(tx))
    wanted = Settings.from_mapping(settings, stored)
    if wanted != stored:
        journal.save_settings(tx, wanted.to_mapping())
        SiteReader().changed(tx)
    return meta
