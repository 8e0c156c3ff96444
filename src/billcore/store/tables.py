"""The tables: names, types, constraints and indexes, the same on SQLite and PostgreSQL (behaviour 8.4)."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint

from billcore.store.columns import key, metadata, partial_index, string
from billcore.store.tables_money import (
    coverage,
    credit_notes,
    credits,  # noqa: A004 - a word of billing before it is a builtin
    dunning_cases,
    entries,
    invoices,
    lines,
    payments,
    refunds,
    renewals,
)
from billcore.store.types import ExactDecimal, Instant, JsonText, PreciseInstant

__all__ = [
    "audit",
    "catalog",
    "counters",
    "coupons",
    "coverage",
    "credit_notes",
    "credits",
    "customers",
    "dunning_cases",
    "entries",
    "events",
    "idempotency",
    "imports",
    "inbox",
    "invoices",
    "items",
    "lines",
    "meta",
    "metadata",
    "payment_methods",
    "payments",
    "refunds",
    "renewals",
    "settings",
    "state_changes",
    "subscriptions",
    "usage",
]

meta = Table("billcore_meta", metadata, Column("key", Text, primary_key=True), string("value", nullable=False))

settings = Table(
    "billcore_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JsonText, nullable=False),
)

catalog = Table(
    "billcore_catalog",
    metadata,
    Column("id", Text, primary_key=True),
    string("kind", nullable=False),
    string("code", nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JsonText, nullable=False),
    Column("published_at", Instant, nullable=False),
    string("owner"),
    string("custom_of"),
    UniqueConstraint("kind", "code", "version", name="billcore_catalog_version"),
)

customers = Table(
    "billcore_customers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    string("name"),
    string("email"),
    string("organization"),
    string("phone"),
    string("country", nullable=False),
    string("region", nullable=False),
    string("postcode", nullable=False),
    string("city", nullable=False),
    string("address", nullable=False),
    string("vat_number"),
    Column("tax_exempt", Boolean, nullable=False),
    string("timezone"),
    string("currency"),
    Column("billing_day", Integer),
    string("default_method_id"),
    Column("custom_fields", JsonText, nullable=False),
    Column("version", Integer, nullable=False),
)

payment_methods = Table(
    "billcore_payment_methods",
    metadata,
    Column("id", Text, primary_key=True),
    key("customer_id", "customers"),
    string("gateway", nullable=False),
    string("kind", nullable=False),
    string("token", nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("reference", Text, unique=True),
    string("gateway_customer"),
    string("brand"),
    string("last4"),
    string("expires_on"),
    string("fingerprint"),
    string("status", nullable=False),
    Index("billcore_payment_methods_customer", "customer_id"),
    Index("billcore_payment_methods_token", "gateway", "token"),
)

subscriptions = Table(
    "billcore_subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    key("customer_id", "customers"),
    string("currency", nullable=False),
    key("price_id", "catalog"),
    Column("quantity", ExactDecimal, nullable=False),
    string("state", nullable=False),
    Column("created_at", Instant, nullable=False),
    string("collection", nullable=False),
    string("previous_state"),
    Column("starts_at", Instant),
    Column("activated_at", Instant),
    Column("trial_until", Instant),
    Column("anchor", Instant),
    Column("priced_from", Instant),
    Column("arrears_from", Instant),
    Column("billing_day", Integer),
    string("first_charge", nullable=False),
    Column("period_start", Instant),
    Column("period_end", Instant),
    Column("sequence", Integer, nullable=False),
    Column("ends_at", Instant),
    Column("expires_at", Instant),
    Column("cancel_at", Instant),
    Column("cancel_requested_at", Instant),
    string("cancel_reason"),
    string("cancel_credit"),
    Column("ended_at", Instant),
    Column("held_at", Instant),
    Column("resume_at", Instant),
    string("unused"),
    Column("net_terms", Integer),
    string("payment_method_id"),
    string("base_id"),
    string("referral_code"),
    Column("next_action_at", Instant),
    string("next_action"),
    Column("parked_at", Instant),
    string("parked_reason"),
    Column("version", Integer, nullable=False),
    partial_index(
        "billcore_subscriptions_due",
        "next_action_at",
        "customer_id",
        "id",
        where="next_action_at IS NOT NULL AND parked_at IS NULL",
    ),
    Index("billcore_subscriptions_customer", "customer_id"),
    partial_index("billcore_subscriptions_base", "base_id", where="base_id IS NOT NULL"),
)

items = Table(
    "billcore_subscription_items",
    metadata,
    Column("id", Text, primary_key=True),
    key("subscription_id", "subscriptions"),
    string("component", nullable=False),
    key("price_id", "catalog"),
    Column("quantity", ExactDecimal, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("period_start", Instant),
    Column("period_end", Instant),
    Column("ended_at", Instant),
    Index("billcore_subscription_items_subscription", "subscription_id"),
)

coupons = Table(
    "billcore_applied_coupons",
    metadata,
    Column("id", Text, primary_key=True),
    key("coupon_id", "catalog"),
    Column("position", Integer, nullable=False),
    Column("remaining", Integer),
    Column("until", Instant),
    key("subscription_id", "subscriptions"),
    Index("billcore_applied_coupons_subscription", "subscription_id"),
    Index("billcore_applied_coupons_coupon", "coupon_id"),
)

usage = Table(
    "billcore_usage_events",
    metadata,
    Column("id", Text, primary_key=True),
    string("customer_id", nullable=False),
    key("subscription_id", "subscriptions"),
    key("item_id", "subscription_items"),
    string("component", nullable=False),
    string("event_id", nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("at", PreciseInstant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    string("line_id"),
    UniqueConstraint("subscription_id", "component", "event_id", name="billcore_usage_events_once"),
    partial_index("billcore_usage_events_unbilled", "item_id", "at", where="line_id IS NULL"),
)

state_changes = Table(
    "billcore_state_changes",
    metadata,
    Column("id", Text, primary_key=True),
    string("customer_id", nullable=False),
    key("subscription_id", "subscriptions"),
    string("previous"),
    string("state", nullable=False),
    Column("at", Instant, nullable=False),
    string("cause", nullable=False),
    string("actor", nullable=False),
    Index("billcore_state_changes_subscription", "subscription_id"),
)

events = Table(
    "billcore_events",
    metadata,
    Column("id", Text, primary_key=True),
    string("customer_id", nullable=False),
    Column("at", Instant, nullable=False),
    string("kind", nullable=False),
    string("subject_id", nullable=False),
    Column("data", JsonText, nullable=False),
    Column("delivered_at", Instant),
    Column("attempts", Integer, nullable=False),
    partial_index("billcore_events_waiting", "id", where="delivered_at IS NULL"),
)

audit = Table(
    "billcore_audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    string("actor", nullable=False),
    string("command", nullable=False),
    Column("parameters", JsonText, nullable=False),
    Column("result", JsonText, nullable=False),
)

idempotency = Table(
    "billcore_idempotency",
    metadata,
    Column("verb", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("parameters", JsonText, nullable=False),
    Column("result", JsonText, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("billcore_idempotency_age", "created_at"),
)

counters = Table(
    "billcore_counters",
    metadata,
    Column("series", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

inbox = Table(
    "billcore_inbox",
    metadata,
    Column("id", Text, primary_key=True),
    string("gateway", nullable=False),
    string("key", nullable=False),
    Column("received_at", Instant, nullable=False),
    string("kind", nullable=False),
    string("text", nullable=False),
    Column("event", JsonText, nullable=False),
    string("body", nullable=False),
    string("status", nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", Instant),
    Column("done_at", Instant),
    string("reason"),
    string("customer_id"),
    Column("version", Integer, nullable=False),
    UniqueConstraint("gateway", "key", name="billcore_inbox_once"),
    partial_index("billcore_inbox_due", "next_try_at", "id", where="next_try_at IS NOT NULL"),
    Index("billcore_inbox_status", "status", "id"),
)

imports = Table(
    "billcore_imports",
    metadata,
    Column("file", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    string("reference", nullable=False),
)
