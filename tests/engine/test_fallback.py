"""A customer's methods in order: after a decline the next one at once, dunning only after the last (behaviour 9.5)."""

import pytest

from billcore.plugins.hookspecs import hookimpl
from tests.builders import HandClock, attempts, books, day, refusal

pytestmark = pytest.mark.usefixtures("books_are_proven")

NO = "decline:insufficient_funds"
HARD = "decline:lost_card"


def renewed(*tokens, until="02-01", method_fallback="order", own=None, **changed):
    """A renewal with methods that behave so, in their order; the signup was paid by another that is gone."""
    billing = books(method_fallback=method_fallback, **changed)
    billing.subscriptions.create("s1", "acme", "pro-m")
    for number, token in enumerate(tokens):
        billing.payment_methods.add("acme", token, reference=f"m{number}")
    if own is not None:
        fixed = next(one.id for one in billing.payment_methods.list("acme") if one.reference == own)
        with billing.database.transaction() as tx:
            tx.execute("UPDATE billcore_subscriptions SET payment_method_id = ?", [fixed])
    first = next(one for one in billing.payment_methods.list("acme") if one.reference is None)
    billing.payment_methods.remove("acme", first.id)
    if not billing.clock.simulated:
        billing.clock.time = day(until)
    billing.run(day(until))
    return billing


def made(billing):
    """The attempts after the signup: method, cause, status."""
    names = {one.id: one.reference for one in billing.payment_methods.list("acme")}
    return [
        (names.get(one.payment_method_id), one.cause, one.status)
        for one in billing.payments.list(limit=1000)
        if one.cause != "signup"
    ]


def state(billing):
    return billing.subscriptions.get("s1").state


def cases(billing):
    with billing.database.transaction(reads=True) as tx:
        return tx.rows("SELECT status, step, closed_by FROM billcore_dunning_cases ORDER BY id")


def test_without_the_setting_only_the_default_is_tried() -> None:
    billing = renewed(NO, "approve", method_fallback="none")
    assert (made(billing), state(billing)) == ([("m0", "collection", "failed")], "past_due")


def test_after_a_decline_the_next_method_is_tried_at_once() -> None:
    billing = renewed(NO, NO, "approve", "approve")
    assert made(billing) == [
        ("m0", "collection", "failed"),
        ("m1", "fallback", "failed"),
        ("m2", "fallback", "succeeded"),
    ]
    assert (state(billing), cases(billing)) == ("active", [])
    keys = [one.idempotency_key.rpartition(":")[2] for one in billing.payments.list()[1:]]
    assert keys == ["1", "2", "3"]
    assert attempts(billing)[1:] == [("failed", "02-01", 3000), ("failed", "02-01", 3000), ("succeeded", "02-01", 3000)]


def test_dunning_begins_after_the_last_one() -> None:
    billing = renewed(NO, NO)
    assert made(billing) == [("m0", "collection", "failed"), ("m1", "fallback", "failed")]
    assert (state(billing), cases(billing)) == ("past_due", [("open", 0, None)])


def test_every_retry_goes_through_them_again() -> None:
    billing = renewed(NO, NO, until="02-02")
    assert [row[:2] for row in made(billing)] == [
        ("m0", "collection"),
        ("m1", "fallback"),
        ("m0", "dunning"),
        ("m1", "fallback"),
    ]
    billing.run(day("02-28"))
    assert [row[1] for row in made(billing)].count("dunning") == 4
    assert cases(billing) == [("open", 4, None)] or state(billing) == "past_due"


def test_the_final_action_comes_with_the_last_failure_of_the_last_method() -> None:
    billing = renewed(NO, NO, until="02-03", dunning={"retry_after": ["1 day"], "final": "cancel"})
    assert [row[1] for row in made(billing)] == ["collection", "fallback", "dunning", "fallback"]
    assert (state(billing), cases(billing)) == ("canceled", [("closed", 1, "cancel")])


def test_a_method_that_was_refused_for_good_is_left_out_until_it_is_replaced() -> None:
    billing = renewed(HARD, NO, until="02-04")
    assert [row[0] for row in made(billing)] == ["m0", "m1", "m1", "m1"]
    (first, _second) = billing.payment_methods.list("acme")
    assert first.refused_at == day("02-01")
    billing.gateway("test").script([], default="approve")
    billing.payment_methods.set_default("acme", "m0")
    billing.run(day("03-01"))
    assert billing.payment_methods.list("acme")[0].refused_at is None
    assert made(billing)[-1][0] == "m0"


