"""Who pays for whom: the payer of a customer, and what moves when that changes (behaviour 14)."""

from collections.abc import Callable, Sequence

from attrs import frozen

from billcore.commands.attempts import usable_method
from billcore.commands.bill import bill_steps, number, number_notes
from billcore.commands.receivables import require_no_doubt
from billcore.commands.scope import Scope, not_found
from billcore.commands.waiting import waiting_lines
from billcore.domain.bill import put_subscription, record, record_change
from billcore.domain.customer import Customer
from billcore.domain.group import pay_from_now, payer_of, terms_beside
from billcore.domain.states import END
from billcore.domain.step import Step
from billcore.domain.subscription import Collection, Subscription
from billcore.errors import Refused
from billcore.store import customer as customers
from billcore.store import group as store
from billcore.store import invoice as invoices
from billcore.store import payment as payments


@frozen
class Move:
    """A customer whose payer may change: who owes for him and those paid with him, and their subscriptions.

    `line` is he with his parents upwards; `parents` is the other line that was asked for, upwards.
    """

    line: tuple[Customer, ...]
    parents: tuple[Customer, ...]
    subscriptions: tuple[Subscription, ...]

    @property
    def customer(self) -> Customer:
        """Who joins or leaves."""
        return self.line[0]

    @property
    def payer(self) -> Customer:
        """Who has owed so far."""
        return payer_of(self.line)


def line_of(scope: Scope, ref: str) -> tuple[Customer, ...]:
    """The customer with this reference or id, his parent, and so on; raises NotFound. Nobody of them is kept."""
    found: list[Customer] = []
    wanted: str | None = ref
    while wanted is not None and all(one.id != wanted for one in found):
        mine = scope.writes.get(Customer, wanted)
        one = mine if isinstance(mine, Customer) else customers.get(scope.tx, wanted)
        if one is None:
            raise not_found("customer", ref, customers.references(scope.tx))
        found.append(one)
        wanted = one.parent_id
    return tuple(found)


def buyer_and_payer(scope: Scope, ref: str) -> tuple[Customer, Customer]:
    """Who subscribes, and who owes for him, both kept; raises NotFound."""
    line = line_of(scope, ref)
    while _keep(scope, line[0].id, payer_of(line).id):
        line = line_of(scope, line[0].id)
    return line[0], payer_of(line)


def own_subscriptions(scope: Scope, payer: Customer) -> list[Subscription]:
    """The running subscriptions that a payer has himself, the oldest first: their terms are his group's."""
    return [sub for sub in store.subscribed(scope.tx, [payer.id], scope.catalog.coupons) if sub.state not in END]


def terms_of(scope: Scope, buyer: Customer, payer: Customer, collection: Collection) -> int | None:
    """The net terms that somebody else pays a customer's subscription on; None: the site's (behaviour 7.3)."""
    return terms_beside(own_subscriptions(scope, payer), collection) if buyer.id != payer.id else None


def moving(scope: Scope, customer: str, parent: str | None) -> Move:
    """A customer who is to join a parent, or to leave (None), with all who have to do with it kept.

    Raises NotFound, and payment_in_doubt while an attempt on what his subscriptions bill has no outcome.
    """
    scope.flush()
    while True:
        line = line_of(scope, customer)
        parents = line_of(scope, parent) if parent is not None else ()
        paid_with = store.paid_with(scope.tx, line[0].id)
        everybody = [line[0].id, *paid_with, payer_of(line).id, *(one.id for one in parents)]
        # All of them at once, in one order, and again where somebody came in meanwhile.
        if not _keep(scope, *everybody):
            break
    subs = store.subscribed(scope.tx, [line[0].id, *paid_with], scope.catalog.coupons)
    # What has ended moves too: who brings it back is who pays by then.
    begun = tuple(sub for sub in subs if sub.state != "failed_to_create")
    doubtful = store.in_doubt(scope.tx, payer_of(line).id, [sub.id for sub in begun])
    if doubtful is not None:
        require_no_doubt(scope, invoices.by_ids(scope.tx, [doubtful], lines=False)[doubtful])
    return Move(line, parents, begun)


def move(
    scope: Scope,
    moved: Move,
    payer: Customer,
    terms: Callable[[Subscription], int | None],
    dated: Callable[[Subscription], Subscription] = lambda sub: sub,
) -> None:
    """Let `payer` owe for the subscriptions from now on, on these net terms and with these dates.

    Open invoices stay with who owed until now, and so does what waits for the next one: it is billed to him at once.
    """
    before = moved.payer
    if payer.id == before.id:
        return
    for sub in _without_waiting(scope, moved.subscriptions, before):
        after, changes = pay_from_now(dated(sub), payer.id, terms(sub), scope.now, scope.actor, scope.new_id)
        put_subscription(scope.writes, after, sub)
        for change in changes:
            record_change(scope.writes, scope.new_id, change)
        data = {"payer": payer.id, "before": before.id}
        record(scope.writes, scope.new_id, payer.id, scope.now, "subscription.payer_changed", sub.id, **data)
    store.move_renewals(scope.tx, before.id, payer.id, [sub.id for sub in moved.subscriptions])


def require_method(scope: Scope, customer: Customer, subs: Sequence[Subscription]) -> None:
    """Refuse that a customer pays himself from now on without a method, where something is charged by itself."""
    automatic = [sub.reference for sub in subs if sub.collection == "automatic" and sub.state not in END]
    methods = customers.methods(scope.tx, [customer.id]).get(customer.id, [])
    if automatic and usable_method(methods, customer, None) is None:
        raise Refused(
            "transition_not_allowed",
            f"Customer {customer.reference} has no payment method of his own for {', '.join(automatic)}.",
            remedy="Add one (payment_methods.add), then let him leave; what is paid by remittance needs none.",
            customer=customer.reference,
            subscriptions=automatic,
        )


def _keep(scope: Scope, *ids: str) -> bool:
    """Keep those of these customers who are not kept yet; True when there were any: what was read may have changed."""
    wanted = {id_ for id_ in ids if not scope.holds(id_)}
    if wanted:
        scope.keep_all(wanted)
    return bool(wanted)


def _without_waiting(scope: Scope, subs: Sequence[Subscription], payer: Customer) -> Sequence[Subscription]:
    """Bill to `payer` what waits of his subscriptions; these as they are afterwards."""
    waiting = waiting_lines(scope, [sub.id for sub in subs])
    if not waiting:
        return subs
    steps = [
        (Step(sub, sub, "final", tuple(waiting[sub.id]), collects=sub.state != "unpaid"), scope.now)
        for sub in subs
        if sub.id in waiting
    ]
    credits = payments.open_credits(scope.tx, [payer.id])
    documents = bill_steps(scope, steps, {payer.id: payer}, credits, {sub.id: scope.now for sub in subs})
    number(scope, documents)
    number_notes(scope)
    if any(invoice.collect_at is not None for invoice in documents):
        scope.collects.add(payer.id)
    scope.flush()
    again = store.subscribed(scope.tx, {sub.owner for sub in subs}, scope.catalog.coupons)
    known = {sub.id for sub in subs}
    return [sub for sub in again if sub.id in known]
