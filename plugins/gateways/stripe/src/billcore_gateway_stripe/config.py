"""How the gateway is configured, and what of it is refused before anything is sent."""

import re
from typing import NoReturn

from attrs import frozen

from billcore.plugins.gateway import GatewayMisconfigured, Secret

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's API that this plugin was written for; every call names it."""

_KEY = re.compile(r"(?:sk|rk)_(test|live)_[!-~]+", re.ASCII)
_ACCOUNT = re.compile(r"acct_\w+", re.ASCII)
_SUFFIX = re.compile(r"[^<>\\'\"*]{1,22}", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)

LONGEST_TIMEOUT_S = 25


@frozen
class Config:
    """`api_key` is a secret or restricted key; `webhook_secrets` are all that hold, several while one is rotated.

    `return_url` is where a customer comes back to from his bank's page; without it a payment that needs one is
    declined. `account` is the connected account that is charged. `statement_suffix` stands on statements behind your
    name. `hosted_currency` chooses the methods that the hosted page offers. `timeout_s` is for one answer of Stripe's;
    a whole verb takes five seconds more at most, so it stays below billcore's own deadline of 30.
    """

    api_key: Secret
    webhook_secrets: tuple[Secret, ...] = ()
    return_url: str = ""
    account: str = ""
    statement_suffix: str = ""
    hosted_currency: str = "USD"
    base_url: str = "https://api.stripe.com"
    timeout_s: int = 20

    @property
    def live(self) -> bool:
        """Whether the key moves real money."""
        match = _KEY.fullmatch(self.api_key.reveal())
        return match is not None and match[1] == "live"


def check(config: Config) -> None:
    """Refuse a configuration that cannot work; no message holds a secret. Raises GatewayMisconfigured."""
    key = config.api_key.reveal()
    if key.startswith("pk_"):
        _refuse("api_key", "is a publishable key, which cannot charge", "Take the secret key or a restricted one")
    if not _KEY.fullmatch(key):
        _refuse("api_key", "is no key of Stripe's", "It begins with sk_test_, sk_live_, rk_test_ or rk_live_")
    if not all(secret.reveal().startswith("whsec_") for secret in config.webhook_secrets):
        _refuse("webhook_secrets", "holds something else", "A webhook endpoint's signing secret begins with whsec_")
    for name, url in (("base_url", config.base_url), ("return_url", config.return_url)):
        if not url.startswith(("https://", "http://")) and (url or name == "base_url"):
            _refuse(name, "is no http or https address", "Write it out, as https://example.com/billing")
    if config.account and not _ACCOUNT.fullmatch(config.account):
        _refuse("account", "is no account of Stripe's", "A connected account's id begins with acct_")
    if config.statement_suffix and not _SUFFIX.fullmatch(config.statement_suffix):
        _refuse("statement_suffix", "cannot stand on a statement", "At most 22 ASCII characters, none of < > \\ ' \" *")
    if not _CURRENCY.fullmatch(config.hosted_currency):
        _refuse("hosted_currency", "is no currency", "An ISO 4217 code, such as EUR")
    if not 1 <= config.timeout_s <= LONGEST_TIMEOUT_S:
        _refuse("timeout_s", "is out of range", f"From 1 to {LONGEST_TIMEOUT_S} seconds")


def _refuse(key: str, problem: str, remedy: str) -> NoReturn:
    raise GatewayMisconfigured(f"The Stripe gateway's {key!r} {problem}.", remedy=f"{remedy}.", key=key)
