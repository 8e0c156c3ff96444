"""Coverage of billed time, and as holds part it: what was left of it goes on behind them (behaviour 3.6, 5.2)."""

from collections.abc import Iterable

from billcore.domain.invoice import Coverage, Line
from billcore.domain.periods import Period
from billcore.domain.values import NewId, evolve
from billcore.domain.writes import Writes


def billed_time(row: Coverage, line: Line) -> Period:
    """All that the line of a row was billed for, placed as the row has it: as long as it was billed, holds left out."""
    assert line.start is not None and line.end is not None
    return Period(row.billed_from or line.start, row.billed_until or line.end)


def by_line(rows: Iterable[Coverage]) -> dict[str, list[Coverage]]:
    """Rows by the id of their line, in their order; holds make several of one."""
    found: dict[str, list[Coverage]] = {}
    for row in rows:
        found.setdefault(row.line_id, []).append(row)
    return found


def part_at(row: Coverage, line: Line, hold: Period, new_id: NewId) -> tuple[Coverage | None, Coverage]:
    """What a row covers before a hold, None where it had not begun, and what was left of it, behind the hold.

    Both cover time that their line billed once: the billed time moves with the rest.
    """
    by, billed = hold.end - hold.start, billed_time(row, line)
    behind = evolve(
        row,
        start=max(row.start, hold.start) + by,
        end=row.end + by,
        billed_from=billed.start + by,
        billed_until=billed.end + by,
    )
    if row.start >= hold.start:
        return None, behind
    return evolve(row, end=hold.start), evolve(behind, id=new_id("cov"))


def cover(line: Line, writes: Writes, new_id: NewId) -> None:
    """Write down the time that a line bills; one that waited for its document has its coverage already."""
    timed = line.kind in ("product", "component") and line.start != line.end
    if line.waited or not timed or line.item_id is None or line.start is None or line.end is None:
        return
    writes.add(Coverage(new_id("cov"), line.customer_id, line.item_id, line.start, line.end, line.id, layer=line.layer))
