"""Billing: the one composition root. Opens a store, gives the nouns their verbs, runs verbs and due work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve, frozen

from billcore.clock import Clock, SimulatedClock, SystemClock, after
from billcore.commands.catalog import CatalogNoun
from billcore.commands.customers import Customers
from billcore.commands.desk import Desk
from billcore.commands.invoices import Invoices
from billcore.commands.parameters import instant, name_of, named
from billcore.commands.payment_methods import PaymentMethods
from billcore.commands.payments import Payments
from billcore.commands.scope import Scope
from billcore.commands.settings import SiteSettings
from billcore.commands.subscriptions import Subscriptions
from billcore.commands.usage import Usage
from billcore.commands.verb import Definition, Noun
from billcore.domain.payment import Outcome, Payment
from billcore.domain.subscription import Subscription
from billcore.engine import collection
from billcore.engine.doctor import Checkup, examine, unpark
from billcore.engine.explain import DocumentExplanation, explain
from billcore.engine.leases import own_name
from billcore.engine.run import RunReport, Watcher, deliver_sends, run, unwatched
from billcore.engine.verify import Proof, ProofWatcher, verify
from billcore.engine.work import BATCH, Workplace
from billcore.errors import Refused
from billcore.ids import Ids, new_installation
from billcore.plugins.gateway import Capability, Gateway
from billcore.plugins.registry import Registry
from billcore.preview import Preview, RolledBack, preview_of
from billcore.replay import Call, remembered_result
from billcore.settings import Settings
from billcore.store import catalog as stored_catalog
from billcore.store import journal, schema
from billcore.store.catalog import StoredCatalog
from billcore.store.database import Database, JoinedDatabase, Transaction

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEASE_S = 60
"""How long an attempt belongs to the process that makes it; longer than the deadline of its call."""


@frozen
class _Site:
    """Settings and catalog as of a revision of the store."""

    revision: int
    settings: Settings
    catalog: StoredCatalog


class Billing:
    """A store of books and everything that can be done with it.

    `url` is a database URL; a new SQLite file gets its schema by itself. `clock` is the system's unless the store
    was made with a simulated one. `settings` are stored when they differ from what is stored. `gateways` maps a
    gateway's name to its configuration. `plugins` are the host's own by name, or a registry that several share.
    `seed` makes ids repeatable (promise P9). `actor` is who commands are written down to.
    """

    def __init__(
        self,
        url: str = "sqlite:///billcore.db",
        *,
        clock: Clock | None = None,
        settings: Mapping[str, object] | None = None,
        gateways: Mapping[str, Mapping[str, object]] | None = None,
        plugins: Mapping[str, object] | Registry | None = None,
        actor: str = "api",
        seed: int | None = None,
        batch: int = BATCH,
        create: bool = True,
    ) -> None:
        self.database = Database(url)
        self.registry = plugins if isinstance(plugins, Registry) else Registry(plugins)
        self.actor = actor
        self._batch = batch
        self._gateway_configs = dict(gateways or {})
        self._gateways: dict[str, Gateway] = {}
        self._site: _Site | None = None
        if create:
            schema.create(self.database)
        else:
            schema.require(self.database)
        stored_clock = self._open_store(clock, settings)
        self.clock = clock or stored_clock
        self._ids = Ids(self.clock, seed)
        self._name_nouns()

    def _name_nouns(self) -> None:
        self.customers = Customers(self)
        self.payment_methods = PaymentMethods(self)
        self.subscriptions = Subscriptions(self)
        self.usage = Usage(self)
        self.catalog = CatalogNoun(self)
        self.invoices = Invoices(self)
        self.payments = Payments(self)
        self.settings = SiteSettings(self)

    # -- the engine -----------------------------------------------------------------------------------------

    def run(
        self,
        until: datetime | None = None,
        *,
        watch: Watcher = unwatched,
        stop: Callable[[], bool] = lambda: False,
    ) -> RunReport:
        """Do everything that is due up to and including `until`, by default now.

        On a simulated clock time moves to `until`, each piece of work at its own instant; on the system clock
        `until` cannot lie in the future. `watch` is told after every batch, `stop` is asked between batches.
        """
        end = self.clock.now() if until is None else self._instant(until)
        if not self.clock.simulated and end > self.clock.now():
            self.clock.advance(end)
        report = run(self._workplace(), end, watch=watch, stop=stop)
        if self.clock.simulated and not report.stopped and end > self.clock.now():
            self.clock.advance(end)
        self._keep_clock()
        return evolve(report, problems=self._deliver_events())

    def verify(self, watch: ProofWatcher = lambda _what, _done: None) -> Proof:
        """Prove everything that must hold of the books (behaviour 10); changes nothing, memory stays flat."""
        with self._reading() as scope:
            return verify(scope, watch)

    def explain(self, document: str, line: str | None = None) -> DocumentExplanation:
        """Every amount of an invoice or credit note derived again; `line` is its place, id or code. NotFound."""
        with self._reading() as scope:
            return explain(scope, named("document", document), line)

    def doctor(self) -> Checkup:
        """Everything that is stuck or waits for somebody, with what to do about it."""
        with self._reading() as scope:
            return examine(scope, self.database, self.registry, simulated=self.clock.simulated)

    def unpark(self, ref: str) -> Subscription | Payment:
        """Let the next run try a parked subscription again, or ask for a payment in doubt; NotFound, Refused."""
        with self.unit() as scope:
            return unpark(scope, named("ref", ref), self.actor)

    def unit(self) -> AbstractContextManager[Scope]:
        """One transaction for the own functions of many verbs; what they made is saved at its end."""
        return self._workplace().unit()

    def gateway(self, name: str) -> Gateway:
        """The gateway with this name, built once from its configuration; raises PluginError."""
        if name not in self._gateways:
            self._gateways[name] = self.registry.gateway(name, self._gateway_configs.get(name))
        return self._gateways[name]

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
        return self._run_writing(self._asked(call) if definition.asks and not self._joined else call)

    def _asked(self, call: Call) -> Call:
        """The call with what its gateway answers; a key that is known already asks nobody again."""
        with self._reading() as scope:
            converted = call.converted(scope)
            known = remembered_result(scope, converted) is not None
        if known:
            return call
        answer = call.noun.ask(call.definition, converted.arguments, Desk(self._reading, self.gateway))
        return evolve(call, answer=answer)

    def _run_writing(self, call: Call) -> Any:
        with self.database.transaction() as tx:
            scope = self._scope(tx, self.clock.now(), call.actor)
            call = call.converted(scope)
            earlier = remembered_result(scope, call)
            if earlier is not None:
                return earlier.value(scope)
            result = call.run(scope)
            sends, collects = list(scope.sends), set(scope.collects)
            pending = bool(sends or collects) and not self._joined
            call.write_down(scope, result)
            tx.save(scope.writes)
            if scope.site_changed:
                self._bump(tx)
            if not pending:
                result = call.noun.settled(scope, result, ())
            call.remember(scope, result, None if not pending else [payment.id for payment in sends])
        if not pending:
            return result
        deliver_sends(self._workplace(), sends, collects)
        return self._settled(call, result, [payment.id for payment in sends])

    def _settled(self, call: Call, result: Any, attempts: Sequence[str]) -> Any:
        """The result after its attempts; a decline is kept for replays before it is raised (behaviour 15)."""
        with self.database.transaction() as tx:
            scope = self._scope(tx, self.clock.now(), call.actor)
            try:
                final = call.noun.settled(scope, result, attempts)
            except Refused as declined:
                call.remember_refusal(scope, declined)
                refusal = declined
            else:
                call.remember(scope, final)
                return final
        raise refusal

    def _dry_run(self, call: Call) -> Preview[object]:
        """The verb with all its effects, attempts taken as approved, and then nothing of it is kept (3.8)."""
        try:
            with self.database.transaction() as tx:
                scope = self._scope(tx, self.clock.now(), call.actor)
                scope.dry = True
                call = call.converted(scope)
                result = call.run(scope)
                made = [*scope.saved, scope.writes]
                tx.save(scope.writes)
                sends = scope.sends
                if sends:
                    scope = self._scope(tx, self.clock.now(), call.actor)
                    approved = [(p.id, Outcome("approved", p.amount), self.clock.now()) for p in sends]
                    collection.record(scope, approved)
                    tx.save(scope.writes)
                    made.append(scope.writes)
                final = call.noun.settled(scope, result, [p.id for p in sends])
                raise RolledBack(preview_of(final, made))
        except RolledBack as rolled_back:
            return rolled_back.preview

    # -- embedding ------------------------------------------------------------------------------------------

    @contextmanager
    def joined(self, connection: "Connection") -> Iterator["Billing"]:
        """The same books inside the host's own transaction on `connection`.

        Commands commit and roll back with the host; nothing is collected before the commit is seen by the next
        `run`. Raises join_refused when no real transaction is open.
        """
        view = _Joined(self, JoinedDatabase(connection))
        yield view

    # -- life -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the store and the gateways."""
        for gateway in self._gateways.values():
            closing = getattr(gateway, "close", None)
            if callable(closing):
                closing()
        self._gateways.clear()
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside ---------------------------------------------------------------------------------------------

    _joined = False

    def _open_store(self, clock: Clock | None, settings: Mapping[str, object] | None) -> Clock:
        """Read what the store says of itself; a write lock is taken only where something is new."""
        with self.database.transaction(reads=True) as tx:
            meta, stored = journal.meta(tx), Settings.from_mapping(journal.settings(tx))
        wanted = Settings.from_mapping(settings, stored) if settings else stored
        if "installation" not in meta or wanted != stored:
            with self.database.transaction() as tx:
                meta = self._set_up(tx, clock, settings or {})
        self.installation = meta["installation"]
        if "clock" in meta:
            return SimulatedClock(datetime.fromisoformat(meta["clock"]).astimezone(UTC))
        return SystemClock()

    def _set_up(self, tx: Transaction, clock: Clock | None, settings: Mapping[str, object]) -> dict[str, str]:
        """Write what is new: the installation's id and clock, and settings that differ from what is stored."""
        meta = journal.meta(tx)
        if "installation" not in meta:
            meta["installation"] = new_installation()
            journal.save_meta(tx, "installation", meta["installation"])
            journal.save_meta(tx, "revision", "1")
            if clock is not None and clock.simulated:
                meta["clock"] = clock.now().isoformat()
                journal.save_meta(tx, "clock", meta["clock"])
        stored = Settings.from_mapping(journal.settings(tx))
        wanted = Settings.from_mapping(settings, stored)
        if wanted != stored:
            journal.save_settings(tx, wanted.to_mapping())
            self._bump(tx)
        return meta

    def _instant(self, given: datetime) -> datetime:
        """An instant as verbs take it: local to the site's zone where it has none of its own."""
        with self._reading() as scope:
            return instant(given, scope.settings.timezone)

    @contextmanager
    def _reading(self) -> Iterator[Scope]:
        with self.database.transaction(reads=True) as tx:
            yield self._scope(tx, self.clock.now())

    def _scope(self, tx: Transaction, now: datetime, actor: str = "engine") -> Scope:
        site = self._read_site(tx)
        lease = None if self._joined else (own_name(), after(self.clock, LEASE_S))
        names = self.registry.gateways
        own = (self._ids.new, self.installation, actor, lease, names, self._capabilities)
        return Scope(tx, now, site.settings, site.catalog, *own)

    def _capabilities(self, gateway: str) -> frozenset[Capability]:
        return self.gateway(gateway).capabilities

    def _read_site(self, tx: Transaction) -> _Site:
        """Settings and catalog, read again when some process has changed them."""
        revision = journal.revision(tx)
        if self._site is None or self._site.revision != revision:
            settings = Settings.from_mapping(journal.settings(tx))
            self._site = _Site(revision, settings, stored_catalog.load(tx))
        return self._site

    def _bump(self, tx: Transaction) -> None:
        """Let every process read settings and catalog again."""
        journal.save_meta(tx, "revision", str(journal.revision(tx) + 1))
        self._site = None

    def _workplace(self) -> Workplace:
        return Workplace(self.database, self.clock, self._scope, self.gateway, self._batch)

    def _keep_clock(self) -> None:
        if self.clock.simulated:
            with self.database.transaction() as tx:
                journal.save_meta(tx, "clock", self.clock.now().isoformat())

    def _deliver_events(self) -> tuple[str, ...]:
        """Hand waiting events to the plugins that listen; an event is delivered once all of them took it.

        Returns what was wrong with those that did not.
        """
        if not self.registry.listening("on_events"):
            return ()
        while True:
            with self.database.transaction(reads=True) as tx:
                waiting: Sequence[Any] = journal.waiting_events(tx, self._batch)
            failures = self.registry.events(waiting) if waiting else ()
            if not waiting or failures:
                return tuple(failure.message for failure in failures)
            with self.database.transaction() as tx:
                journal.delivered(tx, [event.id for event in waiting], self.clock.now())


class _Joined(Billing):
    """Billing on the host's connection: the same site, clock and ids, another database."""

    _joined = True

    def __init__(self, host: Billing, database: Database) -> None:
        self.database = database
        self.registry = host.registry
        self.actor = host.actor
        self.clock = host.clock
        self.installation = host.installation
        self._ids = host._ids
        self._batch = host._batch
        self._site = None
        self._gateways = {}
        self._gateway_configs = {}
        self._name_nouns()

    def run(self, *_: object, **__: object) -> RunReport:
        """Refused: due work has transactions of its own."""
        raise Refused(
            "join_refused",
            "Due work does not run inside the host's transaction.",
            remedy="Call run on the billing object itself, after the commit.",
        )
