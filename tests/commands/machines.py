"""How long the machines of subscriptions look for trouble."""

import os

from hypothesis import Phase, settings

from tests import databases

MORE = "BILLCORE_TEST_MACHINES"
"""How many times as many examples as usual (docs/contributing.md)."""


def budget(*, sqlite: int, postgresql: int) -> int:
    """The number of examples; on PostgreSQL each takes longer, and fewer will do."""
    usual = {"sqlite": sqlite, "postgresql": postgresql}[databases.CURRENT[-1].kind]
    return usual * int(os.environ.get(MORE, "1"))


def examples(count: int, steps: int) -> settings:
    """So many stories of so many steps; what fails is not made smaller, which would take minutes."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=count, stateful_step_count=steps, deadline=None, phases=phases, print_blob=True)
