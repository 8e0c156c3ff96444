"""A gateway with a vault, hosted pages and webhooks that does what a test tells it; what it was asked is in `asked`."""

import hashlib
import hmac
import json

from attrs import asdict, evolve, frozen

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.plugins.gateway import (
    Approved,
    AttemptNotFound,
    Capability,
    GatewaySpec,
    MethodNotFound,
    MethodRefused,
    Page,
    Secret,
    Vaulted,
    WebhookEvent,
    WebhookKind,
    WebhookRejected,
    verify_age,
    verify_hmac_sha256,
)
from billcore.plugins.hookspecs import hookimpl
from tests import builders, databases

SECRET = "whsec_one"


@frozen
class Config:
    secrets: tuple[Secret, ...] = (Secret(SECRET),)


class Fake:
    """Keeps `tok_x` as the method `pm_x`. `fails[verb]` is raised by that verb, `during` runs inside a charge."""

    capabilities = frozenset(
        {
            Capability.VAULT,
            Capability.VERIFY,
            Capability.WEBHOOKS,
            Capability.HOSTED_PAGE,
            Capability.UPDATER,
            Capability.REFUND,
        }
    )

    def __init__(self, config=None):
        self.config = config or Config()
        self.asked = []
        self.fails = {}
        self.methods = {}
        self.answers = {}
        self.during = lambda request: None
        self.outcome = None
        self.parsing = lambda request: None
        self.changed = []

    def _ask(self, request):
        self.asked.append(request)
        verb = type(request).__name__.lower()
        if verb in self.fails:
            raise self.fails[verb]

    def count(self, verb):
        return len([one for one in self.asked if type(one).__name__.lower() == verb])

    def charge(self, request):
        self._ask(request)
        answer = self.outcome or Approved("ch_" + request.attempt_id, request.amount.minor, request.amount.currency)
        self.answers[request.attempt_id] = answer
        self.during(request)
        return answer

    def refund(self, request):
        self._ask(request)
        answer = Approved("re_" + request.attempt_id, request.amount.minor, request.amount.currency)
        self.answers[request.attempt_id] = answer
        self.during(request)
        return answer

    def lookup(self, request):
        self._ask(request)
        return self.answers.get(request.attempt_id, AttemptNotFound(request.attempt_id))

    def vault(self, request):
        self._ask(request)
        if request.token == "tok_bad":
            raise MethodRefused("The card was declined.")
        token = "pm_" + request.token.removeprefix("tok_").removeprefix("pm_")
        status = "unverified" if token == "pm_bank" else "active"
        kind = "bank_account" if token == "pm_bank" else "card"
        there = request.gateway_customer or "gc_" + request.customer_id
        made = Vaulted(token, there, kind, "visa", "4242", "2030-12", "fp1", status, request.customer_id)
        return self.methods.setdefault(token, made)

    def describe(self, request):
        self._ask(request)
        return self.methods.get(request.token, MethodNotFound(request.token))

    def detach(self, request):
        self._ask(request)
        self.methods.pop(request.token, None)

    def verify(self, request):
        self._ask(request)
        if request.amounts == (32, 45) or request.code == "SM11AA":
            self.methods[request.token] = evolve(self.methods[request.token], status="active")
        return self.methods[request.token]

    def hosted_page(self, request):
        self._ask(request)
        return Page(f"https://fake.example/{request.customer_id}", request.gateway_customer)

    def updates(self, since):
        self.asked.append(since)
        return [event for at, event in self.changed if at >= since]

    # -- webhooks --------------------------------------------------------------------------------------------

    def parse_webhook(self, request):
        parts = dict(part.partition("=")[::2] for part in request.headers.get("fake-signature", "").split(","))
        if not parts.get("t", "").isdecimal():
            raise WebhookRejected
        verify_hmac_sha256(self.config.secrets, parts["t"].encode() + b"." + request.body, parts.get("v1", ""))
        verify_age(int(parts["t"]), request.received_at)
        self.parsing(request)
        return [WebhookEvent(**(row | {"kind": WebhookKind(row["kind"])})) for row in json.loads(request.body)]


def delivery(*events, at, secret=SECRET, extra=b""):
    """The headers and body with which a provider delivers events at an instant; `extra` bytes are signed too."""
    body = json.dumps([asdict(event) for event in events], separators=(",", ":")).encode() + extra
    stamp = str(int(at.timestamp()))
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"Fake-Signature": f"t={stamp},v1={signature}"}, body


def attempt_event(attempt_id="", key="evt_1", **given):
    return WebhookEvent(key, WebhookKind.ATTEMPT, attempt_id=attempt_id, **given)


def method_event(token, key="evt_m", **given):
    return WebhookEvent(key, WebhookKind.METHOD, token=token, **given)


def fake_books(url=None, *, gateway=None, clock=None, customers=("acme",), **changed):
    """Books whose customers have no method yet, and their gateway `fake`."""
    made = gateway or Fake()

    class Plugin:
        @hookimpl
        def register_gateways(self):
            return [GatewaySpec("fake", Config, lambda _config: made)]

    free = {"require_customer_name": False, "require_customer_email": False}
    billing = Billing(
        url or databases.fresh(),
        clock=clock or SimulatedClock(builders.START),
        settings=free | changed,
        plugins={"fake": Plugin()},
        seed=1,
    )
    builders.OPENED.append(databases.opened(billing))
    billing.catalog.apply(builders.CATALOG)
    for reference in customers:
        billing.customers.create(reference)
    return billing, made
