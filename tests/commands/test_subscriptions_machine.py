"""Everything a subscription can go through, in every order (F7, F12, F15; behaviour 3 to 8).

After every step the books prove right, nothing is parked, each new document explains itself, and no money appears or is
lost. A dry run tells what the command then does and keeps nothing; a refused command has changed nothing.
"""

from datetime import timedelta

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

from billcore.domain.money import parse_minor
from billcore.errors import BillcoreError
from tests.builders import CATALOG, anew, books, dump
from tests.commands.machines import budget, examples

NO = "decline:insufficient_funds"
ANSWERS = ("approve", "approve", "approve", NO, "timeout_after_charge", "timeout_before", "pending")
PRICES = (
    *("pro-m", "pro-y", "pro-w", "pro-fee", "pro-late", "pro-term", "pro-trial", "try", "free", "solo-m"),
    *("pro-in", "pro-odd", "pro-late-y"),
)
PARTS = ("seats", "desks", "hosting", "storage", "calls", "minutes", "setup")
OF_PRO = (
    {"code": "pro-in", "amount": "35.70", "every": "1 month", "tax": "inclusive"},
    {"code": "pro-odd", "amount": "31.37", "every": "3 months"},
    {"code": "pro-late-y", "amount": "333.33", "every": "1 year", "bill": "arrears"},
)


def a_component(code, kind, amount, **price):
    made = {"code": f"{code}-p", "scheme": "per_unit", "unit_amount": amount, **price}
    return {"code": code, "name": code.capitalize(), "kind": kind, "prices": [made]}


BOOK = {
    **CATALOG,
    "products": [
        {**one, "prices": [*one["prices"], *(OF_PRO if one["code"] == "pro" else ())]} for one in CATALOG["products"]
    ],
    "components": [
        *CATALOG["components"],
        a_component("desks", "quantity", "3.33", bill="arrears"),
        a_component("storage", "quantity", "1.01", bill="arrears", every="1 month"),
        a_component("minutes", "metered", "0.07", every="1 month"),
        a_component("setup", "one_time", "12.34"),
    ],
}

places = st.integers(0, 2)
prices = st.sampled_from(PRICES)
units = st.sampled_from(["0", "1", "2", "5"])
parts = st.dictionaries(st.sampled_from(PARTS), units, max_size=2)
coupons = st.sampled_from(["TEN", "ONCE", "TWO"])
days = st.sampled_from([None, None, 1, 15, 31])
modes = st.sampled_from([None, None, "prorated", "full", "none"])
amounts = st.sampled_from(["0.07", "3.33", "20.00", "42.42"])
invoice_at = st.sampled_from([None, None, None, "renewal"])
answers = st.lists(st.sampled_from(ANSWERS), max_size=2)
spans = st.builds(
    timedelta,
    days=st.sampled_from([0, 1, 3, 10, 14, 15, 31, 40]),
    seconds=st.sampled_from([0, 0, 1, 3600, 40_001]),
)


class Books:
    """The books of one example, and the list of what was done with them, to do it again elsewhere."""

    def __init__(self, **changed):
        self.changed = changed
        self.billing = books(catalog=BOOK, **changed)
        self.done = []

    def do(self, name, args, given, script=()):
        """Run a command, "noun.verb" or "run"; its refusal, if it was refused."""
        self.done.append((name, args, given, script))
        self.billing.gateway("test").script(list(script), default="approve")
        if name == "run":
            self.billing.run(*args)
            return None, None
        noun, verb = name.split(".")
        try:
            return getattr(getattr(self.billing, noun), verb)(*args, **given), None
        except BillcoreError as refused:
            return None, refused

    def documents(self):
        """Issued invoices and credit notes by id."""
        invoices = [one for one in self.billing.invoices.list(limit=10_000) if one.status != "draft"]
        return {one.id: one for one in (*invoices, *self.billing.invoices.credit_notes(limit=10_000))}


def told(documents):
    """Documents as what they bill, without ids, numbers and instants of issuing."""
    return sorted(
        repr(
            (
                getattr(one, "purpose", None) or getattr(one, "to", None),
                (one.total, one.subtotal, one.discount, one.tax, one.tax_included),
                sorted(
                    repr((row.kind, row.code, row.start, row.end, row.quantity, row.amount, row.discount, row.tax))
                    for row in one.lines
                ),
            )
        )
        for one in documents
    )


