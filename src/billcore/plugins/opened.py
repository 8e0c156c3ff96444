"""The gateways and tax engines of one Billing: each built once from its configuration, whichever thread asks first."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from billcore.domain.tax import RateTable, Taxes
from billcore.plugins.configuration import read_gateways, read_tax_engines
from billcore.plugins.gateway import Gateway
from billcore.plugins.quoting import Quoted
from billcore.plugins.rates import Rates
from billcore.plugins.registry import Registry
from billcore.plugins.tax import TaxEngine
from billcore.settings import BUILT_IN_TAXES, Settings

TEST = "test"
"""The name of the gateway that moves no money."""

T = TypeVar("T")

Configs = Mapping[str, Mapping[str, object]]
Given = Configs | str | Path | None
"""Configurations by name, or the file that has them."""


class Opened(Generic[T]):
    """Objects by name, built by `build`; what `configs` names is built here and now.

    A wrong configuration is refused where the program starts, not at the first use. Raises what `build` raises.
    """

    def __init__(self, build: Callable[[str, Mapping[str, object] | None], T], configs: Configs) -> None:
        self._build = build
        self._lock = Lock()
        self._built: dict[str, T] = {}
        self._configs = dict(configs)
        for name in self._configs:
            self.get(name)

    def get(self, name: str) -> T:
        """The one with this name; without a configuration it is built from nothing. Raises PluginError."""
        found = self._built.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._built:
                self._built[name] = self._build(name, self._configs.get(name))
            return self._built[name]

    def close(self) -> None:
        """Close those that can be closed; they are built again when they are needed again."""
        with self._lock:
            built, self._built = self._built, {}
        for one in built.values():
            closing = getattr(one, "close", None)
            if callable(closing):
                closing()


class Gateways(Opened[Gateway]):
    """Those of `given`. Raises PluginError and FileInvalid."""

    def __init__(self, registry: Registry, given: Given) -> None:
        configs = read_gateways(registry, given) if isinstance(given, str | Path) else given or {}
        super().__init__(registry.gateway, configs)

    def usual(self) -> tuple[str, ...]:
        """Those that a payment method may be meant for where none is named: the configured ones, else the test one.

        Beside others the test gateway has to be named: what it takes nobody has paid.
        """
        return tuple(sorted(self._configs.keys() - {TEST})) or (TEST,)

    def configure(self, name: str, config: Mapping[str, object]) -> None:
        """What a gateway is built from that is needed later and has no configuration."""
        with self._lock:
            self._configs.setdefault(name, config)


class TaxEngines(Opened[TaxEngine]):
    """Those of `given`, and the built-in one, whose rates are the catalog's. Raises PluginError and FileInvalid."""

    def __init__(self, registry: Registry, given: Given) -> None:
        configs = read_tax_engines(registry, given) if isinstance(given, str | Path) else given or {}
        super().__init__(registry.tax_engine, configs)

    def taxes(self, settings: Settings, rates: RateTable) -> Taxes:
        """What taxes documents: the engine of the settings, with its fallback.

        The built-in one is not asked through its contract: many documents would be copied for nothing.
        """
        if settings.tax_engine == BUILT_IN_TAXES:
            return rates
        names = [settings.tax_engine, *([settings.tax_fallback] if settings.tax_fallback else [])]
        return Quoted([(name, Rates(rates) if name == BUILT_IN_TAXES else self.get(name)) for name in names])
