"""What the outcome of an attempt makes of its payment, invoice, subscriptions and dunning case (behaviour 5.1, 9)."""

from datetime import datetime
from typing import assert_never

from billcore.domain import ledger
from billcore.domain.bill import post, record
from billcore.domain.credit import Credit
from billcore.domain.invoice import Invoice
from billcore.domain.payment import CHECK_MINUTES, IN_DOUBT, RETRIES, TABLE, UNREACHABLE_HOURS, Outcome, Payment
from billcore.domain.periods import Duration, add
from billcore.domain.receivable import Receivable
from billcore.domain.refunding import Till
from billcore.domain.values import evolve


def settle(payment: Payment, outcome: Outcome, receivable: Receivable) -> Payment:
    """Apply `outcome` to an attempt and to everything that hangs on it; changes are put into the receivable's writes.

    A repeated or late answer to a settled payment changes nothing but what money moved (behaviour 9.3).
    """
    settled = _Settlement(payment, receivable).run(outcome)
    receivable.writes.put(settled)
    return settled


class _Settlement:
    def __init__(self, payment: Payment, receivable: Receivable) -> None:
        self.payment = payment
        self.receivable = receivable
        self.at = receivable.at
        # Steps of dunning count from the failure: the attempt's own instant, however late we hear of it (9.3). A debit
        # that was on its way for days fails when its bank says so; else all its retries would be due at once.
        asynchronous = payment.status == "pending" and payment.gateway_id is not None
        self.failed_at = self.at if asynchronous else payment.created_at

    def run(self, outcome: Outcome) -> Payment:
        before = self.payment
        self.payment = evolve(
            before,
            status=TABLE[before.status][outcome.kind],
            gateway_id=outcome.gateway_id or before.gateway_id,
            decline_kind=outcome.decline_kind,
            decline_code=outcome.decline_code,
            message=outcome.message or before.message,
            action_url=outcome.action_url or before.action_url,
            lease_owner=None,
            lease_until=None,
            parked_reason=before.parked_reason if outcome.kind in ("unknown", "not_found") else None,
        )
        if before.status not in IN_DOUBT:
            if self.payment.status == "succeeded" and before.status != "succeeded":
                self._approved(outcome.amount)
            return self.payment
        match outcome.kind:
            case "approved":
                self._approved(outcome.amount)
            case "declined" | "canceled":
                self._declined(outcome)
            case "not_sent":
                self._not_sent(before.status == "unknown")
            case "pending" | "action_required":
                self._wait(outcome.kind == "pending")
            case "unknown" | "not_found":
                self._unknown()
            case _:
                assert_never(outcome.kind)
        return self.payment

    def _approved(self, amount: int) -> None:
        receivable = self.receivable
        # Another attempt may be under way by now; it has the invoice to itself.
        wanted = receivable.is_wanted() and receivable.invoice.reserved_by in (None, self.payment.id)
        if wanted and receivable.invoice.purpose == "top_up":
            self._keep(amount)
            return
        if wanted and receivable.invoice.status == "draft":
            receivable.begin()
        invoice = receivable.invoice
        applied = min(amount, invoice.due) if wanted else 0
        self.payment = evolve(self.payment, captured=amount, applied=applied, settled_at=self.at, next_check_at=None)
        if applied:
            self._pay(invoice, applied)
        if amount > applied:
            self._late_success(amount - applied)

    def _keep(self, amount: int) -> None:
        """A top-up is the customer's own money from now on; its document has done its work (behaviour 9.8)."""
        payment = self.payment = evolve(self.payment, captured=amount, settled_at=self.at, next_check_at=None)
        receivable = self.receivable
        credit_id, owner, currency = receivable.new_id("crd"), payment.customer_id, payment.currency
        receivable.writes.add(
            Credit(credit_id, owner, "prepayments", currency, amount, amount, self.at, source_id=payment.id)
        )
        self._post([(ledger.cash(payment.gateway), ledger.PREPAYMENTS, amount)], None)
        self._event("payment.succeeded", amount=amount)
        receivable.discard()

    def _pay(self, invoice: Invoice, amount: int) -> None:
        written_off = invoice.status == "uncollectible"
        self._post(ledger.collected(ledger.cash(self.payment.gateway), amount, written_off=written_off), invoice.id)
        self._event("payment.succeeded", amount=amount)
        paid = invoice.paid + amount
        if amount < invoice.due:
            self.receivable.put(evolve(invoice, paid=paid, reserved_by=None, collect_at=None))
            if not written_off:
                self._not_collected(None)
            return
        status = invoice.after("pay", "paid")
        self.receivable.put(evolve(invoice, paid=paid, reserved_by=None, collect_at=None, status=status, overdue=False))
        self.receivable.paid_up()

    def _late_success(self, amount: int) -> None:
        """Money that nothing wants: kept apart, and given back by itself (behaviour 5.1)."""
        invoice = self.receivable.invoice
        word = "discarded" if invoice.discarded_at is not None else invoice.status
        self._post([(ledger.cash(self.payment.gateway), ledger.UNAPPLIED, amount)], None)
        self._event("payment.late", amount=amount, invoice_is=word)
        till = Till(self.payment, (), None, self.at, self.receivable.writes, self.receivable.new_id)
        till.promise(amount, "method", "late_success", reason=f"captured for an invoice that is {word}")
        if invoice.status == "draft" and invoice.discarded_at is None and invoice.reserved_by == self.payment.id:
            self.receivable.discard()

    def _declined(self, outcome: Outcome) -> None:
        self.payment = evolve(self.payment, settled_at=self.at, next_check_at=None)
        self._event("payment.failed", code=outcome.decline_code, decline=outcome.decline_kind)
        hard = self.payment.payment_method_id if outcome.decline_kind == "hard" else None
        if self.receivable.invoice.discarded_at is None:
            self._refused(hard)

    def _refused(self, hard: str | None) -> None:
        if self.receivable.invoice.status == "draft":
            if self._draft_is_refused():
                self.receivable.discard()
                return
            self.receivable.begin(declined=True)
        if self.receivable.invoice.due:
            self._not_collected(hard)

    def _not_collected(self, hard: str | None) -> None:
        """The next method is tried at once; dunning begins when none is left (setting method_fallback)."""
        account = self.receivable.account
        if account.more and self.receivable.invoice.status == "open" and not self._ends_with_this():
            again = evolve(self.receivable.invoice, reserved_by=None, collect_at=self.at, collect_for="fallback")
            self.receivable.put(again)
            return
        self.receivable.fail(self.failed_at, account.chain.cause if account.chain else self.payment.cause, hard)

    def _ends_with_this(self) -> bool:
        """Whether nothing follows a retry by itself: who it was made for has canceled meanwhile (behaviour 5.2)."""
        chain = self.receivable.account.chain
        cause = chain.cause if chain is not None else self.payment.cause
        return cause in RETRIES and self.receivable.is_let_go()

    def _draft_is_refused(self) -> bool:
        settings = self.receivable.site.settings
        match self.receivable.invoice.purpose:
            case "signup":
                return settings.signup_decline == "refuse"
            case "activation":
                return settings.activation_decline == "revert"
            case "start":
                return settings.start_decline == "failed_to_create"
            case _:
                return True

    def _not_sent(self, was_unknown: bool) -> None:
        """The attempt surely did not happen; it is made again later, a draft is refused (behaviour 5.2, 9.3)."""
        self.payment = evolve(self.payment, settled_at=self.at, next_check_at=None)
        self._event("payment.not_sent")
        receivable = self.receivable
        if receivable.invoice.purpose == "top_up":  # Another attempt on it follows, a while later.
            receivable.put(evolve(receivable.invoice, reserved_by=None))
            return
        if receivable.invoice.status == "draft":
            self._refused(None)
            return
        hours = UNREACHABLE_HOURS[min(self.payment.attempt, len(UNREACHABLE_HOURS)) - 1]
        again: datetime | None = None
        if not self._ends_with_this():
            again = self.at if was_unknown else add(self.at, Duration(hours, "hour"), receivable.account.zone)
        receivable.put(evolve(receivable.invoice, reserved_by=None, collect_at=again))
        for sub in receivable.on_invoice():
            if was_unknown and sub.state == "soft_failure":
                receivable.move(sub, "payment_not_sent", sub.previous_state or "active")
            elif not was_unknown and sub.state in ("active", "trialing"):
                receivable.move(evolve(sub, previous_state=sub.state), "payment_unknown", "soft_failure")

    def _wait(self, asynchronous: bool) -> None:
        """The customer or the bank has to act: the invoice stays reserved and the outcome is asked for."""
        self._check_later()
        kind = "payment.pending" if asynchronous else "payment.action_required"
        self._event(kind, url=self.payment.action_url)
        receivable = self.receivable
        trusted = receivable.site.settings.async_signup == "trust"
        signs_up = receivable.invoice.status == "draft" and receivable.invoice.purpose != "top_up"
        if asynchronous and trusted and signs_up and receivable.is_wanted():
            receivable.begin()
            receivable.put(evolve(receivable.invoice, reserved_by=self.payment.id))

    def _unknown(self) -> None:
        self._check_later()
        self._event("payment.unknown")
        if self.receivable.invoice.status == "draft":  # Nothing is owed yet: the state waits with the command.
            return
        for sub in self.receivable.on_invoice():
            if sub.state in ("active", "trialing"):
                self.receivable.move(evolve(sub, previous_state=sub.state), "payment_unknown", "soft_failure")

    def _check_later(self) -> None:
        minutes = CHECK_MINUTES[min(self.payment.checks, len(CHECK_MINUTES) - 1)]
        self.payment = evolve(
            self.payment,
            checks=self.payment.checks + 1,
            next_check_at=add(self.at, Duration(minutes, "minute"), self.receivable.account.zone),
        )

    def _post(self, movements: list[tuple[str, str, int]], invoice_id: str | None) -> None:
        post(
            self.receivable.writes,
            self.receivable.new_id,
            self.payment.customer_id,
            self.at,
            self.payment.currency,
            movements,
            invoice_id=invoice_id,
            payment_id=self.payment.id,
        )

    def _event(self, kind: str, **data: str | int | None) -> None:
        record(
            self.receivable.writes,
            self.receivable.new_id,
            self.payment.customer_id,
            self.at,
            kind,
            self.payment.id,
            invoice=self.receivable.invoice.id,
            **data,
        )
