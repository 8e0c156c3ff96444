"""A person at a terminal: runs commands in this process, or in one of their own where that matters."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import frozen
from click.testing import CliRunner

from billcore.cli.app import root

CATALOG = """
currency = "USD"

[[products]]
code = "pro"
name = "Pro"

  [[products.prices]]
  code = "pro-monthly"
  amount = "49.00"
  every = "1 month"

  [[products.prices]]
  code = "pro-daily"
  amount = "1.00"
  every = "1 day"

[[components]]
code = "seats"
name = "Seats"
kind = "quantity"

  [[components.prices]]
  code = "seats-standard"
  scheme = "per_unit"
  unit_amount = "5.00"

[[components]]
code = "calls"
name = "Calls"
kind = "metered"

  [[components.prices]]
  code = "calls-standard"
  scheme = "per_unit"
  unit_amount = "0.10"

[[coupons]]
code = "TEN"
percent_off = "10"
duration = "forever"
"""


@frozen
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@frozen
class Shell:
    """A folder with a store in it; `store` may be a URL."""

    folder: Path
    store: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"BILLCORE_DATABASE": self.store or str(self.folder / "books.db"), "COLUMNS": "80"}

    def __call__(self, *args: str, **env: str) -> Said:
        """In this process; any failure that is no message raises."""
        runner = CliRunner(env={**self.environment, **env})
        result = runner.invoke(root, args, prog_name="billcore")
        return Said(result.exit_code, result.stdout, result.stderr)

    def ok(self, *args: str) -> Said:
        said = self(*args)
        assert said.code == 0, said
        return said

    def json(self, *args: str) -> Any:
        return self.ok(*args, "--json").json

    def process(self, *args: str, **env: str) -> Said:
        """As its own process."""
        done = self.start(*args, **env)
        out, err = done.communicate(timeout=60)
        return Said(done.returncode, out, err)

    def start(self, *args: str, **env: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "billcore", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.environment, **env},
        )

    def with_catalog(self) -> "Shell":
        """A store on a simulated clock with a catalog."""
        (self.folder / "catalog.toml").write_text(CATALOG)
        self.ok("init", "--clock", "2026-01-31")
        self.ok("catalog", "apply", str(self.folder / "catalog.toml"))
        return self

    def with_customer(self, token: str = "approve") -> "Shell":
        """And a customer acme with a payment method."""
        self.with_catalog()
        self.ok("customers", "create", "--reference", "acme", "--name", "Acme", "--email", "a@acme.example")
        self.ok("payment_methods", "add", "--customer", "acme", "--token", token)
        return self

    def with_subscription(self) -> "Shell":
        """And a subscription s1."""
        self.with_customer()
        self.ok("subscriptions", "create", "--reference", "s1", "--customer", "acme", "--price", "pro-monthly")
        return self
