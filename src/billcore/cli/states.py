"""`billcore states`: the transition tables that decide, as a table and as a diagram."""

from collections.abc import Iterator

import click

from billcore.cli.context import App, json_option, pass_app, print_json, store_options
from billcore.domain import payment, refund
from billcore.domain import states as subscription
from billcore.errors import InvalidValue

Transition = tuple[str, str, tuple[str, ...]]
"""State, event, and the states it may lead to."""


@click.command("states", short_help="What can become of a subscription, payment or refund.")
@click.argument("kind", metavar="subscription|payment|refund", type=click.Choice(["subscription", "payment", "refund"]))
@click.option("--state", "only", metavar="STATE", help="What can happen in this state only.")
@click.option("--diagram", is_flag=True, help="Print a Mermaid state diagram.")
@json_option
@store_options
@pass_app
def states(app: App, kind: str, only: str | None, diagram: bool) -> None:
    """Show which event leads from which state to which: the same table that decides.

    Where an event may lead to several states, the facts decide. What is not in the table is refused.
    """
    rows = list(_ROWS[kind]())
    known = list(dict.fromkeys(state for state, _, _ in rows))
    if only is not None and only not in (subscription.STATES if kind == "subscription" else known):
        raise InvalidValue(f"There is no {kind} state {only!r}.", remedy=f"Possible: {', '.join(known)}.")
    rows = [row for row in rows if only in (None, row[0])]
    if app.json:
        print_json([{"state": state, "event": event, "becomes": list(to)} for state, event, to in rows])
    elif diagram:
        click.echo("\n".join(_mermaid(kind, rows)))
    else:
        _print(rows)


def _subscription() -> Iterator[Transition]:
    for state in subscription.STATES:
        for event in subscription.EVENTS:
            cell = subscription.TABLE[event][state]
            if isinstance(cell, subscription.Allowed):
                yield state, event, cell.targets


def _payment() -> Iterator[Transition]:
    for state, outcomes in payment.TABLE.items():
        for outcome, target in outcomes.items():
            yield state, outcome, (target,)


def _refund() -> Iterator[Transition]:
    for state, outcomes in refund.TABLE.items():
        for outcome, target in outcomes.items():
            yield state, outcome, (target,)


_ROWS = {"subscription": _subscription, "payment": _payment, "refund": _refund}


def _print(rows: list[Transition]) -> None:
    from rich.text import Text

    from billcore.cli.output.screen import screen, state, table

    shown = []
    before = ""
    for current, event, targets in rows:
        becomes = Text(" or ").join(state(target) for target in targets)
        stays = Text("stays", "dim") if targets == (current,) else becomes
        shown.append((state(current) if current != before else "", event, stays))
        before = current
    screen().show(table(("state", "event", "~becomes"), shown))


def _mermaid(kind: str, rows: list[Transition]) -> Iterator[str]:
    """What changes the state, one arrow for each pair of states with all its events."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, event, targets in rows:
        for target in targets:
            if target != state:
                arrows.setdefault((state, target), []).append(event)
    yield "stateDiagram-v2"
    yield "    [*] --> pending"
    for (state, target), events in arrows.items():
        yield f"    {state} --> {target}: {', '.join(events)}"
    if kind == "subscription":
        for state in subscription.STATES:
            if state in subscription.END:
                yield f"    {state} --> [*]"
