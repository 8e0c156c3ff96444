"""When a subscription is billed and when it ends, changed (behaviour 7.2, 7.4)."""

from datetime import datetime
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.facts import facts_for
from billcore.commands.parameters import BillingDay, Instant, Options, SubscriptionRef, Term, as_day, as_instant
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now
from billcore.commands.unused import give_back_of, move_coverage
from billcore.commands.verb import Noun, verb
from billcore.commands.waiting import keep_waiting
from billcore.domain.bill import record
from billcore.domain.billing_date import move_billing_date
from billcore.domain.catalog import Price
from billcore.domain.draft import DraftLine
from billcore.domain.expiry import without_term
from billcore.domain.states import check
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Subscription
from billcore.errors import InvalidValue, Refused
from billcore.store import change as changes
from billcore.store import subscription as subscriptions


class Dates(Noun):
    """Verbs that move the dates of a subscription."""

    noun = "subscriptions"

    @verb(collects=True)
    def change_billing_date(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        next_billing_at: Instant | None = None,
        billing_day: BillingDay | None = None,
        proration: Literal["none", "prorated"] = "none",
        **options: Unpack[Options],
    ) -> Subscription:
        """Let the running period end at `next_billing_at`, or move the billing day for good; add-ons go along.

        Nothing is charged or given back, unless `proration = "prorated"`: then the extension is billed, the cut given
        back. Without `billing_day` the next period is short again. In a trial it moves the trial's end. Terms go along
        where the setting `expiry_follows` says so (behaviour 7.2). Raises transition_not_allowed, invalid_value,
        payment_in_doubt.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "change_billing_date", sub.reference)
        next_at, day = as_instant(next_billing_at), as_day(billing_day)
        price = scope.prices([sub.price_id])[sub.price_id]
        _require_date(scope, sub, price, next_at, day)
        addons = subscriptions.addons(scope.tx, [sub.id], scope.catalog.coupons)
        going = [sub, *(addon for addon in addons if addon.ended_at is None and addon.period_end == sub.period_end)]
        steps = [_move(scope, each, next_at, day, proration == "prorated") for each in going]
        bill_all_now(scope, steps)
        moved = steps[0].subscription
        record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.billing_date_changed", sub.id)
        return moved

    @verb()
    def set_term(
        self, scope: Scope, subscription: SubscriptionRef, ends_at: Term, **options: Unpack[Options]
    ) -> Subscription:
        """Let a subscription end at an instant, or never by itself ("evergreen"); add-ons end with it.

        The last period is prorated: charged shorter where its end is known when it is billed, else what lies beyond is
        given back as credit when it ends (behaviour 7.4). Raises transition_not_allowed, invalid_value for the past.
        """
        sub = scope.subscription(subscription)
        check(sub.state, "set_term", sub.reference)
        end = ends_at if isinstance(ends_at, datetime) else None
        if end is not None and end <= scope.now:
            raise InvalidValue(
                f"{end:%Y-%m-%d %H:%M} UTC is over.",
                remedy="Name a later date, or cancel the subscription.",
                parameter="ends_at",
            )
        after = evolve(sub if end is not None else without_term(sub), ends_at=end)
        scope.writes.put(planned(after))
        record(scope.writes, scope.new_id, sub.customer_id, scope.now, "subscription.term_set", sub.id)
        return planned(after)


def _move(scope: Scope, sub: Subscription, next_at: datetime | None, day: int | None, prorated: bool) -> Step:
    facts = facts_for(scope, sub, scope.customer(sub.customer_id), scope.now)
    running = changes.running(scope.tx, sub.customer_id, sub.id, sub.sequence)
    moved = move_billing_date(sub, facts, next_at, day, prorated=prorated, running=running)
    returned: tuple[DraftLine, ...] = ()
    if next_at is not None and moved.given_back:
        given_back = give_back_of(scope, sub, facts, next_at, moved.given_back)
        returned = given_back.lines
        keep_waiting(scope, sub, given_back.waiting)
    if moved.covered_until is not None:
        move_coverage(scope, sub, moved.covered_until)
    return evolve(moved.step, lines=(*returned, *moved.step.lines), collects=sub.state != "unpaid")


def _require_date(scope: Scope, sub: Subscription, price: Price, next_at: datetime | None, day: int | None) -> None:
    if next_at is None and day is None:
        raise Refused(
            "invalid_parameter",
            "Neither next_billing_at nor billing_day is given.",
            remedy="Give one of them at least.",
            parameter="next_billing_at",
        )
    if sub.base_id is not None:
        raise InvalidValue(
            f"Subscription {sub.reference} is an add-on: it has the dates of its base.",
            remedy="Move the dates of its base.",
            parameter="subscription",
        )
    if day is not None and (price.every is None or price.every.months is None):
        raise InvalidValue(
            f"Price {price.code} is billed every {price.every}; it has no billing day.",
            remedy="Only prices of months or years have one.",
            parameter="billing_day",
        )
    if next_at is None:
        return
    if next_at <= scope.now:
        raise InvalidValue(
            f"{next_at:%Y-%m-%d %H:%M} UTC is not in the future.",
            remedy="Choose a date to come.",
            parameter="next_billing_at",
        )
    # Terms that follow are never behind; a cancellation stays where it was planned.
    terms = () if scope.settings.expiry_follows else (sub.ends_at, sub.expires_at)
    ends = [end for end in (*terms, sub.cancel_at) if end is not None]
    if ends and next_at > min(ends):
        raise InvalidValue(
            f"Subscription {sub.reference} ends before that, at {min(ends):%Y-%m-%d %H:%M} UTC.",
            remedy="Choose an earlier date, or let it end later (subscriptions.set_term).",
            parameter="next_billing_at",
        )
