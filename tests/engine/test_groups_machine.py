"""Whoever joins and leaves: each period is billed once, to who is the payer then, and the books prove right (P2)."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from billcore.errors import Refused
from tests import databases
from tests.builders import books

NO = "decline:insufficient_funds"
NAMES = ("north", "south", "shop", "kiosk")
PRICES = ("pro-m", "pro-w", "solo-m", "try", "pro-late")

names = st.sampled_from(NAMES)
places = st.integers(0, 5)


class Groups(RuleBasedStateMachine):
    """Four customers who may all have subscriptions, and pay for each other as they like."""

    @initialize(method=st.sampled_from(["approve", None]), final=st.sampled_from(["cancel", "unpaid", "leave"]))
    def open_books(self, method, final):
        databases.renew()
        self.billing = books(customers=(), dunning={"retry_after": ["2 days", "9 days"], "final": final})
        for name in NAMES:
            self.billing.customers.create(name, billing_day=5 if name == "north" else None)
            if method is not None or name in ("north", "south"):
                self.billing.payment_methods.add(name, "approve")
        self.count = 0

    def tried(self, call, *args, **given):
        """A command that may be refused; how it went is counted."""
        try:
            call(*args, **given)
            event(f"{call.definition.full_name} done")
        except Refused as refused:
            event(f"{call.definition.full_name} {refused.code}")

    @rule(name=names, price=st.sampled_from(PRICES), collection=st.sampled_from(["automatic", "remittance"]))
    def subscribe(self, name, price, collection):
        if self.count == 6:
            return
        self.count += 1
        components = {"seats": "2"} if price in ("pro-m", "pro-late") else {}
        self.tried(
            self.billing.subscriptions.create,
            f"s{self.count}",
            name,
            price,
            components=components,
            collection=collection,
        )

    @rule(name=names, parent=names, align=st.sampled_from(["none", "payer_day"]))
    def join(self, name, parent, align):
        self.tried(self.billing.customers.join, name, parent, align=align)

    @rule(name=names)
    def leave(self, name):
        self.tried(self.billing.customers.leave, name)

    @rule(days=st.integers(1, 20), answers=st.lists(st.sampled_from(["approve", NO, "pending"]), max_size=3))
    def time_passes(self, days, answers):
        self.billing.gateway("test").script(answers, default="approve")
        known = {one.id for one in self.billing.invoices.list(limit=1000)}
        self.billing.run(self.billing.clock.now() + timedelta(days=days))
        owners = {sub.id: sub.owner for sub in self.subscriptions()}
        for one in self.billing.invoices.list(limit=1000):
            if one.id not in known and one.purpose in ("renewal", "trial_end"):
                assert {self.payer(owners[line.subscription_id]) for line in one.lines} == {one.customer_id}

    @rule(place=places, credit=st.sampled_from(["none", "unused"]), when=st.sampled_from(["now", "period_end"]))
    def cancel(self, place, credit, when):
        with suppress(Refused):
            self.billing.subscriptions.cancel(f"s{1 + place}", when, credit=credit)

    @rule(place=places, price=st.sampled_from(PRICES), when=st.sampled_from(["now", "renewal"]))
    def change(self, place, price, when):
        with suppress(Refused):
            self.billing.subscriptions.change(f"s{1 + place}", price, when=when)

    @rule(place=places, period=st.sampled_from(["reset", "keep"]))
    def reactivate(self, place, period):
        with suppress(Refused):
            self.billing.subscriptions.reactivate(f"s{1 + place}", period=period)

    @rule(place=places, unused=st.sampled_from(["forfeit", "credit", "extend"]))
    def hold_or_resume(self, place, unused):
        with suppress(Refused):
            if self.billing.subscriptions.get(f"s{1 + place}").state == "on_hold":
                self.billing.subscriptions.resume(f"s{1 + place}")
            else:
                self.billing.subscriptions.hold(f"s{1 + place}", unused=unused)

    @rule()
    def what_is_pending_is_paid(self):
        for one in self.billing.payments.list(status="pending", limit=100):
            self.billing.gateway("test").settle(one.id, "approve")
        self.billing.run(self.billing.clock.now() + timedelta(hours=6))

    def subscriptions(self):
        return self.billing.subscriptions.list(limit=100)

    def payer(self, customer_id):
        customer = self.billing.customers.get(customer_id)
        return customer.id if customer.pays == "self" else self.payer(customer.parent_id)

    @invariant()
    def the_books_are_right(self):
        """The laws say that each period was billed once, that no time was twice, and who owes for what runs."""
        if hasattr(self, "billing"):
            assert [str(finding) for finding in self.billing.verify().findings] == []

    def teardown(self):
        if hasattr(self, "billing"):
            self.billing.close()


def test_whoever_joins_and_leaves_the_books_are_right_and_the_payer_is_billed() -> None:
    count = {"sqlite": 12, "postgresql": 4}[databases.CURRENT[-1].kind]
    run_state_machine_as_test(Groups, settings=settings(max_examples=count, stateful_step_count=18, deadline=None))
