"""A subscription's own fields, and taking it out of the books (behaviour 8.7, 14)."""

from typing import Literal, Unpack

from attrs import evolve

from billcore.commands.parameters import (
    UNSET,
    Days,
    Flag,
    MethodRef,
    Options,
    Reference,
    SubscriptionRef,
    Unset,
)
from billcore.commands.retries import retry_with
from billcore.commands.scope import Scope
from billcore.commands.verb import Noun, verb
from billcore.domain.bill import record
from billcore.domain.customer import PaymentMethod
from billcore.domain.states import END
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.store import subscription as store


class Records(Noun):
    """Verbs that change what is written down of a subscription, not what it is charged."""

    noun = "subscriptions"

    @verb(collects=True)
    def update(
        self,
        scope: Scope,
        subscription: SubscriptionRef,
        *,
        reference: Reference | Unset = UNSET,
        net_terms: Days | Unset | None = UNSET,
        collection: Literal["automatic", "remittance", "prepaid"] | Unset = UNSET,
        payment_method: MethodRef | Unset | None = UNSET,
        send_invoice_emails: Flag | Unset = UNSET,
        tax_exempt: Flag | Unset = UNSET,
        **options: Unpack[Options],
    ) -> Subscription:
        """Change a subscription's own fields; what is not given stays, and so do invoices that are issued.

        Without net_terms the site's hold, without payment_method the customer's default is charged; another method is
        tried at once on what is overdue of it. Lines of one that is `tax_exempt` have no tax. Raises reference_taken,
        not_found, transition_not_allowed for a prepaid one's collection.
        """
        sub = scope.subscription(subscription)
        if isinstance(reference, str) and reference != sub.reference:
            require_free(scope, reference)
        if not isinstance(collection, Unset) and collection != sub.collection:
            _require_convertible(sub, collection)
        method = payment_method
        own: PaymentMethod | None = None
        if isinstance(method, str):
            own = scope.payment_method(scope.customer(sub.customer_id), method)
            method = own.id
        given = {
            "reference": reference,
            "net_terms": net_terms,
            "collection": collection,
            "payment_method_id": method,
            "send_invoice_emails": send_invoice_emails,
            "tax_exempt": tax_exempt,
        }
        changes = {field: value for field, value in given.items() if not isinstance(value, Unset)}
        after = evolve(sub, **changes)  # type: ignore[arg-type]  # each value has its field's type
        if after != sub:
            scope.writes.put(after)
            fields = ",".join(name for name in changes if getattr(sub, name) != getattr(after, name))
            _event(scope, sub, "subscription.updated", fields=fields)
        if own is not None and own.id != sub.payment_method_id:
            retry_with(scope, sub.customer_id, own, sub.id)
        return after

    @verb()
    def delete(
        self, scope: Scope, subscription: SubscriptionRef, *, force: Flag = False, **options: Unpack[Options]
    ) -> Subscription:
        """Remove a subscription that has ended, or failed to begin, and has no document.

        One with documents is archived with `force`: lists leave it out, its documents stay. Nothing changes at a
        gateway. Raises not_deletable for a running one, and without `force` for one with documents.
        """
        sub = scope.subscription(subscription)
        if sub.state not in END:
            raise _not_deletable(sub, f"is {sub.state}", "Cancel it first.")
        addons = [one.reference for one in store.addons(scope.tx, [sub.id], scope.catalog.coupons)]
        if not addons and not store.has_documents(scope.tx, sub):
            store.delete(scope.tx, sub.id)
            _event(scope, sub, "subscription.deleted")
            return sub
        if not force:
            has = f"has add-ons ({', '.join(addons)})" if addons else "has documents"
            raise _not_deletable(sub, has, "With force it is archived: lists leave it out, its documents stay.")
        archived = evolve(sub, archived_at=sub.archived_at or scope.now)
        scope.writes.put(archived)
        _event(scope, sub, "subscription.archived")
        return archived


def require_free(scope: Scope, reference: str) -> None:
    """Refuse a reference that another subscription has: reference_taken."""
    if store.get(scope.tx, reference, scope.catalog.coupons) is not None:
        raise Refused(
            "reference_taken",
            f"A subscription {reference!r} exists already.",
            remedy="Choose another reference.",
            reference=reference,
        )


def _require_convertible(sub: Subscription, collection: str) -> None:
    """What is paid in advance is not turned into the others, nor they into it (behaviour 9.8)."""
    if "prepaid" in (sub.collection, collection):
        raise Refused(
            "transition_not_allowed",
            f"Subscription {sub.reference} is paid by {sub.collection}; that cannot be changed to {collection}.",
            remedy="Cancel it and make a new one.",
            state=sub.state,
        )


def _not_deletable(sub: Subscription, has: str, remedy: str) -> Refused:
    return Refused(
        "not_deletable",
        f"Subscription {sub.reference} {has}.",
        remedy=remedy,
        subscription=sub.reference,
        state=sub.state,
    )


def _event(scope: Scope, sub: Subscription, kind: str, **data: str) -> None:
    record(scope.writes, scope.new_id, sub.customer_id, scope.now, kind, sub.id, **data)
