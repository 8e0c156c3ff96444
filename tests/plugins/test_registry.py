"""Plugins are found by entry points, and one that is broken harms nobody else."""

import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from attrs import frozen

from billcore.domain.event import Event
from billcore.errors import PluginError
from billcore.plugins.gateway import Approved, Capability, GatewaySpec, Secret
from billcore.plugins.hookspecs import hookimpl
from billcore.plugins.registry import DISABLED_VARIABLE, Registry

EVENT = Event("evt_1", "cus_1", datetime(2026, 1, 1, tzinfo=UTC), "invoice.issued", "inv_1", "{}")


@frozen
class Config:
    key: Secret | None = None


class Gateway:
    capabilities = frozenset()

    def __init__(self, config):
        self.config = config

    def charge(self, request):
        return Approved("ch_1", request.amount.minor, request.amount.currency)

    def lookup(self, request):
        return Approved("ch_1", 1, "USD")


def plugin(**hooks):
    """A plugin object whose hooks are the given functions."""
    return SimpleNamespace(**{name: hookimpl(function) for name, function in hooks.items()})


def offering(name, build=Gateway):
    return plugin(register_gateways=lambda: [GatewaySpec(name, Config, build)])


def raising(error):
    def raise_it():
        raise error

    return raise_it


def host(**plugins):
    return Registry(plugins, installed=False)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs packages with entry points: name, the module's source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, source, version="1.2"):
        module = f"fake_plugin_{name}"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"billcore_{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: billcore-{name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[billcore]\n{name} = {module}\n")
        return module

    yield install
    for module in [name for name in sys.modules if name.startswith("fake_plugin_")]:
        del sys.modules[module]


GOOD = """
from attrs import frozen
from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.hookspecs import hookimpl

@frozen
class Config:
    pass

class Gateway:
    capabilities = frozenset()
    def __init__(self, config): pass
    def charge(self, request): pass
    def lookup(self, request): pass

@hookimpl
def register_gateways():
    return [GatewaySpec("NAME", Config, Gateway)]
"""


def test_installed_plugins_load_at_the_first_need_and_broken_ones_are_named(installed):
    good = installed("good", GOOD.replace("NAME", "good"))
    installed("broken", "raise SystemExit('no')")
    installed("missing", "import a_library_that_is_not_there")
    registry = Registry()
    assert good not in sys.modules
    assert "good" in registry.gateways()
    assert good in sys.modules
    rows = {row.name: row for row in registry.report()}
    assert (rows["good"].status, rows["good"].provides) == ("active", ("gateway good",))
    assert (rows["broken"].status, rows["broken"].version) == ("failed", "1.2")
    assert "billcore-missing 1.2" in rows["missing"].problems[0]
    assert "a_library_that_is_not_there" in rows["missing"].problems[0]


def test_a_disabled_plugin_is_not_even_imported(installed, monkeypatch):
    module = installed("quiet", GOOD.replace("NAME", "quiet"))
    monkeypatch.setenv(DISABLED_VARIABLE, "other, quiet")
    registry = Registry(disabled=["second"], plugins={"second": offering("second")})
    assert {"quiet", "second"}.isdisjoint(registry.gateways())
    assert module not in sys.modules
    status = {row.name: row.status for row in registry.report()}
    assert (status["quiet"], status["second"]) == ("disabled", "disabled")


def test_a_plugin_of_the_host_stands_in_for_the_installed_one(installed):
    module = installed("acme", GOOD.replace("NAME", "acme"))
    registry = Registry({"acme": offering("acme")})
    assert isinstance(registry.gateway("acme"), Gateway)
    assert module not in sys.modules


def test_each_gateway_is_built_anew_from_its_checked_configuration():
    registry = host(acme=offering("acme"))
    first = registry.gateway("acme", {"key": "sk"})
    assert first.config == Config(Secret("sk"))
    assert registry.gateway("acme", {"key": "sk"}) is not first
    with pytest.raises(PluginError) as refused:
        registry.gateway("acme", {"kee": "sk"})
    assert refused.value.code == "gateway_misconfigured"


def test_an_unknown_gateway_names_those_there_and_what_to_install():
    registry = host(acme=offering("acme"))
    with pytest.raises(PluginError) as unknown:
        registry.gateway("stripe")
    assert unknown.value.code == "plugin_unknown"
    assert "Installed: acme." in str(unknown.value)
    assert "pip install billcore-gateway-stripe" in str(unknown.value)
    with pytest.raises(PluginError, match="Did you mean 'acme'"):
        registry.gateway("acne")
    with pytest.raises(PluginError) as odd:
        registry.gateway("a; rm -rf")
    assert "pip" not in str(odd.value)


