"""Documents in every order: credited, made void, billed again, written off, paid by hand and in advance (F21).

After every step the books prove right and no money appears or is lost: what came in and was given, less what went
out, is what invoices kept, what the customer has left, and what is on its way back to him. At the end every amount is
what its basis says.
"""

from contextlib import suppress
from datetime import timedelta

from hypothesis import settings
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
from billcore.errors import InvalidValue, Refused
from tests import databases
from tests.builders import anew, books

NO = "decline:insufficient_funds"
AMOUNTS = ("0.01", "0.07", "1.00", "3.33", "9.99", "20.00", "42.42", "100.00")
ANSWERS = ("approve", "approve", NO, "timeout_after_charge", "pending")

amounts = st.sampled_from(AMOUNTS)
maybe = st.one_of(st.none(), amounts)
places = st.integers(0, 6)


class Documents(RuleBasedStateMachine):
    """One customer, what he signs up to, and everything that is done about his invoices by hand."""

    @initialize(
        changed=st.sampled_from(
            [{}, {}, {"apply_credits": "manual"}, {"apply_prepayments": "at_due"}, {"apply_prepayments": "manual"}]
        ),
        terms=st.sampled_from([0, 5]),
        basis=st.sampled_from(["second", "day", "fixed_30"]),
    )
    def open_books(self, changed, terms, basis):
        anew()
        dunning = {"retry_after": ["1 day"], "final": "unpaid"}
        self.billing = books(net_terms={"automatic": terms}, proration_basis=basis, dunning=dunning, **changed)
        self.billing.customers.update("acme", country="DE")
        self.signups = self.given = 0
        self.sign_up("pro-m", "remittance", [], "approve")

    @rule(
        price=st.sampled_from(["pro-m", "pro-w", "pro-fee", "pro-late"]),
        collection=st.sampled_from(["automatic", "remittance"]),
        coupons=st.sampled_from([[], ["TEN"], ["ONCE"]]),
        answer=st.sampled_from(ANSWERS),
    )
    @precondition(lambda self: self.signups < 3)
    def sign_up(self, price, collection, coupons, answer):
        self.billing.gateway("test").script([answer], default="approve")
        self.signups += 1
        components = {"seats": "2", "calls": "0"}
        create = self.billing.subscriptions.create
        given = {"components": components, "coupons": coupons, "collection": collection}
        self.tried(create, f"s{self.signups}", "acme", price, **given)

    @rule(days=st.integers(0, 35), answers=st.lists(st.sampled_from(ANSWERS), max_size=3))
    def time_passes(self, days, answers):
        self.billing.gateway("test").script(answers, default="approve")
        self.billing.run(self.billing.clock.now() + timedelta(days=days))

    @rule(place=places, amount=maybe, line=st.booleans(), to=st.sampled_from(["credit", "credit", "refund", "invoice"]))
    def credit(self, place, amount, line, to):
        lines = ["1"] if line else None
        self.tried(self.billing.invoices.credit, self.invoice(place), amount=amount, lines=lines, to=to)

    @rule(place=places, rebill=st.booleans())
    def void(self, place, rebill):
        self.tried(self.billing.invoices.void, self.invoice(place), rebill=rebill)

    @rule(place=places)
    def write_off(self, place):
        self.tried(self.billing.invoices.write_off, self.invoice(place))

    @rule(place=places, amount=maybe)
    def pay_one_by_hand(self, place, amount):
        self.tried(self.billing.invoices.record_payment, self.invoice(place), amount)

    @rule(amount=amounts, shares=st.none() | st.dictionaries(places, amounts, max_size=2))
    def pay_by_hand(self, amount, shares):
        named = None if shares is None else {self.invoice(place): part for place, part in shares.items()}
        self.tried(self.billing.payments.record, "acme", amount, invoices=named)

    @rule(amount=amounts, days=st.one_of(st.none(), st.integers(1, 40)))
    def give(self, amount, days):
        ends = None if days is None else self.billing.clock.now() + timedelta(days=days)
        if self.tried(self.billing.credits.add, "acme", amount=amount, expires_at=ends):
            self.given += parse_minor(amount, "USD")

    @rule(amount=amounts)
    def take_a_gift_back(self, amount):
        if self.tried(self.billing.credits.deduct, "acme", amount=amount):
            self.given -= parse_minor(amount, "USD")

    @rule(amount=amounts)
    def pay_in_advance(self, amount):
        self.tried(self.billing.prepayments.add, "acme", amount=amount)

    @rule(
        amount=amounts,
        account=st.sampled_from(["prepayments", "credits"]),
        to=st.sampled_from(["method", "external"]),
        answer=st.sampled_from(ANSWERS),
    )
    def pay_out(self, amount, account, to, answer):
        self.billing.gateway("test").script([answer], default="approve")
        self.tried(getattr(self.billing, account).refund, "acme", amount=amount, to=to)

    @rule(place=places, to=st.sampled_from(["method", "external", "credit"]))
    def make_good(self, place, to):
        owed = [one for one in self.billing.refunds.list(limit=1000) if one.is_owed]
        if owed:
            self.tried(self.billing.refunds.retry, owed[place % len(owed)].id, to=to)

    @rule(place=places, verb=st.sampled_from(["cancel", "hold", "resume", "usage"]))
    def subscribe(self, place, verb):
        name = f"s{1 + place % self.signups}"
        subs = self.billing.subscriptions
        match verb:
            case "cancel":
                self.tried(subs.cancel, name, credit="unused")
            case "hold":
                self.tried(subs.hold, name, unused="credit")
            case "resume":
                self.tried(subs.resume, name)
            case _:
                self.tried(self.billing.usage.record, name, "calls", "7")

    @rule(place=places, amount=maybe, credit=st.booleans())
    def refund(self, place, amount, credit):
        payments = self.billing.payments.list(limit=1000)
        if payments:
            self.tried(self.billing.payments.refund, payments[place % len(payments)], amount=amount, credit=credit)

    @rule(
        amounts=st.lists(amounts, min_size=1, max_size=2),
        rebate=st.sampled_from([None, "-0.50", "-7.00"]),
        coupons=st.sampled_from([[], ["TEN"], ["ONCE"]]),
        issue=st.booleans(),
        answer=st.sampled_from(ANSWERS),
    )
    def bill_by_hand(self, amounts, rebate, coupons, issue, answer):
        self.billing.gateway("test").script([answer], default="approve")
        lines = [{"description": "Work", "amount": amount} for amount in (*amounts, rebate) if amount is not None]
        self.tried(self.billing.invoices.create, "acme", lines=lines, coupons=coupons, issue=issue)

    @rule(place=places, discard=st.booleans())
    def end_a_draft(self, place, discard):
        drafts = self.billing.invoices.list(status="draft", limit=1000)
        if drafts:
            draft = drafts[place % len(drafts)]
            self.tried(self.billing.invoices.discard if discard else self.billing.invoices.issue, draft.id)

    @rule(place=places, amount=amounts, at=st.sampled_from(["now", "renewal"]), answer=st.sampled_from(ANSWERS))
    def charge(self, place, amount, at, answer):
        self.billing.gateway("test").script([answer], default="approve")
        name = f"s{1 + place % self.signups}"
        self.tried(self.billing.subscriptions.add_charge, name, amount, "Work", invoice_at=at)

    @rule(place=places, wanted=st.sampled_from(["-20.00", "0.00", "0.01", "42.42"]))
    def set_the_balance(self, place, wanted):
        name = f"s{1 + place % self.signups}"
        self.tried(self.billing.subscriptions.adjust_balance, name, target=wanted, reason="agreed")

    def invoice(self, place):
        found = self.billing.invoices.list(limit=1000)
        return found[place % len(found)].id if found else "acme/1"

    def tried(self, call, *args, **given):
        """A command that may be refused; whether it was not."""
        with suppress(Refused, InvalidValue):
            call(*args, **given)
            return True
        return False

    @invariant()
    def the_books_are_right(self):
        if not hasattr(self, "billing"):
            return
        proof = self.billing.verify()
        assert proof.ok, [str(finding) for finding in proof.findings]

    @invariant()
    def no_money_appears_and_none_is_lost(self):
        if not hasattr(self, "billing"):
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
        lifetime = sum(one.lifetime_value for one in billing.customers.balances("acme"))
        assert lifetime == came - went

    def teardown(self):
        if hasattr(self, "billing"):
            for document in (
                *self.billing.invoices.list(limit=1000),
                *self.billing.invoices.credit_notes(limit=1000),
            ):
                explained = self.billing.explain(document.id)
                assert explained.agrees, explained.text()


def test_documents_in_every_order() -> None:
    count = 20 if databases.CURRENT[-1].kind == "sqlite" else 4  # There each takes longer.
    run_state_machine_as_test(Documents, settings=settings(max_examples=count, stateful_step_count=16, deadline=None))
