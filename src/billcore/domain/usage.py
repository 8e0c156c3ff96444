"""Usage: what was consumed of a metered component, and how its events become one quantity (behaviour 12)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from attrs import field, frozen

from billcore.domain.catalog import Component
from billcore.domain.crediting import NO_PARTS, Parts
from billcore.domain.invoice import Line
from billcore.domain.periods import Period, Schedule
from billcore.domain.values import evolve
from billcore.errors import InvalidValue

Quantity = Decimal | Fraction
ZERO = Decimal(0)
MARK = "#"
"""What parts the id of a correction from that of the event it corrects; no event that is recorded has one."""
_TICK = timedelta.resolution


@frozen
class UsageEvent:
    """One event, append-only. `event_id` is unique per subscription and component; negative quantities correct.

    `at` is when it was consumed (microseconds kept); `properties` are what else is known of it, as texts; `line_id`
    is the line that billed it, None until then. A correction of event e1 is the event "e1#1" at the same instant,
    the next one "e1#2".
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

    @property
    def corrects(self) -> str | None:
        """The id of the event that this one corrects, None where it is one of its own."""
        original, mark, _ = self.event_id.partition(MARK)
        return original if mark else None


@frozen
class Measured:
    """One event with its corrections: what it counts, and what it is told apart by (`text`)."""

    at: datetime
    id: str
    value: Decimal
    text: str


@frozen
class BilledUsage:
    """A usage line that billed a part of a period, and what of it is given back by now.

    `rated_back` was given back because usage was rated again, `left` is what all credits left; both have the sign of
    what was billed. `kept` counts as billed but is never credited: its invoice is void or written off.
    """

    line: Line
    rated: Period
    left: Parts
    rated_back: Parts = NO_PARTS
    kept: bool = False
    interim: bool = False

    @property
    def amount(self) -> int:
        """What counts as billed, in minor units: an amount given back for another reason stays billed."""
        return self.line.amount - self.rated_back.amount


@frozen
class UsageWindow:
    """One period of a component with all its events, billed or not, and the lines that billed it so far.

    `span` is what one full price covers; `level` is what all events before `period` add up to.
    """

    period: Period
    span: Period
    events: tuple[UsageEvent, ...]
    level: Decimal = ZERO
    billed: tuple[BilledUsage, ...] = ()


@frozen
class UsageTotal:
    """Usage of one item up to a cut-off: `current` is what unbilled events of the period add up to.

    `now` is the period with all its events, None where their sum is enough to rate it; `past` are the periods that were
    billed already and have late events.
    """

    current: Decimal
    events: int
    now: UsageWindow | None = None
    past: tuple[UsageWindow, ...] = ()


def value_of(component: Component, quantity: Decimal, properties: Mapping[str, str]) -> tuple[Decimal, str]:
    """What an event counts, and what it is told apart by: its quantity, or the property `aggregate_on`.

    Raises InvalidValue for an event without that property, or where it is no number and has to be one.
    """
    name = component.aggregate_on
    if name == "value" or component.aggregation == "count":
        return quantity, str(quantity.normalize())
    text = properties.get(name)
    if text is None:
        raise InvalidValue(
            f"Component {component.code} is measured by the property {name!r}, which this event has not.",
            remedy=f'Give properties = {{ {name} = "…" }}.',
            parameter="properties",
        )
    if component.aggregation == "unique":
        return quantity, text
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or abs(value) >= Decimal(10) ** 15:
        raise InvalidValue(
            f"The property {name!r} of component {component.code} is a number; {text!r:.200} is none.",
            remedy='Write it like "2.5".',
            parameter="properties",
        )
    return value, text


