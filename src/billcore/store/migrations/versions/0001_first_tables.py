"""The first tables.

Revision ID: 0001
"""

import sqlalchemy as sa

from billcore.store.migrations.ddl import index, optional, reference, required, table
from billcore.store.types import ExactDecimal, Instant, JsonText, PlainText, PreciseInstant

revision = "0001"
down_revision = None


def upgrade() -> None:
    _bookkeeping()
    _customers()
    _subscriptions()
    _subscription_indexes()
    _items()
    _usage()
    _documents()
    _lines()
    _coupons()
    _payments()
    _refunds()
    _receivables()
    _ledger()


def _bookkeeping() -> None:
    table(
        "audit_log",
        *required(PlainText(), "id"),
        *required(Instant(), "at"),
        *required(PlainText(), "actor", "command"),
        *required(JsonText(), "parameters", "result"),
    )
    table(
        "counters",
        *required(PlainText(), "series"),
        *required(sa.BigInteger(), "last"),
        key=("series",),
    )
    table(
        "idempotency",
        *required(PlainText(), "verb", "key"),
        *required(JsonText(), "parameters", "result"),
        *required(Instant(), "created_at"),
        key=("verb", "key"),
    )
    index("idempotency", "age", "created_at")
    table(
        "imports",
        *required(PlainText(), "file"),
        *required(sa.Integer(), "line"),
        *required(PlainText(), "reference"),
        key=("file", "line"),
    )
    table(
        "meta",
        *required(PlainText(), "key", "value"),
        key=("key",),
    )
    table(
        "settings",
        *required(PlainText(), "name"),
        *required(JsonText(), "value"),
        key=("name",),
    )


