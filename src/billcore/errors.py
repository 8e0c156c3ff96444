"""Every error billcore raises: one root, a code that has a heading in docs/reference/errors.md, and a remedy."""

from collections.abc import Mapping

# The complete list. tests/test_docs.py holds docs/reference/errors.md to it.
CODES = frozenset(
    {
        # commands
        "not_found",
        "reference_taken",
        "invalid_value",
        "invalid_parameter",
        "transition_not_allowed",
        "price_unchanged",
        "full_needs_reset",
        "component_not_offered",
        "currency_mismatch",
        "coupon_not_found",
        "coupon_expired",
        "coupon_used_up",
        "coupon_not_applicable",
        "payment_declined",
        "payment_in_doubt",
        "amount_exceeds",
        "insufficient_credit",
        "not_deletable",
        "period_empty",
        "idempotency_conflict",
        "not_supported",
        "parked",
        # files
        "catalog_invalid",
        "scenario_invalid",
        "import_invalid",
        "configuration_invalid",
        "file_unreadable",
        # the store
        "database_unreachable",
        "database_locked",
        "database_read_only",
        "database_replaced",
        "database_full",
        "schema_missing",
        "schema_outdated",
        "schema_newer",
        "version_conflict",
        "commit_unknown",
        "join_refused",
        # plugins
        "plugin_failed",
        "plugin_unknown",
        "gateway_misconfigured",
        "gateway_not_sent",
        "gateway_unknown",
        "unsupported_capability",
        "payment_method_refused",
        "webhook_rejected",
        "tax_refused",
        "tax_unavailable",
        # ourselves
        "internal",
    }
)


class BillcoreError(Exception):
    """Anything billcore refuses or cannot do.

    `code` is one of `CODES`; `message` says what was refused and the state it was in; `remedy` says what to do;
    `facts` are the values behind the message, by name, for programs.
    """

    def __init__(self, code: str, message: str, *, remedy: str = "", **facts: object) -> None:
        if code not in CODES:
            raise AssertionError(f"{code!r} is not listed in billcore.errors.CODES")
        self.code = code
        self.message = message
        self.remedy = remedy
        self.facts: Mapping[str, object] = facts
        super().__init__(code, message, remedy)

    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}"
        return f"{text} {self.remedy}" if self.remedy else text


class Refused(BillcoreError):
    """A command that was not carried out; nothing has changed (but payment attempts and the audit log)."""


class NotFound(Refused):
    """A reference or id that names nothing."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("not_found", message, remedy=remedy, **facts)


class InvalidValue(Refused):
    """A parameter whose value cannot be used."""

    def __init__(self, message: str, *, remedy: str = "", **facts: object) -> None:
        super().__init__("invalid_value", message, remedy=remedy, **facts)


class FileInvalid(BillcoreError):
    """A catalog, scenario, mapping or CSV file with an error; nothing of it was applied.

    `facts["path"]` names the key path or line.
    """


class StoreError(BillcoreError):
    """The database cannot be used as it is."""


class PluginError(BillcoreError):
    """A plugin that cannot be loaded, is not configured, or broke its contract."""
