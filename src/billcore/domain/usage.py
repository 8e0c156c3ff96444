"""Usage: what was consumed of a metered component (behaviour 12)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from attrs import field, frozen


@frozen
class UsageEvent:
    """One event, append-only. `event_id` is unique per subscription and component; negative quantities correct.

    `at` is when it was consumed (microseconds kept); `properties` are what else is known of it, as texts; `line_id`
    is the line that billed it, None until then.
    """

    id: str
    customer_id: str
    subscription_id: str
    item_id: str
    component: str
    event_id: str
    quantity: Decimal
    at: datetime
    recorded_at: datetime
    properties: Mapping[str, str] = field(factory=dict)
    line_id: str | None = None


@frozen
class UsageTotal:
    """Unbilled usage of one item up to a cut-off: `current` inside the period, `late` from periods billed already."""

    current: Decimal
    late: Decimal
    events: int