class Subscriptions(RuleBasedStateMachine):
    """One customer with up to three subscriptions, and everything that is done to them."""

    @initialize(
        changed=st.sampled_from(
            [
                {},
                {},
                {"proration_basis": "day"},
                {"proration_basis": "fixed_30"},
                {"change_decline": "refuse"},
                {"invoice_at": "renewal"},
                {"upgrade": "full", "downgrade": "full"},
                {"upgrade": "none", "downgrade": "none"},
                {"signup_decline": "past_due", "net_terms": {"automatic": 5}},
            ]
        ),
        final=st.sampled_from(["cancel", "unpaid", "leave"]),
    )
    def open_books(self, changed, final):
        anew()
        self.books = Books(dunning={"retry_after": ["1 day", "4 days"], "final": final}, **changed)
        self.count = self.given = 0
        self.known = set()
        self.do("customers.update", "acme", country="DE")

    # -- how it begins --------------------------------------------------------------------------------------

    @rule(
        price=prices,
        quantity=st.sampled_from(["1", "1", "3"]),
        components=parts,
        coupon=st.none() | coupons,
        day=days,
        first=st.sampled_from(["prorated", "prorated", "full", "none"]),
        trial=st.none() | spans,
        ends=st.none() | st.none() | spans,
        starts=st.none() | st.none() | spans,
        collection=st.sampled_from(["automatic", "automatic", "remittance"]),
        script=answers,
    )
    @precondition(lambda self: self.count < 3)
    def create(self, price, quantity, components, coupon, day, first, trial, ends, starts, collection, script):
        given = {
            "quantity": quantity,
            "components": {part: number for part, number in components.items() if number != "0"},
            "coupons": [coupon] if coupon else [],
            "billing_day": day,
            "first_charge": first,
            "trial_until": self.later(trial),
            "ends_at": self.later(ends),
            "starts_at": self.later(starts),
            "collection": collection,
        }
        self.count += 1
        self.do("subscriptions.create", f"s{self.count}", "acme", price, script=script, **given)

    @rule(place=places, script=answers)
    @precondition(lambda self: self.count)
    def activate(self, place, script):
        self.do("subscriptions.activate", self.name(place), script=script)

    # -- how it is changed ----------------------------------------------------------------------------------

    @rule(
        place=places,
        price=st.none() | prices,
        quantity=st.sampled_from([None, None, "1", "2"]),
        components=parts,
        proration=modes,
        period=st.sampled_from([None, None, "keep", "reset"]),
        day=st.sampled_from([None, None, None, "none", 15]),
        how=st.sampled_from(["now", "now", "renewal", "back", "ahead"]),
        by=spans,
        invoice_at=invoice_at,
        trial=st.sampled_from([False, False, False, True]),
        script=answers,
    )
    @precondition(lambda self: self.count)
    def change(self, place, price, quantity, components, proration, period, day, how, by, invoice_at, trial, script):
        given = {"price": price, "quantity": quantity, "components": components, "reason": "asked for"}
        if how == "renewal":
            given |= {"when": "renewal"}
        else:
            given |= {"proration": proration, "period": period, "billing_day": day, "include_trial": trial}
        given |= {"invoice_at": invoice_at, **self.at(how, by)}
        self.do("subscriptions.change", self.name(place), script=script, **given)

    @rule(
        place=places,
        part=st.sampled_from(PARTS),
        number=units,
        upgrade=modes,
        downgrade=modes,
        how=st.sampled_from(["now", "now", "back", "ahead"]),
        by=spans,
        invoice_at=invoice_at,
        script=answers,
    )
    @precondition(lambda self: self.count)
    def set_component(self, place, part, number, upgrade, downgrade, how, by, invoice_at, script):
        given = {"upgrade": upgrade, "downgrade": downgrade, "invoice_at": invoice_at, **self.at(how, by)}
        self.do("subscriptions.set_component", self.name(place), part, number, script=script, **given)

    @rule(place=places)
    @precondition(lambda self: self.count)
    def cancel_change(self, place):
        self.do("subscriptions.cancel_change", self.name(place))

    @rule(place=places, by=st.none() | spans, day=days, proration=st.sampled_from(["none", "prorated"]), script=answers)
    @precondition(lambda self: self.count)
    def change_billing_date(self, place, by, day, proration, script):
        given = {"next_billing_at": self.later(by), "billing_day": day, "proration": proration}
        self.do("subscriptions.change_billing_date", self.name(place), script=script, **given)

    @rule(place=places, by=st.none() | spans)
    @precondition(lambda self: self.count)
    def set_term(self, place, by):
        self.do("subscriptions.set_term", self.name(place), self.later(by) or "evergreen")

    # -- how it stops and goes on ---------------------------------------------------------------------------

    @rule(place=places, unused=st.sampled_from(["forfeit", "credit", "extend"]), by=st.none() | spans, script=answers)
    @precondition(lambda self: self.count)
    def hold(self, place, unused, by, script):
        self.do("subscriptions.hold", self.name(place), unused=unused, resume_at=self.later(by), script=script)

    @rule(place=places, period=st.sampled_from(["reset", "keep"]), script=answers)
    @precondition(lambda self: self.count)
    def resume(self, place, period, script):
        self.do("subscriptions.resume", self.name(place), period=period, script=script)

    @rule(
        place=places,
        when=st.sampled_from(["now", "now", "period_end", "date"]),
        by=spans,
        gives=st.sampled_from([{}, {"credit": "unused"}, {"refund": "unused"}, {"refund": "all"}]),
        void_open=st.sampled_from([False, False, True]),
        script=answers,
    )
    @precondition(lambda self: self.count)
    def cancel(self, place, when, by, gives, void_open, script):
        at = self.later(by) if when == "date" else when
        self.do("subscriptions.cancel", self.name(place), at, script=script, void_open=void_open, **gives)

    @rule(place=places)
    @precondition(lambda self: self.count)
    def uncancel(self, place):
        self.do("subscriptions.uncancel", self.name(place))

    @rule(
        place=places,
        period=st.sampled_from(["reset", "keep"]),
        balance=st.sampled_from(["keep", "forgive"]),
        trial=st.booleans(),
        ends=st.none() | spans,
        script=answers,
    )
    @precondition(lambda self: self.count)
    def reactivate(self, place, period, balance, trial, ends, script):
        given = {"period": period, "balance": balance, "include_trial": trial, "ends_at": self.later(ends)}
        self.do("subscriptions.reactivate", self.name(place), script=script, **given)

    # -- what else is billed and paid -----------------------------------------------------------------------

    @rule(place=places, coupon=coupons, apply=st.booleans())
    @precondition(lambda self: self.count)
    def coupon(self, place, coupon, apply):
        self.do(f"subscriptions.{'apply' if apply else 'remove'}_coupon", self.name(place), coupon)

    @rule(place=places, amount=amounts, when=st.sampled_from(["now", "renewal"]), script=answers)
    @precondition(lambda self: self.count)
    def add_charge(self, place, amount, when, script):
        self.do("subscriptions.add_charge", self.name(place), amount, "Work", invoice_at=when, script=script)

    @rule(place=places, part=st.sampled_from(["calls", "minutes"]), number=st.integers(1, 9), back=spans)
    @precondition(lambda self: self.count)
    def use(self, place, part, number, back):
        at = self.now - min(back, timedelta(days=3))
        self.do("usage.record", self.name(place), part, str(number), event_id=f"e{number}", timestamp=at)

    @rule(place=places, part=st.sampled_from(["calls", "minutes"]), number=st.integers(1, 9), to=units)
    @precondition(lambda self: self.count)
    def correct_use(self, place, part, number, to):
        self.do("usage.correct", self.name(place), part, f"e{number}", to)

    @rule(noun=st.sampled_from(["credits", "prepayments"]), amount=amounts)
    def give(self, noun, amount):
        if self.do(f"{noun}.add", "acme", amount=amount) and noun == "credits":
            self.given += parse_minor(amount, "USD")

    @rule(
        place=st.integers(1, 6),
        verb=st.sampled_from(["credit", "void", "write_off", "record_payment"]),
        amount=st.none() | amounts,
        to=st.sampled_from(["credit", "refund", "invoice"]),
        rebill=st.booleans(),
    )
    def deal_with_an_invoice(self, place, verb, amount, to, rebill):
        given = {"credit": {"amount": amount, "to": to}, "void": {"rebill": rebill}}.get(verb, {})
        self.do(f"invoices.{verb}", f"acme/{place}", **given)

    @rule(place=st.integers(1, 6), amount=st.none() | amounts, credit=st.booleans(), script=answers)
    def refund(self, place, amount, credit, script):
        self.do("payments.refund", f"acme/pay/{place}", amount=amount, credit=credit, script=script)

    @rule(place=places, script=answers)
    @precondition(lambda self: self.count)
    def retry(self, place, script):
        self.do("subscriptions.retry", self.name(place), script=script)

    @rule(by=spans, script=answers)
    def time_passes(self, by, script):
        self.books.do("run", (self.now + by,), {}, script)

    # -- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def the_books_are_right(self):
        if hasattr(self, "books"):
            assert [str(finding) for finding in self.billing.verify().findings] == []

    @invariant()
    def nothing_is_parked(self):
        if hasattr(self, "books"):
            assert [one.parked_reason for one in self.billing.subscriptions.list() if one.parked_at is not None] == []

    @invariant()
    def each_new_document_explains_itself(self):
        if not hasattr(self, "books"):
            return
        for one in self.books.documents():
            if one not in self.known:
                explained = self.billing.explain(one)
                assert explained.agrees, explained.text()
                self.known.add(one)

    @invariant()
    def nothing_is_given_back_that_was_not_paid(self):
        """What came in and was given, less what went out, is what documents kept, what is left, and what is owed."""
        if not hasattr(self, "books"):
            return
        billing = self.billing
        refunds = [one for one in billing.refunds.list(limit=1000) if one.to != "credit"]
        came = sum(one.captured for one in billing.payments.list(limit=1000))
        went = sum(one.amount for one in refunds if one.status == "succeeded")
        owed = sum(one.amount for one in refunds if one.status != "succeeded" and one.holds)
        left = sum(one.remaining for one in billing.credits.list("acme"))
        issued = {one.id: one for one in billing.invoices.list(limit=1000) if one.status not in ("draft", "void")}
        kept = sum(one.total - one.due for one in issued.values()) - sum(
            note.total
            for note in billing.invoices.credit_notes(limit=1000)
            if note.to != "invoice" or note.invoice_id in issued
        )
        assert came + self.given - went == kept + left + owed
        assert kept >= 0

    # -- helpers --------------------------------------------------------------------------------------------

    @property
    def billing(self):
        return self.books.billing

    @property
    def now(self):
        return self.billing.clock.now()

    def later(self, by):
        return None if by is None else self.now + by

    def at(self, how, by):
        return {"effective_at": self.now - by if how == "back" else self.now + by} if how in ("back", "ahead") else {}

    def name(self, place):
        return f"s{1 + place % self.count}"

    def do(self, name, *args, script=(), **given):
        """First dry, then in earnest; whether it was not refused."""
        given = {key: value for key, value in given.items() if value is not None}
        before, known = dump(self.billing), self.books.documents()
        shown, not_shown = self.books.do(name, args, {**given, "dry_run": True})
        assert dump(self.billing) == before, f"the dry run of {name} has kept something"
        _, refused = self.books.do(name, args, given, script)
        assert refused is None or refused.code != "internal", refused
        event(f"{name} {refused.code if refused else 'done'}")
        if refused is not None and refused.code != "payment_declined":
            assert dump(self.billing) == before, f"{name} was refused and has kept something"
            assert not_shown is not None and not_shown.code == refused.code
        elif not {*script} - {"approve"}:
            assert not_shown is None, not_shown
            wanted = [one for one in (*shown.invoices, *shown.credit_notes) if one.id not in known]
            made = [one for id_, one in self.books.documents().items() if id_ not in known]
            assert told(wanted) == told(made)
        return refused is None


