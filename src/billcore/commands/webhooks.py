"""Webhooks: what gateways told by themselves, kept in the inbox."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, Unpack

from attrs import asdict, evolve, frozen

from billcore.commands.desk import Desk
from billcore.commands.parameters import Count, CustomerRef, Flag, Instant, Options, Text, WebhookRef, as_instant
from billcore.commands.scope import Scope, not_found
from billcore.commands.verb import Definition, Noun, Runner, verb
from billcore.domain.compact import compact
from billcore.domain.inbox import InboxEvent, tried_again
from billcore.errors import InvalidValue, Refused
from billcore.plugins.gateway import WebhookEvent, updates_since
from billcore.store import inbox as store
from billcore.store import payment as payments
from billcore.store import refund as refunds

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


@frozen
class Receipt:
    """A delivery that is kept: how many of its events are new, and how many had been told before."""

    accepted: int
    duplicates: int = 0


@frozen
class Replayed:
    """How many events are worked on once more."""

    count: int


class Door(Protocol):
    """Takes deliveries in and works on them."""

    def receive(self, gateway: str, headers: Headers, body: bytes) -> Receipt:
        """Keep the events of a delivery whose signature holds."""

    def process(self) -> int:
        """Work on what is due in the inbox; returns how many events there were."""


class Webhooks(Noun):
    """Webhooks: what gateways told by themselves, kept in the inbox."""

    noun = "webhooks"

    def __init__(self, runner: Runner, door: Door) -> None:
        super().__init__(runner)
        self._door = door

    def receive(self, gateway: str, headers: Headers, body: bytes) -> Receipt:
        """Keep a delivery; call it from your own route, with the raw body, and answer 2xx once it has returned.

        Nothing that the events mean is done yet: the worker's next run does that, or `process`. An event that was
        delivered before changes nothing. Raises WebhookRejected for one that is not to be believed (answer 400);
        after any other error answer 5xx, so that the gateway delivers it again. Any thread may call it.
        """
        return self._door.receive(gateway, headers, body)

    def process(self) -> int:
        """Work on what waits in the inbox now, as the worker's next run would; returns how many events there were.

        For hosts without a worker, after their answer. It asks gateways, so it may take a while.
        """
        return self._door.process()

    def ask(self, definition: Definition, arguments: Mapping[str, Any], desk: Desk) -> object:
        """What a gateway has to tell of payment methods since an instant."""
        return updates_since(desk.gateway(arguments["gateway"]), arguments["since"])

    @verb(reads=True)
    def get(self, scope: Scope, webhook: WebhookRef) -> InboxEvent:
        """One event with its body, by its id or by the gateway's own key of it."""
        return find_event(scope, webhook)

    @verb(reads=True)
    def list(
        self,
        scope: Scope,
        *,
        gateway: Text | None = None,
        status: Literal["waiting", "done", "ignored", "parked", "discarded"] | None = None,
        customer: CustomerRef | None = None,
        newest: Flag = False,
        after: WebhookRef | None = None,
        limit: Count = 50,
    ) -> list[InboxEvent]:
        """Events in the order they came in, or the newest first; without their bodies, which `get` has."""
        return store.page(
            scope.tx,
            gateway=gateway,
            status=status,
            customer_id=scope.customer(customer).id if customer is not None else None,
            after=find_event(scope, after).id if after is not None else None,
            limit=limit,
            newest=newest,
        )

    @verb()
    def retry(self, scope: Scope, webhook: WebhookRef, **options: Unpack[Options]) -> InboxEvent:
        """Let the next run work on an event that is parked, or waits for a later try."""
        event = _open_event(scope, webhook, "tried again; replay does that")
        scope.writes.put(tried_again(event, scope.now))
        return tried_again(event, scope.now)

    @verb()
    def discard(
        self, scope: Scope, webhook: WebhookRef, *, reason: Text | None = None, **options: Unpack[Options]
    ) -> InboxEvent:
        """Give an event up that is parked or waits: whatever it means is done, or nothing."""
        event = _open_event(scope, webhook, "discarded")
        given_up = evolve(event, status="discarded", next_try_at=None, done_at=scope.now, reason=reason)
        scope.writes.put(given_up)
        return given_up

    @verb(asks=True)
    def catch_up(self, scope: Scope, gateway: Text, since: Instant, **options: Unpack[Options]) -> Receipt:
        """Ask a gateway what changed about payment methods since then, as if it had told it: after an outage.

        Payments and refunds that are under way need no such question; they are asked for anyway.
        """
        if scope.dry:
            return Receipt(0)
        if not isinstance(scope.answer, tuple):
            raise Refused(
                "join_refused",
                "What a gateway has to tell is asked for outside the host's transaction.",
                remedy="Call it on the billing object itself.",
            )
        return take_in(scope, gateway, scope.answer, "")

    @verb()
    def replay(
        self,
        scope: Scope,
        *,
        webhook: WebhookRef | None = None,
        gateway: Text | None = None,
        status: Literal["waiting", "done", "ignored", "parked", "discarded"] | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        **options: Unpack[Options],
    ) -> Replayed:
        """Let the next run work on events once more: one, or all of a gateway, of a status, received since and before.

        Nothing is done twice by that: what an event tells of is asked for again, and recorded where it is news.
        """
        if webhook is not None:
            if gateway or status or since or until:
                raise Refused(
                    "invalid_parameter",
                    "Either one event is replayed, or all of a gateway, status or time.",
                    remedy="Leave `webhook` out, or the others.",
                    parameter="webhook",
                )
            scope.writes.put(tried_again(find_event(scope, webhook), scope.now))
            return Replayed(1)
        if not (gateway or status or since or until):
            raise Refused(
                "invalid_parameter",
                "Nothing says which events are replayed.",
                remedy="Name one, or give `gateway`, `status`, `since` or `until`.",
                parameter="since",
            )
        first, last = as_instant(since), as_instant(until)
        if first is not None and last is not None and last <= first:
            raise InvalidValue("No event can be received since then and before.", remedy="Let `until` be later.")
        count = store.again(scope.tx, scope.now, gateway=gateway, status=status, since=first, until=last)
        return Replayed(count)


