"""`billcore states`: the transition tables that decide, as a table and as a diagram."""

from collections.abc import Iterator, Mapping

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


_GROUPS = {"subscription": {"live": subscription.LIVE, "problem": subscription.PROBLEM}}
"""States that share a box in the diagram: an event that leads all of them to one state is one arrow."""


def _mermaid(kind: str, rows: list[Transition]) -> Iterator[str]:
    """What changes the state: arrows by where they lead, one for each pair with all its events."""
    groups = _GROUPS.get(kind, {})
    yield "stateDiagram-v2"
    yield "    [*] --> pending"
    for name, members in groups.items():
        inside = [state for state in subscription.STATES if state in members]
        yield f"    state {name} {{"
        yield from (f"        {state}" for state in inside)
        yield "    }"
    arrows: dict[str, dict[str, list[str]]] = {}
    for state, event, targets in rows:
        for target in targets:
            if target != state:
                arrows.setdefault(target, {}).setdefault(state, []).append(event)
    for target, sources in arrows.items():
        yield f"    %% to {target}"
        for source, events in _together(sources, groups).items():
            yield f"    {source} --> {target}: {', '.join(events)}"
    for state in subscription.STATES if kind == "subscription" else ():
        if state in subscription.END:
            yield f"    {state} --> [*]"


def _together(sources: Mapping[str, list[str]], groups: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """The events by where they come from: those that all states of a group share come from the group."""
    made: dict[str, list[str]] = {}
    shared: dict[str, list[str]] = {}
    for name, members in groups.items():
        if members <= sources.keys():
            first = sources[min(members)]
            shared[name] = [event for event in first if all(event in sources[state] for state in members)]
    made.update({name: events for name, events in shared.items() if events})
    for state, events in sources.items():
        taken = {event for name, common in shared.items() if state in groups[name] for event in common}
        if left := [event for event in events if event not in taken]:
            made[state] = left
    return made
