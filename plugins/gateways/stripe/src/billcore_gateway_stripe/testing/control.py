"""The handles of the tests, under /_fake/: the book, faults, time, webhooks, and what customers and banks do."""

import html
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import attrs

from billcore_gateway_stripe.testing import intents, methods, refunds
from billcore_gateway_stripe.testing.api import Api
from billcore_gateway_stripe.testing.deliveries import Deliveries, Endpoint, endpoint_of, signed
from billcore_gateway_stripe.testing.faults import Chaos, Fault, Faults
from billcore_gateway_stripe.testing.problem import ApiProblem, invalid
from billcore_gateway_stripe.testing.state import Record, State
from billcore_gateway_stripe.testing.tokens import Behaviour

Answer = tuple[int, str, str]
"""HTTP status, body (for 302 the address), content type."""


class Control:
    """Answers what tests ask and does what they want done."""

    def __init__(self, api: Api, faults: Faults, deliveries: Deliveries) -> None:
        self._api = api
        self._faults = faults
        self._deliveries = deliveries
        self._verbs: Mapping[str, Callable[[Record, State], object]] = {
            "book": lambda _, state: book(state),
            "requests": lambda _, __: list(self._api.requests),
            "objects": lambda given, state: state.all(given["family"]),
            "events": self._events,
            "answers": lambda _, __: list(self._deliveries.answers),
            "fault": lambda given, _: self._faults.add(Fault(**given)),
            "chaos": lambda given, _: self._faults.chaos(Chaos(**given) if given else None),
            "calm": lambda _, __: self._faults.clear(),
            "advance": lambda given, _: self._api.clock.advance(given["seconds"]),
            "now": lambda _, __: self._api.clock.now(),
            "search_lag": self._search_lag,
            "webhooks": lambda given, _: self._deliveries.subscribe(endpoint_of(given)),
            "flush": lambda _, __: self._deliveries.flush(),
            "behaviour": self._behaviour,
            "method": lambda given, state: methods.new_method(state, Behaviour(**given)),
            "authenticate": lambda given, state: intents.authenticate(state, given["id"], granted=given["granted"]),
            "settle": lambda given, state: intents.settle(state, given["id"], given.get("code", "")),
            "refund": lambda given, state: refunds.settle(state, given["id"], given["status"], given.get("reason", "")),
            "dispute": lambda given, state: refunds.dispute(state, given["id"], given["status"]),
            "complete": lambda given, state: methods.complete_session(state, given["id"], given["method"]),
            "update_card": lambda given, state: methods.update_card(state, given.pop("id"), **given),
            "revoke": lambda given, state: methods.revoke(state, given["id"]),
            "status": self._status,
        }

    def answer(self, method: str, path: str, body: str) -> Answer:
        """Answer one request under /_fake/."""
        _, _, verb, *rest = path.split("/")
        if method == "GET" and verb in ("bank", "checkout"):
            return self._page(verb, rest[0], {name: values[0] for name, values in parse_qs(body).items()})
        if verb not in self._verbs:
            return 404, json.dumps({"error": f"no such handle: {verb}"}), "application/json"
        given = json.loads(body) if body else {}
        account = given.pop("account", "")
        found, problem = self._done(account, lambda state: self._verbs[verb](given, state))
        if problem is not None:
            return problem.status, json.dumps(problem.body), "application/json"
        return 200, json.dumps(found), "application/json"

    def _done(self, account: str, act: Callable[[State], object]) -> tuple[object, ApiProblem | None]:
        """Do something to an account, and publish what events come of it."""
        state = self._api.account(account)
        found: object = None
        problem = None
        with state.lock:
            known = len(state.events)
            try:
                found = act(state)
            except ApiProblem as error:
                problem = error
            except (KeyError, TypeError) as error:
                problem = invalid(f"This handle wants something else: {error!r}")
            found = json.loads(json.dumps(found))
            events = state.events[known:]
        for answered in (False, True):
            self._deliveries.publish(events, answered=answered)
        return found, problem

    def _events(self, given: Record, state: State) -> list[Record]:
        """Every event, signed for `secret` at this moment, as it would be delivered."""
        endpoint = Endpoint("", given["secret"], age_s=given.get("age_s", 0), forged=given.get("forged", False))
        now = self._api.clock.now()
        return [attrs.asdict(signed(event, endpoint, now)) for event in state.events]

    def _search_lag(self, given: Record, state: State) -> None:
        state.search_lag_s = given["seconds"]

    def _behaviour(self, given: Record, state: State) -> None:
        """Change what a method does from now on."""
        method_id = given.pop("id")
        state.behaviours[method_id] = attrs.evolve(state.behaviours[method_id], **given)

    def _status(self, given: Record, state: State) -> None:
        """Put an intent into any status, such as one that the API of next year may have."""
        state.get("pi", given["id"])["status"] = given["status"]

    def _page(self, verb: str, object_id: str, chosen: dict[str, str]) -> Answer:
        """The pages that a customer sees: his bank's, and the one where he enters a method."""
        choices = (
            {"yes": "Confirm", "no": "Refuse"} if verb == "bank" else {"visa": "Pay with 4242", "refundFail": "5126"}
        )
        choice = chosen.get("choice", "")
        if not choice:
            links = "".join(f'<p><a href="?{urlencode({"choice": one})}">{text}</a>' for one, text in choices.items())
            return 200, f"<h1>{html.escape(object_id)}</h1>{links}", "text/html"
        for state in self._api.states():
            if verb == "bank" and object_id in state.objects.get("payment_intents", {}):
                back = state.get("pi", object_id)["next_action"]
                self._done(state.account, lambda s: intents.authenticate(s, object_id, granted=choice == "yes"))
                url = back["redirect_to_url"]["return_url"] if back else ""
                return 302, f"{url}?{urlencode({'payment_intent': object_id})}", "text/plain"
            if verb == "checkout" and object_id in state.objects.get("sessions", {}):
                _, problem = self._done(state.account, lambda s: methods.complete_session(s, object_id, choice))
                name = "cancel_url" if problem else "success_url"
                return 302, state.get("cs", object_id)[name], "text/plain"
        return 404, "There is no such page.", "text/plain"


def book(state: State) -> list[dict[str, Any]]:
    """What really moved money, oldest first: charges, then refunds that were not given back."""
    charges = [one for one in state.objects.get("charges", {}).values() if one["status"] == "succeeded"]
    refunds_made = [one for one in state.objects.get("refunds", {}).values() if one["status"] == "succeeded"]
    return [
        *(_row("charge", charge, charge["payment_intent"]) for charge in charges),
        *(_row("refund", refund, refund["id"]) for refund in refunds_made),
    ]


def _row(verb: str, record: Record, gateway_id: str) -> dict[str, Any]:
    ids = {name: record["metadata"].get(name, "") for name in ("attempt_id", "invoice_id", "customer_id")}
    money = {"amount": record["amount"], "currency": record["currency"]}
    return {"verb": verb, "gateway_id": gateway_id, "of": record["payment_intent"], **ids, **money}
