"""A subscription: an agreement to be billed for a product and its components, period by period (behaviour 5)."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from attrs import frozen

from billcore.domain.discount import AppliedCoupon
from billcore.domain.states import State
from billcore.domain.values import Stored

Collection = Literal["automatic", "remittance", "prepaid"]
FirstCharge = Literal["prorated", "full", "none"]
Unused = Literal["forfeit", "credit", "extend"]
Action = Literal["resume", "cancel", "expire", "change", "start", "trial_end", "renew"]

# Behaviour 2.5: what comes first when several things fall due at one instant.
ACTION_ORDER: tuple[Action, ...] = ("resume", "cancel", "expire", "change", "start", "trial_end", "renew")
_RANK = {action: rank for rank, action in enumerate(ACTION_ORDER)}


@frozen
class Item:
    """A component on a subscription: `quantity` units at one price.

    `period_start` and `period_end` are set only where the price has its own interval; others follow the product.
    `paid_quantity` is for how many units the running period is paid, where that is more than there are (behaviour 6.3);
    `changed_at` is since when there are so many, where that changed.
    """

    id: str
    subscription_id: str
    component: str
    price_id: str
    quantity: Decimal
    added_at: datetime
    period_start: datetime | None = None
    period_end: datetime | None = None
    ended_at: datetime | None = None
    paid_quantity: Decimal | None = None
    changed_at: datetime | None = None


@frozen(slots=False)
class Subscription(Stored):
    """One agreement. Instants are UTC; `sequence` counts the billings so far and is the number of the last one.

    `customer_id` is who owes; `owner_id` is who subscribed, where somebody else pays for him. `anchor` is a boundary
    instant from which all others are counted (behaviour 2.2); `previous_state` is where soft_failure, on_hold and
    suspended came from, `paused_state` where the operator stopped it; phases count from `priced_from`; what is billed
    in arrears begins at `arrears_from`, what is billed for time not before `free_until`; price and quantity are as
    they are since `changed_at`. `lasts_until` is how long its price lets it last, `expires_at` the boundary where that
    ends it. `span_start` and `span_end` are what one full price covers, where that is not the running period itself
    (3.2). A planned change waits as `change_id` for `change_at`, or for the renewal.
    `next_action` with `next_action_at` is what comes next. A prepaid one is topped up by `top_up_amount` when its
    prepayment falls below `top_up_below` (minor units), once until it has been above: `top_up_id` is the document of
    that. `referred_by` is the subscription whose code was used; its customer was thanked at `referral_paid_at`. One
    that was deleted and has documents is archived at `archived_at`: lists leave it out.
    """

    id: str
    reference: str
    customer_id: str
    currency: str
    price_id: str
    quantity: Decimal
    state: State
    created_at: datetime
    collection: Collection = "automatic"
    owner_id: str | None = None
    previous_state: State | None = None
    paused_state: State | None = None
    starts_at: datetime | None = None
    activated_at: datetime | None = None
    trial_until: datetime | None = None
    anchor: datetime | None = None
    priced_from: datetime | None = None
    arrears_from: datetime | None = None
    free_until: datetime | None = None
    changed_at: datetime | None = None
    billing_day: int | None = None
    first_charge: FirstCharge = "prorated"
    period_start: datetime | None = None
    period_end: datetime | None = None
    span_start: datetime | None = None
    span_end: datetime | None = None
    sequence: int = 0
    ends_at: datetime | None = None
    lasts_until: datetime | None = None
    expires_at: datetime | None = None
    cancel_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    cancel_credit: str | None = None
    cancel_refund: str | None = None
    cancel_void_open: bool = False
    ended_at: datetime | None = None
    held_at: datetime | None = None
    resume_at: datetime | None = None
    unused: Unused | None = None
    net_terms: int | None = None
    payment_method_id: str | None = None
    base_id: str | None = None
    change_id: str | None = None
    change_at: datetime | None = None
    referral_code: str | None = None
    referred_by: str | None = None
    referral_paid_at: datetime | None = None
    tax_exempt: bool = False
    send_invoice_emails: bool = True
    top_up_below: int | None = None
    top_up_amount: int | None = None
    top_up_id: str | None = None
    next_action_at: datetime | None = None
    next_action: Action | None = None
    parked_at: datetime | None = None
    parked_reason: str | None = None
    archived_at: datetime | None = None
    version: int = 1
    items: tuple[Item, ...] = ()
    coupons: tuple[AppliedCoupon, ...] = ()

    @property
    def owner(self) -> str:
        """The customer who subscribed, by id: who owes, unless somebody else pays for him (behaviour 14)."""
        return self.owner_id or self.customer_id

    @property
    def access_until(self) -> datetime | None:
        """When access ends as things stand: the planned or actual end, None while it goes on."""
        if self.ended_at is not None:  # On hold a planned end may have passed before.
            return self.ended_at
        ends = [at for at in (self.cancel_at, self.ends_at, self.expires_at) if at is not None]
        return min(ends) if ends else None

    @property
    def ends_with_period(self) -> bool:
        """Whether it is to be canceled when its running period is over, not at a date that cut the period short."""
        return self.cancel_at is not None and self.cancel_at == self.period_end == (self.span_end or self.period_end)


def next_action(sub: Subscription) -> tuple[datetime, Action] | None:
    """The next thing the engine has to do for `sub`, or None when nothing is due any more (behaviour 2.5, 5.2)."""
    planned: list[tuple[datetime | None, Action]]
    ends: list[tuple[datetime | None, Action]] = [(sub.ends_at, "expire"), (sub.expires_at, "expire")]
    match sub.state:
        case "on_hold":
            # Where the period that is appended ends, the resume says.
            cancel_at = None if sub.unused == "extend" and sub.ends_with_period else sub.cancel_at
            planned = [(sub.resume_at, "resume"), (cancel_at, "cancel")]
        case "suspended":
            planned = [(sub.cancel_at, "cancel"), *ends]
        case "awaiting_signup":
            planned = [(sub.starts_at, "start"), (sub.cancel_at, "cancel")]
        case "trialing":
            planned = [(sub.trial_until, "trial_end"), (sub.cancel_at, "cancel"), (sub.change_at, "change"), *ends]
        case "active" | "past_due" | "unpaid" | "soft_failure":
            # Without a boundary there was no paid period yet: what went wrong did so during the trial.
            boundary: Action = "renew" if sub.anchor is not None else "trial_end"
            planned = [(sub.period_end, boundary), (sub.cancel_at, "cancel"), (sub.change_at, "change"), *ends]
            planned += [(item.period_end, "renew") for item in sub.items]
        case _:
            return None
    due = [(at, _RANK[action]) for at, action in planned if at is not None]
    if not due:
        return None
    at, rank = min(due)
    return at, ACTION_ORDER[rank]
