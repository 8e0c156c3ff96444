"""One invoice that is being collected, with its payer's subscriptions and dunning case (behaviour 5.2, 9.5)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from attrs import frozen

from billcore.domain.bill import Site, issue, put_subscription, record_change
from billcore.domain.credit import Credit
from billcore.domain.dunning import DunningCase, first_step, is_over
from billcore.domain.event import StateChange
from billcore.domain.invoice import Invoice, InvoiceEvent, Renewal
from billcore.domain.payment import Cause, Chain
from billcore.domain.periods import Period
from billcore.domain.renewal import renewal_of
from billcore.domain.states import END, Event, State, move
from billcore.domain.step import Step, planned
from billcore.domain.subscription import Subscription
from billcore.domain.values import NewId, evolve
from billcore.domain.writes import Writes

WAITS_FOR_PAYMENT = ("activation", "change", "reactivation")
"""Purposes of drafts whose payment brings about what a command asked for, of a subscription that is there already."""


@frozen
class Account:
    """One payer's money matters in one currency.

    `subscriptions` are the payer's that stand on the invoice or are past due, unpaid or in soft failure;
    `overdue` are all overdue invoices by id, each with the ids of the subscriptions that stand on it;
    `resting` are the ids of those that no dunning is about: of remittance, or of subscriptions that are unpaid or on
    hold; `activation` makes the step that a draft's payment brings about for a subscription that is there already;
    `chain` are the attempts that have led to this one, where another method may follow at once on a decline, and `more`
    says that one is left.
    """

    zone: str
    subscriptions: tuple[Subscription, ...] = ()
    case: DunningCase | None = None
    overdue: Mapping[str, frozenset[str]] = MappingProxyType({})
    resting: frozenset[str] = frozenset()
    credits: tuple[Credit, ...] = ()
    activation: Callable[[], Step] | None = None
    chain: Chain | None = None
    more: bool = False


class Receivable:
    """An invoice in the hands of the collection; what changes is collected in `writes`."""

    def __init__(
        self, invoice: Invoice, account: Account, site: Site, at: datetime, writes: Writes, new_id: NewId
    ) -> None:
        self.invoice = invoice
        self.account = account
        self.site = site
        self.at = at
        self.writes = writes
        self.new_id = new_id
        self.case = account.case
        self.unpaid: list[Subscription] = []
        """Subscriptions that end because their renewal was not paid; who has their facts closes them."""
        self.begun: Step | None = None
        """What the payment of a draft has brought about."""
        self._subscriptions = {sub.id: sub for sub in account.subscriptions}
        named = {line.subscription_id for line in invoice.lines} | {invoice.subscription_id}
        self._on_invoice = [sub.id for sub in account.subscriptions if sub.id in named]

    def on_invoice(self) -> list[Subscription]:
        """The subscriptions that stand on the invoice, as they are by now."""
        return [self._subscriptions[sub_id] for sub_id in self._on_invoice]

    def put(self, invoice: Invoice) -> None:
        """Keep a changed invoice."""
        self.invoice = invoice
        self.writes.put(invoice)

    def move(self, sub: Subscription, event: Event, target: State) -> None:
        """Take a subscription to the state the table allows, and record the change."""
        before = sub.state
        state = move(before, event, target, sub.reference)
        previous = None if before == "soft_failure" else sub.previous_state
        moved = planned(evolve(sub, state=state, previous_state=previous))
        if moved == self._subscriptions[sub.id]:
            return
        self._subscriptions[sub.id] = moved
        self.writes.put(moved)
        if state != before:
            change = StateChange(self.new_id("chg"), sub.customer_id, sub.id, before, state, self.at, event, "engine")
            record_change(self.writes, self.new_id, change)

    def begin(self, *, declined: bool = False) -> None:
        """Issue the draft and start what it pays for: signup, activation or start date.

        `declined` it is left unpaid, unless credits that came meanwhile pay it.
        """
        draft = evolve(self.invoice, reserved_by=None)
        step = self.begun = self.account.activation() if self.account.activation is not None else None
        if step is not None:
            # On which layer a line lies is known again only now: lines do not keep it.
            lines = zip(draft.lines, step.lines, strict=True)
            draft = evolve(draft, lines=tuple(evolve(line, layer=made.layer) for line, made in lines))
        # What is paid before it is issued has no net terms: it would not have been collected yet.
        self.invoice = issue(draft, self.account.credits, 0, self.at, False, self.site, self.writes, self.new_id)
        self.writes.put(self.invoice)
        if step is not None:
            self._activate(step)
        for sub in self.on_invoice():
            if sub.state != "pending":
                continue
            renewal = first_renewal(sub, self.at, self.invoice.id, self.new_id)
            if renewal is not None:
                self.writes.add(renewal)
            if declined and self.invoice.due:
                self.move(sub, "signup_left_unpaid", "past_due")
            else:
                self.move(sub, "signup_settled", signup_state(sub))

    def _activate(self, step: Step) -> None:
        after = step.subscription
        self._subscriptions[after.id] = after
        put_subscription(self.writes, after, step.before)
        if step.renewal is not None:
            self.writes.add(evolve(step.renewal, invoice_id=self.invoice.id))
        if step.cut is not None:
            self.writes.put(step.cut)
        for change in step.changes:
            record_change(self.writes, self.new_id, change)

    def is_wanted(self) -> bool:
        """Whether a payment still has something to pay: not for a draft whose subscription went another way.

        What was written off may still be paid.
        """
        if self.invoice.status == "draft" and self.invoice.purpose in WAITS_FOR_PAYMENT:
            return self.invoice.discarded_at is None and self.account.activation is not None
        return self.invoice.discarded_at is None and self.invoice.status in ("draft", "open", "uncollectible")

    def discard(self) -> None:
        """Drop the draft; what was waiting for it has failed to be created (behaviour 5.1)."""
        status = self.invoice.after("discard", "draft")
        self.put(evolve(self.invoice, status=status, discarded_at=self.at, reserved_by=None, collect_at=None))
        for sub in self.on_invoice():
            if sub.state == "pending":
                self.move(evolve(sub, ended_at=self.at), "signup_refused", "failed_to_create")

    def is_let_go(self) -> bool:
        """Whether only canceled subscriptions stand on it: what of it is not paid yet is not dunned (behaviour 5.2)."""
        return bool(self._on_invoice) and all(sub.state == "canceled" for sub in self.on_invoice())

    def fail(self, failed_at: datetime, cause: Cause, refused_method: str | None) -> None:
        """The due amount was not collected: past due, and a dunning case counted from `failed_at`.

        A final invoice, and one whose subscriptions are canceled, is tried once and left open; without a dunning policy
        a renewal's decline cancels.
        """
        if self.invoice.purpose == "final":
            self.put(evolve(self.invoice, reserved_by=None, collect_at=None))
            return
        policy, known = self.site.settings.dunning, self.invoice.overdue
        ended = bool(self._on_invoice) and all(sub.state in END for sub in self.on_invoice())
        let_go = self.is_let_go() or (ended and cause == "retry" and not known)
        cancels = policy is None and self.invoice.purpose == "renewal" and self.invoice.collection == "automatic"
        held = any(sub.state == "on_hold" for sub in self.on_invoice())  # It is owed when that goes on.
        overdue = held or not (cancels or let_go)
        self.put(evolve(self.invoice, overdue=overdue, reserved_by=None, collect_at=None))
        for sub in self.on_invoice():
            if cancels and sub.state in ("active", "soft_failure"):
                self.unpaid.append(sub)
            elif sub.state in ("active", "trialing", "soft_failure"):
                self.move(sub, "payment_declined", "past_due")
        if policy is None or self.invoice.collection != "automatic":
            return
        case = self.case
        if case is None or case.status != "open":
            if known or let_go:  # Its dunning is over: an attempt by hand opens no other.
                return
            case = DunningCase(self.new_id("dun"), self.invoice.customer_id, self.invoice.currency, failed_at)
            self.case = evolve(first_step(case, policy, self.account.zone), refused_method_id=refused_method)
            self.writes.add(self.case)
            return
        if cause == "dunning" and is_over(case, policy):
            case = evolve(case, next_step_at=self.at)
        if refused_method is not None:
            case = evolve(case, refused_method_id=refused_method)
        if case != self.case:
            self.case = case
            self.writes.put(case)

    def settle(self, event: InvoiceEvent, *, paid: int = 0, credited: int = 0) -> None:
        """Count more as paid or credited; with nothing due any more the invoice is paid, and so may be the payer."""
        invoice = evolve(self.invoice, paid=self.invoice.paid + paid, credited=self.invoice.credited + credited)
        if invoice.due > 0:
            self.put(evolve(invoice, status=invoice.after(event, invoice.status)))
            return
        self.put(evolve(invoice, status=invoice.after(event, "paid"), overdue=False, collect_at=None))
        self.paid_up()

    def paid_up(self, closed_by: str = "paid") -> None:
        """What of nothing is overdue any more is active again; with nothing left to dun the case closes.

        What another one of the same payer owes is none of its business: nobody would say why it is past due.
        """
        left = {invoice_id: subs for invoice_id, subs in self.account.overdue.items() if invoice_id != self.invoice.id}
        owing = frozenset[str]().union(*left.values())
        if not left.keys() - self.account.resting and self.case is not None and self.case.status == "open":
            self.case = evolve(self.case, status="closed", next_step_at=None, closed_at=self.at, closed_by=closed_by)
            self.writes.put(self.case)
        for sub in list(self._subscriptions.values()):
            if sub.id in owing:
                continue
            if sub.state in ("past_due", "unpaid"):
                self.move(sub, "debt_paid", "active")
            elif sub.state == "soft_failure" and sub.id in self._on_invoice:
                self.move(sub, "debt_paid", sub.previous_state or "active")


def first_renewal(sub: Subscription, at: datetime, invoice_id: str | None, new_id: NewId) -> Renewal | None:
    """The renewal row of a subscription's first paid period; none while it is in its trial."""
    if sub.sequence == 0 or sub.period_start is None or sub.period_end is None:
        return None
    period = Period(sub.period_start, sub.period_end)
    return evolve(renewal_of(sub, period, at, new_id), invoice_id=invoice_id)


def signup_state(sub: Subscription) -> State:
    """Where a settled signup leads: into its trial or straight into its first period."""
    return "trialing" if sub.sequence == 0 and sub.trial_until is not None else "active"
