"""The gateways of one Billing: each built once from its configuration, whichever thread asks first."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from billcore.plugins.configuration import read_gateways
from billcore.plugins.gateway import Gateway
from billcore.plugins.registry import Registry

TEST = "test"
"""The name of the gateway that moves no money."""


class Gateways:
    """`given` maps names to configurations, or is the file that has them. Those are built here and now.

    A wrong one is refused where the program starts, not at its first charge. Raises PluginError and FileInvalid.
    """

    def __init__(self, registry: Registry, given: Mapping[str, Mapping[str, object]] | str | Path | None) -> None:
        self._registry = registry
        self._lock = Lock()
        self._built: dict[str, Gateway] = {}
        self._configs: dict[str, Mapping[str, object]] = {}
        if isinstance(given, str | Path):
            self._configs.update(read_gateways(registry, given))
        elif given is not None:
            self._configs.update(given)
        for name in self._configs:
            self.get(name)

    def get(self, name: str) -> Gateway:
        """The gateway with this name; one without a configuration is built from nothing. Raises PluginError."""
        found = self._built.get(name)
        if found is not None:
            return found
        with self._lock:
            if name not in self._built:
                self._built[name] = self._registry.gateway(name, self._configs.get(name))
            return self._built[name]

    def usual(self) -> tuple[str, ...]:
        """Those that a payment method may be meant for where none is named: the configured ones, else the test one.

        Beside others the test gateway has to be named: what it takes nobody has paid.
        """
        return tuple(sorted(self._configs.keys() - {TEST})) or (TEST,)

    def configure(self, name: str, config: Mapping[str, object]) -> None:
        """What a gateway is built from that is needed later and has no configuration."""
        with self._lock:
            self._configs.setdefault(name, config)

    def close(self) -> None:
        """Close those that can be closed; they are built again when they are needed again."""
        with self._lock:
            built, self._built = self._built, {}
        for gateway in built.values():
            closing = getattr(gateway, "close", None)
            if callable(closing):
                closing()
