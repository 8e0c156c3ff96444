"""What commands and dates make of a subscription: start, trial end, cancel, hold, resume, expiry (behaviour 5.2)."""

from datetime import datetime

from billcore.domain.charges import advance_items, item_line, product_line
from billcore.domain.draft import DraftLine
from billcore.domain.expiry import term_start, with_expiry
from billcore.domain.facts import Facts, schedule_of
from billcore.domain.invoice import Purpose, Renewal
from billcore.domain.own_interval import cut_short
from billcore.domain.periods import Period, Schedule, span_of
from billcore.domain.prepaid import or_suspended
from billcore.domain.renewal import (
    begin,
    begin_trial,
    closing_lines,
    going_on,
    renew,
    renewal_of,
    trial_end,
    wake_items,
)
from billcore.domain.span import pieces, price_span, with_span
from billcore.domain.states import Event, State, check
from billcore.domain.step import Step, changed, planned
from billcore.domain.subscription import Action, Item, Subscription, Unused
from billcore.domain.values import NewId, evolve
from billcore.errors import Refused


def enter(sub: Subscription, facts: Facts, at: datetime, new_id: NewId, purpose: Purpose) -> Step:
    """The first step of a subscription: into its trial, or into its first paid period (signup and start date)."""
    # A date says it all: a new subscription's trial_until is the one that was asked for.
    until = sub.trial_until or trial_end(facts, at)
    base = facts.base
    if base is not None:
        sub = evolve(sub, billing_day=base.billing_day)
        if base.state == "trialing":
            until = base.trial_until
    if until is not None and until > at and (facts.trial_allowed or base is not None or until == sub.trial_until):
        after, lines = begin_trial(evolve(sub, trial_until=until), facts, at)
        return Step(planned(after), sub, purpose, tuple(lines))
    anchored, since = _dates_of_base(facts), term_start(sub, facts, at)
    after, lines, renewal = begin(sub, facts, at, new_id, fee=True, anchored=anchored, since=since)
    return Step(after, sub, purpose, tuple(lines), renewal)


def activate(sub: Subscription, facts: Facts, at: datetime, new_id: NewId, purpose: Purpose = "activation") -> Step:
    """End the trial, or do not wait for the start date: a new period begins at `at` and is charged."""
    check(sub.state, "activate", sub.reference)
    fee = sub.state == "awaiting_signup" or facts.price.setup_fee_at == "trial_end"
    cut = evolve(sub, trial_until=at) if sub.state == "trialing" else sub
    after, lines, renewal = begin(cut, facts, at, new_id, fee=fee, since=term_start(sub, facts, at))
    changes = changed(sub, after, "activate", at, facts.actor, new_id)
    return Step(after, sub, purpose, tuple(lines), renewal, changes)


def trial_ran_out(sub: Subscription, facts: Facts, at: datetime, new_id: NewId) -> Step:
    """The trial is over: the paid period begins, or without a method what the price says (behaviour 5.2)."""
    uncharged = sub.state == "trialing" and sub.collection == "automatic" and not facts.has_method
    if uncharged and facts.price.trial_end == "cancel":
        return _not_taken_up(sub, at, facts, new_id)
    fee = facts.price.setup_fee_at == "trial_end"
    ended_at, base = sub.trial_until or at, facts.base
    # A base that begins at the same instant has found its dates from there, as the add-on does.
    runs = base is not None and base.period_start is not None and base.period_start < ended_at
    anchored, since = _dates_of_base(facts) if runs else None, term_start(sub, facts, ended_at)
    after, lines, renewal = begin(sub, facts, ended_at, new_id, fee=fee, anchored=anchored, since=since)
    lines += facts.waiting
    if sub.state != "trialing":  # Something of the trial is unpaid: the period begins all the same.
        after = planned(evolve(after, state=sub.state))
        changes = changed(sub, after, "renewal_due", at, facts.actor, new_id)
        return Step(after, sub, "trial_end", tuple(lines), renewal, changes, collects=sub.state != "unpaid")
    changes = changed(sub, after, "trial_ran_out", at, facts.actor, new_id)
    step = Step(after, sub, "trial_end", tuple(lines), renewal, changes)
    # What credit does not cover is known with discount and tax: when it is billed.
    if (uncharged or sub.collection == "prepaid") and facts.price.trial_end != "activate":
        step = evolve(step, short=_not_taken_up(sub, at, facts, new_id))
    return step


