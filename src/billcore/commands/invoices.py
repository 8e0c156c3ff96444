"""Invoices: what customers owe, and what would be billed next."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, Unpack

from attrs import evolve, frozen

from billcore.commands.amounts import minor_of
from billcore.commands.bill import net_terms
from billcore.commands.changing import act_at
from billcore.commands.crediting import ToAccount, credit_invoice
from billcore.commands.drafts import discard_draft, draft_by_hand, issue_at_once, issue_draft, keep_draft
from billcore.commands.facts import facts_for
from billcore.commands.parameters import (
    Amount,
    Code,
    Codes,
    Count,
    CreditNoteRef,
    CustomerRef,
    Days,
    Flag,
    Instant,
    InvoiceRef,
    Lines,
    Options,
    Reference,
    SubscriptionRef,
    Text,
    as_lines,
)
from billcore.commands.prepaid import money_came
from billcore.commands.receivables import require_no_doubt
from billcore.commands.recording import receive
from billcore.commands.refunding import Wish, refund_owed
from billcore.commands.scope import Scope, not_found, place_of
from billcore.commands.unused import settle_usage
from billcore.commands.verb import Noun, verb
from billcore.commands.voiding import void_invoice, write_off
from billcore.domain.bill import make_bill
from billcore.domain.invoice import CreditNote, Invoice, InvoiceStatus
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.errors import Refused
from billcore.store import invoice as store
from billcore.store import refund as refunds


@frozen
class InvoicePreview:
    """What a subscription's next action would bill: an invoice or a credit note, or neither. Nothing was stored."""

    subscription: str
    action: str
    invoice: Invoice | None
    credit_note: CreditNote | None
    net_terms: int


@frozen
class GivenBack:
    """What crediting an invoice made: the invoice as it is now, the credit notes, and refunds that were sent.

    `accounts` say what of the notes to credit went to which of the customer's accounts.
    """

    invoice: Invoice
    credit_notes: tuple[CreditNote, ...]
    refunds: tuple[Refund, ...] = ()
    accounts: tuple[ToAccount, ...] = ()


_OTHERWISE = "Give it as credit (to = credit); or payments.refund with external = true, which makes the note as well."


