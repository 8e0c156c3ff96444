"""The amount of a charge line: its price, quantity and portion (behaviour 3, 4)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from attrs import evolve

from billcore.domain.catalog import Price, Tier
from billcore.domain.instants import local_text
from billcore.domain.invoice import Line
from billcore.domain.money import decimal_text, exponent, minor_units, round_exact
from billcore.domain.periods import Duration, Period
from billcore.domain.pricing import charge_for
from billcore.domain.proration import Portion, portion, prorate_charge
from billcore.domain.usage import quantity_of, rounded_quantity
from billcore.engine.derivations.step import TIMES, Basis, Document, Step, exact_text

UNITS = {"second": "seconds", "day": "days", "fixed_30": "days of 30-day months"}


def amount_of(line: Line, basis: Basis, document: Document) -> tuple[list[Step], int]:
    """The steps to a charge line's amount, and the amount, in minor units."""
    currency = document.currency
    if "unit_amount" in basis:
        return _by_hand(basis, currency)
    price = document.prices.get(str(basis.get("price") or line.price_id))
    if price is None:
        return [Step(f"its price {line.price_id} is not stored any more")], 0
    if "fee" in basis:
        return _fee(price, str(basis["fee"]), currency)
    if "minimum" in basis:
        return _minimum(basis, currency)
    amounts = {code: Decimal(text) for code, text in basis.get("amounts", {}).items()} or None
    quantity = Fraction(quantity_of(basis["quantity"]))
    events = [Decimal(value) for value, count in basis["events"] for _ in range(count)] if "events" in basis else None
    if basis.get("interim"):
        price = evolve(price, minimum=None)
    exact = charge_for(price, currency, quantity, events=events, amounts=amounts)
    steps = [Step(_named(price, introductory=amounts is not None)), *_rated(basis, quantity, document.zone)]
    if events is not None:
        steps.append(Step(f"{len(events)} events of together {_n(quantity)}", exact_text(exact, currency)))
        return _less(basis, exact, steps, currency)
    steps += _charge(price, currency, quantity, exact, price.amounts if amounts is None else amounts)
    if "above" in basis:
        return _above(basis, document, exact, steps)
    part, how = _portion(line, basis, document.zone)
    steps += how
    amount = prorate_charge(exact, part)
    if not part.is_whole:
        unrounded = Fraction(exact) * part.numerator / part.denominator
        steps.append(Step(f"{exact_text(exact, currency)} {TIMES} {part}", exact_text(unrounded, currency)))
        exact = unrounded
    if exact != amount:
        steps.append(Step("rounded once, half away from zero", exact_text(amount, currency)))
    return _less(basis, amount, steps, currency)


def _less(basis: Basis, exact: Fraction | int, steps: list[Step], currency: str) -> tuple[list[Step], int]:
    """The amount, less what other lines had billed for the same period of usage (behaviour 12)."""
    amount = round_exact(exact)
    if exact != amount:
        steps.append(Step("rounded once, half away from zero", exact_text(amount, currency)))
    less = int(basis.get("less", 0))
    if less:
        steps.append(Step("less what was billed for the period before", exact_text(-less, currency)))
    return steps, amount - less


def _rated(basis: Basis, quantity: Fraction, zone: str) -> list[Step]:
    """Which usage a line rates, where it is more than a sum of what it bills itself."""
    if not {"less", "aggregation", "events"} & set(basis) or "rated" not in basis:
        return []
    when = _told(Period(*(datetime.fromisoformat(text) for text in basis["rated"])), zone)
    how = str(basis.get("aggregation", "sum"))
    steps = [Step(f"usage of {when}: {how} {_n(quantity)}")]
    if "over" in basis:
        span = _told(Period(*(datetime.fromisoformat(text) for text in basis["over"])), zone)
        steps.append(Step(f"each level by the part of {span} for which it held"))
    return steps


