"""As `tests.engine.dying`, for what changes running subscriptions.

`python -m tests.engine.dying_changes FILE sqlite|postgresql keep|refuse EVERY`: changes, components, attach, returns,
refunded cancellations, charges, an invoice by hand and a join, each answered, declined, or with its answer lost. On
SQLite the disk is kept as it is after each commit, charge and refund, and a process comes back to these pictures; on
PostgreSQL processes really end there. One of EVERY points is tried: 1 tries them all.
"""

import gc
import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from billcore.errors import Refused
from tests import databases
from tests.builders import books
from tests.engine import dying


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def book_of(file: Path) -> Path:
    return Path(f"{file}.test-gateway.jsonl")


def set_up(file: Path, decline: str) -> None:
    """Customers who pay, one whose bank says no from now on, one whose answers get lost on the way back."""
    everybody = ("acme", "bolt", "crab", "eve", "member")
    gateways = {"test": {"book": str(book_of(file))}}
    with books(
        databases.at(file), customers=everybody, gateways=gateways, change_decline=decline, async_signup="wait"
    ) as billing:
        billing.customers.create("dune")
        billing.payment_methods.add("dune", "timeout_after_charge")
        sign_up = billing.subscriptions.create
        sign_up("s1", "acme", "pro-m", components={"seats": "1"})
        for name, owner, price in (
            ("s2", "dune", "pro-m"),
            ("s3", "crab", "pro-m"),
            ("s4", "bolt", "pro-m"),
            ("s5", "bolt", "pro-y"),
            ("s6", "acme", "pro-m"),
            ("s7", "dune", "pro-m"),
            ("s8", "crab", "pro-m"),
            ("s9", "member", "pro-m"),
        ):
            sign_up(name, owner, price)
        billing.run(day("01-02"))
        for name in ("s7", "s8"):
            billing.subscriptions.cancel(name)
        billing.payment_methods.add("crab", "decline:insufficient_funds", reference="bad")
        billing.payment_methods.set_default("crab", "bad")


def work(file: Path) -> None:
    """What the host does; it repeats its commands under their keys when it comes back."""
    with dying.opened(file) as billing:
        subs = billing.subscriptions
        billing.run(day("01-10"))
        subs.change("s1", quantity=2, idempotency_key="k1")
        subs.change("s2", quantity=2, idempotency_key="k2")
        with suppress(Refused):
            subs.change("s3", quantity=2, idempotency_key="k3")
        billing.run(day("01-11"))
        subs.set_component("s1", "seats", "3", idempotency_key="k4")
        subs.attach("e1", "eve", "pro-m", idempotency_key="k5")
        billing.run(day("01-12"))
        subs.attach("e2", "eve", "pro-y", idempotency_key="k6")
        subs.cancel("s4", refund="unused", idempotency_key="k7")
        subs.cancel("s5", day("01-20"), refund="unused", idempotency_key="k8")
        subs.change("s6", quantity=2, when="renewal", idempotency_key="k9")
        subs.add_charge("s1", "5.00", "Extra", idempotency_key="k10")
        billing.invoices.create("acme", lines=[{"description": "Work", "amount": "12.00"}], idempotency_key="k11")
        billing.run(day("01-13"))
        billing.customers.join("member", "acme", idempotency_key="k12")
        for place, name in enumerate(("s4", "s7", "s8")):
            with suppress(Refused):
                subs.reactivate(name, idempotency_key=f"r{place}")
        billing.run(dying.END)
        billing.run(dying.AFTERWARDS)


def told(file: Path) -> dict[str, object]:
    """How the books stand: as `dying.told`, with what is subscribed to, what became of changes, and what is stuck."""
    with dying.opened(file) as billing:
        owners = {one.id: one.reference for one in billing.customers.list()}
        subs = billing.subscriptions.list()
        return dying.told(file) | {
            "subscribed": sorted(
                f"{one.reference} {one.quantity} {owners[one.customer_id]} {[str(item.quantity) for item in one.items]}"
                for one in subs
            ),
            "story": sorted(
                f"{one.reference} {told.at:%m-%d} {told.text}"
                for one in subs
                for told in billing.subscriptions.timeline(one.id)
                if told.kind == "change"
            ),
            "stuck": sorted(one.kind for one in billing.doctor().troubles if one.kind != "database"),
        }


class Camera(dying.Fault):
    """Keeps what is on the disk after each commit, charge and refund: what a process that ends there leaves."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.pictures: list[str] = []
        self.seen: set[str] = set()

    def passes(self, kind: str, side: str) -> None:
        super().passes(kind, side)
        if side == "before":
            return
        parts = {end: Path(f"{self.file}{end}") for end in ("", "-wal", ".test-gateway.jsonl")}
        kept = {end: part.read_bytes() for end, part in parts.items() if part.exists()}
        seen = hashlib.sha256(b"".join(kept.values())).hexdigest()
        if seen in self.seen:
            return
        self.seen.add(seen)
        name = f"{kind}-{self.counted[kind]}-{side}"
        for end, content in kept.items():
            Path(f"{self.file.with_name(name)}.db{end}").write_bytes(content)
        self.pictures.append(name)


def pictures(file: Path) -> list[str]:
    """Does the work undisturbed and keeps pictures of it; their names."""
    camera = Camera(file)
    camera.armed()
    work(file)
    return camera.pictures


def come_back(file: Path) -> dict[str, object]:
    work(file)
    return told(file)


def on_sqlite(file: Path, every: int) -> Iterator[dict[str, object]]:
    names = dying.saying(file, lambda: pictures(file))
    yield {"whole": dying.saying(file, lambda: told(file))}
    for name in names[every // 2 :: every]:
        copy = file.with_name(f"{name}.db")
        yield {"point": name, "died": dying.DIED, "stands": dying.saying(copy, lambda copy=copy: come_back(copy))}


def on_postgresql(file: Path, every: int) -> Iterator[dict[str, object]]:
    stores = databases.CURRENT[-1]

    def copied(name: str) -> Path:
        copy = stores.copied(file, name)
        shutil.copyfile(book_of(file), book_of(copy))
        return copy

    whole = copied("whole")
    counted = dying.saying(whole, lambda: dying.counting(whole))
    yield {"whole": dying.saying(whole, lambda: told(whole))}
    for point in list(dying.points(counted))[every // 2 :: every]:
        copy = copied("-".join(map(str, point)))

        def die(copy=copy, point=point) -> None:
            dying.Fault(*point).armed()
            work(copy)

        died = dying.in_child(die)
        yield {"point": point, "died": died, "stands": dying.saying(copy, lambda copy=copy: come_back(copy))}


def main(file: Path, kind: databases.Kind, decline: str, every: int) -> None:
    gc.freeze()
    dying.work = work
    with databases.stores(kind) as stores:
        stores.at(file)
        assert dying.in_child(lambda: set_up(file, decline)) == 0
        for one in (on_postgresql if kind == "postgresql" else on_sqlite)(file, every):
            dying.say(one)
    databases.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), "postgresql" if sys.argv[2] == "postgresql" else "sqlite", sys.argv[3], int(sys.argv[4]))
