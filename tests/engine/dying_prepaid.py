"""As `tests.engine.dying`, for what is paid in advance: `python -m tests.engine.dying_prepaid FILE KIND [EVERY]`.

A prepayment is used up by usage and a renewal, topped up, and wakes what was suspended; the process ends at each commit
and each charge of that.
"""

import sys
from pathlib import Path

from tests import databases
from tests.builders import books
from tests.engine import dying


def set_up(file: Path) -> None:
    """One whose card pays, one whose answers get lost on the way back."""
    with books(databases.at(file), customers=("acme",)) as billing:
        billing.customers.create("dune")
        billing.payment_methods.add("dune", "timeout_after_charge")


def work(file: Path) -> None:
    """Signups, usage beyond what is there, and a run to the renewal, which tops up again."""
    with dying.opened(file) as billing:
        limits = {"top_up_below": "10.00", "top_up_amount": "40.00", "components": {"calls": "0"}}
        for place, owner in enumerate(("acme", "dune")):
            billing.prepayments.add(owner, amount="45.00", idempotency_key=f"p{place}")
            own = {"collection": "prepaid", "idempotency_key": f"c{place}", **limits}
            billing.subscriptions.create(f"s{place}", owner, "pro-m", **own)
            billing.usage.record(f"s{place}", "calls", "160", event_id="e", idempotency_key=f"u{place}")
        billing.run(dying.END)
        billing.run(dying.AFTERWARDS)


if __name__ == "__main__":
    dying.set_up, dying.work = set_up, work  # The processes that die are made by that module.
    dying.main(*dying.told_to(sys.argv[1:]))