def test_everything_a_subscription_can_go_through() -> None:
    count = budget(sqlite=15, postgresql=2)
    run_state_machine_as_test(Subscriptions, settings=examples(count, 12))


class Twice(Subscriptions):
    """The same, and all of it once more on empty books."""

    def teardown(self):
        if not hasattr(self, "books"):
            return
        first = self.books
        again = Books(**first.changed)
        for name, args, given, script in first.done:
            again.do(name, args, given, script)
        for what in STORED:
            assert stored(again, what) == stored(first, what)


STORED = (
    *("* FROM billcore_invoices", "* FROM billcore_credit_notes", "* FROM billcore_lines", "* FROM billcore_coverage"),
    *("* FROM billcore_allocations", "* FROM billcore_credits", "* FROM billcore_renewals"),
    # Their keys have the name of the installation in them.
    "id, invoice_id, amount, captured, status, created_at FROM billcore_payments",
    "id, payment_id, amount, status, created_at FROM billcore_refunds",
)


def stored(of, what):
    with of.billing.database.transaction(reads=True) as tx:
        return tx.rows(f"SELECT {what} ORDER BY id")


def test_the_same_commands_make_the_same_documents() -> None:
    """With the same seed and clock, to the byte (P9)."""
    count = budget(sqlite=3, postgresql=1)
    run_state_machine_as_test(Twice, settings=examples(count, 12))
