"""How the test gateway is configured; without anything it takes tokens as they are and tells nothing by itself."""

from attrs import frozen

from billcore.plugins.gateway import Capability, GatewayMisconfigured, Secret

_DAY_S = 86_400

_ALWAYS = frozenset(
    {
        Capability.REFUND,
        Capability.CAPTURE,
        Capability.VOID,
        Capability.CANCEL,
        Capability.IDEMPOTENCY_KEYS,
        Capability.SCRIPT,
    }
)
_WITH_VAULT = frozenset({Capability.VAULT, Capability.VERIFY, Capability.UPDATER})


@frozen
class Config:
    """`book` is a file for the book, `fsync` writes each line through; `remember` bounds a book in memory.

    `vault` makes it keep methods, and charge only kept ones. A `webhook_secret` makes it tell what happens;
    deliveries signed with the `previous_webhook_secret` are accepted too.
    """

    book: str | None = None
    fsync: bool = False
    remember: int | None = None
    key_window_s: int = _DAY_S
    vault: bool = False
    webhook_secret: Secret | None = None
    previous_webhook_secret: Secret | None = None

    def capabilities(self) -> frozenset[Capability]:
        """What a gateway with this configuration can do."""
        able = _ALWAYS
        if self.vault:
            able |= _WITH_VAULT
        if self.webhook_secret:
            able |= {Capability.WEBHOOKS}
        if self.vault and self.webhook_secret:
            able |= {Capability.HOSTED_PAGE}
        return able

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that deliveries may be signed with, the present one first."""
        return tuple(secret for secret in (self.webhook_secret, self.previous_webhook_secret) if secret)

    def check(self) -> None:
        """Refuse what cannot be together; raises GatewayMisconfigured."""
        if self.remember is None:
            return
        if self.book or self.remember < 1:
            raise GatewayMisconfigured(
                "The test gateway's `remember` is a number above zero, for a book without a file.",
                remedy="Leave out `book` or `remember`.",
            )
        if self.webhook_secret:
            raise GatewayMisconfigured(
                "The test gateway's `remember` bounds its memory, but what it tells by webhook is all kept.",
                remedy="Leave out `webhook_secret` or `remember`.",
            )
