"""The demo's pages: tables and charts of characters that fit 80 columns, text that fits 110, in a pipe too."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from billcore.cli.output.screen import Screen, state
from billcore.domain.money import exponent, format_minor, round_ratio
from billcore.store.reports import LifetimeValue, Month

WIDTH = 80
TEXT_WIDTH = 110
CHART_HEIGHT = 8
AXIS = 7
EIGHTHS = " ▁▂▃▄▅▆▇█"
PARTS = " ▏▎▍▌▋▊▉█"

_PLAIN = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "x", "\N{MINUS SIGN}": "-", "\N{HORIZONTAL ELLIPSIS}": "...", "\N{NOT EQUAL TO}": "!="}
)


class Canvas:
    """Draws with block characters, or with plain ones where only those are wanted."""

    def __init__(self, *, plain: bool) -> None:
        self.plain = plain
        self.screen = Screen(
            file=sys.stdout,
            width=None if sys.stdout.isatty() else TEXT_WIDTH,
            color_system=None if plain else "auto",
            markup=False,
            highlight=False,
            emoji=False,
        )

    def heading(self, text: str) -> None:
        """A title with a line below."""
        self.screen.show(Text(f"\n{text}", style="bold"))

    def line(self, text: str | Text = "") -> None:
        """One line of text."""
        if isinstance(text, str):
            text = Text(text.translate(_PLAIN) if self.plain else text)
        self.screen.show(text)

    def indented(self, lines: Iterable[str]) -> None:
        """Lines of text, set in."""
        for line in lines:
            self.line(f"    {line}")

    def table(self, *titles: str) -> Table:
        """An empty table; titles that begin with > are right-aligned."""
        made = Table(
            box=box.ASCII2 if self.plain else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold"
        )
        for title in titles:
            made.add_column(title.lstrip(">"), justify="right" if title.startswith(">") else "left", no_wrap=True)
        return made

    def bar(self, value: int, most: int, width: int, style: str = "green") -> Text:
        """A bar lying down, `width` characters for `most`."""
        if self.plain:
            return Text("#" * (value * width // max(most, 1)))
        whole, part = divmod(value * width * 8 // max(most, 1), 8)
        return Text("█" * whole + PARTS[part].strip(), style)

    def chart(self, months: Sequence[Month]) -> None:
        """What was invoiced, a column for each month; what is still open stands in red on top."""
        shown = list(months)[-(WIDTH - AXIS) :]
        most = max((each.invoiced for each in shown), default=0)
        if not most:
            return
        unit = 10 ** exponent(shown[0].currency)
        for row in range(CHART_HEIGHT, 0, -1):
            label = short(most * row // CHART_HEIGHT // unit) if row in (CHART_HEIGHT, CHART_HEIGHT // 2) else ""
            text = Text(f"{label:>{AXIS - 2}} {'|' if self.plain else '┤'}", "dim")
            for month in shown:
                text.append(*self._cell(month, most, row))
            self.line(text)
        ticks = "".join("+" if month.month.endswith("-01") else "-" for month in shown)
        ticks = ticks if self.plain else ticks.replace("+", "┴").replace("-", "─")
        self.line(Text(f"{0:>{AXIS - 2}} {'+' if self.plain else '└'}{ticks}", "dim"))
        self.line(Text(" " * AXIS + _years(shown), "dim"))

    def _cell(self, month: Month, most: int, row: int) -> tuple[str, str]:
        """The character of a column at one height, and its style."""
        filled = month.invoiced * CHART_HEIGHT * 8 // most - (row - 1) * 8
        paid = (month.invoiced - month.due) * CHART_HEIGHT * 8 // most - (row - 1) * 8
        style = "red" if paid <= 0 < filled else "green"
        if self.plain:
            return (" " if filled < 4 else "!" if style == "red" else "#"), style
        return EIGHTHS[max(0, min(filled, 8))], style


def short(amount: int) -> str:
    """1,234,567 as 1.2M, 12,345 as 12K."""
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if amount >= size:
            tenth = "" if amount >= 10 * size else f".{amount * 10 // size % 10}"
            return f"{amount // size}{tenth}{letter}"
    return str(amount)


def money_table(canvas: Canvas, months: Sequence[Month]) -> Table:
    """Years, and the months of the last twelve: invoiced, collected, declined, still open; in whole units."""
    table = canvas.table("", ">invoices", ">invoiced", ">collected", ">declined", ">still open", "")
    years: dict[str, Month] = {}
    for each in months:
        year = each.month[:4]
        years[year] = _sum(year, [years[year], each] if year in years else [each])
    for group in (list(years.values()), list(months)[-12:]):
        most = max((each.invoiced for each in group), default=0)
        for each in group:
            table.add_row(*_figures(each), canvas.bar(each.invoiced, most, 12))
        table.add_section()
    return table


def totals(months: Sequence[Month]) -> list[str]:
    """Everything in exact amounts."""
    total = _sum("", months)
    told = (
        (f"{total.invoices:,} invoices", total.invoiced),
        ("collected", total.collected),
        (f"declined, {total.failures:,} attempts", total.failed),
        ("still open", total.due),
    )
    return [f"{name:<28}{_amount(amount, total.currency):>18} {total.currency}" for name, amount in told]


def state_table(canvas: Canvas, states: Mapping[str, int]) -> Table:
    """Subscriptions by state."""
    table = canvas.table("state", ">subscriptions", "")
    most = max(states.values(), default=0)
    for name, count in states.items():
        table.add_row(state(name), f"{count:,}", canvas.bar(count, most, 40, "cyan"))
    return table


def customer_table(canvas: Canvas, customers: Iterable[LifetimeValue]) -> Table:
    """Customers by lifetime value."""
    found = list(customers)
    table = canvas.table("customer", ">payments", ">lifetime value", "")
    most = max((each.amount for each in found), default=0)
    for each in found:
        table.add_row(
            each.reference,
            f"{each.payments:,}",
            f"{_amount(each.amount, each.currency)} {each.currency}",
            canvas.bar(each.amount, most, 30, "magenta"),
        )
    return table


def _figures(month: Month) -> list[str]:
    unit = 10 ** exponent(month.currency)
    amounts = (month.invoiced, month.collected, month.failed, month.due)
    return [month.month, f"{month.invoices:,}", *(f"{round_ratio(amount, unit):,}" for amount in amounts)]


def _sum(name: str, months: Sequence[Month]) -> Month:
    return Month(
        name,
        months[0].currency if months else "USD",
        sum(each.invoices for each in months),
        sum(each.invoiced for each in months),
        sum(each.due for each in months),
        sum(each.collected for each in months),
        sum(each.failures for each in months),
        sum(each.failed for each in months),
    )


def _years(months: Sequence[Month]) -> str:
    """The year below its January; the first of them too where there is room."""
    line = [" "] * (len(months) + 4)
    for place, month in enumerate(months):
        if month.month.endswith("-01"):
            line[place : place + 4] = month.month[:4]
    return "".join(line).rstrip()


def _amount(minor: int, currency: str) -> str:
    """1,234.50 with signs for thousands."""
    whole, point, cents = format_minor(minor, currency).partition(".")
    return f"{int(whole):,}{point}{cents}"
