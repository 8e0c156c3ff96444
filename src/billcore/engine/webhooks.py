"""The door for webhooks: verified, kept, and only then confirmed; worked on afterwards (behaviour 9.3)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from attrs import evolve, frozen

from billcore.commands.webhooks import Headers, Receipt, take_in
from billcore.domain.card_number import without_card_numbers
from billcore.engine.agenda import Due
from billcore.engine.inbox import hear
from billcore.engine.refunding import ask_about_refunds
from billcore.engine.run import deliver_sends
from billcore.engine.work import Workplace
from billcore.errors import InvalidValue, Refused
from billcore.plugins.gateway import WebhookRejected, WebhookRequest, receive
from billcore.store import inbox as store
from billcore.store import refund as refunds
from billcore.store.database import Transaction
from billcore.store.due import Among
from billcore.store.mapping import Row
from billcore.store.types import text_to_instant


@frozen
class Door:
    """Takes deliveries in, from any thread; `joined` doors are inside a host's transaction and stay closed."""

    place: Callable[[], Workplace]
    joined: bool = False

    def receive(self, gateway: str, headers: Headers, body: bytes) -> Receipt:
        """Keep the events of a delivery whose signature holds, each once; committed when this returns."""
        self._refuse_joined()
        if not isinstance(body, bytes | bytearray | memoryview):
            raise InvalidValue(
                f"A webhook's body is bytes, not {type(body).__name__}.",
                remedy="Hand on the request's raw body: one that was parsed and written anew has another signature.",
                parameter="body",
            )
        place = self.place()
        request = WebhookRequest(_texts(headers), bytes(body), place.clock.wall())
        try:
            events = receive(place.gateway(gateway), request)
        except WebhookRejected as error:
            # Which of its checks failed is nothing that its sender should learn; the cause has it for our log.
            raise WebhookRejected from error
        shown = without_card_numbers(request.body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00"))
        return place.unit(partial(take_in, gateway=gateway, events=events, body=shown))

    def process(self) -> int:
        """Work on what is due in the inbox, and collect and ask what is due by that; returns how many events."""
        self._refuse_joined()
        place = evolve(self.place(), waits=True)
        now = place.clock.now()
        count = 0
        touched: set[str] = set()
        while due := _due(place, partial(store.due, until=now, limit=place.batch)):
            hear(place, due)
            with place.database.transaction(reads=True) as tx:
                touched |= {one.customer_id for one in store.by_ids(tx, [row.id for row in due]) if one.customer_id}
            count += len(due)
        deliver_sends(place, (), touched)
        due = _due(place, partial(refunds.due_checks, until=now, limit=place.batch, among=Among(touched)))
        if due:
            ask_about_refunds(place, due)
        return count

    def _refuse_joined(self) -> None:
        if self.joined:
            raise Refused(
                "join_refused",
                "Webhooks are not taken in inside the host's transaction.",
                remedy="Call webhooks.receive on the billing object itself: it commits before it answers.",
            )


def _due(place: Workplace, read: Callable[[Transaction], Sequence[Row]]) -> list[Due]:
    with place.database.transaction(reads=True) as tx:
        return [Due(text_to_instant(at), owner, row_id) for at, owner, row_id in read(tx)]


def _texts(headers: Headers) -> dict[str, str]:
    """Headers as any framework has them: a mapping, or pairs, of texts or bytes; one that comes twice is joined."""
    items: Iterable[tuple[str | bytes, str | bytes]] = headers.items() if isinstance(headers, Mapping) else headers
    texts: dict[str, str] = {}
    for name, value in items:
        key, text = _text(name).lower(), _text(value)
        texts[key] = f"{texts[key]}, {text}" if key in texts else text
    return texts


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
