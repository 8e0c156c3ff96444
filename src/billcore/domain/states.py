"""The states of a subscription and what each event makes of them: one table, every cell decided (behaviour 5)."""

from collections.abc import Mapping
from typing import Literal, get_args

from attrs import frozen

from billcore.errors import Refused

State = Literal[
    "pending",
    "awaiting_signup",
    "trialing",
    "active",
    "soft_failure",
    "past_due",
    "unpaid",
    "on_hold",
    "suspended",
    "paused",
    "trial_ended",
    "canceled",
    "expired",
    "failed_to_create",
]
STATES: tuple[State, ...] = get_args(State)

LIVE: frozenset[State] = frozenset({"trialing", "active"})
PROBLEM: frozenset[State] = frozenset({"soft_failure", "past_due", "unpaid", "suspended", "paused"})
END: frozenset[State] = frozenset({"canceled", "expired", "trial_ended", "failed_to_create"})
BILLING: frozenset[State] = frozenset({"active", "soft_failure", "past_due", "unpaid"})
"""States in which periods advance and invoices are issued."""

Event = Literal[
    # at signup
    "signup_settled",
    "signup_refused",
    "signup_left_unpaid",
    # by the clock
    "start_reached",
    "trial_ran_out",
    "renewal_due",
    "cancel_date_reached",
    "end_reached",
    "resume_date_reached",
    # by the money
    "payment_declined",
    "payment_unknown",
    "payment_not_sent",
    "debt_paid",
    "dunning_ended",
    "balance_short",
    "balance_topped_up",
    # by hand
    "activate",
    "change",
    "cancel",
    "schedule_cancel",
    "uncancel",
    "change_billing_date",
    "set_term",
    "hold",
    "resume",
    "retry",
    "reactivate",
    "pause",
    "unpause",
    "payer_changed",
]
EVENTS: tuple[Event, ...] = get_args(Event)


@frozen
class Allowed:
    """The states an event may lead to; which one, the facts decide."""

    targets: tuple[State, ...]


@frozen
class Refusal:
    """The event is not possible in this state; the command raises `code` and nothing changes."""

    code: str = "transition_not_allowed"


Cell = Allowed | Refusal
REFUSED = Refusal()


def _row(cells: Mapping[State, tuple[State, ...]]) -> Mapping[State, Cell]:
    return {state: Allowed(cells[state]) if state in cells else REFUSED for state in STATES}


def _staying(states: frozenset[State]) -> dict[State, tuple[State, ...]]:
    return {state: (state,) for state in STATES if state in states}


_NOT_ENDED: frozenset[State] = frozenset(STATES) - END
_RUNNING: frozenset[State] = LIVE | PROBLEM

# Facts about money arrive late and for any state; where they change nothing, the state stays.
_ANY = frozenset(STATES)

