"""Makes the demo's store from the file, and bills it month by month up to the day that the file tells of."""

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from itertools import islice
from pathlib import Path

from attrs import frozen

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.demo.sample import ROWS, write_sample
from billcore.errors import FileInvalid
from billcore.files import parse_tables
from billcore.importing.run import ImportReport, import_customers
from billcore.store import reports
from billcore.store.sqlite import file_of

REAL_FILE = Path("shared") / "data" / "telco-customers.csv"
"""Looked for beside the checkout and above the current folder."""

# The longest tenure is 72 months: the clock starts before the first of them.
BEGINS = datetime(2019, 11, 30, tzinfo=UTC)
ENDS = datetime(2025, 12, 28, tzinfo=UTC)
SETTINGS: Mapping[str, object] = {
    "require_customer_name": False,
    "require_customer_email": False,
    # Fractions of a month are easier to read in days than in seconds.
    "proration_basis": "day",
    "dunning": {"retry_after": ["2 days", "5 days", "9 days"], "final": "unpaid"},
}
# The newest attempts are enough: nothing of the demo is in doubt for longer.
GATEWAYS = {"test": {"remember": 20_000}}


@frozen
class Book:
    """The file that is billed; `real` is False for the made-up sample."""

    path: Path
    real: bool
    rows: int | None = None


@contextmanager
def find_book(data: Path | None, rows: int | None) -> Iterator[Book]:
    """The file that was named, the real one where it is found, or the sample; cut to `rows` customers."""
    found = data or _real_file()
    if found is not None and rows is None:
        yield Book(found, real=True)
        return
    with tempfile.TemporaryDirectory(prefix="billcore-demo-") as folder:
        path = Path(folder) / ("customers.csv" if found is None else found.name)
        if found is None:
            write_sample(path, rows or ROWS)
        else:
            _cut(found, path, rows or ROWS)
        yield Book(path, found is not None, rows)


def open_demo(url: str, actor: str = "demo") -> Billing:
    """A new store with the demo's clock, settings and catalog."""
    billing = Billing(url, clock=SimulatedClock(BEGINS), settings=SETTINGS, gateways=GATEWAYS, actor=actor, seed=1)
    billing.catalog.apply(_tables("catalog.toml"))
    return billing


def import_book(
    billing: Billing,
    path: Path,
    watch: Callable[[ImportReport], None] = lambda _report: None,
    *,
    declines: bool = True,
) -> ImportReport:
    """Import the file; without `declines` every payment is approved."""
    mapping = dict(_tables("mapping.toml"))
    if not declines:
        method = mapping["payment_method"]
        assert isinstance(method, dict)
        mapping["payment_method"] = {key: value for key, value in method.items() if key != "share"}
    return import_customers(billing, path, mapping, name="mapping.toml", watch=watch)


def explain_one(billing: Billing) -> tuple[str, list[str]]:
    """The number of an invoice, best one that was declined at first, and how its amounts came about."""
    with billing.database.transaction(reads=True) as tx:
        number = reports.hard_won_invoice(tx)
    return number, billing.explain(number).text() if number else []


def year_ends() -> list[datetime]:
    """The instants up to which the demo runs: the end of each year, then the day the file tells of."""
    years = range(BEGINS.year, ENDS.year)
    return [*(datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC) for year in years), ENDS]


def remove_store(url: str) -> None:
    """Remove an earlier demo's database file."""
    path = file_of(url)
    if path is not None:
        for name in (path, f"{path}-wal", f"{path}-shm"):
            Path(name).unlink(missing_ok=True)


def _real_file() -> Path | None:
    starts = (Path.cwd(), Path(__file__).resolve().parent)
    folders = (folder for start in starts for folder in (start, *start.parents))
    return next((folder / REAL_FILE for folder in folders if (folder / REAL_FILE).is_file()), None)


def _cut(source: Path, target: Path, rows: int) -> None:
    try:
        with source.open(encoding="utf-8-sig", newline="") as old, target.open("w", newline="") as new:
            csv.writer(new).writerows(islice(csv.reader(old), rows + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise FileInvalid("file_unreadable", f"{source} cannot be read ({error}).", remedy="Check the path.") from error


def _tables(name: str) -> dict[str, object]:
    text = (files("billcore.demo") / name).read_text(encoding="utf-8")
    return parse_tables(text, name)
