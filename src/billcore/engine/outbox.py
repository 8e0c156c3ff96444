"""Hands waiting events to the plugins that listen, after the commit that made them (design: events)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from billcore.commands.scope import Scope
from billcore.engine.work import Workplace
from billcore.plugins.registry import Registry
from billcore.store import journal


def deliver_events(place: Workplace, registry: Registry) -> tuple[str, ...]:
    """Hand waiting events to the plugins that listen; an event is delivered once all of them took it.

    Returns what was wrong with those that did not. Two workers may hand the same event over twice.
    """
    if not registry.listening("on_events"):
        return ()
    while True:
        with place.database.transaction(reads=True) as tx:
            waiting: Sequence[Any] = journal.waiting_events(tx, place.batch)
        failures = registry.events(waiting) if waiting else ()
        if not waiting or failures:
            return tuple(failure.message for failure in failures)
        place.unit(partial(_note, ids=[event.id for event in waiting]))


def _note(scope: Scope, ids: Sequence[str]) -> None:
    journal.delivered(scope.tx, ids, scope.now)