def test_where_all_were_refused_for_good_nothing_is_tried_but_by_hand() -> None:
    billing = renewed(HARD, HARD, until="02-20")
    assert [row[0] for row in made(billing)] == ["m0", "m1"]
    billing.gateway("test").script([], default="approve")
    assert billing.subscriptions.retry("s1").state == "active"
    assert made(billing)[-1] == ("m0", "retry", "succeeded")
    billing.run(day("03-01"))  # It was charged after all, so it is tried again.
    assert made(billing)[-1] == ("m0", "collection", "succeeded")


def test_the_subscriptions_own_method_goes_first() -> None:
    billing = renewed("approve", NO, own="m1")
    assert made(billing) == [("m1", "collection", "failed"), ("m0", "fallback", "succeeded")]


def test_the_order_is_the_customers_own() -> None:
    billing = books(method_fallback="order", method=None)
    for number in range(4):
        billing.payment_methods.add("acme", f"{NO}" if number else "approve", reference=f"m{number}")
    ordered = billing.payment_methods.set_order("acme", ["m2", "m1"])
    assert [one.reference for one in ordered] == ["m2", "m1", "m0", "m3"]
    assert billing.customers.get("acme").default_method_id == ordered[0].id
    billing.payment_methods.add("acme", "approve", reference="m4")
    assert [one.reference for one in billing.payment_methods.list("acme")] == ["m2", "m1", "m0", "m3", "m4"]
    billing.gateway("test").script(["approve", NO, NO], default="approve")
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-01"))
    assert [row[0] for row in made(billing)] == ["m2", "m1", "m0"]
    assert refusal(billing.payment_methods.set_order, "acme", []).code == "invalid_value"
    assert refusal(billing.payment_methods.set_order, "acme", ["m9"]).code == "not_found"


def test_a_disabled_default_is_passed_over() -> None:
    billing = renewed(NO, "approve")
    first = billing.payment_methods.list("acme")[0]
    with billing.database.transaction() as tx:
        tx.execute("UPDATE billcore_payment_methods SET status = 'disabled' WHERE id = ?", [first.id])
    billing.run(day("03-01"))
    assert made(billing)[-1] == ("m1", "collection", "succeeded")


@pytest.mark.parametrize(("answer", "then"), [("timeout_after_charge", "succeeded"), ("pending", "pending")])
def test_nothing_follows_while_an_outcome_is_open(answer, then) -> None:
    billing = renewed(answer, "approve", clock=HandClock())
    assert made(billing) == [("m0", "collection", "unknown" if answer != "pending" else "pending")]
    billing.clock.time = day("02-01T03:00")
    billing.run()
    assert made(billing) == [("m0", "collection", then)]
    assert billing.gateway("test").taken("USD").minor == (6000 if then == "succeeded" else 3000)


def test_a_lost_attempt_that_was_declined_goes_on_with_the_next_method() -> None:
    billing = renewed("timeout_before", "approve", clock=HandClock())
    billing.gateway("test").settle(billing.payments.list()[-1].id, NO)
    billing.clock.time = day("02-01T03:00")
    billing.run()
    assert made(billing) == [("m0", "collection", "failed"), ("m1", "fallback", "succeeded")]
    assert state(billing) == "active"


def test_a_part_that_was_approved_leaves_the_rest_to_the_next_method() -> None:
    billing = renewed("approve:10.00", "approve")
    assert made(billing) == [("m0", "collection", "succeeded"), ("m1", "fallback", "succeeded")]
    assert attempts(billing)[1:] == [("succeeded", "02-01", 3000), ("succeeded", "02-01", 2000)]
    assert billing.invoices.get("acme/2").status == "paid"


def test_an_unreachable_gateway_is_no_decline() -> None:
    billing = renewed("unreachable", "approve")
    assert made(billing) == [("m0", "collection", "failed")]
    assert (state(billing), billing.invoices.get("acme/2").collect_at) == ("soft_failure", day("02-01T01:00"))


