"""`python -m billcore`: the same as `billcore`."""

from billcore.cli import main

main()
