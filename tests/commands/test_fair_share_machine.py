"""What is paid for time is what the time costs, in whatever order it was changed (F7, F12; behaviour 3, 6, 7).

The law is exact, so it is stated for the commands for which it must hold exactly: everything in proportion, whatever
is unused is given back, everything is paid. At the end each part of each subscription has cost what its story says, but
for half a minor unit for each of its lines, and its time is covered once, neither more nor less.
"""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billcore.errors import InvalidValue, Refused
from billcore.store.types import text_to_instant
from tests.builders import anew, books
from tests.commands.machines import budget, examples
from tests.commands.subscription_model import PRODUCT, Later, Rate, Story

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

PRICES = {
    "basic-m": ("31.37", "1 month", "advance"),
    "basic-y": ("299.99", "1 year", "advance"),
    "basic-late": ("17.77", "1 month", "arrears"),
    "basic-w": ("7.01", "1 week", "advance"),
    "basic-q": ("80.10", "3 months", "advance"),
    "more-m": ("97.31", "1 month", "advance"),
    "more-late": ("55.55", "1 month", "arrears"),
    "more-y": ("999.90", "1 year", "advance"),
}
PARTS = {
    "seats": ("seats-p", "5.03", None, "advance"),
    "desks": ("desks-p", "3.33", None, "arrears"),
    "hosting": ("hosting-p", "2.11", "1 month", "advance"),
    "storage": ("storage-p", "1.01", "1 month", "arrears"),
}
ONLY_BASIC = ("desks", "hosting")
CATALOG = {
    "products": [
        {
            "code": product,
            "name": product.capitalize(),
            **({} if product == "basic" else {"components": [one for one in PARTS if one not in ONLY_BASIC]}),
            "prices": [
                {"code": code, "amount": amount, "every": every, "bill": bill}
                for code, (amount, every, bill) in PRICES.items()
                if code.startswith(product)
            ],
        }
        for product in ("basic", "more")
    ],
    "components": [
        {
            "code": code,
            "name": code.capitalize(),
            "kind": "quantity",
            "prices": [
                {
                    "code": price,
                    "scheme": "per_unit",
                    "unit_amount": amount,
                    "bill": bill,
                    **({"every": every} if every else {}),
                }
            ],
        }
        for code, (price, amount, every, bill) in PARTS.items()
    ],
}

prices = st.sampled_from(sorted(PRICES))
quantities = st.sampled_from([1, 1, 2, 3])
parts = st.dictionaries(st.sampled_from(sorted(PARTS)), st.sampled_from([0, 1, 2, 5]), max_size=2)
days = st.sampled_from([None, None, 1, 15, 31])
spans = st.builds(
    timedelta,
    days=st.sampled_from([0, 1, 3, 10, 14, 15, 27, 31, 40]),
    seconds=st.sampled_from([0, 0, 3600, 43_200, 40_001]),
)
waits = st.sampled_from([None, None, "renewal"])
places = st.integers(0, 1)
OWN = {"hosting", "storage"}

_LINES = """
    SELECT l.subscription_id, l.item_id, l.amount FROM billcore_lines l
    LEFT JOIN billcore_invoices i ON i.id = l.invoice_id
    WHERE l.item_id IS NOT NULL AND (i.id IS NULL OR i.number IS NOT NULL)
"""
_COVERED = """
    SELECT item_id, start, "end" FROM billcore_coverage WHERE status = 'active' AND start < "end" ORDER BY start
"""


def every_of(text):
    count, unit = text.split()
    number = int(count)
    return (
        {"months": number * 12} if "year" in unit else {"months": number} if "month" in unit else {"days": 7 * number}
    )


def rates(price, quantity, components):
    """What is had, as rates by part."""
    amount, every, _ = PRICES[price]
    made = {PRODUCT: Rate(Fraction(amount) * 100 * quantity, **every_of(every))}
    for part, units in components.items():
        _, unit, own, _ = PARTS[part]
        made[part] = Rate(Fraction(unit) * 100 * units, **every_of(own or every))
    return made


def changed(has, price, quantity, components):
    """What is had after a change that names these."""
    after = {part: units for part, units in {**has[2], **components}.items() if units}
    if (price or has[0]).startswith("more"):
        after = {part: units for part, units in after.items() if part not in ONLY_BASIC}
    return price or has[0], quantity or has[1], after


def text(components):
    return {part: str(units) for part, units in components.items()}


