"""One call of a writing verb: run once per idempotency key, audited, its result kept (behaviour 15)."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, get_type_hints

from attrs import evolve, field, frozen

from billcore.commands.parameters import Unset
from billcore.commands.plain import from_plain, to_json, to_plain
from billcore.commands.scope import Scope
from billcore.commands.verb import Definition, Noun
from billcore.domain.event import AuditRecord
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.errors import Refused
from billcore.site import LOCK
from billcore.store import journal
from billcore.store.database import Transaction

KEPT_FOR = timedelta(days=90)
"""How long a key stands for its call (behaviour 15)."""


@frozen
class Call:
    """A verb with its arguments, the caller's key, who calls, and what a gateway answered to it before."""

    definition: Definition
    noun: Noun
    arguments: Mapping[str, object]
    key: str | None
    actor: str
    parameters: str = field(default="{}")
    answer: object = None

    def converted(self, scope: Scope) -> "Call":
        """The call with its arguments as the verb takes them."""
        arguments = self.definition.convert(self.arguments, scope.settings.timezone)
        shown = {name: value for name, value in arguments.items() if _is_given(value)}
        return evolve(self, arguments=arguments, parameters=to_json(shown))

    def keep(self, tx: Transaction) -> None:
        """Keep what only one call at a time may act on: the site, for a verb that changes it, and the caller's key."""
        if self.definition.site:
            tx.lock(LOCK)
        if self.key is not None:
            tx.lock(f"key:{self.definition.full_name}:{self.key}")

    def run(self, scope: Scope) -> Any:
        """Run the verb's own function in the unit of work."""
        self.definition.require_near(self.arguments, scope.now)
        scope.answer = self.answer
        return self.definition.function(self.noun, scope, **self.arguments)

    def write_down(self, scope: Scope, result: Any) -> None:
        """Put the call into the audit log."""
        shown = {"id": getattr(result, "id", None), "state": getattr(result, "state", None)}
        scope.writes.add(
            AuditRecord(
                scope.new_id("aud"),
                scope.now,
                self.actor,
                self.definition.full_name,
                self.parameters,
                json.dumps({name: value for name, value in shown.items() if value is not None}),
            )
        )

    def remember(self, scope: Scope, result: Any, attempts: Sequence[str] | None = None) -> None:
        """Keep the result under the caller's key.

        With `attempts` it is not final yet: a replay looks up what has become of it and of them.
        """
        if self.key is None:
            return
        kept = {"attempts": attempts, "value": to_plain(result)}
        journal.remember(scope.tx, self.definition.full_name, self.key, self.parameters, json.dumps(kept), scope.now)

    def remember_refusal(self, scope: Scope, refusal: Refused) -> None:
        """Keep a decline under the caller's key: a replay is answered the same."""
        if self.key is None:
            return
        kept = {
            "declined": {
                "code": refusal.code,
                "message": refusal.message,
                "remedy": refusal.remedy,
                "facts": to_plain(dict(refusal.facts)),
            }
        }
        journal.remember(scope.tx, self.definition.full_name, self.key, self.parameters, json.dumps(kept), scope.now)


@frozen
class FirstPhase:
    """What the first transaction of a call left: its result so far, and the attempts and collections after it."""

    call: Call
    result: Any
    sends: tuple[Payment | Refund, ...] = ()
    collects: frozenset[str] = frozenset()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do after the commit."""
        return not self.sends and not self.collects


@frozen
class Remembered:
    """What an earlier call with the same key gave."""

    call: Call
    kept: Mapping[str, Any]

    def value(self, scope: Scope) -> Any:
        """The earlier result as it was; a decline is raised again; an open one is looked up."""
        declined = self.kept.get("declined")
        if declined is not None:
            raise Refused(declined["code"], declined["message"], remedy=declined["remedy"], **declined["facts"])
        hint = get_type_hints(self.call.definition.function)["return"]
        result = from_plain(self.kept["value"], hint)
        attempts = self.kept["attempts"]
        return result if attempts is None else self.call.noun.settled(scope, result, attempts)


def remembered_result(scope: Scope, call: Call) -> Remembered | None:
    """What is kept under the call's key; raises idempotency_conflict when it was called with other parameters."""
    if call.key is None:
        return None
    kept = journal.remembered(scope.tx, call.definition.full_name, call.key, scope.now - KEPT_FOR)
    if kept is None:
        return None
    parameters, result = kept
    if parameters != call.parameters:
        before, now = json.loads(parameters), json.loads(call.parameters)
        field_name = next(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))
        raise Refused(
            "idempotency_conflict",
            f"The idempotency key {call.key!r} was used with {field_name} = {before.get(field_name)!r}, "
            f"not {now.get(field_name)!r}.",
            remedy="Use a new key for another command.",
            field=field_name,
        )
    return Remembered(call, json.loads(result))


def _is_given(value: object) -> bool:
    return value is not None and not isinstance(value, Unset)
