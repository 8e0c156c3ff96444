"""The gateway's vault: methods by the token they were given, and how each stands."""

from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from billcore.plugins.gateway import (
    DeclineCode,
    Describe,
    Detach,
    GatewayMisconfigured,
    MethodKind,
    MethodNotFound,
    MethodRefused,
    Vault,
    Vaulted,
    VaultedStatus,
    Verify,
)
from billcore_gateway_test.step import NotAStep, Token, parse_token

if TYPE_CHECKING:
    from billcore_gateway_test.book import Book

DEPOSITS = (32, 45)
"""What the small deposits to a bank account are, in minor units."""
DEPOSIT_CODE = "SM11AA"
"""The code that stands on the statement beside them."""
_TRIES = 3

_KINDS: dict[str, MethodKind] = {"bank": "bank_account", "wallet": "wallet"}


@frozen
class Method:
    """A kept method. `source` is the token it was made of, `step` what that says of charges.

    `status` is "detached" once it was forgotten. `changed_at` is when it was last changed at the gateway's own will.
    """

    token: str
    source: str
    customer_id: str
    gateway_customer: str
    step: str
    kind: MethodKind = "card"
    status: VaultedStatus | str = "active"
    last4: str = "4242"
    expires_on: str = "2099-12"
    wrong: int = 0
    changed_at: str = ""

    def vaulted(self) -> Vaulted:
        """The method as it is told."""
        card = self.kind == "card"
        return Vaulted(
            self.token,
            self.gateway_customer,
            self.kind,
            brand={"card": "visa", "wallet": "testpay"}.get(self.kind, "test bank"),
            last4=self.last4,
            expires_on=self.expires_on if card else "",
            fingerprint="fp_" + _digest(self.source),
            status="active" if self.status == "active" else "unverified" if self.status == "unverified" else "disabled",
            customer_id=self.customer_id,
        )


class MethodVault:
    """Keeps methods in a book; every function is called within a turn of the book's."""

    def __init__(self, book: "Book") -> None:
        self._book = book

    def keep(self, request: Vault) -> Vaulted:
        """Keep the method a token names; a token with a label (`approve#blue`) belongs to its first customer."""
        kind, step = _taken_apart(request.token)
        label = request.token.partition("#")[2]
        owner = "" if label else request.customer_id
        token = "tm_" + _digest(f"{owner}:{request.token}")
        known = self._book.method(token)
        if known is not None and known.customer_id != request.customer_id:
            raise MethodRefused(f"The token {request.token} was used for another customer.")
        if known is not None and known.status != "detached":
            return known.vaulted()
        customer = request.gateway_customer or "test_cus_" + request.customer_id
        status: VaultedStatus = "unverified" if kind == "bank_account" else "active"
        fresh = Method(token, request.token, request.customer_id, customer, step, kind, status)
        return self._book.keep(fresh).vaulted()

    def describe(self, request: Describe) -> Vaulted | MethodNotFound:
        """How a kept method stands."""
        method = self._book.method(request.token)
        if method is None or method.status == "detached":
            return MethodNotFound(request.token)
        return method.vaulted()

    def detach(self, request: Detach) -> None:
        """Forget a method."""
        method = self._book.method(request.token)
        if method is not None and method.status != "detached":
            self._book.keep(evolve(method, status="detached"))

    def verify(self, request: Verify) -> Vaulted:
        """Compare with the small deposits; after three wrong answers the account is disabled."""
        method = self._book.method(request.token)
        if method is None or method.status == "detached":
            raise MethodRefused(f"The test gateway keeps no method {request.token}.")
        if method.status == "unverified":
            if tuple(sorted(request.amounts)) == DEPOSITS or request.code == DEPOSIT_CODE:
                method = self._book.keep(evolve(method, status="active"))
            else:
                wrong = method.wrong + 1
                status = "disabled" if wrong >= _TRIES else "unverified"
                method = self._book.keep(evolve(method, wrong=wrong, status=status))
        return method.vaulted()

    def change(self, token: str, at: datetime, *, status: str = "", last4: str = "", expires_on: str = "") -> Vaulted:
        """Change a method without anybody asking; what is left out stays."""
        method = self._book.method(token)
        if method is None:
            raise GatewayMisconfigured(f"The test gateway keeps no method {token}.")
        changed = evolve(
            method,
            status=status or method.status,
            last4=last4 or method.last4,
            expires_on=expires_on or method.expires_on,
            changed_at=at.isoformat(),
        )
        return self._book.keep(changed).vaulted()

    def token(self, gateway_method: str, gateway_customer: str) -> Token:
        """What a charge of a kept method will do; raises NotAStep and Unchargeable."""
        method = self._book.method(gateway_method)
        if method is None or method.gateway_customer != gateway_customer:
            raise NotAStep(f"the test gateway keeps no method {gateway_method!r} for customer {gateway_customer!r}")
        if method.status == "unverified":
            raise Unchargeable(DeclineCode.DEBIT_NOT_AUTHORIZED, "the bank account is not verified yet")
        if method.status != "active":
            raise Unchargeable(DeclineCode.REVOKED, f"the method is {method.status}")
        return parse_token(method.step)


class Unchargeable(Exception):
    """A kept method that cannot be charged as it stands."""

    def __init__(self, code: DeclineCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _taken_apart(token: str) -> tuple[MethodKind, str]:
    """The kind of method and the charging token in what `vault` is given; raises MethodRefused."""
    text = token.partition("#")[0]
    name, _, rest = text.partition(":")
    if name == "refuse":
        raise MethodRefused(f"The test gateway refuses {token}: {rest or 'generic_decline'}.")
    kind = _KINDS.get(name, "card")
    text = rest or "approve" if name in _KINDS else text
    try:
        parse_token(text)
    except NotAStep as error:
        raise MethodRefused(f"The method was not kept: {error}.") from error
    return kind, text


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=10).hexdigest()