class FairShare(RuleBasedStateMachine):
    """One customer who pays everything, and what he subscribes to."""

    @initialize()
    def open_books(self):
        anew()
        self.billing = books(catalog=CATALOG, start=BEGIN)
        self.stories = {}
        self.has = {}  # What each has by now: price, quantity, components.

    # -- what is done ---------------------------------------------------------------------------------------

    @rule(price=prices, quantity=quantities, components=parts, day=days)
    @precondition(lambda self: len(self.stories) < 2)
    def create(self, price, quantity, components, day):
        name = f"s{len(self.stories) + 1}"
        wanted = {part: units for part, units in components.items() if units}
        if PRICES[price][1] == "1 week" or (price.startswith("more") and set(wanted) & set(ONLY_BASIC)):
            day, wanted = None, {}
        self.subs.create(name, "acme", price, quantity=quantity, components=text(wanted), billing_day=day)
        self.has[name] = (price, quantity, wanted)
        self.stories[name] = Story(rates(*self.has[name]), day, self.now)

    @rule(by=spans)
    def time_passes(self, by):
        self.billing.run(self.now + by)
        for story in self.stories.values():
            story.advance(self.now)

    @rule(
        place=places,
        price=st.none() | prices,
        quantity=st.none() | quantities,
        components=parts,
        period=st.sampled_from([None, None, "keep", "reset"]),
        how=st.sampled_from(["now", "now", "renewal", "back", "ahead"]),
        by=spans,
        invoice_at=waits,
    )
    @precondition(lambda self: self.stories)
    def change(self, place, price, quantity, components, period, how, by, invoice_at):
        given = {"price": price, "quantity": quantity, "components": text(components), "invoice_at": invoice_at}
        if how == "renewal":
            given["when"] = "renewal"
        else:
            given |= {"proration": "prorated", "period": period}
        self.changes(self.subs.change, place, how, by, (price, quantity, components), period == "reset", given)

    @rule(
        place=places,
        part=st.sampled_from(sorted(PARTS)),
        units=st.sampled_from([0, 1, 2, 5]),
        how=st.sampled_from(["now", "now", "back", "ahead"]),
        by=spans,
        invoice_at=waits,
    )
    @precondition(lambda self: self.stories)
    def set_component(self, place, part, units, how, by, invoice_at):
        given = {"component": part, "quantity": str(units), "invoice_at": invoice_at}
        given |= {"upgrade": "prorated", "downgrade": "prorated"}
        self.changes(self.subs.set_component, place, how, by, (None, None, {part: units}), False, given)

    def changes(self, call, place, how, by, asked, reset, given):
        name, story = self.one(place)
        at = {"back": self.now - by, "ahead": self.now + by}.get(how, self.now)
        if how in ("back", "ahead"):
            given["effective_at"] = at
        if at < story.same_since:
            return  # What a price covers of periods of another interval is another matter.
        anew = at < max(grid.since for grid in story.grids if grid.since <= self.now)
        if anew and not all(story.has_run(part, at) for part in OWN & set(asked[2])):
            return  # Nothing was billed then that says what a price of an interval of its own covered.
        if OWN & set(asked[2]) and story.grids[-1].since > self.now:
            return  # A component on dates of its own begins with the billing day agreed for later.
        if how == "renewal" and self.has[name][0] == "basic-w" and OWN & {*self.has[name][2], *asked[2]}:
            return  # The intervals of its components are longer than its own, and go on.
        if not self.tried(call, name, **given):
            return

        def has():
            self.has[name] = changed(self.has[name], *asked)
            return rates(*self.has[name])

        if how == "renewal" or at > self.now:
            story.later = Later(has, None if how == "renewal" else at, reset)
        else:
            story.change(has(), at, reset=reset)

    @rule(place=places)
    @precondition(lambda self: self.stories)
    def cancel_change(self, place):
        name, story = self.one(place)
        if self.tried(self.subs.cancel_change, name):
            story.later = None

    @rule(
        place=places,
        when=st.sampled_from(["now", "period_end", "date"]),
        by=spans,
        how=st.sampled_from([{"credit": "unused"}, {"refund": "unused"}]),
    )
    @precondition(lambda self: self.stories)
    def cancel(self, place, when, by, how):
        name, story = self.one(place)
        at = {"now": self.now, "period_end": story.period_end, "date": self.now + by}[when]
        if self.tried(self.subs.cancel, name, at if when == "date" else when, **how):
            if at <= self.now:
                story.end(self.now)
            else:
                story.cancel_at = at

    @rule(place=places)
    @precondition(lambda self: self.stories)
    def uncancel(self, place):
        name, story = self.one(place)
        if self.tried(self.subs.uncancel, name):
            story.cancel_at = None

    @rule(place=places, period=st.sampled_from(["reset", "keep"]))
    @precondition(lambda self: self.stories)
    def reactivate(self, place, period):
        name, story = self.one(place)
        if self.tried(self.subs.reactivate, name, period=period):
            story.reactivate(self.now, keep=period == "keep")

    @rule(place=places, by=st.none() | spans)
    @precondition(lambda self: self.stories)
    def hold(self, place, by):
        name, story = self.one(place)
        until = self.now + by if by else None
        if self.tried(self.subs.hold, name, unused="credit", resume_at=until):
            story.hold(self.now, until)

    @rule(place=places, period=st.sampled_from(["reset", "keep"]))
    @precondition(lambda self: self.stories)
    def resume(self, place, period):
        name, story = self.one(place)
        if self.tried(self.subs.resume, name, period=period):
            story.resume(self.now, keep=period == "keep")

    @rule(place=places, by=st.none() | spans, day=days)
    @precondition(lambda self: self.stories)
    def change_billing_date(self, place, by, day):
        name, story = self.one(place)
        if OWN & set(story.stretches):
            return  # They keep their own dates.
        at = self.now + by if by else None
        given = {"next_billing_at": at, "billing_day": day, "proration": "prorated"}
        if self.tried(self.subs.change_billing_date, name, **given):
            story.move(at, day)

    # -- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def the_books_are_right(self):
        if hasattr(self, "billing"):
            assert [str(finding) for finding in self.billing.verify().findings] == []
            assert [one.parked_reason for one in self.subs.list() if one.parked_at is not None] == []

    @invariant()
    def the_dates_are_as_told(self):
        for name, story in getattr(self, "stories", {}).items():
            sub = self.subs.get(name)
            told = {"active": "active", "held": "on_hold", "ended": "canceled"}[story.state]
            assert sub.state == told, name
            if sub.state == "active":
                assert (sub.period_start, sub.period_end) == (story.period_start, story.period_end), name

    def teardown(self):
        if not hasattr(self, "billing"):
            return
        for name, story in self.stories.items():
            if story.state != "ended":
                self.subs.cancel(name, credit="unused")
                story.end(self.now)
        self.the_books_are_right()
        with self.billing.database.transaction(reads=True) as tx:
            lines, covered = tx.rows(_LINES), tx.rows(_COVERED)
        for name, story in self.stories.items():
            sub = self.subs.get(name)
            part_of = {item.id: item.component for item in sub.items} | {sub.id: PRODUCT}
            for part in story.stretches:
                billed = [amount for _, item, amount in lines if part_of.get(item) == part]
                pieces = story.pieces(part)
                # A piece that costs less than half a unit has no line.
                bound = Fraction(len(billed) + len(pieces), 2)
                exact = sum(cost for _, _, cost in pieces)
                assert abs(sum(billed) - exact) <= bound, (name, part, billed, float(exact))
                rows = [(instant(a), instant(b)) for item, a, b in covered if part_of.get(item) == part]
                ran = joined((start, end) for start, end, _ in pieces)
                assert all(before[1] <= after[0] for before, after in pairwise(sorted(rows))), (name, part, rows)
                assert all(any(a <= start and end <= b for a, b in ran) for start, end in rows), (name, part, rows)
                paid = joined(rows)
                for start, end, cost in pieces:
                    covered_all = any(a <= start and end <= b for a, b in paid)
                    assert covered_all or cost < 1, (name, part, start, end, rows)

    # -- helpers --------------------------------------------------------------------------------------------

    @property
    def now(self):
        return self.billing.clock.now()

    @property
    def subs(self):
        return self.billing.subscriptions

    def one(self, place):
        name = f"s{1 + place % len(self.stories)}"
        return name, self.stories[name]

    def tried(self, call, *args, **given):
        """A command that may be refused; whether it was not."""
        try:
            call(*args, **given)
        except (Refused, InvalidValue) as refused:
            event(f"{call.definition.name} {refused.code}")
            return False
        event(f"{call.definition.name} done")
        return True


def instant(stored):
    return stored if isinstance(stored, datetime) else text_to_instant(stored)


def joined(stretches):
    """Stretches of time as the longest ones; what overlaps is not joined."""
    made = []
    for start, end in sorted(stretches):
        if made and made[-1][1] == start:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return made


def test_what_is_paid_for_time_is_what_the_time_costs() -> None:
    count, steps = budget(sqlite=25, postgresql=2), 14
    run_state_machine_as_test(FairShare, settings=examples(count, steps))
