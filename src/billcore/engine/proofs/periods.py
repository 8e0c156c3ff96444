"""Time: each period billed once, periods without gap, coverage without overlap and gap (behaviour 3.6, 8.4)."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations, pairwise, zip_longest

from attrs import evolve

from billcore.domain.states import BILLING, END
from billcore.engine.proofs.agreement import Agreement, Billed, Covered, Part, Span, subtract
from billcore.engine.proofs.law import Findings, Law
from billcore.engine.proofs.price import Pricing
from billcore.store.types import text_to_instant

SEQUENCES = Law("renewals", "8.4", "Billings are numbered 1 to n without gap.", "subscriptions")
TILING = Law("periods", "2.2", "Periods follow each other without gap or overlap.", "periods")
CURRENT = Law("current_period", "8.4", "A running period is the one last billed.", "subscriptions")
OVERLAP = Law("coverage_overlap", "3.6", "No time of an item is billed twice.", "coverage")
GAPS = Law("coverage_gap", "3.6", "All time of an item is billed, but for stated gaps.", "periods")
WITHIN = Law("coverage_within", "3.6", "Coverage lies within what its line billed.", "coverage")
LINES_COVER = Law("lines_cover", "3.6", "Every line billed for time has its coverage.", "lines")

NOT_BEGUN = frozenset({"pending", "failed_to_create"})
MANY = 10
"""More holds than this in one period are not combined: any shift up to their sum is taken."""

_BEYOND = """
    SELECT c.line_id, c.start, c."end", c.item_id, coalesce(c.billed_from, l.start),
        coalesce(c.billed_until, l."end"), l.item_id
    FROM billcore_coverage c JOIN billcore_lines l ON l.id = c.line_id
    WHERE l.start IS NULL OR c.start < coalesce(c.billed_from, l.start)
        OR c."end" > coalesce(c.billed_until, l."end") OR c.item_id <> l.item_id
"""
_UNCOVERED = """
    SELECT l.id FROM billcore_lines l
    LEFT JOIN billcore_invoices i ON i.id = l.invoice_id
    LEFT JOIN billcore_coverage c ON c.line_id = l.id
    WHERE l.kind IN ('product', 'component') AND l.item_id IS NOT NULL AND l.start IS NOT NULL
        AND (i.number IS NOT NULL OR l.credit_note_id IS NOT NULL) AND c.id IS NULL
"""


def prove_coverage_rows(findings: Findings) -> None:
    """Prove each row of coverage against its line, and that no line lacks one."""
    findings.watch("coverage", 0)
    tx = findings.tx
    row = tx.one("SELECT count(*) FROM billcore_coverage")
    findings.checked(WITHIN, row[0] if row else 0)
    for line_id, start, end, item, billed_from, billed_to, billed_item in tx.stream(_BEYOND):
        other = "" if item == billed_item else f" of another item ({item})"
        message = f"it billed {billed_from} to {billed_to}, its coverage says {start} to {end}{other}"
        findings.add(WITHIN, "line", line_id, message)
    row = tx.one("SELECT count(*) FROM billcore_lines WHERE kind IN ('product', 'component')")
    findings.checked(LINES_COVER, row[0] if row else 0)
    for (line_id,) in tx.stream(_UNCOVERED):
        findings.add(LINES_COVER, "line", line_id, "is billed for a time that no coverage keeps")


def prove_periods(findings: Findings, agreements: list[Agreement], pricing: Pricing) -> None:
    """Prove periods and coverage of these subscriptions."""
    for agreement in agreements:
        _prove_sequence(findings, agreement)
        _prove_tiling(findings, agreement)
        _prove_overlap(findings, agreement)
        _prove_gaps(findings, agreement, pricing)
    findings.checked(SEQUENCES, len(agreements))
    findings.checked(CURRENT, len(agreements))
    findings.checked(TILING, sum(len(agreement.periods) for agreement in agreements))
    rows = sum(len(rows) for agreement in agreements for rows in agreement.coverage.values())
    findings.checked(OVERLAP, rows)
    findings.checked(GAPS, sum(len(one.periods) * len(one.parts) for one in agreements))


def _prove_sequence(findings: Findings, agreement: Agreement) -> None:
    numbers = [period.sequence for period in agreement.periods]
    wanted = 0 if agreement.state in NOT_BEGUN else agreement.sequence
    if numbers == list(range(1, wanted + 1)):
        return
    missing = sorted(set(range(1, wanted + 1)) - set(numbers))
    extra = sorted(set(numbers) - set(range(1, wanted + 1)))
    told = f"{missing[0]} is missing" if missing else f"{extra[0] if extra else numbers[0]} is one too many"
    message = f"its last billing is number {wanted}, {len(numbers)} are stored: {told}"
    findings.add(SEQUENCES, "subscription", agreement.id, message)


def _prove_tiling(findings: Findings, agreement: Agreement) -> None:
    for before, after in pairwise(agreement.periods):
        if before.end != after.start and not _stated(agreement, before, after):
            message = f"period {after.sequence} starts at {after.start}, period {before.sequence} ends at {before.end}"
            findings.add(TILING, "subscription", agreement.id, message)
    for period in agreement.periods:
        if period.end <= period.start:
            message = f"period {period.sequence} from {period.start} to {period.end} is empty"
            findings.add(TILING, "subscription", agreement.id, message)
    if not agreement.periods or agreement.state not in BILLING:
        return
    last = agreement.periods[-1]
    end = agreement.period_end
    extended = end is not None and _shifted(agreement, last.start, last.end, end)
    if last.start != agreement.period_start or (last.end != end and not extended):
        message = (
            f"its period is {agreement.period_start} to {end}, billing {last.sequence} was for "
            f"{last.start} to {last.end}"
        )
        findings.add(CURRENT, "subscription", agreement.id, message)


def _stated(agreement: Agreement, before: Billed, after: Billed) -> bool:
    """Whether a gap or overlap between two billings is meant: a component's own interval, or a hold."""
    if before.start == after.start:
        return True  # Components on an interval of their own are billed again within the period.
    # A hold may end at the instant when it began, which may be the period's first.
    if any(before.start <= held <= after.start == resumed for held, resumed in agreement.off):
        return True
    return _shifted(agreement, before.start, before.end, after.start)


