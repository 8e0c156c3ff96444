"""What a step may do: the verbs as they are defined, and what the format names beyond this version."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import get_type_hints

import billcore.billing  # noqa: F401  its nouns are the ones there are
from billcore.commands.parameters import CUSTOM_KEYS, Options
from billcore.commands.verb import Definition, Noun, verbs_of

SCENARIO_ONLY: Mapping[str, tuple[str, ...]] = {
    "gateway.script": ("outcomes", "customer", "default"),
    "gateway.settle": ("payment", "outcome"),
}
"""Words that steer the test gateway; `expect` has the keys of an expectation."""

OPTIONS = tuple(get_type_hints(Options))

BY_TOKEN = ("payment_methods.remove", "payment_methods.set_default")
"""Verbs whose payment method a scenario names by its token."""

_CUSTOMER = (
    "reference name email organization country region postcode vat_number tax_exempt timezone currency "
    "billing_day parent pays custom_fields affiliate clock"
)

# The names of the format. A verb or parameter that stands here and nowhere in the code comes with a later version.
_FORMAT: Mapping[str, str] = {
    "customers.create": _CUSTOMER,
    "customers.update": f"customer {_CUSTOMER}",
    "customers.delete": "customer",
    "customers.join": "customer parent align",
    "customers.leave": "customer",
    "payment_methods.add": "customer token gateway kind",
    "payment_methods.remove": "customer token gateway kind",
    "payment_methods.set_default": "customer token gateway kind",
    "subscriptions.create": "reference customer price components coupons billing_day first_charge trial_until "
    "starts_at next_billing_at ends_at collection net_terms base custom quantity affiliate referral",
    "subscriptions.attach": "reference customer price custom coupons",
    "subscriptions.update": "subscription reference net_terms collection payment_method send_invoice_emails",
    "subscriptions.adjust_balance": "subscription target amount reason",
    "subscriptions.delete": "subscription force",
    "subscriptions.change": "subscription price custom components quantity when proration period billing_day reason "
    "carry include_trial invoice_at effective_at",
    "subscriptions.cancel_change": "subscription",
    "subscriptions.set_component": "subscription component quantity price upgrade downgrade invoice_at effective_at",
    "subscriptions.cancel": "subscription when refund credit void_open effective_at reason",
    "subscriptions.uncancel": "subscription",
    "subscriptions.hold": "subscription resume_at unused",
    "subscriptions.resume": "subscription period",
    "subscriptions.reactivate": "subscription period balance include_trial ends_at",
    "subscriptions.activate": "subscription",
    "subscriptions.retry": "subscription",
    "subscriptions.change_billing_date": "subscription next_billing_at billing_day proration",
    "subscriptions.set_term": "subscription ends_at",
    "subscriptions.apply_coupon": "subscription coupon",
    "subscriptions.remove_coupon": "subscription coupon",
    "subscriptions.add_charge": "subscription amount description invoice_at",
    "usage.record": "subscription customer component feature quantity timestamp event_id properties",
    "usage.correct": "subscription customer component feature quantity event_id",
    "features.check": "customer feature required expect_allowed",
    "features.track": "customer feature quantity event_id hold expires_at",
    "features.hold": "customer feature quantity event_id hold expires_at",
    "features.confirm": "customer feature quantity event_id hold expires_at",
    "features.release": "customer feature quantity event_id hold expires_at",
    "features.set_balance": "customer feature balance next_reset_at",
    "invoices.create": "customer reference lines issue net_terms coupons",
    "invoices.issue": "invoice",
    "invoices.void": "invoice reason rebill",
    "invoices.write_off": "invoice reason",
    "invoices.record_payment": "invoice amount method",
    "invoices.credit": "invoice amount lines reason to",
    "payments.record": "customer amount method date invoices",
    "payments.refund": "payment amount external credit reason",
    "credits.add": "customer subscription amount",
    "credits.deduct": "customer subscription amount",
    "prepayments.add": "customer subscription amount",
    "disputes.open": "payment amount outcome",
    "disputes.close": "payment amount outcome",
    "clocks.advance": "clock to",
}
_FORMAT_CUSTOM = ("features",)
_FORMAT_CATALOG = ("tax_codes", "shipping_methods", "affiliate_rules", "dunning")


@cache
def verbs() -> Mapping[str, Definition]:
    """Every verb by its full name; nouns that a host has made of its own are not billcore's."""
    own = (noun for noun in _nouns(Noun) if noun.__module__.startswith("billcore."))
    return {made.full_name: made for noun in own for made in verbs_of(noun).values()}


def _nouns(above: type[Noun]) -> Iterator[type[Noun]]:
    for noun in above.__subclasses__():
        yield noun
        yield from _nouns(noun)


@cache
def known_verbs() -> tuple[str, ...]:
    """What `do` may be, in this version or a later one."""
    return tuple(sorted({"expect", *SCENARIO_ONLY, *verbs(), *_FORMAT}))


@cache
def known_parameters(do: str) -> tuple[str, ...]:
    """The parameters of a verb, in this version or a later one."""
    if do in SCENARIO_ONLY:
        return SCENARIO_ONLY[do]
    own = [parameter.name for parameter in verbs()[do].parameters] if do in verbs() else []
    return tuple(dict.fromkeys([*own, *_FORMAT.get(do, "").split(), *OPTIONS]))


@cache
def _has(do: str) -> frozenset[str]:
    names = {parameter.name for parameter in verbs()[do].parameters} | set(OPTIONS)
    return frozenset(names | {"token", "gateway", "kind"} if do in BY_TOKEN else names)


def lacking_in_step(do: str, given: Mapping[str, object]) -> str | None:
    """The verb or parameter that the format has and this version has not; None when it has all."""
    if do in SCENARIO_ONLY:
        return None
    if do not in verbs():
        return do
    for name, value in given.items():
        if name not in _has(do):
            return f"{do}({name})"
        if name == "custom" and isinstance(value, Mapping):
            later = [key for key in _FORMAT_CUSTOM if key in value and key not in CUSTOM_KEYS]
            if later:
                return f"{do}({name}.{later[0]})"
    return None


def lacking_in_catalog(catalog: Mapping[str, object]) -> str | None:
    """The entry of a catalog that needs a capability this version lacks; None when it has all."""
    for key in _FORMAT_CATALOG:
        if key in catalog:
            return f"catalog.{key}"
    return None