TABLE: Mapping[Event, Mapping[State, Cell]] = {
    "signup_settled": _row({"pending": ("active", "trialing", "awaiting_signup")}),
    "signup_refused": _row({"pending": ("failed_to_create",), "awaiting_signup": ("failed_to_create",)}),
    "signup_left_unpaid": _row({"pending": ("past_due",), "awaiting_signup": ("past_due",)}),
    "start_reached": _row({"awaiting_signup": ("trialing", "active", "pending", "suspended")}),
    "trial_ran_out": _row({"trialing": ("active", "past_due", "suspended", "trial_ended", "canceled")}),
    "renewal_due": _row(_staying(BILLING) | {"active": ("active", "suspended"), "past_due": ("past_due", "suspended")}),
    "cancel_date_reached": _row(dict.fromkeys(_NOT_ENDED - {"pending"}, ("canceled",))),
    "end_reached": _row(dict.fromkeys(BILLING | {"trialing", "suspended"}, ("expired",))),
    "resume_date_reached": _row({"on_hold": ("active", "trialing", "suspended", "past_due")}),
    "payment_declined": _row(
        _staying(_ANY)
        | {
            "active": ("past_due", "canceled"),
            "trialing": ("past_due",),
            "soft_failure": ("past_due", "canceled"),
        }
    ),
    "payment_unknown": _row(_staying(_ANY) | {"active": ("soft_failure",), "trialing": ("soft_failure",)}),
    "payment_not_sent": _row(_staying(_ANY) | {"soft_failure": ("active", "trialing")}),
    "debt_paid": _row(
        _staying(_ANY) | {"past_due": ("active",), "unpaid": ("active",), "soft_failure": ("active", "trialing")}
    ),
    "dunning_ended": _row(
        _staying(_ANY)
        | {
            "past_due": ("canceled", "unpaid", "past_due"),
            "unpaid": ("canceled", "unpaid"),
            "soft_failure": ("canceled", "unpaid", "soft_failure"),
        }
    ),
    "balance_short": _row({"active": ("suspended",)}),
    "balance_topped_up": _row({"suspended": ("active", "trialing")}),
    "activate": _row({"awaiting_signup": ("active",), "trialing": ("active",)}),
    "change": _row(_staying(BILLING | {"trialing", "suspended"}) | {"active": ("active", "trialing")}),
    "cancel": _row(dict.fromkeys(_NOT_ENDED - {"pending"}, ("canceled",))),
    "schedule_cancel": _row(_staying(_NOT_ENDED - {"pending"})),
    "uncancel": _row(_staying(_NOT_ENDED - {"pending"})),
    "change_billing_date": _row(_staying(BILLING | {"trialing"})),
    "set_term": _row(_staying(_NOT_ENDED - {"pending"})),
    "hold": _row({"active": ("on_hold",), "trialing": ("on_hold",)}),
    "resume": _row({"on_hold": ("active", "trialing", "past_due")}),
    "retry": _row({"past_due": ("past_due",), "unpaid": ("unpaid",), "soft_failure": ("soft_failure",)}),
    "reactivate": _row(
        {
            "canceled": ("active", "trialing"),
            "trial_ended": ("active", "trialing"),
            "expired": ("active", "trialing"),
            "unpaid": ("active", "trialing"),
        }
    ),
    "pause": _row(dict.fromkeys(_RUNNING - {"paused"}, ("paused",))),
    "unpause": _row({"paused": ("trialing", "active", "soft_failure", "past_due", "unpaid", "suspended")}),
    # What is owed stays with who owed it: the next payer begins without debt.
    "payer_changed": _row(
        _staying(_ANY - {"pending", "failed_to_create"})
        | {"past_due": ("active",), "unpaid": ("active",), "soft_failure": ("active", "trialing")}
    ),
}


def allowed_events(state: State) -> tuple[Event, ...]:
    """The events that are not refused in `state`, in the order of the table."""
    return tuple(event for event in EVENTS if isinstance(TABLE[event][state], Allowed))


BY_HAND: frozenset[Event] = frozenset(EVENTS[EVENTS.index("activate") :])

# What users can ask for today; a planned cancellation is the same command as one at once.
_COMMANDS: Mapping[Event, str] = {
    "activate": "activate",
    "change": "change",
    "change_billing_date": "change_billing_date",
    "set_term": "set_term",
    "reactivate": "reactivate",
    "cancel": "cancel",
    "schedule_cancel": "cancel",
    "uncancel": "uncancel",
    "hold": "hold",
    "resume": "resume",
    "retry": "retry",
    "pause": "pause",
    "unpause": "unpause",
}


def check(state: State, event: Event, what: str) -> None:
    """Refuse `event` for the subscription named `what` where the table refuses it.

    Raises `Refused` with the cell's code, naming the state and what is allowed instead.
    """
    cell = TABLE[event][state]
    if isinstance(cell, Refusal):
        allowed = [name for name in allowed_events(state) if name in BY_HAND]
        commands = dict.fromkeys(_COMMANDS[name] for name in allowed if name in _COMMANDS)
        raise Refused(
            cell.code,
            f"Subscription {what} is {state}; {_COMMANDS.get(event, event)} is not possible.",
            remedy=f"Possible now: {', '.join(commands)}." if commands else "Nothing is possible any more.",
            state=state,
            event=event,
            allowed=allowed,
        )


def require_alive(state: State, what: str, command: str) -> None:
    """Refuse a command for the subscription named `what` that has ended, or waits for its first payment."""
    if state not in END and state != "pending":
        return
    raise Refused(
        "transition_not_allowed",
        f"Subscription {what} is {state}; {command} is not possible.",
        remedy="Wait for the outcome of its payment." if state == "pending" else "Nothing of it is billed any more.",
        state=state,
        event=command,
    )


def move(state: State, event: Event, target: State, what: str) -> State:
    """The state after `event`, which the facts want to be `target`; anything the table does not hold is refused."""
    check(state, event, what)
    cell = TABLE[event][state]
    assert isinstance(cell, Allowed)
    if target in cell.targets:
        return target
    if cell.targets == (state,):  # A fact that changes nothing here.
        return state
    raise AssertionError(f"{state} --{event}--> {target} is not in the table: {cell.targets}")
