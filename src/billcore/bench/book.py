"""The book of business that is measured: subscriptions with a product, a component, a discount and a tax each."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.commands.scope import Scope

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When the book is made; every subscription has run for a month by its renewal."""

UNTIL = START + timedelta(days=28)
"""By then each subscription has been renewed once."""

SETTINGS: Mapping[str, object] = {"require_customer_name": False, "require_customer_email": False}

CATALOG: Mapping[str, object] = {
    "products": [{"code": "pro", "name": "Pro", "prices": [{"code": "pro-m", "amount": "49.00", "every": "1 month"}]}],
    "components": [
        {
            "code": "seats",
            "name": "Seats",
            "kind": "quantity",
            "prices": [{"code": "seats-m", "scheme": "per_unit", "unit_amount": "5.00"}],
        }
    ],
    "coupons": [{"code": "TEN", "percent_off": "10", "duration": "forever"}],
    "taxes": [{"country": "DE", "code": "*", "name": "VAT", "rate": "19", "from": "2007-01-01"}],
}

_BATCH = 1000
_REMEMBER = 10_000
_SPREAD_S = 27 * 86_400
_STRIDE = 7919  # A prime, so that neighbours by age do not fall due side by side.


def opened(url: str, *, seed: int = 1) -> Billing:
    """A store of the benchmark, with a test gateway in this process that remembers what is not over yet.

    Workers on one store need a `seed` each: it makes their ids.
    """
    return Billing(
        url,
        clock=SimulatedClock(START),
        settings=SETTINGS,
        gateways={"test": {"remember": _REMEMBER}},
        seed=seed,
        actor="bench",
    )


def make_book(billing: Billing, subscriptions: int, watch: Callable[[int], None]) -> None:
    """Make the subscriptions with the verbs' own functions, a thousand in a transaction; `watch` hears how many."""
    billing.catalog.apply(CATALOG)
    for first in range(0, subscriptions, _BATCH):
        last = min(first + _BATCH, subscriptions)
        billing.unit(partial(_subscribe_all, billing, range(first, last), subscriptions))
        watch(last)


def _due(number: int, subscriptions: int) -> datetime:
    """When a subscription renews: every one at a second of its own, in no order, over four weeks."""
    return START + timedelta(seconds=1 + number * _STRIDE % subscriptions * _SPREAD_S // subscriptions)


def _subscribe_all(billing: Billing, numbers: range, subscriptions: int, scope: Scope) -> None:
    for number in numbers:
        _subscribe(billing, scope, number, subscriptions)


def _subscribe(billing: Billing, scope: Scope, number: int, subscriptions: int) -> None:
    due = _due(number, subscriptions)
    customer = billing.customers.create.within(scope, {"reference": f"customer-{number}", "country": "DE"})
    billing.payment_methods.add.within(scope, {"customer": customer.id, "token": "approve"})
    billing.subscriptions.create.within(
        scope,
        {
            "reference": f"subscription-{number}",
            "customer": customer.id,
            "price": "pro-m",
            "components": {"seats": "3"},
            "coupons": ["TEN"],
            "starts_at": due.replace(year=2025, month=12),
            "next_billing_at": due,
        },
    )
