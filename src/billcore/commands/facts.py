"""Loads what billing decisions are told: prices, usage, methods, credits, for many subscriptions at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billcore.commands.scope import Scope
from billcore.commands.waiting import waiting_lines
from billcore.domain.credit import Credit, usable
from billcore.domain.customer import Customer
from billcore.domain.facts import Facts, own_interval
from billcore.domain.subscription import Subscription
from billcore.domain.usage import UsageTotal
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import payment as payments
from billcore.store import subscription as subscriptions
from billcore.store import usage as usage_store


def load_facts(
    scope: Scope, subs: Sequence[Subscription], until: Mapping[str, datetime], known: Mapping[str, Customer]
) -> dict[str, Facts]:
    """Facts by subscription id. `until` is the usage cut-off of each; `known` are the customers by id."""
    prices = scope.prices({sub.price_id for sub in subs} | {item.price_id for sub in subs for item in sub.items})
    catalog = scope.catalog.catalog
    usage = _usage(scope, subs, until)
    in_trial = [sub.customer_id for sub in subs if sub.state == "trialing"]
    credits = payments.open_credits(scope.tx, in_trial) if in_trial else {}
    billed = invoices.billed_since(
        scope.tx,
        {
            (sub.customer_id, sub.id): sub.period_start
            for sub in subs
            if sub.period_start is not None and prices[sub.price_id].minimum is not None
        },
    )
    had_trials = _had_trials(scope, subs)
    waiting = waiting_lines(scope, [sub.id for sub in subs])
    found = {}
    for sub in subs:
        customer = known[sub.customer_id]
        price = prices[sub.price_id]
        assert price.product is not None
        found[sub.id] = Facts(
            scope.settings,
            scope.zone(customer),
            catalog.product(price.product),
            price,
            prices,
            catalog.components,
            usage,
            customer.default_method_id is not None or sub.payment_method_id is not None,
            _at_hand(scope, credits.get(sub.customer_id, ()), sub.currency, until[sub.id]),
            sub.id not in had_trials,
            billed.get(sub.id, 0),
            tuple(waiting.get(sub.id, ())),
            scope.actor,
        )
    return found


def _at_hand(scope: Scope, credits: Sequence[Credit], currency: str, at: datetime) -> int:
    """What these credits could pay at an instant by themselves, in minor units."""
    mine = [credit for credit in usable(credits, scope.settings, due=True) if credit.currency == currency]
    return sum(credit.remaining for credit in mine if credit.expires_at is None or credit.expires_at > at)


def _had_trials(scope: Scope, subs: Sequence[Subscription]) -> set[str]:
    """Those of these new subscriptions whose customer had a trial already, by id (setting trial_once)."""
    rule = scope.settings.trial_once
    beginning = [sub for sub in subs if sub.state in ("pending", "awaiting_signup")]
    if rule == "none" or not beginning:
        return set()
    return {sub.id for sub in beginning if subscriptions.had_trial(scope.tx, sub, fingerprints=rule == "fingerprint")}


def facts_for(scope: Scope, sub: Subscription, customer: Customer, until: datetime) -> Facts:
    """The facts of one subscription."""
    return load_facts(scope, [sub], {sub.id: until}, {customer.id: customer})[sub.id]


def _usage(scope: Scope, subs: Sequence[Subscription], until: Mapping[str, datetime]) -> Mapping[str, UsageTotal]:
    components = scope.catalog.catalog.components
    windows = []
    for sub in subs:
        if not sub.items or sub.period_start is None or sub.activated_at is None or sub.priced_from is None:
            continue
        prices = scope.prices([sub.price_id, *(item.price_id for item in sub.items)])
        for item in sub.items:
            if components[item.component].kind != "metered":
                continue
            own = own_interval(prices[item.price_id], prices[sub.price_id])
            start = item.period_start if own and item.period_start else sub.arrears_from or sub.period_start
            end = until[sub.id]
            if not own and sub.period_end is not None:
                end = min(end, sub.period_end) if sub.state not in ("on_hold", "suspended") else end
            windows.append((item.id, sub.activated_at, start, end))
    return usage_store.unbilled(scope.tx, windows)


def customers_of(scope: Scope, subs: Sequence[Subscription]) -> dict[str, Customer]:
    """The subscriptions' customers by id."""
    return customers.by_ids(scope.tx, {sub.customer_id for sub in subs})
