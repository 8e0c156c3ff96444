"""The operator's pause of a subscription, and how it goes on (behaviour 5.2)."""

from billcore.domain.states import State, check, move
from billcore.domain.step import planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import evolve


def pause(sub: Subscription) -> Subscription:
    """Stop a subscription: nothing that falls due is done until it goes on. Raises transition_not_allowed."""
    check(sub.state, "pause", sub.reference)
    return planned(evolve(sub, state=move(sub.state, "pause", "paused", sub.reference), paused_state=sub.state))


def unpause(sub: Subscription, *, owes: bool) -> Subscription:
    """Go on in the state before; what happened to its money meanwhile counts.

    `owes`: it stands on an overdue invoice. Raises transition_not_allowed.
    """
    check(sub.state, "unpause", sub.reference)
    back: State = sub.paused_state or "active"
    if back in ("active", "trialing", "soft_failure") and owes:
        back = "past_due"
    elif back in ("past_due", "unpaid") and not owes:
        back = "active"
    return planned(evolve(sub, state=move(sub.state, "unpause", back, sub.reference), paused_state=None))
