"""Loads what billing decisions are told: prices, usage, methods, credits, for many subscriptions at once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billcore.commands.metered import load_usage
from billcore.commands.scope import Scope
from billcore.commands.waiting import waiting_lines
from billcore.domain.catalog import Price
from billcore.domain.customer import Customer
from billcore.domain.facts import Facts
from billcore.domain.subscription import Subscription
from billcore.store import change as changes
from billcore.store import customer as customers
from billcore.store import invoice as invoices
from billcore.store import subscription as subscriptions


def load_facts(
    scope: Scope, subs: Sequence[Subscription], until: Mapping[str, datetime], known: Mapping[str, Customer]
) -> dict[str, Facts]:
    """Facts by subscription id. `until` is the usage cut-off of each; `known` are the customers by id."""
    prices = scope.prices({sub.price_id for sub in subs} | {item.price_id for sub in subs for item in sub.items})
    catalog = scope.catalog.catalog
    usage, rated_at = load_usage(scope, subs, until, known)
    if rated_at:
        prices = {**prices, **scope.prices(rated_at)}
    committed = _committed(scope, subs)
    billed = invoices.billed_since(
        scope.tx,
        {
            (sub.customer_id, sub.id): sub.period_start
            for sub in subs
            if sub.period_start is not None and (committed.get(sub.id) or prices[sub.price_id]).minimum is not None
        },
    )
    had_trials = _had_trials(scope, subs)
    waiting = waiting_lines(scope, [sub.id for sub in subs])
    zones = zones_of(scope, subs, known)
    bases = _bases(scope, subs)
    found = {}
    for sub in subs:
        customer = known[sub.customer_id]
        price = prices[sub.price_id]
        assert price.product is not None
        found[sub.id] = Facts(
            scope.settings,
            zones[sub.id],
            catalog.product(price.product),
            price,
            prices,
            catalog.components,
            usage,
            customer.default_method_id is not None or sub.payment_method_id is not None,
            sub.id not in had_trials,
            billed.get(sub.id, 0),
            tuple(waiting.get(sub.id, ())),
            scope.actor,
            base=bases[sub.base_id] if sub.base_id is not None else None,
            committed=committed.get(sub.id),
        )
    return found


def _committed(scope: Scope, subs: Sequence[Subscription]) -> dict[str, Price]:
    """By subscription, the price that its running period began with, where another one holds only from the next on."""
    waiting = [sub for sub in subs if sub.changed_at and sub.period_end and sub.changed_at >= sub.period_end]
    begun = [changes.running(scope.tx, sub.customer_id, sub.id, sub.sequence) for sub in waiting]
    prices = scope.prices({row.price_id for row in begun if row is not None}) if begun else {}
    return {row.subscription_id: prices[row.price_id] for row in begun if row is not None}


def _bases(scope: Scope, subs: Sequence[Subscription]) -> dict[str, Subscription]:
    """What the add-ons among these belong to, by id; mostly it is due together with them."""
    wanted = {sub.base_id for sub in subs if sub.base_id is not None}
    if not wanted:
        return {}
    found = {sub.id: sub for sub in subs if sub.id in wanted}
    made = {id_: one for id_ in wanted if isinstance(one := scope.writes.get(Subscription, id_), Subscription)}
    missing = wanted - found.keys() - made.keys()
    stored = subscriptions.by_ids(scope.tx, missing, scope.catalog.coupons) if missing else {}
    return found | stored | made


def _had_trials(scope: Scope, subs: Sequence[Subscription]) -> set[str]:
    """Those of these new subscriptions whose customer had a trial already, by id (setting trial_once)."""
    rule = scope.settings.trial_once
    beginning = [sub for sub in subs if sub.state in ("pending", "awaiting_signup")]
    if rule == "none" or not beginning:
        return set()
    return {sub.id for sub in beginning if subscriptions.had_trial(scope.tx, sub, fingerprints=rule == "fingerprint")}


def may_try_again(scope: Scope, sub: Subscription) -> bool:
    """Whether a subscription that has begun may have a trial when one is asked for (setting trial_once)."""
    rule = scope.settings.trial_once
    if rule == "none":
        return True
    return sub.trial_until is None and not subscriptions.had_trial(scope.tx, sub, fingerprints=rule == "fingerprint")


def facts_for(scope: Scope, sub: Subscription, customer: Customer, until: datetime) -> Facts:
    """The facts of one subscription."""
    return load_facts(scope, [sub], {sub.id: until}, {customer.id: customer})[sub.id]


def zones_of(scope: Scope, subs: Iterable[Subscription], known: Mapping[str, Customer]) -> dict[str, str]:
    """The zones that subscriptions count their dates in, by their id: those of who subscribed (behaviour 14).

    `known` are customers by id, those who owe at least.
    """
    others = {sub.owner_id for sub in subs if sub.owner_id is not None and sub.owner_id not in known}
    if others:
        made = {id_: one for id_ in others if isinstance(one := scope.writes.get(Customer, id_), Customer)}
        known = {**known, **customers.by_ids(scope.tx, others - made.keys()), **made}
    return {sub.id: scope.zone(known[sub.owner]) for sub in subs}


def customers_of(scope: Scope, subs: Sequence[Subscription]) -> dict[str, Customer]:
    """The subscriptions' customers by id."""
    return customers.by_ids(scope.tx, {sub.customer_id for sub in subs})
