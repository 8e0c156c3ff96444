"""Billing: the one composition root. Opens a store, gives the nouns their verbs, runs verbs and due work."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from attrs import evolve

from billcore.clock import Clock
from billcore.commands.catalog import CatalogNoun
from billcore.commands.credits import Credits
from billcore.commands.customers import Customers
from billcore.commands.desk import Desk
from billcore.commands.invoices import Invoices
from billcore.commands.parameters import instant, name_of, named
from billcore.commands.payment_methods import PaymentMethods
from billcore.commands.payments import Payments
from billcore.commands.prepayments import Prepayments
from billcore.commands.reactivating import DebtsTried
from billcore.commands.refunds import Refunds
from billcore.commands.scope import Scope
from billcore.commands.settings import SiteSettings
from billcore.commands.subscriptions import Subscriptions
from billcore.commands.usage import Usage
from billcore.commands.verb import Definition, Noun
from billcore.commands.webhooks import Webhooks
from billcore.domain.invoice import Invoice
from billcore.domain.payment import Payment
from billcore.domain.refund import Refund
from billcore.domain.subscription import Subscription
from billcore.domain.writes import Writes
from billcore.engine.leases import Leases
from billcore.engine.outbox import deliver_events
from billcore.engine.run import RunReport, Watcher, approve_all, deliver_sends, run, unwatched
from billcore.engine.webhooks import Door
from billcore.engine.work import BATCH, Workplace
from billcore.errors import InvalidValue, Refused
from billcore.ids import Ids, new_instance
from billcore.plugins.gateway import Capability, Gateway
from billcore.plugins.opened import Gateways, TaxEngines
from billcore.plugins.registry import Registry
from billcore.preview import Preview, RolledBack, preview_of
from billcore.replay import Call, FirstPhase, remembered_result
from billcore.site import SiteReader, keep_clock, open_store
from billcore.store import schema
from billcore.store.database import Database, JoinedDatabase, Transaction

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

    from billcore.engine.doctor import Checkup
    from billcore.engine.explain import DocumentExplanation
    from billcore.engine.verify import Proof, ProofWatcher

T = TypeVar("T")


class Billing:
    """A store of books and everything that can be done with it.

    `url` is a database URL; a new SQLite file gets its schema by itself. `clock` is the system's unless the store
    was made with a simulated one. `settings` are stored when they differ from what is stored. `gateways` maps a
    gateway's name to its configuration, or is the file that does, completed by variables; they are built at once.
    `tax_engines` does the same for tax engines; the file of the gateways is theirs too where nothing is given.
    `plugins` are the host's own by name, or a registry that several share. `seed` makes ids repeatable (promise P9).
    `actor` is who commands are written down to.
    """

    def __init__(
        self,
        url: str = "sqlite:///billcore.db",
        *,
        clock: Clock | None = None,
        settings: Mapping[str, object] | None = None,
        gateways: Mapping[str, Mapping[str, object]] | str | Path | None = None,
        tax_engines: Mapping[str, Mapping[str, object]] | str | Path | None = None,
        plugins: Mapping[str, object] | Registry | None = None,
        actor: str = "api",
        seed: int | None = None,
        batch: int = BATCH,
        create: bool = True,
    ) -> None:
        self.registry = plugins if isinstance(plugins, Registry) else Registry(plugins)
        self._gateways = Gateways(self.registry, gateways)
        if tax_engines is None and isinstance(gateways, str | Path):
            tax_engines = gateways
        self._tax_engines = TaxEngines(self.registry, tax_engines)
        self.database = Database(url)
        self.actor = actor
        self._batch = batch
        self._site = SiteReader()
        if create:
            schema.create(self.database)
        else:
            schema.require(self.database)
        opened = open_store(self.database, clock, settings)
        self.installation, self.clock = opened.installation, opened.clock
        self._ids = Ids(self.clock, seed)
        self._leases = Leases(self.clock, new_instance())
        self._name_nouns()

    def _name_nouns(self) -> None:
        self.customers = Customers(self)
        self.payment_methods = PaymentMethods(self)
        self.subscriptions = Subscriptions(self)
        self.usage = Usage(self)
        self.catalog = CatalogNoun(self)
        self.invoices = Invoices(self)
        self.payments = Payments(self)
        self.credits = Credits(self)
        self.prepayments = Prepayments(self)
        self.refunds = Refunds(self)
        self.settings = SiteSettings(self)
        self.webhooks = Webhooks(self, Door(self._workplace, joined=self._joined))

    # -- the engine -----------------------------------------------------------------------------------------

    def run(
        self,
        until: datetime | None = None,
        *,
        watch: Watcher = unwatched,
        stop: Callable[[], bool] = lambda: False,
        slice: tuple[int, int] | None = None,
    ) -> RunReport:
        """Do everything that is due up to and including `until`, by default now.

        On a simulated clock time moves to `until`, each piece of work at its own instant; on the system clock
        `until` cannot lie in the future. `watch` is told after every batch, `stop` is asked between batches. Of
        several processes that run at once each may have a `slice` of the customers, (0, 2) and (1, 2), so that they
        seldom meet; on a simulated clock each does its own only, and a run without a slice moves the clock afterwards.
        """
        if self._joined:
            raise Refused(
                "join_refused",
                "Due work does not run inside the host's transaction.",
                remedy="Call run on the billing object itself, after the commit.",
            )
        simulated = self.clock.simulated
        end = self._instant(until) if until is not None else self.clock.now() if simulated else None
        if end is not None and not simulated and end > self.clock.now():
            self.clock.advance(end)
        report = run(self._workplace(), end, watch=watch, stop=stop, slice=self._slice(slice))
        if slice is not None:
            return report
        if simulated:
            if end is not None and not report.stopped and end > self.clock.now():
                self.clock.advance(end)
            keep_clock(self.database, self.clock)
        return evolve(report, problems=(*report.problems, *deliver_events(self._workplace(), self.registry)))

    def _slice(self, wanted: tuple[int, int] | None) -> tuple[int, int] | None:
        """A slice that can be worked on; raises InvalidValue, and not_supported where one process writes."""
        if wanted is None or wanted == (0, 1):
            return None
        if not 0 <= wanted[0] < wanted[1]:
            raise InvalidValue(f"There is no slice {wanted[0]} of {wanted[1]}.", remedy="Write (0, 2) and (1, 2).")
        if self.database.dialect == "sqlite":
            raise Refused(
                "not_supported",
                "SQLite has one writer: a second process would only wait for the first.",
                remedy="Run one process, or move to PostgreSQL.",
            )
        return wanted

    def verify(self, watch: "ProofWatcher" = lambda _what, _done: None) -> "Proof":
        """Prove everything that must hold of the books (behaviour 10); changes nothing, memory stays flat."""
        from billcore.engine.verify import verify

        with self._reading() as scope:
            return verify(scope, watch)

    def explain(self, document: str, line: str | None = None) -> "DocumentExplanation":
        """Every amount of an invoice or credit note derived again; `line` is its place, id or code. NotFound."""
        from billcore.engine.explain import explain

        with self._reading() as scope:
            return explain(scope, named("document", document), line)

    def doctor(self) -> "Checkup":
        """Everything that is stuck or waits for somebody, with what to do about it."""
        from billcore.engine.doctor import examine

        with self._reading() as scope:
            return examine(scope, self.database, self.registry, simulated=self.clock.simulated)

    def unpark(self, ref: str) -> Subscription | Payment | Refund:
        """Let the next run try a parked subscription, or ask for a payment or refund in doubt; NotFound, Refused."""
        from billcore.engine.doctor import unpark

        name = named("ref", ref)
        return self.unit(lambda scope: unpark(scope, name, self.actor))

    def unit(self, work: Callable[[Scope], T]) -> T:
        """What `work` returns: the own functions of many verbs in one transaction, saved at its end.

        The database may ask for it to be done again from the start, so `work` changes nothing outside.
        """
        return self._workplace().unit(work)

    def gateway(self, name: str) -> Gateway:
        """The gateway with this name, built once from its configuration; raises PluginError."""
        return self._gateways.get(name)

    def configure(self, gateway: str, config: Mapping[str, object]) -> None:
        """What a gateway is built from when it is needed, unless its configuration was given already."""
        self._gateways.configure(gateway, config)

    # -- verbs ----------------------------------------------------------------------------------------------

    def run_verb(self, noun: Noun, definition: Definition, args: tuple[object, ...], given: dict[str, Any]) -> Any:
        """Run one verb: the nouns call this."""
        options = {name: given.pop(name) for name in ("idempotency_key", "dry_run", "actor") if name in given}
        bound = definition.bind(args, given)
        if definition.reads:
            with self._reading() as scope:
                converted = definition.convert(bound, scope.settings.timezone)
                return definition.function(noun, scope, **converted)
        key = name_of("idempotency_key", options.get("idempotency_key"))
        call = Call(definition, noun, bound, key, name_of("actor", options.get("actor")) or self.actor)
        if options.get("dry_run"):
            return self._dry_run(call)
        if definition.asks and not self._joined:
            call = self._asked(call)
        if definition.debts and not self._joined:
            call = self._with_debts_tried(call)
        return self._run_writing(call)

    def _asked(self, call: Call) -> Call:
        """The call with what its gateway answers; a key that is known already asks nobody again."""
        with self._reading() as scope:
            converted = call.converted(scope)
            known = remembered_result(scope, converted) is not None
        if known:
            return call
        answer = call.noun.ask(call.definition, converted.arguments, Desk(self._reading, self.gateway))
        return evolve(call, answer=answer)

    def _with_debts_tried(self, call: Call) -> Call:
        """The call after what has to be paid before it begins was collected; the verb says what one left open means."""
        tried: tuple[str, ...] = ()
        while (debt := self.database.unit(partial(self._plan_debt, call=call, tried=tried))) is not None:
            deliver_sends(self._workplace(), (), {debt.customer_id})
            tried = (*tried, debt.id)
        return evolve(call, answer=DebtsTried(tried)) if tried else call

    def _plan_debt(self, tx: Transaction, call: Call, tried: tuple[str, ...]) -> Invoice | None:
        scope = self._scope(tx, self.clock.now(), call.actor)
        converted = call.converted(scope)
        if remembered_result(scope, converted) is not None:
            return None
        debt = call.noun.next_debt(converted.arguments, scope, tried)
        tx.save(scope.writes)
        return debt

    def _run_writing(self, call: Call) -> Any:
        try:
            first = self.database.unit(lambda tx: self._first_phase(tx, call))
        except Refused as refused:
            if isinstance(call.answer, DebtsTried) and refused.code == "payment_declined":
                self.database.unit(partial(self._remember_decline, call=call, declined=refused))
            raise
        if first.settled:
            return first.result
        deliver_sends(self._workplace(), first.sends, first.collects)
        answer = self.database.unit(lambda tx: self._last_phase(tx, first))
        if isinstance(answer, Refused):
            raise answer
        return answer

    def _first_phase(self, tx: Transaction, call: Call) -> FirstPhase:
        """Everything up to the commit that a caller may rely on; what it left to do is done after that."""
        call.keep(tx)
        scope = self._scope(tx, self.clock.now(), call.actor)
        call = call.converted(scope)
        earlier = remembered_result(scope, call)
        if earlier is not None:
            return FirstPhase(call, earlier.value(scope))
        result = call.run(scope)
        sends, collects = tuple(scope.sends), frozenset(scope.collects)
        pending = bool(sends or collects) and not self._joined
        call.write_down(scope, result)
        tx.save(scope.writes)
        if scope.site_changed:
            self._site.changed(tx)
        if not pending:
            result = call.noun.settled(scope, result, ())
            call.remember(scope, result)
            return FirstPhase(call, result)
        call.remember(scope, result, [payment.id for payment in sends])
        return FirstPhase(call, result, sends, collects)

    def _remember_decline(self, tx: Transaction, call: Call, declined: Refused) -> None:
        scope = self._scope(tx, self.clock.now(), call.actor)
        call.converted(scope).remember_refusal(scope, declined)

    def _last_phase(self, tx: Transaction, first: FirstPhase) -> Any:
        """The result after its attempts, or the decline: it is kept for replays before it is raised (behaviour 15)."""
        scope = self._scope(tx, self.clock.now(), first.call.actor)
        try:
            final = first.call.noun.settled(scope, first.result, [payment.id for payment in first.sends])
        except Refused as declined:
            first.call.remember_refusal(scope, declined)
            return declined
        first.call.remember(scope, final)
        return final

    def _dry_run(self, call: Call) -> Preview[object]:
        """The verb with all its effects, attempts taken as approved, and then nothing of it is kept (3.8)."""
        try:
            self.database.unit(lambda tx: self._tried(tx, call))
        except RolledBack as rolled_back:
            return rolled_back.preview
        raise AssertionError("a dry run was kept")

    def _tried(self, tx: Transaction, call: Call) -> None:
        now, place = self.clock.now(), self._workplace()
        made, tried = list[Writes](), tuple[str, ...]()
        while True:
            scope = self._scope(tx, now, call.actor)
            scope.dry = True
            converted = call.converted(scope)
            debt = call.noun.next_debt(converted.arguments, scope, tried) if call.definition.debts else None
            if debt is None:
                break
            scope.collects.add(debt.customer_id)
            made += approve_all(place, tx, scope)
            tried = (*tried, debt.id)
        result = evolve(converted, answer=DebtsTried(tried) if tried else None).run(scope)
        made += approve_all(place, tx, scope)
        final = call.noun.settled(self._scope(tx, now, call.actor), result, [one.id for one in scope.sends])
        raise RolledBack(preview_of(tx, final, made))

    # -- embedding ------------------------------------------------------------------------------------------

    @contextmanager
    def joined(self, connection: "Connection | psycopg.Connection[Any]") -> Iterator["Billing"]:
        """The same books inside the host's own transaction on `connection`, SQLAlchemy's or psycopg's own.

        Commands commit and roll back with the host; nothing is collected before the commit is seen by the next
        `run`. Raises join_refused when no real transaction is open.
        """
        view = copy(self)
        view.database = JoinedDatabase(connection)
        # The host may roll back: what it sees of the site meanwhile is nobody else's.
        view._site = SiteReader()
        view._joined = True
        view._name_nouns()
        yield view

    # -- life -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the store and the gateways; what is the host's, or of the object that was joined, stays open."""
        if self._joined:
            return
        self._gateways.close()
        self._tax_engines.close()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ---------------------------------------------------------------------------------------------

    _joined = False

    def _instant(self, given: datetime) -> datetime:
        """An instant as verbs take it: local to the site's zone where it has none of its own."""
        with self._reading() as scope:
            return instant(given, scope.settings.timezone)

    @contextmanager
    def _reading(self) -> Iterator[Scope]:
        with self.database.transaction(reads=True) as tx:
            yield evolve(self._scope(tx, self.clock.now()), reads=True)

    def _scope(self, tx: Transaction, now: datetime, actor: str = "engine") -> Scope:
        site = self._site.read(tx)
        lease = None if self._joined else self._leases.take()
        names = self.registry.gateways
        own = (self._ids.new, self.installation, actor, lease, names, self._capabilities, self._gateways.usual)
        return Scope(tx, now, site.settings, site.catalog, *own, self._tax_engines.taxes)

    def _capabilities(self, gateway: str) -> frozenset[Capability]:
        return self.gateway(gateway).capabilities

    def _workplace(self) -> Workplace:
        waits = self.clock.simulated
        own = (self.database, self.clock, self._scope, self.gateway, self._batch)
        return Workplace(*own, waits=waits, registry=self.registry)