def find_event(scope: Scope, ref: str) -> InboxEvent:
    """An event by id, or by its gateway's key; raises NotFound."""
    found = store.get(scope.tx, ref)
    if found is None:
        raise not_found("webhook", ref, [])
    return found


def _open_event(scope: Scope, ref: str, what: str) -> InboxEvent:
    event = find_event(scope, ref)
    if event.status not in ("waiting", "parked"):
        raise Refused(
            "transition_not_allowed",
            f"Webhook {event.id} is {event.status} and cannot be {what}.",
            remedy="Only what is parked or waits is retried or discarded; replay takes any.",
            state=event.status,
        )
    return event


def take_in(scope: Scope, gateway: str, events: Sequence[WebhookEvent], body: str) -> Receipt:
    """Each event once; the body stands with the first one that is new."""
    owners = _owners(scope, events)
    accepted = 0
    for event in sorted(events, key=lambda one: one.key):
        taken = store.take_in(
            scope.tx,
            InboxEvent(
                scope.new_id("evi"),
                gateway,
                event.key,
                scope.now,
                event.kind.value,
                event.text,
                compact(asdict(event)),
                "" if accepted else body,
                next_try_at=scope.now,
                customer_id=owners.get(event.attempt_id),
            ),
        )
        accepted += taken
    return Receipt(accepted, len(events) - accepted)


def _owners(scope: Scope, events: Sequence[WebhookEvent]) -> Mapping[str, str]:
    """Whose attempts the events name, as far as that is known yet."""
    ids = [event.attempt_id for event in events if event.attempt_id]
    owners = {one.id: one.customer_id for one in payments.by_ids(scope.tx, ids).values()}
    return owners | {one.id: one.customer_id for one in refunds.by_ids(scope.tx, ids).values()}
