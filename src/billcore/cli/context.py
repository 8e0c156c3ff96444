"""What one run of the command line knows: which store, who acts, how to show things; and the options that say so."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from billcore.errors import BillcoreError, StoreError

if TYPE_CHECKING:
    from billcore.billing import Billing
    from billcore.clock import Clock
    from billcore.plugins.registry import Registry

CONFIGURATION = "billcore.toml"
DEFAULT_DATABASE = "sqlite:///billcore.db"
F = TypeVar("F", bound=Callable[..., Any])


class App:
    """The state of one command: filled by options wherever they stand on the line."""

    def __init__(self, database: str = DEFAULT_DATABASE, *, debug: bool = False) -> None:
        self.database = database
        self.debug = debug
        self.json = False
        self.actor: str | None = None

    @property
    def url(self) -> str:
        """The database's URL; a bare path is a SQLite file."""
        return self.database if "://" in self.database else f"sqlite:///{self.database}"

    @property
    def file(self) -> str | None:
        """The path of a SQLite file, None for a database in memory or on a server."""
        from billcore.store.sqlite import file_of

        return file_of(self.url) if self.url.startswith("sqlite") else None

    def exists(self) -> bool:
        """Whether there is a store to open: a database in memory is made on the way."""
        return self.file is None or Path(self.file).exists()

    def open(
        self,
        *,
        create: bool = False,
        clock: "Clock | None" = None,
        settings: Mapping[str, object] | None = None,
        pays: bool = True,
    ) -> "Billing":
        """The store, with the gateways that are configured; a command that never `pays` does without those.

        Raises StoreError schema_missing when it has to be there and is not, and what `gateways` raises.
        """
        from billcore.billing import Billing
        from billcore.plugins.registry import Registry

        if not create and not self.exists():
            raise StoreError(
                "schema_missing",
                f"There is no store at {self.file}.",
                remedy="Make one: billcore init. Or name another: billcore -d FILE, or BILLCORE_DATABASE.",
            )
        registry = Registry()
        billing = Billing(
            self.url,
            clock=clock,
            settings=settings,
            gateways=self.gateways(registry) if pays else None,
            tax_engines=self.tax_engines(registry, strict=pays),
            plugins=registry,
            actor=self.actor or f"cli:{_user()}",
            # A database in memory is made on the way; a server's gets its tables by `init` or `db upgrade`.
            create=create or (self.file is None and self.url.startswith("sqlite")),
        )
        if self.test_book is not None:
            billing.configure("test", {"book": self.test_book})
        return billing

    @property
    def test_book(self) -> str | None:
        """The test gateway keeps its book beside the store, so that a charge is known after a crash (9.3)."""
        return None if self.file is None else f"{self.file}.test-gateway.jsonl"

    @property
    def folder(self) -> Path:
        """Where the store's file stands; the current folder for one that has none."""
        return Path() if self.file is None else Path(self.file).parent

    @property
    def configuration(self) -> Path | None:
        """The file that configures gateways: the one that is named, or billcore.toml beside the store."""
        named = os.environ.get("BILLCORE_CONFIG")
        if named:
            return Path(named)
        beside = self.folder / CONFIGURATION
        return beside if beside.exists() else None

    def gateways(self, registry: "Registry") -> dict[str, dict[str, object]]:
        """What the configuration's file and variables say of gateways. Raises FileInvalid and PluginError."""
        from billcore.plugins.configuration import PREFIX, read_gateways

        file = self.configuration
        if file is None and not any(name.startswith(PREFIX) for name in os.environ):
            return {}
        found = read_gateways(registry, file)
        if "test" in found and self.test_book is not None:
            found["test"].setdefault("book", self.test_book)
        return found

    def tax_engines(self, registry: "Registry", *, strict: bool = True) -> dict[str, dict[str, object]]:
        """What the configuration's file and variables say of tax engines, which figures of previews need too.

        Raises FileInvalid and PluginError; where not `strict`, what cannot be read is nothing.
        """
        from billcore.plugins.configuration import TAX_PREFIX, read_tax_engines

        file = self.configuration
        if file is None and not any(name.startswith(TAX_PREFIX) for name in os.environ):
            return {}
        try:
            return read_tax_engines(registry, file)
        except BillcoreError:
            if strict:
                raise
            return {}

    @contextmanager
    def billing(self, *, pays: bool = True) -> Iterator["Billing"]:
        """The store, closed at the end."""
        opened = self.open(pays=pays)
        try:
            yield opened
        finally:
            opened.close()


pass_app = click.make_pass_decorator(App, ensure=True)


def app_of(context: click.Context) -> App:
    """The state of the command that runs."""
    return context.ensure_object(App)


def store_options(command: F) -> F:
    """-d and --debug, which may stand after a command's name as well as before it."""
    command = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember("debug"),
        hidden=True,
        help="Show tracebacks.",
    )(command)
    return click.option(
        "--database",
        "-d",
        metavar="URL",
        expose_value=False,
        callback=_remember("database"),
        help="The store: a file or a database URL.  [env: BILLCORE_DATABASE]",
    )(command)


def json_option(command: F) -> F:
    """--json: print data for programs instead of pages for people."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_remember("json"),
        is_eager=True,
        help="Print JSON.",
    )(command)


def print_json(result: object) -> None:
    """A result as data for programs."""
    from billcore.commands.plain import to_plain

    click.echo(json.dumps(to_plain(result), indent=2, ensure_ascii=False))


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps an option's value in the App, unless it was not given."""

    def keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
        if value == "":
            raise click.BadParameter("It is empty.", context, parameter)
        if value:
            setattr(app_of(context), name, value)

    return keep


def _user() -> str:
    """Who is logged in: the audit log says who changed what (P11)."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
