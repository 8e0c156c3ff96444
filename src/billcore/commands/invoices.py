"""Invoices: what customers owe, and what would be billed next."""

from collections.abc import Sequence

from attrs import frozen

from billcore.commands.bill import net_terms
from billcore.commands.facts import facts_for
from billcore.commands.parameters import Count, CustomerRef, Flag, InvoiceRef, SubscriptionRef
from billcore.commands.scope import Scope, not_found
from billcore.commands.unused import act_with_credit
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import make_bill
from billcore.domain.invoice import CreditNote, Invoice, InvoiceStatus
from billcore.errors import Refused
from billcore.store import invoice as store


@frozen
class InvoicePreview:
    """What a subscription's next action would bill: an invoice or a credit note, or neither. Nothing was stored."""

    subscription: str
    action: str
    invoice: Invoice | None
    credit_note: CreditNote | None
    net_terms: int


class Invoices(Noun):
    """Invoices: what customers owe, and what would be billed next."""

    noun = "invoices"

    @verb(reads=True)
    def get(self, scope: Scope, invoice: InvoiceRef) -> Invoice:
        """One invoice by id, by number, or as CUSTOMER/N: the customer's n-th issued invoice."""
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
        self, scope: Scope, *, customer: CustomerRef | None = None, limit: Count = 50
    ) -> Sequence[CreditNote]:
        """Credit notes in order of creation."""
        owner = scope.customer(customer).id if customer is not None else None
        return store.notes(scope.tx, customer_id=owner, limit=limit)

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
        step = act_with_credit(scope, sub, facts, sub.next_action_at)
        bill = make_bill([step], customer, scope.site, sub.next_action_at, scope.new_id)
        terms = net_terms(step.subscription, scope)
        return InvoicePreview(sub.reference, sub.next_action, bill.invoice, bill.note, terms)


def find_invoice(scope: Scope, ref: str) -> Invoice:
    """An invoice by id, number, or CUSTOMER/N; raises NotFound."""
    owner, slash, place = ref.rpartition("/")
    if slash and place.isdecimal() and int(place) > 0:
        found = store.nth(scope.tx, scope.customer(owner).id, int(place))
    else:
        found = store.get(scope.tx, ref)
        if found is not None and scope.keep(found.customer_id):
            found = store.get(scope.tx, found.id)
    if found is None:
        raise not_found("invoice", ref, [])
    return found
