"""What a person sees when something goes wrong: one message, its remedy, and an exit code; never a traceback.

Exit codes: 0 done; 1 refused, not found, or a check that failed; 2 wrong usage or a file with an error; 3 the
database; 4 a plugin; 70 an error of billcore itself; 130 interrupted; 141 nobody reads the output any more.
"""

import json
import os
import signal
import sys

import click

from billcore.errors import BillcoreError, FileInvalid, PluginError, Refused, StoreError

REFUSED = 1
USAGE = 2
STORE = 3
PLUGIN = 4
INTERNAL = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES = "Exit codes: 0 done, 1 refused, 2 usage or file, 3 database, 4 plugin, 70 internal, 130 interrupted."


def report(error: BaseException, *, debug: bool, as_json: bool = False) -> int:
    """Tell standard error what happened, and return the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else REFUSED
        case KeyboardInterrupt() | click.Abort():
            _say("interrupted", fg="yellow")
            return INTERRUPTED
        case BrokenPipeError():
            forget_output()
            return BROKEN_PIPE
    if debug:
        _traceback(error)
    if as_json:
        return _as_json(error)
    match error:
        case BillcoreError():
            return _refused(error)
        case click.ClickException():
            return _misused(error)
    _say(f"error [internal]: {type(error).__name__}: {_first_line(error)}", fg="red")
    if not debug:
        _say("Nothing of the failed step was kept. billcore --debug COMMAND… shows where it happened.")
    return INTERNAL


def exit_code(error: BillcoreError) -> int:
    """The exit code of one of our errors."""
    match error:
        case FileInvalid():
            return USAGE
        case StoreError():
            return STORE
        case PluginError():
            return PLUGIN
        case Refused():
            return REFUSED
    return INTERNAL


def stopped_by(number: int) -> int:
    """The exit code of a process that a signal has stopped cleanly: 130 for Ctrl-C, 143 for TERM."""
    return 128 + signal.Signals(number).value


def _refused(error: BillcoreError) -> int:
    _say(f"error [{error.code}]: {error.message}", fg="red")
    if error.remedy:
        _say(error.remedy)
    return exit_code(error)


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return USAGE
    _say(f"error [usage]: {error.format_message()}", fg="red")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        _say(f"Help: {context.command_path} --help")
    return USAGE


def _as_json(error: BaseException) -> int:
    """The error as one line of JSON, for programs that asked for JSON."""
    from billcore.commands.plain import to_plain

    if isinstance(error, BillcoreError):
        try:
            facts = to_plain(dict(error.facts))
        except TypeError:
            facts = {name: str(value) for name, value in error.facts.items()}
        told = {"code": error.code, "message": error.message, "remedy": error.remedy, "facts": facts}
        status = exit_code(error)
    elif isinstance(error, click.ClickException):
        told, status = {"code": "usage", "message": error.format_message()}, USAGE
    else:
        message = f"{type(error).__name__}: {_first_line(error)}"
        told, status = {"code": "internal", "message": message}, INTERNAL
    _say(json.dumps({"error": told}, ensure_ascii=False))
    return status


def _say(text: str, fg: str | None = None) -> None:
    """One line on standard error; its first word coloured for a person."""
    head, colon, rest = text.partition(": ")
    try:
        if fg is None or not colon:
            click.echo(text, err=True)
        else:
            click.echo(click.style(head + ":", fg=fg, bold=True) + " " + rest, err=True)
    except OSError:  # Nobody reads standard error either.
        pass


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


def _traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)


def forget_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush does not complain."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