def _customers() -> None:
    table(
        "catalog",
        *required(PlainText(), "id", "kind", "code"),
        *required(sa.Integer(), "version"),
        *required(JsonText(), "definition"),
        *required(Instant(), "published_at"),
        *optional(PlainText(), "owner", "custom_of"),
        sa.UniqueConstraint("kind", "code", "version", name="billcore_catalog_version"),
    )
    table(
        "customers",
        *required(PlainText(), "id", "reference"),
        *required(Instant(), "created_at"),
        *optional(PlainText(), "name", "email", "organization", "phone"),
        *required(PlainText(), "country", "region", "postcode", "city", "address"),
        *optional(PlainText(), "vat_number"),
        *required(sa.Boolean(), "tax_exempt"),
        *optional(PlainText(), "timezone", "currency"),
        *optional(sa.Integer(), "billing_day"),
        *optional(PlainText(), "default_method_id"),
        *required(JsonText(), "custom_fields"),
        *optional(PlainText(), "parent_id"),
        *required(PlainText(), "pays"),
        *optional(Instant(), "paused_at"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("reference", name="billcore_customers_reference_key"),
    )
    index("customers", "parent", "parent_id", where="parent_id IS NOT NULL")
    index("customers", "paused", "id", where="paused_at IS NOT NULL")
    table(
        "payment_methods",
        *required(PlainText(), "id", "customer_id", "gateway", "kind", "token"),
        *required(Instant(), "created_at"),
        *optional(PlainText(), "reference", "gateway_customer", "brand", "last4", "expires_on", "fingerprint"),
        *required(PlainText(), "status"),
        *required(sa.Integer(), "position"),
        *optional(Instant(), "refused_at"),
        reference("payment_methods", "customer_id", "customers"),
        sa.UniqueConstraint("reference", name="billcore_payment_methods_reference_key"),
    )
    index("payment_methods", "customer", "customer_id")
    index("payment_methods", "fingerprint", "fingerprint", where="fingerprint IS NOT NULL")
    index("payment_methods", "token", "gateway", "token")


def _subscriptions() -> None:
    table(
        "subscriptions",
        *required(PlainText(), "id", "reference", "customer_id", "currency", "price_id"),
        *required(ExactDecimal(), "quantity"),
        *required(PlainText(), "state"),
        *required(Instant(), "created_at"),
        *required(PlainText(), "collection"),
        *optional(PlainText(), "owner_id", "previous_state", "paused_state"),
        *optional(Instant(), "starts_at", "activated_at", "trial_until", "anchor", "priced_from", "arrears_from"),
        *optional(Instant(), "free_until", "changed_at"),
        *optional(sa.Integer(), "billing_day"),
        *required(PlainText(), "first_charge"),
        *optional(Instant(), "period_start", "period_end", "span_start", "span_end"),
        *required(sa.Integer(), "sequence"),
        *optional(Instant(), "ends_at", "lasts_until", "expires_at", "cancel_at", "cancel_requested_at"),
        *optional(PlainText(), "cancel_reason", "cancel_credit", "cancel_refund"),
        *required(sa.Boolean(), "cancel_void_open"),
        *optional(Instant(), "ended_at", "held_at", "resume_at"),
        *optional(PlainText(), "unused"),
        *optional(sa.Integer(), "net_terms"),
        *optional(PlainText(), "payment_method_id", "base_id", "change_id"),
        *optional(Instant(), "change_at"),
        *optional(PlainText(), "referral_code", "referred_by"),
        *optional(Instant(), "referral_paid_at"),
        *required(sa.Boolean(), "tax_exempt", "send_invoice_emails"),
        *optional(sa.BigInteger(), "top_up_below", "top_up_amount"),
        *optional(PlainText(), "top_up_id"),
        *optional(Instant(), "next_action_at"),
        *optional(PlainText(), "next_action"),
        *optional(Instant(), "parked_at"),
        *optional(PlainText(), "parked_reason"),
        *optional(Instant(), "archived_at"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("reference", name="billcore_subscriptions_reference_key"),
        reference("subscriptions", "customer_id", "customers"),
        reference("subscriptions", "price_id", "catalog"),
    )


def _subscription_indexes() -> None:
    index("subscriptions", "base", "base_id", where="base_id IS NOT NULL")
    index("subscriptions", "customer", "customer_id")
    index("subscriptions", "owner", "owner_id", where="owner_id IS NOT NULL")
    index("subscriptions", "prepaid", "customer_id", where="collection = 'prepaid'")
    index("subscriptions", "referred", "customer_id", where="referred_by IS NOT NULL AND referral_paid_at IS NULL")
    index("subscriptions", "referral", "referral_code", where="referral_code IS NOT NULL", unique=True)
    index(
        "subscriptions",
        "due",
        "next_action_at",
        "customer_id",
        "id",
        where="next_action_at IS NOT NULL AND parked_at IS NULL",
    )


def _coupons() -> None:
    table(
        "applied_coupons",
        *required(PlainText(), "id", "coupon_id"),
        *required(sa.Integer(), "position"),
        *optional(sa.Integer(), "remaining"),
        *optional(Instant(), "until"),
        *optional(PlainText(), "subscription_id", "invoice_id"),
        sa.CheckConstraint("(subscription_id IS NULL) <> (invoice_id IS NULL)", name="billcore_applied_coupons_owner"),
        reference("applied_coupons", "coupon_id", "catalog"),
        reference("applied_coupons", "subscription_id", "subscriptions"),
        reference("applied_coupons", "invoice_id", "invoices"),
    )
    index("applied_coupons", "coupon", "coupon_id")
    index("applied_coupons", "subscription", "subscription_id")


def _items() -> None:
    table(
        "changes",
        *required(PlainText(), "id", "customer_id", "subscription_id", "kind"),
        *required(JsonText(), "parameters"),
        *required(Instant(), "created_at"),
        *required(PlainText(), "actor"),
        *optional(Instant(), "at"),
        *required(PlainText(), "status"),
        *optional(Instant(), "decided_at"),
        *optional(PlainText(), "invoice_id"),
        *optional(JsonText(), "before"),
        reference("changes", "subscription_id", "subscriptions"),
    )
    index("changes", "invoice", "invoice_id", where="invoice_id IS NOT NULL")
    index("changes", "subscription", "subscription_id")
    table(
        "state_changes",
        *required(PlainText(), "id", "customer_id", "subscription_id"),
        *optional(PlainText(), "previous"),
        *required(PlainText(), "state"),
        *required(Instant(), "at"),
        *required(PlainText(), "cause", "actor"),
        reference("state_changes", "subscription_id", "subscriptions"),
    )
    index("state_changes", "subscription", "subscription_id")
    table(
        "subscription_items",
        *required(PlainText(), "id", "subscription_id", "component", "price_id"),
        *required(ExactDecimal(), "quantity"),
        *required(Instant(), "added_at"),
        *optional(Instant(), "period_start", "period_end", "ended_at"),
        *optional(ExactDecimal(), "paid_quantity"),
        *optional(Instant(), "changed_at"),
        reference("subscription_items", "subscription_id", "subscriptions"),
        reference("subscription_items", "price_id", "catalog"),
    )
    index("subscription_items", "subscription", "subscription_id")


def _usage() -> None:
    table(
        "usage_events",
        *required(PlainText(), "id", "customer_id", "subscription_id", "item_id", "component", "event_id"),
        *required(ExactDecimal(), "quantity"),
        *required(PreciseInstant(), "at"),
        *required(Instant(), "recorded_at"),
        *required(JsonText(), "properties"),
        *optional(PlainText(), "line_id"),
        sa.UniqueConstraint("subscription_id", "component", "event_id", name="billcore_usage_events_once"),
        reference("usage_events", "subscription_id", "subscriptions"),
        reference("usage_events", "item_id", "subscription_items"),
    )
    index("usage_events", "unbilled", "item_id", "at", where="line_id IS NULL")


def _documents() -> None:
    table(
        "invoices",
        *required(PlainText(), "id", "customer_id"),
        *optional(PlainText(), "subscription_id"),
        *required(PlainText(), "purpose", "currency", "status", "collection"),
        *required(Instant(), "created_at"),
        *required(sa.BigInteger(), "subtotal", "discount", "tax", "tax_included", "total"),
        *required(PlainText(), "series"),
        *optional(sa.BigInteger(), "number"),
        *optional(PlainText(), "number_text"),
        *optional(Instant(), "issued_at", "due_at"),
        *required(sa.BigInteger(), "credited", "paid"),
        *required(sa.Integer(), "attempts"),
        *optional(Instant(), "collect_at"),
        *required(PlainText(), "collect_for"),
        *required(sa.Boolean(), "overdue"),
        *optional(PlainText(), "reserved_by"),
        *optional(Instant(), "discarded_at"),
        *optional(PlainText(), "reference"),
        *optional(sa.Integer(), "terms"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("series", "number", name="billcore_invoices_number"),
        sa.CheckConstraint("paid >= 0 AND credited >= 0 AND paid + credited <= total", name="billcore_invoices_paid"),
        sa.CheckConstraint("(status = 'draft') = (number IS NULL)", name="billcore_invoices_issued"),
        reference("invoices", "customer_id", "customers"),
    )
    index("invoices", "collect", "collect_at", "customer_id", "id", where="collect_at IS NOT NULL")
    index("invoices", "customer", "customer_id")
    index("invoices", "overdue", "customer_id", where="overdue")
    index("invoices", "reference", "reference", where="reference IS NOT NULL", unique=True)
    table(
        "credit_notes",
        *required(PlainText(), "id", "customer_id"),
        *optional(PlainText(), "subscription_id", "invoice_id"),
        *required(PlainText(), "currency", "to"),
        *required(Instant(), "created_at", "issued_at"),
        *required(sa.BigInteger(), "subtotal", "discount", "tax", "tax_included", "total"),
        *required(PlainText(), "series"),
        *required(sa.BigInteger(), "number"),
        *required(PlainText(), "number_text"),
        *optional(PlainText(), "reason"),
        sa.UniqueConstraint("series", "number", name="billcore_credit_notes_number"),
        sa.CheckConstraint("total >= 0", name="billcore_credit_notes_total"),
        reference("credit_notes", "customer_id", "customers"),
        reference("credit_notes", "invoice_id", "invoices"),
    )
    index("credit_notes", "customer", "customer_id")
    index("credit_notes", "invoice", "invoice_id")


def _lines() -> None:
    table(
        "renewals",
        *required(PlainText(), "id", "customer_id", "subscription_id"),
        *required(sa.Integer(), "sequence"),
        *required(Instant(), "period_start", "period_end", "billed_at"),
        *required(PlainText(), "price_id"),
        *optional(PlainText(), "invoice_id"),
        *required(sa.Boolean(), "free"),
        *optional(Instant(), "span_start", "span_end"),
        sa.UniqueConstraint("customer_id", "subscription_id", "sequence", name="billcore_renewals_once"),
        reference("renewals", "subscription_id", "subscriptions"),
        reference("renewals", "invoice_id", "invoices"),
    )
    table(
        "lines",
        *required(PlainText(), "id"),
        *optional(PlainText(), "invoice_id", "credit_note_id"),
        *required(PlainText(), "customer_id"),
        *optional(PlainText(), "subscription_id", "item_id"),
        *required(PlainText(), "kind"),
        *optional(PlainText(), "price_id", "code"),
        *required(PlainText(), "description"),
        *optional(Instant(), "start", "end"),
        *required(ExactDecimal(), "quantity"),
        *required(sa.BigInteger(), "amount", "discount", "tax", "tax_included"),
        *required(JsonText(), "basis"),
        *optional(PlainText(), "credits_line_id"),
        sa.CheckConstraint("invoice_id IS NULL OR credit_note_id IS NULL", name="billcore_lines_document"),
        reference("lines", "invoice_id", "invoices"),
        reference("lines", "credit_note_id", "credit_notes"),
    )
    index("lines", "credit_note", "credit_note_id", where="credit_note_id IS NOT NULL")
    index("lines", "credits", "credits_line_id", where="credits_line_id IS NOT NULL")
    index("lines", "invoice", "invoice_id")
    index("lines", "usage", "item_id", where="kind = 'usage'")
    index("lines", "waiting", "subscription_id", where="invoice_id IS NULL AND credit_note_id IS NULL")
    table(
        "coverage",
        *required(PlainText(), "id", "customer_id", "item_id"),
        *required(Instant(), "start", "end"),
        *required(PlainText(), "line_id", "status"),
        *required(sa.Integer(), "layer"),
        *optional(Instant(), "billed_until"),
        sa.CheckConstraint('"end" > start', name="billcore_coverage_length"),
        reference("coverage", "line_id", "lines"),
    )
    index("coverage", "ended", "item_id", where="status <> 'active'")
    index("coverage", "line", "line_id")
    index("coverage", "once", "item_id", "layer", "start", where="status = 'active'", unique=True)


def _payments() -> None:
    table(
        "inbox",
        *required(PlainText(), "id", "gateway", "key"),
        *required(Instant(), "received_at"),
        *required(PlainText(), "kind", "text"),
        *required(JsonText(), "event"),
        *required(PlainText(), "body", "status"),
        *required(sa.Integer(), "tries"),
        *optional(Instant(), "next_try_at", "done_at"),
        *optional(PlainText(), "reason", "customer_id"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("gateway", "key", name="billcore_inbox_once"),
    )
    index("inbox", "due", "next_try_at", "id", where="next_try_at IS NOT NULL")
    index("inbox", "status", "status", "id")
    table(
        "payments",
        *required(PlainText(), "id", "customer_id"),
        *optional(PlainText(), "invoice_id"),
        *required(sa.Integer(), "attempt"),
        *required(PlainText(), "idempotency_key", "cause"),
        *required(sa.BigInteger(), "amount"),
        *required(PlainText(), "currency", "gateway"),
        *optional(PlainText(), "payment_method_id"),
        *required(JsonText(), "request"),
        *required(PlainText(), "status"),
        *required(Instant(), "created_at"),
        *required(sa.BigInteger(), "captured", "applied", "refunded"),
        *optional(PlainText(), "method"),
        *required(sa.Integer(), "sends"),
        *optional(Instant(), "settled_at"),
        *optional(PlainText(), "gateway_id", "decline_kind", "decline_code", "message", "action_url"),
        *optional(Instant(), "next_check_at"),
        *required(sa.Integer(), "checks", "not_found"),
        *optional(PlainText(), "lease_owner"),
        *optional(Instant(), "lease_until"),
        *optional(PlainText(), "parked_reason"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("invoice_id", "attempt", name="billcore_payments_attempt"),
        sa.CheckConstraint("captured <= amount AND refunded <= captured", name="billcore_payments_captured"),
        sa.CheckConstraint("applied >= 0 AND applied <= captured", name="billcore_payments_applied"),
        reference("payments", "customer_id", "customers"),
        reference("payments", "invoice_id", "invoices"),
        sa.UniqueConstraint("idempotency_key", name="billcore_payments_idempotency_key_key"),
    )
    index("payments", "customer", "customer_id")
    index("payments", "gateway", "gateway_id", where="gateway_id IS NOT NULL")
    index("payments", "open", "next_check_at", "customer_id", "id", where="next_check_at IS NOT NULL")


def _refunds() -> None:
    table(
        "refunds",
        *required(PlainText(), "id", "customer_id"),
        *optional(PlainText(), "payment_id"),
        *required(sa.Integer(), "attempt"),
        *required(PlainText(), "idempotency_key", "cause", "to"),
        *required(sa.BigInteger(), "amount"),
        *required(PlainText(), "currency", "gateway"),
        *required(JsonText(), "request"),
        *required(PlainText(), "status"),
        *required(Instant(), "created_at"),
        *optional(PlainText(), "invoice_id", "credit_note_id", "credit_id", "replaces", "reason"),
        *required(sa.Integer(), "sends"),
        *optional(Instant(), "sent_at", "settled_at"),
        *optional(PlainText(), "gateway_id", "decline_code", "message"),
        *optional(Instant(), "next_check_at"),
        *required(sa.Integer(), "checks", "not_found"),
        *optional(PlainText(), "lease_owner"),
        *optional(Instant(), "lease_until"),
        *optional(PlainText(), "parked_reason"),
        *required(sa.Integer(), "version"),
        sa.UniqueConstraint("payment_id", "attempt", name="billcore_refunds_attempt"),
        sa.CheckConstraint("amount > 0", name="billcore_refunds_amount"),
        reference("refunds", "customer_id", "customers"),
        reference("refunds", "payment_id", "payments"),
        sa.UniqueConstraint("idempotency_key", name="billcore_refunds_idempotency_key_key"),
        reference("refunds", "invoice_id", "invoices"),
        reference("refunds", "credit_note_id", "credit_notes"),
    )
    index("refunds", "customer", "customer_id")
    index("refunds", "gateway", "gateway_id", where="gateway_id IS NOT NULL")
    index("refunds", "open", "next_check_at", "customer_id", "id", where="next_check_at IS NOT NULL")
    index("refunds", "parked", "id", where="parked_reason IS NOT NULL")


def _receivables() -> None:
    table(
        "credits",
        *required(PlainText(), "id", "customer_id", "account", "currency"),
        *required(sa.BigInteger(), "amount", "remaining"),
        *required(Instant(), "created_at"),
        *optional(Instant(), "expires_at"),
        *optional(PlainText(), "source_id"),
        *required(sa.Integer(), "version"),
        sa.CheckConstraint("remaining >= 0 AND remaining <= amount", name="billcore_credits_remaining"),
        reference("credits", "customer_id", "customers"),
    )
    index("credits", "open", "customer_id", where="remaining > 0")
    table(
        "dunning_cases",
        *required(PlainText(), "id", "customer_id", "currency"),
        *required(Instant(), "opened_at"),
        *required(PlainText(), "status"),
        *required(sa.Integer(), "step"),
        *optional(Instant(), "next_step_at"),
        *optional(PlainText(), "refused_method_id"),
        *optional(Instant(), "closed_at"),
        *optional(PlainText(), "closed_by"),
        *required(sa.Integer(), "version"),
        reference("dunning_cases", "customer_id", "customers"),
    )
    index("dunning_cases", "due", "next_step_at", "customer_id", "id", where="next_step_at IS NOT NULL")
    index("dunning_cases", "open", "customer_id", "currency", where="status = 'open'", unique=True)
    table(
        "allocations",
        *required(PlainText(), "id", "customer_id", "invoice_id", "currency", "account"),
        *optional(PlainText(), "source_id"),
        *required(Instant(), "at"),
        *required(sa.BigInteger(), "amount", "returned"),
        *optional(PlainText(), "document_id"),
        sa.CheckConstraint("returned >= 0 AND (amount = 0) <> (returned = 0)", name="billcore_allocations_amount"),
        reference("allocations", "customer_id", "customers"),
        reference("allocations", "invoice_id", "invoices"),
    )
    index("allocations", "customer", "customer_id")
    index("allocations", "invoice", "invoice_id")


def _ledger() -> None:
    table(
        "events",
        *required(PlainText(), "id", "customer_id"),
        *required(Instant(), "at"),
        *required(PlainText(), "kind", "subject_id"),
        *required(JsonText(), "data"),
        *optional(Instant(), "delivered_at"),
        *required(sa.Integer(), "attempts"),
    )
    index("events", "waiting", "id", where="delivered_at IS NULL")
    table(
        "ledger_entries",
        *required(PlainText(), "id", "customer_id"),
        *required(Instant(), "at"),
        *required(PlainText(), "currency", "debit", "credit"),
        *required(sa.BigInteger(), "amount"),
        *optional(PlainText(), "invoice_id", "payment_id", "credit_note_id"),
        sa.CheckConstraint("amount > 0 AND debit <> credit", name="billcore_ledger_entries_amount"),
    )
    index("ledger_entries", "customer", "customer_id")
