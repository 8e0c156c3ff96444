"""Invoices, credit notes and their lines (behaviour 8)."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, get_args

from attrs import frozen

from billcore.domain.payment import Cause
from billcore.domain.values import Stored
from billcore.errors import Refused

InvoiceStatus = Literal["draft", "open", "paid", "void", "uncollectible"]
INVOICE_STATUSES: tuple[InvoiceStatus, ...] = get_args(InvoiceStatus)
InvoiceEvent = Literal["issue", "discard", "pay", "credit", "refund", "void", "write_off"]
INVOICE_EVENTS: tuple[InvoiceEvent, ...] = get_args(InvoiceEvent)

# event -> status -> the statuses it may lead to; which one, the amounts decide. A missing cell refuses the
# event (behaviour 8.5). What was written off is never creditable (3.5), only what was paid before is, but it may
# still be paid; a refund without a credit note opens the invoice again (9.6).
INVOICE_TABLE: Mapping[InvoiceEvent, Mapping[InvoiceStatus, tuple[InvoiceStatus, ...]]] = {
    "issue": {"draft": ("open", "paid")},
    "discard": {"draft": ("draft",)},
    "pay": {"open": ("open", "paid"), "uncollectible": ("uncollectible", "paid")},
    "credit": {"open": ("open", "paid"), "paid": ("paid",), "uncollectible": ("uncollectible",)},
    "refund": {"open": ("open",), "paid": ("paid", "open")},
    "void": {"open": ("void",)},
    "write_off": {"open": ("uncollectible",)},
}
LineKind = Literal[
    "product", "component", "usage", "trial", "setup_fee", "one_time", "shipping", "minimum", "credit", "top_up"
]
Purpose = Literal[
    "signup",
    "activation",
    "start",
    "trial_end",
    "renewal",
    "resume",
    "change",
    "reactivation",
    "final",
    "usage",
    "top_up",
    "ad_hoc",
]
CreditTo = Literal["credit", "refund", "invoice"]


@frozen(slots=False)
class Line:
    """One line of an invoice or a credit note: one of the two ids is set; neither while it waits for the renewal.

    Amounts are minor units of the document's currency: `amount` is as priced; `discount` and `tax` are its
    parts of the document's; `tax_included` is the part of `tax` inside an inclusive price. `basis` is JSON:
    how the amount was computed (behaviour 3.7). One that has `waited` for its document is stored already; on
    which `layer` of its item's time it lies is kept with its coverage.
    """

    id: str
    invoice_id: str | None
    credit_note_id: str | None
    customer_id: str
    subscription_id: str | None
    item_id: str | None
    kind: LineKind
    price_id: str | None
    code: str | None
    description: str
    start: datetime | None
    end: datetime | None
    quantity: Decimal
    amount: int
    discount: int
    tax: int
    tax_included: int
    basis: str
    credits_line_id: str | None = None
    waited: bool = False
    layer: int = 0

    @property
    def total(self) -> int:
        """What the line adds to its document's total."""
        return self.amount - self.discount + self.tax - self.tax_included


@frozen(slots=False)
class Invoice(Stored):
    """What a customer owes for something. Amounts are minor units of `currency`.

    total = subtotal - discount + tax - tax_included = credited + paid + due, unless it is void. `collect_at` is when an
    automatic attempt is made next (remittance: when it falls overdue), None when nothing is planned,
    `collect_for` why; `overdue` invoices keep their subscriptions past due; `reserved_by` is the payment in
    doubt (behaviour 9.3). `reference` is the host's own name for it; `terms` are the days from issue to due that a
    draft will have, None for those of its collection. One to `top_up` a prepayment is never issued: it holds the
    attempts.
    """

    id: str
    customer_id: str
    subscription_id: str | None
    purpose: Purpose
    currency: str
    status: InvoiceStatus
    collection: str
    created_at: datetime
    subtotal: int
    discount: int
    tax: int
    tax_included: int
    total: int
    series: str = ""
    number: int | None = None
    number_text: str | None = None
    issued_at: datetime | None = None
    due_at: datetime | None = None
    credited: int = 0
    paid: int = 0
    attempts: int = 0
    collect_at: datetime | None = None
    collect_for: Cause = "collection"
    overdue: bool = False
    reserved_by: str | None = None
    discarded_at: datetime | None = None
    reference: str | None = None
    terms: int | None = None
    version: int = 1
    lines: tuple[Line, ...] = ()

    @property
    def due(self) -> int:
        """What is still owed: total - credited - paid; of a void invoice nothing."""
        return 0 if self.status == "void" else self.total - self.credited - self.paid

    def after(self, event: InvoiceEvent, target: InvoiceStatus) -> InvoiceStatus:
        """The status after `event`, which the amounts want to be `target`.

        Raises Refused transition_not_allowed where the table has no such step, naming what is possible.
        """
        targets = INVOICE_TABLE[event].get(self.status, ())
        if target in targets:
            return target
        if targets:
            raise AssertionError(f"{self.status} --{event}--> {target} is not in the table: {targets}")
        allowed = [name for name in INVOICE_EVENTS if self.status in INVOICE_TABLE[name]]
        raise Refused(
            "transition_not_allowed",
            f"Invoice {self.number_text or self.id} is {self.status}; {event} is not possible.",
            remedy=f"Possible now: {', '.join(allowed)}." if allowed else "Nothing is possible any more.",
            state=self.status,
            event=event,
            allowed=allowed,
        )


@frozen
class CreditNote:
    """What is given back. `total` is positive; its lines have the signs of an invoice (credits negative)."""

    id: str
    customer_id: str
    subscription_id: str | None
    invoice_id: str | None
    currency: str
    to: CreditTo
    created_at: datetime
    issued_at: datetime
    subtotal: int
    discount: int
    tax: int
    tax_included: int
    total: int
    series: str = "CN"
    number: int | None = None
    number_text: str | None = None
    reason: str | None = None
    lines: tuple[Line, ...] = ()


@frozen(slots=False)
class Coverage:
    """The time of an item that a line has billed: at most one active row per item, layer and start (8.4).

    Layer 0 is the item itself; what was added to it at its whole price inside a period lies on a layer above, as it
    covers the same time once more (6.3). `billed_from` and `billed_until` bound the billed time where that is not where
    the line says: behind a hold that it was appended to (5.2), up to a moved billing date (7.2).
    """

    id: str
    customer_id: str
    item_id: str
    start: datetime
    end: datetime
    line_id: str
    status: Literal["active", "credited", "void"] = "active"
    layer: int = 0
    billed_until: datetime | None = None
    billed_from: datetime | None = None


@frozen(slots=False)
class Renewal:
    """One billing of a subscription: exactly one per sequence, whatever happens (behaviour 8.4).

    A `free` one bills nothing for its time, by agreement. What one full price covered, at the interval of `price_id`,
    is the period as it was billed, or the span where that is another (behaviour 3.2).
    """

    id: str
    customer_id: str
    subscription_id: str
    sequence: int
    period_start: datetime
    period_end: datetime
    billed_at: datetime
    price_id: str
    invoice_id: str | None
    free: bool = False
    span_start: datetime | None = None
    span_end: datetime | None = None