def test_an_unknown_gateway_whose_plugin_failed_says_why(installed):
    installed("acme", "import a_library_that_is_not_there")
    with pytest.raises(PluginError, match="a_library_that_is_not_there"):
        Registry().gateway("acme")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (raising(RuntimeError("no network")), "takes 0 positional"),
        (lambda config: None, "has no frozenset of Capability"),
        (lambda config: SimpleNamespace(capabilities=frozenset({"refund"})), "frozenset of Capability"),
        (lambda config: SimpleNamespace(capabilities=frozenset()), "has no method 'charge'"),
        (
            lambda config: SimpleNamespace(capabilities=frozenset({Capability.REFUND}), charge=print, lookup=print),
            "declares refund but has no 'refund'",
        ),
    ],
)
def test_an_object_that_breaks_the_contract_is_refused_when_it_is_built(build, said):
    with pytest.raises(PluginError) as refused:
        host(acme=offering("acme", build)).gateway("acme")
    assert refused.value.code == "plugin_failed"
    assert said in str(refused.value)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(2), GeneratorExit()])
def test_one_plugin_that_raises_when_asked_what_it_offers_does_not_stop_the_next(error):
    registry = host(a=plugin(register_gateways=raising(error)), b=offering("acme"))
    assert registry.gateways() == ("acme",)
    assert [failure.plugin for failure in registry.failures()] == ["a"]


def test_nonsense_offers_and_names_taken_twice_are_left_out():
    nonsense = plugin(register_gateways=lambda: ["acme", GatewaySpec("a b", Config, Gateway)])
    registry = host(a=offering("acme"), b=offering("acme"), c=nonsense)
    assert registry.gateways() == ("acme",)
    assert [failure.plugin for failure in registry.failures()] == ["b", "c", "c"]
    assert "'a' offers the gateway 'acme' already" in registry.failures()[0].message


def test_a_misspelt_hook_is_named_with_the_right_one():
    registry = host(
        a=plugin(register_gatways=lambda: [GatewaySpec("acme", Config, Gateway)], on_events=lambda events: None)
    )
    [row] = registry.report()
    assert (row.status, row.hooks) == ("failed", ("on_events",))
    assert "no hook register_gatways; did you mean register_gateways?" in row.problems[0]


def test_a_hook_that_wants_other_arguments_is_refused():
    registry = host(a=plugin(on_events=lambda events, database: None), b=offering("acme"))
    assert registry.gateways() == ("acme",)
    assert "database" in registry.failures()[0].message
    assert registry.listening("on_events") == ()


def test_hooks_are_not_wrapped():
    def wrap(events):
        yield

    wrapper = SimpleNamespace(on_events=hookimpl(wrapper=True)(wrap))
    registry = host(a=wrapper)
    assert registry.listening("on_events") == ()
    assert "wrapper" in registry.failures()[0].message


def test_every_plugin_hears_events_in_name_order_whatever_the_others_do():
    heard = []
    registry = Registry(
        {
            "c": plugin(on_events=lambda events: heard.append(("c", events))),
            "b": plugin(on_events=lambda events: raising(KeyboardInterrupt())()),
            "a": plugin(on_events=lambda: heard.append(("a", None))),
        },
        installed=False,
    )
    [failure] = registry.events([EVENT])
    assert heard == [("a", None), ("c", (EVENT,))]
    assert (failure.plugin, failure.hook) == ("b", "on_events")
    assert "Plugin 'b' failed in on_events: KeyboardInterrupt" in failure.message


def test_a_plugin_that_hangs_on_events_is_left_behind():
    gate = threading.Event()
    heard = []
    registry = Registry(
        {
            "a": plugin(on_events=lambda events: gate.wait()),
            "b": plugin(on_events=lambda events: heard.append(events[0])),
        },
        installed=False,
        deadline_s=1,
    )
    [failure] = registry.events([EVENT])
    gate.set()
    assert "no answer within 1 seconds" in failure.message
    assert heard == [EVENT]


def test_a_question_collects_each_answer_by_plugin():
    registry = host(
        a=plugin(allow=lambda command: "closed"),
        b=plugin(allow=raising(ValueError("x"))),
        c=plugin(allow=lambda: None),
    )
    asked = registry.ask("allow", command="customers.create")
    assert asked.answers == {"a": "closed", "c": None}
    assert [failure.plugin for failure in asked.failures] == ["b"]


def test_commands_are_added_to_the_plugins_own_group():
    added: list[str] = []
    registry = host(a=plugin(register_commands=lambda cli: added.append(f"{cli}")), b=offering("acme"))
    registry.commands("a", "the group")
    assert added == ["the group"]
    with pytest.raises(PluginError, match="With commands: a"):
        registry.commands("b", "the group")
