"""Values and books for tests: one obvious default each, what a test is about is given by name."""

import functools
import itertools
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import settings as examples

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.domain.bill import Site
from billcore.domain.catalog import Component, Price, Product
from billcore.domain.credit import Credit
from billcore.domain.customer import Customer
from billcore.domain.draft import DraftLine
from billcore.domain.durations import Duration
from billcore.domain.facts import Facts
from billcore.domain.invoice import Invoice, Line
from billcore.domain.payment import Payment
from billcore.domain.periods import Period
from billcore.domain.receivable import Account, Receivable
from billcore.domain.refund import Refund
from billcore.domain.subscription import Item, Subscription
from billcore.domain.tax import RateTable
from billcore.domain.usage import UsageEvent
from billcore.domain.writes import Writes
from billcore.errors import BillcoreError
from billcore.plugins.registry import Registry
from billcore.settings import Settings
from billcore.store import tables
from tests import databases

START = datetime(2026, 1, 1, tzinfo=UTC)
REFUNDS = itertools.count(1)
USAGE = itertools.count(1)


def day(text, hour=0):
    """`day("2026-01-31")`, `day("01-31")` of 2026, or with a time: `day("01-31T06:00")`; always UTC."""
    if text[4:5] != "-":
        text = f"2026-{text}"
    made = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return made.replace(hour=hour) if hour else made


def ids():
    """A source of ids that only count: `inv_0001`."""
    counter = itertools.count(1)
    return lambda prefix: f"{prefix}_{next(counter):04}"


# -- domain ------------------------------------------------------------------------------------------------


def price(amount="30.00", every="1 month", **changes):
    given = {
        "code": "pro-m",
        "id": "pri_pro",
        "product": "pro",
        "amounts": {"USD": Decimal(amount)},
        "every": Duration.parse(every),
    }
    return Price(**(given | changes))


def component_price(amount="5.00", code="seats-p", component="seats", **changes):
    given = {"code": code, "id": f"pri_{component}", "component": component}
    return Price(**(given | {"amounts": {"USD": Decimal(amount)}} | changes))


def component(code="seats", kind="quantity", **changes):
    return Component(**({"code": code, "name": code.capitalize(), "kind": kind} | changes))


def settings(**changes):
    return Settings.from_mapping(changes)


def facts(own=None, *components, zone="UTC", site=None, **changes):
    """Facts for a price and (component, its price) pairs."""
    own = own or price()
    prices = {own.id: own} | {its.id: its for _, its in components}
    given = {
        "settings": site or settings(),
        "zone": zone,
        "product": Product("pro", "Pro"),
        "price": own,
        "prices": prices,
        "components": {one.code: one for one, _ in components},
    }
    return Facts(**(given | changes))


def item(code="seats", quantity="3", **changes):
    given = {
        "id": f"itm_{code}",
        "subscription_id": "sub_1",
        "component": code,
        "price_id": f"pri_{code}",
        "quantity": Decimal(quantity),
        "added_at": START,
    }
    return Item(**(given | changes))


def usage_event(quantity="1", at="01-10", event_id=None, **changes):
    made = f"use_{next(USAGE):06}"
    given = {
        "id": made,
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "item_id": "itm_calls",
        "component": "calls",
        "event_id": event_id or made,
        "quantity": Decimal(quantity),
        "at": at if isinstance(at, datetime) else day(at),
        "recorded_at": START,
    }
    return UsageEvent(**(given | changes))


def subscription(state="active", **changes):
    """Signed up and active since 2026-01-01, paid up to 2026-02-01."""
    given = {
        "id": "sub_1",
        "reference": "s1",
        "customer_id": "cus_1",
        "currency": "USD",
        "price_id": "pri_pro",
        "quantity": Decimal(1),
        "state": state,
        "created_at": START,
    }
    running = {
        "activated_at": START,
        "anchor": START,
        "priced_from": START,
        "arrears_from": START,
        "period_start": START,
        "period_end": day("02-01"),
        "sequence": 1,
        "next_action_at": day("02-01"),
        "next_action": "renew",
    }
    return Subscription(**(given | (running if state != "pending" else {}) | changes))


def customer(**changes):
    return Customer(**({"id": "cus_1", "reference": "acme", "created_at": START} | changes))


def site(*rates, **changed):
    return Site(settings(**changed), RateTable(rates))


def draft_line(amount=3000, **changes):
    given = {
        "subscription_id": "sub_1",
        "item_id": "sub_1",
        "kind": "product",
        "price_id": "pri_pro",
        "code": "pro-m",
        "description": "Pro",
        "period": Period(START, day("02-01")),
        "quantity": Decimal(1),
        "amount": amount,
        "codes": frozenset(("pro", "pro-m")),
    }
    return DraftLine(**(given | changes))


