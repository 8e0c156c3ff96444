"""`billcore plugin new`: the beginning of a plugin, with the suite that is red until it is done."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import click

from billcore.cli.app import Named
from billcore.errors import InvalidValue

GATEWAY: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/billcore_gateway_{{module}}/__init__.py": "init.py.txt",
    "src/billcore_gateway_{{module}}/gateway.py": "gateway.py.txt",
    "src/billcore_gateway_{{module}}/py.typed": "",
    "tests/provider.py": "provider.py.txt",
    "tests/test_conformance.py": "test_conformance.py.txt",
}

TAX: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/billcore_tax_{{module}}/__init__.py": "init.py.txt",
    "src/billcore_tax_{{module}}/engine.py": "engine.py.txt",
    "src/billcore_tax_{{module}}/py.typed": "",
    "tests/test_conformance.py": "test_conformance.py.txt",
}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.group("plugin", cls=Named, short_help="Begin a plugin of your own.", no_args_is_help=True)
def plugin() -> None:
    """Begin a plugin of your own."""


@plugin.group("new", cls=Named, no_args_is_help=True)
def new() -> None:
    """Write the files of a new package."""


@new.command("gateway")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), help="The folder to make; by default billcore-gateway-NAME.")
def gateway(name: str, into: Path | None) -> None:
    """Write a package for the gateway NAME, whose conformance suite is red until it is done.

    NAME is what users will write, in lower case: letters, digits and dashes.
    """
    _begin("gateway", name, into)


@new.command("tax")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), help="The folder to make; by default billcore-tax-NAME.")
def tax(name: str, into: Path | None) -> None:
    """Write a package for the tax engine NAME, whose conformance suite is red until it is done.

    NAME is what users will write, in lower case: letters, digits and dashes.
    """
    _begin("tax", name, into)


def _begin(family: str, name: str, into: Path | None) -> None:
    """Write a package, say what was written and what comes next; raises InvalidValue."""
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{name!r} is not a name for a plugin.",
            remedy="Use lower case letters, digits and single dashes, such as acme-pay.",
            parameter="name",
        )
    folder = into or Path(f"billcore-{family}-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValue(
            f"{folder} is there already and not empty.", remedy="Name another folder with --into.", parameter="into"
        )
    for path in _write(family, GATEWAY if family == "gateway" else TAX, name, folder):
        click.echo(f"  {path}")
    click.echo(f"\nNow: cd {folder} && pip install -e '.[test]' && pytest")
    click.echo("Each failure says which rule is broken and what to do; README.md has the order to go in.")


def _write(family: str, places: Mapping[str, str], name: str, folder: Path) -> list[Path]:
    """Write the files of a plugin's package into a folder; returns them."""
    from billcore import __version__

    words = name.split("-")
    values = {
        "name": name,
        "module": name.replace("-", "_"),
        "Name": " ".join(word.capitalize() for word in words),
        "Class": "".join(word.capitalize() for word in words),
        "version": __version__,
    }
    templates = files("billcore.cli") / "templates" / family
    written = []
    for place, template in places.items():
        path = folder / _filled(place, values)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (templates / template).read_text(encoding="utf-8") if template else ""
        path.write_text(_filled(text, values), encoding="utf-8")
        written.append(path)
    return written


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)