def _not_taken_up(sub: Subscription, at: datetime, facts: Facts, new_id: NewId) -> Step:
    """The end of a trial that nothing can pay for, where the price says that it ends then; what waits is billed."""
    target: State = "trial_ended" if facts.price.trial_end == "end" else "canceled"
    step = _ended(sub, target, "trial_ran_out", sub.trial_until or at, at, facts, new_id)
    return evolve(step, lines=facts.waiting)


def close(
    sub: Subscription,
    target: State,
    event: Event,
    ended_at: datetime,
    at: datetime,
    facts: Facts,
    new_id: NewId,
    credits: tuple[DraftLine, ...] = (),
) -> Step:
    """End the subscription at `ended_at`: bill what is owed in arrears together with `credits` for unused time."""
    lines, usage = closing_lines(sub, facts, ended_at)
    step = _ended(sub, target, event, ended_at, at, facts, new_id)
    # Expiring is nobody's wish: of an unpaid one nothing is charged, then neither.
    collects = sub.state != "unpaid" or event != "end_reached"
    return evolve(step, lines=(*lines, *facts.waiting, *credits), usage=usage, usage_until=ended_at, collects=collects)


def schedule_cancel(
    sub: Subscription, at: datetime, now: datetime, reason: str | None, credit: str, *, void_open: bool = False
) -> Subscription:
    """Remember that the subscription ends at `at`; nothing else changes before."""
    check(sub.state, "schedule_cancel", sub.reference)
    return planned(
        evolve(
            sub,
            cancel_at=at,
            cancel_requested_at=now,
            cancel_reason=reason,
            cancel_credit=credit if credit != "none" else None,
            cancel_void_open=void_open,
        )
    )


def uncancel(sub: Subscription) -> Subscription:
    """Forget a planned cancellation."""
    check(sub.state, "uncancel", sub.reference)
    if sub.cancel_at is None:
        raise Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is {sub.state} and has no planned cancellation.",
            remedy="Only a cancellation at the period's end or at a date can be undone.",
            state=sub.state,
        )
    return planned(
        evolve(
            sub,
            cancel_at=None,
            cancel_requested_at=None,
            cancel_reason=None,
            cancel_credit=None,
            cancel_refund=None,
            cancel_void_open=False,
        )
    )


def hold(
    sub: Subscription,
    facts: Facts,
    at: datetime,
    resume_at: datetime | None,
    unused: Unused,
    new_id: NewId,
    credits: tuple[DraftLine, ...] = (),
) -> Step:
    """Stop the subscription on purpose: what is in arrears is billed, nothing renews, retries or expires."""
    check(sub.state, "hold", sub.reference)
    lines, usage = closing_lines(sub, facts, at)
    after = planned(
        evolve(
            sub,
            state="on_hold",
            previous_state=sub.state,
            held_at=at,
            resume_at=resume_at,
            unused=unused,
            arrears_from=at,
        )
    )
    changes = changed(sub, after, "hold", at, facts.actor, new_id)
    return Step(after, sub, "final", (*lines, *credits), None, changes, usage, at)


