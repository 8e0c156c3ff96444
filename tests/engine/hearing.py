"""A host that is told by webhook what happened at its gateway, and ends hard at a chosen point of hearing it.

`python -m tests.engine.hearing FILE sqlite|postgresql [EVERY]` forks a process for every point, or one of EVERY, at
which the undisturbed one commits or asks the gateway, as tests.engine.dying does for charges.
"""

import gc
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from billcore.billing import Billing
from billcore.clock import SimulatedClock
from billcore.plugins.gateway import Page
from billcore_gateway_test.gateway import ScriptedGateway
from tests import builders, databases
from tests.engine.dying import Fault, in_child, points, say, saying, told_to

BOOK = ".test-gateway.jsonl"
SETTINGS = {
    "require_customer_name": False,
    "require_customer_email": False,
    "async_signup": "wait",
    "signup_decline": "past_due",
}


class Asking(Fault):
    """Counts what the gateway is asked as well."""

    def armed(self) -> None:
        super().armed()
        for name in ("lookup", "describe"):
            setattr(ScriptedGateway, name, self._counted(getattr(ScriptedGateway, name)))

    def _counted(self, verb):
        def counted(gateway, request):
            self.passes("charge", "before")
            try:
                return verb(gateway, request)
            finally:
                self.passes("charge", "after")

        return counted


def opened(file: Path, **given) -> Billing:
    config = {"book": f"{file}{BOOK}", "vault": True, "webhook_secret": "whsec_hearing"}
    return Billing(databases.at(file), gateways={"test": config}, **given)


def set_up(file: Path) -> None:
    """Much happens at the gateway that nobody here is told of: payments end, cards change, a refund comes back."""
    with opened(file, clock=SimulatedClock(builders.START), settings=SETTINGS, seed=1) as billing:
        gateway = billing.gateway("test")
        assert isinstance(gateway, ScriptedGateway)
        billing.catalog.apply(builders.CATALOG)
        for name, token in (("acme", "approve"), ("bolt", "pending"), ("crab", "pending"), ("dune", None)):
            billing.customers.create(name)
            if token is not None:
                billing.payment_methods.add(name, f"{token}#{name}")
            billing.subscriptions.create(f"s-{name}", name, "pro-m")
        acme, bolt, crab = (billing.payments.list(customer=name)[0] for name in ("acme", "bolt", "crab"))
        refund = billing.payments.refund(acme.id, amount="10.00")
        gateway.settle(refund.id, "decline:transaction_not_allowed")
        gateway.settle(bolt.id, "approve")
        gateway.settle(crab.id, "decline:insufficient_funds")
        now = datetime.now(UTC)
        (card,) = billing.payment_methods.list("acme")
        gateway.change(card.token, now, last4="1111", expires_on="2031-07")
        spare = billing.payment_methods.add("acme", "approve#spare")
        gateway.change(spare.token, now, status="disabled")
        link = billing.payment_methods.link("dune", "test", "https://shop.example/done")
        gateway.enter(Page(link.url, ""), "approve#dune")


def bodies(file: Path) -> Sequence[bytes]:
    """Everything that the gateway has to tell."""
    with opened(file) as billing:
        gateway = billing.gateway("test")
        assert isinstance(gateway, ScriptedGateway)
        return gateway.events()


def deliver(billing: Billing, body: bytes) -> None:
    gateway = billing.gateway("test")
    assert isinstance(gateway, ScriptedGateway)
    billing.webhooks.receive("test", gateway.sign(body, datetime.now(UTC)), body)


def work(file: Path) -> None:
    """A gateway delivers everything again that was not confirmed."""
    told = bodies(file)
    with opened(file) as billing:
        # One at a time, so that the gateway is asked by one thread and every process dies where it is meant to.
        for body in told:
            deliver(billing, body)
            billing.webhooks.process()
        settle_down(billing)


def settle_down(billing: Billing) -> None:
    """A few hours later: who died in the middle of an event comes back to it in minutes."""
    billing.run(datetime(2026, 1, 1, 6, tzinfo=UTC))


def stands(file: Path) -> dict[str, object]:
    with opened(file) as billing:
        return told(billing)


def told(billing: Billing) -> dict[str, object]:
    """How the books stand, without ids and times."""
    gateway = billing.gateway("test")
    assert isinstance(gateway, ScriptedGateway)
    names = [one.reference for one in billing.customers.list()]
    payments = billing.payments.list(limit=1000)
    return {
        "findings": [str(one) for one in billing.verify().findings],
        "subscriptions": sorted(f"{one.reference} {one.state}" for one in billing.subscriptions.list()),
        "payments": sorted(f"{one.cause} {one.status} {one.captured} {one.refunded}" for one in payments),
        "refunds": sorted(f"{one.status} {one.amount}" for one in billing.refunds.list()),
        "methods": sorted(
            f"{name} {one.last4} {one.expires_on} {one.status}"
            for name in names
            for one in billing.payment_methods.list(name)
        ),
        "defaults": [billing.customers.get(name).default_method_id is not None for name in names],
        "waiting": [f"{one.key} {one.reason}" for one in billing.webhooks.list(status="waiting")],
        "parked": [f"{one.key} {one.reason}" for one in billing.webhooks.list(status="parked")],
        "charged": gateway.taken("USD").minor,
        "captured": sum(one.captured - one.refunded for one in payments),
        "invoices": sorted(f"{one.status} {one.paid}" for one in billing.invoices.list(limit=1000)),
    }


def counting(file: Path) -> dict[str, int]:
    fault = Asking()
    fault.armed()
    work(file)
    return fault.counted


def copied(file: Path, name: str) -> Path:
    """The store and its gateway's book once more."""
    copy = databases.CURRENT[-1].copied(file, name)
    shutil.copyfile(f"{file}{BOOK}", f"{copy}{BOOK}")
    return copy


def after_death(file: Path, point: tuple[str, int, str]) -> dict[str, object]:
    copy = copied(file, "-".join(map(str, point)))

    def die() -> None:
        Asking(*point).armed()
        work(copy)

    def come_back() -> dict[str, object]:
        work(copy)
        return stands(copy)

    died = in_child(die)
    return {"point": point, "died": died, "stands": saying(copy, come_back)}


def main(file: Path, kind: databases.Kind, every: int) -> None:
    gc.freeze()
    with databases.stores(kind) as stores:
        stores.at(file)
        assert in_child(lambda: set_up(file)) == 0
        untold = copied(file, "untold")
        whole = copied(file, "whole")
        counted = saying(whole, lambda: counting(whole))
        say({"whole": saying(whole, lambda: stands(whole)), "counted": counted})
        say({"untold": saying(untold, lambda: _without_webhooks(untold))})
        for point in list(points(counted))[every // 2 :: every]:
            say(after_death(file, point))
    databases.close()


def _without_webhooks(file: Path) -> dict[str, object]:
    """Nothing is delivered: what was left open is found by asking (promise F16)."""
    with opened(file) as billing:
        settle_down(billing)
        return told(billing)


if __name__ == "__main__":
    main(*told_to(sys.argv[1:]))
