"""Payments: every attempt to collect, and what came of it."""

from collections.abc import Collection
from typing import Literal, Unpack

from billcore.commands.invoices import find_invoice
from billcore.commands.parameters import Amount, Count, CustomerRef, Flag, InvoiceRef, Options, PaymentRef, Text
from billcore.commands.refunding import invoice_of, minor_of, refund_payment, require_money, stored, wish
from billcore.commands.scope import Scope, not_found
from billcore.commands.verb import Noun, verb
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.store import payment as store


class Payments(Noun):
    """Payments: every attempt to collect, and what came of it."""

    noun = "payments"

    @verb(reads=True)
    def get(self, scope: Scope, payment: PaymentRef) -> Payment:
        """One payment by id, or as CUSTOMER/pay/N: the customer's n-th attempt."""
        return find_payment(scope, payment)

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        *,
        customer: CustomerRef | None = None,
        invoice: InvoiceRef | None = None,
        status: Literal["pending", "requires_action", "succeeded", "failed", "unknown", "canceled"] | None = None,
        newest: Flag = False,
        after: PaymentRef | None = None,
        limit: Count = 50,
    ) -> list[Payment]:
        """Payments in order of creation, or the newest first; declined attempts are payments too."""
        return store.page(
            scope.tx,
            customer_id=scope.customer(customer).id if customer is not None else None,
            invoice_id=find_invoice(scope, invoice).id if invoice is not None else None,
            status=status,
            after=find_payment(scope, after).id if after is not None else None,
            limit=limit,
            newest=newest,
        )

    @verb(collects=True)
    def refund(
        self,
        scope: Scope,
        payment: PaymentRef,
        *,
        amount: Amount | None = None,
        to: Literal["method", "external", "credit"] = "method",
        external: Flag = False,
        credit: Flag = True,
        reason: Text | None = None,
        **options: Unpack[Options],
    ) -> Refund:
        """Give a payment back, or `amount` of it: by its gateway, outside (`external`), or as the customer's credit.

        A credit note says so; with `credit` false the invoice is open again instead and not collected by itself
        (behaviour 9.6). What fails to arrive stays owed to the customer: see refunds.retry. Raises amount_exceeds for
        more than is left, payment_in_doubt while an attempt is open, unsupported_capability where its gateway cannot,
        transition_not_allowed where no money was taken.
        """
        target = find_payment(scope, payment)
        how = wish(to, external, credit, reason)
        require_money(target)
        minor = minor_of(amount, target.currency)
        return refund_payment(scope, target, invoice_of(scope, target), minor, how)

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The refund as it is after its gateway answered."""
        return stored(scope, result)


def find_payment(scope: Scope, ref: str) -> Payment:
    """A payment by id, or CUSTOMER/pay/N; raises NotFound."""
    owner, middle, place = ref.rpartition("/pay/")
    if middle and place.isdecimal() and int(place) > 0:
        found = store.nth(scope.tx, scope.customer(owner).id, int(place))
    else:
        found = store.get(scope.tx, ref)
        if found is not None and scope.keep(found.customer_id):
            found = store.get(scope.tx, found.id)
    if found is None:
        raise not_found("payment", ref, [])
    return found