def _above(basis: Basis, document: Document, exact: Fraction | int, steps: list[Step]) -> tuple[list[Step], int]:
    """More units at their whole price: what they cost above those that are paid already (behaviour 6.3)."""
    before = document.prices.get(basis["above_price"])
    units = Decimal(basis["above"])
    paid = charge_for(before, document.currency, units) if before is not None else 0
    steps.append(Step(f"less what {_n(units)} cost, which are paid", exact_text(-paid, document.currency)))
    amount = prorate_charge(Fraction(exact) - paid, Portion(1, 1))
    if Fraction(exact) - paid != amount:
        steps.append(Step("rounded once, half away from zero", exact_text(amount, document.currency)))
    return steps, amount


def _by_hand(basis: Basis, currency: str) -> tuple[list[Step], int]:
    """What somebody charged, or gave, by hand: no price stands behind it."""
    quantity, unit = Decimal(basis["quantity"]), Decimal(basis["unit_amount"])
    exact = Fraction(quantity) * minor_units(unit, currency)
    amount = round_exact(exact)
    steps = [Step(f"by hand: {_n(quantity)} {TIMES} {_n(unit)}", exact_text(exact, currency))]
    if exact != amount:
        steps.append(Step("rounded once, half away from zero", exact_text(amount, currency)))
    return steps, amount


def _named(price: Price, *, introductory: bool) -> str:
    whose = "price made for this subscription" if price.custom_of else f"price {price.code}, version {price.version}"
    phase = ", introductory" if introductory else ""
    every = f", every {price.every}" if price.every is not None else ""
    return f"{whose}{phase} ({price.scheme}{every})"


def _charge(
    price: Price, currency: str, quantity: Fraction, exact: Fraction | int, amounts: Mapping[str, Decimal]
) -> list[Step]:
    units, steps = quantity, []
    if price.included:
        units = max(quantity - Fraction(price.included), Fraction(0))
        steps.append(Step(f"{_n(quantity)} units, {_n(price.included)} included: {_n(units)} remain"))
    steps += _scheme(price, currency, max(units, Fraction(0)), amounts)
    limits = [("at most", price.maximum)]
    if price.component is not None:
        limits.append(("at least", price.minimum))
    for word, limit in limits:
        if limit is not None and exact == minor_units(limit, currency):
            steps.append(Step(f"{word} {_n(limit)}", exact_text(exact, currency)))
    return steps


