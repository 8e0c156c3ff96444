"""Dunning: what happens after a failed collection (behaviour 9.5)."""

from datetime import datetime
from typing import Literal

from attrs import evolve, frozen

from billcore.domain.periods import Duration, add
from billcore.settings import DunningPolicy

CaseStatus = Literal["open", "closed"]


@frozen
class DunningCase:
    """One per payer and currency while something is overdue. Steps count from `opened_at`, the first failure.

    `step` is the number of steps done; `next_step_at` None means that nothing more is tried by itself;
    `refused_method_id` is a method that the provider refused for good.
    """

    id: str
    customer_id: str
    currency: str
    opened_at: datetime
    status: CaseStatus = "open"
    step: int = 0
    next_step_at: datetime | None = None
    refused_method_id: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    version: int = 1


def first_step(case: DunningCase, policy: DunningPolicy, zone: str) -> DunningCase:
    """The case with its first step planned; without retries the final action follows at once."""
    return evolve(case, next_step_at=_step_at(case, policy, zone, 0) or case.opened_at)


def next_step(case: DunningCase, policy: DunningPolicy, zone: str) -> DunningCase:
    """The case with one more step done and the next one planned, None after the last."""
    step = case.step + 1
    return evolve(case, step=step, next_step_at=_step_at(case, policy, zone, step))


def is_over(case: DunningCase, policy: DunningPolicy) -> bool:
    """Whether all retries are done, so that the final action is what comes next."""
    return case.step >= len(policy.retry_after)


def _step_at(case: DunningCase, policy: DunningPolicy, zone: str, step: int) -> datetime | None:
    if step >= len(policy.retry_after):
        return None
    return add(case.opened_at, Duration.parse(policy.retry_after[step]), zone)
