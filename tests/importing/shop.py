"""A small company whose customers come in from CSV."""

from datetime import UTC, datetime
from pathlib import Path

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.files import parse_tables
from billcore.importing.run import import_customers
from tests import databases

CATALOG = {
    "products": [
        {
            "code": "pro",
            "prices": [
                {"code": "pro-m", "amount": "30.00", "every": "1 month"},
                {"code": "pro-w", "amount": "7.00", "every": "1 week"},
                {"code": "once", "amount": "9.00", "every": "once"},
            ],
        }
    ]
}
NOW = datetime(2026, 1, 15, tzinfo=UTC)
HEADER = "id,name,email,plan,price,since,until,card"
MAPPING = """
[customer]
reference = "id"
name = "name"
email = "email"

[payment_method]
gateway = { constant = "test" }
token = { column = "card", map = { visa = "approve", broken = "decline:insufficient_funds" } }

[subscription]
price = { column = "plan", map = { pro = "pro-m", weekly = "pro-w" } }
amount = "price"
start = "since"
unless = { column = "plan", values = ["none"] }
cancel = { date = "until" }
"""
ADA = "ada,Ada,ada@example.com,pro,49.90,2026-02-01,,visa"
BOB = "bob,Bob,bob@example.com,pro,,2026-03-10,2026-12-10,broken"
CAS = "cas,Cas,cas@example.com,none,,,,"


def shop(url=None, **settings):
    """A store on a simulated clock that stands at 2026-01-15."""
    billing = databases.opened(Billing(url or databases.fresh(), clock=SimulatedClock(NOW), settings=settings, seed=1))
    billing.catalog.apply(CATALOG)
    return billing


def csv_file(folder: Path, *lines, header=HEADER, name="customers.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def tables(text=MAPPING, **replaced):
    """The mapping as tables; `replaced` are texts in it."""
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return parse_tables(text, "mapping.toml", "import_invalid")


def run(billing, path, mapping=None, **options):
    """Import; returns the report and the rejects."""
    rejects = []
    report = import_customers(
        billing, path, mapping or tables(), name="mapping.toml", on_reject=rejects.append, **options
    )
    return report, rejects
