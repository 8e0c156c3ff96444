"""The one way to Stripe: the SDK's client with our timeouts, and its exceptions kept inside.

This module imports the SDK; it is imported at the first call.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from threading import local
from time import monotonic_ns
from typing import TypeAlias

import requests
import stripe
from requests.adapters import HTTPAdapter

from billcore.plugins.gateway import GatewayUnknown
from billcore_gateway_stripe.config import API_VERSION, Config
from billcore_gateway_stripe.plain import Plain
from billcore_gateway_stripe.problems import judged
from billcore_gateway_stripe.refused import Question, Refused, failure_of

CONNECT_S = 5
SPARE_S = 5
"""Seconds that a verb of several calls has beyond the time of one answer."""
POOL = 32
"""Connections that are kept open: as many threads may speak at once without opening one for each call."""

_NS = 1_000_000_000

Timeouts: TypeAlias = tuple[int, int]
Call: TypeAlias = Callable[[stripe.StripeClient], stripe.StripeObject]


class Wire:
    """A client of its own, touching none of the SDK's globals; any number of threads may ask at once."""

    def __init__(self, config: Config) -> None:
        self._timeout_s = config.timeout_s
        self._local = local()
        self._secrets = (config.api_key.reveal(), *(secret.reveal() for secret in config.webhook_secrets))
        self._session = requests.Session()
        # Nothing is remembered from one call to the next, so that threads can share the connections.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Without a word here a .netrc on the machine would put its own credentials in place of the key.
        self._session.auth = _as_it_is
        adapter = _Adapter(self._timeouts)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self.client = stripe.StripeClient(
            config.api_key.reveal(),
            stripe_account=config.account or None,
            stripe_version=API_VERSION,
            base_addresses={"api": config.base_url.rstrip("/")},
            # A retry of the SDK's would be one that nobody wrote down.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=config.timeout_s, session=self._session),
        )

    @contextmanager
    def verb(self) -> Iterator[None]:
        """The time of one verb, all its calls together; a verb inside another shares its time."""
        if getattr(self._local, "ends_ns", None) is not None:
            yield
            return
        self._local.ends_ns = monotonic_ns() + (self._timeout_s + SPARE_S) * _NS
        try:
            yield
        finally:
            self._local.ends_ns = None

    def ask(self, question: Question, call: Call) -> Plain | Refused:
        """Stripe's answer as plain values, or its refusal. Raises the contract's errors for everything else."""
        if self._left_s() < 1:
            raise GatewayUnknown(
                f"There was no time left to ask Stripe for {question.what}.",
                remedy="What became of it is asked for again.",
                **question.facts,
            )
        self._local.replayed = False
        try:
            found = call(self.client)
            self._local.replayed = _is_replayed(found)
            return found.to_dict()
        except stripe.StripeError as error:
            outcome = judged(error, question, self._secrets)
        except Exception as error:  # noqa: BLE001  an answer that the SDK cannot read makes it raise anything
            outcome = GatewayUnknown(
                f"Stripe's answer to {question.what} could not be read ({type(error).__name__}).",
                remedy="What became of it is asked for again.",
                **question.facts,
            )
        if isinstance(outcome, Refused):
            return outcome
        # Raised out here the SDK's exception, with its headers and bodies, is not even the context of ours.
        raise outcome

    @property
    def replayed(self) -> bool:
        """Whether this thread's last answer was the stored one of an earlier call with the same key."""
        return bool(getattr(self._local, "replayed", False))

    def get(self, question: Question, call: Call) -> Plain:
        """Stripe's answer; its refusal is the contract's error as well."""
        reply = self.ask(question, call)
        if isinstance(reply, Refused):
            raise failure_of(reply, question)
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _left_s(self) -> int:
        ends_ns = getattr(self._local, "ends_ns", None)
        return self._timeout_s if ends_ns is None else (int(ends_ns) - monotonic_ns()) // _NS

    def _timeouts(self) -> Timeouts:
        """Seconds to connect, and to wait for an answer, within what the verb has left."""
        left = max(1, min(self._left_s(), self._timeout_s))
        return min(CONNECT_S, left), left


class _Adapter(HTTPAdapter):
    """Sends with the timeouts of the moment and never by itself again."""

    def __init__(self, timeouts: Callable[[], Timeouts]) -> None:
        self._timeouts = timeouts
        super().__init__(pool_connections=4, pool_maxsize=POOL, max_retries=0)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,  # noqa: ARG002  the SDK's, which is the same for every call
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """As its base, with our timeouts in place of the session's."""
        return super().send(request, stream, self._timeouts(), verify, cert, proxies)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _is_replayed(found: stripe.StripeObject) -> bool:
    headers = getattr(found.last_response, "headers", None) or {}
    return str(headers.get("Idempotent-Replayed", "")).lower() == "true"
