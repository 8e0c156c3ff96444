"""The how-to pages and the catalog reference show files and programs that run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import chdir
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from billcore import Billing
from billcore.cli.app import root
from tests.databases import Stores
from tests.project import ROOT

BILLCORE = str(Path(sys.executable).with_name("billcore"))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


def typed(folder: Path, *words: str) -> Result:
    """A command as it is typed in a folder, in this process: a page's thirty starts of Python prove nothing of it."""
    with chdir(folder):
        return CliRunner().invoke(root, words, prog_name="billcore", catch_exceptions=False)


def shell(folder: Path, *words: str) -> str:
    done = typed(folder, *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def process(folder: Path, *words: str) -> str:
    """A command as its own process."""
    done = subprocess.run([BILLCORE, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_catalog_of_the_reference_can_be_applied() -> None:
    (text,) = blocks("reference/catalog-file.md", "toml")
    with Billing("sqlite://") as billing:
        billing.catalog.apply(tomllib.loads(text))
        assert billing.catalog.quote("calls-tiered", "12000").rounded == 2000


def test_the_scenario_of_the_how_to_is_ok(tmp_path: Path) -> None:
    (story,) = blocks("howto/test-your-pricing.md", "toml")
    (tmp_path / "seats.toml").write_text(story, encoding="utf-8")
    (tmp_path / "catalog.toml").write_text((ROOT / "examples/catalog.toml").read_text(encoding="utf-8"))
    assert "1 ok" in shell(tmp_path, "scenario", "check", "seats.toml")
    assert "57.60" in shell(tmp_path, "scenario", "run", "seats.toml")


def test_a_new_gateway_is_red_and_that_of_the_how_to_is_green(tmp_path: Path) -> None:
    """Both are packages that are really installed and found by their entry point."""
    package = tmp_path / "acme"
    shell(tmp_path, "plugin", "new", "gateway", "acme", "--into", "acme")
    red = suite(package, tmp_path / "red", "-k", "found_by_its_name or building or approved_charge")
    assert red.returncode == 1
    assert "1 failed, 2 passed" in red.stdout, red.stdout
    assert "AssertionError: An approved charge says what was taken" in red.stdout
    for block in [*blocks("howto/write-a-gateway.md", "toml"), *blocks("howto/write-a-gateway.md", "python")]:
        name, _, text = block.partition("\n")
        (package / name.removeprefix("# ")).write_text(text, encoding="utf-8")
    green = suite(package, tmp_path / "green")
    assert green.returncode == 0, green.stdout
    tried = python(tmp_path / "green", package / "tests", str(package / "tests" / "try_it.py"))
    assert tried.stdout == "succeeded 900 ch_0\n", tried.stderr


def test_the_tax_engine_of_the_how_to_passes_its_suite_and_taxes_what_it_says(tmp_path: Path) -> None:
    """A package that is really installed and found by its entry point."""
    package, page = tmp_path / "acme", "howto/write-a-tax-engine.md"
    for block in [*blocks(page, "toml"), *blocks(page, "python")]:
        name, _, text = block.partition("\n")
        path = package / name.removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (package / "src/billcore_tax_acme/py.typed").touch()
    green = suite(package, tmp_path / "green")
    assert green.returncode == 0, green.stdout
    tried = python(tmp_path / "green", package / "tests", str(package / "tests" / "try_it.py"))
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    printed = re.search(r"It prints\n\n```\n(.*?)```", text, re.DOTALL)
    assert printed is not None
    assert tried.stdout == printed[1], tried.stdout + tried.stderr


def suite(package: Path, site: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Install a package into a folder of its own and run its tests."""
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, *pip, str(package)], check=True)
    return python(site, package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *words)


def python(site: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_commands_on_collecting_in_advance_do_what_the_page_says(tmp_path: Path) -> None:
    (catalog,) = blocks("howto/collect-in-advance.md", "toml")
    (tmp_path / "catalog.toml").write_text(catalog, encoding="utf-8")
    page = (ROOT / "docs/howto/collect-in-advance.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("billcore ")]
    said = [shell(tmp_path, *shlex.split(line)[1:]) for line in lines]
    shown = [text for line, text in zip(lines, said, strict=True) if " subscriptions get " in line]
    assert ["suspended" in text for text in shown] == [True, False]
    with Billing(f"sqlite:///{tmp_path / 'billcore.db'}") as billing:
        assert [one.total for one in billing.invoices.list()] == [3000, 7100, 3000]
        assert [one.status for one in billing.payments.list() if one.cause == "top_up"] == ["succeeded"]
        assert billing.subscriptions.get("s1").state == "active"
    assert "ok" in said[-1]


def test_the_commands_of_the_production_page_run_and_a_backup_is_whole(tmp_path: Path) -> None:
    shell(tmp_path, "init", "-d", "billing.db")
    for block in blocks("howto/run-in-production.md", ""):
        for line in block.splitlines():
            if line.startswith("billcore ") and "worker" not in line:
                shell(tmp_path, *line.split()[1:])
    for block in blocks("howto/run-in-production.md", "python"):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)
    assert "verify: ok" in process(tmp_path, "verify", "-d", "backup.db")


@pytest.mark.postgresql_only("the page's part about PostgreSQL")
def test_the_commands_join_the_hosts_transaction_as_the_page_on_embedding_shows(stores: Stores) -> None:
    url = stores.fresh()
    catalog = tomllib.loads((ROOT / "examples/catalog.toml").read_text(encoding="utf-8"))
    with Billing(url, settings={"require_customer_name": False, "require_customer_email": False}) as billing:
        billing.catalog.apply(catalog)
        billing.customers.create("acme")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
        (block,) = [text for text in blocks("howto/embed.md", "python") if "psycopg" in text]
        bare = url.removeprefix("postgresql://")
        names: dict[str, object] = {}
        exec(re.sub(r"shop@localhost/shop", bare, block), names)  # the page's own program
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
        connection.execute("DROP TABLE orders")
    billing = names["billing"]
    assert isinstance(billing, Billing)
    assert [one.reference for one in billing.subscriptions.list()] == ["s1", "s2"]
    billing.close()
    names["engine"].dispose()


def test_the_page_about_webhooks_shows_the_examples_and_its_program_prints_what_it_says() -> None:
    fastapi, flask, program = blocks("howto/receive-webhooks.md", "python")
    assert fastapi == (ROOT / "examples/webhooks_fastapi.py").read_text(encoding="utf-8")
    assert flask == (ROOT / "examples/webhooks_flask.py").read_text(encoding="utf-8")
    text = (ROOT / "docs/howto/receive-webhooks.md").read_text(encoding="utf-8")
    printed = re.search(r"It prints\n\n```\n(.*?)```", text, re.DOTALL)
    assert printed is not None
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == printed[1]


def test_the_page_about_giving_money_back_does_what_it_says(tmp_path: Path) -> None:
    """All its commands in their order; only billing again what a note reduced is refused, as the page says."""
    (catalog,) = blocks("howto/give-money-back.md", "toml")
    (tmp_path / "catalog.toml").write_text(catalog, encoding="utf-8")
    said, refused = "", []
    text = (ROOT / "docs/howto/give-money-back.md").read_text(encoding="utf-8")
    for line in re.findall(r"^billcore .*$", text, re.MULTILINE):
        done = typed(tmp_path, *shlex.split(line)[1:])
        said += done.stdout
        refused += [f"{line}: {done.stderr}"] if done.exit_code else []
    (only,) = refused
    assert "--rebill" in only and "transition_not_allowed" in only
    told = [" ".join(one.split()) for one in re.findall(r"`([^`]*\.)`", text)]
    assert told and [one for one in told if one not in said] == []
    assert "20.00 USD" in said and "330.00 USD" in said and "100.00 USD\n" in said
    assert "verify: ok" in said


def test_the_page_about_metering_does_what_it_says(tmp_path: Path) -> None:
    (catalog,) = blocks("howto/meter-usage.md", "toml")
    (tmp_path / "catalog.toml").write_text(catalog, encoding="utf-8")
    text = (ROOT / "docs/howto/meter-usage.md").read_text(encoding="utf-8")
    said = ""
    for line in re.findall(r"^billcore .*$", text, re.MULTILINE):
        said += " ".join(shell(tmp_path, *shlex.split(line)[1:]).split()) + " "
    told = [" ".join(one.split()) for one in re.findall(r"`([^`]*\.)`", text)]
    assert told and [one for one in told if one not in said] == []
    assert "5.00 USD more are billed" in said and "20.00 USD are given back" in said
    assert "verify: ok" in said


def test_the_page_about_billing_something_once_does_what_it_says(tmp_path: Path) -> None:
    (catalog,) = blocks("howto/bill-something-once.md", "toml")
    (tmp_path / "catalog.toml").write_text(catalog, encoding="utf-8")
    text = (ROOT / "docs/howto/bill-something-once.md").read_text(encoding="utf-8")
    commands = re.findall(r"^billcore .*$", text, re.MULTILINE)
    assert len(commands) == 25
    said = " ".join(" ".join(shell(tmp_path, *shlex.split(line)[1:]).split()) for line in commands)
    told = [" ".join(one.split()) for one in re.findall(r"`([^`]*\.)`", text)]
    assert len(told) == 6 and [one for one in told if one not in said] == []
    assert "119.00" in said and "verify: ok" in said


def test_the_commands_about_webhooks_are_there(tmp_path: Path) -> None:
    shell(tmp_path, "init")
    text = (ROOT / "docs/howto/receive-webhooks.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in text.splitlines() if line.startswith("billcore ")]
    assert len(commands) == 9
    for words in commands:
        if {"WEBHOOK", "link", "catch-up"} & set(words):
            shell(tmp_path, *words[:2], "--help")
        else:
            shell(tmp_path, *words)


def test_the_page_about_groups_does_what_it_says(tmp_path: Path) -> None:
    """All its commands in their order; only who has no payment method is refused to leave, as the page says."""
    (catalog,) = blocks("howto/group-customers.md", "toml")
    (tmp_path / "catalog.toml").write_text(catalog, encoding="utf-8")
    said, refused = "", []
    text = (ROOT / "docs/howto/group-customers.md").read_text(encoding="utf-8")
    for line in re.findall(r"^billcore .*$", text, re.MULTILINE):
        done = typed(tmp_path, *shlex.split(line)[1:])
        said += done.stdout + done.stderr
        refused += [line] if done.exit_code else []
    assert refused == ["billcore customers leave kiosk"]
    told = re.findall(r"`([^`]*\.|shop s1|kiosk s2)`", text)
    assert len(told) == 3 and [one for one in told if one not in " ".join(said.split())] == []
    assert "paid for by" in said and "90.00 USD" in said and "verify: ok" in said
