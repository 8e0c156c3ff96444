"""Commands that change a running subscription only when they are paid: a draft, its attempt, then the change (5.1)."""

from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import evolve

from billcore.commands.addons import addon_steps
from billcore.commands.bill import mark_usage
from billcore.commands.cancellation import NOW_INCLUDED
from billcore.commands.changing import ask_again
from billcore.commands.facts import facts_for
from billcore.commands.reactivating import return_again
from billcore.commands.returning import write_down
from billcore.commands.scope import Scope
from billcore.commands.signup import bill_all_now, pay_draft, to_pay_now
from billcore.commands.unused import settle_usage
from billcore.domain.addons import begins_anew
from billcore.domain.bill import make_bill, record, use_coupons
from billcore.domain.change import Change, ChangeKind
from billcore.domain.customer import Customer
from billcore.domain.invoice import Invoice
from billcore.domain.lifecycle import activate
from billcore.domain.states import TABLE, Event, Refusal
from billcore.domain.step import Step
from billcore.domain.subscription import Subscription
from billcore.errors import Refused
from billcore.store import change as changes
from billcore.store import invoice as invoices
from billcore.store import payment as payments

Make = Callable[[Scope], Step]

AWAITED = {"activation": "activation", "change": "change", "reactivation": "return"}
"""What waits for the payment of a draft, by its purpose."""


def pay_first(
    scope: Scope, sub: Subscription, customer: Customer, kind: ChangeKind, parameters: str, make: Make
) -> bool:
    """Store a draft and its attempt where a command has something to pay first; False where it has not.

    What `make` decides is only looked at: it is decided again when the payment has come, as of now. Raises
    payment_in_doubt while another one waits for its payment.
    """
    aside = scope.aside()
    step = _look(aside, make, scope.now)
    bill = make_bill([step], customer, scope.site, scope.now, scope.new_id)
    due = to_pay_now(scope, bill, step.subscription, customer)
    if due == 0 or bill.invoice is None:
        return False
    require_none_waits(scope, sub)
    pay_draft(scope, bill, customer, sub, due)
    # What follows from it (add-ons that begin anew, a debt that is kept) is due as soon as it has happened.
    scope.collects.add(customer.id)
    scope.writes.add(
        Change(
            scope.new_id("cha"),
            sub.customer_id,
            sub.id,
            kind,
            parameters,
            scope.now,
            scope.actor,
            scope.now,
            invoice_id=bill.invoice.id,
        )
    )
    return True


def require_none_waits(scope: Scope, sub: Subscription) -> None:
    """Refuse what would be paid first while something else of the subscription waits for its payment already.

    Both might be paid, and one of them for nothing. Raises payment_in_doubt.
    """
    waiting = invoices.draft_in_doubt(scope.tx, sub.customer_id, sub.id)
    if waiting is None:
        return
    draft = invoices.by_ids(scope.tx, [payments.by_ids(scope.tx, [waiting])[waiting].billed], lines=False)
    (what,) = {AWAITED[one.purpose] for one in draft.values()}
    raise Refused(
        "payment_in_doubt",
        f"The {what} of subscription {sub.reference} waits for a payment without an outcome ({waiting}).",
        remedy="Repeat the command when the outcome is known; billcore doctor says when it is asked for.",
        payment=waiting,
    )


def begins(scope: Scope, invoice: Invoice, sub: Subscription) -> Callable[[], Step] | None:
    """How the payment of a draft brings about what it waits for, counted from the command.

    None when the subscription went another way: nothing then waits for the payment any more.
    """
    event: Event = {"activation": "activate", "change": "change"}.get(invoice.purpose, "reactivate")  # type: ignore[assignment]
    if isinstance(TABLE[event][sub.state], Refusal):
        return None
    customer = scope.customer(invoice.customer_id)
    change = None if invoice.purpose == "activation" else changes.for_invoice(scope.tx, invoice.id)
    if change is None and invoice.purpose != "activation":
        return None

    def make(asking: Scope) -> Step:
        # Each is told what its command was told: a change comes after the usage of its own instant.
        included = NOW_INCLUDED if event == "change" else timedelta(0)
        facts = facts_for(asking, sub, customer, invoice.created_at + included)
        if change is None:
            return activate(sub, facts, invoice.created_at, asking.new_id)
        again = ask_again if change.kind == "change" else return_again
        return again(asking, sub, facts, change)

    return _as_of_then(scope, invoice, customer, change, make)


def _as_of_then(
    scope: Scope, invoice: Invoice, customer: Customer, change: Change | None, make: Make
) -> Callable[[], Step] | None:
    try:
        seen = _look(evolve(scope, now=invoice.created_at).aside(), make, invoice.created_at)
    except Refused:
        return None
    bill = make_bill([seen], customer, scope.site, invoice.created_at, scope.new_id)
    if bill.invoice is None or _billed(bill.invoice) != _billed(invoice):
        return None

    def begin() -> Step:
        at, scope.now = scope.now, invoice.created_at
        step = settle_usage(scope, make(scope), invoice.created_at)
        scope.now = at
        if change is not None:
            known = scope.writes.get(Change, change.id) or change
            assert isinstance(known, Change)
            scope.writes.put(evolve(known, status="applied", decided_at=at))
            if change.kind == "change":
                record(
                    scope.writes, scope.new_id, change.customer_id, at, "subscription.changed", change.subscription_id
                )
        mark_usage(scope, step, invoice.lines)
        write_down(scope, [one for line in step.lines for one in line.returned], invoice.id)
        return use_coupons(step, bill.used)

    return begin


def follow_base(scope: Scope, step: Step, asked_at: datetime) -> None:
    """Let the add-ons of a subscription take its dates, where a change that was paid began a new period (6.6).

    They are billed now, as of when the change was asked for.
    """
    if not begins_anew(step):
        return
    at, scope.now = scope.now, asked_at
    more = addon_steps(scope, step, asked_at)
    scope.now = at
    bill_all_now(scope, more)


def refuse_change(scope: Scope, invoice: Invoice) -> None:
    """The change whose draft was not paid comes to nothing."""
    change = changes.for_invoice(scope.tx, invoice.id)
    if change is not None:
        scope.writes.put(evolve(change, status="refused", decided_at=scope.now))


def _look(aside: Scope, make: Make, at: datetime) -> Step:
    """What `make` decides, in a unit of work that nobody keeps; raises what it raises, for the add-ons that follow."""
    step = settle_usage(aside, make(aside), at)
    if begins_anew(step):
        addon_steps(aside, step, at)
    return step


def _billed(invoice: Invoice) -> list[tuple[object, ...]]:
    return [(line.kind, line.item_id, line.price_id, line.start, line.end, line.total) for line in invoice.lines]
