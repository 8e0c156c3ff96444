"""The examples of routes for webhooks run under their own servers and are spoken to over HTTP."""

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import frozen

from billcore import Billing
from billcore_gateway_test.gateway import ScriptedGateway
from tests.builders import CATALOG
from tests.project import ROOT

SECRET = "whsec_examples"
SERVERS = {
    "webhooks_fastapi": ("-m", "uvicorn", "webhooks_fastapi:app", "--log-level", "warning", "--port"),
    "webhooks_flask": ("-m", "flask", "--app", "webhooks_flask", "run", "--port"),
}


@frozen
class Site:
    """A store with a payment under way, its gateway, and the web server of an example in front of it."""

    billing: Billing
    gateway: ScriptedGateway
    port: int

    def post(self, body: bytes, headers, path: str = "/webhooks/test") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def deliver(self, body: bytes, at: datetime | None = None, altered: bytes = b"") -> tuple[int, bytes]:
        return self.post(body + altered, self.gateway.sign(body, at or datetime.now(UTC)))


@contextmanager
def serving(example: str, folder: Path):
    """The example's server, until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {
        "BILLCORE_DATABASE": f"sqlite:///{folder}/books.db",
        "BILLCORE_CONFIG": str(folder / "billcore.toml"),
        "HOOK": SECRET,
    }
    server = subprocess.Popen(
        [sys.executable, *SERVERS[example], str(port)],
        cwd=ROOT / "examples",
        env=os.environ | here,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(300):
            if server.poll() is not None:
                break
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    yield port
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("the server did not begin to listen")
    finally:
        server.terminate()
        said = server.communicate(timeout=30)[0].decode()
    assert server.returncode in (0, -15), said


@pytest.fixture(params=SERVERS)
def site(request, tmp_path):
    config = f'[gateways.test]\nvault = true\nbook = "{tmp_path}/book.jsonl"\nwebhook_secret = "env:HOOK"\n'
    (tmp_path / "billcore.toml").write_text(config)
    given = {"book": f"{tmp_path}/book.jsonl", "vault": True, "webhook_secret": SECRET}
    settings = {"async_signup": "wait", "require_customer_name": False, "require_customer_email": False}
    with Billing(f"sqlite:///{tmp_path}/books.db", gateways={"test": given}, settings=settings) as billing:
        billing.catalog.apply(CATALOG)
        billing.customers.create("acme")
        billing.payment_methods.add("acme", "pending")
        billing.subscriptions.create("s1", "acme", "pro-m")
        gateway = billing.gateway("test")
        assert isinstance(gateway, ScriptedGateway)
        with serving(request.param, tmp_path) as port:
            yield Site(billing, gateway, port)


def paid(site: Site, *, by_worker: bool) -> bool:
    for _ in range(100):
        if by_worker:
            site.billing.run()
        if site.billing.subscriptions.get("s1").state == "active":
            return True
        time.sleep(0.1)
    return False


def test_a_delivery_is_kept_confirmed_and_then_worked_on(site, request) -> None:
    (payment,) = site.billing.payments.list()
    site.gateway.settle(payment.id, "approve")
    for body in site.gateway.events():
        assert site.deliver(body) == (204, b"")
        assert site.deliver(body) == (204, b"")
    assert paid(site, by_worker="flask" in request.node.name)
    assert len(site.billing.webhooks.list()) == len(site.gateway.events())


def test_strangers_learn_nothing(site) -> None:
    body = site.gateway.events()[0]
    old = datetime(2020, 1, 1, tzinfo=UTC)
    for answer in (
        site.deliver(body, altered=b" "),
        site.deliver(body, at=old),
        site.post(body, {"Test-Signature": "t=1,v1=0"}),
        site.post(body, {}),
    ):
        assert answer == (400, b"")
    assert site.post(body, {}, "/webhooks/nobody") == (404, b"")
    assert site.post(b"x" * ((1 << 20) + 1), {})[0] == 413
    assert site.billing.webhooks.list() == []


def test_what_goes_wrong_on_our_side_lets_the_gateway_come_again(site, tmp_path) -> None:
    body = site.gateway.events()[0]
    moved = tmp_path / "moved.db"
    (tmp_path / "books.db").rename(moved)
    status, told = site.deliver(body)
    assert status == 500 and SECRET.encode() not in told and str(tmp_path).encode() not in told
    moved.rename(tmp_path / "books.db")
    assert site.deliver(body) == (204, b"")
