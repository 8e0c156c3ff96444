"""What happened: changes of state, events for the outside and the audit log (behaviour 5.3, 15)."""

from datetime import datetime

from attrs import frozen

from billcore.domain.states import State


@frozen
class StateChange:
    """A subscription's step from one state to another: when, why and by whom."""

    id: str
    customer_id: str
    subscription_id: str
    previous: State | None
    state: State
    at: datetime
    cause: str
    actor: str


@frozen(slots=False)
class Event:
    """A fact for plugins and hosts, kept in the outbox until it was delivered. `data` is JSON."""

    id: str
    customer_id: str
    at: datetime
    kind: str
    subject_id: str
    data: str
    delivered_at: datetime | None = None
    attempts: int = 0


@frozen
class AuditRecord:
    """Who asked for what, with which parameters, and what came of it. `parameters` and `result` are JSON."""

    id: str
    at: datetime
    actor: str
    command: str
    parameters: str
    result: str
