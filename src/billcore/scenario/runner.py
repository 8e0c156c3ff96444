"""Runs a story through the real engine on a store of its own, and compares what comes out."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

from billcore.billing import Billing
from billcore.clock import SimulatedClock, monotonic_ms
from billcore.domain.money import exponent
from billcore.domain.payment import IN_DOUBT
from billcore.errors import BillcoreError, FileInvalid, InvalidValue, NotFound
from billcore.plugins.registry import Registry
from billcore.scenario.compare import compare
from billcore.scenario.places import IN_MEMORY
from billcore.scenario.story import UNSUPPORTED, Failure, Step, Story, Verdict
from billcore.scenario.verbs import BY_TOKEN
from billcore.scenario.world import EVERYTHING, printed, world_of
from billcore.store import payment as payments
from billcore.store import refund as refunds
from billcore.store import subscription as subscriptions

SEED = 1
"""Ids are the same in every run of a story (promise P9)."""

SETTLED = {"succeeded": "approve", "failed": "decline"}
"""Ends of an attempt by the name that the payment has then."""

UNCHANGED = ("invoices", "credit_notes", "subscriptions", "customers")
"""What a refused command must leave as it was; attempts and the audit log may grow."""


class StepFailed(Exception):
    """A step that went otherwise than the file says: the story cannot go on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.path)
        self.failure = failure


def check_story(story: Story, database: str = IN_MEMORY) -> Verdict:
    """Run a story and compare it with what it expects."""
    began = monotonic_ms()
    if story.unsupported is not None:
        return Verdict(story.file, story.title, error=f"{UNSUPPORTED}{story.unsupported}")
    failures: list[Failure] = []
    error = None
    invalid = False
    try:
        with _billing(story, database) as billing:
            play = _Play(story, billing)
            play.run()
            play.check(story.expect, "")
            failures = [*play.failures, *play.unsound()]
    except StepFailed as stopped:
        failures = [stopped.failure]
    except FileInvalid as refused:
        error, invalid = str(refused), True
    except BillcoreError as refused:
        error = str(refused)
    except Exception as broken:  # noqa: BLE001  one broken story must not hide the others' verdicts
        error = f"internal: {type(broken).__name__}: {broken}"
    return Verdict(story.file, story.title, monotonic_ms() - began, tuple(failures), error, invalid)


def play_story(story: Story, database: str = IN_MEMORY) -> dict[str, object]:
    """Run a story and return the world it leads to, in the shape of `expect`.

    Raises BillcoreError when a step goes otherwise than the file says, or needs what this version lacks.
    """
    if story.unsupported is not None:
        raise InvalidValue(f"{UNSUPPORTED}{story.unsupported}", remedy="Use a later version for this story.")
    with _billing(story, database) as billing:
        play = _Play(story, billing)
        try:
            play.run()
        except StepFailed as stopped:
            raise InvalidValue(f"{stopped.failure.path}: {stopped.failure.actual}") from None
        return printed(world_of(billing, story.timezone), story.currency)


def _billing(story: Story, database: str) -> Billing:
    return Billing(
        database,
        clock=SimulatedClock(story.start),
        settings=story.settings,
        plugins=_plugins(),
        seed=SEED,
        actor="scenario",
    )


@cache
def _plugins() -> Registry:
    """The installed plugins, looked for once; every story builds its own gateway from them."""
    return Registry()