def line(amount=3000, **changes):
    given = {
        "id": "lin_1",
        "invoice_id": "inv_1",
        "credit_note_id": None,
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "item_id": "sub_1",
        "kind": "product",
        "price_id": "pri_pro",
        "code": "pro-m",
        "description": "Pro",
        "start": START,
        "end": day("02-01"),
        "quantity": Decimal(1),
        "amount": amount,
        "discount": 0,
        "tax": 0,
        "tax_included": 0,
        "basis": "{}",
    }
    return Line(**(given | changes))


def invoice(total=3000, status="open", **changes):
    """A renewal invoice of 30.00 USD, issued on 2026-01-01."""
    given = {
        "id": "inv_1",
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "purpose": "renewal",
        "currency": "USD",
        "status": status,
        "collection": "automatic",
        "created_at": START,
        "subtotal": total,
        "discount": 0,
        "tax": 0,
        "tax_included": 0,
        "total": total,
    }
    issued = {"number": 1, "number_text": "1", "issued_at": START, "due_at": START}
    return Invoice(**(given | (issued if status != "draft" else {}) | changes))


def payment(amount=3000, status="pending", **changes):
    given = {
        "id": "pay_1",
        "customer_id": "cus_1",
        "invoice_id": "inv_1",
        "attempt": 1,
        "idempotency_key": "key",
        "cause": "collection",
        "amount": amount,
        "currency": "USD",
        "gateway": "test",
        "payment_method_id": "pm_1",
        "request": "{}",
        "status": status,
        "created_at": START,
        "sends": 1,
    }
    return Payment(**(given | changes))


def refund(amount=1000, status="pending", **changes):
    """A refund of the payment above to its method."""
    number = next(REFUNDS)
    given = {
        "id": f"ref_{number}",
        "customer_id": "cus_1",
        "payment_id": "pay_1",
        "attempt": 1,
        "idempotency_key": f"key:r{number}",
        "cause": "refund",
        "to": "method",
        "amount": amount,
        "currency": "USD",
        "gateway": "test",
        "request": "{}",
        "status": status,
        "created_at": START,
        "next_check_at": START if status in ("pending", "unknown") else None,
    }
    return Refund(**(given | changes))


def credit(amount=1000, account="credits", **changes):
    given = {
        "id": "crd_1",
        "customer_id": "cus_1",
        "account": account,
        "currency": "USD",
        "amount": amount,
        "remaining": amount,
        "created_at": START,
    }
    return Credit(**(given | changes))


def receivable(its=None, *subs, at=START, of=None, **account):
    """An invoice in the hands of the collection, with its payer's subscriptions."""
    account = Account("UTC", tuple(subs or (subscription(),)), **account)
    return Receivable(its or invoice(), account, of or site(), at, Writes(), ids())


# -- books -------------------------------------------------------------------------------------------------

