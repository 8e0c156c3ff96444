"""Attempts to collect an invoice: the payment row with its exact request, stored before any call (behaviour 9.1)."""

from collections.abc import Sequence

from billcore.commands.scope import Scope
from billcore.domain.compact import compact
from billcore.domain.customer import Customer, PaymentMethod
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Cause, Payment
from billcore.domain.periods import Duration, add
from billcore.domain.values import evolve

FIRST_CHECK = Duration(2, "minute")
"""When an attempt without an answer is asked for: well after the deadline of its call and its lease."""


def usable_method(methods: Sequence[PaymentMethod], customer: Customer, own: str | None) -> PaymentMethod | None:
    """The method to charge: the subscription's `own` by id, or the customer's default; None without a usable one."""
    wanted = own or customer.default_method_id
    for method in methods:
        if method.id == wanted and method.status == "active":
            return method
    return None


def attempt(
    scope: Scope, invoice: Invoice, method: PaymentMethod, cause: Cause, amount: int, *, on_session: bool = False
) -> tuple[Payment, Invoice]:
    """A new attempt for `amount` minor units, and the invoice reserved by it; the caller puts both into the writes.

    The idempotency key is made of facts: installation, invoice and attempt number; a repeat of the same attempt is
    the same key (behaviour 9.1). `on_session` says that the customer is there, waits for the answer, and can be sent
    to a page.
    """
    place = invoice.attempts + 1
    payment_id = scope.new_id("pay")
    key = f"{scope.installation}:{invoice.id}:{place}"
    request = {
        "attempt_id": payment_id,
        "idempotency_key": key,
        "amount": amount,
        "currency": invoice.currency,
        "gateway_method": method.token,
        "gateway_customer": method.gateway_customer or "",
        "customer_id": invoice.customer_id,
        "invoice_id": invoice.id,
        "description": "Top-up" if invoice.purpose == "top_up" else f"Invoice {invoice.number_text or invoice.id}",
        "on_session": on_session,
    }
    owner, until = scope.lease if scope.lease is not None else (None, None)
    payment = Payment(
        payment_id,
        invoice.customer_id,
        invoice.id,
        place,
        key,
        cause,
        amount,
        invoice.currency,
        method.gateway,
        method.id,
        compact(request),
        "pending",
        scope.now,
        sends=1 if scope.lease is not None else 0,
        next_check_at=scope.now if scope.lease is None else add(scope.now, FIRST_CHECK, "UTC"),
        lease_owner=owner,
        lease_until=until,
    )
    reserved = evolve(invoice, attempts=place, reserved_by=payment_id, collect_at=None)
    return payment, reserved
