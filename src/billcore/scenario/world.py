"""The world a story has led to, in the shape of `expect`, everything filled in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billcore.billing import Billing
from billcore.commands.plain import instant_text
from billcore.domain.dunning import DunningCase
from billcore.domain.invoice import CreditNote, Invoice, Line
from billcore.domain.money import decimal_text, format_minor
from billcore.domain.payment import Payment
from billcore.domain.periods import to_local
from billcore.domain.subscription import Subscription
from billcore.store import catalog as stored_catalog
from billcore.store import payment as payments
from billcore.store.balance import Balance, balances

EVERYTHING = 10**9
"""A page that holds all there is."""

BILLS = ("renew", "trial_end", "start")
"""Actions that bring the next charge; the others end or resume a subscription."""


def world_of(billing: Billing, zone: str) -> dict[str, object]:
    """All documents, payments, subscriptions and customers of the store, as texts.

    Dates stand for 00:00 in `zone`. Balances are by currency; `printed` makes one amount of those with only one.
    """
    names = {one.id: one.reference for one in billing.customers.list(limit=EVERYTHING)}
    invoices = billing.invoices.list(limit=EVERYTHING)
    notes = billing.invoices.credit_notes(limit=EVERYTHING)
    attempts = billing.payments.list(limit=EVERYTHING)
    subs = billing.subscriptions.list(limit=EVERYTHING)
    with billing.database.transaction(reads=True) as tx:
        codes = {id_: price.code for id_, price in stored_catalog.load_prices(tx, {s.price_id for s in subs}).items()}
        cases = payments.open_cases(tx, names)
        held = balances(tx, list(names), billing.clock.now())
    return {
        "invoices": [_invoice(invoice, names, zone) for invoice in invoices],
        "credit_notes": [_note(note, names, zone) for note in notes],
        "payments": [_payment(payment, names, zone) for payment in attempts],
        "subscriptions": {
            sub.reference: _subscription(sub, codes, _next_billing(sub, invoices, cases), zone) for sub in subs
        },
        "customers": {
            reference: {
                name: _amounts([one for one in held if one.customer_id == id_], name)
                for name in ("due", "credit", "service_credit", "prepayment", "lifetime_value")
            }
            for id_, reference in names.items()
        },
    }


def printed(world: Mapping[str, object], currency: str) -> dict[str, object]:
    """The world as `scenario run` prints it: a balance in at most one currency is one amount."""
    shown = dict(world)
    customers = shown["customers"]
    assert isinstance(customers, Mapping)
    shown["customers"] = {
        name: {key: _one_amount(held, currency) for key, held in table.items()} for name, table in customers.items()
    }
    return shown


def _one_amount(held: Mapping[str, str], currency: str) -> object:
    if len(held) > 1:
        return dict(held)
    return next(iter(held.values()), format_minor(0, currency))


def shown_instant(at: datetime, zone: str) -> str:
    """A date for 00:00 in the zone, otherwise the UTC instant."""
    local = to_local(at, zone)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return local.date().isoformat()
    return instant_text(at)


def _given(table: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in table.items() if value is not None}


def _at(at: datetime | None, zone: str) -> str | None:
    return shown_instant(at, zone) if at is not None else None


def _invoice(invoice: Invoice, names: Mapping[str, str], zone: str) -> dict[str, object]:
    amounts = {
        "subtotal": invoice.subtotal,
        "discount": invoice.discount,
        "tax": invoice.tax,
        "tax_included": invoice.tax_included,
        "total": invoice.total,
        "credited": invoice.credited,
        "paid": invoice.paid,
        "due": invoice.due,
    }
    return _given(
        {
            "customer": names[invoice.customer_id],
            "issued": _at(invoice.issued_at, zone),
            "status": invoice.status,
            **{name: format_minor(amount, invoice.currency) for name, amount in amounts.items()},
            "lines": _lines(invoice.lines, invoice.currency, zone),
        }
    )


def _note(note: CreditNote, names: Mapping[str, str], zone: str) -> dict[str, object]:
    return {
        "customer": names[note.customer_id],
        "issued": shown_instant(note.issued_at, zone),
        "total": format_minor(note.total, note.currency),
        "to": note.to,
        "lines": _lines(note.lines, note.currency, zone),
    }


def _lines(lines: Iterable[Line], currency: str, zone: str) -> list[dict[str, object]]:
    return [
        _given(
            {
                "kind": line.kind,
                "code": line.code,
                "from": _at(line.start, zone),
                "to": _at(line.end, zone),
                "quantity": decimal_text(line.quantity),
                "amount": format_minor(line.amount, currency),
                "discount": format_minor(line.discount, currency),
                "tax": format_minor(line.tax, currency),
                "tax_included": format_minor(line.tax_included, currency),
            }
        )
        for line in lines
    ]


def _payment(payment: Payment, names: Mapping[str, str], zone: str) -> dict[str, object]:
    return {
        "customer": names[payment.customer_id],
        "at": shown_instant(payment.created_at, zone),
        "amount": format_minor(payment.captured or payment.amount, payment.currency),
        "status": payment.status,
    }


def _subscription(
    sub: Subscription, codes: Mapping[str, str], next_billing: datetime | None, zone: str
) -> dict[str, object]:
    period = None
    if sub.period_start is not None and sub.period_end is not None:
        period = [shown_instant(sub.period_start, zone), shown_instant(sub.period_end, zone)]
    return _given(
        {
            "state": sub.state,
            "price": codes[sub.price_id],
            "period": period,
            "next_billing": "none" if next_billing is None else shown_instant(next_billing, zone),
        }
    )


def _next_billing(
    sub: Subscription, invoices: Sequence[Invoice], cases: Mapping[tuple[str, str], DunningCase]
) -> datetime | None:
    """The earliest of renewal, due date and next retry (behaviour 7.3)."""
    due = [
        invoice.collect_at
        for invoice in invoices
        if invoice.collect_at is not None
        and (invoice.subscription_id or sub.id) == sub.id
        and any(line.subscription_id == sub.id for line in invoice.lines)
    ]
    if sub.next_action in BILLS and sub.next_action_at is not None:
        due.append(sub.next_action_at)
    case = cases.get((sub.customer_id, sub.currency))
    if case is not None and case.next_step_at is not None and sub.state == "past_due":
        due.append(case.next_step_at)
    return min(due, default=None)


def _amounts(held: Sequence[Balance], name: str) -> dict[str, str]:
    """One figure of a customer's balances by currency, where it is not zero."""
    return {one.currency: format_minor(getattr(one, name), one.currency) for one in held if getattr(one, name)}
