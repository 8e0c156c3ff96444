"""Scenario files for tests: one obvious default for each key."""

import json
from copy import deepcopy

from billcore.scenario.reader import Reader

PLAN = {"products": [{"code": "plan", "prices": [{"code": "plan-m", "amount": "10.00", "every": "1 month"}]}]}
CUSTOMER = {"do": "customers.create", "reference": "acme"}
SIGNUP = {"do": "subscriptions.create", "reference": "s1", "customer": "acme", "price": "plan-m"}


def table(**changes):
    """A story that signs up to one plan; None takes a key out."""
    made = {
        "title": "A plan",
        "start": "2026-01-01",
        "catalog": deepcopy(PLAN),
        "steps": [CUSTOMER, SIGNUP],
        "expect": {},
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def written(folder, *tables, name="story.json"):
    """A file with these stories."""
    path = folder / name
    path.write_text(json.dumps(tables[0] if len(tables) == 1 else {"scenarios": tables}), encoding="utf-8")
    return path


def read(folder, **changes):
    """The story of a file with these changes."""
    return Reader().read(written(folder, table(**changes)))[0]