def test_at_signup_the_customer_chooses_himself() -> None:
    billing = books(method_fallback="order", method=NO)
    billing.payment_methods.add("acme", "approve")
    assert refusal(billing.subscriptions.create, "s1", "acme", "pro-m").code == "payment_declined"
    assert len(billing.payments.list()) == 1


def test_a_retry_by_hand_tries_them_all_and_stops_the_others_after_the_last() -> None:
    """Two overdue invoices: the oldest is tried with every method, and the next is not once all said no."""
    billing = renewed(NO, NO, until="03-01T00:00", dunning={"retry_after": [], "final": "unpaid"})
    before = len(made(billing))
    billing.subscriptions.retry("s1")
    assert [row[1] for row in made(billing)[before:]] == ["retry", "fallback"]
    billing.gateway("test").script([NO, "approve", NO, "approve"])
    billing.subscriptions.retry("s1")
    assert state(billing) == "active"


# -- routing -------------------------------------------------------------------------------------------------


class Router:
    """A plugin that answers the question of payment_routing so."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    @hookimpl
    def payment_routing(self, payments):
        self.asked += payments
        return self.answer(payments)


def routed(answer, *, method_fallback="none", tokens=("approve", "approve", "approve")):
    """A renewal whose methods a plugin orders."""
    plugin = Router(answer)
    billing = books(method_fallback=method_fallback, plugins={"router": plugin}, method=None)
    for number, token in enumerate(tokens):
        billing.payment_methods.add("acme", token, reference=f"m{number}")
    billing.subscriptions.create("s1", "acme", "pro-m")
    report = billing.run(day("02-01"))
    return billing, plugin, report


def backwards(payments):
    return {one.invoice_id: [its.payment_method_id for its in reversed(one.methods)] for one in payments}


def test_a_plugin_chooses_the_method() -> None:
    billing, plugin, report = routed(backwards)
    assert made(billing) == [("m2", "collection", "succeeded")]
    (asked,) = plugin.asked
    assert (asked.amount.minor, len(asked.methods), report.problems) == (3000, 3, ())
    assert {method.gateway for method in asked.methods} == {"test"}


def test_with_fallback_the_plugins_order_is_followed() -> None:
    billing, _, _ = routed(backwards, method_fallback="order", tokens=("approve", NO, HARD))
    assert made(billing) == [
        ("m2", "collection", "failed"),
        ("m1", "fallback", "failed"),
        ("m0", "fallback", "succeeded"),
    ]


def test_a_plugin_may_leave_methods_out() -> None:
    def only_the_second(payments):
        return {one.invoice_id: [one.methods[1].payment_method_id] for one in payments}

    billing, _, _ = routed(only_the_second, method_fallback="order", tokens=("approve", NO, "approve"))
    assert [row[0] for row in made(billing)] == ["m1"]
    assert state(billing) == "past_due"


def broken(_payments):
    raise RuntimeError("no route")


@pytest.mark.parametrize(
    "answer",
    [
        broken,
        lambda _payments: None,
        lambda _payments: ["m0"],
        lambda _payments: {"inv_9": ["pm_1"]},
        lambda payments: {payments[0].invoice_id: ["pm_of_somebody_else"]},
        lambda payments: {payments[0].invoice_id: payments[0].methods[1].payment_method_id},
        lambda payments: {payments[0].invoice_id: []},
        lambda payments: {payments[0].invoice_id: [None]},
    ],
    ids=["raises", "nothing", "a list", "no such invoice", "a stranger's method", "a text", "no method", "no id"],
)
def test_an_answer_that_is_none_harms_nobody_and_is_named(answer) -> None:
    billing, _, report = routed(answer)
    assert made(billing) == [("m0", "collection", "succeeded")]
    (problem,) = report.problems
    assert "router" in problem and "payment_routing" in problem


def test_no_transaction_is_open_while_plugins_are_asked() -> None:
    seen = []

    def looks(payments):
        seen.append(billing_of[0].customers.get("acme").reference)
        return {}

    billing_of = []
    plugin = Router(looks)
    billing = books(plugins={"router": plugin})
    billing_of.append(billing)
    billing.subscriptions.create("s1", "acme", "pro-m")
    billing.run(day("02-01"))
    assert seen == ["acme"]
