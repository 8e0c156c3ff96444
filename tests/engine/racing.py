"""Three processes that run the same books at once: `python -m tests.engine.racing FILE`."""

import gc
import os
import sys
from pathlib import Path

from tests.engine import killing
from tests.engine.dying import in_child, opened, say, saying


def told(file: Path) -> dict[str, object]:
    with opened(file) as billing:
        subscriptions = billing.subscriptions.list(limit=1000)
        return killing.told(file) | {"renewals": [one.sequence for one in subscriptions if one.state == "active"]}


def main(file: Path) -> None:
    gc.freeze()
    killing.PRICES, killing.SUBSCRIPTIONS = ("try",), 120
    assert in_child(lambda: killing.set_up(file)) == 0
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            killing.run(file)
            os._exit(0)
        children.append(child)
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    say({"ended": ended, **saying(file, lambda: told(file))})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