def resume(sub: Subscription, facts: Facts, at: datetime, keep: bool, new_id: NewId, event: Event = "resume") -> Step:
    """Go on: before the old period's end nothing is charged; after it a new period begins (behaviour 5.2)."""
    check(sub.state, event, sub.reference)
    assert sub.held_at is not None
    if ran_out(sub, at):
        return end_after_hold(sub, facts, at, new_id, event)
    back: State = sub.previous_state or "active"
    free = _free(sub, back)
    if sub.unused == "extend" and sub.ends_with_period and sub.cancel_at is not None:
        free = evolve(free, cancel_at=sub.cancel_at + (at - sub.held_at))
    if free.change_at is not None and free.change_at < at:
        free = evolve(free, change_at=at)  # Its instant fell into the hold: it comes with its end.
    if back == "trialing":
        until = sub.trial_until or at
        if sub.unused == "extend" and until > sub.held_at:
            until = at + (until - sub.held_at)
        # A trial that ran out meanwhile ends now: the time on hold is not charged.
        until = max(until, at)
        after = planned(evolve(free, trial_until=until, period_end=until))
        return Step(after, sub, "resume", changes=changed(sub, after, event, at, facts.actor, new_id))
    assert sub.period_end is not None and sub.period_start is not None
    if sub.unused == "extend":
        after = _appended(sub, free, facts, Period(sub.held_at, at))
        changes = changed(sub, after, event, at, facts.actor, new_id)
        return Step(after, sub, "resume", changes=changes, held=Period(sub.held_at, at))
    if at < sub.period_end and sub.unused != "credit":
        awake, lines = wake_items(evolve(free, arrears_from=at), facts, at)
        after = planned(awake)
        changes = changed(sub, after, event, at, facts.actor, new_id)
        return Step(after, sub, "resume", tuple(lines), changes=changes)
    if not keep and at >= sub.period_end:
        own_runs = sub.unused != "credit"
        after, lines, renewal = begin(free, facts, at, new_id, fee=False, keeps_own=own_runs)
    else:
        free, own = wake_items(free, facts, at, [item.id for item in free.items if sub.unused == "credit"])
        after, lines, renewal = _rest_of_period(free, facts, at, new_id)
        lines += own
    changes = changed(sub, after, event, at, facts.actor, new_id)
    return Step(after, sub, "resume", tuple(lines), renewal, changes)


def ran_out(sub: Subscription, at: datetime) -> bool:
    """Whether the end of a subscription on hold has passed by `at`: nothing ends on hold, so it comes with the resume.

    An end that its price set waits for paid time that is still to be appended; a term does not (behaviour 5.2).
    """
    if sub.ends_at is not None and sub.ends_at <= at:
        return True
    if sub.expires_at is None or sub.expires_at > at:
        return False
    assert sub.period_end is not None and sub.held_at is not None
    return sub.unused != "extend" or sub.period_end <= sub.held_at


def act(sub: Subscription, action: Action, facts: Facts, at: datetime, new_id: NewId) -> Step:
    """What the engine does when `sub.next_action` falls due at `sub.next_action_at`; `at` is when it happens."""
    return or_suspended(sub, _act(sub, action, facts, at, new_id), action, facts, at, new_id)


def _act(sub: Subscription, action: Action, facts: Facts, at: datetime, new_id: NewId) -> Step:
    due = sub.next_action_at or at
    match action:
        case "renew":
            return renew(sub, facts, due, at, new_id)
        case "trial_end":
            return trial_ran_out(sub, facts, at, new_id)
        case "cancel":
            return close(sub, "canceled", "cancel_date_reached", sub.cancel_at or due, at, facts, new_id)
        case "expire":
            return close(sub, "expired", "end_reached", due, at, facts, new_id)
        case "resume":
            return resume(sub, facts, due, False, new_id, "resume_date_reached")
        case "change":
            raise AssertionError("changes are made where what they give back can be read: commands.changing")
        case "start":
            step = enter(sub, facts, due, new_id, "start")
            changes = changed(sub, step.subscription, "start_reached", at, facts.actor, new_id)
            return evolve(step, changes=changes)


def _free(sub: Subscription, back: State) -> Subscription:
    """The subscription as it is when the hold is over."""
    return evolve(sub, state=back, previous_state=None, held_at=None, resume_at=None, unused=None)


