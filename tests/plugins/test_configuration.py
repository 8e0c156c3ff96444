"""What gateways are opened with: a file and variables, checked where the program starts."""

import threading

import pytest
from attrs import frozen

from billcore import Billing
from billcore.errors import BillcoreError, FileInvalid, PluginError
from billcore.plugins.config import Secret
from billcore.plugins.configuration import read_gateways, variable_of
from billcore.plugins.gateway import GatewaySpec
from billcore.plugins.hookspecs import hookimpl
from billcore.plugins.opened import Gateways
from billcore.plugins.registry import Registry


@frozen
class Config:
    key: Secret
    more: tuple[Secret, ...] = ()
    url: str = "https://api.example"
    tries: int | None = None
    careful: bool = False
    countries: tuple[str, ...] = ()


class Acme:
    capabilities = frozenset()

    def __init__(self, config) -> None:
        self.config = config

    def charge(self, request):
        raise AssertionError

    def lookup(self, request):
        raise AssertionError


class Plugin:
    def __init__(self) -> None:
        self.built = []

    def build(self, config):
        self.built.append(Acme(config))
        return self.built[-1]

    @hookimpl
    def register_gateways(self):
        return [GatewaySpec("acme-pay", Config, self.build)]


@pytest.fixture
def registry():
    return Registry({"acme": Plugin()}, installed=False)


def written(folder, text):
    path = folder / "billcore.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_and_variables_make_one_configuration(registry, tmp_path) -> None:
    (tmp_path / "key").write_text("  sk_file \n")
    path = written(
        tmp_path,
        '[gateways.acme-pay]\nkey = "file:key"\nmore = ["env:ONE", "file:key"]\nurl = "env:URL"\n'
        'tries = 3\ncareful = false\ncountries = ["DE"]\n',
    )
    variables = {
        "ONE": "sk_one",
        "URL": "https://other.example",
        "BILLCORE_GATEWAY_ACME_PAY_CAREFUL": "TRUE",
        "BILLCORE_GATEWAY_ACME_PAY_COUNTRIES": "FR, IT",
        "UNRELATED": "x",
    }
    assert read_gateways(registry, path, variables) == {
        "acme-pay": {
            "key": Secret("sk_file"),
            "more": (Secret("sk_one"), Secret("sk_file")),
            "url": "https://other.example",
            "tries": 3,
            "careful": True,
            "countries": ("FR", "IT"),
        }
    }


def test_variables_alone_are_enough(registry, tmp_path) -> None:
    (tmp_path / "key").write_text("sk_file")
    variables = {
        "BILLCORE_GATEWAY_ACME_PAY_KEY": f"file:{tmp_path}/key",
        "BILLCORE_GATEWAY_ACME_PAY_MORE": "sk_new,sk_old",
        "BILLCORE_GATEWAY_ACME_PAY_TRIES": "5",
    }
    (config,) = read_gateways(registry, None, variables).values()
    assert config == {"key": Secret("sk_file"), "more": (Secret("sk_new"), Secret("sk_old")), "tries": 5}
    assert variable_of("acme-pay", "key") == "BILLCORE_GATEWAY_ACME_PAY_KEY"
    assert read_gateways(registry, None, {}) == {}


@pytest.mark.parametrize(
    ("text", "variables", "told"),
    [
        ('[gateways.acme-pay]\nkey = "sk_canary"', {}, "does not stand in the file itself"),
        ("[gateways.acme-pay]\nkey = 1", {}, "does not stand in the file itself"),
        ('[gateways.acme-pay]\nkey = "env:EMPTY"', {"EMPTY": ""}, "'EMPTY' is not set"),
        ('[gateways.acme-pay]\nkey = "file:empty"', {}, "holds no secret"),
        ('[gateways.acme-pay]\nkey = "file:binary"', {}, "cannot be read"),
        ('[gateways.acme-pay]\nkey = "env:KEY"\nmore = "env:KEY"', {"KEY": "sk_canary"}, "list of texts"),
        ('[gateways.acme-pay]\nkey = "env:KEY"\ntries = "sk_canary"', {"KEY": "sk_canary"}, "wants int"),
        ('[gateways.acme-pay]\nkye = "env:KEY"', {"KEY": "sk_canary"}, "Did you mean 'key'?"),
        ("[gateways.acme-pay]", {}, "needs the configuration key 'key'"),
        ("[gateways.acme]", {}, "No gateway 'acme' is there"),
        ("[[gateways]]\nkey = 1", {}, "one table for each gateway"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(registry, tmp_path, text, variables, told) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BillcoreError) as refused:
        read_gateways(registry, written(tmp_path, text), variables)
    assert told in str(refused.value) and "billcore.toml" in str(refused.value)
    assert "canary" not in str(refused.value) + repr(refused.value.facts)


def test_a_program_names_the_file(tmp_path, monkeypatch) -> None:
    plugin = Plugin()
    monkeypatch.setenv("BILLCORE_TEST_KEY", "sk_1")
    path = written(tmp_path, '[gateways.acme-pay]\nkey = "env:BILLCORE_TEST_KEY"\n')
    with Billing("sqlite://", gateways=path, plugins={"acme": plugin}) as billing:
        (acme,) = plugin.built  # Before its first charge.
        assert billing.gateway("acme-pay") is acme and acme.config.key == Secret("sk_1")
    with pytest.raises(FileInvalid):
        Billing("sqlite://", gateways=str(tmp_path / "other.toml"))


def test_a_wrong_configuration_ends_the_program_at_its_start_and_makes_no_store(tmp_path) -> None:
    for gateways in ({"acme-pay": {}}, {"acme-pay": {"key": "x", "kye": 1}}, {"nobody": {}}):
        with pytest.raises(PluginError):
            Billing(f"sqlite:///{tmp_path}/books.db", gateways=gateways, plugins={"acme": Plugin()})
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_is_built_once_whichever_thread_asks_first() -> None:
    plugin = Plugin()
    gateways = Gateways(Registry({"acme": plugin}, installed=False), None)
    gateways.configure("acme-pay", {"key": "sk_1"})
    gateways.configure("acme-pay", {"key": "sk_2"})
    together, found = threading.Barrier(20), []

    def ask() -> None:
        together.wait()
        found.append(gateways.get("acme-pay"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plugin.built) == 1 and set(found) == set(plugin.built)
    assert plugin.built[0].config.key == Secret("sk_1")
    gateways.close()
    assert gateways.get("acme-pay") is not plugin.built[0]
