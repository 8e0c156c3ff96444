"""Changes of subscriptions: what was asked for, when it comes into effect, and what there was before (behaviour 6)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal

from attrs import field, frozen

from billcore.domain.draft import DraftLine
from billcore.domain.facts import Facts
from billcore.domain.periods import Schedule
from billcore.domain.proration import WHOLE, Portion
from billcore.domain.step import Step
from billcore.domain.subscription import Item
from billcore.settings import ChangeMode

ChangeKind = Literal["change", "reactivate"]
ChangeStatus = Literal["waiting", "applied", "dropped", "refused"]
PeriodMode = Literal["keep", "reset"]
InvoiceAt = Literal["now", "renewal"]


@frozen
class Change:
    """One change of a subscription: planned, or what became of it.

    `parameters` is JSON: what was asked for, as the command read it. `at` is when it comes into effect, None at the
    renewal; one with `invoice_id` waits for the payment of that draft. `before` is JSON: price, quantity and components
    as they were until then, known when it was applied.
    """

    id: str
    customer_id: str
    subscription_id: str
    kind: ChangeKind
    parameters: str
    created_at: datetime
    actor: str
    at: datetime | None = None
    status: ChangeStatus = "waiting"
    decided_at: datetime | None = None
    invoice_id: str | None = None
    before: str | None = None


@frozen
class ItemChange:
    """What becomes of one component: None before it is added; one that is removed has ended afterwards."""

    before: Item | None
    after: Item

    @property
    def units_before(self) -> Decimal:
        """How many units there are until then; of one that has ended none."""
        return self.before.quantity if self.before is not None and self.before.ended_at is None else Decimal(0)

    @property
    def units_after(self) -> Decimal:
        """How many units there are from then on."""
        return self.after.quantity if self.after.ended_at is None else Decimal(0)


@frozen
class Target:
    """What is to be subscribed to from a change on: the surroundings of its price, the quantity, changed components."""

    facts: Facts
    quantity: Decimal
    items: tuple[ItemChange, ...] = ()


@frozen
class Wish:
    """How a change is to be billed (behaviour 6.1, 6.3).

    `proration` None means prorated for the product, and for components what their prices say for the direction.
    `upgrade` and `downgrade` are those of the call; `billing_day` 0 takes the day away, None leaves it. A new period
    has the boundaries of `anchored` where they are given: those of an add-on's base. It `replaces` what waits.
    """

    at: datetime
    proration: ChangeMode | None = None
    period: PeriodMode = "keep"
    upgrade: ChangeMode | None = None
    downgrade: ChangeMode | None = None
    invoice_at: InvoiceAt | None = None
    billing_day: int | None = None
    include_trial: bool = False
    anchored: Schedule | None = None
    replaces: bool = False


@frozen
class GiveBack:
    """What becomes of the billed time of an item that lies after a change.

    `share`: its unused share is given back; `part`: that part of what its lines billed, whose time stays covered
    unless it `ends`; `nothing`: it is not given back, its coverage just ends. The credit `waits` for the renewal where
    it is not billed now.
    """

    how: Literal["share", "part", "nothing"]
    part: Portion = WHOLE
    ends: bool = True
    waits: bool = False


@frozen
class Decision:
    """What a change wants: the step with its charges, what is given back by item id, and charges that wait."""

    step: Step
    given_back: Mapping[str, GiveBack] = field(factory=dict)
    waiting: tuple[DraftLine, ...] = ()
