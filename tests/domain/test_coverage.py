"""Coverage is parted by a hold and stays as long as it was billed (behaviour 3.6, 5.2)."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from billcore.domain.coverage import billed_time, part_at
from billcore.domain.invoice import Coverage
from billcore.domain.periods import Period
from tests.builders import day, ids, line

HOURS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 900)), min_size=1, max_size=5)


@given(HOURS)
def test_however_often_it_is_held_all_that_was_billed_is_covered_once(holds) -> None:
    billed, new_id = line(start=day("01-01"), end=day("02-01")), ids()
    rows = [Coverage("cov_1", "cus_1", "sub_1", day("01-01"), day("02-01"), billed.id)]
    now = day("01-01")
    for after, lasting in holds:
        hold = Period(now + timedelta(hours=after), now + timedelta(hours=after + lasting))
        if rows[-1].end <= hold.start:
            break
        before, rest = part_at(rows.pop(), billed, hold, new_id)
        rows += [row for row in (before, rest) if row is not None]
        assert rest.start == hold.end
        now = hold.end
    length = billed.end - billed.start
    assert sum((row.end - row.start for row in rows), timedelta()) == length
    assert len({row.id for row in rows}) == len(rows)
    for row in rows:
        moved = billed_time(row, billed)
        assert moved.end - moved.start == length and moved.start <= row.start and row.end <= moved.end
        covered_before = sum((one.end - one.start for one in rows if one.start < row.start), timedelta())
        assert row.start - moved.start == covered_before
