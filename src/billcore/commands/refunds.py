"""Refunds: money given back, what became of it, and what customers are still owed because it did not get there."""

from collections.abc import Collection
from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.amounts import currency_of, minor_of
from billcore.commands.invoices import find_invoice
from billcore.commands.parameters import (
    Amount,
    Count,
    CustomerRef,
    Flag,
    InvoiceRef,
    Options,
    PaymentRef,
    RefundRef,
    Text,
)
from billcore.commands.payments import find_payment
from billcore.commands.refunding import (
    BY_WORD,
    leased,
    require_way,
    spread,
    stored,
    till_of,
    wish,
)
from billcore.commands.scope import Scope, not_found, place_of
from billcore.commands.verb import Noun, verb
from billcore.domain.refund import Refund, RefundStatus
from billcore.errors import Refused
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import refund as store


class Refunds(Noun):
    """Refunds: money given back, and what customers are still owed."""

    noun = "refunds"

    @verb(collects=True)
    def create(
        self,
        scope: Scope,
        customer: CustomerRef,
        amount: Amount,
        *,
        invoice: InvoiceRef | None = None,
        to: Literal["method", "external", "credit"] = "method",
        credit: Flag = True,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> list[Refund]:
        """Give an amount back that may be larger than one payment: of one invoice, or of all, newest payment first.

        As `payments.refund` for each payment (behaviour 9.6). Raises amount_exceeds where all of them have less.
        """
        owner = scope.customer(customer)
        billed = find_invoice(scope, invoice) if invoice is not None else None
        if billed is not None and billed.customer_id != owner.id:
            raise not_found("invoice", str(invoice), [])
        known = (owner.currency, scope.settings.currency)
        currency = billed.currency if billed is not None else currency_of(amount, *known)
        wanted = minor_of(amount, currency)
        how = evolve(wish(to, False, credit, reason), otherwise=BY_WORD)
        return spread(scope, owner, currency, wanted, billed, how)

    @verb(collects=True)
    def retry(
        self,
        scope: Scope,
        refund: RefundRef,
        *,
        to: Literal["method", "external", "credit"] = "method",
        **options: Unpack[Options],
    ) -> Refund:
        """Make a refund that failed good: again to the method, outside, or as credit.

        Raises transition_not_allowed for one that is not owed to the customer (any more).
        """
        failed = find_refund(scope, refund)
        if not failed.is_owed:
            raise Refused(
                "transition_not_allowed",
                f"Refund {failed.id} is {failed.status}; nothing of it is owed to the customer.",
                remedy="Only refunds that failed and were not made good are made again.",
                state=failed.status,
                refund=failed.id,
            )
        payment = payments.by_ids(scope.tx, [failed.charge])[failed.charge]
        require_way(scope, payment, to, BY_WORD)
        billed = invoices.by_ids(scope.tx, [failed.invoice_id]).get(failed.invoice_id) if failed.invoice_id else None
        return leased(scope, till_of(scope, payment, billed).again(failed, to))

    @verb(reads=True)
    def get(self, scope: Scope, refund: RefundRef) -> Refund:
        """One refund by id, or as CUSTOMER/refund/N: the customer's n-th."""
        return find_refund(scope, refund)

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        *,
        customer: CustomerRef | None = None,
        payment: PaymentRef | None = None,
        status: RefundStatus | None = None,
        newest: Flag = False,
        after: RefundRef | None = None,
        limit: Count = 50,
    ) -> list[Refund]:
        """Refunds in order of creation, or the newest first; those that failed are there too."""
        return store.page(
            scope.tx,
            customer_id=scope.customer(customer).id if customer is not None else None,
            payment_id=find_payment(scope, payment).id if payment is not None else None,
            status=status,
            after=find_refund(scope, after).id if after is not None else None,
            limit=limit,
            newest=newest,
        )

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The refunds as they are after their gateways answered."""
        return stored(scope, result)


def find_refund(scope: Scope, ref: str) -> Refund:
    """A refund by id, or CUSTOMER/refund/N; raises NotFound."""
    named = place_of(ref, "/refund/")
    if named is not None:
        found = store.nth(scope.tx, scope.customer(named[0]).id, named[1])
    else:
        found = store.get(scope.tx, ref)
        if found is not None and scope.keep(found.customer_id):
            found = store.get(scope.tx, found.id)
    if found is None:
        raise not_found("refund", ref, [])
    return found
