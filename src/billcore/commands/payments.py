"""Payments: every attempt to collect, and what came of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal, Unpack

from billcore.commands import amounts
from billcore.commands.invoices import find_invoice
from billcore.commands.parameters import (
    Amount,
    Amounts,
    Count,
    CustomerRef,
    Flag,
    Instant,
    InvoiceRef,
    Options,
    PaymentRef,
    Text,
)
from billcore.commands.receivables import require_no_doubt
from billcore.commands.recording import named, oldest_first, receive
from billcore.commands.refunding import invoice_of, refund_payment, require_money, stored, wish
from billcore.commands.scope import Scope, not_found, place_of
from billcore.commands.verb import Noun, verb
from billcore.domain.payment import Payment, PaymentStatus
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
        status: PaymentStatus | None = None,
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

    @verb()
    def record(
        self,
        scope: Scope,
        customer: CustomerRef,
        amount: Amount,
        *,
        method: Text | None = None,
        date: Instant | None = None,
        invoices: Amounts | None = None,
        currency: Text | None = None,
        **options: Unpack[Options],
    ) -> Payment:
        """Record money that came in otherwise (cash, a transfer), for one invoice or several; the rest is prepayment.

        `invoices` says how much each is paid; without, what is due is paid oldest first, but for invoices with an
        attempt under way. `method` says in words how it came, `date` when. With everything overdue paid the
        subscriptions are active again (behaviour 9.8). Raises amount_exceeds where the invoices do not fit,
        payment_in_doubt, currency_mismatch.
        """
        owner = scope.customer(customer)
        code = amounts.currency_of(amount, currency, owner.currency, scope.settings.currency)
        minor = amounts.minor_of(amount, code)
        if invoices is None:
            shares = oldest_first(scope, owner, code, minor)
        else:
            wanted = [(find_invoice(scope, ref), part) for ref, part in invoices.items()]
            for invoice, _ in wanted:
                require_no_doubt(scope, invoice)
            parts = [(invoice, amounts.minor_of(part, code, "invoices")) for invoice, part in wanted]
            shares = named(owner, code, minor, parts)
        return receive(scope, owner, code, minor, shares, method, date if isinstance(date, datetime) else None)

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
        minor = amounts.minor_of(amount, target.currency) if amount is not None else None
        return refund_payment(scope, target, invoice_of(scope, target), minor, how)

    def settled(self, scope: Scope, result: object, attempts: Collection[str]) -> object:
        """The refund as it is after its gateway answered."""
        return stored(scope, result)


def find_payment(scope: Scope, ref: str) -> Payment:
    """A payment by id, or CUSTOMER/pay/N; raises NotFound."""
    named = place_of(ref, "/pay/")
    if named is not None:
        found = store.nth(scope.tx, scope.customer(named[0]).id, named[1])
    else:
        found = store.get(scope.tx, ref)
        if found is not None and scope.keep(found.customer_id):
            found = store.get(scope.tx, found.id)
    if found is None:
        raise not_found("payment", ref, [])
    return found