class _Play:
    """One story on its way."""

    def __init__(self, story: Story, billing: Billing) -> None:
        self.story = story
        self.billing = billing
        self.failures: list[Failure] = []

    def run(self) -> None:
        """Apply the catalog, do the steps, let the clock run to the end."""
        if self.story.catalog:
            self.billing.catalog.apply(self.story.catalog)
        for step in self.story.steps:
            if step.at is not None:
                self.billing.run(step.at)
            self._do(step)
        if self.story.until is not None:
            self.billing.run(self.story.until)

    def check(self, expect: Mapping[str, object], place: str) -> None:
        """Compare the world as it is now."""
        if not expect:
            return
        found = compare(expect, world_of(self.billing, self.story.timezone), self.story.timezone)
        quotes = expect.get("quotes", ())
        assert isinstance(quotes, Sequence)
        for number, quote in enumerate(quotes):
            found += self._quote(quote, f"quotes[{number}].amount")
        prefix = f"{place}." if place else ""
        self.failures += [Failure(f"{prefix}{one.path}", one.expected, one.actual) for one in found]

    def unsound(self) -> list[Failure]:
        """What must hold of every story: nothing was put aside, every amount explains itself, the books are right."""
        with self.billing.database.transaction(reads=True) as tx:
            subs = subscriptions.parked(tx, 10)
        found = [Failure(f"subscriptions.{ref}", "not parked", reason) for ref, _, reason in subs]
        found += [Failure("verify", "ok", str(finding)) for finding in self.billing.verify().findings]
        return found + self._unexplained()

    def _unexplained(self) -> list[Failure]:
        """Documents whose amounts do not follow from what was stored with them (behaviour 3.7)."""
        invoices = [one.id for one in self.billing.invoices.list(limit=EVERYTHING)]
        notes = [one.id for one in self.billing.invoices.credit_notes(limit=EVERYTHING)]
        told = [self.billing.explain(document) for document in (*invoices, *notes)]
        return [
            Failure(f"explain {one.document}", "as billed", "; ".join(line.conclusion for line in one.lines))
            for one in told
            if not one.agrees
        ]

    def _do(self, step: Step) -> None:
        if step.do == "expect":
            self.check(step.given, step.place)
            return
        if step.fails is None:
            try:
                self._act(step)
            except BillcoreError as refused:
                raise StepFailed(Failure(f"{step.place} {step.do}", "done", str(refused))) from None
            return
        before = self._unchanged()
        try:
            self._act(step)
        except BillcoreError as refused:
            if refused.code != step.fails:
                raise StepFailed(Failure(f"{step.place}.fails", step.fails, str(refused))) from None
        else:
            raise StepFailed(Failure(f"{step.place}.fails", step.fails, "done"))
        for key, value in self._unchanged().items():
            if value != before[key]:
                self.failures.append(Failure(f"{step.place}.fails: {key}", before[key], value))

    def _unchanged(self) -> dict[str, object]:
        world = world_of(self.billing, self.story.timezone)
        subs = world["subscriptions"]
        assert isinstance(subs, dict)
        world["subscriptions"] = {name: sub for name, sub in subs.items() if sub["state"] != "failed_to_create"}
        return {key: world[key] for key in UNCHANGED}

    def _act(self, step: Step) -> None:
        given = dict(step.given)
        match step.do:
            case "gateway.script":
                self._script(given)
            case "gateway.settle":
                self._settle(given)
            case _:
                self._name_method(step.do, given)
                noun, _, verb = step.do.partition(".")
                call: Callable[..., Any] = getattr(getattr(self.billing, noun), verb)
                call(**given)
                if step.do == "customers.create" and self.story.payment_method != "none":
                    self._give_method(str(given["reference"]))

    def _give_method(self, reference: str) -> None:
        """The story's method for a new customer; a replayed or dry call made none."""
        try:
            has_method = bool(self.billing.payment_methods.list(reference))
        except NotFound:
            return
        if not has_method:
            self.billing.payment_methods.add(reference, self.story.payment_method)

    def _name_method(self, do: str, given: dict[str, Any]) -> None:
        """Scenarios name payment methods by their tokens; the verbs want ids."""
        if do in BY_TOKEN and "token" in given:
            customer, token = str(given.get("customer")), given.pop("token")
            found = self._method(customer, token, given.pop("gateway", None), given.pop("kind", None))
            if found is None:
                raise NotFound(f"Customer {customer} has no payment method {token!r}.", remedy="Add it first.")
            given["payment_method"] = found
        elif do.startswith("subscriptions.") and "payment_method" in given:
            customer = given.get("customer") or self.billing.subscriptions.get(given["subscription"]).customer_id
            given["payment_method"] = self._method(customer, given["payment_method"]) or given["payment_method"]

    def _method(self, customer: str, token: object, gateway: object = None, kind: object = None) -> str | None:
        """The newest payment method with this token, and of this gateway and kind where they are given."""
        for method in reversed(self.billing.payment_methods.list(customer)):
            if method.token == token and gateway in (None, method.gateway) and kind in (None, method.kind):
                return method.id
        return None

    def _script(self, given: Mapping[str, Any]) -> None:
        customer = given.get("customer")
        owner = self.billing.customers.get(customer).id if customer is not None else None
        gateway: Any = self.billing.gateway("test")
        gateway.script(given.get("outcomes", ()), owner, given.get("default", "approve"))

    def _settle(self, given: Mapping[str, Any]) -> None:
        """The gateway ends the attempt and says so at once, as a webhook would: it is asked for its outcome.

        Of a payment that has ended it is the newest refund to the method, which may fail late.
        """
        payment = self.billing.payments.get(given["payment"])
        back = self.billing.refunds.list(payment=payment.id, newest=True)
        sent = [one for one in back if one.to == "method" and payment.status not in IN_DOUBT]
        gateway: Any = self.billing.gateway("test")
        gateway.settle(sent[0].id if sent else payment.id, SETTLED.get(given["outcome"], given["outcome"]))
        now = self.billing.clock.now()
        if sent:
            self.billing.unit(lambda scope: refunds.check_now(scope.tx, sent[0].id, now))
        else:
            self.billing.unit(lambda scope: payments.check_now(scope.tx, payment.id, now))
        self.billing.run(now)

    def _quote(self, wanted: Mapping[str, Any], path: str) -> list[Failure]:
        renamed = {"from": "since", "to": "until"}
        given = {renamed.get(key, key): value for key, value in wanted.items() if key != "amount"}
        amount: str = wanted["amount"]
        try:
            quote = self.billing.catalog.quote(**given)
        except BillcoreError as refused:
            return [Failure(path, amount, str(refused))]
        decimals = len(amount.partition(".")[2])
        if decimals == exponent(quote.currency):
            same = Decimal(amount) == Decimal(quote.rounded_text)
            return [] if same else [Failure(path, amount, quote.rounded_text)]
        return [] if Fraction(amount) == Fraction(quote.amount) else [Failure(path, amount, quote.amount)]
