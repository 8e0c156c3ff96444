"""What some customers of the demo do in the middle of a month: take more with a coupon, or less."""

from datetime import timedelta

from attrs import frozen

from billcore.billing import Billing
from billcore.domain.money import Money
from billcore.store import reports
from billcore.store.reports import Running

UPGRADES = 5
PLUS, BASIC, COUPON = "plus-monthly", "basic-monthly", "LOYAL20"
# Who goes down has some of his month left, and the next one soon enough to be seen.
SOONEST, LATEST = timedelta(days=9), timedelta(days=16)


@frozen
class Change:
    """What a customer did, in words, and the number of the document that came of it."""

    told: str
    document: str


def change_some(billing: Billing) -> list[Change]:
    """Let some customers change and bill the next month of the one who went down; nothing where nobody is suited.

    Both only have payments that succeeded, so that their documents can be read without knowing of dunning.
    """
    now = billing.clock.now()
    with billing.database.transaction(reads=True) as tx:
        running = reports.running(tx, now)
    able = [one for one in running if one.period_start + SOONEST <= now and one.period_end - now >= SOONEST]
    down = max(
        (one for one in able if one.period_end - now <= LATEST),
        key=lambda one: (one.total, one.reference),
        default=None,
    )
    up = [one for one in able if one is not down][:UPGRADES]
    return [*_upgrades(billing, up), *(_downgrade(billing, down) if down is not None else ())]


def _upgrades(billing: Billing, chosen: list[Running]) -> list[Change]:
    total, documents = 0, []
    for one in chosen:
        billing.subscriptions.apply_coupon(one.reference, COUPON)
        billing.subscriptions.change(one.reference, price=PLUS)
        (invoice,) = billing.invoices.list(customer=one.reference, newest=True, limit=1)
        total += invoice.total
        documents.append(invoice.number_text or invoice.id)
    if not documents:
        return []
    first = chosen[0]
    others = f"{len(chosen)} customers take Plus with coupon {COUPON}: {Money(total, first.currency)} more now."
    before = Money(first.total, first.currency)
    return [Change(f"{others} {first.reference} had {before} a month:", documents[0])]


def _downgrade(billing: Billing, one: Running) -> list[Change]:
    billing.subscriptions.change(one.reference, price=BASIC)
    note = billing.invoices.credit_notes(customer=one.reference)[-1]
    number = note.number_text or note.id
    before, given = Money(one.total, one.currency), Money(note.total, one.currency)
    told = f"{one.reference} had {before} a month and goes down to Basic; {given} are his credit:"
    billing.run(one.period_end)
    (invoice,) = billing.invoices.list(customer=one.reference, newest=True, limit=1)
    paid = f"His next month is paid from credit note {number}:"
    return [Change(told, number), Change(paid, invoice.number_text or invoice.id)]