def _shifted(agreement: Agreement, since: str, planned: str, actual: str) -> bool:
    """Whether a period's end moved from `planned` to `actual` by the length of holds in it (unused = extend)."""
    if actual <= planned:
        return False
    moved = text_to_instant(actual) - text_to_instant(planned)
    holds = [
        text_to_instant(resumed) - text_to_instant(held)
        for held, resumed in agreement.off
        if held >= since and resumed <= actual
    ]
    if len(holds) > MANY:
        return moved <= sum(holds, timedelta())
    return any(
        sum(chosen, timedelta()) == moved for count in range(1, len(holds) + 1) for chosen in combinations(holds, count)
    )


def _prove_overlap(findings: Findings, agreement: Agreement) -> None:
    for rows in agreement.coverage.values():
        for before, after in pairwise(rows):
            if before.layer == after.layer and after.start < before.end:
                message = f"{after.start} to {min(before.end, after.end)} is billed a second time"
                findings.add(OVERLAP, "line", after.line_id, message)


def _prove_gaps(findings: Findings, agreement: Agreement, pricing: Pricing) -> None:
    for part in agreement.parts:
        bill = pricing.bills_time(agreement, part)
        if bill is None:
            continue
        rows = agreement.coverage.get(part.id, [])
        if part.own is not None:
            own = [row for row in rows if row.layer == 0]
            gaps: Iterator[Span] = _between(agreement, part, own, bill)
        else:
            gaps = _in_periods(agreement, part, rows, bill, pricing)
        for start, end in gaps:
            of = f" of component {part.component}" if part.component else ""
            message = f"{start} to {end}{of} was not billed, and nothing says why"
            findings.add(GAPS, "subscription", agreement.id, message)


def _in_periods(agreement: Agreement, part: Part, rows: list[Covered], bill: str, pricing: Pricing) -> Iterator[Span]:
    """The time of billed periods that a part of the subscription should be covered for and is not."""
    spans = [(row.start, row.end) for row in rows]
    exact = set(spans)
    stated = [*agreement.off, *agreement.ended.get(part.id, ())]
    for period in _until_the_next(agreement):
        if period.free or (period.sequence == 1 and period.invoice_id is None):
            # Free by agreement, or billed by the system that the subscription was taken over from.
            stated.append((period.start, period.end))
        start, end = max(period.start, part.added), min(period.end, part.ended)
        if bill == "arrears" and agreement.state not in END:
            end = min(end, agreement.arrears_from or end)
        if start >= end or (start, end) in exact:
            continue
        left = subtract(subtract([(start, end)], spans), stated)
        if left:
            left = subtract(left, pricing.given_back(part, start, end, period.invoice_id))
        if left and not pricing.is_free(agreement, part, period, left):
            yield from left


def _until_the_next(agreement: Agreement) -> Iterator[Billed]:
    """Each billed period, up to where one begins within it: that one bills on, after a hold, and may be cut short.

    One whose end holds have moved lasts up to the next, or as long as it runs.
    """
    running = agreement.period_end if agreement.state in BILLING else None
    for period, after in zip_longest(agreement.periods, agreement.periods[1:]):
        end = after.start if after else running
        within = after is not None and period.start < after.start < period.end
        moved = end is not None and _shifted(agreement, period.start, period.end, end)
        yield evolve(period, end=end) if within or moved else period


def _between(agreement: Agreement, part: Part, rows: list[Covered], bill: str) -> Iterator[Span]:
    """Gaps between the coverage of a component on its own interval, which has no billed periods of its own."""
    chain = [(before, after.start) for before, after in pairwise(rows)]
    if bill == "advance" and rows and part.own is not None and agreement.state in BILLING:
        chain.append((rows[-1], min(part.own, part.ended)))
    for before, following in chain:
        if before.end < following and not _shifted(agreement, before.start, before.end, following):
            yield from subtract([(before.end, following)], [*agreement.off, *agreement.ended.get(part.id, ())])
