"""Money in every order: paid, declined, lost, given back, credited, paid by hand, found out late (F3, F15, F21).

After every step the books prove right, no payment has given back more than it took, and what our books say of each
attempt and refund is what the gateway's own book says.
"""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billcore.domain.payment import IN_DOUBT
from billcore.errors import Refused
from billcore.plugins.gateway import GatewayMisconfigured
from tests import databases
from tests.builders import books

NO, HARD = "decline:insufficient_funds", "decline:lost_card"
ANSWERS = (
    *("approve", "approve:7.00", NO, HARD, "pending", "action", "unreachable"),
    *("timeout_before", "timeout_after_charge", "error_500_after_charge", "garbage"),
)
ENDS = ("approve", "approve:4.00", NO)
PRICES = ("pro-m", "pro-fee", "solo-m", "pro-w", "try", "pro-late")
AMOUNTS = ("0.01", "3.33", "10.00", "12.50", "30.00", "100.00")

amounts = st.sampled_from(AMOUNTS)
maybe = st.one_of(st.none(), amounts)
ways = st.sampled_from(
    [{}, {}, {"credit": False}, {"to": "credit"}, {"external": True}, {"external": True, "credit": False}]
)
places = st.integers(0, 7)


class Money(RuleBasedStateMachine):
    """One customer with two methods, whatever happens to his money."""

    @initialize(
        fallback=st.sampled_from(["none", "order"]),
        country=st.sampled_from(["DE", "US"]),
        key_window_s=st.sampled_from([1, 86_400]),
    )
    def open_books(self, fallback, country, key_window_s):
        """Where the gateway keeps no keys, what got lost counts as not sent, and may turn up late."""
        databases.renew()
        self.billing = books(
            gateways={"test": {"webhook_secret": "whsec_machine", "key_window_s": key_window_s}},
            method_fallback=fallback,
            dunning={"retry_after": ["1 day", "4 days"], "final": "unpaid"},
        )
        self.billing.customers.update("acme", country=country)
        self.billing.payment_methods.add("acme", "approve", reference="spare")
        self.gateway = self.billing.gateway("test")
        self.signups = self.heard = 0
        self.sign_up("pro-m", "approve")

    @rule(price=st.sampled_from(PRICES), answer=st.sampled_from(ANSWERS))
    @precondition(lambda self: self.signups < 3)
    def sign_up(self, price, answer):
        self.gateway.script([answer], default="approve")
        self.signups += 1
        components = {"seats": "2"} if price in ("pro-m", "solo-m") else {}
        self.tried(self.billing.subscriptions.create, f"s{self.signups}", "acme", price, components=components)

    @rule(days=st.integers(0, 40), answers=st.lists(st.sampled_from(ANSWERS), max_size=4))
    def time_passes(self, days, answers):
        self.gateway.script(answers, default="approve")
        self.billing.run(self.billing.clock.now() + timedelta(days=days))

    @rule(place=places, amount=maybe, way=ways, answer=st.sampled_from(ANSWERS))
    def refund(self, place, amount, way, answer):
        self.gateway.script([answer], default="approve")
        self.tried(self.billing.payments.refund, self.one(self.payments(), place), amount=amount, **way)

    @rule(amount=amounts, answers=st.lists(st.sampled_from(ANSWERS), max_size=2))
    def refund_over_several(self, amount, answers):
        self.gateway.script(answers, default="approve")
        self.tried(self.billing.refunds.create, "acme", amount)

    @rule(place=places, to=st.sampled_from(["method", "external", "credit"]), answer=st.sampled_from(ANSWERS))
    def make_good(self, place, to, answer):
        self.gateway.script([answer], default="approve")
        self.tried(self.billing.refunds.retry, self.one(self.refunds(), place), to=to)

    @rule(
        place=places, amount=maybe, to=st.sampled_from(["credit", "refund", "invoice"]), answer=st.sampled_from(ANSWERS)
    )
    def credit(self, place, amount, to, answer):
        self.gateway.script([answer], default="approve")
        self.tried(self.billing.invoices.credit, self.one(self.invoices(), place), amount=amount, to=to)

    @rule(place=places, amount=maybe)
    def pay_by_hand(self, place, amount):
        self.tried(self.billing.invoices.record_payment, self.one(self.invoices(), place), amount=amount)

    @rule(place=places, verb=st.sampled_from(["void", "write_off"]))
    def give_up(self, place, verb):
        self.tried(getattr(self.billing.invoices, verb), self.one(self.invoices(), place))

    @rule(place=places, answer=st.sampled_from(ANSWERS))
    def retry(self, place, answer):
        self.gateway.script([answer], default="approve")
        self.tried(self.billing.subscriptions.retry, f"s{1 + place % max(1, self.signups)}")

    @rule(place=places, credit=st.sampled_from(["none", "unused"]))
    def cancel(self, place, credit):
        self.tried(self.billing.subscriptions.cancel, f"s{1 + place % max(1, self.signups)}", credit=credit)

    @rule(place=places, end=st.sampled_from(ENDS))
    def found_out_late(self, place, end):
        """What is open at the gateway, or never answered, ends there, or a refund comes back; and it says so."""
        lasting = ("approved", "declined")
        open_there = [
            one.attempt_id
            for one in self.gateway.requests()
            if one.state not in lasting or (one.verb == "refund" and one.state == "approved")
        ]
        with suppress(GatewayMisconfigured):  # A refund that came back does not go out again.
            if open_there:
                self.gateway.settle(self.one(open_there, place), end)
        bodies = self.gateway.events()
        for body in bodies[self.heard :]:
            headers = self.gateway.sign(body, self.billing.clock.wall())
            self.billing.webhooks.receive("test", headers, body)
        self.heard = len(bodies)
        self.billing.run()

    @rule(days=st.integers(7, 40), hours=st.integers(0, 30), place=places, end=st.sampled_from(ENDS))
    def an_answer_gets_lost_and_turns_up(self, days, hours, place, end):
        """Where the gateway keeps no keys it counts as not sent after a while, and was sent all the same."""
        self.time_passes(days, ["timeout_before", "timeout_before"])
        self.gateway.script([], default=NO if hours % 2 else "approve")
        self.billing.run(self.billing.clock.now() + timedelta(hours=hours))
        self.found_out_late(place, end)

    # -- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def the_books_are_right(self):
        if hasattr(self, "billing"):
            assert [str(finding) for finding in self.billing.verify().findings] == []

    @invariant()
    def nobody_gets_back_more_than_he_paid(self):
        for payment in self.every("payments"):
            held = [one for one in self.every("refunds") if one.payment_id == payment.id and one.holds]
            assert sum(one.amount for one in held) <= payment.captured, payment

    @invariant()
    def the_gateway_agrees(self):
        moved = {}
        for one in self.gateway.book() if hasattr(self, "gateway") else ():
            moved[one.attempt_id] = moved.get(one.attempt_id, 0) + one.amount.minor
        for payment in self.every("payments"):
            if payment.status not in IN_DOUBT and payment.gateway == "test":
                assert moved.get(payment.id, 0) == payment.captured, payment
        for refund in self.every("refunds"):
            if refund.to == "method" and refund.status in ("succeeded", "failed"):
                assert moved.get(refund.id, 0) == (refund.amount if refund.status == "succeeded" else 0), refund

    # -- helpers --------------------------------------------------------------------------------------------

    def tried(self, call, *args, **given):
        """A command that may be refused, and then has changed nothing."""
        if None in args:
            return
        with suppress(Refused):
            call(*args, **given)

    def every(self, noun):
        return getattr(self.billing, noun).list(limit=1000) if hasattr(self, "billing") else []

    def payments(self):
        return [one.id for one in self.every("payments")]

    def refunds(self):
        return [one.id for one in self.every("refunds")]

    def invoices(self):
        return [one.id for one in self.every("invoices") if one.status != "draft"]

    def one(self, ids, place):
        return ids[place % len(ids)] if ids else None

    def teardown(self):
        for one in self.every("refunds"):
            event(f"refund {one.cause} {one.to} {one.status}{' owed' if one.is_owed else ''}")
        for one in self.every("payments"):
            event(f"payment {one.cause} {one.status}")
        if hasattr(self, "billing"):
            self.billing.close()


@pytest.mark.sqlite_only("the same statements on both databases are tested elsewhere")
def test_whatever_happens_to_money_both_books_agree() -> None:
    run_state_machine_as_test(Money, settings=settings(max_examples=20, stateful_step_count=12, deadline=None))
