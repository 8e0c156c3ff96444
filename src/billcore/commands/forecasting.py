"""What a subscription will bill: its next actions decided as they will be, and nothing of it kept (behaviour 3.8)."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from billcore.commands.bill import net_terms
from billcore.commands.changing import act_at
from billcore.commands.facts import facts_for
from billcore.commands.scope import Scope
from billcore.commands.unused import settle_usage
from billcore.domain.addons import base_is_over
from billcore.domain.bill import Bill, make_bill, missing, use_coupons
from billcore.domain.charges import counts_since
from billcore.domain.credit import Credit, draw, usable
from billcore.domain.invoice import CreditNote, Invoice
from billcore.domain.subscription import Action, Subscription
from billcore.store import payment as payments

MOST = 1000
"""A forecast ends after so many actions, however long it was asked for."""


@frozen
class Forecast:
    """One action that is to come: at `at` it bills an invoice or a credit note, or nothing.

    `credited` is what the customer's credits pay of the invoice as things stand, `due` what is left to pay at `due_at`;
    minor units of `currency`.
    """

    at: datetime
    action: Action
    state: str
    currency: str
    invoice: Invoice | None
    credit_note: CreditNote | None
    credited: int
    due: int
    due_at: datetime | None


def forecast(scope: Scope, sub: Subscription, until: datetime) -> list[Forecast]:
    """What the subscription bills up to `until` if nothing else happens: coupons, taxes, phases, planned changes.

    Usage counts as far as it is recorded, in the period that it belongs to.
    """
    credits = payments.open_credits(scope.tx, [sub.customer_id]).get(sub.customer_id, [])
    mine = [one for one in credits if one.currency == sub.currency]
    made = []
    for action, at, after, bill in _ahead(scope, sub, until, mine):
        drawn, mine[:] = _drawn(scope, bill, mine, at)
        due = bill.invoice.total - drawn if bill.invoice is not None else 0
        terms = net_terms(after, scope)
        if bill.note is not None:
            mine.append(_from_note(bill.note, at))
        due_at = at + timedelta(days=terms)
        made.append(
            Forecast(
                at, action, after.state, sub.currency, bill.invoice, bill.note, drawn, due, due_at if due else None
            )
        )
    return made


def _ahead(
    scope: Scope, sub: Subscription, until: datetime, held: Sequence[Credit]
) -> Iterator[tuple[Action, datetime, Subscription, Bill]]:
    """Each action with the instant it falls due, the subscription after it, and what it bills.

    `held` are the credits as what was billed before has left them.
    """
    customer = scope.customer(sub.customer_id)
    aside = scope.aside()
    extra = 0
    waited, used = False, set[str]()
    for _ in range(MOST):
        at, action = sub.next_action_at, sub.next_action
        if at is None or action is None or at > until:
            return
        aside.now = max(at, scope.now)
        facts = facts_for(aside, sub, customer, at)
        # What was recorded and what waits is billed once.
        facts = evolve(
            facts,
            usage={item: total for item, total in facts.usage.items() if item not in used},
            waiting=() if waited else facts.waiting,
            billed_in_period=facts.billed_in_period + extra,
        )
        step = settle_usage(aside, act_at(aside, sub, facts, aside.now), aside.now)
        bill = make_bill([step], customer, scope.site, aside.now, scope.new_id)
        if step.short is not None and missing(bill, held, scope.settings, aside.now):
            step = step.short
            bill = make_bill([step], customer, scope.site, aside.now, scope.new_id)
        waited = waited or any(line in step.lines for line in facts.waiting)
        used |= set(step.usage)
        if base_is_over(sub, facts):
            action = "expire" if step.subscription.state == "expired" else "cancel"
        # A component on its own interval bills within the period, which counts what was billed of it before.
        before, sub = sub, use_coupons(step, bill.used).subscription
        extra = extra if sub.period_start == before.period_start else 0
        if sub.period_start is not None:
            extra += sum(line.amount for line in step.lines if counts_since(line, sub.period_start))
        yield action, aside.now, sub, bill


def _drawn(scope: Scope, bill: Bill, credits: list[Credit], at: datetime) -> tuple[int, list[Credit]]:
    """What credits pay of an invoice, and the credits as they are then."""
    if bill.invoice is None:
        return 0, credits
    drawings = draw(bill.invoice.total, usable(credits, scope.settings, due=True), at)
    after = {drawing.credit.id: drawing.credit for drawing in drawings}
    return sum(drawing.amount for drawing in drawings), [after.get(one.id, one) for one in credits]


def _from_note(note: CreditNote, at: datetime) -> Credit:
    return Credit(f"crd_{note.id}", note.customer_id, "credits", note.currency, note.total, note.total, at)
