"""Imports customers with methods and subscriptions: in batches, resumable, by the verbs' own functions."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path

from attrs import define, evolve, field, frozen

from billcore.billing import Billing
from billcore.commands.scope import Scope
from billcore.domain.card_number import without_card_numbers
from billcore.domain.catalog import Price
from billcore.domain.customer import Customer
from billcore.domain.event import AuditRecord
from billcore.domain.periods import schedule_from_start
from billcore.domain.writes import Writes
from billcore.errors import BillcoreError, InvalidValue, Refused, StoreError
from billcore.importing.mapping import ImportMapping
from billcore.importing.mapping_reader import read_mapping
from billcore.importing.rows import Wanted, wanted
from billcore.importing.table import Line, SourceFile, open_source
from billcore.store import customer as customers
from billcore.store import imports

BATCH = 1000
"""Lines per transaction."""


@frozen
class Reject:
    """A line that was not imported, why, and what to do; `fields` are as they stand in the file.

    Where one holds a card number it is masked in all of them (promise P10).
    """

    line: int
    reference: str
    code: str
    reason: str
    fields: tuple[str, ...]


@define
class ImportReport:
    """What an import did.

    `done_before` are lines that an earlier run of the same file brought in; `ended` are subscriptions that
    are over by now: of those only the customer is imported.
    """

    file: str
    header: tuple[str, ...]
    dry_run: bool = False
    lines: int = 0
    customers: int = 0
    methods: int = 0
    subscriptions: int = 0
    ended: int = 0
    skipped: int = 0
    done_before: int = 0
    rejected: int = 0


class _RolledBack(Exception):
    """Ends the transaction of a dry run; carries what it found."""

    def __init__(self, rejects: list[Reject]) -> None:
        super().__init__("rolled back")
        self.rejects = rejects


@define
class _Import:
    billing: Billing
    mapping: ImportMapping
    source: SourceFile
    on_reject: Callable[[Reject], None]
    report: ImportReport
    seen: dict[str, int] = field(factory=dict)

    def batch(self, lines: list[Line]) -> None:
        """Import one batch in one transaction; in a dry run nothing of it is kept."""
        before, seen = self.report, self.seen if self.report.dry_run else {}

        def whole(scope: Scope) -> list[Reject]:
            # Done again from the start it counts from the start.
            self.report, self.seen = evolve(before), dict(seen)
            scope.actor = self.billing.actor
            rejects = self._lines(scope, lines)
            if self.report.dry_run:
                scope.flush()
                raise _RolledBack(rejects)
            return rejects

        try:
            rejects = self.billing.unit(whole)
        except _RolledBack as tried:
            rejects = tried.rejects
        except BaseException:
            self.report = before
            raise
        for reject in rejects:
            self.on_reject(reject)

    def _lines(self, scope: Scope, lines: list[Line]) -> list[Reject]:
        report, file = self.report, self.source.digest
        rejects: list[Reject] = []
        scope.tx.lock(f"import:{file}")
        done = imports.done(scope.tx, file, lines[0].number, lines[-1].number)
        made: list[tuple[int, str]] = []
        collected = Writes()
        for line in lines:
            report.lines += 1
            if line.number in done:
                report.done_before += 1
                continue
            scope.writes = Writes()
            try:
                reference = self._line(scope, line)
            except StoreError:
                raise
            except BillcoreError as error:
                report.rejected += 1
                rejects.append(self._reject(line, error))
                continue
            if reference is None:
                report.skipped += 1
                continue
            collected.take(scope.writes)
            self.seen[reference] = line.number
            made.append((line.number, reference))
        scope.writes = collected
        imports.note(scope.tx, file, made)
        if made:
            self._write_down(scope, made)
        return rejects

    def _line(self, scope: Scope, line: Line) -> str | None:
        header = self.source.header
        if len(line.fields) != len(header):
            raise InvalidValue(
                f"The line has {len(line.fields)} fields, the header {len(header)}.",
                remedy="Put fields with a separator in them into quotes.",
            )
        row = {name: text.strip() for name, text in zip(header, line.fields, strict=True)}
        asked = wanted(self.mapping, row, scope.settings.timezone)
        if asked is None:
            return None
        self._check_reference(scope, asked.reference)
        customer = self.billing.customers.create.within(scope, asked.customer)
        if asked.method is not None:
            self.billing.payment_methods.add.within(scope, {"customer": customer.id, **asked.method})
        subscribed = asked.subscription is not None and self._subscribe(scope, customer, asked)
        report = self.report
        report.customers += 1
        report.methods += asked.method is not None
        report.subscriptions += subscribed
        report.ended += asked.subscription is not None and not subscribed
        return asked.reference

    def _subscribe(self, scope: Scope, customer: Customer, asked: Wanted) -> bool:
        """Make the subscription; False for one that is over already."""
        assert asked.subscription is not None and asked.start is not None
        if asked.ends is not None and asked.ends <= max(asked.start, scope.now):
            if asked.ends < asked.start:
                raise InvalidValue(
                    f"The subscription ends {asked.ends:%Y-%m-%d}, before its start {asked.start:%Y-%m-%d}.",
                    remedy="Correct one of the two dates.",
                )
            return False
        given: dict[str, object] = {
            "customer": customer.id,
            **asked.subscription,
            "starts_at": asked.start,
        }
        if asked.start <= scope.now:
            given["next_billing_at"] = asked.next_billing or _next_billing(scope, customer, given, asked.start)
        sub = self.billing.subscriptions.create.within(scope, given)
        if asked.ends is not None:
            self.billing.subscriptions.cancel.within(scope, {"subscription": sub.id, "when": asked.ends})
        return True

    def _check_reference(self, scope: Scope, reference: str) -> None:
        """Say where a reference is that stands twice; what is in the store alone is refused by the verb."""
        line = self.seen.get(reference)
        if line is None and customers.get(scope.tx, reference) is not None:
            line = imports.line_of(scope.tx, self.source.digest, reference)
        if line is not None:
            raise Refused(
                "reference_taken",
                f"Line {line} of this file has the reference {reference!r} already.",
                remedy="Give each customer a reference of his own, or take the line out.",
            )

    def _reject(self, line: Line, error: BillcoreError) -> Reject:
        named = dict(zip(self.source.header, line.fields, strict=False))
        column = self.mapping.customer["reference"].column
        reason = f"{error.message} {error.remedy}".strip()
        reference, fields = named.get(column or "", "").strip(), tuple(line.fields)
        if error.facts.get("card_number"):  # What is told of the line is stored by whoever reads it.
            reference, fields = without_card_numbers(reference), tuple(map(without_card_numbers, fields))
        return Reject(line.number, reference, error.code, reason, fields)

    def _write_down(self, scope: Scope, made: list[tuple[int, str]]) -> None:
        shown = {
            "file": self.source.path.name,
            "digest": self.source.digest,
            "mapping": self.mapping.name,
            "first_line": made[0][0],
            "last_line": made[-1][0],
        }
        scope.writes.add(
            AuditRecord(
                scope.new_id("aud"),
                scope.now,
                self.billing.actor,
                "import.customers",
                json.dumps(shown),
                json.dumps({"customers": len(made)}),
            )
        )


def import_customers(
    billing: Billing,
    file: str | Path,
    mapping: Mapping[str, object],
    *,
    name: str = "mapping",
    dry_run: bool = False,
    on_reject: Callable[[Reject], None] = lambda _reject: None,
    watch: Callable[[ImportReport], None] = lambda _report: None,
    batch: int = BATCH,
) -> ImportReport:
    """Import every line of `file` that is not in yet; bad ones go to `on_reject` and do not stop the others.

    `mapping` is that of the file `name` as tables. A line is imported whole or not at all, a batch in one
    transaction. Killed and run again with the same file it goes on where it was: lines are known by the file's
    contents and their number. A start by now takes the subscription over, billed up to its next boundary elsewhere;
    a later start waits for its day. Raises FileInvalid where file and mapping do not fit each other; nothing is
    imported then.
    """
    read = read_mapping(mapping, name)
    source = open_source(Path(file), read)
    run = _Import(billing, read, source, on_reject, ImportReport(source.path.name, source.header, dry_run))
    for lines in _batches(source.lines(), batch):
        run.batch(lines)
        watch(run.report)
    return run.report


def _batches(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    while batch := list(islice(lines, size)):
        yield batch


def _next_billing(scope: Scope, customer: Customer, given: dict[str, object], start: datetime) -> datetime:
    """The first boundary after now of what runs since `start`: up to there it was billed elsewhere."""
    price: Price = scope.catalog.catalog.price(str(given["price"]))
    if price.every is None:
        return start  # The verb refuses such a price by name.
    own = given.get("billing_day", customer.billing_day)
    day = 31 if own == "end" else own
    settings = scope.settings
    schedule = schedule_from_start(
        start,
        price.every,
        scope.zone(customer),
        day if isinstance(day, int) and price.every.months is not None else None,
        settings.billing_time,
        settings.period_policy,
    )
    first = schedule.first_end(start)
    return first if first > scope.now else schedule.boundary_after(scope.now)
