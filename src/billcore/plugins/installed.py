"""What the packages of this process offer under a group of entry points."""

from collections.abc import Callable
from functools import cache

Offered = tuple[str, tuple[str, str], Callable[[], object]]
"""A name, the distribution and version it comes from, and what loads it."""


@cache
def installed(group: str, _path: tuple[str, ...]) -> tuple[Offered, ...]:
    """The entry points of a group; read once for each `sys.path`, as it means to look at every package there."""
    from importlib.metadata import entry_points

    return tuple(
        (point.name, (point.dist.name, point.dist.version) if point.dist else ("", ""), point.load)
        for point in entry_points(group=group)
    )
