"""What giving money back makes of a payment, its invoice and the books (behaviour 9.6, 5.1)."""

from datetime import datetime

from billcore.domain import ledger
from billcore.domain.bill import post, record
from billcore.domain.compact import compact
from billcore.domain.credit import Allocation, Credit, CreditAccount
from billcore.domain.money import format_minor
from billcore.domain.payment import BY_HAND, CHECK_MINUTES, UNREACHABLE_HOURS, Outcome, Payment, PaymentStatus
from billcore.domain.periods import Duration, add
from billcore.domain.receivable import Receivable
from billcore.domain.refund import OPEN, TABLE, Refund, RefundCause, RefundTo, left_of
from billcore.domain.values import NewId, evolve
from billcore.domain.writes import Writes

REFUNDABLE: frozenset[PaymentStatus] = frozenset({"succeeded", "partially_refunded", "refunded"})


class Till:
    """One payment whose money is given back; what changes is put into `writes`.

    `refunds` are all that were ever made of it, `receivable` is the invoice that its money pays, None where it pays
    none. What is promised to the customer lies in the account `refunds` until it is out: a refund that fails leaves
    it there, owed, so that the books say so whatever becomes of it.
    """

    def __init__(
        self,
        payment: Payment,
        refunds: tuple[Refund, ...],
        receivable: Receivable | None,
        at: datetime,
        writes: Writes,
        new_id: NewId,
    ) -> None:
        self.payment = payment
        self.refunds = refunds
        self.receivable = receivable
        self.at = at
        self.writes = writes
        self.new_id = new_id

    # -- making one -----------------------------------------------------------------------------------------

    def promise(
        self,
        amount: int,
        to: RefundTo,
        cause: RefundCause = "refund",
        *,
        note_id: str | None = None,
        reason: str | None = None,
    ) -> Refund:
        """A new refund over `amount`: one to the method waits to be sent, any other is booked at once.

        Without a credit note (`note_id`) the invoice is open again; what a note gives back it has posted itself.
        """
        assert 0 < amount <= left_of(self.payment, self.refunds), (self.payment.id, amount)
        made = self._made(amount, to, cause, note_id, reason)
        if made.opens:
            self._take_off_invoice(made)
        elif cause == "late_success":
            self._post(made, ledger.UNAPPLIED, ledger.REFUNDS)
        self._event(made, "refund.created")
        # A note to credit has given the customer his credit itself.
        return self._begun(made, booked=to == "credit" and note_id is not None)

    def pay_out(self, credit: Credit, amount: int, to: RefundTo, note_id: str | None, reason: str | None) -> Refund:
        """A new refund over `amount` that was taken from `credit`, whose money this payment had brought."""
        assert 0 < amount <= left_of(self.payment, self.refunds), (self.payment.id, amount)
        made = evolve(self._made(amount, to, "payout", note_id, reason), credit_id=credit.id)
        self._post(made, credit.account, ledger.REFUNDS)
        self._event(made, "refund.created")
        return self._begun(made, booked=False)

    def again(self, failed: Refund, to: RefundTo) -> Refund:
        """A refund that makes `failed`, which is owed, good in this or another way."""
        made = self._made(failed.amount, to, failed.cause, failed.credit_note_id, failed.reason)
        made = evolve(made, invoice_id=failed.invoice_id, replaces=failed.id)
        self._put(evolve(failed, parked_reason=None))
        self._event(made, "refund.created")
        return self._begun(made, booked=False)

    def accept(self, twice: Refund) -> Refund:
        """What a refund gave back once more is lost, and known to be."""
        self._post(twice, ledger.WRITE_OFFS, ledger.UNAPPLIED)
        accepted = evolve(twice, cause="lost", parked_reason=None)
        self._put(accepted)
        return accepted

    def _made(self, amount: int, to: RefundTo, cause: RefundCause, note_id: str | None, reason: str | None) -> Refund:
        payment, attempt = self.payment, len(self.refunds) + 1
        refund_id = self.new_id("ref")
        # The refund's key begins like the charge's: with the installation, before invoice and number of attempt.
        key = f"{payment.idempotency_key.rsplit(':', 2)[0]}:{payment.id}:r{attempt}"
        request = {
            "attempt_id": refund_id,
            "idempotency_key": key,
            "amount": amount,
            "currency": payment.currency,
            "gateway_id": payment.gateway_id,
            "reason": reason or "",
        }
        return Refund(
            refund_id,
            payment.customer_id,
            payment.id,
            attempt,
            key,
            cause,
            to,
            amount,
            payment.currency,
            payment.gateway if to == "method" else BY_HAND,
            compact(request) if to == "method" else "{}",
            "pending",
            self.at,
            invoice_id=self.receivable.invoice.id if self.receivable is not None else None,
            credit_note_id=note_id,
            reason=reason,
        )

    def _begun(self, refund: Refund, *, booked: bool) -> Refund:
        if refund.to == "method":
            refund = evolve(refund, next_check_at=self.at)
        else:
            refund = evolve(refund, status="succeeded", settled_at=self.at)
        self.refunds = (*self.refunds, refund)
        self.writes.add(refund)
        if refund.to == "external":
            self._post(refund, ledger.REFUNDS, ledger.cash(refund.gateway))
            self._count()
        elif refund.to == "credit" and not booked:
            self._as_credit(refund)
        return refund

    def _take_off_invoice(self, refund: Refund) -> None:
        """The invoice is open again and not collected by itself (behaviour 9.6)."""
        assert self.receivable is not None
        invoice = self.receivable.invoice
        status = invoice.after("refund", "open")
        self.receivable.put(evolve(invoice, paid=invoice.paid - refund.amount, status=status))
        self._apply(invoice.id, -refund.amount)
        self._post(refund, ledger.RECEIVABLE, ledger.REFUNDS)

    def _as_credit(self, refund: Refund) -> None:
        """What a credit note owes becomes credit of notes, money that paid nothing the customer's prepayment."""
        account: CreditAccount = "credits" if refund.credit_note_id is not None else "prepayments"
        self._post(refund, ledger.REFUNDS, account)
        self.writes.add(
            Credit(
                self.new_id("crd"),
                refund.customer_id,
                account,
                refund.currency,
                refund.amount,
                refund.amount,
                self.at,
                source_id=refund.id,
            )
        )

    # -- what became of it ----------------------------------------------------------------------------------

    def settle(self, refund: Refund, outcome: Outcome) -> Refund:
        """Apply an outcome to a refund and to all that hangs on it; repeated, it changes nothing."""
        before = refund
        refund = evolve(
            before,
            status=TABLE[before.status][outcome.kind],
            gateway_id=outcome.gateway_id or before.gateway_id,
            decline_code=outcome.decline_code or before.decline_code,
            message=outcome.message or before.message,
            lease_owner=None,
            lease_until=None,
        )
        if refund.status in OPEN:
            refund = self._open(before, refund, outcome)
        elif refund.status == before.status:
            # Its gateway had news of it: nothing new, or nothing that could be understood.
            again = add(self.at, Duration(1, "hour"), "UTC") if outcome.kind in ("unknown", "not_sent") else None
            refund = evolve(before, lease_owner=None, lease_until=None, next_check_at=again)
        elif refund.status == "failed":
            refund = self._failed(before, refund, outcome)
        elif before.status == "failed" and not before.is_owed:
            refund = self._twice(refund)
        else:
            refund = self._arrived(refund, outcome.amount)
        if refund != before:
            self._put(refund)
        if refund.status != before.status:
            self._count()
        return refund

    def _open(self, before: Refund, refund: Refund, outcome: Outcome) -> Refund:
        never_sent = outcome.kind == "not_sent" and before.status == "pending" and before.gateway_id is None
        if never_sent:
            wait = Duration(UNREACHABLE_HOURS[min(refund.checks, len(UNREACHABLE_HOURS) - 1)], "hour")
            refund = evolve(refund, sends=0)
        else:
            wait = Duration(CHECK_MINUTES[min(refund.checks, len(CHECK_MINUTES) - 1)], "minute")
        if refund.status != before.status or (outcome.kind == "pending" and before.gateway_id is None):
            self._event(refund, f"refund.{refund.status}")
        return evolve(refund, checks=refund.checks + 1, next_check_at=add(self.at, wait, "UTC"))

    def _arrived(self, refund: Refund, amount: int) -> Refund:
        missing = refund.amount - amount
        refund = evolve(refund, amount=amount, settled_at=self.at, next_check_at=None, parked_reason=None)
        self._post(refund, ledger.REFUNDS, ledger.cash(refund.gateway))
        self._event(refund, "refund.succeeded")
        if missing:
            rest = self._made(missing, "method", refund.cause, refund.credit_note_id, refund.reason)
            rest = evolve(rest, status="failed", settled_at=self.at, invoice_id=refund.invoice_id)
            rest = evolve(rest, credit_id=refund.credit_id)
            rest = self._owed(rest, "the gateway gave back only a part")
            self.refunds = (*self.refunds, rest)
            self.writes.add(rest)
        return refund

    def _failed(self, before: Refund, refund: Refund, outcome: Outcome) -> Refund:
        refund = evolve(refund, settled_at=self.at, next_check_at=None)
        self._event(refund, "refund.failed", code=outcome.decline_code)
        if before.status == "succeeded":
            twice = before.parked_reason is not None
            self._post(refund, ledger.cash(refund.gateway), ledger.UNAPPLIED if twice else ledger.REFUNDS)
            if twice:
                return evolve(refund, parked_reason=None)
        return self._owed(refund, outcome.message or outcome.decline_code or "it was declined")

    def _owed(self, refund: Refund, why: str) -> Refund:
        """What failed is still the customer's: his invoice's again where that wants it, else it waits for a person."""
        receivable = self.receivable
        if refund.opens and receivable is not None and self._is_wanted_again(receivable, refund):
            invoice = receivable.invoice
            self._post(refund, ledger.REFUNDS, ledger.RECEIVABLE)
            self._apply(invoice.id, refund.amount)
            paid = evolve(invoice, paid=invoice.paid + refund.amount)
            if paid.due == 0:
                status = invoice.after("pay", "paid")
                receivable.put(evolve(paid, status=status, overdue=False, collect_at=None))
                receivable.paid_up()
            else:
                receivable.put(paid)
            return refund
        amount = f"{format_minor(refund.amount, refund.currency)} {refund.currency}"
        return evolve(refund, parked_reason=f"{why}; {amount} are owed to the customer"[:500])

    def _is_wanted_again(self, receivable: Receivable, refund: Refund) -> bool:
        invoice = receivable.invoice
        return invoice.status == "open" and invoice.due >= refund.amount and invoice.reserved_by is None

    def _twice(self, refund: Refund) -> Refund:
        """It was given up and made good otherwise, and arrived all the same: the customer has it twice."""
        self._post(refund, ledger.UNAPPLIED, ledger.cash(refund.gateway))
        self._event(refund, "refund.succeeded")
        amount = f"{format_minor(refund.amount, refund.currency)} {refund.currency}"
        return evolve(
            refund,
            settled_at=self.at,
            next_check_at=None,
            parked_reason=f"it was made good otherwise and arrived all the same: {amount} were given back twice",
        )

    # -- the books ------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """The payment's own sum and status: what has left, by the gateway or outside."""
        payment = self.payment
        out = sum(one.amount for one in self.refunds if one.status == "succeeded" and one.to != "credit")
        refunded = min(out, payment.captured)
        self._pay(evolve(payment, refunded=refunded, status=_status(payment, refunded)))

    def _apply(self, invoice_id: str, amount: int) -> None:
        """Let the payment pay more of an invoice, or less; where it was recorded by hand, its allocations say so."""
        payment = self.payment
        if payment.invoice_id is None:
            allocation = Allocation(
                self.new_id("all"),
                payment.customer_id,
                invoice_id,
                payment.currency,
                "payments",
                payment.id,
                self.at,
                amount,
            )
            self.writes.add(allocation)
        self._pay(evolve(payment, applied=payment.applied + amount))

    def _pay(self, payment: Payment) -> None:
        self.payment = payment
        self.writes.put(payment)

    def _put(self, refund: Refund) -> None:
        self.refunds = tuple(refund if one.id == refund.id else one for one in self.refunds)
        self.writes.put(refund)

    def _post(self, refund: Refund, debit: str, credit: str) -> None:
        post(
            self.writes,
            self.new_id,
            refund.customer_id,
            self.at,
            refund.currency,
            [(debit, credit, refund.amount)],
            invoice_id=refund.invoice_id if refund.opens else None,
            payment_id=refund.payment_id,
            credit_note_id=refund.credit_note_id,
        )

    def _event(self, refund: Refund, kind: str, **data: str | int | None) -> None:
        record(
            self.writes,
            self.new_id,
            refund.customer_id,
            self.at,
            kind,
            refund.id,
            payment=refund.payment_id,
            amount=refund.amount,
            **data,
        )


def paid_outside(
    credit: Credit,
    amount: int,
    note_id: str | None,
    reason: str | None,
    at: datetime,
    writes: Writes,
    new_id: NewId,
) -> Refund:
    """What is paid out of a credit that no payment is behind: outside, and out at once."""
    refund_id = new_id("ref")
    refund = Refund(
        refund_id,
        credit.customer_id,
        None,
        1,
        f"outside:{refund_id}",
        "payout",
        "external",
        amount,
        credit.currency,
        BY_HAND,
        "{}",
        "succeeded",
        at,
        credit_note_id=note_id,
        credit_id=credit.id,
        reason=reason,
        settled_at=at,
    )
    writes.add(refund)
    out = [(credit.account, ledger.REFUNDS, amount), (ledger.REFUNDS, ledger.cash(BY_HAND), amount)]
    post(writes, new_id, credit.customer_id, at, credit.currency, out, credit_note_id=note_id)
    record(writes, new_id, credit.customer_id, at, "refund.created", refund_id, amount=amount)
    return refund


def _status(payment: Payment, refunded: int) -> PaymentStatus:
    if payment.status not in REFUNDABLE:
        return payment.status
    if not refunded:
        return "succeeded"
    return "refunded" if refunded == payment.captured else "partially_refunded"
