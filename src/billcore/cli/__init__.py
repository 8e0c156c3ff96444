"""The command line: commands derived from the verbs, and a few of its own. Loaded piece by piece on use."""

import gc


def main() -> None:
    """Run `billcore` with the arguments of this process.

    What is imported lives to the end: looking through it for garbage, again and again and once more at the end, was
    two fifths of the time of a short command. Garbage is collected from `begin_work` on.
    """
    gc.disable()
    try:
        from billcore.cli.app import root

        root.main(prog_name="billcore")
    finally:
        gc.freeze()


def begin_work() -> None:
    """A command is imported, in a process of its own: from now on garbage is collected among what follows."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
