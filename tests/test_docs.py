"""The docs are held to the code: every error, setting, rule number and link."""

import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from billcore.errors import CODES
from billcore.settings import Settings
from tests.project import ROOT, name

REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("plugins/*/*/*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
RULE = re.compile(r"\bbehaviou?r (\d+(?:\.\d+)?)")
# Where somebody works is no part of the project.
PRIVATE = re.compile(r"/work\b|/root\b|/home/|/tmp/|\bfile://|localhost:\d")

each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[str]:
    return HEADING.findall(prose(page))


def slug(heading: str) -> str:
    """The anchor that Markdown renderers give a heading."""
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return words.replace(" ", "-")


def test_every_error_code_has_a_heading_and_every_heading_a_code() -> None:
    found = [heading.strip("`") for heading in headings(REFERENCE / "errors.md") if heading.startswith("`")]
    assert sorted(found) == sorted(CODES)


def test_every_error_says_when_and_what_to_do() -> None:
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [part.splitlines()[0] for part in sections if "**When**" not in part or "**Do**" not in part] == []


def documented_settings() -> dict[str, tuple[str, str]]:
    """Name -> (values, default in TOML), as users write them in files."""
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| `(.*?)` \| .* \|$", text, re.MULTILINE)
    return {setting: (values, default) for setting, values, default in rows}


def test_every_setting_is_documented() -> None:
    assert sorted(documented_settings()) == sorted(Settings().to_mapping())


def test_defaults_in_the_docs_are_the_defaults_in_the_code() -> None:
    told = {setting: default for setting, (_, default) in documented_settings().items()}
    assert tomllib.loads("\n".join(f"{name} = {default}" for name, default in told.items())) == (
        Settings().to_mapping()
    )


def test_every_choice_of_a_setting_is_documented() -> None:
    documented = documented_settings()
    for setting, hint in get_type_hints(Settings).items():
        if get_origin(hint) is Literal:
            assert tuple(re.findall(r"`([^`]+)`", documented[setting][0])) == get_args(hint), setting


@each_page
def test_links_inside_the_docs_resolve(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in {slug(heading) for heading in headings(there)}
        ):
            broken.append(target)
    assert broken == []


@each_page
def test_a_page_names_nobodys_folders(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if PRIVATE.search(line)] == []


@each_page
def test_a_heading_stands_once(page: Path) -> None:
    """Two headings with one anchor make one of them unreachable."""
    anchors = [slug(heading) for heading in headings(page)]
    assert sorted(anchors) == sorted(set(anchors))


def test_rule_numbers_named_in_the_source_exist() -> None:
    """ "behaviour 3.4" in a docstring, a test or a page leads to a rule."""
    numbers = {match for heading in headings(REFERENCE / "behaviour.md") for match in re.findall(r"^[\d.]*\d", heading)}
    files = [path for folder in ("src", "plugins", "tests", "docs") for path in (ROOT / folder).rglob("*.*")]
    unknown = {
        f"{name(path)}: {number}"
        for path in files
        if path.suffix in {".py", ".md"}
        for number in RULE.findall(path.read_text(encoding="utf-8"))
        if number not in numbers
    }
    assert unknown == set()


def test_news_fragments_are_named_for_their_issue_and_kind() -> None:
    fragments = [path.name for path in (ROOT / "docs" / "changes").iterdir() if path.name != "README.md"]
    assert [f for f in fragments if not re.fullmatch(r"\d+\.(breaking|feature|fix|docs)\.md", f)] == []


NAMED_TEST = re.compile(r"`((?:tests|plugins)/[\w/]+\.py)::(test_\w+)`")


def test_every_test_that_the_promises_name_is_there():
    """docs/reliability.md is worth as much as the tests it names."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = NAMED_TEST.findall(text)
    assert len(named) > 40
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []
