"""The command line: commands derived from the verbs, and a few of its own. Loaded piece by piece on use."""


def main() -> None:
    """Run `billcore` with the arguments of this process."""
    from billcore.cli.app import root

    root.main(prog_name="billcore")
