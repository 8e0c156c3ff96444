"""How much of what repeats itself over many cases a run of the tests takes: a part, or with BILLCORE_TEST_ALL=1 all.

Cases of one test differ in values. What differs between databases are queries, and any part of the cases has most.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

ALL = os.environ.get("BILLCORE_TEST_ALL", "") not in ("", "0")

T = TypeVar("T")


def share(cases: Sequence[T], one_of: int) -> list[T]:
    """One of so many cases, evenly spread and at least one; all of them where all are asked for."""
    return list(cases) if ALL else list(cases[min(one_of, len(cases)) // 2 :: one_of])