def measured(events: Iterable[UsageEvent], component: Component) -> list[Measured]:
    """The events in order of time, each with its corrections; one that was corrected to nothing is gone."""
    made: dict[str, Measured] = {}
    corrected: set[str] = set()
    for event in sorted(events, key=lambda one: (one.corrects is not None, one.at, one.id)):
        value, text = value_of(component, event.quantity, event.properties)
        original = event.corrects
        if original is None:
            made[event.event_id] = Measured(event.at, event.id, value, text)
        elif original in made:
            before = made[original]
            after = before.value + value
            # Told apart by its value, it is told apart by the new one.
            told = str(after.normalize()) if component.aggregate_on == "value" else before.text
            made[original] = evolve(before, value=after, text=told)
            corrected.add(original)
    kept = [one for name, one in made.items() if one.value or name not in corrected]
    return sorted(kept, key=lambda one: (one.at, one.id))


def aggregate(how: str, events: Sequence[Measured], window: UsageWindow, until: datetime) -> Quantity:
    """The one quantity of a period (behaviour 12); `events` are in order of time and `until` ends the period.

    sum adds, count counts (negative ones take away), max is the highest, latest the newest, unique how many different
    ones there are; without events all of them are 0. weighted_sum is the level over time: the exact share of the span
    for which each level held, from what was there before the period.
    """
    match how:
        case "sum":
            return sum((one.value for one in events), ZERO)
        case "count":
            return Decimal(sum(-1 if one.value < 0 else 1 for one in events))
        case "max":
            return max((one.value for one in events), default=ZERO)
        case "latest":
            return events[-1].value if events else ZERO
        case "unique":
            return Decimal(len({one.text for one in events}))
        case "weighted_sum":
            return _weighted(events, window, until)
    raise AssertionError(f"{how} is no aggregation")


def _weighted(events: Sequence[Measured], window: UsageWindow, until: datetime) -> Quantity:
    level, since, area = Fraction(window.level), window.period.start, Fraction(0)
    for one in events:
        here = min(max(one.at, since), until)
        area += level * ((here - since) // _TICK)
        level += Fraction(one.value)
        since = here
    area += level * ((until - since) // _TICK)
    return area / ((window.span.end - window.span.start) // _TICK)


def quantity_text(quantity: Quantity) -> str:
    """An exact quantity as a line's basis keeps it: "2.5", or "7/3" where decimals cannot say it."""
    return str(quantity)


def quantity_of(text: str) -> Quantity:
    """The exact quantity that a line's basis keeps."""
    return Fraction(text) if "/" in text else Decimal(text)


def rounded_quantity(quantity: Quantity) -> Decimal:
    """A quantity for people: twelve decimals at most."""
    if isinstance(quantity, Decimal):
        return quantity
    scaled = quantity * 10**12
    return Decimal(round(scaled)).scaleb(-12).normalize() if scaled.denominator > 1 else _short(quantity)


def _short(quantity: Fraction) -> Decimal:
    return Decimal(quantity.numerator) / Decimal(quantity.denominator)


def past_periods(
    late: Sequence[datetime],
    billed: Sequence[BilledUsage],
    schedule: Schedule,
    since: datetime,
    until: datetime,
    *,
    carries: bool,
) -> list[Period]:
    """The periods before `until`, billed already, that these late events change; none begins before `since`.

    A period is what lines rated, or where it cost nothing and has none, what lies between the boundaries and lines
    around it. A level that `carries` over changes all periods from the first late event on.
    """
    found: list[Period] = []
    for at in sorted(late):
        if found and at < found[-1].end:
            continue
        found.append(past_period(at, billed, schedule, since, until))
    if carries and found:
        found = found[:1]
        while found[-1].end < until:
            found.append(past_period(found[-1].end, billed, schedule, since, until))
    return found


def past_period(
    at: datetime, billed: Sequence[BilledUsage], schedule: Schedule, since: datetime, until: datetime
) -> Period:
    """The period before `until` that holds the instant `at`, as far as it was rated; it begins at `since` at least."""
    start, end = schedule.around(at)
    start, end = max(start, since), min(end, until)
    for one in billed:
        if one.interim:  # The rest of its period was still to come.
            if one.rated.start <= at:
                start = max(start, one.rated.start)
            else:
                end = min(end, one.rated.start)
        elif one.rated.start <= at < one.rated.end:
            return one.rated
        elif one.rated.end <= at:
            start = max(start, one.rated.end)
        else:
            end = min(end, one.rated.start)
    return Period(start, end)
