"""The how-to pages and the catalog reference show files and programs that run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg
import pytest

from billcore import Billing
from tests.databases import Stores
from tests.project import ROOT

BILLCORE = str(Path(sys.executable).with_name("billcore"))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)


def shell(folder: Path, *words: str) -> str:
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


def test_the_gateway_of_the_how_to_charges() -> None:
    names: dict[str, object] = {}
    for block in blocks("howto/write-a-gateway.md", "python"):
        exec(block, names)  # the page's own program
    billing = names["billing"]
    assert isinstance(billing, Billing)
    assert [(one.status, one.gateway) for one in billing.payments.list()] == [("succeeded", "piggy")]
    billing.close()


def test_the_commands_of_the_production_page_run_and_a_backup_is_whole(tmp_path: Path) -> None:
    shell(tmp_path, "init", "-d", "billing.db")
    for block in blocks("howto/run-in-production.md", ""):
        for line in block.splitlines():
            if line.startswith("billcore ") and "worker" not in line:
                shell(tmp_path, *line.split()[1:])
    for block in blocks("howto/run-in-production.md", "python"):
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)
    assert "verify: ok" in shell(tmp_path, "verify", "-d", "backup.db")


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


def test_the_commands_about_webhooks_are_there(tmp_path: Path) -> None:
    shell(tmp_path, "init")
    text = (ROOT / "docs/howto/receive-webhooks.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in text.splitlines() if line.startswith("billcore ")]
    assert len(commands) == 8
    for words in commands:
        if "WEBHOOK" in words or "link" in words:
            shell(tmp_path, *words[:2], "--help")
        else:
            shell(tmp_path, *words)
