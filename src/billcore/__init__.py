"""billcore: a billing engine inside your own process and your own database.

The names here are the public ones. They are loaded on first use, so that `import billcore` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billcore.billing import Billing as Billing
    from billcore.clock import SimulatedClock as SimulatedClock
    from billcore.clock import SystemClock as SystemClock
    from billcore.domain.money import Money as Money
    from billcore.errors import BillcoreError as BillcoreError
    from billcore.errors import FileInvalid as FileInvalid
    from billcore.errors import InvalidValue as InvalidValue
    from billcore.errors import NotFound as NotFound
    from billcore.errors import PluginError as PluginError
    from billcore.errors import Refused as Refused
    from billcore.errors import StoreError as StoreError
    from billcore.plugins.hookspecs import hookimpl as hookimpl
    from billcore.preview import Preview as Preview
    from billcore.store.sqlite import sqlite_engine as sqlite_engine

_HOMES = {
    "Billing": "billcore.billing",
    "SimulatedClock": "billcore.clock",
    "SystemClock": "billcore.clock",
    "Money": "billcore.domain.money",
    "BillcoreError": "billcore.errors",
    "FileInvalid": "billcore.errors",
    "InvalidValue": "billcore.errors",
    "NotFound": "billcore.errors",
    "PluginError": "billcore.errors",
    "Refused": "billcore.errors",
    "StoreError": "billcore.errors",
    "hookimpl": "billcore.plugins.hookspecs",
    "Preview": "billcore.preview",
    "sqlite_engine": "billcore.store.sqlite",
}

__all__ = [
    "BillcoreError",
    "Billing",
    "FileInvalid",
    "InvalidValue",
    "Money",
    "NotFound",
    "PluginError",
    "Preview",
    "Refused",
    "SimulatedClock",
    "StoreError",
    "SystemClock",
    "hookimpl",
    "sqlite_engine",
]

__version__ = "0.1.0"


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'billcore' has no attribute {name!r}")
    return getattr(import_module(home), name)
