"""`billcore plugin new gateway NAME` writes a package that mypy and ruff have nothing to say about."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from billcore.cli.plugin import gateway, new
from billcore.testing import TaxConformance
from tests.testing import wrong_taxes


def made(folder, *words):
    return CliRunner().invoke(gateway, [*words], catch_exceptions=True)


def test_it_writes_a_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = made(tmp_path, "acme-pay")
    assert done.exit_code == 0
    folder = tmp_path / "billcore-gateway-acme-pay"
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert there == [
        "README.md",
        "pyproject.toml",
        "src/billcore_gateway_acme_pay/__init__.py",
        "src/billcore_gateway_acme_pay/gateway.py",
        "src/billcore_gateway_acme_pay/py.typed",
        "tests/provider.py",
        "tests/test_conformance.py",
    ]
    assert all(f"billcore-gateway-acme-pay/{name}" in done.output for name in there)
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    assert "{{" not in texts.replace("{{}}", "")
    assert "class AcmePay:" in texts
    assert "Charges through Acme Pay." in texts


def test_what_it_writes_is_typed_and_tidy(tmp_path):
    sources = []
    for family in ("gateway", "tax"):
        assert CliRunner().invoke(new, [family, "acme", "--into", str(tmp_path / family)]).exit_code == 0
        sources.append(str(tmp_path / family / "src"))
    for tool in (
        ["mypy", "--strict", *sources],
        ["ruff", "check", "--isolated", "--select", "E4,E7,E9,F,UP,B", *sources],
    ):
        done = subprocess.run([sys.executable, "-m", *tool], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def test_a_tax_engine_is_red_for_what_it_does_not_tax_yet(tmp_path):
    folder = tmp_path / "acme"
    assert CliRunner().invoke(new, ["tax", "acme", "--into", str(folder)]).exit_code == 0
    engine: dict[str, object] = {}
    exec((folder / "src/billcore_tax_acme/engine.py").read_text(encoding="utf-8"), engine)
    with pytest.raises(AssertionError, match="A rate gives what it says"):
        TaxConformance().test_a_rate_gives_what_it_says(engine["Acme"](engine["Config"]()), wrong_taxes.SALE, "line")


@pytest.mark.parametrize("name", ["Acme", "acme_pay", "-acme", "acme--pay", "4acme", "a/b", ""])
def test_a_name_is_lower_case_with_dashes(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert made(tmp_path, "--", name).exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    refused = made(tmp_path, "acme", "--into", str(folder))
    assert "is there already" in str(refused.exception)
    assert [path.name for path in Path(folder).iterdir()] == ["notes.txt"]
