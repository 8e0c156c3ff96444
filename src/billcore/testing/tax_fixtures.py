"""What the suite of tax engines is given: fixtures that an author must provide, and those that have defaults."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import fields

from billcore.plugins.config import Secret, read_config
from billcore.plugins.registry import Registry
from billcore.plugins.tax import TaxEngine, TaxRequest

Open = Callable[[Mapping[str, object]], TaxEngine]
Down = Callable[[TaxEngine], AbstractContextManager[object]]


class TaxFixtures:
    """The fixtures of TaxConformance: first those that must be given, then those that may."""

    @pytest.fixture
    def engine_name(self) -> str:
        """Must: the name that users write."""
        _must_be_given("engine_name", "the name in your TaxEngineSpec, such as 'acme'.")

    @pytest.fixture
    def config(self) -> Mapping[str, object]:
        """Must: the configuration that the engine is opened with."""
        _must_be_given("config", "the engine's configuration, with secrets to recognize.")

    @pytest.fixture
    def sale(self) -> TaxRequest:
        """Must: a document of two or more charge lines of some hundred minor units, exclusive, that are all taxed."""
        _must_be_given("sale", "a TaxRequest whose lines are all taxed, at different rates where the engine has them.")

    # -- may be given ---------------------------------------------------------------------------------------

    @pytest.fixture
    def untaxed_sale(self) -> TaxRequest | None:
        """May: a document for a place where the seller collects no tax."""
        return None

    @pytest.fixture
    def reverse_charge_sale(self) -> TaxRequest | None:
        """May: a document whose buyer owes the tax himself."""
        return None

    @pytest.fixture
    def incomplete_sale(self) -> TaxRequest | None:
        """May: a document that cannot be taxed as it is, such as one without a postcode."""
        return None

    @pytest.fixture
    def down(self) -> Down | None:
        """May: a function from the engine to a context manager within which it cannot answer."""
        return None

    @pytest.fixture
    def other_config(self) -> Mapping[str, object] | None:
        """May: the configuration of another seller, to prove that objects share nothing."""
        return None

    @pytest.fixture
    def registry(self) -> Registry:
        """May: where the engine is found; by default what is installed."""
        return Registry()

    @pytest.fixture
    def open_engine(self, registry: Registry, engine_name: str) -> Open:
        """May: opens an engine from its configuration; by default through the registry."""
        return lambda config: registry.tax_engine(engine_name, config)

    @pytest.fixture
    def engine(self, open_engine: Open, config: Mapping[str, object]) -> TaxEngine:
        """May: the engine under test."""
        return open_engine(config)

    @pytest.fixture
    def secrets(self, registry: Registry, engine_name: str, config: Mapping[str, object]) -> tuple[str, ...]:
        """May: texts that must appear nowhere; by default every Secret of the configuration."""
        read = read_config(registry.tax_engine_config(engine_name), config, f"tax engine {engine_name!r}")
        values: list[Any] = [getattr(read, one.name) for one in fields(type(read))]
        found = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        return tuple(one.reveal() for one in found if isinstance(one, Secret) and one)


def typed(engine: TaxEngine) -> bool:
    """Whether the engine's package ships its types; a single module has nothing to put the mark into."""
    package = import_module(type(engine).__module__.partition(".")[0])
    if package.__file__ is None or not hasattr(package, "__path__"):
        return True
    return Path(package.__file__).with_name("py.typed").exists()


def _must_be_given(fixture: str, what: str) -> NoReturn:
    pytest.fail(
        f"TaxConformance needs the fixture `{fixture}`: {what}\n"
        f"Write it in your subclass:\n\n    @pytest.fixture\n    def {fixture}(self): ...\n",
        pytrace=False,
    )
