"""Webhooks: events signed as Stripe signs them and posted to endpoints, in time or as a test wants them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Literal
from urllib.parse import urlsplit

import stripe
from attrs import evolve, frozen

PATIENCE_S = 10


@frozen
class Endpoint:
    """Where events go, and how.

    mode: `prompt` right after the API's answer, `early` before it, `held` until they are flushed. Each is sent `times`
    times; `shuffle` above 0 is the seed of the order in which a flush sends. `age_s` makes signatures older (or, below
    0, from the future), `forged` signs with another secret. `tries` is how often one is sent until it is answered with
    2xx.
    """

    url: str
    secret: str
    mode: Literal["prompt", "early", "held"] = "prompt"
    times: int = 1
    shuffle: int = 0
    age_s: int = 0
    forged: bool = False
    tries: int = 1
    events: tuple[str, ...] = ()


@frozen
class Delivery:
    """An event as it goes over the wire."""

    event: str
    name: str
    body: str
    signature: str


class Deliveries:
    """Sends events to endpoints and notes what they answered."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._lock = Lock()
        self._endpoints: list[Endpoint] = []
        self._held: list[tuple[Endpoint, Delivery]] = []
        self._queue: SimpleQueue[tuple[Endpoint, Delivery] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self.answers: list[dict[str, Any]] = []

    def subscribe(self, endpoint: Endpoint) -> None:
        """Send events to this endpoint from now on; one with the same address takes the other's place."""
        with self._lock:
            self._endpoints = [one for one in self._endpoints if one.url != endpoint.url] + [endpoint]

    def publish(self, events: Sequence[dict[str, Any]], *, answered: bool) -> None:
        """Hand new events over, once before and once after the API's answer to what they came from."""
        with self._lock:
            endpoints = list(self._endpoints)
        for endpoint in endpoints:
            if (endpoint.mode == "early") == answered:
                continue
            for event in events:
                if endpoint.events and event["type"] not in endpoint.events:
                    continue
                for _ in range(endpoint.times):
                    self._take(endpoint, signed(event, endpoint, self._now()))

    def flush(self) -> int:
        """Send what is held; returns how many deliveries that were, all of them answered by then."""
        with self._lock:
            held, self._held = self._held, []
        if held and held[0][0].shuffle:
            held.sort(key=lambda one: _shuffled(one[0].shuffle, one[1].event))
        for endpoint, delivery in held:
            self._post(endpoint, delivery)
        return len(held)

    def close(self) -> None:
        """Send what is still on its way and stop."""
        self._queue.put(None)
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE_S)

    def _take(self, endpoint: Endpoint, delivery: Delivery) -> None:
        if endpoint.mode == "early":
            self._post(endpoint, delivery)
        elif endpoint.mode == "held":
            with self._lock:
                self._held.append((endpoint, delivery))
        else:
            self._queue.put((endpoint, delivery))
            with self._lock:
                if self._thread is None:
                    self._thread = Thread(target=self._work, name="fake-stripe-webhooks", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            self._post(*item)

    def _post(self, endpoint: Endpoint, delivery: Delivery) -> None:
        for _ in range(endpoint.tries):
            status = _posted(endpoint.url, delivery)
            self.answers.append({"event": delivery.event, "type": delivery.name, "status": status})
            if 200 <= status < 300:
                return


def signed(event: dict[str, Any], endpoint: Endpoint, now: int) -> Delivery:
    """An event with the header that Stripe would send."""
    body = json.dumps(event, indent=2)
    secret = "whsec_of_somebody_else" if endpoint.forged else endpoint.secret
    header = stripe.WebhookSignature.generate_signature_header(body, secret, now - endpoint.age_s)
    return Delivery(event["id"], event["type"], body, header)


def endpoint_of(fields: dict[str, Any]) -> Endpoint:
    """An endpoint from its JSON form."""
    events = tuple(fields.pop("events", ()))
    return evolve(Endpoint(**fields), events=events)


def _posted(url: str, delivery: Delivery) -> int:
    """The status that an endpoint answered; 0 for none."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=PATIENCE_S)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": delivery.signature}
    try:
        connection.request("POST", parts.path or "/", delivery.body.encode(), headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def _shuffled(seed: int, event: str) -> str:
    return hashlib.sha256(f"{seed}:{event}".encode()).hexdigest()
