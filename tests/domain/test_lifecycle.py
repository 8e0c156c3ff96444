"""What commands and dates make of a subscription (behaviour 5.2)."""

import pytest

from billcore.domain.durations import Duration
from billcore.domain.lifecycle import act, activate, close, enter, hold, resume, schedule_cancel, uncancel
from billcore.domain.states import END, STATES
from billcore.domain.step import planned
from billcore.errors import Refused
from tests.builders import START, component, component_price, day, facts, ids, item, price, subscription

TRIAL = price(trial=Duration(14, "day"))


def trialing(state="trialing", **changes):
    given = {"trial_until": day("01-15"), "period_start": START, "period_end": day("01-15"), "sequence": 0}
    blank = {"anchor": None, "activated_at": None, "priced_from": None, "arrears_from": None}
    return planned(subscription(state, **(blank | given | changes)))


def test_a_signup_goes_into_its_trial_or_its_first_period() -> None:
    step = enter(subscription("pending"), facts(TRIAL), START, ids(), "signup")
    assert (step.subscription.state, step.subscription.next_action, step.lines, step.renewal) == (
        "trialing",
        "trial_end",
        (),
        None,
    )
    step = enter(subscription("pending"), facts(), START, ids(), "signup")
    assert (step.subscription.state, step.subscription.sequence, len(step.lines)) == ("active", 1, 1)


def test_a_trial_that_ran_out_while_nobody_looked_starts_its_period_at_its_end() -> None:
    step = act(trialing(), "trial_end", facts(TRIAL), day("02-20"), ids())
    assert (step.subscription.period_start, step.subscription.period_end) == (day("01-15"), day("02-15"))


@pytest.mark.parametrize(
    ("trial_end", "state"),
    [("activate", None), ("end", "trial_ended")],
)
def test_a_trial_without_a_method_ends_as_its_price_says(trial_end, state) -> None:
    """Unless credit covers what the document comes to, with discount and tax."""
    its = facts(price(trial=Duration(14, "day"), trial_end=trial_end), has_method=False)
    step = act(trialing(), "trial_end", its, day("01-15"), ids())
    assert step.subscription.state == "active"
    assert step.lines
    ended = step.short
    assert (ended.subscription.state if ended else None) == state
    assert ended is None or [change.state for change in ended.changes] == [state]
    assert ended is None or not ended.lines


def test_a_trial_that_cancels_without_a_method_does_not_ask_for_credit() -> None:
    its = facts(price(trial=Duration(14, "day"), trial_end="cancel"), has_method=False)
    step = act(trialing(), "trial_end", its, day("01-15"), ids())
    assert (step.subscription.state, step.lines, step.short) == ("canceled", (), None)


def test_with_a_method_a_trial_without_obligation_is_charged() -> None:
    its = facts(price(trial=Duration(14, "day"), trial_end="end"))
    assert act(trialing(), "trial_end", its, day("01-15"), ids()).subscription.state == "active"


def test_activation_cuts_the_trial() -> None:
    step = activate(trialing(), facts(TRIAL), day("01-05"), ids())
    assert (step.subscription.trial_until, step.subscription.period_start) == (day("01-05"), day("01-05"))


def test_closing_ends_the_components_too() -> None:
    its = facts(price(), (component(), component_price()))
    sub = subscription(items=(item(),))
    step = close(sub, "canceled", "cancel", day("01-16"), day("01-16"), its, ids())
    after = step.subscription
    assert (after.state, after.ended_at, after.items[0].ended_at) == ("canceled", day("01-16"), day("01-16"))
    assert (after.next_action, step.purpose) == (None, "final")


def test_a_planned_cancellation_is_what_comes_next() -> None:
    sub = schedule_cancel(subscription(), day("01-20"), START, "why", "unused")
    assert (sub.next_action, sub.next_action_at, sub.cancel_credit) == ("cancel", day("01-20"), "unused")
    assert uncancel(sub) == subscription()
    with pytest.raises(Refused) as refused:
        uncancel(subscription())
    assert refused.value.code == "transition_not_allowed"


@pytest.mark.parametrize("state", sorted(STATES))
def test_a_cancellation_is_planned_only_for_what_lives(state) -> None:
    if state in END or state == "pending":
        with pytest.raises(Refused):
            schedule_cancel(subscription(state), day("01-20"), START, None, "none")
    else:
        assert schedule_cancel(subscription(state), day("01-20"), START, None, "none").cancel_at == day("01-20")


def held(unused="forfeit", at="01-11", its=None, **changes):
    return hold(subscription(**changes), its or facts(), day(at), None, unused, ids()).subscription


def test_a_hold_remembers_where_it_came_from() -> None:
    sub = held()
    assert (sub.state, sub.previous_state, sub.held_at, sub.next_action) == ("on_hold", "active", day("01-11"), None)
    sub = hold(trialing(), facts(TRIAL), day("01-05"), None, "forfeit", ids()).subscription
    assert resume(sub, facts(TRIAL), day("01-10"), False, ids()).subscription.state == "trialing"


@pytest.mark.parametrize(
    ("unused", "at", "keep", "period", "amounts"),
    [
        ("forfeit", "01-20", False, ("01-01", "02-01"), []),
        ("forfeit", "02-20", False, ("02-20", "03-20"), [3000]),
        ("forfeit", "02-20", True, ("02-20", "03-01"), [964]),
        ("credit", "01-20", False, ("01-20", "02-01"), [1161]),
        ("credit", "02-20", False, ("02-20", "03-20"), [3000]),
        ("extend", "02-20", False, ("01-01", "03-13"), []),
        ("extend", "01-20", False, ("01-01", "02-10"), []),
        ("forfeit", "02-01", False, ("02-01", "03-01"), [3000]),
    ],
)
def test_resume_by_the_table(unused, at, keep, period, amounts) -> None:
    step = resume(held(unused), facts(), day(at), keep, ids())
    after = step.subscription
    assert (after.state, after.period_start, after.period_end) == ("active", day(period[0]), day(period[1]))
    assert [line.amount for line in step.lines] == amounts
    assert (after.held_at, after.unused, after.previous_state) == (None, None, None)


def test_a_subscription_whose_trial_is_unpaid_gets_its_paid_period_all_the_same() -> None:
    sub = planned(trialing(state="past_due"))
    assert sub.next_action == "trial_end"
    step = act(sub, sub.next_action, facts(TRIAL), sub.next_action_at, ids())
    assert (step.subscription.state, step.subscription.period_end) == ("past_due", day("02-15"))
