"""The scripted gateway: decides by script or token, notes it in its book, and answers, or fails to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from billcore.plugins.gateway import (
    Answer,
    Cancel,
    Capture,
    Charge,
    Describe,
    Detach,
    GatewayMisconfigured,
    HostedPage,
    Lookup,
    MethodNotFound,
    Money,
    Outcome,
    Page,
    Refund,
    Vault,
    Vaulted,
    Verify,
    Void,
    WebhookEvent,
    WebhookKind,
    WebhookRequest,
)
from billcore_gateway_test.book import Book, Entry, Movement
from billcore_gateway_test.config import Config
from billcore_gateway_test.knobs import Knobs, carried_out
from billcore_gateway_test.method import Method, MethodVault
from billcore_gateway_test.step import NotAStep, Step, parse_token
from billcore_gateway_test.till import Till
from billcore_gateway_test.webhook import Teller, bodies, parse, sign

T = TypeVar("T")

_PAGE = "https://gateway.test/page/"


class ScriptedGateway:
    """A gateway that answers as the token says, or a script; `book()` is what it really charged.

    Objects share nothing but the file of the book, if there is one; verbs may be called from any thread.
    """

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        config.check()
        self.capabilities = config.capabilities()
        self.key_window_s = config.key_window_s
        self._secrets = config.secrets()
        log = config.webhook_secret is not None
        self._book = Book(config.book, fsync=config.fsync, remember=config.remember, log=log)
        self._vault = MethodVault(self._book) if config.vault else None
        self._knobs = Knobs()
        self._till = Till(self._book, self._knobs, self._vault)
        self._teller = Teller(self._book)

    # -- money ----------------------------------------------------------------------------------------------

    def charge(self, request: Charge) -> Outcome:
        """Charge as the script or the token says; the same key gets the present outcome again."""
        return self._told(lambda: self._till.charge(request))

    def refund(self, request: Refund) -> Outcome:
        """Give back at most what is left of a charge."""
        return self._told(lambda: self._till.follow_up("refund", request))

    def void(self, request: Void) -> Outcome:
        """Give a whole charge back of which nothing was given back yet, or release one that is authorized."""
        return self._told(lambda: self._till.follow_up("void", request))

    def capture(self, request: Capture) -> Outcome:
        """Take an authorized charge, or a part of it; the rest is released."""
        return self._told(lambda: self._till.follow_up("capture", request))

    def cancel(self, request: Cancel) -> Answer:
        """End an attempt that is pending, authorized, or waits for the customer."""
        return self._told(lambda: self._till.about("cancel", request))

    def lookup(self, request: Lookup) -> Answer:
        """What the book says of an attempt."""
        return self._told(lambda: self._till.about("lookup", request))

    # -- methods --------------------------------------------------------------------------------------------

    def vault(self, request: Vault) -> Vaulted:
        """Keep the method that a token names; `refuse` is refused, `bank` begins unverified."""
        try:
            told = parse_token(request.token.partition("#")[0]).verbs.get("vault")
        except NotAStep:
            told = None
        return self._asked("vault", told, lambda: self._kept().keep(request))

    def describe(self, request: Describe) -> Vaulted | MethodNotFound:
        """How a kept method stands."""
        return self._asked("describe", None, lambda: self._kept().describe(request))

    def detach(self, request: Detach) -> None:
        """Forget a method; charges of it are declined from now on."""
        self._asked("detach", None, lambda: self._kept().detach(request))

    def verify(self, request: Verify) -> Vaulted:
        """Compare with the small deposits (32 and 45, or SM11AA); three wrong answers disable the account."""
        return self._asked("verify", None, lambda: self._kept().verify(request))

    def hosted_page(self, request: HostedPage) -> Page:
        """A page on which `enter` enters a method."""
        customer = request.gateway_customer or "test_cus_" + request.customer_id
        return self._asked("hosted_page", None, lambda: Page(_PAGE + request.customer_id, customer))

    def updates(self, since: datetime) -> list[WebhookEvent]:
        """The methods that `change` changed since an instant."""
        return self._asked("updates", None, lambda: [_update(one) for one in self.methods() if _is_since(one, since)])

    def parse_webhook(self, request: WebhookRequest) -> list[WebhookEvent]:
        """Verify a delivery and read its event."""
        return parse(request, self._secrets)

    def enter(self, page: Page, token: str) -> Vaulted:
        """What a customer does on a hosted page: enter a method, which is told by webhook."""
        customer_id = page.url.removeprefix(_PAGE)
        return self.vault(Vault(customer_id, token, page.gateway_customer))

    def change(self, token: str, at: datetime, *, status: str = "", last4: str = "", expires_on: str = "") -> Vaulted:
        """Change a kept method as banks do: `status="disabled"`, or `last4` and `expires_on` of a new card."""
        changes = {"status": status, "last4": last4, "expires_on": expires_on}
        return self._asked("change", None, lambda: self._kept().change(token, at, **changes))

    # -- being told what to do ------------------------------------------------------------------------------

    def script(self, outcomes: Sequence[str], customer_id: str | None = None, default: str | None = "approve") -> None:
        """Set the outcomes of the next charges, refunds and voids, of one customer when given.

        Afterwards `default` decides, or the token when it is None. A new script replaces the one before it.
        """
        with self._book:
            self._knobs.script(outcomes, customer_id, default)

    def fail(self, verb: str, *outcomes: str) -> None:
        """Set what the next calls of a verb do, repeated keys included: `fail("lookup", "timeout_before")`."""
        with self._book:
            self._knobs.queue(verb, outcomes)

    @contextmanager
    def broken(self, fault: str) -> Iterator[None]:
        """Every call of every verb meets this fault meanwhile."""
        self._knobs.stand(fault)
        try:
            yield
        finally:
            self._knobs.stand(None)

    def settle(self, attempt_id: str, outcome: str) -> Outcome:
        """End an attempt that is pending, waits for the customer or was lost; `lookup` then answers it.

        `outcome` is approve, approve:AMOUNT or decline:CODE. A refund that succeeded may still be declined.
        """
        return self._told(lambda: self._till.settle(attempt_id, outcome))

    # -- the truth ------------------------------------------------------------------------------------------

    def book(self) -> tuple[Movement, ...]:
        """Everything that moved money, in order of arrival."""
        return self._book.movements()

    def requests(self) -> tuple[Entry, ...]:
        """Every charge, refund, void and capture heard of, as it stands now."""
        return self._book.entries()

    def methods(self) -> tuple[Method, ...]:
        """Every method that was ever kept, as it stands now."""
        return self._book.methods()

    def charges(self) -> int:
        """How many charges moved money, those no longer remembered included."""
        return self._book.charges()

    def taken(self, currency: str) -> Money:
        """What was charged less what was given back."""
        return Money(self._book.taken().get(currency, 0), currency)

    def events(self) -> tuple[bytes, ...]:
        """The bodies of all webhooks so far, oldest first."""
        return bodies(self._book.changes())

    def sign(self, body: bytes, at: datetime) -> dict[str, str]:
        """The headers that a delivery of this body at an instant has."""
        if not self._secrets:
            raise GatewayMisconfigured("The test gateway has no webhook_secret to sign with.")
        return dict(sign(self._secrets[0], body, at))

    def delivery(self, body: bytes, at: datetime) -> WebhookRequest:
        """A body as it arrives."""
        return WebhookRequest(self.sign(body, at), body, at)

    def listen(self, listener: Callable[[bytes], object] | None) -> None:
        """Hand each event to `listener` as soon as it happens, before the verb that made it answers."""
        self._teller.listen(listener)

    def close(self) -> None:
        """Close the book's file."""
        self._book.close()

    def _told(self, work: Callable[[], T]) -> T:
        """Do `work` and tell what happened before it is answered, or its answer is lost."""
        try:
            return work()
        finally:
            self._teller.tell()

    def _asked(self, verb: str, told: Step | None, work: Callable[[], T]) -> T:
        """Carry out a verb about methods, or what a fault makes of it."""

        def turn() -> T:
            with self._book:
                return work()

        with self._book:
            fault = self._knobs.fault(verb)
        return self._told(lambda: carried_out(fault or told, verb, turn))

    def _kept(self) -> MethodVault:
        if self._vault is None:
            raise GatewayMisconfigured("The test gateway keeps no methods.", remedy="Configure it with `vault = true`.")
        return self._vault


def _update(method: Method) -> WebhookEvent:
    return WebhookEvent(
        f"{method.token}@{method.changed_at}",
        WebhookKind.METHOD,
        f"method.{method.status}",
        token=method.token,
        customer_id=method.customer_id,
        gateway_customer=method.gateway_customer,
    )


def _is_since(method: Method, since: datetime) -> bool:
    return method.changed_at != "" and datetime.fromisoformat(method.changed_at) >= since
