"""The registry: what is installed, and the only place that calls hooks.

pluggy finds implementations and checks their arguments. The calls are made here, one by one in the order of
the plugins' names and each in its own try: pluggy itself would stop at the first that raises.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from attrs import AttrsInstance, field, frozen, mutable

from billcore.domain.event import Event
from billcore.errors import BillcoreError, PluginError
from billcore.plugins.checks import contract_problem
from billcore.plugins.config import Spec
from billcore.plugins.deadline import Raised, call_within
from billcore.plugins.gateway import Gateway, GatewaySpec
from billcore.plugins.installed import installed
from billcore.plugins.tax import TaxEngine, TaxEngineSpec
from billcore.plugins.tax_checks import engine_problem
from billcore.settings import BUILT_IN_TAXES

if TYPE_CHECKING:
    from pluggy import HookImpl, PluginManager

GROUP = "billcore"
DISABLED_VARIABLE = "BILLCORE_DISABLED_PLUGINS"

FAMILIES: Mapping[str, tuple[str, type]] = {
    "gateway": ("register_gateways", GatewaySpec),
    "tax engine": ("register_tax_engines", TaxEngineSpec),
    "notifier": ("register_notifiers", Spec),
    "carrier": ("register_carriers", Spec),
    "document": ("register_documents", Spec),
}
_PACKAGES: Mapping[str, str] = {"tax engine": "tax"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_AnySpec = Spec[AttrsInstance, object]


@frozen
class PluginFailure:
    """A plugin that did not do its part: `hook` is the hook it failed in, empty when it was being loaded."""

    plugin: str
    distribution: str
    version: str
    hook: str
    error: BaseException

    @property
    def message(self) -> str:
        """Which plugin of which distribution failed where, and with what."""
        source = f" ({self.distribution} {self.version})" if self.distribution else ""
        place = f"in {self.hook}" if self.hook else "while it was loaded"
        own = isinstance(self.error, BillcoreError | TimeoutError)
        cause = str(self.error) if own else f"{type(self.error).__name__}: {self.error}"
        return f"Plugin {self.plugin!r}{source} failed {place}: {cause}"


@frozen
class PluginRow:
    """One line of `billcore plugins`: `provides` are texts like "gateway test", `problems` of failures."""

    name: str
    distribution: str
    version: str
    status: Literal["active", "disabled", "failed"]
    hooks: tuple[str, ...]
    provides: tuple[str, ...]
    problems: tuple[str, ...]


@frozen
class Asked:
    """Answers to a question by plugin, still unchecked, and the plugins that failed to give one."""

    answers: Mapping[str, object]
    failures: tuple[PluginFailure, ...]


@mutable
class _Plugin:
    name: str
    distribution: str = ""
    version: str = ""
    disabled: bool = False
    hooks: dict[str, "HookImpl"] = field(factory=dict)
    specs: dict[tuple[str, str], _AnySpec] = field(factory=dict)
    failures: list[PluginFailure] = field(factory=list)

    def failed(self, error: BaseException, hook: str = "") -> PluginFailure:
        return PluginFailure(self.name, self.distribution, self.version, hook, error)


_Found: TypeAlias = tuple[_Plugin, Callable[[], object]]


class Registry:
    """The plugins of one Billing: those installed and those the host passes, loaded at the first need.

    `plugins` are objects (mostly modules) by name, in place of installed ones of the same name; `disabled`
    are names to leave alone, as is what BILLCORE_DISABLED_PLUGINS lists with commas; `installed = False`
    looks for none. A hook has `deadline_s` seconds.
    """

    def __init__(
        self,
        plugins: Mapping[str, object] | None = None,
        *,
        disabled: Iterable[str] = (),
        installed: bool = True,
        deadline_s: int = 30,
    ) -> None:
        self._given = dict(plugins or {})
        self._disabled = frozenset(disabled)
        self._installed = installed
        self._deadline_s = deadline_s
        self._lock = Lock()
        self._loaded: dict[str, _Plugin] | None = None

    def gateway(self, name: str, config: Mapping[str, object] | None = None) -> Gateway:
        """A new gateway object built from its configuration; the caller keeps it.

        Raises PluginError: plugin_unknown naming what is installed, gateway_misconfigured for a wrong
        configuration, plugin_failed when the plugin raises or does not keep its contract.
        """
        return cast("Gateway", self._open("gateway", name, config or {}, contract_problem))

    def gateway_config(self, name: str) -> type[AttrsInstance]:
        """The class of a gateway's configuration; raises PluginError plugin_unknown."""
        return self._spec("gateway", name)[1].config

    def gateways(self) -> tuple[str, ...]:
        """The names of the gateways that are there."""
        return self._names("gateway")

    def tax_engine(self, name: str, config: Mapping[str, object] | None = None) -> TaxEngine:
        """A new tax engine built from its configuration; the caller keeps it.

        Raises what `gateway` raises, and not_supported for an engine that is not local.
        """
        engine = cast("TaxEngine", self._open("tax engine", name, config or {}, engine_problem))
        if not engine.local:
            raise PluginError(
                "not_supported",
                f"The tax engine {name!r} asks over a network, and documents are taxed while they are made.",
                remedy="Use an engine that answers by itself, such as the built-in rates of the catalog.",
                name=name,
            )
        return engine

    def tax_engine_config(self, name: str) -> type[AttrsInstance]:
        """The class of a tax engine's configuration; raises PluginError plugin_unknown."""
        return self._spec("tax engine", name)[1].config

    def tax_engines(self) -> tuple[str, ...]:
        """The names of the tax engines that plugins offer; the built-in one is always there."""
        return self._names("tax engine")

    def events(self, batch: Sequence[Event]) -> tuple[PluginFailure, ...]:
        """Tell every plugin what happened; returns the plugins that failed."""
        return self.ask("on_events", events=tuple(batch)).failures

    def ask(self, hook: str, **arguments: object) -> Asked:
        """Call a hook of every plugin that has it, a question above all.

        The answers are what the plugins returned: who asks checks them.
        """
        answers: dict[str, object] = {}
        failures: list[PluginFailure] = []
        for name, plugin in self._plugins().items():
            if hook not in plugin.hooks:
                continue
            # On a thread of its own a plugin can neither hang us nor be mistaken for Ctrl-C.
            answer = call_within(self._deadline_s, _called(plugin.hooks[hook], arguments))
            if isinstance(answer, Raised):
                failures.append(plugin.failed(answer.error, hook))
            else:
                answers[name] = answer.value
        return Asked(answers, tuple(failures))

    def commands(self, name: str, cli: object) -> None:
        """Let the plugin `name` add its commands to the click group `cli`."""
        plugin = self._plugins().get(name)
        if plugin is None or "register_commands" not in plugin.hooks:
            raise PluginError(
                "plugin_unknown",
                f"No plugin {name!r} with commands is installed.",
                remedy=f"With commands: {', '.join(self.listening('register_commands')) or 'none'}.",
                name=name,
            )
        try:
            _called(plugin.hooks["register_commands"], {"cli": cli})()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _broken(plugin.failed(error, "register_commands")) from error

    def listening(self, hook: str) -> tuple[str, ...]:
        """The names of the plugins that implement `hook`, in the order they are called."""
        return tuple(name for name, plugin in self._plugins().items() if hook in plugin.hooks)

    def failures(self) -> tuple[PluginFailure, ...]:
        """What went wrong while plugins were loaded and registered."""
        return tuple(failure for plugin in self._plugins().values() for failure in plugin.failures)

    def report(self) -> tuple[PluginRow, ...]:
        """Every plugin found, by name, disabled and failed ones included."""
        return tuple(_row(plugin) for plugin in self._plugins().values())

    def _open(
        self, family: str, name: str, config: Mapping[str, object], problem_of: Callable[[object], str]
    ) -> object:
        plugin, spec = self._spec(family, name)
        hook = FAMILIES[family][0]
        try:
            built = spec.open(config)
            problem = problem_of(built)
        except (PluginError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise _broken(plugin.failed(error, hook)) from error
        if problem:
            raise _broken(plugin.failed(TypeError(f"{family} {name!r} {problem}"), hook))
        return built

    def _names(self, family: str) -> tuple[str, ...]:
        return tuple(
            sorted(name for plugin in self._plugins().values() for kind, name in plugin.specs if kind == family)
        )

    def _spec(self, family: str, name: str) -> tuple[_Plugin, _AnySpec]:
        for plugin in self._plugins().values():
            if (family, name) in plugin.specs:
                return plugin, plugin.specs[family, name]
        there = self._names(family)
        advice = [f"Installed: {', '.join(there) or 'none'}."]
        near = get_close_matches(name, there, n=1)
        if near:
            advice.append(f"Did you mean {near[0]!r}?")
        elif _NAME.fullmatch(name):
            advice.append(f"Try: pip install billcore-{_PACKAGES.get(family, family)}-{name}")
        broken = [failure.message for failure in self.failures() if failure.plugin == name]
        raise PluginError(
            "plugin_unknown",
            " ".join([f"No {family} {name!r} is there.", *broken]),
            remedy=" ".join(advice),
            name=name,
            installed=there,
        )

    def _plugins(self) -> Mapping[str, _Plugin]:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> dict[str, _Plugin]:
        manager = _manager()
        disabled = self._disabled | set(re.split(r"[,\s]+", os.environ.get(DISABLED_VARIABLE, "")))
        found: list[_Found] = [(_Plugin(name), partial(_as_given, thing)) for name, thing in self._given.items()]
        if self._installed:
            found += _entry_points()
        plugins: dict[str, _Plugin] = {}
        taken = {("tax engine", BUILT_IN_TAXES): GROUP}
        for plugin, load in sorted(found, key=lambda pair: pair[0].name):
            first = plugins.get(plugin.name)
            if first is not None:
                if plugin.name not in self._given:
                    first.failures.append(plugin.failed(ValueError("another plugin has the same name")))
                continue
            plugins[plugin.name] = plugin
            plugin.disabled = plugin.name in disabled
            if not plugin.disabled and _hooked(manager, plugin, load):
                _registered(plugin, taken)
        return plugins


def _manager() -> "PluginManager":
    from pluggy import PluginManager

    manager = PluginManager(GROUP)
    manager.add_hookspecs(import_module("billcore.plugins.hookspecs"))
    return manager


def _as_given(thing: object) -> object:
    return thing


def _entry_points() -> list[_Found]:
    return [(_Plugin(name, *distribution), load) for name, distribution, load in installed(GROUP, tuple(sys.path))]


def _hooked(manager: "PluginManager", plugin: _Plugin, load: Callable[[], object]) -> bool:
    """Load a plugin and note the hooks it implements; misspelt ones and wrappers are failures."""
    try:
        thing = load()
        manager.register(thing, plugin.name)
        callers = manager.get_hookcallers(thing) or []
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a plugin may fail to load in any way, SystemExit included
        if manager.has_plugin(plugin.name):
            manager.unregister(name=plugin.name)
        plugin.failures.append(plugin.failed(error))
        return False
    specified = sorted(name for name, caller in vars(manager.hook).items() if caller.has_spec())
    for caller in callers:
        for implementation in caller.get_hookimpls():
            if implementation.plugin_name != plugin.name:
                continue
            if implementation.hookwrapper or implementation.wrapper:
                problem = f"{caller.name} is a wrapper, and hooks are not wrapped here"
                plugin.failures.append(plugin.failed(TypeError(problem)))
            elif caller.has_spec():
                plugin.hooks[caller.name] = implementation
            elif not implementation.optionalhook:
                near = get_close_matches(caller.name, specified, n=1)
                hint = f"did you mean {near[0]}?" if near else f"hooks are {', '.join(specified)}"
                plugin.failures.append(plugin.failed(NameError(f"there is no hook {caller.name}; {hint}")))
    return True


def _registered(plugin: _Plugin, taken: dict[tuple[str, str], str]) -> None:
    """Ask a plugin what it offers; `taken` says which plugin has a name already."""
    for family, (hook, wanted) in FAMILIES.items():
        if hook not in plugin.hooks:
            continue
        try:
            offered = list(cast("Iterable[object]", _called(plugin.hooks[hook], {})()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a plugin may raise anything
            plugin.failures.append(plugin.failed(error, hook))
            continue
        for spec in offered:
            problem = _spec_problem(family, spec, wanted, taken)
            if problem:
                plugin.failures.append(plugin.failed(TypeError(problem), hook))
                continue
            known = cast("_AnySpec", spec)
            taken[family, known.name] = plugin.name
            plugin.specs[family, known.name] = known


def _spec_problem(family: str, spec: object, wanted: type, taken: Mapping[tuple[str, str], str]) -> str:
    if not isinstance(spec, Spec) or not isinstance(spec, wanted):
        return f"it offered a {type(spec).__name__}, not a {wanted.__name__}"
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        return f"{spec.name!r} is not a name: letters, digits, _ and -, at most 64"
    if (family, spec.name) in taken:
        return f"plugin {taken[family, spec.name]!r} offers the {family} {spec.name!r} already"
    return ""


def _called(implementation: "HookImpl", arguments: Mapping[str, object]) -> Callable[[], object]:
    return lambda: implementation.function(*(arguments[name] for name in implementation.argnames))


def _broken(failure: PluginFailure) -> PluginError:
    return PluginError(
        "plugin_failed",
        failure.message,
        remedy=f"Upgrade {failure.distribution or 'the plugin'}, or report this to its author.",
        plugin=failure.plugin,
        distribution=failure.distribution,
        version=failure.version,
    )


def _row(plugin: _Plugin) -> PluginRow:
    status: Literal["active", "disabled", "failed"] = "active"
    if plugin.disabled:
        status = "disabled"
    elif plugin.failures:
        status = "failed"
    return PluginRow(
        plugin.name,
        plugin.distribution,
        plugin.version,
        status,
        tuple(sorted(plugin.hooks)),
        tuple(f"{family} {name}" for family, name in plugin.specs),
        tuple(failure.message for failure in plugin.failures),
    )