def end_after_hold(sub: Subscription, facts: Facts, at: datetime, new_id: NewId, event: Event) -> Step:
    """The hold ends and the subscription with it: usage is billed, but no new period, which would end as it begins."""
    lines, usage = closing_lines(sub, facts, at)
    free = _free(sub, sub.previous_state or "active")
    changes = changed(sub, free, event, at, facts.actor, new_id)
    ended = _ended(free, "expired", "end_reached", at, at, facts, new_id)
    changes = (*changes, *ended.changes)
    return evolve(ended, before=sub, lines=(*lines, *facts.waiting), changes=changes, usage=usage, usage_until=at)


def _dates_of_base(facts: Facts) -> Schedule | None:
    """The boundaries of an add-on, counted from its base's anchor where that has begun to be billed (behaviour 6.6)."""
    if facts.base is None or facts.base.anchor is None:
        return None
    assert facts.price.every is not None
    return schedule_of(facts.base, facts.price.every, facts.zone, facts.settings)


def _appended(sub: Subscription, free: Subscription, facts: Facts, hold: Period) -> Subscription:
    """What was left of the running period behind a hold: all that was to come in it comes later by its length."""
    assert sub.period_end is not None
    end = sub.period_end + (hold.end - hold.start)
    moved = evolve(
        free,
        anchor=end,
        billing_day=None,
        period_end=end,
        arrears_from=hold.end,
        changed_at=_later(sub.changed_at, hold),
        free_until=_later(sub.free_until, hold),
        items=tuple(going_on(_shifted(item, hold), facts.prices[item.price_id].bill, hold.end) for item in free.items),
    )
    return planned(with_expiry(with_span(moved, price_span(sub)), facts.schedule(moved), end))


def _shifted(item: Item, hold: Period) -> Item:
    """A component's own period, moved by the length of a hold, and from when on it is there as it is."""
    by, added_at = hold.end - hold.start, _later(item.added_at, hold)
    assert added_at is not None
    item = evolve(item, added_at=added_at, changed_at=_later(item.changed_at, hold))
    if item.period_start is None or item.period_end is None:
        return item
    return evolve(item, period_start=item.period_start + by, period_end=item.period_end + by)


def _later(instant: datetime | None, hold: Period) -> datetime | None:
    """An instant that was to come when a hold began is as far ahead when it ends."""
    if instant is None or instant <= hold.start:
        return instant
    return instant + (hold.end - hold.start)


def _rest_of_period(
    sub: Subscription, facts: Facts, at: datetime, new_id: NewId
) -> tuple[Subscription, list[DraftLine], Renewal]:
    """The period that holds `at`, charged from `at` on: the running one, after its end the old anchor's."""
    assert sub.period_end is not None
    if at < sub.period_end:
        rest, span = cut_short(sub, facts, Period(at, sub.period_end)), price_span(sub)
    else:
        schedule = facts.schedule(sub)
        end = schedule.boundary_after(at)
        rest = cut_short(sub, facts, Period(at, end))
        span = span_of(Period(schedule.boundary_before(end), end), schedule)
    entered = evolve(sub, period_start=at, period_end=rest.end, sequence=sub.sequence + 1, arrears_from=at)
    entered = with_span(entered, span)
    lines: list[DraftLine | None] = []
    for piece, of_span in pieces(entered, facts, at, rest.end):
        if facts.price.bill == "advance":
            lines.append(product_line(entered, facts, piece, of_span))
        lines += [item_line(entered, item, facts, piece, of_span) for item in advance_items(entered, facts)]
    made = [line for line in lines if line is not None]
    return planned(entered), made, renewal_of(entered, rest, at, new_id)


def _ended(
    sub: Subscription,
    target: State,
    event: Event,
    ended_at: datetime,
    at: datetime,
    facts: Facts,
    new_id: NewId,
) -> Step:
    items = tuple(evolve(item, ended_at=ended_at) if item.ended_at is None else item for item in sub.items)
    after = planned(
        evolve(sub, state=target, previous_state=None, ended_at=ended_at, items=items, resume_at=None),
    )
    return Step(after, sub, "final", changes=changed(sub, after, event, at, facts.actor, new_id))
