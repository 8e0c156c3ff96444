"""The screen: consoles, tables, pages of fields, and how money, instants and states are written."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from billcore.domain.instants import local_text
from billcore.domain.money import format_minor

# Wide enough that no value is cut when nobody watches: output in a pipe is searched, not read.
PIPE_WIDTH = 400
WIDE = 120

_STYLES = {
    "green": "active paid succeeded approved current done",
    "cyan": "trialing awaiting_signup pending open draft waiting",
    "yellow": "soft_failure past_due on_hold paused requires_action unknown partially_refunded refunded unverified",
    "red": "unpaid suspended failed failed_to_create uncollectible disputed parked",
    "dim": "canceled expired trial_ended void disabled ignored discarded",
}
STYLE_OF = {state: style for style, states in _STYLES.items() for state in states.split()}


class Screen(Console):
    """A console that writes plain text without markup; a closed pipe is told to who called."""

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: the command ends quietly."""
        raise BrokenPipeError

    def show(self, *parts: RenderableType) -> None:
        """Print; in a pipe without the blanks that fill up a terminal's lines."""
        if self.is_terminal:
            self.print(*parts, sep="\n")
            return
        with self.capture() as captured:
            self.print(*parts, sep="\n")
        lines = (line.rstrip() for line in captured.get().split("\n"))
        self.file.write("\n".join(lines))


def screen(*, errors: bool = False) -> Screen:
    """Standard output or standard error: 80 columns or what the terminal has, without limit in a pipe."""
    stream = sys.stderr if errors else sys.stdout
    watched = stream.isatty() or "COLUMNS" in os.environ
    return Screen(
        file=stream,
        width=None if watched else PIPE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def wide() -> bool:
    """Whether there is room for what people seldom need: ids above all."""
    return screen().width >= WIDE


def table(titles: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table; a title that begins with > is right-aligned, a column with ~ wraps where there is no room.

    All other columns keep the width of their widest cell: an amount that is cut would be another amount.
    """
    cells = [tuple(row) for row in rows]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for index, title in enumerate(titles):
        name, wraps = title.lstrip(">~"), title.startswith("~")
        widest = max((len(str(row[index])) for row in cells), default=0)
        made.add_column(
            name,
            justify="right" if title.startswith(">") else "left",
            no_wrap=not wraps,
            overflow="fold",
            min_width=len(name) if wraps else max(len(name), widest),
        )
    for row in cells:
        made.add_row(*row)
    return made


def fields(pairs: Iterable[tuple[str, RenderableType | None]]) -> Table:
    """Names and values below each other; what has no value is left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            made.add_row(name, value)
    return made


def state(name: str, suffix: str = "") -> Text:
    """A state in its colour, where there are colours."""
    return Text.assemble((name, STYLE_OF.get(name, "")), suffix)


def money(minor: int, currency: str) -> str:
    """49.00 USD."""
    return f"{format_minor(minor, currency)} {currency}"


def day(at: datetime | None, zone: str) -> str:
    """A local date, with the time of day where it is not midnight; empty for None."""
    if at is None:
        return ""
    return local_text(at, zone)


def date(at: datetime | None, zone: str) -> str:
    """A local date alone, for lists."""
    return day(at, zone)[:10]


def span(start: datetime | None, end: datetime | None, zone: str) -> str:
    """From and to, to being the first instant that is not in it any more."""
    return f"{day(start, zone)} to {day(end, zone)}" if start is not None or end is not None else ""