class Invoices(Noun):
    """Invoices: what customers owe, and what would be billed next."""

    noun = "invoices"

    @verb(reads=True)
    def get(self, scope: Scope, invoice: InvoiceRef) -> Invoice:
        """One invoice by id, number, reference, or as CUSTOMER/N: the customer's n-th issued invoice."""
        return find_invoice(scope, invoice)

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        *,
        customer: CustomerRef | None = None,
        status: InvoiceStatus | None = None,
        newest: Flag = False,
        after: InvoiceRef | None = None,
        limit: Count = 50,
    ) -> list[Invoice]:
        """Invoices in order of creation, or the newest first; `after` is the last one of the page before."""
        owner = scope.customer(customer).id if customer is not None else None
        last = find_invoice(scope, after).id if after is not None else None
        return store.page(scope.tx, customer_id=owner, status=status, after=last, limit=limit, newest=newest)

    @verb(reads=True)
    def credit_notes(
        self,
        scope: Scope,
        *,
        customer: CustomerRef | None = None,
        invoice: InvoiceRef | None = None,
        limit: Count = 50,
    ) -> Sequence[CreditNote]:
        """Credit notes in order of creation: of a customer, of one invoice, or all."""
        owner = scope.customer(customer).id if customer is not None else None
        billed = find_invoice(scope, invoice).id if invoice is not None else None
        return store.notes(scope.tx, customer_id=owner, invoice_id=billed, limit=limit)

    @verb(reads=True)
    def credit_note(self, scope: Scope, credit_note: CreditNoteRef) -> CreditNote:
        """One credit note by id or number."""
        found = store.note(scope.tx, credit_note)
        if found is None:
            raise not_found("credit_note", credit_note, [])
        return found

    @verb(reads=True)
    def preview(self, scope: Scope, subscription: SubscriptionRef) -> InvoicePreview:
        """What the subscription's next action will bill, with the usage recorded so far.

        The same computation as the action itself, without its commit (behaviour 3.8). Raises transition_not_allowed
        when nothing is planned.
        """
        sub = scope.subscription(subscription)
        if sub.next_action is None or sub.next_action_at is None:
            raise Refused(
                "transition_not_allowed",
                f"Subscription {sub.reference} is {sub.state}; nothing more is billed by itself.",
                remedy="Only subscriptions with a next action have a preview.",
                state=sub.state,
            )
        customer = scope.customer(sub.customer_id)
        facts = facts_for(scope, sub, customer, sub.next_action_at)
        step = settle_usage(scope, act_at(scope, sub, facts, sub.next_action_at), sub.next_action_at)
        bill = make_bill([step], customer, scope.site, sub.next_action_at, scope.new_id)
        terms = net_terms(step.subscription, scope)
        return InvoicePreview(sub.reference, sub.next_action, bill.invoice, bill.note, terms)

    @verb(collects=True)
    def create(
        self,
        scope: Scope,
        customer: CustomerRef,
        *,
        lines: Lines,
        reference: Reference | None = None,
        issue: Flag = True,
        net_terms: Days | None = None,
        coupons: Codes | None = None,
        currency: Code | None = None,
        **options: Unpack[Options],
    ) -> Invoice:
        """Bill something without a subscription: at once, or with `issue` off as a draft to be issued later.

        Each of `lines` has a description and an amount (or quantity and unit_amount), tax_code and tax = "inclusive";
        a negative amount is a rebate. It is collected from the customer's default method, without one by remittance.
        Raises reference_taken, currency_mismatch, the coupon errors, invalid_value for a total below zero.
        """
        owner = scope.customer(customer)
        draft, redeemed = draft_by_hand(
            scope,
            owner,
            as_lines(lines),
            reference=reference,
            currency=currency,
            coupons=coupons or (),
            terms=net_terms,
        )
        return issue_at_once(scope, draft, owner, redeemed) if issue else keep_draft(scope, draft, redeemed)

    @verb(collects=True)
    def issue(self, scope: Scope, invoice: InvoiceRef, **options: Unpack[Options]) -> Invoice:
        """Issue a draft: it is taxed as of now, gets its number and is collected; its discount stays.

        Raises transition_not_allowed for anything but a draft made by hand.
        """
        return issue_draft(scope, find_invoice(scope, invoice))

    @verb()
    def discard(self, scope: Scope, invoice: InvoiceRef, **options: Unpack[Options]) -> Invoice:
        """Drop a draft that was made by hand: no number is lost, its coupons and its reference are free again.

        Raises transition_not_allowed for anything else.
        """
        return discard_draft(scope, find_invoice(scope, invoice))

    @verb(collects=True)
    def credit(
        self,
        scope: Scope,
        invoice: InvoiceRef,
        *,
        amount: Amount | None = None,
        lines: Codes | None = None,
        to: Literal["credit", "refund", "invoice"] = "credit",
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> GivenBack:
        """Give back of an invoice by credit notes: in full, an `amount` (its tax included), or `lines` of it.

        Lines are named by place, id or code; with an amount it is shared over them. What is still due is reduced
        first; the rest goes `to` credit or refund, each part to the account that had paid it. Full and by line ends
        the time that was billed, by amount does not. Raises amount_exceeds, payment_in_doubt, transition_not_allowed.
        """
        found = find_invoice(scope, invoice)
        minor = minor_of(amount, found.currency) if amount is not None else None
        made = credit_invoice(scope, found, to=to, amount=minor, lines=lines, reason=reason)
        sent = refund_owed(scope, made.invoice, made.refunds, Wish(reason=reason, otherwise=_OTHERWISE))
        money_came(scope, found.customer_id, found.currency)
        return GivenBack(made.invoice, made.notes, tuple(sent), made.accounts)

    @verb(collects=True)
    def void(
        self,
        scope: Scope,
        invoice: InvoiceRef,
        *,
        rebill: Flag = False,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Invoice:
        """Take an open invoice back: it keeps its number, but nothing of it is owed and its time is not billed.

        Credits that had paid a part of it are there again, payments become prepayment. With `rebill` its lines are
        billed again at once, taxed as of now. Raises payment_in_doubt, transition_not_allowed.
        """
        return void_invoice(scope, find_invoice(scope, invoice), reason, rebill=rebill)

    @verb()
    def write_off(
        self, scope: Scope, invoice: InvoiceRef, *, reason: Text | None = None, **options: Unpack[Options]
    ) -> Invoice:
        """Give up what an open invoice is due: nothing more is tried, but it may still be paid.

        Raises payment_in_doubt, transition_not_allowed.
        """
        return write_off(scope, find_invoice(scope, invoice), reason)

    @verb()
    def record_payment(
        self,
        scope: Scope,
        invoice: InvoiceRef,
        amount: Amount | None = None,
        *,
        method: Text | None = None,
        date: Instant | None = None,
        **options: Unpack[Options],
    ) -> Payment:
        """Record a payment of an invoice that came in otherwise (cash, a transfer); without `amount` over what is due.

        What is more than due becomes a prepayment. With everything overdue paid the subscriptions are active again
        (behaviour 9.8). Raises payment_in_doubt, transition_not_allowed.
        """
        found = find_invoice(scope, invoice)
        require_no_doubt(scope, found)
        found.after("pay", "paid")
        minor = minor_of(amount, found.currency) if amount is not None else found.due
        came = date if isinstance(date, datetime) else None
        owner = scope.customer(found.customer_id)
        return receive(scope, owner, found.currency, minor, [(found, min(minor, found.due))], method, came)

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """An invoice as it is after its collection; what crediting made, with its refunds after their answers."""
        if isinstance(result, Invoice):
            return store.by_ids(scope.tx, [result.id])[result.id]
        if not isinstance(result, GivenBack) or not result.refunds:
            return result
        now = refunds.by_ids(scope.tx, [one.id for one in result.refunds])
        return evolve(result, refunds=tuple(now.get(one.id, one) for one in result.refunds))


def find_invoice(scope: Scope, ref: str) -> Invoice:
    """An invoice by id, number, reference, or CUSTOMER/N; raises NotFound."""
    named = place_of(ref, "/")
    if named is not None:
        found = store.nth(scope.tx, scope.customer(named[0]).id, named[1])
    else:
        found = store.get(scope.tx, ref)
        if found is not None and scope.keep(found.customer_id):
            found = store.get(scope.tx, found.id)
    if found is None:
        raise not_found("invoice", ref, [])
    return found