CATALOG = {
    "products": [
        {
            "code": "pro",
            "name": "Pro",
            "prices": [
                {"code": "pro-m", "amount": "30.00", "every": "1 month"},
                {"code": "pro-y", "amount": "360.00", "every": "1 year"},
                {"code": "pro-w", "amount": "7.00", "every": "1 week"},
                {"code": "pro-fee", "amount": "30.00", "every": "1 month", "setup_fee": "10.00"},
                {
                    "code": "pro-trial",
                    "amount": "30.00",
                    "every": "1 month",
                    "trial": "14 days",
                    "trial_amount": "1.00",
                    "setup_fee": "10.00",
                    "setup_fee_at": "trial_end",
                },
                {"code": "try", "amount": "30.00", "every": "1 month", "trial": "14 days"},
                {
                    "code": "try-end",
                    "amount": "30.00",
                    "every": "1 month",
                    "trial": "14 days",
                    "trial_end": "end",
                },
                {
                    "code": "try-cancel",
                    "amount": "30.00",
                    "every": "1 month",
                    "trial": "14 days",
                    "trial_end": "cancel",
                },
                {"code": "pro-late", "amount": "30.00", "every": "1 month", "bill": "arrears"},
                {"code": "pro-term", "amount": "30.00", "every": "1 month", "expires_after": "3 months"},
                {"code": "free", "amount": "0.00", "every": "1 month"},
                {"code": "pro-eur", "currency": "EUR", "amount": "28.00", "every": "1 month"},
            ],
        },
        {
            "code": "solo",
            "name": "Solo",
            "components": ["seats"],
            "prices": [{"code": "solo-m", "amount": "9.00", "every": "1 month"}],
        },
        {
            "code": "support",
            "name": "Support",
            "kind": "addon",
            "prices": [{"code": "support-m", "amount": "5.00", "every": "1 month"}],
        },
    ],
    "components": [
        {
            "code": "seats",
            "name": "Seats",
            "kind": "quantity",
            "prices": [{"code": "seats-p", "scheme": "per_unit", "unit_amount": "5.00"}],
        },
        {
            "code": "calls",
            "name": "Calls",
            "kind": "metered",
            "prices": [{"code": "calls-p", "scheme": "per_unit", "unit_amount": "0.10"}],
        },
        {
            "code": "hosting",
            "name": "Hosting",
            "kind": "quantity",
            "prices": [{"code": "hosting-m", "scheme": "per_unit", "unit_amount": "2.00", "every": "1 month"}],
        },
    ],
    "coupons": [
        {"code": "TEN", "percent_off": "10", "duration": "forever"},
        {"code": "ONCE", "amount_off": "5.00"},
        {"code": "TWO", "percent_off": "50", "duration": "2 periods"},
        {"code": "FEW", "percent_off": "10", "max_redemptions": 1},
        {"code": "GONE", "percent_off": "10", "redeem_by": "2025-12-31"},
        {"code": "ALONE", "percent_off": "10", "stacking": "exclusive"},
        {"code": "SOLO", "percent_off": "10", "applies_to": ["solo"]},
    ],
    "taxes": [
        {
            "country": "DE",
            "region": "",
            "postcode": "",
            "code": "*",
            "name": "VAT",
            "rate": "19",
            "from": "2021-01-01",
        }
    ],
}


OPENED = []
"""The books of the running test: tests/conftest.py closes them at its end, other conftest.py prove them before."""


def anew():
    """Let an example of a property begin without the books of the one before."""
    OPENED.clear()
    databases.renew()


def for_all(check, *, sqlite, postgresql, **strategies):
    """Check a property of the engine on so many examples; on PostgreSQL each takes longer, and fewer will do."""
    count = {"sqlite": sqlite, "postgresql": postgresql}[databases.CURRENT[-1].kind]
    given(**strategies)(examples(max_examples=count, deadline=None)(check))()


class HandClock:
    """A clock that runs like the machine's, not a simulated one, but stands where the test puts it."""

    simulated = False

    def __init__(self, start=START):
        self.time = start

    def now(self):
        return self.time

    def wall(self):
        return self.time

    def advance(self, to):
        raise AssertionError(f"nobody moves real time to {to}")


def books(
    url=None,
    *,
    clock=None,
    start=START,
    catalog=CATALOG,
    method="approve",
    customers=("acme",),
    gateways=None,
    plugins=None,
    **changed,
):
    """Books of their own with the catalog above and customers who have one payment method (None: none)."""
    free = {"require_customer_name": False, "require_customer_email": False}
    url = url or databases.fresh()
    own = {"gateways": gateways, "plugins": _registry() if plugins is None else plugins}
    billing = Billing(url, clock=clock or SimulatedClock(start), settings=free | changed, seed=1, **own)
    OPENED.append(databases.opened(billing))
    billing.catalog.apply(catalog)
    for reference in customers:
        billing.customers.create(reference)
        if method is not None:
            billing.payment_methods.add(reference, method)
    return billing


@functools.cache
def _registry():
    """One for all books that have no plugins of their own: what is installed is looked through once."""
    return Registry()


def refusal(call, *args, **given):
    """The error of a call that must be refused."""
    try:
        call(*args, **given)
    except BillcoreError as error:
        return error
    raise AssertionError("nothing was refused")


def dump(billing, *leave_out):
    """Every row of every table: what a refused or dry command must not change."""
    with billing.database.transaction(reads=True) as tx:
        return {
            name: tx.rows(f"SELECT * FROM {name} ORDER BY 1, 2")
            for name in tables.metadata.tables
            if name not in leave_out
        }


def documents(billing, customer=None):
    """Invoices as (status, day issued, total, paid, lines), in order."""
    return [
        (one.status, f"{one.issued_at:%m-%d}", one.total, [(row.kind, row.amount) for row in one.lines])
        for one in billing.invoices.list(customer=customer, limit=10_000)
    ]


def attempts(billing, customer=None):
    """Payments as (status, day, amount), in order."""
    return [
        (one.status, f"{one.created_at:%m-%d}", one.amount)
        for one in billing.payments.list(customer=customer, limit=10_000)
    ]
