"""What the documents show is what happens: the quickstart, and the tutorial's commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.project import ROOT

TUTORIAL = (ROOT / "docs/tutorial/first-subscription.md").read_text(encoding="utf-8")
EXPECTED = re.search(r"prints six invoices.*?```\n(.*?)```", TUTORIAL, re.DOTALL)


def test_the_quickstart_prints_what_the_tutorial_says() -> None:
    """A reader who runs the example sees the invoices that the tutorial shows."""
    done = subprocess.run(
        [sys.executable, "examples/quickstart.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert EXPECTED is not None
    assert done.stdout == EXPECTED[1]


def test_the_quickstart_is_short() -> None:
    """A reader embeds the engine in about twenty lines."""
    lines = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 20


def test_the_tutorial_shows_the_quickstart_itself() -> None:
    """The program in the tutorial is the one in examples/, but for where it finds its catalog."""
    shown = re.search(r"```python\n(import tomllib.*?)```", TUTORIAL, re.DOTALL)
    assert shown is not None
    example = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")

    def body(text: str) -> list[str]:
        statements = [line.split("  # noqa")[0] for line in text.splitlines() if line and '"""' not in line]
        return [line for line in statements if not line.startswith("catalog =")]

    assert body(shown[1]) == body(example)


def test_the_tutorials_commands_run_as_written(tmp_path: Path) -> None:
    """The same story typed into a shell ends with books that balance."""
    block = re.search(r"from the shell\n\n```\n(.*?)```", TUTORIAL, re.DOTALL)
    assert block is not None
    billcore = str(Path(sys.executable).with_name("billcore"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = block[1].replace("billcore ", f"{shlex.quote(billcore)} ")
    done = subprocess.run(["/bin/sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verify: ok" in done.stdout


def test_the_tutorials_look_ahead_prints_what_it_says() -> None:
    """Appended to the quickstart, the dry run shows the credit note that a cancellation would make."""
    more = re.search(r"```python\n(    preview = .*?)```\n\nIt prints `(.*?)`", TUTORIAL, re.DOTALL)
    assert more is not None
    program = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8") + more[1]
    program = program.replace('Path(__file__).with_name("catalog.toml")', 'Path("examples/catalog.toml")')
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == more[2]
