"""The catalog and settings on the screen."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rich.console import RenderableType
from rich.text import Text

from billcore.cli.output.screen import fields, table
from billcore.commands.catalog import CatalogChange, Quote

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "new_version": ("~", "yellow"), "remove": ("-", "red")}


def change_list(changes: Sequence[CatalogChange]) -> RenderableType:
    """What applying a catalog adds, changes and removes."""
    return table(
        ("", "kind", "~code", "change"),
        [(Text(*_SIGNS[one.action]), one.kind, one.code, _change(one)) for one in changes],
    )


def quote_page(quote: Quote) -> RenderableType:
    """What a price computes."""
    return fields(
        [
            ("price", quote.price),
            ("quantity", quote.quantity),
            ("part of period", quote.portion if quote.portion != "1/1" else None),
            ("exact", quote.amount if _is_rounded(quote) else None),
            ("amount", f"{quote.rounded_text} {quote.currency}"),
        ]
    )


def setting_page(settings: Mapping[str, object]) -> RenderableType:
    """Settings as `settings set` takes them."""
    return fields([(name, setting_text(value)) for name, value in settings.items()])


def setting_text(value: object) -> str:
    """A setting's value as it is typed."""
    import json

    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_rounded(quote: Quote) -> bool:
    """Whether the exact amount is another one; a fraction has no end as a decimal."""
    return "/" in quote.amount or Decimal(quote.amount) != Decimal(quote.rounded_text)


def _change(one: CatalogChange) -> str:
    match one.action:
        case "new_version":
            return f"version {one.version}; running subscriptions keep theirs"
        case "change":
            return "changed"
        case "remove":
            return "removed"
    return "new"