def _scheme(price: Price, currency: str, units: Fraction, amounts: Mapping[str, Decimal]) -> Iterator[Step]:
    def step(text: str, major: Decimal | Fraction) -> Step:
        return Step(text, exact_text(Fraction(major) * 10 ** exponent(currency), currency))

    match price.scheme:
        case "per_unit":
            unit = amounts[currency]
            yield step(f"{_n(units)} {TIMES} {_n(unit)}", units * Fraction(unit))
        case "graduated":
            for tier, low, part in _slices(price.tiers, units):
                flat = f" + {_n(tier.flat_amount)}" if tier.flat_amount else ""
                where = f"above {_n(low)}" if low else "from 0"
                text = f"tier {where}{_up_to(tier)}: {_n(part)} {TIMES} {_n(tier.unit_amount)}{flat}"
                yield step(text, part * Fraction(tier.unit_amount) + Fraction(tier.flat_amount))
        case "volume":
            *_, (tier, _low, _part) = _slices(price.tiers, units)
            flat = f" + {_n(tier.flat_amount)}" if tier.flat_amount else ""
            text = f"all units at the tier{_up_to(tier)}: {_n(units)} {TIMES} {_n(tier.unit_amount)}{flat}"
            yield step(text, units * Fraction(tier.unit_amount) + Fraction(tier.flat_amount))
        case "stairstep" if units:
            *_, (tier, _low, _part) = _slices(price.tiers, units)
            yield step(f"{_n(units)} units, the bracket{_up_to(tier)}", tier.flat_amount)
        case "package" if price.package_size and price.package_amount is not None:
            packages = -(-units // Fraction(price.package_size))
            each = f"{_n(price.package_size)} {TIMES} {_n(price.package_amount)}"
            text = f"{_n(units)} units are {packages} packages of {each}"
            yield step(text, packages * Fraction(price.package_amount))
        case "percentage" | "graduated_percentage":
            rate = f"{_n(price.rate)} %" if price.rate is not None else "the rates of its tiers"
            fixed = f" + {_n(price.fixed_per_event)}" if price.fixed_per_event is not None else ""
            yield Step(f"{rate} of {_n(units)}{fixed}", exact_text(charge_for(price, currency, units), currency))


def _slices(tiers: tuple[Tier, ...], units: Fraction) -> Iterator[tuple[Tier, Fraction, Fraction]]:
    """Each tier that `units` enters, where it begins, and the units in it (behaviour 4.1)."""
    low = Fraction(0)
    for tier in tiers:
        top = None if tier.up_to is None else Fraction(tier.up_to)
        if top is None or units <= top:
            yield tier, low, units - low
            return
        yield tier, low, top - low
        low = top


def _up_to(tier: Tier) -> str:
    return f" to {_n(tier.up_to)}" if tier.up_to is not None else ""


def _portion(line: Line, basis: Basis, zone: str) -> tuple[Portion, list[Step]]:
    """The part of the price that the line's time is: measured again where it is not the whole."""
    stored = Portion(*basis.get("portion", (1, 1)))
    if "span" not in basis or line.start is None or line.end is None:
        return stored, []
    span = Period(*(datetime.fromisoformat(text) for text in basis["span"]))
    period = Period(line.start, line.end)
    if period == span:
        measured = Portion(1, 1)
    elif "zone" in basis:
        measured = measure(period, span, basis)
    else:
        measured = stored
    when = _told(period, zone)
    if measured.is_whole:
        steps = [Step(f"{when}, the whole period")]
    else:
        unit = UNITS[basis["basis"]]
        steps = [Step(f"{when}, {measured} {unit} of {_told(span, zone)}")]
    if (measured.numerator, measured.denominator) != (stored.numerator, stored.denominator) and not (
        measured.is_whole and stored.is_whole
    ):
        steps.append(Step(f"billed as {stored}, which its dates do not give"))
    return measured, steps


def measure(part: Period, whole: Period, basis: Basis) -> Portion:
    """The portion that `part` is of `whole`, as the basis says it was measured (behaviour 3.3)."""
    method: Literal["second", "day", "fixed_30"] = basis["basis"]
    return portion(part, whole, method, str(basis["zone"]), Duration.parse(str(basis["every"])))


def _fee(price: Price, kind: str, currency: str) -> tuple[list[Step], int]:
    major = price.trial_amount if kind == "trial" else price.setup_fee
    amount = round_exact(minor_units(major or Decimal(0), currency))
    word = "trial amount" if kind == "trial" else "setup fee"
    return [Step(f"{word} of {_named(price, introductory=False)}", exact_text(amount, currency))], amount


def _minimum(basis: Basis, currency: str) -> tuple[list[Step], int]:
    whole, billed, part = int(basis["minimum"]), int(basis["billed"]), Portion(*basis["portion"])
    owed = prorate_charge(whole, part)
    steps = [Step("minimum for a whole period", exact_text(whole, currency))]
    if not part.is_whole:
        steps.append(Step(f"for {part} of it", exact_text(owed, currency)))
    steps.append(Step("less what the other lines bill", exact_text(-billed, currency)))
    return steps, owed - billed


def _n(value: Decimal | Fraction | None) -> str:
    """A number as people write it; of one that decimals cannot say, the first twelve."""
    if value is None:
        return ""
    shown = decimal_text(rounded_quantity(value))
    return shown if isinstance(value, Decimal) or Fraction(shown) == value else f"{shown}…"


def _told(period: Period, zone: str) -> str:
    return f"{local_text(period.start, zone)} to {local_text(period.end, zone)}"
