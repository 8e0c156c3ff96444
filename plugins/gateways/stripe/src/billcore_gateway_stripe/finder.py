"""Finding an attempt at Stripe by our id of it; what is found is read, never changed (behaviour 9.3).

Lists show what was made a moment ago, the search does not: it may lag for an hour. So lists decide, and the search is
asked last and believed only when it finds something.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from billcore.plugins.gateway import Cancel, GatewayUnknown, Lookup
from billcore_gateway_stripe.plain import Plain, number, ours, parts, text
from billcore_gateway_stripe.refused import Question, Refused, failure_of
from billcore_gateway_stripe.wire import Call, Wire

if TYPE_CHECKING:
    from stripe.params import PaymentIntentListParams, RefundListParams

PAGE = 100
"""Objects of one page, the most that Stripe gives."""
ACCOUNT_PAGES = 10
"""Pages of a whole account's newest objects that are read for one attempt."""
MARGIN_S = 86_400
"""An object made this long before the attempt was sent is not it, whatever the clocks say."""

Page: TypeAlias = Callable[[str], Call]
"""The call for the page that begins after the object with this id."""


class Finder:
    """Looks for PaymentIntents and refunds that carry our attempt id in their metadata."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def intent(self, request: Lookup | Cancel) -> Plain | None:
        """The PaymentIntent of a charge, None when there surely is none; GatewayUnknown when that cannot be told."""
        question = Question(f"the charge {request.attempt_id}", request.attempt_id)
        if request.gateway_id.startswith("pi_"):
            named = self._retrieved(question, lambda c: c.v1.payment_intents.retrieve(request.gateway_id))
            if named is not None and ours(named, "attempt_id") == request.attempt_id:
                return named

        if request.gateway_customer:
            known, found = self._listed(question, _intents(request.gateway_customer))
            if known:
                return found
        known, found = self._newest(question, _intents(""), request.sent_at)
        return found if known else self._searched(question)

    def refund(self, request: Lookup) -> Plain | None:
        """The refund of an attempt, as `intent` does; `of` is the charge that it belongs to."""
        question = Question(f"the refund {request.attempt_id}", request.attempt_id)
        if request.gateway_id.startswith(("re_", "pyr_")):
            named = self._retrieved(question, lambda c: c.v1.refunds.retrieve(request.gateway_id))
            if named is not None and ours(named, "attempt_id") == request.attempt_id:
                return named

        if request.of:
            known, found = self._listed(question, _refunds(request.of))
            if known:
                return found
        known, found = self._newest(question, _refunds(""), request.sent_at)
        if not known:
            raise _undecided(question)
        return found

    def _retrieved(self, question: Question, call: Call) -> Plain | None:
        reply = self._wire.ask(question, call)
        if isinstance(reply, Refused):
            if reply.gone:
                return None
            raise failure_of(reply, question)
        return reply

    def _listed(self, question: Question, page: Page) -> tuple[bool, Plain | None]:
        """Whether a list could be read to its end, and what was found in it."""
        for objects, last in self._pages(question, page):
            found = _match(objects, question)
            if found is not None or last:
                return True, found
        return False, None

    def _newest(self, question: Question, page: Page, sent_at: datetime | None) -> tuple[bool, Plain | None]:
        """The same for all of the account's, newest first, as far as the attempt can be and reason allows."""
        for count, (objects, last) in enumerate(self._pages(question, page), 1):
            found = _match(objects, question)
            if found is not None or last:
                return True, found
            if count >= ACCOUNT_PAGES:
                return _all_older(objects, sent_at), None
        return False, None

    def _pages(self, question: Question, page: Page) -> Iterator[tuple[list[Plain], bool]]:
        """Pages, each with whether it is the last; none when what the list is of is not there."""
        after = ""
        while True:
            reply = self._wire.ask(question, page(after))
            if isinstance(reply, Refused):
                if reply.gone:
                    return
                raise failure_of(reply, question)
            objects = list(parts(reply, "data"))
            last = reply.get("has_more") is not True or not objects
            yield objects, last
            if last:
                return
            after = text(objects[-1], "id")

    def _searched(self, question: Question) -> Plain:
        """What the search finds, as it is now; finding nothing says nothing."""
        query = f"metadata['attempt_id']:'{_quoted(question.attempt_id)}'"
        reply = self._wire.ask(question, lambda c: c.v1.payment_intents.search({"query": query, "limit": 1}))
        if isinstance(reply, Refused) and reply.kind != "invalid":
            raise failure_of(reply, question)
        found = None if isinstance(reply, Refused) else _match(list(parts(reply, "data")), question)
        if found is None:
            raise _undecided(question)
        return self._wire.get(question, lambda c: c.v1.payment_intents.retrieve(text(found, "id")))


def _intents(customer: str) -> Page:
    def page(after: str) -> Call:
        params: PaymentIntentListParams = {"limit": PAGE}
        if customer:
            params["customer"] = customer
        if after:
            params["starting_after"] = after
        return lambda client: client.v1.payment_intents.list(params)

    return page


def _refunds(of: str) -> Page:
    def page(after: str) -> Call:
        params: RefundListParams = {"limit": PAGE}
        if of.startswith("pi_"):
            params["payment_intent"] = of
        elif of:
            params["charge"] = of
        if after:
            params["starting_after"] = after
        return lambda client: client.v1.refunds.list(params)

    return page


def _match(objects: list[Plain], question: Question) -> Plain | None:
    return next((one for one in objects if ours(one, "attempt_id") == question.attempt_id), None)


def _all_older(objects: list[Plain], sent_at: datetime | None) -> bool:
    """Whether a page ends with what was made long before the attempt, which then is on no later page either."""
    created = number(objects[-1], "created")
    return created is not None and sent_at is not None and created < int(sent_at.timestamp()) - MARGIN_S


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _undecided(question: Question) -> GatewayUnknown:
    return GatewayUnknown(
        f"Too many objects are newer at Stripe to tell whether there is {question.what}.",
        remedy="It is asked for again; with the customer's id at Stripe the answer is certain.",
        **question.facts,
    )
