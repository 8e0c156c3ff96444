"""Who makes an attempt right now, and whether he still can: a process that has ended holds nothing back."""

import os
import socket
import sys


def own_name() -> str:
    """The owner's name of leases that this process takes: its machine and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def has_ended(owner: str | None) -> bool:
    """Whether the owner of a lease is a process of this machine that is there no more; in doubt False.

    A number that was given out again only makes others wait until the lease runs out.
    """
    host, colon, number = (owner or "").rpartition(":")
    if sys.platform == "win32" or not colon or host != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
